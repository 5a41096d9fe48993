"""Does the recipe fit the hardware that it names? One that does not never gets here: plan/prepare.py refuses it."""

from __future__ import annotations

from collections.abc import Iterator

from posttrain.plan.estimate import estimate
from posttrain.plan.hardware import look
from posttrain.preflight.finding import Finding
from posttrain.preflight.subject import Subject


def hardware(subject: Subject) -> Iterator[Finding]:
    """One finding: what the plan asks at most; nothing where the recipe names no hardware."""
    if subject.plan.recipe.hardware is None:
        return
    verdict = look(subject.plan, estimate(subject.plan))
    if verdict.fits is None:
        detail = "the memory of the GPUs or the sizes of a model are not stated"
        yield Finding(name="hardware", status="later", detail=detail, remedy="hardware.gpu_memory_gb, or a shape")
        return
    gpus = max((need.gpus or 0.0 for need in verdict.needs.values()), default=0.0)
    memory = max((need.gpu_memory_gb.total or 0.0 for need in verdict.needs.values()), default=0.0)
    host = max((need.host_memory_gb or 0.0 for need in verdict.needs.values()), default=0.0)
    detail = f"at most {gpus:g} GPUs, {memory:.1f} GB on one, {host:.0f} GB of main memory a node"
    yield Finding(name="hardware", status="ok", detail=detail)
