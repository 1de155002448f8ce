"""An asynchronous client, used as if it were a synchronous one, so that one test serves both doors."""

import inspect
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

from anyio.from_thread import BlockingPortal


class Blocking:
    """Stands for an object of the asynchronous SDK. What has to be awaited is awaited on the portal's event loop."""

    def __init__(self, target: Any, portal: BlockingPortal) -> None:
        self._target = target
        self._portal = portal

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return self._wrap(getattr(self._settled(), name))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        async def call() -> Any:
            result = self._target(*args, **kwargs)
            # A list can be awaited (its first page) and iterated (all pages): which of the two comes later.
            if inspect.isawaitable(result) and not hasattr(result, "__aiter__"):
                result = await result
            return result

        return self._wrap(self._portal.call(call))

    def __iter__(self) -> Iterator[Any]:
        iterator = self._target.__aiter__()
        while True:
            try:
                yield self._portal.call(iterator.__anext__)
            except StopAsyncIteration:
                return

    def __enter__(self) -> Self:
        return self._wrap(self._portal.call(self._target.__aenter__))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._portal.call(self._target.__aexit__, kind, error, trace)

    def _settled(self) -> Any:
        if inspect.isawaitable(self._target):

            async def settle() -> Any:
                return await self._target

            self._target = self._portal.call(settle)
        return self._target

    def _wrap(self, value: Any) -> Any:
        asynchronous = callable(value) or any(
            hasattr(value, name) for name in ("__aiter__", "__aenter__", "__await__")
        )
        of_the_sdk = type(value).__module__.startswith("openai.") and not hasattr(value, "model_fields_set")
        return Blocking(value, self._portal) if asynchronous or of_the_sdk else value
