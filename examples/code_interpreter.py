"""An assistant that computes: its code runs at OpenAI, and is shown while it is written. Needs OPENAI_API_KEY.

python examples/code_interpreter.py
"""

from pathlib import Path

from openai import OpenAI

from supercompat import ResponsesRunAdapter, supercompat


def main() -> None:
    with supercompat(client=OpenAI(), run_adapter=ResponsesRunAdapter()) as client:
        assistant = client.beta.assistants.create(model="gpt-4.1", tools=[{"type": "code_interpreter"}])
        thread = client.beta.threads.create(messages=[{"role": "user", "content": "Plot x squared."}])
        with client.beta.threads.runs.stream(thread_id=thread.id, assistant_id=assistant.id) as stream:
            for event in stream:
                if event.event == "thread.run.step.delta":
                    details = event.data.delta.step_details
                    assert details
                    assert details.type == "tool_calls"
                    for call in details.tool_calls or []:
                        if call.type == "code_interpreter" and call.code_interpreter:
                            print(call.code_interpreter.input or "", end="")
        print()
        newest = client.beta.threads.messages.list(thread.id, limit=1).data[0]
        for part in newest.content:
            if part.type == "image_file":
                Path("plot.png").write_bytes(client.files.content(part.image_file.file_id).read())
                print("plot.png")
            elif part.type == "text":
                print(part.text.value)


if __name__ == "__main__":
    main()
