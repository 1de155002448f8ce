"""An assistant that uses your computer: it says what to do and is shown the screen. Needs OPENAI_API_KEY.

python examples/computer_use.py
"""

import json
from typing import Any

from openai import OpenAI

from supercompat import ResponsesRunAdapter, supercompat

#: As in the Responses API; the types of the Assistants API know no such tool.
COMPUTER: Any = {
    "type": "computer_use_preview",
    "display_width": 1024,
    "display_height": 768,
    "environment": "browser",
}

#: One pixel.
SCREEN = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC"


def act(arguments: str) -> str:
    """Does what is asked for, in a real program, and gives a picture of the screen."""
    asked = json.loads(arguments)
    for action in asked["actions"]:
        print(f"{action['type']} at {action.get('x')}, {action.get('y')}")
    screenshot = {"type": "computer_screenshot", "image_url": f"data:image/png;base64,{SCREEN}"}
    # Only after a person has looked at them.
    return json.dumps({**screenshot, "acknowledged_safety_checks": asked["pending_safety_checks"]})


def main() -> None:
    with supercompat(client=OpenAI(), run_adapter=ResponsesRunAdapter()) as client:
        assistant = client.beta.assistants.create(model="computer-use-preview", tools=[COMPUTER])
        thread = client.beta.threads.create(messages=[{"role": "user", "content": "Press the button."}])
        run = client.beta.threads.runs.create_and_poll(thread_id=thread.id, assistant_id=assistant.id)
        while run.status == "requires_action" and run.required_action:
            calls = run.required_action.submit_tool_outputs.tool_calls
            run = client.beta.threads.runs.submit_tool_outputs_and_poll(
                run_id=run.id,
                thread_id=thread.id,
                tool_outputs=[
                    {"tool_call_id": call.id, "output": act(call.function.arguments)} for call in calls
                ],
            )
        print(f"The run is {run.status}.")
        newest = client.beta.threads.messages.list(thread.id, limit=1).data[0]
        print("".join(part.text.value for part in newest.content if part.type == "text"))


if __name__ == "__main__":
    main()
