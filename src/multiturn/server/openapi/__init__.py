"""The OpenAPI document of the server, at `/openapi.json`: every route but gRPC's, what it takes and what it answers."""

from multiturn.server.openapi.document import document, routes

__all__ = ["document", "routes"]
