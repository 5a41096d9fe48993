"""Keys of a recipe about the machine: hardware, cluster, engines, sandbox, and verifiers."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from posttrain.recipe.schema_base import Positive, Share, Strict


class Hardware(Strict):
    """What the recipe runs on. `plan`, `check` and `run` refuse a recipe that cannot fit it."""

    nodes: Positive = Field(1, description="Machines.")
    gpus: int = Field(0, ge=0, description="GPUs a node.")
    gpu_memory_gb: float | None = Field(
        None, gt=0, description="Memory of a GPU, as it is sold (80 for an H100), 10^9 bytes; null: not looked at."
    )
    host_memory_gb: float | None = Field(
        None, gt=0, description="Main memory of a node, 10^9 bytes; null: not looked at."
    )


class Cluster(Strict):
    """What Ray is asked for."""

    address: str = Field(
        "local", description="local starts Ray on this machine; otherwise the address of a running cluster."
    )
    trainers: Positive = Field(1, description="Trainer workers.")
    sharding: Literal["auto", "none", "fsdp"] = Field(
        "auto",
        description="fsdp: each trainer holds a share of weights, gradients and optimiser; none: all of them; auto: "
        "fsdp on GPUs that all of it would fill by more than half.",
    )
    engines: Positive = Field(1, description="Rollout engines a role.")
    context_parallel: Positive = Field(
        1,
        description="GPUs that share the tokens of one row; above 1 is refused: a GPU holds a row of 64K tokens.",
    )
    share: Literal["space", "time"] = Field(
        "space",
        description="space: trainers and the engines of each role have GPUs of their own; time: they take turns on the "
        "same ones, and who is not at work gives up its memory.",
    )
    cpus_per_trainer: float | None = Field(
        None, gt=0, description="CPUs asked of Ray; null: shared fairly on one machine."
    )
    gpus_per_trainer: float = Field(0.0, ge=0, description="GPUs a trainer worker; 0 trains on the CPU.")
    gpus_per_engine: float = Field(0.0, ge=0, description="GPUs an engine; 0 generates on the CPU.")
    placement_timeout_seconds: float = Field(
        30.0, gt=0, description="Wait for Ray to grant workers before an error that names who holds what."
    )


EngineRole = Literal["policy", "teacher", "judge"]
Options = dict[str, Any]  # of vLLM, by its own names


class RoleSpec(Strict):
    """The engines of one role, where they differ from the others; what is null is as `cluster` and `engine` say."""

    engines: int | None = Field(None, ge=1, description="Engines of this role; null: cluster.engines.")
    gpus_per_engine: float | None = Field(None, ge=0, description="GPUs an engine; null: cluster.gpus_per_engine.")
    gpu_memory_share: Share | None = Field(None, description="Share of GPU memory; null: engine.gpu_memory_share.")
    options: Options = Field(default_factory=dict, description="vLLM's options for this role, over engine.options.")


class EngineSpec(Strict):
    """The rollout engine."""

    backend: Literal["auto", "vllm", "hf"] = Field(
        "auto", description="auto: vLLM where it generates, otherwise an error naming hf; hf: transformers' generate."
    )
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = Field(
        "auto", description="auto: float32 on the CPU, bfloat16 on a GPU."
    )
    context_tokens: int = Field(512, ge=32, description="Longest prompt plus answer, tokens.")
    kv_cache_gb: float = Field(
        1.0, gt=0, description="GiB of KV cache an engine (CPU); on a GPU the share is gpu_memory_share."
    )
    gpu_memory_share: Share = Field(0.5, description="Share of GPU memory an engine may take.")
    parity_tolerance: float | None = Field(
        None,
        gt=0,
        description=(
            "Largest log-probability gap, engine against trainer, after a weight hand-over (nats); null: 1e-3 in "
            "float32, 0.125 in float16, 1 in bfloat16. Tensors are compared by checksum, whatever it is."
        ),
    )
    options: Options = Field(
        default_factory=dict, description="Any option of vLLM by its own name, such as max_num_seqs; for every role."
    )
    roles: dict[EngineRole, RoleSpec] = Field(
        default_factory=dict, description="What the engines of one role have of their own."
    )


class Sandbox(Strict):
    """How generated code is run."""

    backend: Literal["auto", "docker", "namespaces", "local"] = Field(
        "auto", description="auto takes the strongest that works and never local."
    )
    min_level: Literal["none", "namespaces", "container", "kernel"] = Field(
        "container", description="Weakest isolation accepted; unmet is an error."
    )
    allow_unsafe: str | None = Field(
        None, description='min_level none needs exactly: "I understand generated code runs as me".'
    )
    image: str | None = Field(
        None, description="Docker image, by id, that `posttrain sandbox build` printed; none: of the interpreter."
    )
    slots: Positive = Field(2, description="Programs judged at once.")


class VerifierSpec(BaseModel):
    """One verifier: a kind, `module:Name` of the user's own, or an entry point. Other keys are its arguments, checked
    against it."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)
    kind: str = Field(description="math, choice, code, pairwise, cascade, ... or module:Name.")

    @property
    def options(self) -> dict[str, Any]:
        return dict(self.model_extra or {})
