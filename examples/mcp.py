"""An assistant that uses the tools of an MCP server, which OpenAI calls itself. Needs OPENAI_API_KEY.

python examples/mcp.py
"""

from typing import Any

from openai import OpenAI

from supercompat import ResponsesRunAdapter, supercompat

#: As in the Responses API; the types of the Assistants API know no such tool. A run can't be asked for approval.
WIKI: Any = {
    "type": "mcp",
    "server_label": "wiki",
    "server_url": "https://mcp.example.com/wiki",
    "require_approval": "never",
}


def main() -> None:
    with supercompat(client=OpenAI(), run_adapter=ResponsesRunAdapter()) as client:
        assistant = client.beta.assistants.create(model="gpt-4.1", tools=[WIKI])
        thread = client.beta.threads.create(messages=[{"role": "user", "content": "Look up the Moomins."}])
        run = client.beta.threads.runs.create_and_poll(thread_id=thread.id, assistant_id=assistant.id)
        for step in client.beta.threads.runs.steps.list(run.id, thread_id=thread.id, order="asc"):
            if step.step_details.type == "tool_calls":
                for call in step.step_details.tool_calls:
                    assert call.type == "function"
                    print(f"{call.function.name}({call.function.arguments}): {call.function.output}")
        newest = client.beta.threads.messages.list(thread.id, limit=1).data[0]
        print("".join(part.text.value for part in newest.content if part.type == "text"))


if __name__ == "__main__":
    main()
