"""Storage in an SQL database. Importing it does not import SQLAlchemy."""

from supercompat.storage_adapters.sql.adapter import SQLAlchemyStorageAdapter

__all__ = ["SQLAlchemyStorageAdapter"]
