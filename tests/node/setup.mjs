// What all tests of this folder share. pytest sets the variables: see test_node.py.

import { createRequire } from "node:module";

const require = createRequire(process.env.NODE_PACKAGES);

export const OpenAI = require(process.env.OPENAI_PACKAGE).OpenAI;
export const root = process.env.SERVER_URL;
export const client = new OpenAI({ baseURL: `${root}/v1`, apiKey: "test-key", maxRetries: 0 });

export const tools = ["get_time", "get_weather"].map((name) => ({ type: "function", function: { name } }));

/** A thread with this message, and an assistant. What the message says, the model does: see test_node.py. */
export async function asked(content, settings = {}) {
  const assistant = await client.beta.assistants.create({ model: "gpt-4o-mini", ...settings });
  const thread = await client.beta.threads.create({ messages: [{ role: "user", content }] });
  return { thread, assistant, run: { assistant_id: assistant.id } };
}

export function textOf(message) {
  return message.content.map((part) => part.text?.value ?? part.refusal).join("");
}

/** The outputs of all calls that a run waits for. */
export function outputsOf(run) {
  const calls = run.required_action.submit_tool_outputs.tool_calls;
  return calls.map((call) => ({ tool_call_id: call.id, output: `${call.function.name} is 12` }));
}

/** All that a list holds, page by page. */
export async function all(list) {
  const found = [];
  for await (const each of list) found.push(each);
  return found;
}
