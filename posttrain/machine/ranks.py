"""Which of the trainer workers this process is, by the environment that `TrainerWorker.join` and accelerate set."""

from __future__ import annotations

import os


def world_size() -> int:
    """Number of trainer workers; 1 outside a group."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """This worker's number, from 0."""
    return int(os.environ.get("RANK", "0"))


def is_first_rank() -> bool:
    """Whether this is the worker that publishes; True outside a group."""
    return rank() == 0
