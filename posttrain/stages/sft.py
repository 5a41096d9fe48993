"""Supervised fine-tuning (cold start, general)."""

from __future__ import annotations

from typing import Any

from posttrain.stages.protocol import StepContext
from posttrain.stages.training import job_of, train
from posttrain.train import entry


class SftStage:
    VERSION = 6

    def run(self, ctx: StepContext) -> dict[str, Any]:
        return train(ctx, entry.sft, job_of(ctx))
