"""A thread as a process sees it that had no part in it: the demo starts one to show that nothing is in memory."""

import json
import sys
from pathlib import Path
from typing import TypedDict

from openai import NotFoundError, OpenAI
from openai.types.beta.threads import Message

from supercompat import OpenAIClientAdapter, SQLAlchemyStorageAdapter, supercompat
from supercompat.errors import SupercompatError


class Line(TypedDict):
    """One message, as JSON on a line."""

    id: str
    role: str
    text: str


def line_of(message: Message) -> Line:
    """What is compared of a message."""
    text = "".join(part.text.value for part in message.content if part.type == "text")
    return {"id": message.id, "role": message.role, "text": text}


def print_thread(database: Path, thread_id: str) -> int:
    """Print the messages of a thread, oldest first.

    Raises:
        SupercompatError: there is no such thread in this file.
    """
    nobody = OpenAI(api_key="reading asks no model", base_url="http://127.0.0.1:9")
    storage = SQLAlchemyStorageAdapter(f"sqlite:///{database}")
    with supercompat(client=OpenAIClientAdapter(nobody), storage=storage) as client:
        try:
            for message in client.beta.threads.messages.list(thread_id, order="asc"):
                sys.stdout.write(json.dumps(line_of(message)) + "\n")
        except NotFoundError as error:
            raise SupercompatError(f"{database} has no thread {thread_id}.") from error
    return 0
