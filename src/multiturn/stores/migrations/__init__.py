"""Schema changes, numbered, forward only; a released file never changes."""
