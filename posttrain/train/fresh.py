"""Answers that a student gives while it is distilled: before each step the engine takes its weights and answers the
prompts of the step's pairs.

Nothing flows back through the sampling. Knows no teacher and no loss.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from posttrain.data.template import ChatTemplate
from posttrain.errors import PosttrainError
from posttrain.recipe.schema import Dpd
from posttrain.sampling.job import FollowingEngine
from posttrain.sampling.rollout_files import write_groups
from posttrain.sampling.sampler import sample
from posttrain.signals.stopping import giving_up_waits
from posttrain.train.dealing import Dealer
from posttrain.train.following import Follower
from posttrain.train.job import Job
from posttrain.types import EncodedPrompt, RolloutGroup, SamplingParams


@dataclass(frozen=True, kw_only=True, slots=True)
class FreshRow:
    """A fresh answer as token ids; cut off by max_tokens it has no stop token. domain: the data set of its prompt; kd:
    tokens that the teacher's KL is taken on.

    Example: FreshRow(domain="stem", prompt=(7, 8), answer=(4, 2), kd=2)
    """

    domain: str
    prompt: tuple[int, ...]
    answer: tuple[int, ...]
    kd: int


class FreshAnswers:
    """Made by all workers together. prompts: those to ask before each step, the same in every worker."""

    def __init__(
        self,
        job: Job,
        template: ChatTemplate,
        following: FollowingEngine,
        prompts: Sequence[Sequence[EncodedPrompt]],
        skipped: Collection[int],
    ) -> None:
        self.job, self.prompts, self.skipped = job, prompts, skipped
        self.follower = Follower(job, following)
        self.dealer = Dealer()
        self.stage: Dpd = job.stage
        self.sampling = SamplingParams(
            temperature=self.stage.temperature, max_tokens=self.stage.max_tokens, stop_token_ids=template.stop_ids
        )

    def rows(self, step: int, model: Any, optimizer: Any, beside: Sequence[Any] = ()) -> list[FreshRow]:
        """This worker's share of the step's answers, by the weights before it; the whole is recorded. beside: what
        else the trainer has on its GPU. All workers must call it. Raises StageError: parity lost;
        Stopped: a stop was asked for."""
        if not (prompts := self.prompts[step]):
            return []
        with giving_up_waits(self.job.stop_file):
            whole = self.follower.whole(model)
            with self.follower.turn([model, *beside], optimizer, self.dealer):
                failed = self.follower.follow(step, whole)
                groups = self.dealer.share(lambda: self._sampled(step, prompts, failed))
        return [
            FreshRow(
                domain=group.prompt.source,
                prompt=group.prompt_ids,
                answer=answer.token_ids,
                kd=sum(token not in self.skipped for token in answer.token_ids),
            )
            for group in groups
            for answer in group.completions
        ]

    def _sampled(
        self, step: int, prompts: Sequence[EncodedPrompt], failed: PosttrainError | None
    ) -> list[RolloutGroup]:
        """failed: what went wrong before, raised here for all workers, which wait for their share."""
        if failed is not None:
            raise failed
        seeds = (self.job.seed, self.job.step_name, step)
        groups = sample(self.follower.engine, prompts, self.stage.fresh_samples, self.sampling, seeds)
        write_groups(self.job.attempt / "rollouts" / f"step-{step + 1:05d}.jsonl", groups)
        return groups
