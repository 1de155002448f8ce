"""One thread, three providers, each of which calls a function of this program and reads what the others said.

    python examples/three_providers.py

Needs keys in GROQ_API_KEY, ANTHROPIC_API_KEY and MISTRAL_API_KEY. The model's name decides who answers.
The SDKs of Groq and Anthropic look for another server's URL in the environment; Mistral's is given it here.
"""

import json
import os

from anthropic import Anthropic
from groq import Groq
from mistralai.client import Mistral
from openai import OpenAI
from openai.types.beta import FunctionToolParam
from openai.types.beta.threads import Run

from supercompat import AnthropicClientAdapter, GroqClientAdapter, MistralClientAdapter, supercompat

QUESTIONS = {
    "llama-3.3-70b-versatile": "How warm is it in Lisbon?",
    "claude-sonnet-5": "And in Oslo?",
    "mistral-medium-latest": "And in Kyoto? Which of the three is the warmest?",
}
WEATHER = {"Lisbon": 21, "Oslo": 4, "Kyoto": 17}
GET_WEATHER: FunctionToolParam = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The temperature in a city at this moment, in degrees Celsius",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}


def main() -> None:
    mistral = Mistral(api_key=os.environ["MISTRAL_API_KEY"], server_url=os.environ.get("MISTRAL_SERVER_URL"))
    providers = {
        "claude-*": AnthropicClientAdapter(Anthropic()),
        "mistral-*": MistralClientAdapter(mistral),
        "*": GroqClientAdapter(Groq()),
    }
    with supercompat(client=providers) as client:
        assistant = client.beta.assistants.create(model="llama-3.3-70b-versatile", tools=[GET_WEATHER])
        thread = client.beta.threads.create()
        for model, question in QUESTIONS.items():
            client.beta.threads.messages.create(thread.id, role="user", content=question)
            run = client.beta.threads.runs.create_and_poll(
                thread_id=thread.id, assistant_id=assistant.id, model=model
            )
            while run.status == "requires_action":
                run = answer_calls(client, run)
            newest = client.beta.threads.messages.list(thread.id, limit=1).data[0]
            print(f"{model}, {run.status}:", *(p.text.value for p in newest.content if p.type == "text"))


def answer_calls(client: OpenAI, run: Run) -> Run:
    assert run.required_action
    outputs: dict[str, str] = {}
    for call in run.required_action.submit_tool_outputs.tool_calls:
        print(f"{run.model} calls {call.function.name}({call.function.arguments})")
        outputs[call.id] = str(WEATHER[json.loads(call.function.arguments)["city"]])
    return client.beta.threads.runs.submit_tool_outputs_and_poll(
        run_id=run.id,
        thread_id=run.thread_id,
        tool_outputs=[{"tool_call_id": id, "output": output} for id, output in outputs.items()],
    )


if __name__ == "__main__":
    main()
