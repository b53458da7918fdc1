"""The Conversations API: `/v1/conversations`, and their items. A conversation is the library's."""

from multiturn.server.conversations.routes import routes

__all__ = ["routes"]
