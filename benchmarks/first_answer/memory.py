"""Supercompat with memory storage."""

import openai

from supercompat import MemoryStorageAdapter, OpenAIClientAdapter, supercompat

client = supercompat(
    client=OpenAIClientAdapter(openai.OpenAI(api_key="bench", base_url="http://constant.invalid/v1")),
    storage=MemoryStorageAdapter(),
)
assistant = client.beta.assistants.create(model="gpt-4o-mini")
print(assistant.id, flush=True)
