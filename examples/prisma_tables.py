"""The database of a Node application that uses Prisma: both work on its threads.

    supercompat db upgrade --prisma --database "$DATABASE_URL"
    python examples/prisma_tables.py

Needs a key in GROQ_API_KEY and the URL that Prisma has in DATABASE_URL.
"""

import os

from groq import Groq

from supercompat import CompletionsRunAdapter, GroqClientAdapter, PrismaStorageAdapter, supercompat

MODEL = "llama-3.3-70b-versatile"


def main() -> None:
    with supercompat(
        client=GroqClientAdapter(Groq()),
        storage=PrismaStorageAdapter(os.environ["DATABASE_URL"]),
        run_adapter=CompletionsRunAdapter(),
    ) as client:
        assistant = client.beta.assistants.create(model=MODEL, instructions="Answer in one sentence.")
        # Where the Node library looks for a thread's assistant.
        thread = client.beta.threads.create(metadata={"assistantId": assistant.id})
        client.beta.threads.messages.create(
            thread.id, role="user", content="Who won the world series in 2020?"
        )
        run = client.beta.threads.runs.create_and_poll(thread_id=thread.id, assistant_id=assistant.id)
        print(f"The run is {run.status}.")
        for message in client.beta.threads.messages.list(thread.id, order="asc"):
            print(f"{message.role}:", *(part.text.value for part in message.content if part.type == "text"))


if __name__ == "__main__":
    main()
