"""Typed answers: what a model is told of the type, and the value out of what it wrote. Knows no model."""

from __future__ import annotations

from multiturn.output.partial import Partial as Partial
from multiturn.output.typed import InvalidOutput as InvalidOutput
from multiturn.output.typed import Output as Output
from multiturn.output.typed import output_of as output_of
