"""Prints docs/reference/configuration.md."""

from multiturn.server.settings.reference import page

print(page(), end="")
