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
from json import JSONDecodeError

from posttrain.sampling.job import AnswerBatches, SamplingJob
from posttrain.sampling.rollout_files import read_groups, write_groups
from posttrain.sampling.sampler import sample
from posttrain.signals.progress import tell
from posttrain.signals.stopping import giving_up_waits
from posttrain.types import EncodedPrompt, Prompt, RolloutGroup
from rewards.types import Outcome


def judged_answers(
    job: SamplingJob,
    prompts: Sequence[EncodedPrompt],
    stop_ids: Sequence[int],
    *,
    asker: str,
    finish: Callable[[RolloutGroup], RolloutGroup] | None = None,
) -> list[RolloutGroup]:
    """`job.samples` judged answers of `job.model` to each prompt, in order. stop_ids: the template's stop tokens;
    asker: tells the callers of one step apart, in seeds and in names of files; finish: applied before the
    verdict.

    Raises Stopped. Answers come as they are read back from disk: without the verdicts' certificates and seconds.
    """
    batches, samples = job.batches, job.samples
    sampling = dataclasses.replace(job.sampling, stop_token_ids=tuple(stop_ids))
    size = max(1, batches.samples // samples)
    seen: Counter[tuple[str, str]] = Counter()
    done: list[RolloutGroup] = []
    for first in range(0, len(prompts), size):
        part = prompts[first : first + size]
        asked = [encoded.prompt for encoded in part]
        tell(batches.stop_file, f"sampling for {asker}", first, len(prompts))
        name = f"{asker}-{first:08d}-{first + len(part):08d}-{samples}.jsonl"
        groups = _of_earlier_attempt(batches, name, asked)
        if groups is None:
            with giving_up_waits(batches.stop_file):
                sampled = sample(job.model.engine, part, samples, sampling, (job.prompts.seed, asker, 0), seen)
                sampled = [finish(one) for one in sampled] if finish else sampled
                scored = job.scorer.score(job.prompts.verifier, sampled)
            write_groups(batches.folder / name, scored)
            groups = read_groups(batches.folder / name, asked)
        else:
            seen.update((prompt.source, prompt.id) for prompt in asked)
        done += [dataclasses.replace(one, prompt_ids=row.ids) for one, row in zip(groups, part, strict=True)]
    return done


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
