"""`verify`: candidates of a row, given or sampled, judged by rules and by a model; of the right ones the most complete
and instructive is kept.

Right: the rules or the judge say so, and neither says wrong. The judge sees what the rules do not reject, and a share
of what they do, so that their agreement can be counted both ways. Ties go to the shorter answer. Knows nothing of how
models are reached.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from posttrain.factory.asking import ask_key
from posttrain.factory.forms import Field, Form
from posttrain.factory.row_work import RowWork, SetAside, Steps, Wanted, generations
from posttrain.recipe.schema import Prefer, Verify
from rewards.prose.visible import visible_text
from rewards.types import Outcome, Verdict

JUDGE = Form(
    fields=(
        Field(name="reason", kind="text", says="two or three sentences: what you checked, and what you found"),
        Field(
            name="verdict",
            kind="label",
            labels=("right", "wrong", "unsure"),
            says="whether the answer is right; unsure where you cannot tell",
        ),
        Field(
            name="completeness", kind="number", says="does it answer all that is asked, with every step that it needs"
        ),
        Field(name="instructiveness", kind="number", says="how much a reader learns from how it gets there"),
    )
)
COMPARE = Form(
    fields=(
        Field(name="reason", kind="text", says="one or two sentences"),
        Field(
            name="better",
            kind="label",
            labels=("first", "second", "equal"),
            says="which answer is the more complete and instructive",
        ),
    )
)
_LENGTHS = (50, 400, 2000)  # words: the classes by which shares are reported


@dataclass(kw_only=True, slots=True)
class Candidate:
    """One answer, with what was found of it. rules, judge: True right, False wrong, None not decided or not asked."""

    number: int
    text: str
    by: str
    cut: bool = False
    rules: bool | None = None
    rules_reason: str = ""
    judge: bool | None = None
    judged: bool = False
    score: int = 0
    wins: float = 0.0
    lacking: str = ""
    place: str = ""  # of its request, where it was sampled

    @property
    def right(self) -> bool:
        return not self.lacking and False not in (self.rules, self.judge) and True in (self.rules, self.judge)

    @property
    def why_not(self) -> str:
        if self.lacking:
            return self.lacking
        if self.rules is False:
            return f"wrong by the rules: {self.rules_reason}"
        if self.judge is False:
            return "wrong by the judge"
        return f"undecided by the rules: {self.rules_reason}" if self.rules_reason else "undecided by the judge"


def verify_row(work: RowWork, stage: Verify) -> Steps:
    """The program of a row. Raises SetAside where no candidate is right."""
    candidates = [Candidate(number=n, text=text, by="given") for n, text in enumerate(work.row.answers)]
    candidates += yield from sampled(work, stage, len(candidates))
    if not candidates:
        raise SetAside("no candidate: the row has no answer, and no generator is named")
    _mark_repeated(candidates)
    if stage.verifier is not None:
        readable = [one for one in candidates if not one.lacking]
        verdicts = yield from work.check(
            stage.verifier, [one.text for one in readable], [one.cut for one in readable], "rules"
        )
        for one, verdict in zip(readable, verdicts, strict=True):
            one.rules, one.rules_reason = _decided(verdict), verdict.reason
    if "judge" in work.kit.models:
        yield from _judge(work, stage, candidates)
    right = sorted((one for one in candidates if one.right), key=_rank)
    if stage.pairwise and len(right) > 1:
        yield from _compare(work, right[: stage.pairwise])
        right.sort(key=_rank)
    work.facts = _facts(candidates, right[: stage.keep])
    kept = right[: stage.keep]
    for one in candidates:
        if one not in kept:
            work.drop(f"candidate {one.number}", "another is better" if one.right else one.why_not)
    for one in kept:
        judges = [work.kit.versions["judge"]] if one.judged else []
        rules = [] if stage.verifier is None or one.rules is None else [f"rules:{stage.verifier}"]
        note = {"candidate": one.number, "answer_by": one.by, "judged_by": [*rules, *judges]}
        work.keep(one.text, by=[*([one.by] if one.by != "given" else []), *judges], note=note)
    if not kept:
        reasons = sorted({one.why_not.partition(":")[0] for one in candidates})
        raise SetAside(f"no right candidate of {len(candidates)} ({'; '.join(reasons)})")


def _mark_repeated(candidates: Sequence[Candidate]) -> None:
    """The same text twice is judged once."""
    first: dict[str, int] = {}
    for one in candidates:
        if not one.lacking and first.setdefault(one.text, one.number) != one.number:
            one.lacking = f"the same as candidate {first[one.text]}"


def _rank(one: Candidate) -> tuple[float, float, int, int]:
    return (-one.wins, -one.score, len(one.text), one.number)


def _decided(verdict: Verdict) -> bool | None:
    """The rules' word; None where they cannot tell."""
    if verdict.outcome in (Outcome.ABSTAIN, Outcome.UNSUPPORTED):
        return None
    return verdict.passed


def sampled(work: RowWork, stage: Verify | Prefer, first: int) -> Steps:
    """Candidates of every generator, numbered from `first`."""
    wanted = generations(work, stage.generators, stage.samples)
    if not wanted:
        return []
    said = yield from work.ask(wanted)
    return [
        Candidate(
            number=first + number,
            text=one.text,
            by=work.kit.versions[want.role],
            cut=one.cut,
            lacking=one.lacking or ("cut off at max_tokens" if one.cut else ""),
            place=want.place,
        )
        for number, (want, one) in enumerate(zip(wanted, said, strict=True))
    ]


def _judge(work: RowWork, stage: Verify, candidates: Sequence[Candidate]) -> Steps:
    """The judge's verdict and scores of every candidate that it is shown."""
    shown = [
        one for one in candidates if not one.lacking and (one.rules is not False or _audited(work, stage, one.number))
    ]
    wanted = [
        Wanted(
            role="judge",
            place=f"judge.{one.number}",
            prompt="judge",
            variables={
                "question": work.question,
                "answer": visible_text(one.text, work.kit.think).strip(),
                "reasoning": _reasoning(one.text, work.kit.think),
                "gold": work.row.gold if isinstance(work.row.gold, str | int | float) else None,
                "reference": work.row.reference,
            },
            form=JUDGE,
        )
        for one in shown
    ]
    said = (yield from work.ask(wanted)) if wanted else []
    for one, answer in zip(shown, said, strict=True):
        if answer.lacking:
            one.lacking = f"not judged: {answer.lacking}"
            continue
        one.judged = True
        one.judge = {"right": True, "wrong": False}.get(answer.fields["verdict"])
        one.score = answer.fields["completeness"] + answer.fields["instructiveness"]


def _audited(work: RowWork, stage: Verify, number: int) -> bool:
    """A share of what the rules reject, the same in every try."""
    return (
        int(ask_key("audit", work.kit.seed, work.row.number, work.row.id, number)[:8], 16) < stage.audit_share * 2**32
    )


def _reasoning(text: str, think: tuple[str, str]) -> str:
    """What stands between the tags, "" where nothing does."""
    before, found, _ = text.rpartition(think[1])
    return before.partition(think[0])[2].strip() if found else ""


def in_both_orders(work: RowWork, pairs: Sequence[tuple[Candidate, Candidate]], form: Form) -> list[Wanted]:
    """The judge's comparison of each pair, and after it that of the same pair the other way round."""
    shown = {one.number: visible_text(one.text, work.kit.think).strip() for pair in pairs for one in pair}
    reasoning = {one.number: _reasoning(one.text, work.kit.think) for pair in pairs for one in pair}
    return [
        Wanted(
            role="judge",
            place=f"compare.{first.number}.{second.number}",
            prompt="compare",
            variables={
                "question": work.question,
                "first": shown[first.number],
                "second": shown[second.number],
                "first_reasoning": reasoning[first.number],
                "second_reasoning": reasoning[second.number],
            },
            form=form,
        )
        for pair in pairs
        for first, second in (pair, pair[::-1])
    ]


def _compare(work: RowWork, best: Sequence[Candidate]) -> Steps:
    """Every pair in both orders; an order that contradicts the other leaves a pair undecided."""
    pairs = list(combinations(best, 2))
    said = yield from work.ask(in_both_orders(work, pairs, COMPARE))
    for number, (one, other) in enumerate(pairs):
        forward, backward = said[2 * number], said[2 * number + 1]
        if forward.lacking or backward.lacking:
            continue
        better = (forward.fields["better"], backward.fields["better"])
        one.wins += 1.0 if better == ("first", "second") else 0.0 if better == ("second", "first") else 0.5
        other.wins += 1.0 if better == ("second", "first") else 0.0 if better == ("first", "second") else 0.5


def _facts(candidates: Sequence[Candidate], kept: Sequence[Candidate]) -> dict[str, Any]:
    """Of this row, for the stage's figures: rules against judge, and kept by length."""
    both = [f"{_word(one.rules)}/{_word(one.judge)}" for one in candidates if one.judged]
    lengths = [{"length": length_of(one.text), "kept": one in kept} for one in candidates if not one.lacking]
    return {"agreement": both, "lengths": lengths, "candidates": len(candidates)}


def _word(decided: bool | None) -> str:
    return "undecided" if decided is None else "right" if decided else "wrong"


def length_of(text: str) -> str:
    """The class of an answer's length, its reasoning with it."""
    words = len(text.split())
    return next((f"under {most:,} words" for most in _LENGTHS if words < most), f"{_LENGTHS[-1]:,} words and more")
