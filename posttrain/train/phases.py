"""Learning rates over the phases of an sft stage, and what happens where one phase ends and the next begins.

A stage without phases has the schedule of the library. Knows nothing of data or losses.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from itertools import accumulate
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState

from posttrain.recipe.phases import phases_of
from posttrain.recipe.schema import Sft, Training


def decay_steps(stage: Training, steps: int) -> int:
    """Of all steps, the last ones over which wsd falls: what warm-up leaves of them at most."""
    return min(math.ceil(stage.decay_share * steps), steps - warmup_steps(stage, steps))


def warmup_steps(stage: Training, steps: int) -> int:
    return math.ceil(stage.warmup_share * steps)


def shape(stage: Training, step: int, steps: int) -> float:
    """The share of the peak at a step (from 0) of so many: linear warm-up, then the stage's schedule."""
    warmup = warmup_steps(stage, steps)
    if step < warmup:
        return step / max(1, warmup)
    if stage.schedule == "constant":
        return 1.0
    if stage.schedule == "wsd":
        return min(1.0, max(0.0, (steps - step) / max(1, decay_steps(stage, steps))))
    along = (step - warmup) / max(1, steps - warmup)
    if stage.schedule == "linear":
        return max(0.0, 1.0 - along)
    return max(0.0, 0.5 * (1.0 + math.cos(math.pi * along)))


class Phases(TrainerCallback):
    """Where each phase begins, the learning rate of each step, and a fresh optimiser where the recipe wants one."""

    def __init__(self, stage: Sft) -> None:
        self._stage = stage
        self._phases = phases_of(stage)
        self._ends = list(accumulate(phase.steps or 0 for phase in self._phases))

    def of(self, step: int) -> int:
        """The phase of a step (from 0)."""
        return min(bisect_right(self._ends, step), len(self._ends) - 1)

    def factor(self, step: int) -> float:
        """The learning rate of a step, as a share of the stage's."""
        number = self.of(step)
        phase, first = self._phases[number], self._ends[number - 1] if number else 0
        if self._stage.restart_optimizer:
            along = shape(self._stage, step - first, phase.steps or 1)
        else:
            along = shape(self._stage, step, self._ends[-1])
        return along * phase.learning_rate / self._stage.learning_rate

    def on_step_begin(
        self, args: Any, state: TrainerState, control: TrainerControl, optimizer: Any = None, **_: Any
    ) -> None:
        """A resumed training passes here too: its checkpoint is of before the restart."""
        if self._stage.restart_optimizer and state.global_step in self._ends[:-1]:
            plain = getattr(optimizer, "optimizer", optimizer)  # accelerate's wrapper
            plain.state.clear()
