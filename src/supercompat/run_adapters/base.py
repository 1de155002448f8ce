"""What the composition asks of a run adapter."""

from typing import Protocol, runtime_checkable

from supercompat.client_adapters.base import Connection
from supercompat.engine.driver import Driver


@runtime_checkable
class RunAdapter(Protocol):
    """What the user chooses as `run_adapter=`."""

    def driver(self, connection: Connection) -> Driver:
        """How runs are carried out over this connection."""
        ...
