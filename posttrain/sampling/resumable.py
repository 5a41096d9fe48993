"""Sampling that outlives a kill: prompts are answered and judged a portion at a time, and each portion is on disk
before the next begins.

    answers(portions, "policy", prompts, ...) -> scored groups of all prompts, the same ones however often it was killed

A stop ends the wait within a second: finished portions are kept, the one under way is abandoned where it runs. Knows no
stage.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from json import JSONDecodeError
from pathlib import Path
from typing import Any

from posttrain.rollout.engine import Engine
from posttrain.sampling.rollout_files import read_groups, write_groups
from posttrain.sampling.sampler import PromptEncoder, sample
from posttrain.signals.progress import tell
from posttrain.signals.stopping import giving_up_waits
from posttrain.types import Prompt, RolloutGroup, SamplingParams
from rewards.types import Outcome

SAMPLES_PER_ENGINE = 2048
"""Some times what an engine decodes together, so that the wait for the last answers of a portion costs little."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Portions:
    """Where finished portions are kept and looked for. earlier: the same folder of previous attempts; samples: answers
    a portion."""

    folder: Path
    earlier: tuple[Path, ...]
    stop_file: Path
    samples: int


def answers(
    portions: Portions, who: str, prompts: Sequence[Prompt], *, engine: Engine, encoder: PromptEncoder, scorer: Any,
    verifier: str | Mapping[str, str], group: int, sampling: SamplingParams, seed_parts: Sequence[Any],
    finish: Callable[[RolloutGroup], RolloutGroup] | None = None,
) -> list[RolloutGroup]:  # fmt: skip
    """`group` judged answers of each prompt, in order. who: tells the callers of one step apart; finish: applied before
    the verdict.

    Raises Stopped. Answers come as they are read back from disk: without the verdicts' certificates and seconds.
    """
    size = max(1, portions.samples // group)
    seen: Counter[tuple[str, str]] = Counter()
    done: list[RolloutGroup] = []
    for first in range(0, len(prompts), size):
        part = prompts[first : first + size]
        tell(portions.stop_file, f"sampling for {who}", first, len(prompts))
        name = f"{who}-{first:08d}-{first + len(part):08d}-{group}.jsonl"
        groups = _kept(portions, name, part)
        if groups is None:
            with giving_up_waits(portions.stop_file):
                sampled = sample(engine, part, encoder, group, sampling, seed_parts, seen)
                sampled = [finish(one) for one in sampled] if finish else sampled
                scored = scorer.score(verifier, sampled)
            write_groups(portions.folder / name, scored)
            groups = read_groups(portions.folder / name, part)
        else:
            seen.update((prompt.source, prompt.id) for prompt in part)
        done += [dataclasses.replace(one, prompt_ids=tuple(encoder.prompt_ids(one.prompt.messages))) for one in groups]
    return done


def _kept(portions: Portions, name: str, prompts: Sequence[Prompt]) -> list[RolloutGroup] | None:
    """A portion of an earlier attempt. One with a fault in it is judged again: what was at fault may be mended by
    now."""
    for folder in portions.earlier:
        if (folder / name).is_file():
            try:
                groups = read_groups(folder / name, prompts)
            except (
                JSONDecodeError,
                UnicodeDecodeError,
                KeyError,
                EOFError,
            ):  # torn, as by a loss of power: as if it were not there
                continue
            if all(verdict.outcome is not Outcome.ERROR for group in groups for verdict in group.verdicts):
                return groups
    return None
