// Runs that are polled, and runs that nobody waits for.

import assert from "node:assert/strict";
import { test } from "node:test";

import { all, asked, client, outputsOf, textOf, tools } from "./setup.mjs";

test("created, polled, given outputs, polled", async () => {
  const { thread, run } = await asked("call get_time", { tools });
  const waiting = await client.beta.threads.runs.createAndPoll(thread.id, run);
  assert.equal(waiting.status, "requires_action");
  const outputs = { thread_id: thread.id, tool_outputs: outputsOf(waiting) };
  const ended = await client.beta.threads.runs.submitToolOutputsAndPoll(waiting.id, outputs);
  assert.equal(ended.status, "completed");
  const [answer] = (await client.beta.threads.messages.list(thread.id)).data;
  assert.equal(textOf(answer), "Told: get_time is 12");
  const runs = await all(client.beta.threads.runs.list(thread.id));
  assert.deepEqual(runs.map((each) => each.id), [ended.id]);
  const changed = await client.beta.threads.runs.update(ended.id, { thread_id: thread.id, metadata: { a: "1" } });
  assert.deepEqual(changed.metadata, { a: "1" });
});

test("a thread and its run in one", async () => {
  const { assistant } = await asked("unused");
  const thread = { messages: [{ role: "user", content: "say Hel|lo" }] };
  const ended = await client.beta.threads.createAndRunPoll({ assistant_id: assistant.id, thread });
  assert.equal(ended.status, "completed");
  const said = await all(client.beta.threads.messages.list(ended.thread_id, { run_id: ended.id }));
  assert.deepEqual(said.map(textOf), ["Hello"]);
});

test("cancelled while it waits for outputs", async () => {
  const { thread, run } = await asked("call get_time", { tools });
  const waiting = await client.beta.threads.runs.createAndPoll(thread.id, run);
  const cancelled = await client.beta.threads.runs.cancel(waiting.id, { thread_id: thread.id });
  assert.equal(cancelled.status, "cancelled");
});

test("chat completions and models pass through", async () => {
  const messages = [{ role: "user", content: "say Hel|lo" }];
  const answer = await client.chat.completions.create({ model: "gpt-4o-mini", messages });
  assert.equal(answer.choices[0].message.content, "Hello");
  const chunks = await all(await client.chat.completions.create({ model: "gpt-4o-mini", messages, stream: true }));
  assert.equal(chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join(""), "Hello");
  assert.ok(Array.isArray((await client.models.list()).data));
});
