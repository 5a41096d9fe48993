"""What a stage may use up in tokens and money, over all its tries: a request is sent only while the longest reply to it
still fits.

Knows nothing of who is asked.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from posttrain.errors import StageError
from posttrain.recipe.schema import AskedModel, Budget


def cost_of(model: AskedModel, prompt_tokens: int, completion_tokens: int) -> float:
    """What a server charges for so many tokens."""
    return (prompt_tokens * model.prompt_price + completion_tokens * model.completion_price) / 1e6


@dataclass(kw_only=True, slots=True)
class Spending:
    """Used and reserved so far. Mutable: counted on with every request."""

    budget: Budget
    tokens: int = 0
    cost: float = 0.0
    _reserved: dict[int, tuple[int, float]] = field(default_factory=dict)

    def reserve(self, ticket: int, tokens: int, cost: float) -> bool:
        """Whether a request that takes at most so much may be sent; it then counts until `settle`."""
        held = [*self._reserved.values(), (tokens, cost)]
        fits = self.budget.tokens is None or self.tokens + sum(one[0] for one in held) <= self.budget.tokens
        fits = fits and (self.budget.cost is None or self.cost + sum(one[1] for one in held) <= self.budget.cost)
        if fits:
            self._reserved[ticket] = (tokens, cost)
        return fits

    def settle(self, ticket: int, tokens: int, cost: float) -> None:
        """What the request really took."""
        self._reserved.pop(ticket, None)
        self.tokens, self.cost = self.tokens + tokens, self.cost + cost

    @property
    def limited(self) -> bool:
        return self.budget.tokens is not None or self.budget.cost is not None

    def used_up(self, finished: int, where: str) -> StageError:
        """The error of a stage that stops here."""
        used = f"{self.tokens:,} tokens" + (f" and {self.cost:,.2f}" if self.budget.cost is not None else "")
        limits = [
            *([f"{self.budget.tokens:,} tokens"] if self.budget.tokens is not None else []),
            *([f"{self.budget.cost:,.2f} of money"] if self.budget.cost is not None else []),
        ]
        return StageError(
            f"the budget ({' and '.join(limits)}) leaves no room for another request: {used} are used, {finished:,} "
            "rows are finished",
            where=where,
            remedy="raise the stage's budget, and run the same command: nothing that was answered is asked again",
        )
