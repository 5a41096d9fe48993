"""Sampling that outlives a kill: prompts are answered and judged one batch at a time, and each batch is on disk
before the next begins.

    judged_answers(job, prompts, stop_ids, asker="policy") -> scored groups of all prompts, the same ones however often
                                                              it was killed

A stop ends the wait within a second: finished batches are kept, the one under way is abandoned where it runs. Knows no
stage.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from json import JSONDecodeError

from posttrain.sampling.job import AnswerBatches, SamplingJob
from posttrain.sampling.rollout_files import read_groups, write_groups
from posttrain.sampling.sampler import Asked, count_occurrences, sample_range
from posttrain.signals.progress import tell
from posttrain.signals.stopping import giving_up_waits
from posttrain.types import EncodedPrompt, Prompt, RolloutGroup
from rewards.types import Outcome, Verdict


@dataclass(frozen=True, kw_only=True, slots=True)
class Waves:
    """Ask `size` answers at a time, and no more of a prompt whose verdicts so far are not `is_open`.

    Example: Waves(size=4, is_open=lambda verdicts: not any(verdict.passed for verdict in verdicts))
    """

    size: int
    is_open: Callable[[Sequence[Verdict]], bool]


def judged_answers(
    job: SamplingJob,
    prompts: Sequence[EncodedPrompt],
    stop_ids: Sequence[int],
    *,
    asker: str,
    finish: Callable[[RolloutGroup], RolloutGroup] | None = None,
    waves: Waves | None = None,
) -> list[RolloutGroup]:
    """`job.samples` judged answers of `job.model` to each prompt, in order; with `waves` fewer where fewer will do.

    stop_ids: the template's stop tokens; asker: tells the callers of one step apart, in seeds and in names of files;
    finish: applied before the verdict. Raises Stopped. Answers come as they are read back from disk: without the
    verdicts' certificates and seconds.
    """
    batches = job.batches
    asking = dataclasses.replace(job, sampling=dataclasses.replace(job.sampling, stop_token_ids=tuple(stop_ids)))
    step = waves.size if waves else job.samples
    size = max(1, batches.samples // step)
    seen: Counter[tuple[str, str]] = Counter()
    done: list[RolloutGroup] = []
    for first in range(0, len(prompts), size):
        part = prompts[first : first + size]
        asked = [encoded.prompt for encoded in part]
        tell(batches.stop_file, f"sampling for {asker}", first, len(prompts))
        name = f"{asker}-{first:08d}-{first + len(part):08d}-{job.samples}.jsonl"
        occurrences = count_occurrences(part, seen)
        groups = _of_earlier_attempt(batches, name, asked)
        if groups is None:
            batch = _Batch(asking, list(zip(part, occurrences, strict=True)), asker, finish)
            with giving_up_waits(batches.stop_file):
                scored = batch.in_waves(step, waves.is_open if waves else lambda verdicts: True)
            write_groups(batches.folder / name, scored)
            groups = read_groups(batches.folder / name, asked)
        done += [dataclasses.replace(one, prompt_ids=row.ids) for one, row in zip(groups, part, strict=True)]
    return done


@dataclass(frozen=True, slots=True)
class _Batch:
    """Prompts with their occurrences, asked together."""

    job: SamplingJob
    asked: Sequence[tuple[EncodedPrompt, int]]
    asker: str
    finish: Callable[[RolloutGroup], RolloutGroup] | None

    def in_waves(self, size: int, is_open: Callable[[Sequence[Verdict]], bool]) -> list[RolloutGroup]:
        """Judged groups of all prompts, in order."""
        groups = [
            RolloutGroup(prompt=encoded.prompt, prompt_ids=encoded.ids, completions=()) for encoded, _ in self.asked
        ]
        for start in range(0, self.job.samples, size):
            chosen = [place for place, group in enumerate(groups) if start == 0 or is_open(group.verdicts)]
            if not chosen:
                break
            for place, more in zip(chosen, self._wave(chosen, start, size), strict=True):
                before = groups[place]
                groups[place] = dataclasses.replace(
                    before,
                    completions=(*before.completions, *more.completions),
                    verdicts=(*before.verdicts, *more.verdicts),
                )
        return groups

    def _wave(self, chosen: Sequence[int], start: int, size: int) -> list[RolloutGroup]:
        job = self.job
        indices = range(start, min(start + size, job.samples))
        pairs = [self.asked[place] for place in chosen]
        asked = [Asked(prompt=encoded, occurrence=occurrence, indices=indices) for encoded, occurrence in pairs]
        answers = sample_range(job.model.engine, asked, job.sampling, (job.prompts.seed, self.asker, 0))
        sampled = [
            RolloutGroup(prompt=one.prompt.prompt, prompt_ids=one.prompt.ids, completions=completions)
            for one, completions in zip(asked, answers, strict=True)
        ]
        finished = [self.finish(one) for one in sampled] if self.finish else sampled
        scored: list[RolloutGroup] = job.scorer.score(job.prompts.verifier, finished)
        return scored


def _of_earlier_attempt(batches: AnswerBatches, name: str, prompts: Sequence[Prompt]) -> list[RolloutGroup] | None:
    """A batch of an earlier attempt. One with a fault in it is judged again: what was at fault may be mended by
    now."""
    for folder in batches.earlier:
        if (folder / name).is_file():
            try:
                groups = read_groups(folder / name, prompts)
            except (JSONDecodeError, UnicodeDecodeError, KeyError, EOFError):
                continue  # torn, as by a loss of power: as if it were not there
            if all(verdict.outcome is not Outcome.ERROR for group in groups for verdict in group.verdicts):
                return groups
    return None
