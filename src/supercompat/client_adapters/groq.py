"""Groq."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from supercompat.client_adapters.base import ResponsesSupport, unknown_client
from supercompat.client_adapters.completions import CompletionsConnection, Quirks
from supercompat.client_adapters.fetch import ImageFetcher
from supercompat.client_adapters.responses import ResponsesQuirks
from supercompat.client_adapters.stainless import has_chat
from supercompat.client_adapters.threads import ProviderThreads

if TYPE_CHECKING:
    from groq import AsyncGroq, Groq


def _chat_body(params: Mapping[str, Any]) -> dict[str, Any]:
    """Without what Groq refuses although it changes little: `logit_bias`, and the names of who said a message.
    What was asked to come back, as `logprobs`, is left for Groq to refuse."""
    body = {name: value for name, value in params.items() if name != "logit_bias"}
    if isinstance(body.get("messages"), list):
        body["messages"] = [_nameless(message) for message in cast(list[object], body["messages"])]
    return body


def _nameless(message: object) -> object:
    if not isinstance(message, dict):
        return message
    members = cast(dict[str, Any], message)
    if members.get("role") == "function":
        return members
    return {name: value for name, value in members.items() if name != "name"}


_RESPONSES = ResponsesQuirks(
    ResponsesSupport(frozenset({"code_interpreter", "mcp"}), can_store=False),
    path="/openai/v1/responses",
    streams_schemas=False,
    has_extras=False,
)
_QUIRKS = Quirks(_RESPONSES, usage_option=False, streams_schemas=False, chat_body=_chat_body)


class GroqClientAdapter:
    """Answers with a `groq.Groq` or `AsyncGroq`.

    An answer that has to fit a JSON schema is not streamed, since Groq refuses the two together: it comes at once.

    Args:
        client: used as it is: its key, headers, timeouts and retries apply, and it is never closed.

    Raises:
        UnknownClientError: `client` is something else.
    """

    def __init__(self, client: "Groq | AsyncGroq") -> None:
        if not has_chat(client):
            raise unknown_client(client, "a groq.Groq or AsyncGroq")
        self._client = client

    @property
    def responses(self) -> ResponsesSupport:
        """What its Responses API can do. Groq keeps no answers."""
        return _RESPONSES.support

    def connect(
        self, *, own_pool: bool, threads: ProviderThreads | None = None, images: ImageFetcher | None = None
    ) -> CompletionsConnection:
        return CompletionsConnection(self._client, _QUIRKS, own_pool=own_pool, threads=threads)
