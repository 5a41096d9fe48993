"""Where a policy's groups come from: each step's prompts, sampled by its weights (or those of up to `staleness` steps
before) and judged; also the hand-over to the engine, and the record on disk. Knows no loss.
"""

from __future__ import annotations

import functools
import random
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from posttrain.data.source import load_problems
from posttrain.data.template import ChatTemplate
from posttrain.errors import PosttrainError
from posttrain.machine.ranks import is_first_rank
from posttrain.recipe.schema import Grpo
from posttrain.sampling.correctness import right_share
from posttrain.sampling.first_groups import FirstGroups
from posttrain.sampling.job import RolloutSource
from posttrain.sampling.prompts import pick_prompts
from posttrain.sampling.rollout_files import write_groups
from posttrain.sampling.sampler import sample
from posttrain.signals.stopping import giving_up_waits
from posttrain.store.checkpoints import is_good, seal
from posttrain.store.failpoints import failpoint
from posttrain.train.ahead import Ahead
from posttrain.train.dealing import Dealer
from posttrain.train.following import Follower
from posttrain.train.job import Job
from posttrain.train.lengths import Key, Successes
from posttrain.train.model import save_model
from posttrain.train.signal_groups import groups_with_signal, refuse_faults, spare_prompts
from posttrain.train.signs import num_rewarded, signs_of
from posttrain.types import EncodedPrompt, RolloutGroup, SamplingParams

Drawn = TypeVar("Drawn")

BEST = "best"  # below the attempt: weights that were best on the guard suite, step-<number>


def step_prompts(prompts: Sequence[Drawn], step: int, count: int, seed: int) -> list[Drawn]:
    """The prompts of a step (from 0): passes over a fresh shuffle each time. Depends on its arguments alone, so a
    resume repeats it."""
    order: list[Drawn] = []
    start = step * count
    first_pass, last_pass = start // len(prompts), (start + count - 1) // len(prompts)
    for number in range(first_pass, last_pass + 1):
        again = list(prompts)
        random.Random(f"prompts/{seed}/{number}").shuffle(again)
        order += again
    offset = start - first_pass * len(prompts)
    return order[offset : offset + count]


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """All groups of a step, judged, by weights of the step `version`. usual: median length of past successes;
    figures: of the whole step, for the metrics."""

    version: int
    groups: list[RolloutGroup]
    usual: dict[Key, float]
    figures: dict[str, float]


class Feed:
    """Scored groups of answers by the current weights, or by those of up to `staleness` steps before; owns hand-over,
    order and the record on disk."""

    def __init__(
        self, job: Job, template: ChatTemplate, prompts: Sequence[EncodedPrompt], rollouts: RolloutSource
    ) -> None:
        self.job, self.template, self.prompts, self.rollouts = job, template, prompts, rollouts
        self.stage: Grpo = job.stage
        self.sampling = SamplingParams(
            temperature=self.stage.temperature,
            top_p=self.stage.top_p,
            max_tokens=self.stage.max_tokens,
            stop_token_ids=template.stop_ids,
        )
        self.follower = Follower(job, rollouts.following)
        self.lag = 0
        self.dealer = Dealer()
        self.ahead = Ahead(
            staleness=self.stage.staleness,
            steps=self.stage.steps or 1,
            stop_file=job.stop_file,
            make=self._judged,
        )
        self.usual: dict[Key, float] = {}  # of the step's prompts, in every worker
        self.figures: dict[str, float] = {}  # of the whole step, for the metrics, in every worker
        self.first = self._first_groups() if is_first_rank() else None
        recorded = (job.attempt / "rollouts").glob("step-*.jsonl") if self.stage.length_control else ()
        self.successes = Successes(sorted(recorded) if is_first_rank() else ())

    def _first_groups(self) -> FirstGroups | None:
        """What the filter has for the steps that may train on answers of the weights at the start."""
        filtered = self.rollouts.filtered
        if filtered is None or self.job.resume is not None:
            return None
        steps = range(min(self.stage.staleness + 1, self.stage.steps or 1))
        wanted = [one for step in steps for one in self._chosen(step)]
        return FirstGroups(filtered, wanted)

    def _chosen(self, step: int) -> list[EncodedPrompt]:
        return step_prompts(self.prompts, step, self.stage.prompts_per_step, self.job.seed)

    @property
    def gap(self) -> float:
        """Nats, of the last hand-over."""
        return self.follower.gap

    def groups(self, step: int, model: Any, optimizer: Any) -> list[RolloutGroup]:
        """This worker's share of the step's groups. Raises StageError: parity lost, or too many faults; Stopped: a stop
        was asked for.

        The engine takes the step's weights once it has nothing under way; then it is asked for the next steps."""
        failed: PosttrainError | None = None
        batch: Batch | None = None
        with giving_up_waits(self.job.stop_file):
            try:
                batch = self.ahead.take(step) if is_first_rank() else None
            except PosttrainError as error:
                failed = error  # for all workers, which wait for their share
            # All workers gather a sharded model, or none.
            is_due = self.dealer.tell(failed is None and self.ahead.is_idle)
            whole = self.follower.whole(model) if is_due else None
            with self.follower.turn([model], optimizer, self.dealer):
                if is_due:
                    failed = self.follower.follow(step, whole) or failed
                groups = self.dealer.share(lambda: self._taken(step, batch, failed))
        self.lag, self.usual, self.figures = self.dealer.tell((self.lag, self.usual, self.figures))
        return groups

    def save(self, whole: Any, folder: Path) -> None:
        """The model as a checkpoint folder."""
        job, stop_ids = self.job, self.template.stop_ids
        save_model(
            whole,
            folder,
            source=job.model,
            chat=job.chat,
            stop_ids=stop_ids,
            recipe_dir=job.recipe_dir,
            dtype=self.stage.publish.dtype,
        )

    def guard_score(self, step: int, model: Any, optimizer: Any, *, best: float) -> float:
        """Share of right answers that the weights after `step` steps give to the guard suite; above `best` they are
        kept. Raises StageError: parity lost, too many faults; Stopped. All workers must call it."""
        score, failed = 0.0, None
        whole = self.follower.whole(model)
        with self.follower.turn([model], optimizer, self.dealer):
            if is_first_rank():
                try:
                    with giving_up_waits(self.job.stop_file):
                        self.ahead.settle()
                        failed = self.follower.follow(step, whole)
                        score = 0.0 if failed else self._guarded(step)
                    if failed is None and score > best:
                        self._keep(step, whole)
                except PosttrainError as error:
                    failed = error  # for all workers
            score, failed = self.dealer.tell((score, failed))
        if failed is not None:
            raise failed
        return score

    def _guarded(self, step: int) -> float:
        """The same problems and seeds each time."""
        guard = self.rollouts.guard
        assert guard is not None, "asked only where the recipe has a guard suite"
        sampling = replace(guard.sampling, stop_token_ids=self.template.stop_ids)
        parts = (guard.prompts.seed, "guard", 0)
        sampled = sample(self.rollouts.engine, self._problems, guard.samples, sampling, parts)
        judged: list[RolloutGroup] = self.rollouts.scorer.score(guard.prompts.verifier, sampled)
        write_groups(self.job.attempt / "rollouts" / f"guard-{step:05d}.jsonl", judged)
        refuse_faults(judged, self.stage.max_fault_share, step=step, where=f"{self.job.step_name}, guard suite")
        return right_share(judged)

    def _keep(self, step: int, whole: Any) -> None:
        """The best weights so far, and the two that were the best before: while the newest checkpoint is still being
        written, a resume goes back to the one before it."""
        folder = self.job.attempt / BEST
        kept = sorted(folder.glob("step-*"))
        for old in kept[:-2]:
            shutil.rmtree(old)
        new = folder / f"step-{step:05d}"
        self.save(whole, new)
        seal(new, step=step, owner=self.job.owner)

    @functools.cached_property
    def _problems(self) -> list[EncodedPrompt]:
        guard = self.rollouts.guard
        assert guard is not None, "asked only where the recipe has a guard suite"
        return pick_prompts(guard.prompts, self.rollouts.scorer, self.template, load=load_problems)[0]

    @functools.cached_property
    def _canaries(self) -> list[EncodedPrompt]:
        assert self.rollouts.canaries is not None, "asked only where the recipe has canaries"
        return pick_prompts(self.rollouts.canaries, self.rollouts.scorer, self.template)[0]

    def _taken(self, step: int, batch: Batch | None, failed: PosttrainError | None) -> list[RolloutGroup]:
        """The step's groups, sampled now where they were not asked ahead; the next ones are asked. failed: what went
        wrong before."""
        if failed is not None:
            raise failed
        batch = batch or self._judged(step, self.follower.version)
        self.ahead.ask(step, self.follower.version)
        self.lag, self.usual, self.figures = step - batch.version, batch.usual, batch.figures
        return batch.groups

    def _reused(self, groups: Sequence[RolloutGroup]) -> dict[str, float]:
        """What the filter had of the step, and has counted as generated."""
        version = self.rollouts.filtered.version if self.rollouts.filtered is not None else None
        held = [one.num_tokens for group in groups for one in group.completions if one.policy_version == version]
        return {"reused_answers": float(len(held)), "reused_tokens": float(sum(held))}

    def _judged(self, step: int, version: int) -> Batch:
        """All groups of the step, sampled and judged by the engine's weights, those of the step `version`; the record
        on disk also holds those that were replaced."""
        stage, seed = self.stage, self.job.seed
        seed_parts = (seed, self.job.step_name, step)
        chosen = self._chosen(step)
        seen: Counter[tuple[str, str]] = Counter()

        def ask(asked: Sequence[EncodedPrompt]) -> list[RolloutGroup]:
            engine = self.rollouts.engine
            if self.first is not None and version == 0:
                sampled = self.first.sample(engine, asked, stage.group, self.sampling)
            else:
                sampled = sample(engine, asked, stage.group, self.sampling, seed_parts, seen)
            scored: list[RolloutGroup] = self.rollouts.scorer.score(stage.verifier, sampled)
            return scored

        spare = spare_prompts(self.prompts, chosen, step, seed) if stage.max_resampled else []
        groups, replaced = groups_with_signal(ask, chosen, spare, stage.max_resampled)
        write_groups(self.job.attempt / "rollouts" / f"step-{step + 1:05d}.jsonl", [*groups, *replaced])
        refuse_faults([*groups, *replaced], stage.max_fault_share, step=step, where=self.job.step_name)
        usual: dict[Key, float] = {}
        if stage.length_control:
            usual = self.successes.usual(groups)
            self.successes.add([*groups, *replaced])
        figures = {**self._reused(groups), **signs_of([*groups, *replaced])}
        if self.rollouts.canaries is not None:
            figures["canaries_rewarded"] = float(self._canaries_rewarded(step))
        return Batch(version=version, groups=groups, usual=usual, figures=figures)

    def _canaries_rewarded(self, step: int) -> int:
        """Answers with a reward to some prompts without a right one."""
        canaries, seed = self.stage.alarms.canaries, self.job.seed
        assert canaries is not None, "they are there where the recipe names them"
        chosen = step_prompts(self._canaries, step, canaries.per_step, seed)
        sampled = sample(self.rollouts.engine, chosen, 1, self.sampling, (seed, "canaries", step))
        judged: list[RolloutGroup] = self.rollouts.scorer.score(canaries.verifier, sampled)
        write_groups(self.job.attempt / "rollouts" / f"canaries-{step + 1:05d}.jsonl", judged)
        refuse_faults(judged, self.stage.max_fault_share, step=step, where=f"{self.job.step_name}, canaries")
        return num_rewarded(judged)


def carry_rollouts(job: Job) -> None:
    """Take over the record of the steps before the checkpoint, later ones are sampled again; and the best weights."""
    if job.resume is None or not is_first_rank():
        return
    failpoint("rollouts.carry.before")
    before = job.resume.path.parent.parent
    for folder in sorted((before / BEST).glob("step-*")):
        if int(folder.name.split("-")[1]) <= job.resume.step and is_good(folder):
            shutil.copytree(folder, job.attempt / BEST / folder.name)
    for file in sorted((before / "rollouts").glob("*-*.jsonl")):
        if int(file.stem.split("-")[1]) <= job.resume.step:
            (job.attempt / "rollouts").mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, job.attempt / "rollouts" / file.name)
    failpoint("rollouts.carry.after")
