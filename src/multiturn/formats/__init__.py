"""Bytes on the wire, both directions: pure functions, no I/O."""
