"""Preference pairs for distillation, in a trainer worker: good answers of the teacher, bad ones of the student."""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import Any

from posttrain.data.source import write_set_aside
from posttrain.data.template import ChatTemplate
from posttrain.errors import StageError
from posttrain.machine.ranks import is_first_rank
from posttrain.records.codec import as_json
from posttrain.records.metrics import PairsSummary
from posttrain.sampling.correctness import first_answer, generated_tokens, right_share, tally
from posttrain.sampling.job import SamplingJob, ServedModel
from posttrain.sampling.prompts import pick_prompts
from posttrain.sampling.resumable import judged_answers
from posttrain.store.jsonl import write_lines
from posttrain.types import RolloutGroup


def make_pairs(job: SamplingJob, teacher: ServedModel, teacher_samples: int) -> dict[str, Any]:
    """An answer of the teacher that passes and one of the student (`job.model`) that fails: a pair a prompt where both
    exist. Publishes pairs.jsonl; other ranks return {} at once.

    Under smoke any two answers make a pair: models after two steps are neither right nor done. Raises StageError where
    no prompt gives a pair.
    """
    if not is_first_rank():
        return {}
    template = ChatTemplate.load(job.model.folder, job.chat, job.prompts.recipe_dir)
    prompts, faulty = pick_prompts(job.prompts, job.scorer, template)
    of_teacher = dataclasses.replace(job, model=teacher, samples=teacher_samples)
    good = judged_answers(of_teacher, prompts, template.stop_ids, asker="teacher")
    bad = judged_answers(job, prompts, template.stop_ids, asker="student")
    pairs = [_pair(one, other, job, teacher) for one, other in zip(good, bad, strict=True)]
    rows = [row for row in pairs if row is not None]
    write_lines(job.output / "pairs.jsonl", rows)
    num_faulty = write_set_aside(job.output, faulty)
    if not rows:
        raise StageError(
            f"no prompt has a right answer of the teacher and a wrong one of the student, both ended by themselves. "
            f"Teacher: {tally(good)}; student: {tally(bad)}",
            remedy=(
                f"where many are cut off, raise max_tokens ({job.sampling.max_tokens}); else give another verifier or "
                "teacher, or more prompts"
            ),
        )
    summary = PairsSummary(
        prompts=len(prompts),
        pairs=len(rows),
        faulty_rows=num_faulty,
        teacher_pass=right_share(good),
        student_pass=right_share(bad),
        generated_tokens=generated_tokens([*good, *bad]),
        pairs_by_source=dict(sorted(Counter(str(row["source"]) for row in rows).items())),
    )
    return dict(as_json(summary))


def _pair(
    by_teacher: RolloutGroup, by_student: RolloutGroup, job: SamplingJob, teacher: ServedModel
) -> dict[str, Any] | None:
    chosen = by_teacher.completions[0] if job.smoke else first_answer(by_teacher, right=True)
    rejected = by_student.completions[0] if job.smoke else first_answer(by_student, right=False)
    if chosen is None or rejected is None:
        return None
    return {
        "id": by_teacher.prompt.id,
        "source": by_teacher.prompt.source,
        "messages": list(by_teacher.prompt.messages),
        **({"tools": list(by_teacher.prompt.tools)} if by_teacher.prompt.tools else {}),
        "chosen": chosen.text,
        "rejected": rejected.text,
        **({"tools": list(by_teacher.prompt.tools)} if by_teacher.prompt.tools else {}),
        "provenance": {"chosen": f"teacher:{teacher.id}", "rejected": f"student:{job.model.id}"},
    }
