"""What the shipped stages tell of their work: the headline metrics of each kind, which manifests and results.json hold,
and the rows of metrics.jsonl.

A stage of the user's own may tell anything; two names mean the same there: `trained_tokens` and `generated_tokens`.
Knows nothing of how the numbers are made.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from posttrain.records.codec import from_json
from posttrain.records.rollouts import json_rows

METRICS_FILE = "metrics.jsonl"
FILTER_SUMMARY = "summary.json"
FILTER_TABLE = "table.jsonl"
DATA_SUMMARY = "summary.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class SftMetrics:
    """Supervised fine-tuning. `loss` of the last step; None where a resumed training had no step left. `rows` were
    trained on, `rows_again` of them not for the first time.

    Of the assistant's turns in the rows that fit: how many are trained, why others are not, how many the rows give as
    context only, and how many of the trained stand behind another text than sampling would show.

    Example: SftMetrics(loss=0.41, steps=80, rows=1280, trained_tokens=61240, parameters=812544, faulty_rows=0,
    too_long_rows=2, rows_not_seen=0, rows_again=640, trained_turns=1300, untrained_turns={"reasoning_dropped": 12})
    """

    loss: float | None
    steps: int
    rows: int
    trained_tokens: int
    parameters: int
    faulty_rows: int
    too_long_rows: int
    rows_not_seen: int
    rows_again: int
    trained_turns: int = 0
    untrained_turns: Mapping[str, int] = field(default_factory=dict)
    context_turns: int = 0
    other_context_turns: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class TokensMetrics:
    """Rows turned into tokens for a stage of supervised fine-tuning. `rows` are those of its sequences, `tokens` and
    `trained_tokens` theirs; `used`: the share of packed sequences that tokens fill. The rest as in SftMetrics.

    Example: TokensMetrics(sequences=640, rows=1280, tokens=163840, trained_tokens=61240, used=0.998, faulty_rows=0,
    too_long_rows=2, rows_not_seen=0, rows_again=640, trained_turns=1300)
    """

    sequences: int
    rows: int
    tokens: int
    trained_tokens: int
    faulty_rows: int
    too_long_rows: int
    rows_not_seen: int
    rows_again: int
    used: float | None = None
    trained_turns: int = 0
    untrained_turns: Mapping[str, int] = field(default_factory=dict)
    context_turns: int = 0
    other_context_turns: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class DpdMetrics:
    """Distillation on pairs. `trained_tokens` are those of all answers; generated_tokens: of those that the student
    gave while it was trained.

    Example: DpdMetrics(loss=0.2, steps=120, pairs=310, trained_tokens=70110, parameters=812544, rows_not_seen=0,
    rows_again=650)
    """

    loss: float | None
    steps: int
    pairs: int
    trained_tokens: int
    parameters: int
    rows_not_seen: int
    rows_again: int
    generated_tokens: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class TeacherLogprobsMetrics:
    """A teacher's distributions on disk. covered_mass: of the kept tokens, mean over all positions; below_alarm: share
    of the positions where it is under 0.97.

    Example: TeacherLogprobsMetrics(pairs=310, tokens=70110, top_k=192, covered_mass=0.9991, below_alarm=0.004,
    bytes_per_token=81.5)
    """

    pairs: int
    tokens: int
    top_k: int
    covered_mass: float
    below_alarm: float
    bytes_per_token: float


@dataclass(frozen=True, kw_only=True, slots=True)
class RewardModelMetrics:
    """A reward model; the last three are absent where no pair was held out. One token a comparison is trained on; its
    rows are comparisons, two a pair. A pair of which one order is too long is set aside whole.

    Example: RewardModelMetrics(steps=300, pairs=990, faulty_rows=0, trained_tokens=2400, parameters=812544,
    too_long_rows=0, rows_not_seen=0, rows_again=420, held_out_pairs=110, held_out_accuracy=0.94, swap_consistency=0.97)
    """

    steps: int
    pairs: int
    faulty_rows: int
    trained_tokens: int
    parameters: int
    too_long_rows: int
    rows_not_seen: int
    rows_again: int
    held_out_pairs: int | None = None
    held_out_accuracy: float | None = None
    swap_consistency: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class PolicyMetrics:
    """Policy training: means over the first and last fifth of the steps, totals over all of them.

    Example: PolicyMetrics(steps=20, prompts=160, parameters=812544, reward_first=0.41, reward_last=0.66,
    fault_share=0.0, truncated_share=0.01, sync_gap=1e-6, entropy_last=0.3, trained_tokens=90000,
    generated_tokens=118000, mismatch=2e-6, mismatch_mean=1e-7, rows_not_seen=0, rows_again=0, ended="steps",
    published_step=20)

    mismatch, mismatch_mean: the largest of all steps, nats. rows_not_seen, rows_again: prompts. ended: steps, plateau
    or guard; published_step: the step whose weights are published; guard_*: share of right answers on the guard suite,
    before the first step, of what is published and after the last; alarms: name -> steps.
    """

    steps: int
    prompts: int
    parameters: int
    reward_first: float
    reward_last: float
    fault_share: float
    truncated_share: float
    sync_gap: float
    entropy_last: float
    trained_tokens: int
    generated_tokens: int
    mismatch: float
    mismatch_mean: float
    rows_not_seen: int
    rows_again: int
    ended: str
    published_step: int
    guard_start: float | None = None
    guard_published: float | None = None
    guard_last: float | None = None
    alarms: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class FilterSummary:
    """A difficulty filter, also published as summary.json. `histogram[c]`: prompts of which c k-ths of the answers were
    right, k + 1 entries; `answers_per_prompt`: how many it took to decide, k without early stopping.

    Example: FilterSummary(prompts=400, kept=212, kept_share=0.53, k=16, answers_per_prompt=10.4,
    set_aside_for_faults=0, faulty_rows=0, histogram=(90, 10, ...), outcomes={"correct": 2100, "wrong": 2060},
    generated_tokens=128400)
    """

    prompts: int
    kept: int
    kept_share: float
    k: int
    answers_per_prompt: float
    set_aside_for_faults: int
    faulty_rows: int
    histogram: tuple[int, ...]
    outcomes: Mapping[str, int]
    generated_tokens: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """A filter's decision on one prompt, a row of table.jsonl; `undecided`: faults of ours left it open.

    Example: Decision(id="stem/3", right=5, wrong=11, none=0, kept=True, undecided=False)
    """

    id: str
    right: int
    wrong: int
    none: int  # verdicts that are faults of ours
    kept: bool
    undecided: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class PairsSummary:
    """Preference pairs made by teacher and student; pass shares over what could be judged.

    Example: PairsSummary(prompts=480, pairs=310, faulty_rows=0, teacher_pass=0.9, student_pass=0.3,
    generated_tokens=51200, pairs_by_source={"stem_prompts": 110})
    """

    prompts: int
    pairs: int
    faulty_rows: int
    teacher_pass: float
    student_pass: float
    generated_tokens: int
    pairs_by_source: Mapping[str, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class RoleUse:
    """What one role of a data stage was asked. Example: RoleUse(model="judge-7b", requests=400, prompt_tokens=120000,
    generated_tokens=9000, cost=0.21)"""

    model: str
    requests: int
    prompt_tokens: int
    generated_tokens: int
    cost: float


@dataclass(frozen=True, kw_only=True, slots=True)
class DataStageMetrics:
    """A stage that makes rows by asking models. kept: rows published; agreement: "rules/judge" -> candidates;
    kept_by_*: (kept, all); counts: what the kind of stage counts beside.

    Example: DataStageMetrics(rows=400, kept=371, faulty_rows=0, set_aside={"no right candidate": 29}, requests=1600,
    prompt_tokens=480000, generated_tokens=52000, cost=1.3, roles={...}, agreement={"right/right": 800},
    kept_by_source={"sums": (371, 400)}, kept_by_length={"under 50 words": (371, 1500)}, counts={})
    """

    rows: int
    kept: int
    faulty_rows: int
    set_aside: Mapping[str, int]
    requests: int
    prompt_tokens: int
    generated_tokens: int
    cost: float
    roles: Mapping[str, RoleUse]
    agreement: Mapping[str, int]
    kept_by_source: Mapping[str, tuple[int, int]]
    kept_by_length: Mapping[str, tuple[int, int]]
    counts: Mapping[str, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Tokens:
    """What a step trained on and generated; None where it does neither, or does not tell."""

    trained: int | None
    generated: int | None


def tokens_of(metrics: Mapping[str, Any]) -> Tokens:
    """The two counts by the names that all the records here give them."""
    trained, generated = number(metrics.get("trained_tokens")), number(metrics.get("generated_tokens"))
    return Tokens(
        trained=None if trained is None else int(trained), generated=None if generated is None else int(generated)
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class MetricsRow:
    """One optimiser step, a row of metrics.jsonl. Example: MetricsRow(step=12, values={"loss": 1.31, "reward": 0.4})"""

    step: int
    values: Mapping[str, float]

    def as_line(self) -> dict[str, Any]:
        """The row as written: {"step": 12, "loss": 1.31}."""
        return {"step": self.step, **self.values}


def metrics_rows(path: Path) -> Iterator[MetricsRow]:
    """The rows of a metrics.jsonl, one at a time. Rows without a whole step, and what is no number in a row, are left
    out: a stage of the user's own may write those too. Numbers that are not finite are handed on."""
    for row in json_rows(path):
        step = row.get("step") if isinstance(row, dict) else None
        if isinstance(step, int) and not isinstance(step, bool):
            values = {
                str(name): float(value)
                for name, value in row.items()
                if name != "step" and isinstance(value, int | float) and not isinstance(value, bool)
            }
            yield MetricsRow(step=step, values=values)


def decisions(path: Path) -> Iterator[Decision]:
    """The rows of a filter's table.jsonl. Raises RecordError."""
    for row in json_rows(path):
        yield from_json(Decision, row, str(path))


def number(value: Any) -> float | None:
    """A finite number as a float; anything else is None."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if is_number else None
