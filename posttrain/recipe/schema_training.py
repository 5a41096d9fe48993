"""Keys of the stages that train: sft, dpd, grpo and reward_model."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from posttrain.recipe.schema_base import Name, Positive, Share, Strict, Weight
from posttrain.recipe.schema_models import ModelRef


class Lora(Strict):
    rank: Positive = Field(16, description="Rank of the update.")
    alpha: float = Field(32.0, gt=0, description="Scale; the update is multiplied by alpha / rank.")
    dropout: Share = Field(0.0, description="Dropout on the adapter's input.")
    targets: list[str] | Literal["all-linear"] = Field("all-linear", description="Module names, or all-linear.")


class Publish(Strict):
    """How a stage's checkpoint is written."""

    dtype: Literal["float32", "bfloat16"] = Field(
        "float32",
        description="Of its weights, always safetensors; bfloat16 is half as large, and what later stages start from.",
    )


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
    publish: Publish = Field(default_factory=Publish)
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
    fresh: float = Field(1.0, ge=0, description="Weight of the teacher KL on fresh answers of the student (`mode`).")


class DomainWeights(Strict):
    """Weights of the terms for the pairs of one data set; null: the stage's."""

    sequence: float | None = Field(None, ge=0, description="Weight of the DPO term.")
    chosen: float | None = Field(None, ge=0, description="Weight of the teacher KL on the good answer.")
    rejected: float | None = Field(None, ge=0, description="Weight of the teacher KL on the bad answer.")
    fresh: float | None = Field(None, ge=0, description="Weight of the teacher KL on fresh answers of the student.")


Mode = Literal["off_policy", "on_policy", "both"]


class DpdDomain(Strict):
    """How the pairs of one data set are distilled. What is null is as the stage has it."""

    mode: Mode | None = Field(None, description="On whose answers the teacher KL is taken.")
    weights: DomainWeights = Field(default_factory=DomainWeights)
    kd_temperature: float | None = Field(None, gt=0, description="Softens both distributions.")


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
    mode: Mode = Field(
        "off_policy",
        description=(
            "On whose answers the teacher KL is taken. off_policy: those of the pairs; on_policy: answers that the "
            "student itself gives to their prompts, sampled anew before each step; both."
        ),
    )
    fresh_samples: Positive = Field(1, description="Such answers to the prompt of a pair.")
    domains: dict[Name, DpdDomain] = Field(
        default_factory=dict, description="Data set of `prompts` to what is its own; one not named: as the stage."
    )
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
