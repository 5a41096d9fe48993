"""One place asks for all trainer workers: the first samples and scores a step's groups, and deals them so that every
worker has about as many tokens.

Knows nothing of what the groups are for.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from posttrain.errors import PosttrainError
from posttrain.machine.ranks import is_first_rank, world_size
from posttrain.types import RolloutGroup

Told = TypeVar("Told")

# A step's answers may take hours; how long is too long is for the first worker to say.
_PATIENCE = datetime.timedelta(days=7)


def deal(groups: Sequence[RolloutGroup], workers: int) -> list[list[RolloutGroup]]:
    """Shares of the groups, one a worker, balanced by tokens: the largest first, to who has the least. Each share in
    the order of the step."""
    sizes = [sum(len(group.prompt_ids) + one.num_tokens for one in group.completions) for group in groups]
    loads = [0] * workers
    shares: list[list[int]] = [[] for _ in range(workers)]
    for place in sorted(range(len(groups)), key=lambda place: (-sizes[place], place)):
        least = min(range(workers), key=lambda worker: (loads[worker], len(shares[worker]), worker))
        shares[least].append(place)
        loads[least] += sizes[place]
    return [[groups[place] for place in sorted(share)] for share in shares]


class Dealer:
    """Made by all workers together, as it opens a line of its own between them: NCCL's gives up after ten minutes."""

    def __init__(self) -> None:
        self._line: Any = None
        if world_size() > 1:
            import torch.distributed

            self._line = torch.distributed.new_group(backend="gloo", timeout=_PATIENCE)

    def share(self, make: Callable[[], list[RolloutGroup]]) -> list[RolloutGroup]:
        """This worker's share of what the first worker makes. An error that it raises (Stopped too) is raised in
        all."""
        if world_size() == 1:
            return make()
        import torch.distributed

        dealt: list[Any] | None = None
        if is_first_rank():
            try:
                dealt = list(deal(make(), world_size()))
            except PosttrainError as error:
                dealt = [error] * world_size()
        received: list[Any] = [None]
        torch.distributed.scatter_object_list(received, dealt, src=0, group=self._line)
        if isinstance(received[0], PosttrainError):
            raise received[0]
        mine: list[RolloutGroup] = received[0]
        return mine

    def tell(self, value: Told) -> Told:
        """The first worker's value, in every worker."""
        if world_size() == 1:
            return value
        import torch.distributed

        told = [value]
        torch.distributed.broadcast_object_list(told, src=0, group=self._line)
        return told[0]
