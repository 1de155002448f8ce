"""Ids as Prisma's tables have them: without a prefix."""

from typing import Final
from uuid import uuid4

from supercompat.wire.ids import Ids
from supercompat.wire.objects import Resource


class BareIds:
    """UUIDs for what is new, which both kinds of column take. What Node made may be named otherwise."""

    def new(self, kind: type[Resource]) -> str:
        return str(uuid4())

    def could_name(self, kind: type[Resource], id: str) -> bool:
        return True


BARE: Final[Ids] = BareIds()
