"""The identity of a step: a hash of its kind, version, its part of the recipe, its inputs' ids and the digests of its
files.

`*_params` pick that part: what a step's bytes depend on and nothing else. Not in it: cluster, engine backend, options
of engines that say only how they compute, sandbox, comments, paths of data (digests stand for them) and data cards
(only the export reads them). Knows nothing of order or of the store.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

from posttrain.recipe.distillation import samples_fresh
from posttrain.recipe.engines import changes_samples, engines_of
from posttrain.recipe.phases import phases_of
from posttrain.recipe.resolve import data_of, judge_of, models_of, suites_against, takes_kl, verifiers_of, watched_data
from posttrain.recipe.schema import (
    AnyStage,
    AskedModel,
    AskingStage,
    Clean,
    DataStage,
    Dpd,
    EngineRole,
    Grpo,
    ModelRef,
    Recipe,
    Refine,
    Sft,
    Suite,
    ToyModel,
)
from posttrain.records.step import derive_seed
from posttrain.store.atomic import canonical_json

PAIRS_KEYS = ("prompts", "teacher_samples", "student_samples", "pairs_per_prompt", "temperature", "max_tokens")
FILTER_KEYS = ("prompts", "temperature", "top_p", "max_tokens")
# Of a data stage: how models are reached and what they may cost, which changes no reply.
_HOW_ASKED = {"api_key_env", "timeout_seconds", "retries", "parallel", "prompt_price", "completion_price"}
TOKENS_KEYS = ("data", "max_tokens", "packing", "epochs")
# in the id as inputs, or written by name below, or of a step of its own; or how often a resume is possible
_ELSEWHERE = {"name", "kind", "from", "teacher", "verifier", "filter", "negatives_from", "gate", "checkpoint_minutes"}
# what was before these keys stays it
_UNSAID: dict[str, Any] = {"pairs_per_prompt": 1, "kd_skip": [], "publish": {"dtype": "float32"}}


def step_id(
    *, kind: str, version: int, params: Mapping[str, Any], inputs: Mapping[str, str], digests: Mapping[str, str]
) -> str:
    """`inputs` are role -> id (not name). Example: "sft-3f9a..." with 20 hex digits."""
    whole = {
        "kind": kind,
        "version": version,
        "params": params,
        "inputs": inputs,
        "digests": digests,
        "seed": params.get("seed"),
    }
    prefix = "custom" if ":" in kind else re.sub(r"\W", "_", kind)
    return f"{prefix}-{hashlib.sha256(canonical_json(whole)).hexdigest()[:20]}"


def base_params(recipe: Recipe, name: str, model: ModelRef, *, local: bool) -> dict[str, Any]:
    """A toy is made from its shape and seed; anything else is a reference, the same whichever step makes it and
    wherever it lies: the content of a local folder is among the digests, that of a hub id hangs on its revision.
    """
    reference = model.model_dump(mode="json", exclude={"shape", "gives", "cache"})  # not the model's own
    if local:
        return {"model": {**reference, "path": "local"}}
    if model.path != "toy":
        return {"model": reference}
    shape = (model.toy or ToyModel.model_validate({})).model_dump(mode="json")
    return {
        "name": name,
        "seed": derive_seed(recipe.seed, name),
        "model": {**reference, "toy": shape},
    }


def fitness_params(recipe: Recipe, stages: Iterable[AnyStage], data: Iterable[str]) -> dict[str, Any]:
    """All that models and data are held against: lengths, packing, what is trained, how messages become text."""
    looked_at = ("max_tokens", "packing", "adapter", "data", "phases", "max_positions")
    stages = list(stages)
    own = {stage.name: stage.model_dump(mode="json") for stage in stages}
    foreign = [stage.name for stage in stages if isinstance(stage, Dpd) and not takes_kl(stage)]
    return {
        **({"text_teachers": foreign} if foreign else {}),
        "name": "fitness",
        "context_tokens": recipe.engine.context_tokens,
        "chat": _chat(recipe),
        "stages": {name: {key: values[key] for key in looked_at if key in values} for name, values in own.items()},
        "data_specs": data_specs(recipe, data),
    }


def stage_params(recipe: Recipe, stage: AnyStage) -> dict[str, Any]:
    """Part of a training stage. An sft's data belong to its tokens, a dpd's sampling keys to its pairs (but where it
    samples answers itself), a grpo's filter to the filter step."""
    own = _said(stage.model_dump(mode="json", by_alias=True))
    left_out = _ELSEWHERE | (set(PAIRS_KEYS) - {"max_tokens"} if isinstance(stage, Dpd) else set())
    left_out |= {"data", "epochs"} if isinstance(stage, Sft) else set()
    fresh = isinstance(stage, Dpd) and samples_fresh(stage)
    left_out -= {"temperature"} if fresh else set()
    params = {**_common(recipe, stage.name), **{key: value for key, value in own.items() if key not in left_out}}
    watched = watched_data(recipe, stage)
    params |= _numbers(recipe, "policy") if fresh else {}
    if not isinstance(stage, Dpd | Sft):
        params["data_specs"] = data_specs(recipe, [*data_of(stage), *watched])
    if isinstance(stage, Grpo):
        params["alarms"] = {key: value for key, value in own["alarms"].items() if key != "on_alarm"}  # trains nothing
        params |= {
            **_verifier_params(recipe, verifiers_of(stage) | watched),
            **_guard_params(recipe, stage),
            **_numbers(recipe, "policy", *_judges(recipe, stage)),
        }
    return params


def _guard_params(recipe: Recipe, stage: Grpo) -> dict[str, Any]:
    """How the guard suite is asked."""
    if stage.early_stop.guard is None:
        return {}
    settings, suite = recipe.evaluate, recipe.evaluate.suites[stage.early_stop.guard.suite]
    asked = {"temperature": settings.temperature, "top_p": settings.top_p, "seed": recipe.seed}
    return {"guard_asked": {**asked, "max_tokens": suite.max_tokens or settings.max_tokens}}


def data_stage_params(recipe: Recipe, stage: DataStage) -> dict[str, Any]:
    """Part of a stage that makes rows. Its prompts stand among the digests, its budget in no id."""
    left_out = _ELSEWHERE | {"models", "prompts", "budget", "max_fault_share"}
    own = {key: value for key, value in stage.model_dump(mode="json").items() if key not in left_out | {"from_"}}
    against = suites_against(recipe, stage) if isinstance(stage, Clean) else []
    params = {
        **_common(recipe, stage.name),
        **own,
        "data_specs": data_specs(recipe, dict.fromkeys([*data_of(stage), *against])),
        **_verifier_params(recipe, verifiers_of(stage) | _code_verifier(stage)),
    }
    if isinstance(stage, AskingStage):
        params["models"] = {role: _asked_params(model) for role, model in stage.models.items()}
        params |= _numbers(recipe, *_judges(recipe, stage))
    return params


def _code_verifier(stage: DataStage) -> dict[str, str]:
    return {"code": stage.code_verifier} if isinstance(stage, Refine) and stage.code_verifier is not None else {}


def _asked_params(model: AskedModel) -> dict[str, Any]:
    """Where a server states its version, that is the model, and its address only where it is."""
    left_out = _HOW_ASKED | {"path", "toy", "revision", "terms"}
    if model.version is not None:
        left_out |= {"endpoint"}
    return {key: value for key, value in model.model_dump(mode="json").items() if key not in left_out}


def tokens_params(recipe: Recipe, stage: Sft, name: str) -> dict[str, Any]:
    """Part of `<sft>.tokens`: the order of rows follows from the stage's own seed and from how many sequences it takes,
    so that what else is changed of a stage leaves its tokens as they are."""
    own = stage.model_dump(mode="json")
    return {
        "name": name,
        "seed": derive_seed(recipe.seed, stage.name),
        "chat": _chat(recipe),
        **{key: own[key] for key in TOKENS_KEYS},
        **_sequences(stage),
        "data_specs": data_specs(recipe, data_of(stage)),
    }


def _sequences(stage: Sft) -> dict[str, Any]:
    """How many sequences a stage takes, or of what each of its phases does."""
    found = [
        {
            "data": dict(phase.data),
            "max_tokens": phase.max_tokens,
            "sequences": None if phase.steps is None else phase.steps * stage.batch_size,
        }
        for phase in phases_of(stage)
    ]
    return {"phases": found} if stage.phases else {"sequences": found[0]["sequences"]}


def sampling_params(recipe: Recipe, stage: Dpd | Grpo, name: str) -> dict[str, Any]:
    """Part of `<dpd>.pairs` or `<grpo>.filter`."""
    own = _said(stage.model_dump(mode="json"))
    keys = [key for key in (PAIRS_KEYS if isinstance(stage, Dpd) else FILTER_KEYS) if key in own]
    foreign = {"teacher_gives": "text"} if isinstance(stage, Dpd) and not takes_kl(stage) else {}
    rule = {"filter": own["filter"]} if isinstance(stage, Grpo) else {}
    teachers: list[EngineRole] = ["teacher"] if isinstance(stage, Dpd) else []
    return {
        **_common(recipe, name),
        **{key: own[key] for key in keys},
        **foreign,
        **rule,
        **_numbers(recipe, "policy", *teachers, *_judges(recipe, stage)),
        "data_specs": data_specs(recipe, data_of(stage)),
        **_verifier_params(recipe, verifiers_of(stage)),
    }


def cache_params(recipe: Recipe, stage: Dpd, name: str) -> dict[str, Any]:
    """Part of `<dpd>.teacher_logprobs`; rows of a forward pass are in it since sums round by them."""
    cache = stage.teacher.cache
    assert cache is not None, "the step is there where the recipe asks for a cache"
    keys = ("kd_temperature", "micro_batch_size", "attention")
    own = stage.model_dump(mode="json", include=set(keys))
    return {**_common(recipe, name), "top_k": cache.top_k, **own}


def _said(keys: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in keys.items() if key not in _UNSAID or value != _UNSAID[key]}


def evaluate_params(
    recipe: Recipe, name: str, suite_name: str, suite: Suite, *, few_shot: bool, role: EngineRole = "policy"
) -> dict[str, Any]:
    """Part of an evaluation: suite, verifier, sampling. Every checkpoint is asked with the recipe's own seed, so that
    scores pair. role: whose engines answer."""
    settings = recipe.evaluate
    examples = [suite.examples] if few_shot and suite.examples is not None else []
    return {
        **_common(recipe, name),
        "seed": recipe.seed,
        "suite": suite_name,
        "k": settings.k,
        "temperature": settings.temperature,
        "top_p": settings.top_p,
        "max_tokens": suite.max_tokens or settings.max_tokens,
        "few_shot": settings.few_shot if few_shot else 0,
        **_numbers(recipe, role),
        "data_specs": data_specs(recipe, [suite.data, *examples]),
        **_verifier_params(recipe, {suite.data: suite.verifier}),
    }


def gate_params(stage: Sft | Dpd | Grpo, name: str) -> dict[str, Any]:
    """Part of `<stage>.gate`; the scores that it compares are inputs."""
    assert stage.gate is not None, "the step is there where the recipe asks for a gate"
    return {"name": name, **stage.gate.model_dump(mode="json")}


def export_params(recipe: Recipe) -> dict[str, Any]:
    """What the model card tells beside scores: names of recipe, stages, base, teachers and data."""
    models = {step: {"path": model.path, "revision": model.revision} for step, _, model in models_of(recipe)}
    return {
        "name": "export",
        "recipe": recipe.name,
        "seed": recipe.seed,
        "forms": list(recipe.export),
        "models": models,
        "stages": [{"name": stage.name, "kind": stage.kind} for stage in recipe.stages],
        "chat": {"think": list(recipe.chat.think), "stop": list(recipe.chat.stop)},
        "data_specs": data_specs(recipe, sorted(recipe.data)),
        **_terms_of_asked(recipe),
    }


def _terms_of_asked(recipe: Recipe) -> dict[str, Any]:
    """Names and terms of the models that data stages ask; nothing where there are none."""
    asked = {
        f"{stage.name}.{role}": [model.model, model.version, model.terms]
        for stage in recipe.stages
        if isinstance(stage, AskingStage)
        for role, model in stage.models.items()
    }
    return {"asked": asked} if asked else {}


def _common(recipe: Recipe, name: str) -> dict[str, Any]:
    context = recipe.engine.context_tokens
    return {"name": name, "seed": derive_seed(recipe.seed, name), "chat": _chat(recipe), "context_tokens": context}


def _chat(recipe: Recipe) -> dict[str, Any]:
    chat = recipe.chat.model_dump(mode="json")
    chat.pop("template")  # its digest stands among the step's digests
    return chat


def _numbers(recipe: Recipe, *roles: EngineRole) -> dict[str, Any]:
    """What is sampled depends on the engines' numbers; auto is what the machine has, and recorded."""
    own = {role: changes_samples(engines_of(recipe, role).options) for role in roles}
    options = {role: values for role, values in own.items() if values}
    precision = {} if recipe.engine.dtype == "auto" else {"dtype": recipe.engine.dtype}
    return {**precision, **({"engine_options": options} if options else {})}


def _judges(recipe: Recipe, stage: Dpd | Grpo | AskingStage) -> list[EngineRole]:
    """The role of the model that the stage's verifiers ask, if any."""
    return ["judge"] if judge_of(recipe, set(verifiers_of(stage).values())) else []


def data_specs(recipe: Recipe, names: Iterable[str]) -> dict[str, Any]:
    """What a step hangs on of the data sets it reads: a file's path and card are left out, its digest stands for
    them."""
    specs = {}
    for name in names:
        spec = recipe.data[name].model_dump(mode="json")
        spec.pop("card", None)
        if spec["source"] in ("file", "jsonl", "parquet") or (spec["source"] == "hub" and spec["revision"] is None):
            spec.pop("path")
        # Not said is not part of the step: rows that are read without these keys stay what they were.
        unsaid: dict[str, Any] = {"columns": {}, "metadata": [], "gold_format": "auto", "subset": None}
        specs[name] = {key: value for key, value in spec.items() if key not in unsaid or value != unsaid[key]}
    return specs


def _verifier_params(recipe: Recipe, names: Mapping[str, str]) -> dict[str, Any]:
    """The verifiers' specifications, and the versions of the shipped kinds in them (a module of the user's own has a
    digest)."""
    from rewards.load import kind_versions

    specs = {data: recipe.verifiers[verifier].model_dump(mode="json") for data, verifier in names.items()}
    return {"verifiers": specs, "verifier_versions": kind_versions(list(specs.values()))}
