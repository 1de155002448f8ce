"""Whole programs, in an interpreter of their own."""

import os
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

#: What every program begins with. Its provider is a scripted server; its database is named by the test.
PRELUDE = """
import asyncio, atexit, os, sys, threading, warnings
warnings.filterwarnings("ignore", category=DeprecationWarning)
import openai
from supercompat import *

SETTINGS = {"base_url": os.environ["PROVIDER"], "api_key": "test-key", "max_retries": 0}

def storage():
    return SQLAlchemyStorageAdapter(os.environ["DATABASE"])

def conversation(client):
    assistant = client.beta.assistants.create(model="gpt-4o-mini")
    thread = client.beta.threads.create(messages=[{"role": "user", "content": "Hi"}])
    return {"assistant_id": assistant.id, "thread_id": thread.id}

async def async_conversation(client):
    assistant = await client.beta.assistants.create(model="gpt-4o-mini")
    thread = await client.beta.threads.create(messages=[{"role": "user", "content": "Hi"}])
    return {"assistant_id": assistant.id, "thread_id": thread.id}
"""


@dataclass(frozen=True)
class Ended:
    """How a program ended: its exit code, the lines that it said, and what it complained of."""

    code: int
    said: list[str]
    complained: str


def run_program(program: str, *, provider: str, database: Path, patience: float = 45.0) -> Ended:
    """Run a program to its end.

    Raises:
        subprocess.TimeoutExpired: it takes more than `patience` seconds.
    """
    environment = {**os.environ, "PROVIDER": provider, "DATABASE": f"sqlite:///{database}"}
    done = subprocess.run(
        [sys.executable, "-c", PRELUDE + textwrap.dedent(program)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=patience,
        check=False,
    )
    return Ended(done.returncode, done.stdout.splitlines(), done.stderr)
