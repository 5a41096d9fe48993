"""What every question is put to: the plan, the store it would use, and the code judge, started when first asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from posttrain.plan.steps import Plan
from posttrain.recipe.resolve import verifiers_of
from posttrain.recipe.schema import AnyStage, Dpd, Grpo
from posttrain.records.step import ModelRole, Step
from posttrain.store.artefacts import Store

if TYPE_CHECKING:
    from sandbox.judge import Judge


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """Example: Subject(plan=Plan(...), store=Store(Path("runs/.store")), open_judge=lambda: Judge(...))"""

    plan: Plan
    store: Store
    open_judge: Callable[[], Judge]  # the same judge at each call

    def stages(self) -> list[AnyStage]:
        """The recipe's stages that the plan holds."""
        return [stage for stage in self.plan.recipe.stages if stage.name in self.plan.stages]

    def models(self) -> list[Step]:
        """Steps of models that the recipe brings: the base, the checkpoints of --from, the teachers."""
        return [step for step in self.plan.steps if step.kind == "base" and step.role is not ModelRole.ASKED]

    def asked_models(self) -> list[Step]:
        """Steps of models made elsewhere that data stages ask."""
        return [step for step in self.plan.steps if step.role is ModelRole.ASKED]

    def student(self) -> Step:
        """The model that the policy comes from: the base, or the first checkpoint given by --from."""
        starts = {step.role: step for step in reversed(self.models())}
        return starts[ModelRole.BASE] if ModelRole.BASE in starts else starts[ModelRole.START]

    def judged_data(self) -> list[tuple[str, str]]:
        """(verifier, data set) of every pair that stages and suites bring together."""
        pairs: dict[tuple[str, str], None] = {}
        for stage in self.stages():
            if isinstance(stage, Dpd | Grpo):
                pairs |= {(verifier, data): None for data, verifier in verifiers_of(stage).items()}
        pairs |= {(suite.verifier, suite.data): None for suite in self.plan.recipe.evaluate.suites.values()}
        return list(pairs)


def model_folder(step: Step) -> Path | None:
    """Where the model of a step lies; None where the step will make it or fetch it."""
    return Path(step.files["model"]) if "model" in step.files else None
