"""The model everything starts from: made here (toy), or made elsewhere and referenced by digest, never copied."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from posttrain.errors import CheckpointError
from posttrain.recipe.schema import ModelRef
from posttrain.stages.protocol import StepContext


def model_dir(folder: Path) -> Path:
    """The folder with config and weights of a published step: its model/, or what its reference.json points to."""
    reference = folder / "reference.json"
    if reference.is_file():
        return Path(json.loads(reference.read_text(encoding="utf-8"))["path"])
    return folder / "model"


class Base:
    VERSION = 4

    def run(self, ctx: StepContext) -> dict[str, Any]:
        ref = ModelRef.model_validate_json(json.dumps(ctx.step.params["model"]))
        if ref.path == "toy":
            made: dict[str, Any] = ctx.machine.train(
                "posttrain.train.toy_base:make_toy", spec=ref.toy, output=ctx.output, seed=ctx.seed, stop_file=ctx.stop_file
            )
            facts = made
        else:
            folder = self._locate(ctx, ref)
            (ctx.output / "reference.json").write_text(
                json.dumps({"path": str(folder), "digest": dict(ctx.step.digests), "revision": ref.revision}, indent=1) + "\n",
                encoding="utf-8",
            )
            facts = {"reference": ref.path}
        # what could not be checked while planning, because there was no base yet
        ctx.machine.train(
            "posttrain.train.fitness:check_base", model=model_dir(ctx.output), chat=ctx.recipe.chat, recipe_dir=ctx.recipe_dir
        )
        return facts

    def _locate(self, ctx: StepContext, ref: ModelRef) -> Path:
        local = (ctx.recipe_dir / ref.path).expanduser()
        if local.is_dir():
            return local.resolve()
        if ref.revision is None:
            raise CheckpointError(
                f"no folder '{ref.path}', and a hub id needs a revision", where="base.path", remedy="set base.revision to 40 hex digits"
            )
        folder: str = ctx.machine.train("posttrain.train.fitness:fetch", path=ref.path, revision=ref.revision)
        return Path(folder)
