"""Groq's Responses API, on the database of a Node application that uses Prisma.

    supercompat db upgrade --prisma --database "$DATABASE_URL"
    python examples/responses.py

Needs a key in GROQ_API_KEY and the URL that Prisma has in DATABASE_URL.
"""

import os

from groq import Groq

from supercompat import GroqClientAdapter, PrismaStorageAdapter, ResponsesRunAdapter, supercompat


def main() -> None:
    client = supercompat(
        client=GroqClientAdapter(Groq()),
        storage=PrismaStorageAdapter(os.environ["DATABASE_URL"]),
        run_adapter=ResponsesRunAdapter(),
    )
    assistant = client.beta.assistants.create(model="openai/gpt-oss-20b")
    thread = client.beta.threads.create()
    message = client.beta.threads.messages.create(
        thread.id, role="user", content="Who won the world series in 2020?"
    )
    print(message.role)
    client.beta.threads.runs.create_and_poll(thread_id=thread.id, assistant_id=assistant.id)
    for part in client.beta.threads.messages.list(thread.id, limit=1).data[0].content:
        if part.type == "text":
            print(part.text.value)
    client.close()


if __name__ == "__main__":
    main()
