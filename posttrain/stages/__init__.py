"""The kinds of steps, in one visible dict. A stage file imports nothing heavy: `plan` reads VERSION without torch."""

from __future__ import annotations

from posttrain.stages.base import Base
from posttrain.stages.clean import CleanStage
from posttrain.stages.dpd import DpdStage, Pairs, TeacherLogprobs
from posttrain.stages.evaluate import Evaluation
from posttrain.stages.export import Export
from posttrain.stages.filter import FilterStage
from posttrain.stages.fitness import Fitness
from posttrain.stages.gate import GateStage
from posttrain.stages.grpo import GrpoStage
from posttrain.stages.mix import MixStage
from posttrain.stages.protocol import StageKind
from posttrain.stages.reward_model import RewardModelStage
from posttrain.stages.rows import PreferStage, ReconstructStage, RefineStage, TestsStage, VerifyStage
from posttrain.stages.sft import SftStage
from posttrain.stages.tokens import TokensStage

STAGES: dict[str, type[StageKind]] = {
    "base": Base,
    "fitness": Fitness,
    "tokens": TokensStage,
    "sft": SftStage,
    "pairs": Pairs,
    "teacher_logprobs": TeacherLogprobs,
    "dpd": DpdStage,
    "filter": FilterStage,
    "reward_model": RewardModelStage,
    "grpo": GrpoStage,
    "clean": CleanStage,
    "mix": MixStage,
    "verify": VerifyStage,
    "prefer": PreferStage,
    "refine": RefineStage,
    "reconstruct": ReconstructStage,
    "tests": TestsStage,
    "evaluate": Evaluation,
    "gate": GateStage,
    "export": Export,
}
