"""Does a teacher have the student's token ids? Its token distributions mean something to the student only then."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from posttrain.preflight.finding import Finding, finding_of, later
from posttrain.preflight.subject import Subject, model_folder
from posttrain.recipe.resolve import takes_kl
from posttrain.recipe.schema import Dpd
from posttrain.records.step import ModelRole


def teachers_tokenizers(subject: Subject) -> Iterator[Finding]:
    """One finding a teacher."""
    student = subject.student()
    for teacher in subject.models():
        if teacher.role != ModelRole.TEACHER:
            continue
        title = f"tokenizer of {teacher.name}"
        if any(isinstance(one, Dpd) and one.name == teacher.stage and not takes_kl(one) for one in subject.stages()):
            yield Finding(name=title, status="ok", detail="its own: the teacher gives text alone")
            continue
        mine, its = model_folder(student), model_folder(teacher)
        if student.params["model"]["path"] == teacher.params["model"]["path"] == "toy":
            yield Finding(name=title, status="ok", detail="all toys share one tokenizer")
        elif mine is None or its is None:
            yield later(title)
        else:
            from posttrain.train.compatibility import compare_tokenizers

            yield finding_of(title, partial(compare_tokenizers, mine, its))
