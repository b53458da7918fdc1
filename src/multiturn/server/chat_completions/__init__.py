"""Chat Completions: `POST /v1/chat/completions`, and what is stored of it where the request says `store: true`.

A stored completion is a turn and a conversation of its own that stands on it (`shown.CONVERSATION`): that is what is
listed and deleted, and what has the metadata. A request that repeats a stored history goes on from it
(`server.histories`)."""

from multiturn.server.chat_completions.routes import routes

__all__ = ["routes"]
