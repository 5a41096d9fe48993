"""The functions that stages hand to the trainer workers, light to import: each method's libraries are imported where it
runs, so that the driver, which passes the function, loads no torch.

Each writes job.output/model and returns headline metrics, or {"stopped": True} where a stop was asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from posttrain.recipe.schema import ToyModel
from posttrain.sampling.job import FollowingEngine, RolloutSource
from posttrain.train.job import Job


def tokens(job: Job, previous: Sequence[Path]) -> dict[str, Any]:
    """The rows of an sft stage as tokens. previous: folders of earlier attempts."""
    from posttrain.train.tokens import make_tokens

    return make_tokens(job, previous)


def sft(job: Job) -> dict[str, Any]:
    """Supervised fine-tuning."""
    from posttrain.train.sft import train

    return train(job)


def dpd(job: Job, teacher: Path | None, following: FollowingEngine | None = None) -> dict[str, Any]:
    """Dual-Level Preference Distillation. teacher: its model folder, where it is asked beside the student; following:
    the engine that answers for the student while it is trained."""
    from posttrain.train.dpd import train

    return train(job, teacher, following)


def teacher_logprobs(job: Job, teacher: Path, earlier: Sequence[Path]) -> dict[str, Any]:
    """A teacher's token distributions to disk; writes a cache, not a model. earlier: former attempts' folders."""
    from posttrain.train.teacher_logprobs import write_cache

    return write_cache(job, teacher, earlier)


def reward_model(job: Job) -> dict[str, Any]:
    """The pairwise reward model."""
    from posttrain.train.reward_model import train

    return train(job)


def policy(job: Job, rollouts: RolloutSource) -> dict[str, Any]:
    """GRPO on fresh rollouts."""
    from posttrain.train.policy import train

    return train(job, rollouts)


def toy(spec: ToyModel | None, output: Path, seed: int, stop_file: Path, start: Path | None = None) -> dict[str, Any]:
    """A toy base or teacher, pre-trained on the toy's corpus. start: the base that a teacher goes on from."""
    from posttrain.train.toy_base import make_toy

    return make_toy(spec, output, seed, stop_file, start)
