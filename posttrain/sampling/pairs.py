"""Preference pairs for distillation, in a trainer worker: good answers of the teacher, bad ones of the student."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from typing import Any

from posttrain.data.source import write_set_aside
from posttrain.data.template import ChatTemplate
from posttrain.errors import StageError
from posttrain.machine.ranks import is_first_rank
from posttrain.records.codec import as_json
from posttrain.records.metrics import PairsSummary
from posttrain.sampling.correctness import answers_judged, generated_tokens, right_share, tally
from posttrain.sampling.job import SamplingJob, TeacherAnswers
from posttrain.sampling.prompts import encode, pick_prompts
from posttrain.sampling.resumable import judged_answers
from posttrain.store.jsonl import write_lines
from posttrain.types import EncodedPrompt, RolloutGroup


def make_pairs(job: SamplingJob, teacher: TeacherAnswers, pairs_per_prompt: int) -> dict[str, Any]:
    """Answers of the teacher that pass and of the student (`job.model`) that fail: `pairs_per_prompt` pairs a prompt at
    most, where both exist. Publishes pairs.jsonl; other ranks return {} at once.

    Under smoke any two answers make a pair: models after two steps are neither right nor done. Raises StageError where
    no prompt gives a pair.
    """
    if not is_first_rank():
        return {}
    template = ChatTemplate.load(job.model.folder, job.chat, job.prompts.recipe_dir)
    prompts, faulty = pick_prompts(job.prompts, job.scorer, template)
    good = _of_teacher(job, teacher, prompts, template)
    bad = judged_answers(job, prompts, template.stop_ids, asker="student")
    pairs = [_pairs(one, other, job, teacher, pairs_per_prompt) for one, other in zip(good, bad, strict=True)]
    rows = [row for of_prompt in pairs for row in of_prompt]
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


def _of_teacher(
    job: SamplingJob, teacher: TeacherAnswers, prompts: Sequence[EncodedPrompt], template: ChatTemplate
) -> list[RolloutGroup]:
    asking = dataclasses.replace(job, model=teacher.model, samples=teacher.samples)
    if teacher.chat is not None:
        template = ChatTemplate.load(teacher.model.folder, teacher.chat, job.prompts.recipe_dir)
        prompts = [encode(one.prompt, template, job.prompts.context_tokens) for one in prompts]
    return judged_answers(asking, prompts, template.stop_ids, asker="teacher")


def _pairs(
    by_teacher: RolloutGroup, by_student: RolloutGroup, job: SamplingJob, teacher: TeacherAnswers, most: int
) -> list[dict[str, Any]]:
    """The n-th good answer with the n-th bad one; the shorter list begins again, and no two texts meet twice."""
    good = list(by_teacher.completions) if job.smoke else answers_judged(by_teacher, right=True)
    bad = list(by_student.completions) if job.smoke else answers_judged(by_student, right=False)
    if not good or not bad:
        return []
    meetings = max(len(good), len(bad))
    texts = dict.fromkeys((good[n % len(good)].text, bad[n % len(bad)].text) for n in range(meetings))
    prompt = by_teacher.prompt
    return [
        {
            "id": prompt.id if number == 1 else f"{prompt.id}#{number}",
            "source": prompt.source,
            "messages": list(prompt.messages),
            **({"tools": list(prompt.tools)} if prompt.tools else {}),
            "chosen": chosen,
            "rejected": rejected,
            "provenance": {"chosen": f"teacher:{teacher.model.id}", "rejected": f"student:{job.model.id}"},
        }
        for number, (chosen, rejected) in enumerate(list(texts)[:most], start=1)
    ]
