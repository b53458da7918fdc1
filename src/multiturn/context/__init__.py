"""What a model is shown of a conversation, and how many tokens that takes.

counter_for("openai", "gpt-5.4").text("Hello")     a text
estimate(request, counter).tokens                  all that a request sends
"""

from multiturn.context.estimates import Estimate as Estimate
from multiturn.context.estimates import estimate as estimate
from multiturn.context.tokens import Counter as Counter
from multiturn.context.tokens import counter_for as counter_for
from multiturn.context.tokens import register as register

__all__ = ["Counter", "Estimate", "counter_for", "estimate", "register"]
