"""The provider's SDK as it is called without supercompat."""

import openai
from openai.types.chat import ChatCompletionChunk, ChatCompletionMessageParam

MODEL = "gpt-4o-mini"
INSTRUCTIONS = "Answer."
QUESTION = "What is the answer?"
_MESSAGES: list[ChatCompletionMessageParam] = [
    {"role": "system", "content": INSTRUCTIONS},
    {"role": "user", "content": QUESTION},
]


def ask(provider: openai.OpenAI) -> openai.Stream[ChatCompletionChunk]:
    """The question, asked as supercompat asks it: streamed, with the usage at the end."""
    return provider.chat.completions.create(
        model=MODEL, messages=_MESSAGES, stream=True, stream_options={"include_usage": True}
    )


async def ask_async(provider: openai.AsyncOpenAI) -> openai.AsyncStream[ChatCompletionChunk]:
    """The same with an asynchronous client."""
    return await provider.chat.completions.create(
        model=MODEL, messages=_MESSAGES, stream=True, stream_options={"include_usage": True}
    )


def has_text(chunk: ChatCompletionChunk) -> bool:
    """Whether it brings a piece of the answer; the first chunk and the last ones don't."""
    return bool(chunk.choices and chunk.choices[0].delta.content)
