"""The recipe as pydantic records: every key, its unit, its range and its default. Strict: no unknown key, no coercion.

Imports pydantic only. Knows nothing of files (load.py), of other keys (resolve.py) or of how a stage works (stages/).
A class's defaults are the vetted setting; only recipes choose names, inputs and resources.
"""

from __future__ import annotations

import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, field_validator

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[int, Field(ge=1)]
Weight = Annotated[float, Field(gt=0, le=1e9)]  # of a data set in a mixture
Form = Literal["safetensors"]
Tracker = Literal["tensorboard", "wandb", "mlflow", "trackio"]
# What our loaders call the columns that they read.
# fmt: off
Column = Literal[
    "id", "messages", "prompt", "completion", "chosen", "rejected", "gold", "reference", "metadata", "system", "tools",
    "label", "instruction", "input", "output", "history", "reasoning",
]
# fmt: on


class Strict(BaseModel):
    """Every record of a recipe: unknown keys refused, no coercion, no infinities."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, populate_by_name=True, allow_inf_nan=False)


# ---------------------------------------------------------------- models


class ToyModel(Strict):
    """A small model made on this machine from the toy world (`posttrain/toy/`)."""

    architecture: Literal["qwen3", "llama", "mixtral"] = Field("qwen3", description="Shape of the decoder.")
    hidden_size: int = Field(128, ge=32, le=1024, description="Width; a multiple of 32.")
    layers: int = Field(4, ge=1, le=24, description="Decoder layers.")
    tied: bool = Field(False, description="Share the embedding with the output head.")
    experts: int = Field(4, ge=2, le=16, description="Experts a layer (mixtral only).")
    steps: int = Field(300, ge=1, description="Optimiser steps of pre-training.")
    skill: Literal["base", "teacher", "writer"] = Field(
        "base",
        description=(
            "base: raw text, no chat. teacher: worked answers. writer: chains that lead to a known answer. Both go on "
            "from a toy base of the same shape."
        ),
    )


class Shape(Strict):
    """Sizes of a decoder by their names in config.json: what `plan` reckons with where no config.json is here yet."""

    model_type: str | None = Field(
        None, description="Family, such as llama, qwen2, qwen3, mixtral: small weights differ."
    )
    hidden_size: Positive = Field(description="Width.")
    num_hidden_layers: Positive = Field(description="Decoder layers.")
    num_attention_heads: Positive = Field(description="Heads of the queries.")
    num_key_value_heads: int | None = Field(None, ge=1, description="Heads of keys and values; null: as the queries.")
    head_dim: int | None = Field(None, ge=1, description="Width of a head; null: hidden_size / num_attention_heads.")
    intermediate_size: Positive = Field(description="Width of the feed-forward layer.")
    vocab_size: Positive = Field(description="Rows of the embedding.")
    tie_word_embeddings: bool = Field(False, description="Embedding and output head are one tensor.")
    num_local_experts: int | None = Field(None, ge=1, description="Experts a layer (Mixtral).")
    num_experts: int | None = Field(None, ge=1, description="Experts a layer (Qwen).")
    num_experts_per_tok: int | None = Field(None, ge=1, description="Experts that a token goes through.")
    moe_intermediate_size: int | None = Field(None, ge=1, description="Width of an expert; null: intermediate_size.")
    attention_bias: bool = Field(False, description="Biases on the attention's projections.")
    max_position_embeddings: int | None = Field(None, ge=1, description="Positions that the model knows.")


class ModelRef(Strict):
    """A checkpoint made elsewhere: a local folder, a hub id with a pinned revision, or `toy`."""

    path: str = Field(
        "", description="Local folder, hub id (owner/name), or toy; left out only where `plan` has a shape."
    )
    revision: str | None = Field(None, pattern=r"^[0-9a-f]{40}$", description="40 hex digits; required for a hub id.")
    toy: ToyModel | None = Field(None, description="Shape of the toy; only with path: toy.")
    shape: Shape | None = Field(
        None, description="Sizes, for `plan` before the model is here; then its config.json counts."
    )


class Chat(Strict):
    """How messages become text."""

    template: str | None = Field(
        None,
        description=(
            "A Jinja file beside the recipe, or a preset (chatml_think, nanbeige4, neo3, qwen2.5, qwen3, llama3, "
            "gemma, mistral); null: the tokenizer's own."
        ),
    )
    think: tuple[str, str] = Field(
        ("<think>", "</think>"), description="Tags around the reasoning; may be plain text (<scratchpad>)."
    )
    stop: list[str] = Field(
        default_factory=list,
        description="Tokens that end a turn; empty: the tokenizer's eos. Never taken from config.eos_token_id.",
    )
    date: str | None = Field(
        None, description="The day that a template which prints today's date is given, as 2026-01-31."
    )
    add_tokens: bool = Field(
        False, description="Add the preset's tokens that the base lacks; the first stage, an sft, grows its embedding."
    )
    max_untrained_share: Share = Field(
        0.5,
        description=(
            "Share of the assistant's turns of a data set that may give no loss, because the template drops or "
            "rewrites them; above it the run stops."
        ),
    )

    @field_validator("date")
    @classmethod
    def _a_day(cls, value: str | None) -> str | None:
        if value is not None:
            datetime.date.fromisoformat(value)
        return value


# ---------------------------------------------------------------- machine


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


# ---------------------------------------------------------------- data


class Quarantine(Strict):
    max_faulty_share: Share = Field(
        0.0, description="Share of rows that may be faulty: they are set aside with reasons; above it the run stops."
    )


class RowData(Quarantine):
    """How columns that go by other names are read. A column that nobody reads is refused by its name."""

    columns: dict[Column, str] = Field(
        default_factory=dict, description="Our key to their column ({prompt: problem, gold: answer}); a.b goes inside."
    )
    metadata: list[str] = Field(
        default_factory=list, description="Columns that are kept beside the row and not trained on."
    )
    gold_format: str = Field("auto", description="Format of the golds by its name (APPS, ...); auto: by the columns.")


class FileData(RowData):
    source: Literal["file", "jsonl", "parquet"] = Field(
        description="file: JSON, JSON Lines, CSV, TSV or Parquet, by name and content; the others hold to one format."
    )
    path: str = Field(description="File, folder or glob, relative to the recipe; files may be compressed.")
    card: str = Field(description="Data card, relative to the recipe.")
    limit: int | None = Field(None, ge=1, description="First rows only.")


class HubData(RowData):
    source: Literal["hub"]
    path: str = Field(description="owner/name on the hub, or a local folder of it, or one saved by `datasets`.")
    revision: str | None = Field(None, pattern=r"^[0-9a-f]{40}$", description="40 hex digits; required for a hub id.")
    subset: str | None = Field(None, description="Subset (configuration) of the data set; null: the only one.")
    split: str = Field("train", description="Split.")
    card: str = Field(description="Data card, relative to the recipe.")
    limit: int | None = Field(None, ge=1, description="First rows only.")


class ToyData(Strict):
    """Rows of the toy world, made from a seed."""

    source: Literal["toy"]
    task: str = Field(
        description="Task family: stem, code, preference, stem_collected, or a name that posttrain.toy lists."
    )
    rows: Positive = Field(description="Rows made.")
    difficulty: tuple[int, int] = Field((1, 3), description="Lowest and highest level, 1 to 5.")
    split: Literal["train", "held_out"] = Field("train", description="Problems of the two splits never overlap.")
    seed: int = Field(0, ge=0, description="Rows differ by seed; the split does not depend on it.")


class GymData(Strict):
    """Procedural problems of the reasoning_gym library."""

    source: Literal["reasoning_gym"]
    task: str = Field(description="Data set name of reasoning_gym, such as chain_sum.")
    rows: Positive = Field(description="Rows made.")
    seed: int = Field(0, ge=0, description="Seed of the generator.")
    split: Literal["train", "held_out"] = Field(
        "train", description="Problems of the two splits never overlap (by hash of the question)."
    )
    options: dict[str, Any] = Field(
        default_factory=dict, description="Arguments of the task, as reasoning_gym names them."
    )
    card: str | None = Field(None, description="Data card; null: the shipped card of reasoning_gym.")


class StageData(Strict):
    """Rows that an earlier stage published, such as the good answers of a dpd stage."""

    source: Literal["stage"]
    stage: Name = Field(description="Name of the dpd or data stage.")
    part: Name = Field(
        "chosen",
        description=(
            "Of a dpd stage: chosen (its good answers), rejected, pairs. Of a mix stage: a phase, or chosen for all. "
            "Of another data stage: chosen, the rows that it kept."
        ),
    )


Data = Annotated[FileData | HubData | ToyData | GymData | StageData, Field(discriminator="source")]


# ---------------------------------------------------------------- stages


class Lora(Strict):
    rank: Positive = Field(16, description="Rank of the update.")
    alpha: float = Field(32.0, gt=0, description="Scale; the update is multiplied by alpha / rank.")
    dropout: Share = Field(0.0, description="Dropout on the adapter's input.")
    targets: list[str] | Literal["all-linear"] = Field("all-linear", description="Module names, or all-linear.")


class Stage(Strict):
    """Keys that every stage has."""

    name: Name
    from_: str | None = Field(
        None,
        alias="from",
        description="Stage whose checkpoint this one starts from; null: the policy stage before it, or base.",
    )


class Training(Stage):
    """Keys of a stage with an optimiser."""

    steps: int | None = Field(None, ge=1, description="Optimiser steps; null: from epochs.")
    micro_batch_size: Positive = Field(16, description="Rows a forward pass a worker.")
    learning_rate: float = Field(1e-5, gt=0, description="Peak learning rate.")
    schedule: Literal["cosine", "constant", "linear", "wsd"] = Field(
        "cosine", description="Shape after warm-up; wsd: stable, then it falls to 0 over decay_share."
    )
    warmup_share: Share = Field(0.03, description="Share of the steps spent warming up.")
    decay_share: Share = Field(0.1, description="Share of the steps, the last ones, over which wsd falls.")
    weight_decay: float = Field(0.0, ge=0, description="AdamW decay.")
    max_grad_norm: float = Field(1.0, gt=0, description="Clip the global gradient norm here.")
    adapter: Lora | Literal["full"] = Field("full", description="full, or LoRA (merged when the stage ends).")
    save_every: Positive = Field(50, description="Optimiser steps between resume checkpoints.")
    checkpoint_minutes: float | None = Field(
        30.0, gt=0, description="Minutes after which one is written too, whatever the steps; null: by steps alone."
    )
    gradient_checkpointing: bool = Field(False, description="Recompute activations to save memory.")
    attention: Literal["auto", "sdpa", "flash", "flex"] = Field(
        "auto",
        description="auto: flash attention on a GPU that has it installed, otherwise the model's own (sdpa for most).",
    )


class Gate(Strict):
    """A step `<name>.gate` after the stage, by its score on a suite against that of the checkpoint it started from."""

    suite: Name = Field(description="Suite of evaluate.suites; both checkpoints are scored on it, whatever `after`.")
    max_drop: Share = Field(description="Most that avg@k may fall, as a share of 1: 0.02 is two points.")
    on_fail: Literal["stop", "keep_start"] = Field(
        "stop", description="stop: the run ends there; keep_start: later stages start from where this one did."
    )


class Supervised(Training):
    """Keys of a stage whose batches are rows of data (a grpo batch is prompts_per_step * group)."""

    batch_size: Positive = Field(
        32, description="Rows an optimiser step, over all workers; packed sequences where packing is on."
    )
    epochs: float | None = Field(None, gt=0, le=1e6, description="Passes over the data; give one of steps and epochs.")


class Phase(Strict):
    """A part of an sft stage's steps. What is null is as the stage has it."""

    share: Share = Field(gt=0, description="Share of the stage's steps; those of all phases add up to 1.")
    data: dict[str, Weight] | None = Field(None, min_length=1, description="Data set to weight, in this phase.")
    max_tokens: int | None = Field(None, ge=1, description="Longest row, and packed sequence, in this phase.")
    learning_rate: float | None = Field(None, gt=0, description="Peak learning rate in this phase.")


class Sft(Supervised):
    kind: Literal["sft"]
    gate: Gate | None = Field(None, description="What the stage may not lose; null: no gate.")
    data: dict[str, Weight] = Field(
        default_factory=dict,
        description="Data set to weight; weights are shares of the rows drawn. Left out only where each phase has one.",
    )
    max_tokens: Positive = Field(32768, description="Longest row; longer rows are dropped and counted.")
    packing: bool = Field(True, description="Rows share a sequence without attending to each other.")
    router_loss: float = Field(
        0.0, ge=0, description="Weight of the experts' load-balancing loss; 0: none, whatever config.json says."
    )
    phases: list[Phase] = Field(
        default_factory=list, description="Parts of the steps with mixtures, lengths, rates of their own; empty: one."
    )
    restart_optimizer: bool = Field(
        False, description="Each phase begins with a fresh optimiser and a schedule of its own; false: both go on."
    )
    rope_theta: float | None = Field(
        None, gt=0, description="Base of the rotary positions from here on (ABF raises it); null: the model's."
    )
    max_positions: int | None = Field(
        None, ge=1, description="Positions that the model knows from here on, with rope_theta; null: the model's."
    )


class DpdWeights(Strict):
    sequence: float = Field(1.0, ge=0, description="Weight of the DPO term.")
    chosen: float = Field(1.0, ge=0, description="Weight of the teacher KL on the good answer.")
    rejected: float = Field(1.0, ge=0, description="Weight of the teacher KL on the bad answer.")


class TeacherCache(Strict):
    """A step <name>.teacher_logprobs that writes the teacher's distributions to disk before the training."""

    top_k: int = Field(
        192, ge=32, le=255, description="Most tokens kept of a distribution; the mass of the others is one bucket."
    )


class Teacher(ModelRef):
    """A teacher, and what is had of it."""

    gives: Literal["logprobs", "text"] = Field(
        "logprobs",
        description="logprobs: answers, and distributions over the student's ids; text: answers alone, by a tokenizer "
        "and template of its own.",
    )
    cache: TeacherCache | None = Field(
        None, description="Distributions by way of the disk; null: the teacher runs beside the student."
    )


class Dpd(Supervised):
    kind: Literal["dpd"]
    gate: Gate | None = Field(None, description="What the stage may not lose; null: no gate.")
    prompts: str | dict[str, Weight] = Field(description="Data set (or mixture) of prompts.")
    teacher: Teacher = Field(
        description="Writes the good answers and gives token distributions; same vocabulary as the student."
    )
    verifier: str | dict[str, str] = Field(
        description="Verifier, or one a data set: good answers must pass, bad ones fail."
    )
    teacher_samples: Positive = Field(4, description="Answers a prompt from the teacher.")
    student_samples: Positive = Field(4, description="Answers a prompt from the student.")
    pairs_per_prompt: Positive = Field(1, description="Most pairs made of a prompt's answers.")
    negatives_from: Name | None = Field(
        None,
        description="Stage (or base) whose checkpoint writes the bad answers; null: the one this stage starts from.",
    )
    temperature: float = Field(1.0, ge=0, description="Sampling temperature of both.")
    max_tokens: Positive = Field(16384, description="Longest answer, tokens.")
    weights: DpdWeights = Field(default_factory=DpdWeights)
    beta: float = Field(0.1, gt=0, description="DPO beta (Rafailov et al. 2023; the report does not publish its own).")
    divergence: Literal["forward_kl", "reverse_kl", "jsd"] = Field(
        "forward_kl", description="forward_kl: KL(teacher || student). Not published in the report."
    )
    jsd_beta: float = Field(0.5, gt=0, lt=1, description="Mixture weight of jsd.")
    kd_temperature: float = Field(1.0, gt=0, description="Softens both distributions.")
    kd_skip: list[Literal["special", "tool"]] = Field(
        default_factory=list,
        description="Tokens that no KL is taken on: special ones of the tokenizer; marks of tools by their name.",
    )


class Filter(Strict):
    """avg@k difficulty filter: keep low < right/k < high, both strict (report section 3.4.1: 16, 10 %, 90 %)."""

    k: int = Field(16, ge=2, le=1024, description="Answers a prompt.")
    low: Share = Field(0.1, description="Kept strictly above.")
    high: Share = Field(0.9, description="Kept strictly below.")
    wave: int = Field(
        4,
        ge=0,
        description=(
            "Answers asked at a time, until those still to come cannot change the decision, which is that of all k; "
            "0: all k at once, as for a verifier that compares answers."
        ),
    )
    reuse: bool = Field(
        True,
        description=(
            "The answers by which prompts were kept are the first step's, continued up to `group`; with `staleness` "
            "also those of the steps that may still train on them."
        ),
    )


class Plateau(Strict):
    """The stage ends where its reward no longer rises."""

    window: Positive = Field(description="Steps over which the reward is averaged.")
    min_gain: float = Field(
        0.0,
        ge=0,
        description="The stage ends once such a mean is no more than this above the best of the steps before.",
    )


class Guard(Strict):
    """A suite that the stage must not harm: where it falls, the stage ends with the checkpoint that was best on it."""

    suite: Name = Field(description="Suite of `evaluate`, asked as there.")
    every: Positive = Field(description="Optimiser steps between two looks; also before the first and after the last.")
    max_drop: Share = Field(0.05, description="Fall of its share of right answers, from its best, that ends the stage.")
    samples: Positive = Field(1, description="Answers a problem.")


class EarlyStop(Strict):
    """What ends an RL stage before its steps are over."""

    plateau: Plateau | None = Field(None, description="A reward that no longer rises; null: none.")
    guard: Guard | None = Field(None, description="A suite watched while it trains; null: none.")


class Canaries(Strict):
    """Prompts without a right answer, asked beside a step's and never trained on: a reward for one is an alarm."""

    data: Name = Field(description="Data set of such prompts, with golds that no answer can meet.")
    verifier: Name = Field(description="Verifier that must never reward them.")
    per_step: Positive = Field(4, description="Prompts a step, one answer each.")


class Alarms(Strict):
    """Signs that the reward is gamed; each is a metric, and above its bound an alarm."""

    same_answer_share: Share = Field(0.5, description="Share of a step's prompts that are given one identical answer.")
    tampered_share: Share = Field(0.0, description="Share of verdicts that found a program tampering with the judge.")
    length_drift: float = Field(
        3.0, gt=1, description="Mean length of answers over that of the first steps, or the inverse."
    )
    flat_guard_gain: float = Field(
        0.1, gt=0, description="Gain of the reward with which the guard suite must have gained, too."
    )
    window: Positive = Field(10, description="Steps that are averaged for length_drift and flat_guard_gain.")
    canaries: Canaries | None = Field(None, description="Prompts that must never be rewarded; null: none.")
    on_alarm: Literal["record", "stop"] = Field("record", description="stop: the stage ends with an error.")


class Grpo(Training):
    kind: Literal["grpo"]
    gate: Gate | None = Field(None, description="What the stage may not lose; null: no gate.")
    prompts: str | dict[str, Weight] = Field(description="Data set (or mixture) of prompts.")
    verifier: str | dict[str, str] = Field(description="Verifier, or one a data set.")
    filter: Filter | None = Field(
        default_factory=Filter,
        description=(
            "Plans a step <name>.filter before this one. Not given: with the defaults of Filter; null: no filter."
        ),
    )
    group: int = Field(16, ge=2, description="Answers a prompt. Not published in the report.")
    prompts_per_step: Positive = Field(8, description="Groups an optimiser step.")
    steps: int | None = Field(100, ge=1, description="Optimiser steps, one a batch of fresh rollouts.")
    temperature: float = Field(1.0, gt=0, description="Sampling temperature of the rollouts.")
    top_p: float = Field(1.0, gt=0, le=1, description="Nucleus of the rollouts.")
    max_tokens: Positive = Field(16384, description="Longest answer, tokens.")
    loss: Literal["grpo", "dapo", "dr_grpo", "gspo"] = Field("dapo", description="Names and divisors as in TRL.")
    clip_low: float = Field(0.2, gt=0, description="Ratio clipped below 1 - clip_low.")
    clip_high: float = Field(0.28, gt=0, description="Ratio clipped above 1 + clip_high (DAPO).")
    scale_rewards: Literal["group", "none"] = Field(
        "group", description="group: divide by the group's standard deviation."
    )
    mask_truncated: bool = Field(True, description="Truncated answers give no loss (report section 3.4).")
    soft_punish_cache: int = Field(
        0,
        ge=0,
        description=(
            "Tokens before max_tokens over which a reward falls by up to 1 (DAPO's soft overlong punishment, TRL's "
            "name); 0: none."
        ),
    )
    length_control: float = Field(
        0.0,
        ge=0,
        lt=1,
        description=(
            "Most that an answer longer than the prompt's past successes may lose of its reward, where all of its "
            "group are right; 0: none."
        ),
    )
    max_resampled: int = Field(
        0,
        ge=0,
        description=(
            "Groups a step may sample in place of groups without signal (dynamic sampling); 0: they stay, and teach "
            "nothing."
        ),
    )
    staleness: int = Field(
        0,
        ge=0,
        le=16,
        description=(
            "Steps by which the weights that sample may lag behind those that train: above 0 the next steps' answers "
            "are sampled while this one trains, and a rerun after a kill is no longer the same to the byte."
        ),
    )
    importance_sampling: Literal["none", "token_truncate", "token_mask", "sequence_truncate", "sequence_mask"] = Field(
        "none",
        description=(
            "How an answer counts: by the trainer's probability over the engine's, in the modes of TRL's "
            "vllm_importance_sampling_mode; staleness needs one."
        ),
    )
    importance_sampling_cap: float = Field(
        3.0, gt=1, description="Largest such weight; mask drops what is above it (TRL's _clip_max)."
    )
    max_fault_share: Share = Field(0.05, description="Share of verdicts without a score above which the stage stops.")
    early_stop: EarlyStop = Field(default_factory=EarlyStop)
    alarms: Alarms = Field(default_factory=Alarms)
    mismatch_tolerance: float = Field(
        0.05,
        gt=0,
        description="Largest mean gap a trained token, trainer against engine, before a step's update (nats).",
    )


class RewardModel(Supervised):
    kind: Literal["reward_model"]
    data: dict[str, Weight] = Field(min_length=1, description="Preference pairs.")
    max_tokens: Positive = Field(8192, description="Longest comparison, tokens.")
    held_out_share: Share = Field(0.1, description="Pairs kept for accuracy and swap consistency.")


# ---------------------------------------------------------------- data stages


class AskedModel(Strict):
    """A model that a data stage asks: a checkpoint of this run (`stage`), one made elsewhere (`path`), or a server that
    speaks the OpenAI protocol (`endpoint` and `model`)."""

    stage: Name | None = Field(None, description="Earlier stage whose checkpoint is asked, or base.")
    path: str | None = Field(None, description="Local folder, hub id (owner/name), or toy.")
    revision: str | None = Field(None, pattern=r"^[0-9a-f]{40}$", description="40 hex digits; required for a hub id.")
    toy: ToyModel | None = Field(None, description="Shape of the toy; only with path: toy.")
    endpoint: str | None = Field(None, description="Address of a server up to /v1.")
    model: str | None = Field(None, description="Name that the server knows it by.")
    version: str | None = Field(
        None, description="What the server's model is, as part of the step's id; null: its address stands for it."
    )
    api_key_env: str | None = Field(None, description="Name of the environment variable that holds the key.")
    timeout_seconds: float = Field(600.0, gt=0, description="For one whole request to a server.")
    retries: int = Field(6, ge=0, description="Tries of a request after the first, with growing pauses.")
    parallel: Positive = Field(16, description="Requests at once to a server.")
    extra: dict[str, Any] = Field(default_factory=dict, description="Fields added to each request to a server.")
    structured: bool = Field(
        False, description="The server enforces JSON by schema (response_format); otherwise replies are asked in tags."
    )
    temperature: float | None = Field(
        None, ge=0, description="Sampling temperature; null: 1 where it writes what is chosen from, else 0."
    )
    top_p: float = Field(1.0, gt=0, le=1, description="Nucleus.")
    max_tokens: Positive = Field(4096, description="Longest reply, tokens.")
    prompt_price: float = Field(0.0, ge=0, description="Of a million prompt tokens, in any currency.")
    completion_price: float = Field(0.0, ge=0, description="Of a million tokens of replies, in the same currency.")
    terms: str | None = Field(None, description="Licence or terms of its replies, for the data card.")


class Budget(Strict):
    """What a data stage may use up, over all its tries. Not part of the step's id: raise it, and the stage goes on."""

    tokens: int | None = Field(None, ge=1, description="Tokens of prompts and replies of servers; null: no bound.")
    cost: float | None = Field(None, gt=0, description="Money, in the currency of the prices; null: no bound.")


class DataStage(Stage):
    """Keys of a stage that makes rows of rows. It starts from no checkpoint, so that `from` stays null."""

    kind: str


class RowStage(DataStage):
    """Keys of a data stage that takes the rows of one data set one by one."""

    data: Name = Field(description="Data set whose rows it reads.")


class AskingStage(RowStage):
    """Keys of a data stage that asks models."""

    models: dict[Name, AskedModel] = Field(min_length=1, description="The models by their roles.")
    prompts: dict[Name, str] = Field(
        default_factory=dict, description="Jinja files beside the recipe in place of the shipped ones, by their names."
    )
    verifier: Name | None = Field(None, description="Verifier that judges by rules; null: none.")
    budget: Budget = Field(default_factory=Budget)
    max_fault_share: Share = Field(
        0.0,
        description=(
            "Share of rows that may be set aside because a model gave no reply; above it the stage stops, and the same "
            "command asks those rows again."
        ),
    )


class Verify(AskingStage):
    kind: Literal["verify"]
    models: dict[Name, AskedModel] = Field(
        default_factory=dict, description="judge, and one of each name in generators; a judge or a verifier is needed."
    )
    generators: list[Name] = Field(default_factory=list, description="Models that write candidates.")
    samples: Positive = Field(4, description="Candidates a row of each generator, beside those that the row has.")
    audit_share: Share = Field(
        0.1, description="Share of what the rules reject that the judge is shown too, to see how often they agree."
    )
    pairwise: int = Field(
        0, ge=0, le=16, description="Right candidates, best first, that the judge also compares in pairs; 0: none."
    )
    keep: Positive = Field(1, description="Right candidates of a row that are kept, best first.")


class Refine(AskingStage):
    kind: Literal["refine"]
    generators: list[Name] = Field(min_length=1, description="Models that write drafts.")
    samples: Positive = Field(1, description="Drafts a row of each generator, beside the answer that the row has.")
    checklist_items: Positive = Field(8, description="Most items of a row's checklist.")
    revise_checklist: bool = Field(True, description="The checklist is looked at once more beside the drafts.")
    rounds: int = Field(2, ge=0, le=16, description="Most revisions of a row.")
    code_verifier: Name | None = Field(
        None, description="Verifier of kind code, whose judge runs the code blocks of drafts; null: none are run."
    )
    min_score: Share = Field(0.5, description="Score of a row's best draft below which the row is set aside.")


class Reconstruct(AskingStage):
    kind: Literal["reconstruct"]
    samples: Positive = Field(3, description="Chains that are tried for a row, one after the other.")
    min_words: Positive = Field(20, description="Shortest chain.")
    max_words: Positive = Field(8000, description="Longest chain.")


class WriteTests(AskingStage):
    """Of a problem its tests; of a seed, in reverse, a solution and tests before the problem."""

    kind: Literal["tests"]
    verifier: Name = Field(description="Verifier of kind code that the rows are for; it judges the kept solution.")
    reverse: bool = Field(
        False, description="Rows are seeds: `author` writes a solution and its inputs, then the problem's text."
    )
    solutions: int = Field(3, ge=0, description="Reference solutions that `solver` writes, beside the row's answers.")
    agree: Positive = Field(
        2, description="Reference solutions that must agree on an input; one of the row's is enough."
    )
    inputs: Positive = Field(12, description="Most inputs of each kind: small, regular, adversarial.")
    max_input_bytes: Positive = Field(200_000, description="Largest input.")
    min_tests: Positive = Field(5, description="Tests below which a row is set aside.")
    public_tests: int = Field(3, ge=0, description="Small tests that may be shown; the others are hidden.")
    mutants: Positive = Field(20, description="Wrong versions of the reference solution, at most.")
    reruns: int = Field(3, ge=2, description="Runs of the reference solution, to find flaky tests.")
    least_caught: Share = Field(
        0.8, description="Share of mutants, and of the row's wrong_solutions, that its tests must fail."
    )
    limits: dict[str, float] = Field(
        default_factory=dict, description="Of a test, written into each gold, where the row states none."
    )


# fmt: off
CleanRule = Literal[
    "contamination", "numbers_changed", "secret", "personal_data", "refusal", "self_naming", "length", "language",
    "repetition", "exact_duplicate", "near_duplicate",
]
# fmt: on


class Clean(RowStage):
    kind: Literal["clean"]
    against: list[Name] = Field(
        default_factory=list, description="Data sets of suites that must not stand in the rows; empty: of all suites."
    )
    languages: list[str] = Field(default_factory=list, description="Languages that may stand; empty: all.")
    min_words: int = Field(1, ge=0, description="Shortest row, words.")
    max_words: int | None = Field(None, ge=1, description="Longest row, words; null: no bound.")
    max_repetition: Share = Field(0.5, description="Share of an answer's runs of 8 words that came before in it.")
    near: float = Field(0.7, ge=0.5, le=1, description="Share of words (Jaccard) of a near duplicate.")
    skip: list[CleanRule] = Field(default_factory=list, description="Rules that are left out.")
    remove_numbers_changed: bool = Field(False, description="Also remove a suite's question with other numbers.")


class MixPhase(Strict):
    """A part of the rows that a mix stage publishes. What is null is as the stage has it."""

    share: Share = Field(gt=0, description="Share of the rows; those of all phases add up to 1.")
    data: dict[Name, Weight] | None = Field(None, min_length=1, description="Data set to weight, in this phase.")
    domains: dict[str, Weight] | None = Field(None, min_length=1, description="Domain to weight, in this phase.")
    quality: tuple[Share, Share] = Field(
        (0.0, 1.0), description="Of each data set the rows in this band of its scores: (0.8, 1) is the best fifth."
    )


class Mix(DataStage):
    """Rows of several data sets, by share, as the phases of a curriculum."""

    kind: Literal["mix"]
    data: dict[Name, Weight] = Field(default_factory=dict, description="Data set to weight, where a phase has none.")
    rows: Positive = Field(description="Rows published, over all phases.")
    phases: dict[Name, MixPhase] = Field(min_length=1, description="The phases by their names, in order.")
    score: str | None = Field(None, description="Number in a row's metadata by which its quality is told.")
    domain: str | None = Field(None, description="Text in a row's metadata that says its domain.")
    domains: dict[str, Weight] = Field(
        default_factory=dict, description="Domain to weight, within each data set; rows of others are left out."
    )
    max_repeats: Positive = Field(4, description="Times that a row may stand in a phase.")


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
    | Annotated[Refine, Tag("refine")]
    | Annotated[Reconstruct, Tag("reconstruct")]
    | Annotated[WriteTests, Tag("tests")]
    | Annotated[Clean, Tag("clean")]
    | Annotated[Mix, Tag("mix")]
    | Annotated[Custom, Tag("custom")],
    Discriminator(_stage_tag),
]


# ---------------------------------------------------------------- evaluation and the whole


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
