"""The built-in stand-in for a model: `OfflineModel`. One idea a module; `skills` lists what it can do."""

from multiturn.models.offline.model import OfflineModel

__all__ = ["OfflineModel"]
