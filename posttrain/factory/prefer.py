"""`prefer`: of the answers to a row, pairs of a better and a worse one, by the rules' scores or a judge's comparison.

Answers are those of the generators (the policy of this run, or a server), else those that the row has; cut ones, and of
those that show the same the later, are left out. The rules decide where scores differ by `margin`. Where they do not,
the judge sees the two in both orders, and decides where the orders agree and its mean margin reaches the stage's. No
other two make a pair. Knows nothing of how models are reached.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from posttrain.data.source_rows import SourceRow
from posttrain.factory.forms import Field, Form
from posttrain.factory.row_work import RowWork, SetAside, Steps
from posttrain.factory.verify import Candidate, in_both_orders, sampled
from posttrain.recipe.schema import Prefer
from rewards.prose.visible import visible_text
from rewards.types import Outcome

_MOST = 10
COMPARE = Form(
    fields=(
        Field(name="reason", kind="text", says="one or two sentences"),
        Field(name="better", kind="label", labels=("first", "second", "equal"), says="which answer is the better one"),
        Field(name="margin", kind="number", says="how much better it is; 0 where they are equal", high=_MOST),
    )
)
Two = tuple[Candidate, Candidate]


@dataclass(frozen=True, kw_only=True, slots=True)
class Preference:
    """Two answers of a row, and who says by how much one is better: rules:NAME, or the judge's version.

    Example: Preference(better=Candidate(...), worse=Candidate(...), margin=1.0, by="rules:math")
    """

    better: Candidate
    worse: Candidate
    margin: float
    by: str


def prefer_row(work: RowWork, stage: Prefer) -> Steps:
    """The program of a row. Raises SetAside where no two answers make a pair."""
    if stage.generators:
        answers = yield from sampled(work, stage, 0)
    else:
        answers = [Candidate(number=n, text=text, by="given") for n, text in enumerate(work.row.answers)]
    _leave_out_alike(answers, work.kit.think)
    for one in answers:
        if one.lacking:
            work.drop(f"answer {one.number}", one.lacking)
    able = [one for one in answers if not one.lacking]
    if len(able) < 2:
        raise SetAside("fewer than two answers to compare")
    counts: Counter[str] = Counter()
    scores = yield from _scores(work, stage, able)
    found, others = _by_rules(able, scores, stage)
    counts["pairs by rules"] = len(found)
    if "judge" in stage.models:
        shown = able[: stage.pairwise]
        judged = yield from _by_judge(
            work, [two for two in others if two[0] in shown and two[1] in shown], stage, counts
        )
        found += judged
    elif others:
        counts["equal by the rules"] = len(others)
    found.sort(key=lambda one: (-one.margin, one.better.number, one.worse.number))
    work.facts = {"counts": {name: count for name, count in counts.items() if count}}
    for number, one in enumerate(found[: stage.pairs_per_prompt], start=1):
        work.kept.append(pair_row(work.row, one.better.text, one.worse.text, _provenance(work, one, scores), number))
    if not found:
        raise SetAside(f"no clear pair of {len(able)} answers")


def pair_row(
    row: SourceRow, chosen: str, rejected: str, provenance: Mapping[str, Any], number: int = 1
) -> dict[str, Any]:
    """A pair as the pairs of a dpd stage are published (posttrain.data.source.read_pairs). number: from 1, of the
    row's pairs."""
    return {
        "id": row.id if number == 1 else f"{row.id}#{number}",
        "source": row.data,
        "messages": list(row.messages),
        **({"tools": list(row.tools)} if row.tools else {}),
        "chosen": chosen,
        "rejected": rejected,
        "provenance": dict(provenance),
    }


def _provenance(work: RowWork, one: Preference, scores: Mapping[int, float]) -> dict[str, Any]:
    """Where both answers come from, and why one is better; seeds and scores are in the order chosen, rejected."""
    both = (one.better, one.worse)
    return {
        "chosen": one.better.by,
        "rejected": one.worse.by,
        "preferred_by": one.by,
        "margin": one.margin,
        "scores": [scores.get(answer.number) for answer in both],
        "seeds": [work.seed_of(answer.place) if answer.place else None for answer in both],
        "data": work.row.data,
        "row": work.row.number,
        "made_from": list(work.row.made_from),
    }


def _leave_out_alike(answers: Sequence[Candidate], think: tuple[str, str]) -> None:
    """A reward model is shown no reasoning: two answers that differ in it alone are one."""
    first: dict[str, int] = {}
    for one in answers:
        shown = visible_text(one.text, think).strip()
        if not one.lacking and not shown:
            one.lacking = "shows no answer after its thinking"
        elif not one.lacking and first.setdefault(shown, one.number) != one.number:
            one.lacking = f"shows the same as answer {first[shown]}"


def _scores(work: RowWork, stage: Prefer, answers: Sequence[Candidate]) -> Steps:
    """Number of an answer -> its score by the rules; none where they cannot tell."""
    if stage.verifier is None:
        return {}
    verdicts = yield from work.check(stage.verifier, [one.text for one in answers], [False] * len(answers), "rules")
    pairs = zip(answers, verdicts, strict=True)
    return {
        one.number: verdict.score
        for one, verdict in pairs
        if verdict.score is not None and verdict.outcome not in (Outcome.ABSTAIN, Outcome.UNSUPPORTED)
    }


def _by_rules(
    answers: Sequence[Candidate], scores: Mapping[int, float], stage: Prefer
) -> tuple[list[Preference], list[Two]]:
    """(what the scores decide, the pairs of which they say nothing)."""
    found, others = [], []
    for one, other in combinations(answers, 2):
        if one.number not in scores or other.number not in scores:
            others.append((one, other))
            continue
        gap = round(scores[one.number] - scores[other.number], 6)
        better, worse = (one, other) if gap > 0 else (other, one)
        if abs(gap) >= stage.margin:
            found.append(Preference(better=better, worse=worse, margin=abs(gap), by=f"rules:{stage.verifier}"))
        else:
            others.append((one, other))
    return found, others


def _by_judge(work: RowWork, pairs: Sequence[Two], stage: Prefer, counts: Counter[str]) -> Steps:
    """What the judge decides; `counts` is told of every pair what came of it."""
    said = (yield from work.ask(in_both_orders(work, pairs, COMPARE))) if pairs else []
    found = []
    for number, (one, other) in enumerate(pairs):
        forward, backward = said[2 * number], said[2 * number + 1]
        if forward.lacking or backward.lacking:
            counts["not judged"] += 1
            continue
        margin = (forward.fields["margin"] + backward.fields["margin"]) / (2 * _MOST)
        match (forward.fields["better"], backward.fields["better"]):
            case ("equal", _) | (_, "equal"):
                counts["equal by the judge"] += 1
            case ("first", "second") | ("second", "first") if margin < stage.margin:
                counts["judge's margin too small"] += 1
            case ("first", "second"):
                found.append(Preference(better=one, worse=other, margin=margin, by=work.kit.versions["judge"]))
            case ("second", "first"):
                found.append(Preference(better=other, worse=one, margin=margin, by=work.kit.versions["judge"]))
            case _:
                counts["orders disagree"] += 1
    counts["pairs by the judge"] = len(found)
    return found
