"""A librarian answers two questions in one thread. Needs GROQ_API_KEY.

    python examples/quickstart.py

The conversation is kept in assistants.db, in the working directory.
"""

from groq import Groq
from openai import OpenAI
from openai.types.beta.threads import Message

from supercompat import GroqClientAdapter, SQLAlchemyStorageAdapter, supercompat

QUESTIONS = ("What should I read on a rainy day?", "And when the sun comes out?")


def main() -> None:
    with supercompat(
        client=GroqClientAdapter(Groq()),
        storage=SQLAlchemyStorageAdapter("sqlite:///assistants.db"),
    ) as client:
        assistant = client.beta.assistants.create(
            model="llama-3.3-70b-versatile",
            instructions="You are a friendly librarian. Answer in one sentence.",
        )
        thread = client.beta.threads.create()
        for question in QUESTIONS:
            ask(client, thread.id, assistant.id, question)
        for message in client.beta.threads.messages.list(thread.id, order="asc"):
            print(f"{message.role}: {text_of(message)}")


def ask(client: OpenAI, thread_id: str, assistant_id: str, question: str) -> None:
    client.beta.threads.messages.create(thread_id, role="user", content=question)
    run = client.beta.threads.runs.create_and_poll(thread_id=thread_id, assistant_id=assistant_id)
    if run.status != "completed":
        raise SystemExit(f"The run ended as {run.status}: {run.last_error or run.incomplete_details}")


def text_of(message: Message) -> str:
    return "".join(part.text.value for part in message.content if part.type == "text")


if __name__ == "__main__":
    main()
