"""How long a run may take and what it may cost, before it starts: counted from what is still to be asked and from how fast the model answers now."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple

from charter.core.rows import Conversation, Sampling
from charter.core.shapes import Model

#: Short and harmless, so that the length of the answer is set by the limit; what is asked here is kept nowhere.
QUESTION = "Describe a walk through a town in spring, from the first street to the last, with all that you see and hear."
PROBES, PROBE_TOKENS = 16, 16
CHARS_PER_TOKEN = 4.0
#: What a chat template puts around a question, with a default system prompt (the embedded model's: 31).
TEMPLATE_TOKENS = 32


class Load(NamedTuple):
    """What one benchmark still asks: replies of at most ``max_tokens`` each, items whose options are weighed, and the length of it all."""

    benchmark: str
    replies: int
    choices: int
    max_tokens: int
    characters_in: int


class Speed(NamedTuple):
    """Tokens written per second with many replies at once, and items weighed per second; None where it was not asked."""

    tokens_per_s: float | None
    choices_per_s: float | None


class Price(NamedTuple):
    """Per million tokens, in any one currency."""

    tokens_in: float
    tokens_out: float


class Estimate(NamedTuple):
    """Upper bounds: every reply as long as it may be. ``cost`` is None without a price."""

    replies: int
    choices: int
    tokens_in: int
    tokens_out: int
    seconds: float | None
    cost: float | None

    def __str__(self) -> str:
        parts = [f"{self.replies} replies of together at most {self.tokens_out} tokens" if self.replies else ""]
        parts += [f"{self.choices} choices to weigh" if self.choices else "", f"about {self.tokens_in} tokens to read"]
        took = "time unknown" if self.seconds is None else f"at most about {_duration(self.seconds)} at the speed measured now"
        price = "cost unknown without --price" if self.cost is None else f"cost at most about {self.cost:.2f}"
        return f"to ask: {', '.join(part for part in parts if part)}; {took}; {price}"


def probe(model: Model, replies: bool, choices: bool) -> Speed:
    """Ask a few short questions and look at the clock. Raises what the model raises when it cannot be had."""
    tokens_per_s = choices_per_s = None
    if replies:
        asked = [Conversation.ask(f"{QUESTION} ({number})") for number in range(PROBES)]
        sampling = Sampling(max_tokens=PROBE_TOKENS)
        model.reply(asked[:1], Sampling(max_tokens=1))  # loads the weights, which is no part of the speed
        started, written = time.perf_counter(), 0
        for batch in model.batches(asked, sampling):
            written += sum(reply.tokens_out for reply in model.reply([asked[i] for i in batch], sampling))
        tokens_per_s = written / max(time.perf_counter() - started, 1e-9) if written else None
    if choices:
        question = Conversation.ask(QUESTION)
        model.score(question, ("A", "B"))
        started = time.perf_counter()
        for _ in range(4):
            model.score(question, ("A", "B"))
        choices_per_s = 4 / max(time.perf_counter() - started, 1e-9)
    return Speed(tokens_per_s, choices_per_s)


def estimate(loads: Sequence[Load], speed: Speed | None, price: Price | None) -> Estimate:
    """Sum up. Without a speed (or one that is needed and was not measured) the time is unknown."""
    replies, choices = sum(load.replies for load in loads), sum(load.choices for load in loads)
    tokens_out = sum(load.replies * load.max_tokens for load in loads)
    tokens_in = round(sum(load.characters_in for load in loads) / CHARS_PER_TOKEN) + TEMPLATE_TOKENS * (replies + choices)
    seconds: float | None = 0.0
    for amount, rate in ((tokens_out, speed and speed.tokens_per_s), (choices, speed and speed.choices_per_s)):
        if amount and seconds is not None:
            seconds = seconds + amount / rate if rate else None
    cost = None if price is None else (tokens_in * price.tokens_in + tokens_out * price.tokens_out) / 1_000_000
    return Estimate(replies, choices, tokens_in, tokens_out, seconds, cost)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"
