"""A run that is cancelled in the middle of its answer: the text so far is kept. Needs no key.

python examples/cancel.py
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
        server.reply(text("Once upon ", "a time").then_hang())
        assistant = client.beta.assistants.create(model="any")
        thread = client.beta.threads.create(messages=[{"role": "user", "content": "Tell me a story."}])
        run_id, deltas = "", 0
        for event in client.beta.threads.runs.create(thread.id, assistant_id=assistant.id, stream=True):
            print(event.event)
            if event.event == "thread.run.created":
                run_id = event.data.id
            elif event.event == "thread.message.delta":
                deltas += 1
                if deltas == 2:
                    client.beta.threads.runs.cancel(run_id, thread_id=thread.id)

        run = client.beta.threads.runs.retrieve(run_id, thread_id=thread.id)
        message = client.beta.threads.messages.list(thread.id).data[0]
        print(f"The run is {run.status}.")
        print(f"The message is {message.status}: {words(message)}")
        print(f"The provider's connection is closed: {server.requests[0].closed.wait(5)}")


if __name__ == "__main__":
    main()
