"""The engines of each role: what `engine:`, `cluster:` and `engine.roles` say together, and which of vLLM's options
have a key of ours.

Knows vLLM's options by name only; that vLLM has them is asked in rollout/vllm_arguments.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from posttrain.recipe.location import Source
from posttrain.recipe.resolve import judge_stages
from posttrain.recipe.schema import Dpd, EngineRole, Recipe
from posttrain.recipe.yaml_core import Key

# vLLM's option -> the key that says it, or why it is not for a recipe to say.
OURS = {
    "model": "the model is that of the step",
    "tokenizer": "the tokenizer is the model's",
    "skip_tokenizer_init": "engines take and give token ids",
    "dtype": "engine.dtype",
    "max_model_len": "engine.context_tokens",
    "gpu_memory_utilization": "gpu_memory_share",
    "kv_cache_memory_bytes": "engine.kv_cache_gb",
    "seed": "seed",
    "generation_config": "the recipe says how answers are sampled",
    "override_generation_config": "the recipe says how answers are sampled",
    "logprobs_mode": "trainers compare with the policy that sampled",
    "runner": "engines generate",
    "convert": "engines generate",
    "data_parallel_size": "engines",
}
# How an engine computes, and not what: another value gives the same samples up to rounding, so that ids of steps do not
# depend on it. An option that is not here counts as one that changes samples.
# fmt: off
_HOW = frozenset((
    "tensor_parallel_size", "pipeline_parallel_size", "enable_expert_parallel", "distributed_executor_backend",
    "disable_custom_all_reduce", "max_parallel_loading_workers", "max_num_seqs", "max_num_batched_tokens",
    "max_num_partial_prefills", "long_prefill_token_threshold", "enable_chunked_prefill", "async_scheduling",
    "enable_prefix_caching", "block_size", "num_gpu_blocks_override", "cpu_offload_gb",
    "enforce_eager", "compilation_config", "cudagraph_capture_sizes", "max_cudagraph_capture_size",
    "load_format", "disable_log_stats",
))
# fmt: on
_SPLITS = ("tensor_parallel_size", "pipeline_parallel_size")


@dataclass(frozen=True, kw_only=True, slots=True)
class RoleEngines:
    """The engines of one role: how many, the GPUs and the memory share of each, and vLLM's options by name.

    Example: RoleEngines(engines=2, gpus=2.0, gpu_memory_share=0.9, options={"tensor_parallel_size": 2})
    """

    engines: int
    gpus: float
    gpu_memory_share: float
    options: Mapping[str, Any]


def engines_of(recipe: Recipe, role: str) -> RoleEngines:
    """What a role's own entry says, else `engine` and `cluster`; options of both, the role's over the common ones."""
    spec, cluster = recipe.engine, recipe.cluster
    own = spec.roles.get(role)  # type: ignore[call-overload]
    if own is None:
        return RoleEngines(
            engines=cluster.engines,
            gpus=cluster.gpus_per_engine,
            gpu_memory_share=spec.gpu_memory_share,
            options=dict(spec.options),
        )
    return RoleEngines(
        engines=cluster.engines if own.engines is None else own.engines,
        gpus=cluster.gpus_per_engine if own.gpus_per_engine is None else own.gpus_per_engine,
        gpu_memory_share=spec.gpu_memory_share if own.gpu_memory_share is None else own.gpu_memory_share,
        options={**spec.options, **own.options},
    )


def on_gpus(recipe: Recipe) -> bool:
    """Whether anything asks for a GPU."""
    roles = (engines_of(recipe, role).gpus for role in ("policy", *recipe.engine.roles))
    return recipe.cluster.gpus_per_trainer > 0 or any(gpus > 0 for gpus in roles)


def changes_samples(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options on which the samples depend, and not only where and how fast they are made."""
    return {name: value for name, value in sorted(options.items()) if name not in _HOW}


def check_engines(recipe: Recipe, source: Source) -> None:
    """Options that stand elsewhere, roles that nobody has, and GPUs that do not fit a split model. Raises
    RecipeError."""
    spec = recipe.engine
    _check_whole(source, ("cluster", "gpus_per_trainer"), recipe.cluster.gpus_per_trainer)
    _check_whole(source, ("cluster", "gpus_per_engine"), recipe.cluster.gpus_per_engine)
    _check_names(source, ("engine", "options"), spec.options)
    for role, own in spec.roles.items():
        key: Key = ("engine", "roles", role)
        _check_whole(source, (*key, "gpus_per_engine"), own.gpus_per_engine or 0.0)
        _check_names(source, (*key, "options"), own.options)
        if role not in engine_roles(recipe):
            source.fail(
                key, f"no stage asks a {role}", f"remove it; roles here: {', '.join(sorted(engine_roles(recipe)))}"
            )
    for role in sorted(engine_roles(recipe)):
        _check_split(recipe, source, role)


def engine_roles(recipe: Recipe) -> set[EngineRole]:
    """Whose engines the stages ask; those of data stages aside."""
    roles: set[EngineRole] = {"policy"}
    if any(isinstance(stage, Dpd) for stage in recipe.stages):
        roles.add("teacher")
    if any(judge_stages(verifier.options) for verifier in recipe.verifiers.values()):
        roles.add("judge")
    return roles


def _check_whole(source: Source, key: Key, gpus: float) -> None:
    if gpus > 1 and not gpus.is_integer():
        source.fail(key, f"{gpus:g} GPUs a worker", "a share of one below 1, or a whole number")


def _check_names(source: Source, key: Key, options: Mapping[str, Any]) -> None:
    for name in options:
        if name in OURS:
            source.fail((*key, name), f"'{name}' is not set here: {OURS[name]}", "remove it, and set that key instead")


def _check_split(recipe: Recipe, source: Source, role: EngineRole) -> None:
    engines = engines_of(recipe, role)
    key: Key = ("engine", "roles", role, "options") if role in recipe.engine.roles else ("engine", "options")
    if recipe.engine.backend == "hf" and engines.options:
        source.fail(key, "the hf engine takes none of vLLM's options", "remove them, or set engine.backend: vllm")
    parts = 1
    for name in _SPLITS:
        size = engines.options.get(name, 1)
        if not isinstance(size, int) or isinstance(size, bool) or size < 1:
            source.fail((*key, name), f"{size!r} is no number of GPUs", "1 or more")
        parts *= size
    if parts > 1 and engines.gpus != parts:
        source.fail(
            key,
            f"an engine of {role} is split over {parts} GPUs, and takes {engines.gpus:g}",
            f"set gpus_per_engine: {parts} for it, or another {_SPLITS[0]}",
        )
