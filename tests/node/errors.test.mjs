// Errors: their classes and fields.

import assert from "node:assert/strict";
import { test } from "node:test";

import { OpenAI, asked, client, tools } from "./setup.mjs";

async function refused(call, kind, fields) {
  await assert.rejects(call, (error) => {
    assert.ok(error instanceof kind, `${error}`);
    for (const [name, value] of Object.entries(fields)) {
      if (value instanceof RegExp) assert.match(error[name], value);
      else assert.equal(error[name], value, name);
    }
    assert.match(error.requestID, /^req_/);
    assert.equal(error.headers.get("content-type"), "application/json");
    return true;
  });
}

test("what does not exist", async () => {
  await refused(client.beta.threads.retrieve("thread_none"), OpenAI.NotFoundError, {
    status: 404,
    message: /No thread found with id 'thread_none'\./,
    type: "invalid_request_error",
    param: null,
    code: null,
  });
  await refused(client.files.list(), OpenAI.NotFoundError, { status: 404, message: /Invalid URL \(GET/ });
});

test("what is missing, wrong or unknown", async () => {
  const fields = { status: 400, type: "invalid_request_error" };
  await refused(client.beta.assistants.create({}), OpenAI.BadRequestError, {
    ...fields,
    message: /Missing required parameter: 'model'\./,
    param: "model",
    code: "missing_required_parameter",
  });
  await refused(client.beta.assistants.create({ model: "m", temperature: "hot" }), OpenAI.BadRequestError, {
    ...fields,
    param: "temperature",
    code: "invalid_type",
  });
  await refused(client.beta.assistants.create({ model: "m", colour: "red" }), OpenAI.BadRequestError, {
    ...fields,
    param: "colour",
    code: "unknown_parameter",
  });
});

test("a thread that is locked, and outputs that nobody waits for", async () => {
  const { thread, run } = await asked("call get_time", { tools });
  const waiting = await client.beta.threads.runs.createAndPoll(thread.id, run);
  await refused(client.beta.threads.runs.create(thread.id, run), OpenAI.BadRequestError, {
    message: new RegExp(`Thread ${thread.id} already has an active run ${waiting.id}\\.`),
  });
  const stream = client.beta.threads.runs.stream(thread.id, run);
  await refused(stream.finalRun(), OpenAI.BadRequestError, { message: /already has an active run/ });
  const outputs = { thread_id: thread.id, tool_outputs: [{ tool_call_id: "call_none", output: "" }] };
  await refused(client.beta.threads.runs.submitToolOutputs(waiting.id, outputs), OpenAI.BadRequestError, {
    message: /Expected tool outputs for call_ids/,
  });
  await client.beta.threads.runs.cancel(waiting.id, { thread_id: thread.id });
});
