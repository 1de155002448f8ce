"""Storage in the tables of a Node application that uses Prisma."""

from supercompat.storage_adapters.prisma.adapter import PrismaStorageAdapter

__all__ = ["PrismaStorageAdapter"]
