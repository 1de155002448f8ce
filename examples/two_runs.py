"""Two runs that are started on one thread at the same time: one is, the other is refused. Needs no key.

python examples/two_runs.py
"""

from concurrent.futures import ThreadPoolExecutor

from openai import BadRequestError, OpenAI

from supercompat import supercompat
from supercompat.testing import Gate, ScriptedModel, text


def start(client: OpenAI, thread_id: str, assistant_id: str) -> str | None:
    """The id of a new run; None if there can't be one."""
    try:
        return client.beta.threads.runs.create(thread_id, assistant_id=assistant_id).id
    except BadRequestError as refusal:
        print(refusal.body)
        return None


def main() -> None:
    gate = Gate()
    with supercompat(client=ScriptedModel(text("Hello", gate, "!"))) as client:
        assistant = client.beta.assistants.create(model="any", instructions="Be kind.")
        thread = client.beta.threads.create()
        with ThreadPoolExecutor() as pool:
            attempts = [pool.submit(start, client, thread.id, assistant.id) for _ in range(2)]
            (winner,) = filter(None, [attempt.result() for attempt in attempts])
        try:
            client.beta.threads.messages.create(thread.id, role="user", content="Wait!")
        except BadRequestError as refusal:
            print(refusal.body)

        gate.open()
        run = client.beta.threads.runs.poll(winner, thread_id=thread.id)
        print(f"The run is {run.status}.")
        client.beta.threads.messages.create(thread.id, role="user", content="Now?")
        print(f"Runs: {len(client.beta.threads.runs.list(thread.id).data)}")
        print(f"Messages: {len(client.beta.threads.messages.list(thread.id).data)}")


if __name__ == "__main__":
    main()
