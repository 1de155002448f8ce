"""Supercompat on the SQLite file that the argument names."""

import sys
import time

import openai

from supercompat import OpenAIClientAdapter, SQLAlchemyStorageAdapter, supercompat

client = supercompat(
    client=OpenAIClientAdapter(openai.OpenAI(api_key="bench", base_url="http://provider.invalid/v1")),
    storage=SQLAlchemyStorageAdapter(f"sqlite:///{sys.argv[1]}"),
)
client.beta.assistants.create(model="gpt-4o-mini")
print(time.process_time(), flush=True)
