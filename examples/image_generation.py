"""An assistant that draws. Needs OPENAI_API_KEY.

python examples/image_generation.py
"""

from pathlib import Path
from typing import Any

from openai import OpenAI

from supercompat import ResponsesRunAdapter, supercompat

#: As in the Responses API; the types of the Assistants API know no such tool.
DRAW: Any = {"type": "image_generation", "size": "1024x1024"}


def main() -> None:
    with supercompat(client=OpenAI(), run_adapter=ResponsesRunAdapter()) as client:
        assistant = client.beta.assistants.create(model="gpt-4.1", tools=[DRAW])
        thread = client.beta.threads.create(messages=[{"role": "user", "content": "Draw a cat."}])
        client.beta.threads.runs.create_and_poll(thread_id=thread.id, assistant_id=assistant.id)
        newest = client.beta.threads.messages.list(thread.id, limit=1).data[0]
        for part in newest.content:
            if part.type == "image_file":
                Path("cat.png").write_bytes(client.files.content(part.image_file.file_id).read())
                print("cat.png")
            elif part.type == "text":
                print(part.text.value)


if __name__ == "__main__":
    main()
