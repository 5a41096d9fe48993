"""The model everything starts from: made here (toy), or made elsewhere and referenced by digest, never copied."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from posttrain.errors import CheckpointError
from posttrain.recipe.schema import ModelRef
from posttrain.reference import check_reference, model_dir, write_reference
from posttrain.stages.protocol import StepContext


class Base:
    VERSION = 5

    def run(self, ctx: StepContext) -> dict[str, Any]:
        ref = ModelRef.model_validate_json(json.dumps(ctx.step.params["model"]))
        facts: dict[str, Any]
        if ref.path == "toy":
            facts = ctx.machine.train(
                "posttrain.train.toy_base:make_toy", spec=ref.toy, output=ctx.output, seed=ctx.seed, stop_file=ctx.stop_file
            )
        elif "model" in ctx.step.files:
            folder = Path(ctx.step.files["model"])
            write_reference(ctx.output, folder, digest=ctx.step.digests["model"], revision=None)
            check_reference(ctx.output)
            facts = {"reference": str(folder)}
        else:
            fetched = self._fetch(ctx, ref)
            write_reference(ctx.output, Path(fetched["path"]), digest=fetched["digest"], revision=ref.revision)
            facts = {"reference": ref.path}
        # what could not be checked while planning, because there was no base yet
        ctx.machine.train(
            "posttrain.train.fitness:check_base", model=model_dir(ctx.output), chat=ctx.recipe.chat, recipe_dir=ctx.recipe_dir
        )
        return facts

    def _fetch(self, ctx: StepContext, ref: ModelRef) -> dict[str, str]:
        if ref.revision is None:
            raise CheckpointError(
                f"no folder '{ref.path}', and a hub id needs a revision", where="base.path", remedy="set base.revision to 40 hex digits"
            )
        fetched: dict[str, str] = ctx.machine.train(
            "posttrain.train.hub:fetch", path=ref.path, revision=ref.revision, stop_file=ctx.stop_file
        )
        return fetched
