"""The recipe as pydantic records: every key, its unit, its range and its default. Strict: no unknown key, no coercion.

Imports pydantic only. Knows nothing of files (load.py), of other keys (resolve.py) or of how a stage works (stages/).
A class's defaults are the vetted setting; only recipes choose names, inputs and resources.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from posttrain.recipe.schema_base import Column, Form, Name, Positive, Share, Strict, Tracker, Weight
from posttrain.recipe.schema_data import Data, FileData, GymData, HubData, Quarantine, RowData, StageData, ToyData
from posttrain.recipe.schema_machine import (
    Cluster,
    EngineRole,
    EngineSpec,
    Hardware,
    Options,
    RoleSpec,
    Sandbox,
    VerifierSpec,
)
from posttrain.recipe.schema_models import Chat, ModelRef, Shape, ToyModel
from posttrain.recipe.schema_rows import (
    AskedModel,
    AskingStage,
    Budget,
    Clean,
    CleanRule,
    DataStage,
    Mix,
    MixPhase,
    Prefer,
    Reconstruct,
    Refine,
    RowStage,
    Verify,
    WriteTests,
)
from posttrain.recipe.schema_training import (
    Alarms,
    Canaries,
    DomainWeights,
    Dpd,
    DpdDomain,
    DpdWeights,
    EarlyStop,
    Filter,
    Gate,
    Grpo,
    Guard,
    Lora,
    Phase,
    Plateau,
    Publish,
    RewardModel,
    Sft,
    Stage,
    Supervised,
    Teacher,
    TeacherCache,
    Training,
)

__all__ = [
    "Alarms",
    "AnyStage",
    "AskedModel",
    "AskingStage",
    "Budget",
    "Canaries",
    "Chat",
    "Clean",
    "CleanRule",
    "Cluster",
    "Column",
    "Custom",
    "Data",
    "DataStage",
    "DomainWeights",
    "Dpd",
    "DpdDomain",
    "DpdWeights",
    "EarlyStop",
    "EngineRole",
    "EngineSpec",
    "Evaluate",
    "FileData",
    "Filter",
    "Form",
    "Gate",
    "Grpo",
    "Guard",
    "GymData",
    "Hardware",
    "HubData",
    "Lora",
    "Mix",
    "MixPhase",
    "ModelRef",
    "Name",
    "Options",
    "Phase",
    "Plateau",
    "Positive",
    "Prefer",
    "Publish",
    "Quarantine",
    "Recipe",
    "Reconstruct",
    "Refine",
    "RewardModel",
    "RoleSpec",
    "RowData",
    "RowStage",
    "Sandbox",
    "Sft",
    "Shape",
    "Share",
    "Stage",
    "StageData",
    "Strict",
    "Suite",
    "Supervised",
    "Teacher",
    "TeacherCache",
    "ToyData",
    "ToyModel",
    "Tracker",
    "Training",
    "VerifierSpec",
    "Verify",
    "Weight",
    "WriteTests",
    "json_schema",
]


class Custom(Stage):
    """A stage of the user's own: `kind: module:Class`."""

    kind: str = Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")
    options: dict[str, Any] = Field(default_factory=dict, description="Handed to the class.")


def _stage_tag(value: Any) -> str | None:
    kind = value.get("kind") if isinstance(value, dict) else getattr(value, "kind", None)
    return "custom" if isinstance(kind, str) and ":" in kind else kind


AnyStage = Annotated[
    Annotated[Sft, Tag("sft")]
    | Annotated[Dpd, Tag("dpd")]
    | Annotated[Grpo, Tag("grpo")]
    | Annotated[RewardModel, Tag("reward_model")]
    | Annotated[Verify, Tag("verify")]
    | Annotated[Prefer, Tag("prefer")]
    | Annotated[Refine, Tag("refine")]
    | Annotated[Reconstruct, Tag("reconstruct")]
    | Annotated[WriteTests, Tag("tests")]
    | Annotated[Clean, Tag("clean")]
    | Annotated[Mix, Tag("mix")]
    | Annotated[Custom, Tag("custom")],
    Discriminator(_stage_tag),
]


class Suite(Strict):
    """Held-out problems and who decides."""

    data: Name = Field(description="Data set of held-out prompts.")
    verifier: Name = Field(description="Verifier that decides right or wrong.")
    max_tokens: int | None = Field(None, ge=1, description="Longest answer; null: evaluate.max_tokens.")
    examples: Name | None = Field(
        None, description="Data set of worked conversations, shown to the base when evaluate.few_shot is above 0."
    )


class Evaluate(Strict):
    suites: dict[Name, Suite] = Field(default_factory=dict)
    k: Positive = Field(8, description="Answers a problem (avg@k).")
    temperature: float = Field(0.6, ge=0, description="As in the report.")
    top_p: float = Field(0.95, gt=0, le=1, description="As in the report.")
    max_tokens: Positive = Field(65536, description="Longest answer, tokens.")
    after: Literal["every_stage", "last", "never"] = Field("every_stage", description="Which checkpoints are scored.")
    few_shot: int = Field(
        0,
        ge=0,
        le=16,
        description=(
            "Worked examples of a suite's `examples` before each question, as one more row for the base; 0: none."
        ),
    )
    teacher: bool = Field(True, description="Score the teachers too, as rows of reference.")


def _all_forms() -> list[Form]:
    return ["safetensors"]


class Recipe(Strict):
    """One file, one pipeline."""

    schema_: Literal[1] = Field(alias="schema", description="Version of this format.")
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$", description="A run folder belongs to this name.")
    seed: int = Field(0, ge=0, description="Every random choice follows from it.")
    base: ModelRef
    chat: Chat = Field(default_factory=Chat)
    hardware: Hardware | None = Field(None, description="What it runs on; null: nothing is held against it.")
    cluster: Cluster = Field(default_factory=Cluster)
    engine: EngineSpec = Field(default_factory=EngineSpec)
    sandbox: Sandbox = Field(default_factory=Sandbox)
    verifiers: dict[Name, VerifierSpec] = Field(default_factory=dict)
    data: dict[Name, Data] = Field(default_factory=dict)
    stages: list[AnyStage] = Field(min_length=1)
    evaluate: Evaluate = Field(default_factory=Evaluate)
    export: list[Form] = Field(default_factory=_all_forms, description="Forms of the final model.")
    report_to: list[Tracker] = Field(
        default_factory=list, description="Trackers that get the metrics of training stages; empty: nothing is sent."
    )


def json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of a recipe file, for editors. Names that refer to each other are beyond it: `posttrain
    plan` checks them."""
    schema = Recipe.model_json_schema(by_alias=True)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "posttrain recipe",
        **{k: v for k, v in schema.items() if k != "title"},
    }
