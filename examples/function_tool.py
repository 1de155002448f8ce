"""An assistant that calls a function of this program until it knows enough. Needs GROQ_API_KEY.

python examples/function_tool.py
"""

import json

from groq import Groq
from openai import OpenAI
from openai.types.beta import FunctionToolParam
from openai.types.beta.threads import Run

from supercompat import GroqClientAdapter, supercompat

GET_WEATHER: FunctionToolParam = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city at this moment",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}


def get_weather(city: str) -> str:
    return json.dumps({"city": city, "sky": "clear", "celsius": 21})


def main() -> None:
    with supercompat(client=GroqClientAdapter(Groq())) as client:
        assistant = client.beta.assistants.create(model="llama-3.3-70b-versatile", tools=[GET_WEATHER])
        thread = client.beta.threads.create(
            messages=[{"role": "user", "content": "Is it warmer in Lisbon or in Oslo?"}]
        )
        run = client.beta.threads.runs.create_and_poll(thread_id=thread.id, assistant_id=assistant.id)
        while run.status == "requires_action":
            run = answer_calls(client, run)
        print(f"The run is {run.status}.")
        newest = client.beta.threads.messages.list(thread.id, limit=1).data[0]
        print("".join(part.text.value for part in newest.content if part.type == "text"))


def answer_calls(client: OpenAI, run: Run) -> Run:
    assert run.required_action
    outputs: dict[str, str] = {}
    for call in run.required_action.submit_tool_outputs.tool_calls:
        print(f"{call.function.name}({call.function.arguments})")
        outputs[call.id] = get_weather(**json.loads(call.function.arguments))
    return client.beta.threads.runs.submit_tool_outputs_and_poll(
        run_id=run.id,
        thread_id=run.thread_id,
        tool_outputs=[{"tool_call_id": id, "output": output} for id, output in outputs.items()],
    )


if __name__ == "__main__":
    main()
