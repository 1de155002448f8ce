"""Every exception that supercompat raises.

    SupercompatError
    ├── ConfigurationError          what was given to `supercompat()` can't work
    │   ├── UnknownClientError      `client=` is nothing that an adapter fits
    │   └── MissingExtraError       an optional package is not installed
    ├── StorageError                the database can't be used
    │   └── SchemaError             its tables are older or newer than this release
    ├── ClosedError                 used after it was closed
    ├── ForkedError                 used in a forked child of the process that started it
    ├── RequestError                the API's answer to a request that it refuses
    │   ├── NotFoundError           … because a thing does not exist
    │   └── ActiveRunError          … because the thread has an active run
    └── ProviderError               the provider of the model failed

The caller of a client made by `supercompat()` never sees the last three: a `RequestError` becomes an
error body, and so the SDK's own exception; a `ProviderError` becomes the `last_error` of a run.
"""

from typing import Literal

RunErrorCode = Literal["server_error", "rate_limit_exceeded", "invalid_prompt"]


class SupercompatError(Exception):
    """The root of the tree."""


class ConfigurationError(SupercompatError):
    """What was given to `supercompat()`, or read from the environment, can't work."""


class UnknownClientError(ConfigurationError):
    """`client=` is neither a client adapter, nor a mapping of them, nor an SDK client that one fits."""


class MissingExtraError(ConfigurationError):
    """An optional package is not installed; the message names the extra that brings it."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"{package} is not installed. Install it with: pip install 'supercompat[{extra}]'")


class StorageError(SupercompatError):
    """The database can't be opened or used.

    Args:
        message: all that is known, for whoever runs this process.
        outline: what happened, for whoever asks over a network: without names of hosts, files, tables or SQL.
    """

    outline = "The database can't be used at the moment."

    def __init__(self, message: str, *, outline: str | None = None) -> None:
        super().__init__(message)
        if outline is not None:
            self.outline = outline


class SchemaError(StorageError):
    """The tables are of another release; the message says what to run."""

    outline = (
        "The database's tables are not those of this release. To make them so, run: supercompat db upgrade"
    )


class ClosedError(SupercompatError):
    """The client, and with it everything that supercompat opened, was closed."""


class ForkedError(SupercompatError):
    """A runtime that was started before a fork was used in the child. Make the client after the fork."""


class RequestError(SupercompatError):
    """A request that the API refuses, as it says so on the wire (section 4 of the specification).

    Args:
        message: what the caller reads.
        status: the HTTP status.
        param: path of the offending parameter, such as `tools[0].function.name`.
        code: the API's machine-readable code, such as `invalid_type`.
        type: `invalid_request_error` for all but the provider's and our own failures.
        retry_after: seconds after which the same request may go through; None if asking again is of no use.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        param: str | None = None,
        code: str | None = None,
        type: str = "invalid_request_error",
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.param = param
        self.code = code
        self.type = type
        self.retry_after = retry_after

    def body(self) -> dict[str, dict[str, str | None]]:
        """The error as the wire has it (C-002)."""
        error = {"message": self.message, "type": self.type, "param": self.param, "code": self.code}
        return {"error": error}


class NotFoundError(RequestError):
    """A thing that does not exist, or not for this project (E4 to E8)."""

    def __init__(self, kind: str, id: str) -> None:
        super().__init__(f"No {kind} found with id '{id}'.", status=404)


class ActiveRunError(RequestError):
    """A new run on a thread that has an active one (C-117).

    Args:
        run_id: the active one.
    """

    def __init__(self, thread_id: str, run_id: str) -> None:
        super().__init__(f"Thread {thread_id} already has an active run {run_id}.")
        self.run_id = run_id


class ProviderError(SupercompatError):
    """The provider answered with an error, broke off, or could not be reached.

    Args:
        message: the provider's own words, without secrets.
        code: the `last_error.code` of a run that this error ends (C-110, C-111, C-112).
        status: HTTP status of the provider's answer, if there was one.
        body: the provider's error object, if there was one.
    """

    def __init__(
        self,
        message: str,
        *,
        code: RunErrorCode = "server_error",
        status: int | None = None,
        body: dict[str, object] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code: RunErrorCode = code
        self.status = status
        self.body = body


def internal_error(request_id: str | None = None) -> RequestError:
    """What a caller reads of a defect of ours (E48)."""
    message = (
        "The server had an error processing your request. Sorry about that! You can retry your request, or "
        "contact us through our help center at help.openai.com if you keep seeing this error."
    )
    if request_id:
        message += f" (Please include the request ID {request_id} in your email.)"
    return RequestError(message, status=500, type="server_error")
