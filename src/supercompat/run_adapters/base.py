"""What the composition asks of a run adapter."""

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from supercompat.client_adapters.base import ClientAdapter, Connection
from supercompat.engine.driver import Driver


@runtime_checkable
class RunAdapter(Protocol):
    """What the user chooses as `run_adapter=`."""

    def check(self, adapters: Mapping[str, ClientAdapter]) -> None:
        """Refuse client adapters, by the patterns of their models, that this can't work with.

        Raises:
            ConfigurationError
        """
        ...

    def driver(self, connection: Connection) -> Driver:
        """How runs are carried out over this connection."""
        ...
