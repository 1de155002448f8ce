"""Tool outputs other than those asked for are refused, and the run keeps waiting. Needs no key.

python examples/missing_output.py
"""

from openai import BadRequestError
from openai.types.beta import FunctionToolParam

from supercompat import supercompat
from supercompat.testing import ScriptedModel, call, text, tool_calls

GET_WEATHER: FunctionToolParam = {"type": "function", "function": {"name": "get_weather"}}


def main() -> None:
    asks = tool_calls(
        call("get_weather", '{"city": "Lisbon"}', id="call_lisbon"),
        call("get_weather", '{"city": "Oslo"}', id="call_oslo"),
    )
    with supercompat(client=ScriptedModel(asks, text("Lisbon."))) as client:
        assistant = client.beta.assistants.create(model="any", instructions="Compare.", tools=[GET_WEATHER])
        run = client.beta.threads.create_and_run_poll(assistant_id=assistant.id)
        print(f"The run is {run.status}.")
        for outputs in ({"call_lisbon": "21 °C"}, {"call_lisbon": "21 °C", "call_paris": "15 °C"}):
            try:
                client.beta.threads.runs.submit_tool_outputs(
                    run.id,
                    thread_id=run.thread_id,
                    tool_outputs=[{"tool_call_id": id, "output": output} for id, output in outputs.items()],
                )
            except BadRequestError as refusal:
                print(refusal.body)

        waiting = client.beta.threads.runs.retrieve(run.id, thread_id=run.thread_id)
        print(f"The run is {waiting.status}.")
        done = client.beta.threads.runs.submit_tool_outputs_and_poll(
            run_id=run.id,
            thread_id=run.thread_id,
            tool_outputs=[
                {"tool_call_id": "call_oslo", "output": "9 °C"},
                {"tool_call_id": "call_lisbon", "output": "21 °C"},
            ],
        )
        print(f"The run is {done.status}.")


if __name__ == "__main__":
    main()
