"""A message with an image, and what the provider receives. Needs no key.

python examples/image.py
"""

import json

from openai import OpenAI

from supercompat import supercompat
from supercompat.testing import ScriptedServer, text

#: A red dot.
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC"


def main() -> None:
    with (
        ScriptedServer() as server,
        OpenAI(base_url=server.base_url, api_key="none") as provider,
        supercompat(client=provider) as client,
    ):
        server.reply(text("A red dot."))
        assistant = client.beta.assistants.create(model="any")
        thread = client.beta.threads.create()
        client.beta.threads.messages.create(
            thread.id,
            role="user",
            content=[
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}", "detail": "low"}},
            ],
        )
        run = client.beta.threads.runs.create_and_poll(thread_id=thread.id, assistant_id=assistant.id)
        print(f"The run is {run.status}.")
        (asked,) = server.requests[0].body["messages"]
        for part in asked["content"]:
            print(json.dumps(part)[:72])
        newest = client.beta.threads.messages.list(thread.id, limit=1).data[0]
        print("".join(part.text.value for part in newest.content if part.type == "text"))


if __name__ == "__main__":
    main()
