"""The events of a run for readers who may come late, or come back: an extension."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import NamedTuple, TypeAlias

from supercompat.engine.feed import Feed
from supercompat.engine.retelling import Stored, read_stored, retold
from supercompat.engine.told import Told
from supercompat.errors import ClosedError, NotFoundError, RequestError, StorageError
from supercompat.services.core import Core, current_run
from supercompat.storage_adapters.protocol import Transaction
from supercompat.wire.events import DONE
from supercompat.wire.objects import Run

Frames: TypeAlias = AsyncGenerator[bytes, None]


class _Place(NamedTuple):
    thread_id: str
    run_id: str


class Events:
    """Frames that have ids. A feed tells at once what happens here; what is stored tells all else, until the run
    rests. A stream that ends without the closing frame was cut, and can be continued."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def new(self, run: Run, feed: Feed) -> Frames:
        """The events of a run that was just created."""
        return self._frames(_Place(run.thread_id, run.id), Told(run.id), feed=feed)

    def answered(self, run: Run, feed: Feed, answered: str) -> Frames:
        """The events of a run from the outputs on that it was just given.

        Args:
            answered: id of its newest step.
        """
        told = Told(run.id, anchor=answered, stage="a")
        return self._frames(_Place(run.thread_id, run.id), told, feed=feed)

    async def resume(self, thread_id: str, run_id: str, last_id: str | None) -> Frames:
        """The events of a run behind the one with this id; all of them for None.

        Raises:
            RequestError: there is no such run, or it has no event with such an id.
        """
        place = _Place(thread_id, run_id)
        told = Told(run_id) if last_id is None else Told.parse(last_id, run_id)
        stored = await self._read(place, told)
        if told is None or stored is None:
            raise RequestError(
                f"Invalid 'Last-Event-ID': '{last_id}'. Expected the id of an event of {run_id}.",
                param="Last-Event-ID",
                code="invalid_value",
            )
        return self._frames(place, told, stored=stored)

    async def _frames(
        self, place: _Place, told: Told, *, feed: Feed | None = None, stored: Stored | None = None
    ) -> Frames:
        while True:
            if stored is not None:
                for frame in retold(told, stored):
                    yield frame
                feed = self._feed(stored)
            if feed is not None:
                async with aclosing(feed.subscribe(told)) as frames:
                    async for frame in frames:
                        yield frame
            if told.rests:
                break
            try:
                stored = await self._changed(place, told, stored)
            except ClosedError:
                return
            except NotFoundError:
                # The run was deleted with its thread.
                break
        yield DONE

    async def _changed(self, place: _Place, told: Told, before: Stored | None) -> Stored:
        """What is stored, once it is something else."""

        async def look() -> Stored | None:
            try:
                return await self._read(place, told)
            except StorageError:
                return before

        def is_news(stored: Stored | None) -> bool:
            return stored is not None and (stored != before or self._feed(stored) is not None)

        stored = await self._core.supervisor.watch.until(place.run_id, look, is_news)
        assert stored is not None
        return stored

    async def _read(self, place: _Place, told: Told | None) -> Stored | None:
        """What is stored, if the run has a place such as this."""

        def work(tx: Transaction) -> Stored | None:
            row = current_run(tx, *place, now=self._core.clock.now())
            return read_stored(tx, row, told) if told else None

        return await self._core.store.transact(work)

    def _feed(self, stored: Stored) -> Feed | None:
        return self._core.supervisor.feed(stored.run.id, fence=stored.fence)
