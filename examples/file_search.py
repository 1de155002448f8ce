"""An assistant that searches files in a vector store at OpenAI. Needs OPENAI_API_KEY and VECTOR_STORE_ID.

python examples/file_search.py
"""

import os

from openai import OpenAI

from supercompat import ResponsesRunAdapter, supercompat


def main() -> None:
    with supercompat(client=OpenAI(), run_adapter=ResponsesRunAdapter()) as client:
        assistant = client.beta.assistants.create(
            model="gpt-4.1",
            tools=[{"type": "file_search"}],
            tool_resources={"file_search": {"vector_store_ids": [os.environ["VECTOR_STORE_ID"]]}},
        )
        thread = client.beta.threads.create(messages=[{"role": "user", "content": "What is the budget?"}])
        run = client.beta.threads.runs.create_and_poll(thread_id=thread.id, assistant_id=assistant.id)
        for step in client.beta.threads.runs.steps.list(run.id, thread_id=thread.id, order="asc"):
            if step.step_details.type == "tool_calls":
                for call in step.step_details.tool_calls:
                    assert call.type == "file_search"
                    for found in call.file_search.results or []:
                        print(f"found {found.file_name}, score {found.score}")
        newest = client.beta.threads.messages.list(thread.id, limit=1).data[0]
        for part in newest.content:
            assert part.type == "text"
            print(part.text.value)
            for annotation in part.text.annotations:
                assert annotation.type == "file_citation"
                print(f"{annotation.text} is {annotation.file_citation.file_id}")


if __name__ == "__main__":
    main()
