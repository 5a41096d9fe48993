"""What follows from a recipe: which step a stage starts from, what data it reads, who judges, what must fit. No disk,
no models.

The recipe has been checked (checks.py), so every name that it uses is there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

from posttrain.recipe.phases import mixture
from posttrain.recipe.schema import (
    AnyStage,
    AskingStage,
    Chat,
    Clean,
    Data,
    DataStage,
    Dpd,
    Filter,
    Gate,
    Grpo,
    Mix,
    ModelRef,
    Prefer,
    Recipe,
    Reconstruct,
    Refine,
    RewardModel,
    RowStage,
    Sft,
    Stage,
    StageData,
    Suite,
    Verify,
    WriteTests,
)
from posttrain.recipe.yaml_core import Key

BASE = "base"


def is_policy(stage: AnyStage) -> bool:
    """Whether later stages start from this one by default: everything but a reward model and what makes rows."""
    return not isinstance(stage, RewardModel | DataStage)


def start_of(recipe: Recipe, name: str) -> str:
    """Step whose checkpoint a stage starts from: its `from`, else the policy stage before it, else base."""
    previous = BASE
    for stage in recipe.stages:
        if stage.name == name:
            return stage.from_ or previous
        if is_policy(stage):
            previous = stage.name
    raise KeyError(name)


def final_policy(recipe: Recipe) -> str:
    """The policy that is exported: the last stage that makes one, or base."""
    return next((stage.name for stage in reversed(recipe.stages) if is_policy(stage)), BASE)


def data_of(stage: Stage) -> dict[str, float]:
    """Data sets a stage reads, with their weights."""
    if isinstance(stage, Sft):
        return mixture(stage)
    if isinstance(stage, RewardModel):
        return dict(stage.data)
    if isinstance(stage, Dpd | Grpo):
        return {stage.prompts: 1.0} if isinstance(stage.prompts, str) else dict(stage.prompts)
    if isinstance(stage, Mix):
        return {name: share for phase in stage.phases.values() for name, share in (phase.data or stage.data).items()}
    return {stage.data: 1.0} if isinstance(stage, RowStage) else {}


def own_data(recipe: Recipe, stage: AnyStage) -> dict[str, Data]:
    """Data sets of a stage that no earlier stage has to write first."""
    return {name: recipe.data[name] for name in data_of(stage) if not isinstance(recipe.data[name], StageData)}


def asked_data(recipe: Recipe, stages: Iterable[AnyStage]) -> dict[str, Data]:
    """Data sets whose rows are asked as prompts, by these stages and by every suite."""
    asked = {
        name: data
        for stage in stages
        if isinstance(stage, Dpd | Grpo)
        for name, data in own_data(recipe, stage).items()
    }
    return asked | {suite.data: recipe.data[suite.data] for suite in recipe.evaluate.suites.values()}


def verifiers_of(stage: Stage) -> dict[str, str]:
    """Verifier name of each data set of a stage; empty where the stage judges nothing."""
    if isinstance(stage, AskingStage) and stage.verifier is not None:
        return {stage.data: stage.verifier}
    if not isinstance(stage, Dpd | Grpo):
        return {}
    if isinstance(stage.verifier, str):
        return {name: stage.verifier for name in data_of(stage)}
    return dict(stage.verifier)


def watched_data(recipe: Recipe, stage: Stage) -> dict[str, str]:
    """Data set -> verifier of what a stage asks beside its training: its guard suite, its canaries."""
    found: dict[str, str] = {}
    if isinstance(stage, Grpo) and stage.early_stop.guard is not None:
        suite = recipe.evaluate.suites[stage.early_stop.guard.suite]
        found[suite.data] = suite.verifier
    if isinstance(stage, Grpo) and stage.alarms.canaries is not None:
        found[stage.alarms.canaries.data] = stage.alarms.canaries.verifier
    return found


def judge_stages(spec: Any) -> set[str]:
    """Reward-model stages that a verifier's arguments name, at any depth: `model: {stage: NAME}`."""
    if isinstance(spec, Mapping):
        model = spec.get("model")
        found = {model["stage"]} if isinstance(model, Mapping) and isinstance(model.get("stage"), str) else set()
        return found.union(*(judge_stages(value) for value in spec.values()))
    if isinstance(spec, list | tuple):
        return set().union(*(judge_stages(value) for value in spec))
    return set()


def plugin_modules(spec: Any) -> list[str]:
    """Modules of the user's own that a verifier's specification names, at any depth. Example: {"kind":
    "my_rules:Exact"} -> ["my_rules"]"""
    from rewards.load import plugin_target

    if isinstance(spec, Mapping):
        kind = spec.get("kind")
        target = plugin_target(kind) if isinstance(kind, str) else None
        own = [] if target is None else [target.rpartition(":")[0].rpartition(":")[2]]
        return sorted({*own, *(module for value in spec.values() for module in plugin_modules(value))})
    return sorted({module for value in spec for module in plugin_modules(value)}) if isinstance(spec, list) else []


def judge_of(recipe: Recipe, verifiers: Iterator[str] | list[str] | set[str]) -> str | None:
    """The reward-model stage that these verifiers ask, if any (check_references allows one a step)."""
    named = sorted({stage for name in verifiers for stage in judge_stages(recipe.verifiers[name].options)})
    return named[0] if named else None


def gate_of(stage: Stage) -> Gate | None:
    """The gate behind a stage, if any."""
    return stage.gate if isinstance(stage, Sft | Dpd | Grpo) else None


def asked_suites(recipe: Recipe, stages: Sequence[AnyStage]) -> dict[str, Suite]:
    """The suites that checkpoints are asked: all where they are scored, and otherwise those of gates and guards."""
    guards = [stage.early_stop.guard for stage in stages if isinstance(stage, Grpo)]
    named = {rule.suite for rule in (*map(gate_of, stages), *guards) if rule is not None}
    scored = recipe.evaluate.after != "never"
    return {name: suite for name, suite in recipe.evaluate.suites.items() if scored or name in named}


def samples_answers(recipe: Recipe, stages: Sequence[AnyStage]) -> bool:
    """Whether an engine is to sample answers, for a stage or for a suite."""
    return any(isinstance(stage, Dpd | Grpo) for stage in stages) or bool(asked_suites(recipe, stages))


def on_vllm_cpu(recipe: Recipe, stages: Sequence[AnyStage]) -> bool:
    """Whether vLLM is to sample answers of the policy without a GPU."""
    own = recipe.engine.roles.get("policy")
    gpus = own.gpus_per_engine if own is not None else None
    on_cpu = not (recipe.cluster.gpus_per_engine if gpus is None else gpus)
    return samples_answers(recipe, stages) and recipe.engine.backend in ("auto", "vllm") and on_cpu


def counts_in_band(rule: Filter) -> list[int]:
    """The numbers of right answers, of k, with which the filter keeps a prompt; exact.

    Example: counts_in_band(Filter()) is [2, ..., 14]
    """
    low, high = (Fraction(Decimal(str(share))) for share in (rule.low, rule.high))
    return [right for right in range(rule.k + 1) if low < Fraction(right, rule.k) < high]


def takes_kl(stage: Dpd) -> bool:
    """Whether the stage asks its teacher for token distributions."""
    return stage.teacher.gives == "logprobs"


def teachers_chat(recipe: Recipe, stage: str | None) -> Chat:
    """How the teacher of a stage is asked: as the student, or, where it gives text alone, by its own tokenizer's
    template and stop token. The reasoning's tags are the recipe's, since its answers are the student's to learn."""
    by_text = any(isinstance(one, Dpd) and one.name == stage and not takes_kl(one) for one in recipe.stages)
    return (
        recipe.chat.model_copy(update={"template": None, "stop": [], "add_tokens": False}) if by_text else recipe.chat
    )


def models_of(recipe: Recipe) -> Iterator[tuple[str, Key, ModelRef]]:
    """(step name, place, reference) of the base and every teacher."""
    yield BASE, ("base",), recipe.base
    for index, stage in enumerate(recipe.stages):
        if isinstance(stage, Dpd):
            yield f"{stage.name}.teacher", ("stages", index, "teacher"), stage.teacher
        elif isinstance(stage, AskingStage):
            for role, model in stage.models.items():
                if model.path is not None:
                    asked = ModelRef(path=model.path, revision=model.revision, toy=model.toy, shape=None)
                    yield f"{stage.name}.{role}", ("stages", index, "models", role), asked


# Fixed roles of each kind of data stage, and the prompts that it shows (posttrain/factory/prompts).
ROLES: dict[type[AskingStage], tuple[str, ...]] = {
    Verify: ("judge",),
    Prefer: ("judge",),
    Refine: ("critic", "reviser"),
    Reconstruct: ("writer", "judge"),
    WriteTests: ("author", "solver", "tester"),
}
PROMPTS: dict[type[AskingStage], tuple[str, ...]] = {
    Verify: ("generate", "judge", "compare"),
    Prefer: ("generate", "compare"),
    Refine: ("generate", "checklist", "revise_checklist", "score", "revise"),
    Reconstruct: ("summary", "chain", "audit"),
    WriteTests: ("design", "describe", "solve", "inputs"),
}


def roles_of(stage: AskingStage) -> tuple[str, ...]:
    """Names that models of a data stage may have: its fixed roles and its generators."""
    own = list(stage.generators) if isinstance(stage, Verify | Prefer | Refine) else []
    return tuple(dict.fromkeys([*own, *ROLES[type(stage)]]))


def maker_of(recipe: Recipe, spec: StageData) -> str:
    """The step that published the rows of `source: stage`."""
    maker = next((stage for stage in recipe.stages if stage.name == spec.stage), None)
    return f"{spec.stage}.pairs" if isinstance(maker, Dpd) else spec.stage


def is_made_by_data_stage(recipe: Recipe, name: str) -> bool:
    """Whether a data set is the rows of a data stage of this recipe: rows of any use, and not pairs."""
    spec = recipe.data[name]
    makers = {stage.name for stage in recipe.stages if isinstance(stage, DataStage) and not isinstance(stage, Prefer)}
    return isinstance(spec, StageData) and spec.stage in makers


def suites_against(recipe: Recipe, stage: Clean) -> list[str]:
    """Data sets that a clean stage looks for: those that it names, else those of all suites."""
    return list(stage.against or dict.fromkeys(suite.data for suite in recipe.evaluate.suites.values()))
