"""The model everything starts from: made here (toy), or made elsewhere and referenced by digest, never copied."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from posttrain.errors import CheckpointError
from posttrain.recipe.schema import ModelRef
from posttrain.stages.protocol import StepContext
from posttrain.store.reference import check_reference, model_dir, write_reference
from posttrain.train.entry import toy
from posttrain.train.hub import fetch


class Base:
    VERSION = 8

    def run(self, ctx: StepContext) -> dict[str, Any]:
        ref = ModelRef.model_validate_json(json.dumps(ctx.step.params["model"]))
        if ref.path == "toy":
            made: dict[str, Any] = ctx.machine.run(
                toy,
                spec=ref.toy,
                output=ctx.output,
                seed=ctx.seed,
                stop_file=ctx.stop_file,
                start=model_dir(ctx.inputs["checkpoint"]) if "checkpoint" in ctx.inputs else None,
            )
            return made
        if "model" in ctx.step.files:
            folder = Path(ctx.step.files["model"])
            write_reference(ctx.output, folder, digest=ctx.step.digests["model"])
            check_reference(ctx.output, ctx.check_stop)  # the plan's digest may be a remembered one
            return {"reference": str(folder)}
        if ref.revision is None:
            raise CheckpointError(
                f"no folder '{ref.path}', and a hub id needs a revision",
                where=ctx.step.name,
                remedy="set its revision to 40 hex digits",
            )
        fetched = ctx.machine.run_aside(
            fetch, path=ref.path, revision=ref.revision, stop_file=ctx.stop_file, where=ctx.step.name
        )
        write_reference(
            ctx.output, Path(fetched["path"]), digest=fetched["digest"], files=fetched["files"], revision=ref.revision
        )
        return {"reference": ref.path}
