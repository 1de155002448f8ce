"""Provider error -> ours: one table for all SDKs, none of which is imported."""

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

from supercompat.errors import ProviderError, RunErrorCode

#: An HTML page of a proxy is an error text too; this many characters of it are kept.
LONGEST_MESSAGE = 2_000

_NO_WORDS = frozenset[str]()
_NO_STATUSES = frozenset[int]()


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table: it fits an error with one of the statuses, or with one of the words as `type`, `code` or
    `status` in its body."""

    code: RunErrorCode
    words: Collection[str] = _NO_WORDS
    statuses: Collection[int] = _NO_STATUSES


#: What the Responses API says of a prompt, above all of its images, when the answer has begun.
_BAD_PROMPT = {
    "bio_policy",
    "content_filter",
    "context_length_exceeded",
    "empty_image_file",
    "failed_to_download_image",
    "image_content_policy_violation",
    "image_file_not_found",
    "image_file_too_large",
    "image_parse_error",
    "image_too_large",
    "image_too_small",
    "invalid_base64_image",
    "invalid_image",
    "invalid_image_format",
    "invalid_image_mode",
    "invalid_image_url",
    "invalid_prompt",
    "misalignment_policy_violation",
    "unsupported_image_media_type",
}

#: The first row that fits gives the `last_error.code` (C-110, C-111, C-112); if none does, it is `server_error`.
#: Words come first: Groq says 413 for a rate limit, and 400 where its model called a tool badly; Google says 400 for
#: a wrong key.
TABLE = (
    Row(
        "rate_limit_exceeded",
        words={
            "insufficient_quota",
            "rate_limit_error",
            "rate_limit_exceeded",
            "rate_limited",
            "RESOURCE_EXHAUSTED",
        },
    ),
    Row(
        "server_error",
        words={
            "API_KEY_INVALID",
            "FAILED_PRECONDITION",
            "invalid_api_key",
            "model_not_found",
            "overloaded_error",
            "tool_use_failed",
        },
    ),
    Row("invalid_prompt", words=_BAD_PROMPT),
    Row("rate_limit_exceeded", statuses={402, 429}),
    Row("invalid_prompt", statuses={400, 413, 422}),
)

#: Packages whose exceptions mean that a call failed on its way, beside those of the client's own SDK. pydantic's come
#: out of an SDK that can't read what it was sent.
_NETWORK = {"aiohttp", "anyio", "httpcore", "httpcore2", "httpx", "httpx2", "pydantic_core"}

_KEY = r"[\w*.\-]{6,}[\w*]"
_SECRETS = (
    (re.compile(r"\b(Bearer)\s+[^\s\"',;]{8,}", re.IGNORECASE), r"\1 …"),
    (re.compile(rf"\b((?:sk|gsk|rk|pk|xai|pplx|tgp|csk|nvapi|hf|fw|r8)[-_]){_KEY}"), r"\1…"),
    (re.compile(r"\bAIza[\w-]{16,}"), "AIza…"),
    (re.compile(r"\beyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]*)?"), "eyJ…"),
    (re.compile(r"(?i)([?&](?:api[-_]?key|key|access_token|token)=)[^&\s\"']+"), r"\1…"),
    (re.compile(r"(://)[^/\s@:]+:[^/\s@]+@"), r"\1…@"),
)
#: Below this length the client's key is a word such as `ollama`, which stands in messages for what it means.
_SHORTEST_SECRET = 8


@contextmanager
def provider_errors(client: object) -> Iterator[None]:
    """Around calls of a provider's SDK: what it raises leaves as a `ProviderError`, without the client's key.

    What is no failure of the provider or of the way there, as a defect in code of ours or of the user's, leaves
    as it is.
    """
    try:
        yield
    except ProviderError as error:
        raise _masked(error, client) from None
    except Exception as error:
        if not _is_a_failure(error, client):
            raise
        # Not chained: the texts of the original would bring back what was masked.
        raise _masked(_translated(error), client) from None


def error_in_answer(error: object) -> ProviderError:
    """An error object, or its text, that a provider put into an answer which began as a success."""
    return _provider_error(error, status=None, fallback="The provider broke off with an error.")


def mask(text: str, secrets: Iterable[str] = ()) -> str:
    """The text with `…` instead of all that looks like a key, and of the given secrets."""
    for secret in secrets:
        text = text.replace(secret, f"{_prefix(secret)}…")
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


def _is_a_failure(error: Exception, client: object) -> bool:
    if isinstance(error, OSError | EOFError | json.JSONDecodeError | UnicodeDecodeError):
        return True
    if isinstance(error, RuntimeError) and _is_closed(client):
        return True
    known = _NETWORK | {_package(kind) for kind in type(client).__mro__} - {"builtins"}
    return any(_package(kind) in known for kind in type(error).__mro__)


def _is_closed(client: object) -> bool:
    """Whether the user has closed it, which is told by a RuntimeError."""
    is_closed = getattr(client, "is_closed", None)
    return callable(is_closed) and bool(is_closed())


def _package(kind: type) -> str:
    return kind.__module__.partition(".")[0]


def _translated(error: Exception) -> ProviderError:
    status = getattr(error, "status_code", None)
    if not isinstance(status, int):
        # google-genai's name for it; openai's `code` is a text.
        status = getattr(error, "code", None)
    known = status if isinstance(status, int) and status >= 400 else None
    # The second is google-genai's name for it.
    body = getattr(error, "body", None) or getattr(error, "details", None)
    return _provider_error(body, status=known, fallback=_text_of(error))


def _provider_error(body: object, *, status: int | None, fallback: str) -> ProviderError:
    """`body` is the error object, an object around it, its JSON, or any text."""
    found = _error_object(body)
    inner_code = found.get("code")
    if status is None and isinstance(inner_code, int) and 400 <= inner_code < 600:
        status = inner_code
    message = _message(found) or (body if isinstance(body, str) else "") or fallback
    return ProviderError(
        message.strip()[:LONGEST_MESSAGE], code=_run_code(found, status), status=status, body=found or None
    )


def _error_object(body: object) -> dict[str, Any]:
    if isinstance(body, str):
        try:
            body = json.loads(body)
        except ValueError:
            return {}
    if not isinstance(body, dict):
        return {}
    members = cast(dict[str, Any], body)
    inner = members.get("error")
    if isinstance(inner, str):
        return {**members, "message": members.get("message") or inner}
    return cast(dict[str, Any], inner) if isinstance(inner, dict) else members


def _message(error: Mapping[str, Any]) -> str:
    """Most say `message`; servers made with FastAPI say `detail`, which may be a list of objects."""
    for name in ("message", "detail"):
        value = error.get(name)
        if value:
            return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return ""


def _run_code(error: Mapping[str, Any], status: int | None) -> RunErrorCode:
    words = {error.get(name) for name in ("type", "code", "status") if isinstance(error.get(name), str)}
    words |= _reasons(error.get("details"))
    for row in TABLE:
        if words.intersection(row.words) or status in row.statuses:
            return row.code
    return "server_error"


def _reasons(details: object) -> set[str]:
    """Google's words for what is wrong, finer than its status."""
    found = cast(list[object], details) if isinstance(details, list) else []
    reasons = [cast(dict[str, Any], each).get("reason") for each in found if isinstance(each, dict)]
    return {reason for reason in reasons if isinstance(reason, str)}


def _text_of(error: BaseException) -> str:
    """The text, and that of its cause: an SDK says `Connection error.`, and the cause why."""
    text = str(error) or type(error).__name__
    if isinstance(error, json.JSONDecodeError | UnicodeDecodeError):
        return f"The provider's answer can't be read: {text}"
    cause = error.__cause__
    if cause is None or str(cause) in ("", text):
        return text
    return f"{text.removesuffix('.')}: {cause}"


def _masked(error: ProviderError, client: object) -> ProviderError:
    key = _key_of(client)
    secrets = [key] if isinstance(key, str) and len(key) >= _SHORTEST_SECRET else []
    body = cast(dict[str, object] | None, _masked_value(error.body, secrets))
    return ProviderError(mask(error.message, secrets), code=error.code, status=error.status, body=body)


def _key_of(client: object) -> object:
    """The client's key, where Stainless' SDKs, Google's or Speakeasy's keep it."""
    security = getattr(getattr(client, "sdk_configuration", None), "security", None)
    for holder in (client, getattr(client, "_api_client", None), security):
        key = getattr(holder, "api_key", None)
        if key is not None:
            return key
    return None


def _masked_value(value: object, secrets: Collection[str]) -> object:
    if isinstance(value, str):
        return mask(value, secrets)
    if isinstance(value, dict):
        members = cast(dict[str, object], value)
        return {name: _masked_value(member, secrets) for name, member in members.items()}
    if isinstance(value, list):
        return [_masked_value(member, secrets) for member in cast(list[object], value)]
    return value


def _prefix(secret: str) -> str:
    """The part of a key that only says whose it is, such as `sk-`."""
    found = re.match(r"[a-zA-Z]{1,5}[-_]", secret)
    return found.group() if found else ""
