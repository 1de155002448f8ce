"""OpenAI's chat completions <-> the neutral model types. Pure: nothing here sends, waits or reads a clock."""

from supercompat.client_adapters.openai_wire.answer import AnswerReader
from supercompat.client_adapters.openai_wire.calls import CallReader
from supercompat.client_adapters.openai_wire.frames import FrameReader
from supercompat.client_adapters.openai_wire.request import MaxTokensField, request_body

__all__ = ["AnswerReader", "CallReader", "FrameReader", "MaxTokensField", "request_body"]
