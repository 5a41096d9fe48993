"""Does each model's chat template render a conversation, keep or open its reasoning and end it in a stop token?"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from posttrain.preflight.finding import Finding, finding_of, later
from posttrain.preflight.subject import Subject, model_folder


def chat_templates(subject: Subject) -> Iterator[Finding]:
    """One finding a model."""
    from posttrain.train.compatibility import check_base

    plan = subject.plan
    for step in subject.models():
        title, folder = f"chat template of {step.name}", model_folder(step)
        if folder is None:
            yield later(title, "the model")
        else:
            yield finding_of(title, partial(check_base, folder, subject.chat_of(step), plan.recipe_dir))
