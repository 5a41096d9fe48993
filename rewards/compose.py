"""Composition of verifiers: `cascade`, `all`, `any`, `weighted`. Each step judges the whole batch at once.

    cascade    the first step that is certain decides; an uncertain judgement stands where no later step decides
    all, any   correct when all / one of the steps say so; score: the smallest / the largest
    weighted   score: the weighted mean; the outcome (what filters and suites count) is that of the first step
An error in a step that was asked is an error of the whole: our failure is never a score. Knows nothing of any kind.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from rewards.contract.options import Common
from rewards.contract.verifier import UNDECIDED, BatchVerifier
from rewards.errors import VerifierError
from rewards.types import Outcome, Request, Verdict


class Composite(BatchVerifier):
    def __init__(self, *, kind: str, common: Common, steps: list[BatchVerifier]) -> None:
        super().__init__(kind=kind, common=common)
        self.steps = steps

    def check_gold(self, gold: object) -> None:
        if problem := self.gold_problems([Request(response="", gold=gold)])[0]:
            raise VerifierError(problem, remedy="mend or drop the row")

    def gold_problems(self, prompts: Sequence[Request]) -> list[str | None]:
        """In a cascade and in `any`, a gold is fine when one step can use it; elsewhere every step must."""
        by_step = [step.gold_problems(prompts) for step in self.steps]
        enough = any if self.kind in ("cascade", "any") else all
        return [
            None if enough(p is None for p in found) else next(p for p in found if p)
            for found in zip(*by_step, strict=True)
        ]


class Cascade(Composite):
    def judge_groups(self, groups: list[list[Request]]) -> list[list[Verdict]]:
        final: list[list[Verdict | None]] = [[None] * len(group) for group in groups]
        undecided = [list(range(len(group))) for group in groups]
        for step in self.steps:
            if not any(undecided):
                break
            by_prompt = step.judge_groups(
                [[group[i] for i in indices] for group, indices in zip(groups, undecided, strict=True)]
            )
            for row, (indices, verdicts) in enumerate(zip(undecided, by_prompt, strict=True)):
                for i, verdict in zip(indices, verdicts, strict=True):
                    final[row][i] = _better(final[row][i], verdict)
                undecided[row] = [
                    i
                    for i, v in zip(indices, verdicts, strict=True)
                    if not v.decides and v.outcome is not Outcome.ERROR
                ]
        return [[verdict for verdict in row if verdict is not None] for row in final]


def _better(earlier: Verdict | None, later: Verdict) -> Verdict:
    """What stands after another step: a judgement over a timeout over no decision; the later where equal."""
    if earlier is None:
        return later
    if later.outcome in UNDECIDED and earlier.outcome not in UNDECIDED:
        return earlier
    if later.outcome is Outcome.TIMEOUT and earlier.outcome in (Outcome.CORRECT, Outcome.WRONG):
        return earlier
    return later


class Fold(Composite):
    """`all`, `any`, `weighted`: every step is asked, then each answer's verdicts are folded into one."""

    def __init__(self, *, kind: str, common: Common, steps: list[BatchVerifier]) -> None:
        super().__init__(kind=kind, common=common, steps=steps)
        self._fold: Callable[[list[Verdict], list[float]], Verdict] = FOLDS[kind]
        self._weights = [step.common.weight for step in steps]

    def judge_groups(self, groups: list[list[Request]]) -> list[list[Verdict]]:
        by_step = [step.verify_many(groups) for step in self.steps]
        return [
            [self._one([answers[p][g] for answers in by_step]) for g in range(len(group))]
            for p, group in enumerate(groups)
        ]

    def _one(self, verdicts: list[Verdict]) -> Verdict:
        parts = {
            f"{i}.{step.kind}": v.score
            for i, (step, v) in enumerate(zip(self.steps, verdicts, strict=True))
            if v.score is not None
        }
        seconds = sum(v.seconds for v in verdicts)
        broken = next((v for v in verdicts if v.outcome is Outcome.ERROR), None)
        verdict = broken or self._fold(verdicts, self._weights)
        return replace(verdict, parts=parts, seconds=seconds)


def fold_all(verdicts: list[Verdict], weights: list[float]) -> Verdict:
    """The worst verdict with the smallest score; one without a score leaves the whole without."""
    if any(v.score is None for v in verdicts):
        return next(v for v in verdicts if v.score is None)
    worst = min(verdicts, key=lambda v: (v.passed, v.score))
    return replace(worst, score=min(v.score for v in verdicts if v.score is not None))


def fold_any(verdicts: list[Verdict], weights: list[float]) -> Verdict:
    """The best verdict with the largest score among those that have one."""
    scored = [v for v in verdicts if v.score is not None]
    if not scored:
        return verdicts[0]
    best = max(scored, key=lambda v: (v.passed, v.score))
    return replace(best, score=max(v.score for v in scored if v.score is not None))


def fold_weighted(verdicts: list[Verdict], weights: list[float]) -> Verdict:
    """The first step's verdict with the weighted mean as score; parts without a score leave the mean."""
    scored = [(v.score, w) for v, w in zip(verdicts, weights, strict=True) if v.score is not None]
    total = sum(w for _, w in scored)
    first = verdicts[0]
    if total == 0 or first.score is None:
        return replace(first, score=None)
    return replace(first, score=sum(s * w for s, w in scored) / total)


FOLDS: dict[str, Callable[[list[Verdict], list[float]], Verdict]] = {
    "all": fold_all,
    "any": fold_any,
    "weighted": fold_weighted,
}
