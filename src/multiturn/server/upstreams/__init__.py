"""Where the server asks for answers: routes from names to upstreams, their replicas, and who waits for them.

`Upstreams.model` is the way in. It gives a `Model` that picks a replica (`replicas`), waits for a slot there (`slots`),
goes elsewhere where that fails (`routed`), and tells clients nothing of addresses and keys (`failures`)."""

from multiturn.server.upstreams.replicas import ReplicaState
from multiturn.server.upstreams.routed import RoutedModel
from multiturn.server.upstreams.routes import Route
from multiturn.server.upstreams.upstream import Upstream
from multiturn.server.upstreams.upstreams import ModelCard, Upstreams

__all__ = ["ModelCard", "ReplicaState", "Route", "RoutedModel", "Upstream", "Upstreams"]
