"""When a policy stage ends before its last step: its reward no longer rises, or the guard suite falls. And who looks.

    on_train_begin   the guard suite by the weights at the start -> guard_start
    on_step_end      every so many steps, and after the last: the guard suite -> guard; the best weights are kept
                     signs of a gamed reward (signs.py) -> alarms; then: does the stage end?

Whether it ends follows from the rows of metrics.jsonl alone: a resumed stage ends where an undisturbed one does. Knows
no loss.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState

from posttrain.errors import StageError
from posttrain.machine.ranks import is_first_rank
from posttrain.recipe.schema import Grpo, Plateau
from posttrain.records.metrics import metrics_rows
from posttrain.store.checkpoints import SEAL
from posttrain.train.feed import BEST, Feed
from posttrain.train.signs import alarms_of, length_drift
from posttrain.train.trainer import Recorder

Row = Mapping[str, float]
ROUNDING = 1e-9  # of a difference of two means


class End(StrEnum):
    """Why a stage ended."""

    STEPS = "steps"
    PLATEAU = "plateau"
    GUARD = "guard"


def is_plateau(rewards: Sequence[float], rule: Plateau) -> bool:
    """Whether the mean of the last `window` rewards is no more than `min_gain` above the best such mean of the steps
    before them.

    Example: is_plateau([0.1, 0.2, 0.3, 0.3, 0.2, 0.3], Plateau(window=2, min_gain=0.0))
    """
    window = rule.window
    if len(rewards) < 2 * window:
        return False
    before = [sum(rewards[end - window : end]) / window for end in range(window, len(rewards) - window + 1)]
    return sum(rewards[-window:]) / window <= max(before) + rule.min_gain


def guard_scores(history: Sequence[Row]) -> dict[int, float]:
    """Steps done -> score of the guard suite after them. history: the rows of the steps so far."""
    first = [(0, row["guard_start"]) for row in history[:1] if "guard_start" in row]
    return dict(first + [(number, row["guard"]) for number, row in enumerate(history, 1) if "guard" in row])


def end_of(history: Sequence[Row], stage: Grpo) -> End | None:
    """Why the stage ends after these steps; None: it goes on."""
    scores = guard_scores(history)
    drop = max(scores.values()) - scores[len(history)] if len(history) in scores else 0.0
    if stage.early_stop.guard is not None and drop > stage.early_stop.guard.max_drop + ROUNDING:
        return End.GUARD
    if stage.early_stop.plateau is not None and is_plateau(
        [row["reward"] for row in history], stage.early_stop.plateau
    ):
        return End.PLATEAU
    return End.STEPS if len(history) == stage.steps else None


class Ends(TrainerCallback):
    """Looks after every step. Comes before the Recorder, which then writes the row and the checkpoint."""

    def __init__(self, feed: Feed, recorder: Recorder) -> None:
        self.feed, self.recorder = feed, recorder
        self.stage: Grpo = feed.stage
        self.history: list[Row] = []
        self.end: End | None = None
        self._start: dict[str, float] = {}

    def is_over(self) -> bool:
        """Whether the steps on record end the stage. All workers call it."""
        rows: list[Row] = [dict(row.values) for row in metrics_rows(self.recorder.path)] if is_first_rank() else []
        self.history = self.feed.dealer.tell(rows)
        self.end = end_of(self.history, self.stage)
        return self.end is not None

    def on_train_begin(
        self, args: Any, state: TrainerState, control: TrainerControl, model: Any = None, **more: Any
    ) -> None:
        if self.stage.early_stop.guard is not None and not self.history:
            self._start = {"guard_start": self.feed.guard_score(0, model, more["optimizer"], best=-1.0)}

    def on_step_end(
        self, args: Any, state: TrainerState, control: TrainerControl, model: Any = None, **more: Any
    ) -> TrainerControl:
        row, step, guard = self.recorder.extra, state.global_step, self.stage.early_stop.guard
        row |= self._start
        self._start = {}
        self.history.append(row)
        if (drift := length_drift(self.history, self.stage.alarms.window)) is not None:
            row["length_drift"] = drift
        if guard is not None and (step % guard.every == 0 or end_of(self.history, self.stage) is not None):
            best = max(guard_scores(self.history).values())
            row["guard"] = self.feed.guard_score(step, model, more["optimizer"], best=best)
            control.should_save |= row["guard"] > best  # so that no resume needs weights older than the best before
        self._alarm(row, step)
        self.history[-1] = dict(row)
        self.end = end_of(self.history, self.stage)
        if self.end is not None:
            control.should_save = control.should_training_stop = True
        return control

    def _alarm(self, row: dict[str, float], step: int) -> None:
        """Raises StageError where the recipe says so."""
        rules = self.stage.alarms
        found = alarms_of(self.history, guard_scores(self.history), rules)
        row |= {f"alarm_{name}": 1.0 for name in found} | {"alarms": float(len(found))}
        if found and rules.on_alarm == "stop":
            raise StageError(
                f"the reward of step {step} looks gamed: {'; '.join(found.values())}",
                where=f"stages.{self.stage.name}.alarms",
                remedy=f"look at {self.feed.job.attempt}/rollouts/*-{step:05d}.jsonl, mend the verifier or its data; "
                "on_alarm: record goes on",
            )

    def told(self) -> dict[str, Any]:
        """Why the stage ended, what is published, and what the guard and the alarms said, for the headline."""
        scores, names = guard_scores(self.history), [name for row in self.history for name in row]
        alarms = sorted({name for name in names if name.startswith("alarm_")})
        return {
            "ended": str(self.end),
            "published_step": self.published_step,
            "guard_start": scores.get(0),
            "guard_published": scores.get(self.published_step),
            "guard_last": scores.get(len(self.history)),
            "alarms": {name.removeprefix("alarm_"): names.count(name) for name in alarms},
        }

    @property
    def published_step(self) -> int:
        """The step whose weights count: the last, or where the guard fell the first of its best."""
        scores = guard_scores(self.history)
        return max(scores, key=lambda step: (scores[step], -step)) if self.end is End.GUARD else len(self.history)

    def publish_best(self, folder: Path) -> None:
        """The kept weights of the best step as a model folder."""
        kept = self.feed.job.attempt / BEST / f"step-{self.published_step:05d}"
        shutil.copytree(kept, folder, ignore=shutil.ignore_patterns(SEAL))
