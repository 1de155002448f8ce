// Assistants, threads and messages: create, retrieve, update, list, delete; images; pages.

import assert from "node:assert/strict";
import { test } from "node:test";

import { OpenAI, all, asked, client, textOf, tools } from "./setup.mjs";

test("an assistant", async () => {
  const made = await client.beta.assistants.create({
    model: "gpt-4o-mini",
    name: "Bo",
    instructions: "Be kind.",
    tools,
    metadata: { a: "1" },
    temperature: 0.5,
  });
  assert.match(made.id, /^asst_/);
  assert.deepEqual(await client.beta.assistants.retrieve(made.id), made);
  const changed = await client.beta.assistants.update(made.id, { name: "Ada", metadata: {} });
  assert.deepEqual({ ...changed }, { ...made, name: "Ada", metadata: {} });
  const gone = await client.beta.assistants.delete(made.id);
  assert.deepEqual(gone, { id: made.id, object: "assistant.deleted", deleted: true });
  await assert.rejects(client.beta.assistants.retrieve(made.id), OpenAI.NotFoundError);
});

test("a thread", async () => {
  const made = await client.beta.threads.create({ metadata: { a: "1" } });
  const changed = await client.beta.threads.update(made.id, { metadata: { b: "2" } });
  assert.deepEqual([changed.id, changed.metadata], [made.id, { b: "2" }]);
  assert.deepEqual((await client.beta.threads.retrieve(made.id)).metadata, { b: "2" });
  assert.equal((await client.beta.threads.delete(made.id)).deleted, true);
  await assert.rejects(client.beta.threads.retrieve(made.id), OpenAI.NotFoundError);
});

test("messages", async () => {
  const { thread } = await asked("say nothing");
  const made = await client.beta.threads.messages.create(thread.id, { role: "user", content: "Second" });
  assert.equal(textOf(made), "Second");
  const place = { thread_id: thread.id };
  assert.deepEqual(await client.beta.threads.messages.retrieve(made.id, place), made);
  const changed = await client.beta.threads.messages.update(made.id, { ...place, metadata: { a: "1" } });
  assert.deepEqual(changed.metadata, { a: "1" });
  assert.equal((await client.beta.threads.messages.delete(made.id, place)).deleted, true);
  const left = await client.beta.threads.messages.list(thread.id);
  assert.deepEqual(left.data.map(textOf), ["say nothing"]);
});

test("pages are read to the last", async () => {
  const { thread } = await asked("number 0");
  for (const number of [1, 2, 3, 4]) {
    await client.beta.threads.messages.create(thread.id, { role: "user", content: `number ${number}` });
  }
  const numbers = [0, 1, 2, 3, 4].map((number) => `number ${number}`);
  const upwards = await all(client.beta.threads.messages.list(thread.id, { limit: 2, order: "asc" }));
  assert.deepEqual(upwards.map(textOf), numbers);
  const page = await client.beta.threads.messages.list(thread.id, { limit: 2 });
  assert.deepEqual(page.data.map(textOf), ["number 4", "number 3"]);
  assert.equal(page.hasNextPage(), true);
  const next = await page.getNextPage();
  assert.deepEqual(next.data.map(textOf), ["number 2", "number 1"]);
  const before = { before: next.data[0].id };
  assert.equal((await client.beta.threads.messages.list(thread.id, before)).data.length, 2);
});

test("an image", async () => {
  const url = `data:image/png;base64,${Buffer.from("not really a picture").toString("base64")}`;
  const content = [
    { type: "text", text: "look" },
    { type: "image_url", image_url: { url, detail: "low" } },
  ];
  const { thread, run } = await asked(content);
  const ended = await client.beta.threads.runs.createAndPoll(thread.id, run);
  assert.equal(ended.status, "completed");
  const messages = await all(client.beta.threads.messages.list(thread.id, { order: "asc" }));
  assert.deepEqual(messages[0].content[1], { type: "image_url", image_url: { url, detail: "low" } });
  assert.equal(textOf(messages[1]), "I see 1 picture.");
});
