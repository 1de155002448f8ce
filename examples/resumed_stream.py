"""A run's stream whose connection keeps breaking, without losing a word. Needs a server: `supercompat serve`.

python examples/resumed_stream.py http://127.0.0.1:8000
"""

import json
import sys
from collections.abc import Iterator
from http.client import HTTPException
from typing import Any, NamedTuple
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from openai import OpenAI

KEY = "any"


class Event(NamedTuple):
    id: str
    name: str
    data: Any


def connect(url: str, last_id: str) -> Iterator[Event]:
    """What one connection brings, behind the event with this id. An event that did not come whole is none."""
    headers = {"Authorization": f"Bearer {KEY}"}
    if last_id:
        headers["Last-Event-ID"] = last_id
    with urlopen(Request(url, headers=headers), timeout=60) as lines:
        fields: dict[str, str] = {}
        for line in lines:
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name:
                fields[name] = value
            elif fields.get("event") == "done":
                yield Event("", "done", None)
            elif fields:
                if "event" in fields:
                    yield Event(fields["id"], fields["event"], json.loads(fields["data"]))
                fields = {}


def events(url: str) -> Iterator[Event]:
    """All events of a run, over as many connections as it takes."""
    last_id = ""
    while True:
        try:
            for event in connect(url, last_id):
                last_id = event.id
                yield event
                if event.name == "done":
                    return
                if event.name == "thread.message.delta":
                    raise ConnectionError("To show what happens, this program hangs up after each piece.")
        except HTTPError:
            raise
        except (OSError, HTTPException):
            # A real program waits here, longer each time.
            continue


def main(server: str) -> None:
    with OpenAI(base_url=f"{server}/v1", api_key=KEY) as client:
        assistant = client.beta.assistants.create(model="any", instructions="Tell a short story.")
        thread = client.beta.threads.create(messages=[{"role": "user", "content": "Once upon a time …"}])
        run = client.beta.threads.runs.create(thread.id, assistant_id=assistant.id)
        for event in events(f"{server}/v1/threads/{thread.id}/runs/{run.id}/events"):
            if event.name == "thread.message.delta":
                print(event.data["delta"]["content"][0]["text"]["value"], end="", flush=True)
            elif event.name == "thread.run.completed":
                print(f"\nThe run is {event.data['status']}.")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8000")
