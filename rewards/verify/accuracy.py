"""How right a verifier is on labelled answers: recall, false accepts, abstentions by answer type, confusion table,
slowest answers.

Judges nothing itself: it counts verdicts that exist.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rewards.math.kinds import read
from rewards.math.rule import parse_gold
from rewards.types import Outcome, Verdict

SLOWEST = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelledVerdict:
    """One labelled answer and its verdict. `expected`: whether it should be accepted."""

    id: Any
    gold: Any
    expected: bool
    verdict: Verdict


def report(rows: Sequence[LabelledVerdict]) -> dict[str, Any]:
    """JSON: overall and by answer type {n, recall, false_accepts, abstained, errors}; confusion {expected: {outcome:
    n}}; slowest."""
    by_type: defaultdict[str, list[LabelledVerdict]] = defaultdict(list)
    confusion: dict[str, Counter[str]] = {"true": Counter(), "false": Counter()}
    for row in rows:
        by_type[answer_type(row.gold)].append(row)
        confusion["true" if row.expected else "false"][row.verdict.outcome.value] += 1
    slow = sorted(rows, key=lambda row: -row.verdict.seconds)[:SLOWEST]
    return {
        "overall": _figures(rows),
        "by_type": {name: _figures(found) for name, found in sorted(by_type.items())},
        "confusion": {label: dict(sorted(counts.items())) for label, counts in confusion.items()},
        "slowest": [
            {"id": row.id, "seconds": round(row.verdict.seconds, 6), "outcome": row.verdict.outcome.value}
            for row in slow
        ],
    }


def _figures(rows: Sequence[LabelledVerdict]) -> dict[str, Any]:
    right = [row for row in rows if row.expected]
    wrong = [row for row in rows if not row.expected]
    return {
        "n": len(rows),
        "recall": _share(sum(row.verdict.passed for row in right), len(right)),
        "false_accepts": _share(sum(row.verdict.passed for row in wrong), len(wrong)),
        "abstained": sum(row.verdict.outcome in (Outcome.ABSTAIN, Outcome.UNSUPPORTED) for row in rows),
        "errors": sum(row.verdict.outcome is Outcome.ERROR for row in rows),
    }


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 6) if whole else None


def answer_type(gold: Any) -> str:
    """The kind of the gold (of its first accepted form) as the math verifier reads it; none, data or unreadable where
    it reads none."""
    if gold is None:
        return "none"
    parsed = parse_gold(gold)
    if isinstance(parsed, str):
        return "data" if isinstance(gold, (dict, list)) else "unreadable"
    return read(parsed.forms[0]).kind.value


def as_text(figures: dict[str, Any]) -> str:
    """The report as a table for people."""
    lines = [f"{'answer type':18}{'n':>7}{'recall':>10}{'false acc.':>12}{'abstained':>11}{'errors':>8}"]
    for name, row in [*figures["by_type"].items(), ("all", figures["overall"])]:
        recall, accepts = (f"{row[key]:.2%}" if row[key] is not None else "-" for key in ("recall", "false_accepts"))
        lines.append(f"{name:18}{row['n']:>7}{recall:>10}{accepts:>12}{row['abstained']:>11}{row['errors']:>8}")
    lines += ["", "expected  outcomes"]
    for label, counts in figures["confusion"].items():
        lines.append(f"{label:10}" + ("  ".join(f"{outcome} {n}" for outcome, n in counts.items()) or "-"))
    lines += ["", "slowest answers (seconds)"]
    lines += [f"{row['seconds']:>10.4f}  {row['outcome']:12}{row['id']}" for row in figures["slowest"]]
    return "\n".join(lines)
