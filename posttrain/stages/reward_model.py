"""The pairwise reward model of the preference stage."""

from __future__ import annotations

from typing import Any

from posttrain.stages.protocol import StepContext
from posttrain.stages.training import job_of, train
from posttrain.train import entry


class RewardModelStage:
    VERSION = 7

    def run(self, ctx: StepContext) -> dict[str, Any]:
        return train(ctx, entry.reward_model, job_of(ctx))
