"""OpenAI's Responses API <-> the neutral model types. Pure: nothing here sends, waits or reads a clock."""

from supercompat.client_adapters.openai_responses.answer import ResponseReader, is_last
from supercompat.client_adapters.openai_responses.request import Way, included, request_body
from supercompat.client_adapters.openai_responses.state import Recall, handle_of

__all__ = ["Recall", "ResponseReader", "Way", "handle_of", "included", "is_last", "request_body"]
