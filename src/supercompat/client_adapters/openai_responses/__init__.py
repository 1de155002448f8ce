"""OpenAI's Responses API <-> the neutral model types. Pure: nothing here sends, waits or reads a clock."""

from supercompat.client_adapters.openai_responses.answer import ResponseReader, is_last
from supercompat.client_adapters.openai_responses.request import Way, included, request_body
from supercompat.client_adapters.openai_responses.state import handle_of, previous_response

__all__ = ["ResponseReader", "Way", "handle_of", "included", "is_last", "previous_response", "request_body"]
