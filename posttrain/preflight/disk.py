"""Is there room for what all steps publish, and for two resume checkpoints of each?"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

from posttrain.plan.estimate import estimate
from posttrain.preflight.finding import Finding
from posttrain.preflight.subject import Subject

# Kinds of steps that publish text; and distributions, of answers whose lengths are not known before they are there.
SMALL = (
    *("fitness", "pairs", "filter", "evaluate", "gate", "teacher_logprobs"),
    *("clean", "mix", "verify", "prefer", "refine", "reconstruct", "tests"),
)


def disk_space(subject: Subject) -> Iterator[Finding]:
    """One finding: what is still to be made, against what is free where the store lies."""
    store, estimates = subject.store, estimate(subject.plan)
    wanted = [
        estimates[step.name].disk_bytes
        for step in subject.plan.steps
        if not store.is_published(step.id)
        and step.kind not in SMALL
        and (step.kind != "tokens" or estimates[step.name].disk_bytes is not None)  # else of rows that a stage writes
    ]
    if None in wanted:
        yield Finding(name="disk", status="later", detail="the size of the base is not known yet; checked at run")
        return
    place = store.root
    while not place.exists():
        place = place.parent
    free, needed = shutil.disk_usage(os.fspath(place)).free, sum(size or 0 for size in wanted)
    detail = f"{needed / 1e9:.2f} GB for checkpoints and resume state, {free / 1e9:.2f} GB free at {place}"
    if needed > free:
        remedy = "free space (posttrain store gc), or give another --store"
        yield Finding(name="disk", status="fail", detail=detail, remedy=remedy)
    else:
        yield Finding(name="disk", status="ok", detail=detail)
