"""Supervised fine-tuning (cold start, general)."""

from __future__ import annotations

from typing import Any

from posttrain.stages.protocol import StepContext
from posttrain.stages.training import train


class SftStage:
    VERSION = 3

    def run(self, ctx: StepContext) -> dict[str, Any]:
        return train(ctx, "posttrain.train.sft:train")
