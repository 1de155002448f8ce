"""An assistant that searches the web, and says where it read what. Needs OPENAI_API_KEY.

python examples/web_search.py
"""

from typing import Any

from openai import OpenAI

from supercompat import ResponsesRunAdapter, supercompat

#: As in the Responses API; the types of the Assistants API know no such tool.
WEB_SEARCH: Any = {"type": "web_search", "search_context_size": "low"}


def main() -> None:
    with supercompat(client=OpenAI(), run_adapter=ResponsesRunAdapter()) as client:
        assistant = client.beta.assistants.create(model="gpt-4.1", tools=[WEB_SEARCH])
        thread = client.beta.threads.create(messages=[{"role": "user", "content": "Who drew the Moomins?"}])
        run = client.beta.threads.runs.create_and_poll(thread_id=thread.id, assistant_id=assistant.id)
        for step in client.beta.threads.runs.steps.list(run.id, thread_id=thread.id, order="asc"):
            if step.step_details.type == "tool_calls":
                for call in step.step_details.tool_calls:
                    assert call.type == "function"
                    print(f"{call.function.name}({call.function.arguments})")
        newest = client.beta.threads.messages.list(thread.id, limit=1).data[0]
        for part in newest.content:
            assert part.type == "text"
            print(part.text.value)
            for annotation in part.text.annotations:
                cited: dict[str, Any] = annotation.to_dict()
                words = part.text.value[cited["start_index"] : cited["end_index"]]
                print(f"{words!r}: {cited['url']}")


if __name__ == "__main__":
    main()
