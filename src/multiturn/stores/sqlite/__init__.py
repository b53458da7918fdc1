"""Turns in a SQLite file, the default store, or in memory."""

from multiturn.stores.sqlite.store import SQLiteStore

__all__ = ["SQLiteStore"]
