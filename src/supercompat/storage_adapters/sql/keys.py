"""The API keys of all projects, as rows."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

import sqlalchemy as sa

from supercompat.storage_adapters.protocol import ApiKey
from supercompat.storage_adapters.sql.tables import keys

_KEYS: Final = sa.select(*(column for column in keys.c if column is not keys.c.seq))
_ALL: Final = _KEYS.order_by(keys.c.seq)
_NAMED: Final = keys.c.id == sa.bindparam("named")
_GET: Final = _KEYS.where(_NAMED)
_EXIST: Final = sa.select(sa.exists().select_from(keys))
_REVOKE: Final = (
    sa.update(keys).where(_NAMED, keys.c.revoked_at.is_(None)).values(revoked_at=sa.bindparam("now"))
)


class TableKeys:
    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def insert(self, key: ApiKey) -> None:
        self._connection.execute(sa.insert(keys).inline(), asdict(key))

    def get(self, id: str) -> ApiKey | None:
        found = self._connection.execute(_GET, {"named": id}).mappings().first()
        return None if found is None else ApiKey(**found)

    def all(self) -> Sequence[ApiKey]:
        return [ApiKey(**found) for found in self._connection.execute(_ALL).mappings()]

    def exist(self) -> bool:
        return bool(self._connection.execute(_EXIST).scalar())

    def revoke(self, id: str, now: int) -> ApiKey | None:
        self._connection.execute(_REVOKE, {"named": id, "now": now})
        return self.get(id)
