"""Supercompat on the SQLite file that the argument names."""

import sys

import openai

from supercompat import OpenAIClientAdapter, SQLAlchemyStorageAdapter, supercompat

client = supercompat(
    client=OpenAIClientAdapter(openai.OpenAI(api_key="bench", base_url="http://constant.invalid/v1")),
    storage=SQLAlchemyStorageAdapter(f"sqlite:///{sys.argv[1]}"),
)
assistant = client.beta.assistants.create(model="gpt-4o-mini")
print(assistant.id, flush=True)
