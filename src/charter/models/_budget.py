"""How much a remote model may be asked: requests, tokens, money. When it is used up nothing more is sent."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Budget:
    """Limits (None = none) and what was spent. Prices are per million tokens, in any one currency.

    Requests, retries included, are counted before they are sent: that limit is exact. Tokens and money are known when an answer is there, so that
    requests under way when the limit is reached may go beyond it. A request that timed out counts as a request, not as tokens.
    """

    max_requests: int | None = None
    max_tokens: int | None = None
    max_cost: float | None = None
    price_in: float = 0.0
    price_out: float = 0.0
    requests: int = 0
    tokens_in: int = 0
    tokens_out: int = 0

    @property
    def cost(self) -> float:
        return (self.tokens_in * self.price_in + self.tokens_out * self.price_out) / 1_000_000

    def take(self) -> str:
        """Count one request and return '', or return why it may not be sent."""
        tokens = self.tokens_in + self.tokens_out
        if self.max_requests is not None and self.requests >= self.max_requests:
            return f"budget used up: {self.requests} of {self.max_requests} requests sent (budget_requests)"
        if self.max_tokens is not None and tokens >= self.max_tokens:
            return f"budget used up: {tokens} of {self.max_tokens} tokens spent (budget_tokens)"
        if self.max_cost is not None and self.cost >= self.max_cost:
            return f"budget used up: {self.cost:.4g} of {self.max_cost:.4g} spent (budget_cost)"
        self.requests += 1
        return ""

    def spend(self, tokens_in: int, tokens_out: int) -> None:
        self.tokens_in += tokens_in
        self.tokens_out += tokens_out
