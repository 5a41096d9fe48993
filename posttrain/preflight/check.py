"""The deeper look before GPU-days are spent: every question of this room, asked in order.

Imports transformers' tokenizer and the verifiers' workers, so it is `posttrain check` and not `plan`. What needs a
model that a step will make is reported as `later`; the step `fitness` checks it at run, before the first stage.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from posttrain.data.survey import SAMPLE_ROWS
from posttrain.plan.steps import Plan
from posttrain.preflight.bases import models
from posttrain.preflight.disk import disk_space
from posttrain.preflight.finding import Finding
from posttrain.preflight.golds import golds
from posttrain.preflight.hardware import hardware
from posttrain.preflight.judge import code_judge
from posttrain.preflight.lengths import context_lengths
from posttrain.preflight.overlap import held_out_problems
from posttrain.preflight.rows import data_sets, prompts, rows_to_imitate
from posttrain.preflight.servers import asked_models, model_servers
from posttrain.preflight.subject import Subject
from posttrain.preflight.templates import chat_templates
from posttrain.preflight.tokenizers import teachers_tokenizers
from posttrain.preflight.trackers import trackers
from posttrain.recipe.schema import Sandbox
from posttrain.store.artefacts import Store

if TYPE_CHECKING:
    from sandbox.judge import Judge

QUESTIONS: dict[str, Callable[[Subject], Iterable[Finding]]] = {
    "models": models,
    "chat templates": chat_templates,
    "tokenizers": teachers_tokenizers,
    "context lengths": context_lengths,
    "data sets": data_sets,
    "rows to imitate": rows_to_imitate,
    "prompts": prompts,
    "held-out problems": held_out_problems,
    "model servers": model_servers,
    "asked models": asked_models,
    "code judge": code_judge,
    "golds": golds,
    "trackers": trackers,
    "disk": disk_space,
    "hardware": hardware,
}


def check_plan(plan: Plan, store_root: Path, *, all_rows: bool = False) -> list[Finding]:
    """The findings of all questions, in order. A fault of the user's making is a finding, not an error. all_rows: read
    data sets to their last row."""
    with ExitStack() as stack:
        judge = _judge_opener(plan.recipe.sandbox, stack)
        rows = None if all_rows else SAMPLE_ROWS
        subject = Subject(plan=plan, store=Store(store_root), open_judge=judge, rows=rows)
        return [finding for question in QUESTIONS.values() for finding in question(subject)]


def _judge_opener(rules: Sandbox, stack: ExitStack) -> Callable[[], Judge]:
    """The code judge of the recipe, started when the first program is to be judged and closed with the stack."""
    started: list[Judge] = []

    def opener() -> Judge:
        from sandbox.judge import Judge

        if not started:
            started.append(stack.enter_context(Judge(**rules.model_dump())))
        return started[0]

    return opener
