"""Several engines with the same weights, seen as one.

In order (on the CPU): requests are split in order, so the answer does not depend on who is fastest, to the last bit.
Otherwise each sample goes to the engine with the least work (dispatch.py). Knows nothing of what an engine is; needs
`submit(method, ...)` of each, so that they work at the same time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from posttrain.rollout.dispatch import SLOTS, Sample, dispatch
from posttrain.rollout.engine import EngineHealth
from posttrain.rollout.identity import Held
from posttrain.types import Completion, GenerationRequest, SamplingParams


class EnginePool:
    """Engine protocol over N proxies. Picklable when they are."""

    def __init__(self, members: Sequence[Any], *, in_order: bool = True, slots: int = SLOTS) -> None:
        self.members = list(members)
        self.in_order = in_order
        self.slots = slots

    def _split(
        self, method: str, rows: Sequence[Any], *columns: Sequence[Any], fixed: tuple[Any, ...] = ()
    ) -> list[Any]:
        """Call each member with its contiguous share of the rows (and of each further column), join the answers in
        order."""
        share = -(-len(rows) // len(self.members)) or 1
        parts = [slice(start, start + share) for start in range(0, len(rows), share)]
        pending = [
            member.submit(method, *(column[part] for column in (rows, *columns)), *fixed)
            for member, part in zip(self.members[: len(parts)], parts, strict=True)
        ]
        return [answer for call in pending for answer in call.result()]

    def _all(self, method: str, *args: Any) -> list[Any]:
        return [call.result() for call in [member.submit(method, *args) for member in self.members]]

    def generate(self, requests: Sequence[GenerationRequest], sampling: SamplingParams) -> list[list[Completion]]:
        if self.in_order:
            return self._split("generate", list(requests), fixed=(sampling,))
        asked = [(request.prompt_ids, seed) for request in requests for seed in request.seeds]
        samples = [Sample(place=place, prompt_ids=ids, seed=seed) for place, (ids, seed) in enumerate(asked)]
        done = dict(dispatch(self.members, samples, sampling, slots=self.slots))
        answers = iter(done[place] for place in range(len(samples)))
        return [[next(answers) for _ in request.seeds] for request in requests]

    def score(self, sequences: Sequence[Sequence[int]], starts: Sequence[int]) -> list[list[float]]:
        """Every member scores the same sequences when there are fewer than members: a parity check must reach each of
        them."""
        if len(sequences) > len(self.members) * 8:
            return self._split("score", list(sequences), list(starts))
        answers: list[list[list[float]]] = self._all("score", list(sequences), list(starts))
        return _worst_agreement(answers)

    def next_token_logprobs(self, prompts: Sequence[Sequence[int]], token_ids: Sequence[int]) -> list[list[float]]:
        return self._split("next_token_logprobs", list(prompts), fixed=(list(token_ids),))

    def load(self, model_dir: str, version: str) -> None:
        self._all("load", model_dir, version)

    def load_checked(self, model_dir: str, version: str) -> float:
        return max(self._all("load_checked", model_dir, version))

    def update_weights(self, weights: Mapping[str, Any], version: str) -> None:
        self._all("update_weights", weights, version)

    def rebuild(self, model_dir: str, version: str) -> None:
        self._all("rebuild", model_dir, version)

    def sleep(self) -> None:
        self._all("sleep")

    def wake(self) -> None:
        self._all("wake")

    def abandon(self) -> None:
        """Its members end, whatever they are at."""
        for member in self.members:
            member.abandon()

    def checksums(self) -> dict[str, Held]:
        """Of the first; a tensor in which members disagree gets the checksum of none that is right."""
        first, *others = self._all("checksums")
        return {
            name: next((other[name] for other in others if other.get(name, one) != one), one)
            for name, one in first.items()
        }

    def health(self) -> EngineHealth:
        """Of the first; a pool whose members disagree on the version says so in it."""
        states: list[EngineHealth] = self._all("health")
        versions = sorted({state.version for state in states})
        first = states[0]
        if len(versions) == 1:
            return first
        return EngineHealth(
            backend=first.backend, version=" and ".join(versions), device=first.device, dtype=first.dtype, pid=first.pid
        )

    def close(self) -> None:
        self._all("close")


def _worst_agreement(answers: Sequence[list[list[float]]]) -> list[list[float]]:
    """One answer where all members agree to the last bit of use; otherwise NaN there, which no parity check accepts."""
    first = answers[0]
    return [
        [
            value if all(abs(other[row][column] - value) <= 1e-2 for other in answers[1:]) else float("nan")
            for column, value in enumerate(values)
        ]
        for row, values in enumerate(first)
    ]
