"""Whether a stage's checkpoint may stand: its score on a guard suite against that of the checkpoint it started from.

A drop beyond the recipe's bound stops the run, or the start is handed on in its place. Both scores are those of
evaluations, over the same problems and seeds. Publishes the model that later stages start from, as links into the store
or as a reference where that model is one, and says which it is.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from posttrain.errors import RecordError, StageError
from posttrain.recipe.schema import Gate
from posttrain.records.codec import as_json, read_json
from posttrain.records.gates import GATE, GateMetrics, Passed
from posttrain.records.scores import SCORES, Scores
from posttrain.stages.protocol import StepContext
from posttrain.stages.training import stage_of
from posttrain.store.atomic import write_json
from posttrain.store.reference import is_reference, model_dir, read_reference, write_reference

ROUNDING = 1e-9  # of a difference of two means


class GateStage:
    VERSION = 1

    def run(self, ctx: StepContext) -> dict[str, Any]:
        gate: Gate = stage_of(ctx).gate
        before, after = (_scores(ctx.inputs[f"eval.{role}"]) for role in ("start", "checkpoint"))
        drop = before.avg_at_k - after.avg_at_k
        passed = drop <= gate.max_drop + ROUNDING
        said = (
            f"{ctx.step.inputs['checkpoint']} has {after.avg_at_k:.1%} on {gate.suite}, {ctx.step.inputs['start']} had "
            f"{before.avg_at_k:.1%}: a drop of {100 * drop:.1f} points, {100 * gate.max_drop:.1f} are allowed"
        )
        if not passed and gate.on_fail == "stop":
            raise StageError(
                said,
                where=f"stages.{ctx.step.stage}.gate",
                remedy="change the stage, raise gate.max_drop, or go on from its start (gate.on_fail: keep_start)",
            )
        role = "checkpoint" if passed else "start"
        _hand_on(ctx.inputs[role], ctx.output)
        kept = kept_of(ctx.inputs[role], ctx.step.inputs[role])
        write_json(ctx.output / GATE, as_json(Passed(kept=kept)), point="gate")
        shutil.copyfile(ctx.inputs[f"eval.{role}"] / SCORES, ctx.output / SCORES)
        remarks = () if passed else (f"{said}; {kept} is kept",)
        metrics = GateMetrics(before=before.avg_at_k, after=after.avg_at_k, kept=kept, remarks=remarks)
        return dict(as_json(metrics))


def _scores(published: Path) -> Scores:
    found = read_json(Scores, published / SCORES)
    if found is None:
        raise RecordError("no scores", where=str(published / SCORES), remedy="remove the evaluation from the store")
    return found


def kept_of(published: Path, name: str) -> str:
    """The step that trained a published model, through gates before this one."""
    before = read_json(Passed, published / GATE)
    return name if before is None else before.kept


def _hand_on(published: Path, output: Path) -> None:
    if is_reference(published):
        # Where the model lies now: it may have moved since the step that refers to it was published.
        known = read_reference(published)
        write_reference(
            output,
            model_dir(published),
            digest=known["digest"],
            files=known["files"],
            revision=known["revision"],
        )
    else:
        shutil.copytree(published / "model", output / "model", copy_function=_link)


def _link(source: str, target: str) -> None:
    """No second copy of the weights, where the file system can."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
