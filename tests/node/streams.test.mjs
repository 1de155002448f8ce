// Streams: the SDK's helper and all that it tells, and plain events.

import assert from "node:assert/strict";
import { test } from "node:test";

import { all, asked, client, outputsOf, textOf, tools } from "./setup.mjs";

const OPENING = ["thread.run.created", "thread.run.queued", "thread.run.in_progress"];
const STEP = ["thread.run.step.created", "thread.run.step.in_progress"];
const MESSAGE = [
  ...STEP,
  "thread.message.created",
  "thread.message.in_progress",
  "thread.message.delta",
  "thread.message.delta",
  "thread.message.completed",
  "thread.run.step.completed",
];

test("plain events", async () => {
  const { thread, run } = await asked("say Hel|lo");
  const events = await all(await client.beta.threads.runs.create(thread.id, { ...run, stream: true }));
  assert.deepEqual(
    events.map((event) => event.event),
    [...OPENING, ...MESSAGE, "thread.run.completed"],
  );
});

test("the helper's events and results, of a text", async () => {
  const { thread, run } = await asked("say Hel|lo");
  const stream = client.beta.threads.runs.stream(thread.id, run);
  const told = [];
  for (const name of ["textCreated", "textDelta", "textDone", "messageCreated", "messageDelta", "messageDone"]) {
    stream.on(name, () => told.push(name));
  }
  for (const name of ["runStepCreated", "runStepDelta", "runStepDone", "end"]) {
    stream.on(name, () => told.push(name));
  }
  const names = [];
  stream.on("event", (event) => names.push(event.event));
  const [ended, messages, steps] = [
    await stream.finalRun(),
    await stream.finalMessages(),
    await stream.finalRunSteps(),
  ];
  assert.deepEqual(names, [...OPENING, ...MESSAGE, "thread.run.completed"]);
  assert.deepEqual(told, [
    "runStepCreated",
    "messageCreated",
    "textCreated",
    ...["messageDelta", "textDelta", "messageDelta", "textDelta"],
    "textDone",
    "messageDone",
    "runStepDone",
    "end",
  ]);
  assert.equal(ended.status, "completed");
  assert.deepEqual(ended, await client.beta.threads.runs.retrieve(ended.id, { thread_id: thread.id }));
  assert.deepEqual(messages.map(textOf), ["Hello"]);
  const [kept] = (await client.beta.threads.runs.steps.list(ended.id, { thread_id: thread.id })).data;
  assert.deepEqual(steps.map((step) => ({ ...step, expires_at: null })), [{ ...kept }]);
  assert.equal(ended.usage.total_tokens, ended.usage.prompt_tokens + ended.usage.completion_tokens);
});

test("the helper's calls, and a stream of outputs", async () => {
  const { thread, run } = await asked("call get_time get_weather", { tools });
  const stream = client.beta.threads.runs.stream(thread.id, run);
  const begun = [];
  stream.on("toolCallCreated", (call) => begun.push(call.function.name));
  const done = [];
  stream.on("toolCallDone", (call) => done.push(call.function.arguments));
  const waiting = await stream.finalRun();
  assert.equal(waiting.status, "requires_action");
  assert.deepEqual(begun, ["get_time", "get_weather"]);
  assert.deepEqual(done, ['{"zone": "here"}', '{"zone": "here"}']);
  const outputs = { thread_id: thread.id, tool_outputs: outputsOf(waiting) };
  const second = client.beta.threads.runs.submitToolOutputsStream(waiting.id, outputs);
  const names = [];
  second.on("event", (event) => names.push(event.event));
  const ended = await second.finalRun();
  assert.deepEqual(names, [
    "thread.run.step.completed",
    "thread.run.queued",
    "thread.run.in_progress",
    ...MESSAGE,
    "thread.run.completed",
  ]);
  assert.equal(ended.status, "completed");
  assert.deepEqual((await second.finalMessages()).map(textOf), ["Told: get_time is 12, get_weather is 12"]);
  const steps = await all(client.beta.threads.runs.steps.list(ended.id, { thread_id: thread.id, order: "asc" }));
  assert.deepEqual(steps.map((step) => step.type), ["tool_calls", "message_creation"]);
  assert.deepEqual(
    steps[0].step_details.tool_calls.map((call) => call.function.output),
    ["get_time is 12", "get_weather is 12"],
  );
});

test("a thread and its run in one", async () => {
  const { assistant } = await asked("unused");
  const stream = client.beta.threads.createAndRunStream({
    assistant_id: assistant.id,
    thread: { messages: [{ role: "user", content: "say Hel|lo" }] },
  });
  const names = [];
  stream.on("event", (event) => names.push(event.event));
  assert.deepEqual((await stream.finalMessages()).map(textOf), ["Hello"]);
  assert.deepEqual(names, ["thread.created", ...OPENING, ...MESSAGE, "thread.run.completed"]);
});

test("a refusal, and an answer that was cut off", async () => {
  const refused = await asked("refuse");
  const stream = client.beta.threads.runs.stream(refused.thread.id, refused.run);
  assert.deepEqual((await stream.finalMessages()).map(textOf), ["I can't."]);
  const long = await asked("stop at the limit");
  const ended = await client.beta.threads.runs.stream(long.thread.id, long.run).finalRun();
  assert.equal(ended.status, "incomplete");
  assert.deepEqual(ended.incomplete_details, { reason: "max_completion_tokens" });
});

test("a provider that fails", async () => {
  const { thread, run } = await asked("fail");
  const ended = await client.beta.threads.runs.stream(thread.id, run).finalRun();
  assert.equal(ended.status, "failed");
  assert.equal(ended.last_error.code, "rate_limit_exceeded");
});

test("cancelled while it streams", async () => {
  const { thread, run } = await asked("begin");
  const stream = client.beta.threads.runs.stream(thread.id, run);
  const names = [];
  stream.on("event", (event) => names.push(event.event));
  await stream.emitted("textDelta");
  const { id } = stream.currentRun();
  const answered = await client.beta.threads.runs.cancel(id, { thread_id: thread.id });
  assert.ok(["cancelling", "cancelled"].includes(answered.status));
  assert.equal((await stream.finalRun()).status, "cancelled");
  assert.deepEqual(names.slice(-4), [
    "thread.run.cancelling",
    "thread.message.incomplete",
    "thread.run.step.cancelled",
    "thread.run.cancelled",
  ]);
});

test("ids of events are no matter to the SDK", async () => {
  const { thread, run } = await asked("say Hel|lo");
  const headers = { "supercompat-event-ids": "true" };
  const stream = client.beta.threads.runs.stream(thread.id, run, { headers });
  assert.deepEqual((await stream.finalMessages()).map(textOf), ["Hello"]);
});

test("comments that keep a silent stream alive are passed over", async () => {
  let heard;
  const keptAlive = new Promise((resolve) => (heard = resolve));
  /** As fetch, and tells when a comment comes. */
  const listening = async (...request) => {
    const response = await fetch(...request);
    if (!response.headers.get("content-type").startsWith("text/event-stream")) return response;
    const [ours, theirs] = response.body.tee();
    void (async () => {
      for await (const chunk of ours.pipeThrough(new TextDecoderStream())) if (chunk.startsWith(":")) heard();
    })();
    return new Response(theirs, response);
  };
  const { thread, run } = await asked("pause comments");
  const stream = client.withOptions({ fetch: listening }).beta.threads.runs.stream(thread.id, run);
  await keptAlive;
  const release = await asked("release comments");
  await client.beta.threads.runs.createAndPoll(release.thread.id, release.run);
  const [answer] = await stream.finalMessages();
  assert.equal(textOf(answer), "Once upon a time.");
});
