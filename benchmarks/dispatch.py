"""How long engines idle while a step's answers are sampled: the real dispatcher over simulated engines, beside the
split in order that it replaces. Deterministic, a second on one core, no model.

    python benchmarks/dispatch.py [--engines 8] [--prompts 32] [--group 16] [--seed 0]

An engine decodes all that it holds together; one token takes `base + each * held` milliseconds, figures of a 4B model
in bfloat16 on one H100 (weights are read once a token, the caches of all answers beside them). Lengths are log-normal
and cut at the longest answer. The split in order is what eight trainer ranks did: each asked its prompts of the whole
group of engines, one contiguous share an engine, and an engine answered one call after another.
"""

from __future__ import annotations

import argparse
import random
from dataclasses import dataclass, field
from typing import Any

from posttrain.rollout.dispatch import Sample, dispatch
from posttrain.types import SamplingParams

BASE_MS, EACH_MS = 4.0, 0.04
MEDIAN, LONGEST = 8192, 32768
TAIL = 0.95  # of the answers are done: the last ones leave engines without work in any dispatch


@dataclass
class Engine:
    """Holds samples (remaining tokens by place) and advances when asked, on a clock of its own."""

    lengths: list[int]
    clock: Clock
    held: dict[int, int] = field(default_factory=dict)
    now: float = 0.0
    busy: list[tuple[float, float]] = field(default_factory=list)

    def submit(self, method: str, new: list[Sample], sampling: Any, *, fresh: bool, at_least: int) -> Call:
        """The call that `dispatch` makes; its answer is known at once and due later."""
        start = max(self.now, self.clock.now)
        self.held |= {sample.place: self.lengths[sample.place] for sample in new}
        time, done = start, []
        while self.held and len(done) < at_least:
            tokens = min(self.held.values())
            time += tokens * (BASE_MS + EACH_MS * len(self.held))
            finished = sorted(place for place, left in self.held.items() if left == tokens)
            self.held = {place: left - tokens for place, left in self.held.items() if left > tokens}
            done += finished
            self.clock.ends += [time] * len(finished)
        self.now = time
        self.busy.append((start, time))
        return Call(self.clock, time, [(place, place) for place in done])


@dataclass
class Clock:
    """The one time that all engines share, and when each answer was done."""

    now: float = 0.0
    ends: list[float] = field(default_factory=list)


@dataclass
class Call:
    """A call under way: due at a time, with its answer."""

    clock: Clock
    due: float
    answer: Any

    def result(self) -> Any:
        """The answer."""
        return self.answer

    @staticmethod
    def wait_any(calls: list[Call]) -> list[Call]:
        """Move the clock to the first that is due."""
        first = min(calls, key=lambda call: call.due)
        first.clock.now = max(first.clock.now, first.due)
        return [call for call in calls if call.due <= first.clock.now]


def figures(engines: list[Engine], clock: Clock) -> tuple[float, float, float]:
    """(wall in seconds, idle share before the tail, idle share in all)."""
    ends = sorted(clock.ends)
    wall, tail = ends[-1], ends[int(TAIL * len(ends)) - 1]

    def idle(until: float) -> float:
        busy = sum(max(0.0, min(end, until) - start) for engine in engines for start, end in engine.busy)
        return 1.0 - busy / (until * len(engines))

    return wall / 1000, idle(tail), idle(wall)


def least_work(lengths: list[int], num_engines: int) -> tuple[float, float, float]:
    """The dispatcher as it is."""
    clock = Clock()
    engines = [Engine(lengths, clock) for _ in range(num_engines)]
    samples = [Sample(place=place, prompt_ids=(), seed=place) for place in range(len(lengths))]
    done = [place for place, _ in dispatch(engines, samples, SamplingParams())]
    assert sorted(done) == list(range(len(lengths))), "a sample was lost or doubled"
    return figures(engines, clock)


def split_in_order(lengths: list[int], num_engines: int, group: int) -> tuple[float, float, float]:
    """Each of as many ranks as engines asks its prompts of all engines; calls to an engine queue up."""
    clock = Clock()
    engines = [Engine(lengths, clock) for _ in range(num_engines)]
    prompts = len(lengths) // group
    for rank in range(num_engines):
        mine = list(range(rank, prompts, num_engines))
        share = -(-len(mine) // num_engines) or 1
        for number, first in enumerate(range(0, len(mine), share)):
            asked = [prompt * group + index for prompt in mine[first : first + share] for index in range(group)]
            samples = [Sample(place=place, prompt_ids=(), seed=place) for place in asked]
            engines[number].submit("advance", samples, None, fresh=True, at_least=len(samples))
    return figures(engines, clock)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("engines", 8), ("prompts", 32), ("group", 16), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    asked = parser.parse_args()
    print(
        f"{asked.engines} engines, {asked.prompts} prompts x {asked.group}, median {MEDIAN} tokens, at most {LONGEST}"
    )
    print("| spread of log lengths | dispatch | wall | idle before the tail | idle in all |\n|---|---|---|---|---|")
    for spread in (0.5, 0.75, 1.0):
        draw = random.Random(asked.seed)
        count = asked.prompts * asked.group
        lengths = [max(1, min(LONGEST, round(MEDIAN * draw.lognormvariate(0.0, spread)))) for _ in range(count)]
        old, new = split_in_order(lengths, asked.engines, asked.group), least_work(lengths, asked.engines)
        for name, (wall, before, whole) in (("in order", old), ("least work", new)):
            print(f"| {spread} | {name} | {wall:.0f} s | {before:.1%} | {whole:.1%} |")
        print(f"| {spread} | | {old[0] / new[0]:.2f}x less | | |")


if __name__ == "__main__":
    main()
