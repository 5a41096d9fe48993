"""Are the libraries here to which `report_to` sends metrics?"""

from __future__ import annotations

from collections.abc import Iterator

from posttrain.errors import BackendError
from posttrain.preflight.finding import Finding
from posttrain.preflight.subject import Subject
from posttrain.recipe.trackers import refuse_missing


def trackers(subject: Subject) -> Iterator[Finding]:
    """One finding for each; nothing where the recipe names none."""
    for name in subject.plan.recipe.report_to:
        try:
            refuse_missing([name])
            yield Finding(name=f"tracker {name}", status="ok", detail="installed")
        except BackendError as error:
            yield Finding(name=f"tracker {name}", status="fail", detail=error.what, remedy=error.remedy or "")
