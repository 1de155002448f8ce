// A stream that was cut, continued by its last id: an extension, by plain fetch.

import assert from "node:assert/strict";
import { test } from "node:test";

import { asked, client, root, textOf } from "./setup.mjs";

/** The events of a response, each with its id. Leaving the loop closes the connection. */
async function* eventsOf(response) {
  let seen = "";
  for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
    const blocks = (seen + chunk).split("\n\n");
    seen = blocks.pop();
    for (const block of blocks) {
      if (block.startsWith(":")) continue;
      const lines = block.split("\n").map((line) => [line.split(":", 1)[0], line.slice(line.indexOf(":") + 2)]);
      const fields = Object.fromEntries(lines);
      yield { id: fields.id, name: fields.event, data: fields.data };
    }
  }
}

function textIn(event) {
  return event.name === "thread.message.delta" ? JSON.parse(event.data).delta.content[0].text.value : "";
}

test("a stream goes on behind its last id", async () => {
  const { thread, run } = await asked("pause resuming");
  const begun = await fetch(`${root}/v1/threads/${thread.id}/runs`, {
    method: "POST",
    headers: { "content-type": "application/json", "supercompat-event-ids": "true" },
    body: JSON.stringify({ ...run, stream: true }),
  });
  let text = "";
  let last;
  for await (const event of eventsOf(begun)) {
    last = event;
    text += textIn(event);
    if (text) break;
  }
  assert.equal(text, "Once");
  const [{ id }] = (await client.beta.threads.runs.list(thread.id)).data;
  const events = `${root}/v1/threads/${thread.id}/runs/${id}/events`;

  const resumed = await fetch(events, { headers: { "Last-Event-ID": last.id } });
  const release = await asked("release resuming");
  await client.beta.threads.runs.createAndPoll(release.thread.id, release.run);
  const names = [];
  for await (const event of eventsOf(resumed)) {
    names.push(event.name);
    text += textIn(event);
  }
  assert.equal(text, "Once upon a time.");
  assert.deepEqual([...new Set(names)], [
    "thread.message.delta",
    "thread.message.completed",
    "thread.run.step.completed",
    "thread.run.completed",
    "done",
  ]);
  const [answer] = (await client.beta.threads.messages.list(thread.id)).data;
  assert.equal(textOf(answer), text);

  let again = "";
  for await (const event of eventsOf(await fetch(`${events}?last_event_id=${last.id}`))) again += textIn(event);
  assert.equal(`Once${again}`, text);
  const refused = await fetch(events, { headers: { "Last-Event-ID": "nonsense" } });
  assert.equal(refused.status, 400);
  assert.equal((await refused.json()).error.param, "Last-Event-ID");
});
