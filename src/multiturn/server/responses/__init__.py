"""The Responses API: `POST /v1/responses`, and what is stored of it. A response is a turn."""

from multiturn.server.responses.routes import routes

__all__ = ["routes"]
