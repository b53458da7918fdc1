"""What can be set of the server (`values`), where it comes from (`sources`), and what comes of it (`words`)."""

from multiturn.server.settings.values import Background, Limits, Log, ServerSettings, is_loopback

__all__ = ["Background", "Limits", "Log", "ServerSettings", "is_loopback"]
