"""Trials: programs that a stage made, judged by their tests or audited, all that are at hand in one call of the judge.

Runs where the judge is. Knows nothing of rows or models.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from posttrain.factory.asking import Trial, ask_key
from sandbox.types import Judgement

if TYPE_CHECKING:
    from sandbox.judge import Judge
    from sandbox.proof.audit import Finding


def run_trials(judge: Judge, trials: Sequence[Trial]) -> list[Judgement | Finding]:
    """A Judgement for each program, a Finding (sandbox/proof/audit.py) for each audit, in order."""
    from sandbox.proof.audit import audit_problems

    found: dict[int, Judgement | Finding] = {}
    for fast in (False, True):
        plain = [place for place, trial in enumerate(trials) if trial.audit is None and trial.fail_fast is fast]
        judged = judge.run([trials[place].program for place in plain], fail_fast=fast) if plain else []
        found |= dict(zip(plain, judged, strict=True))
    audits: dict[str, list[int]] = {}
    for place, trial in enumerate(trials):
        if trial.audit is not None:
            audits.setdefault(ask_key(dict(trial.audit)), []).append(place)
    for places in audits.values():
        options = dict(trials[places[0]].audit or {})
        findings = audit_problems(judge, [trials[place].program for place in places], fail_fast=True, **options)
        found |= dict(zip(places, findings, strict=True))
    return [found[place] for place in range(len(trials))]
