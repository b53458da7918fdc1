"""What who runs the server sees of it: figures (`metrics`), traces (`tracing`), logs (`logs`), and whether it is well
(`health`). A `Watching` is told of everything and tells them. None of it holds keys; what was said stands in logs and
traces where `log.content` is set, and nowhere else."""

from multiturn.server.observing.health import routes
from multiturn.server.observing.watching import Watching

__all__ = ["Watching", "routes"]
