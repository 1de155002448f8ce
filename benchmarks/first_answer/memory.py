"""Supercompat with memory storage."""

import time

import openai

from supercompat import MemoryStorageAdapter, OpenAIClientAdapter, supercompat

client = supercompat(
    client=OpenAIClientAdapter(openai.OpenAI(api_key="bench", base_url="http://provider.invalid/v1")),
    storage=MemoryStorageAdapter(),
)
client.beta.assistants.create(model="gpt-4o-mini")
print(time.process_time(), flush=True)
