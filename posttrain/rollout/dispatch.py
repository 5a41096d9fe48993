"""Samples to engines as these have room: each goes to the engine with the least work, and each answer leaves when it is
done, not when the last of a batch is.

                 least work, up to `slots`                    as each is done
    waiting ──> advance(new) on engine 0 ── decodes what it holds ──> (place, Completion) ──> the caller
            ──> advance(new) on engine 1 ──                       ──>
                 ^ one call under way for each engine that holds samples; the answer to it makes room

The engine keeps what is not done between two calls, so batching goes on across them. Which engine answers a sample
hangs on speeds; its seed does not. Knows no engine's kind and nothing of Ray: needs `submit(method, ...)` of each
member, and of what it returns `result()` and `wait_any`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from posttrain.types import Completion, SamplingParams

SLOTS = 256
"""Samples that one engine is given at once; vLLM decodes as many together by default."""
_SHARE = 16  # an engine reports when a sixteenth of what it holds is done: fewer calls than tokens, little delay


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """One answer wanted. place: its number in the caller's order; prompt_ids: [P].

    Example: Sample(place=17, prompt_ids=(151644, 872, 198), seed=4093719283)
    """

    place: int
    prompt_ids: tuple[int, ...]
    seed: int


def dispatch(
    members: Sequence[Any], samples: Sequence[Sample], sampling: SamplingParams, *, slots: int = SLOTS
) -> Iterator[tuple[int, Completion]]:
    """(place, completion) of every sample, once each, as they are done. Raises what a member raises."""
    waiting = deque(samples)
    live = [0] * len(members)
    under_way: dict[int, Any] = {}
    started: set[int] = set()

    def hand_out() -> None:
        """To each engine that has no call under way, what makes loads even; an engine without new work goes on with
        what it has."""
        free = [index for index in range(len(members)) if index not in under_way]
        given: dict[int, list[Sample]] = {index: [] for index in free}
        while waiting and free:
            least = min(free, key=lambda index: (live[index], index))
            if live[least] >= slots:
                break
            given[least].append(waiting.popleft())
            live[least] += 1
        for index in free:
            if live[index]:
                at_least = max(1, live[index] // _SHARE)
                under_way[index] = members[index].submit(
                    "advance", given[index], sampling, fresh=index not in started, at_least=at_least
                )
                started.add(index)

    hand_out()
    while under_way:
        calls = list(under_way.values())
        done = type(calls[0]).wait_any(calls)
        for index in [index for index, call in under_way.items() if any(call is one for one in done)]:
            finished = under_way.pop(index).result()
            live[index] -= len(finished)
            yield from finished
        hand_out()
