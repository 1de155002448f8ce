"""Storage in this process, by the same code as the databases."""

from supercompat.storage_adapters.sql.store import Database, SQLiteStore


class MemoryStorageAdapter:
    """Keeps state in this process, as long as this object lives."""

    def __init__(self) -> None:
        self._database = Database(None)

    def open(self, *, project: str = "default", own_pool: bool = False) -> SQLiteStore:
        """Open for use; the first transaction does the work."""
        return self._database.open(project)
