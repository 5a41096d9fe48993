"""Does each model know as many positions as rows and answers are long, and the engine its attention heads?"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from posttrain.plan.estimate import configs
from posttrain.preflight.finding import Finding, finding_of, later
from posttrain.preflight.subject import Subject
from posttrain.recipe.positions import longest_rows
from posttrain.recipe.resolve import on_vllm_cpu
from posttrain.recipe.sizes import check_heads, check_positions
from posttrain.records.step import ModelRole


def context_lengths(subject: Subject) -> Iterator[Finding]:
    """One finding a model, and one for the engine where vLLM is to run it without a GPU."""
    recipe, stages, student, known = subject.plan.recipe, subject.stages(), subject.student(), configs(subject.plan)
    for step in subject.models():
        title = "context length" if step == student else f"context length of {step.name}"
        if step.name not in known:
            yield later(title, "the model's config")
            continue
        wanted = longest_rows(recipe, [] if step.role == ModelRole.TEACHER else stages)
        yield finding_of(title, partial(check_positions, known[step.name], wanted, step.name))
        if on_vllm_cpu(recipe, stages):
            detail = "vLLM on the CPU has kernels for its attention heads"
            yield finding_of(f"engine of {step.name}", partial(check_heads, known[step.name], step.name), detail)
