"""A provider that drops the connection: the run fails and says why, and the thread is free again. Needs no key.

python examples/dropped_line.py
"""

from openai import OpenAI
from openai.types.beta.threads import Message

from supercompat import supercompat
from supercompat.testing import ScriptedServer, text


def words(message: Message) -> str:
    return "".join(part.text.value for part in message.content if part.type == "text")


def main() -> None:
    with (
        ScriptedServer() as server,
        OpenAI(base_url=server.base_url, api_key="none") as provider,
        supercompat(client=provider) as client,
    ):
        server.reply(text("The answer ", "is").then_drop(), text("42."))
        assistant = client.beta.assistants.create(model="any")
        thread = client.beta.threads.create(messages=[{"role": "user", "content": "What is the answer?"}])
        failed = client.beta.threads.runs.create_and_poll(thread_id=thread.id, assistant_id=assistant.id)
        assert failed.last_error
        print(f"The run is {failed.status}: {failed.last_error.code}, {failed.last_error.message}")
        for step in client.beta.threads.runs.steps.list(failed.id, thread_id=thread.id):
            print(f"Its step is {step.status}.")

        again = client.beta.threads.runs.create_and_poll(thread_id=thread.id, assistant_id=assistant.id)
        print(f"The next run is {again.status}.")
        for message in client.beta.threads.messages.list(thread.id, order="asc"):
            print(f"{message.role}, {message.status}: {words(message)}")


if __name__ == "__main__":
    main()
