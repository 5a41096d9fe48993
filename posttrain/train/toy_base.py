"""Makes a toy base or teacher inside a worker and records its loss."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from posttrain.errors import Stopped
from posttrain.machine.ranks import is_first_rank
from posttrain.recipe.schema import ToyModel
from posttrain.records.metrics import METRICS_FILE, MetricsRow
from posttrain.signals.progress import tell
from posttrain.store.jsonl import write_lines
from posttrain.toy.make import make_model


def make_toy(
    spec: ToyModel | None, output: Path, seed: int, stop_file: Path, start: Path | None = None
) -> dict[str, Any]:
    """Publishes model/ and metrics.jsonl. Takes about a minute and keeps no checkpoint: a stop starts it again. start:
    the toy base that a teacher goes on from."""
    if not is_first_rank():
        return {}
    chosen = spec or ToyModel.model_validate({})
    losses: list[tuple[int, float]] = []

    def on_step(step: int, loss: float) -> None:
        losses.append((step, loss))
        tell(stop_file, "training", step, chosen.steps)
        if stop_file.exists():
            raise Stopped(
                f"stopped at step {step} of making the toy", remedy="the same command starts this model again"
            )

    make_model(chosen, output / "model", seed, on_step, start)
    rows = [MetricsRow(step=step, values={"loss": round(loss, 6)}) for step, loss in losses]
    write_lines(output / METRICS_FILE, [row.as_line() for row in rows])
    last = rows[-1].values["loss"]
    return {"loss": last, "steps": len(rows), "skill": chosen.skill, "architecture": chosen.architecture}
