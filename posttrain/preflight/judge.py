"""At which level of isolation would generated programs run here? Asked only where a verifier runs programs."""

from __future__ import annotations

from collections.abc import Iterator

from posttrain.plan.reuse import RUNS_CODE
from posttrain.preflight.finding import Finding, finding_of
from posttrain.preflight.subject import Subject
from rewards.load import kind_versions


def code_judge(subject: Subject) -> Iterator[Finding]:
    """One finding, or none."""
    verifiers = subject.plan.recipe.verifiers
    kinds = {kind for name, _ in subject.judged_data() for kind in kind_versions(verifiers[name].model_dump())}
    if RUNS_CODE & kinds:
        yield finding_of("code judge", lambda: f"programs would run at level {subject.open_judge().level}")
