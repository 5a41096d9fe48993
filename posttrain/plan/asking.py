"""What a stage that asks models will ask at most: requests, tokens and money, from the recipe alone.

Every row is taken to have one answer of its own, every candidate to be judged, every round to be needed, and every
reply to be as long as its max_tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from posttrain.recipe.schema import AskingStage, Prefer, Reconstruct, Refine, Verify, WriteTests

BYTES_PER_TOKEN = 4
TEMPLATE_TOKENS = 350  # of a shipped prompt with its form, around what it shows


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """At most. by_role: role -> requests. Example: Asked(rows=1000, requests=9000, prompt_tokens=9000000,
    reply_tokens=36000000, cost=12.5, by_role={"judge": 5000, "writer": 4000})"""

    rows: int
    requests: int
    prompt_tokens: int
    reply_tokens: int
    cost: float
    by_role: Mapping[str, int]

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.reply_tokens

    def said(self) -> str:
        """In one line, for `plan`."""
        roles = ", ".join(f"{role} {count:,}" for role, count in self.by_role.items())
        return (
            f"{self.rows:,} rows, at most {self.requests:,} requests ({roles}), {self.prompt_tokens:,} tokens of "
            f"prompts and {self.reply_tokens:,} of replies, cost {self.cost:,.2f} at the prices given"
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Kind:
    """Requests of one kind a row: whom, how many, and how many replies of writers each shows."""

    role: str
    count: int
    shows: int = 0


def asked_at_most(stage: AskingStage, rows: int, row_tokens: int) -> Asked:
    """row_tokens: of a row's question and answers, about."""
    by_role: dict[str, int] = {}
    prompts = replies = 0
    cost = 0.0
    longest = max((stage.models[role].max_tokens for role in _writers(stage)), default=0)
    for kind in _kinds(stage):
        model, count = stage.models[kind.role], kind.count * rows
        prompt = row_tokens + TEMPLATE_TOKENS + kind.shows * longest
        by_role[kind.role] = by_role.get(kind.role, 0) + count
        prompts += count * prompt
        replies += count * model.max_tokens
        cost += count * (prompt * model.prompt_price + model.max_tokens * model.completion_price) / 1e6
    return Asked(
        rows=rows,
        requests=sum(by_role.values()),
        prompt_tokens=prompts,
        reply_tokens=replies,
        cost=cost,
        by_role=by_role,
    )


def _writers(stage: AskingStage) -> list[str]:
    if isinstance(stage, Verify | Prefer | Refine):
        return [*stage.generators, *(["reviser"] if "reviser" in stage.models else [])]
    return ["writer"] if isinstance(stage, Reconstruct) else ["author"] if "author" in stage.models else []


def _kinds(stage: AskingStage) -> Iterator[_Kind]:
    """What a row asks at most; replies in a wrong form, which are asked for again, aside."""
    if isinstance(stage, Verify):
        candidates = len(stage.generators) * stage.samples + 1
        yield from (_Kind(role=role, count=stage.samples) for role in stage.generators)
        if "judge" in stage.models:
            yield _Kind(role="judge", count=candidates, shows=1)
            best = min(stage.pairwise, candidates)
            if best > 1:
                yield _Kind(role="judge", count=best * (best - 1), shows=2)
    elif isinstance(stage, Prefer):
        yield from (_Kind(role=role, count=stage.samples) for role in stage.generators)
        compared = min(stage.pairwise, len(stage.generators) * stage.samples or stage.pairwise)
        if "judge" in stage.models:
            yield _Kind(role="judge", count=compared * (compared - 1), shows=2)
    elif isinstance(stage, Refine):
        drafts = len(stage.generators) * stage.samples + 1
        yield from (_Kind(role=role, count=stage.samples) for role in stage.generators)
        yield _Kind(role="critic", count=1)
        if stage.revise_checklist:
            yield _Kind(role="critic", count=1, shows=drafts)
        yield _Kind(role="critic", count=drafts + stage.rounds, shows=1)
        reviser = "reviser" if "reviser" in stage.models else stage.generators[0]
        if stage.rounds:
            yield _Kind(role=reviser, count=stage.rounds, shows=1)
    elif isinstance(stage, Reconstruct):
        yield _Kind(role="writer", count=1 + stage.samples)
        if "judge" in stage.models:
            yield _Kind(role="judge", count=stage.samples, shows=1)
    elif isinstance(stage, WriteTests):
        if stage.reverse:
            yield _Kind(role="author", count=1)
            yield _Kind(role="author", count=1, shows=1)
        if stage.solutions:
            yield _Kind(role="solver", count=stage.solutions)
        yield _Kind(role="tester", count=2)
