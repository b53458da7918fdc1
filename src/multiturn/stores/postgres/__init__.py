"""Turns in PostgreSQL, for any number of machines."""

from multiturn.stores.postgres.store import PostgresStore

__all__ = ["PostgresStore"]
