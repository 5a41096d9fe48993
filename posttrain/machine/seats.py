"""Who holds which GPU. A role (the trainers, or the engines of the policy, of a teacher, of a judge) takes as many
seats as it asks, a GPU each:

    free ones                 first
    those of idle roles       which no one has used since the step began: they are stopped
    those of working roles    where roles take turns (`cluster.share: time`): who is not at work sleeps

Pure: knows no Ray, and starts and stops nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from posttrain.errors import BackendError

TRAINERS = "trainers"
_ROUNDING = 1e-9


@dataclass(frozen=True, kw_only=True, slots=True)
class Seat:
    """A GPU. node: Ray's id of it; gpu: as CUDA_VISIBLE_DEVICES names it there.

    Example: Seat(node="4be1", gpu="3")
    """

    node: str
    gpu: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Taken:
    """places: the seats of each worker of the role; stop: the idle roles that must give up theirs before.

    Example: Taken(places=((Seat(node="4be1", gpu="0"), Seat(node="4be1", gpu="1")),), stop=("teacher",))
    """

    places: tuple[tuple[Seat, ...], ...]
    stop: tuple[str, ...]


class Seats:
    """Example: Seats([Seat(node="4be1", gpu="0")], turns=True).take("policy", 1, 1.0)"""

    def __init__(self, seats: Sequence[Seat], *, turns: bool) -> None:
        self._seats, self._turns = tuple(seats), turns
        self._held: dict[str, dict[Seat, float]] = {}  # role -> its share of each seat; least recently used first
        self._working: set[str] = set()

    def begin_step(self) -> None:
        """All roles are idle until they are used again."""
        self._working.clear()

    def take(self, role: str, workers: int, gpus: float) -> Taken:
        """Seats for the workers of a role, each so many GPUs of one node, or a share of one below 1. Raises
        BackendError that says who holds what."""
        self.give_back(role)
        idle = [name for name in self._held if name not in self._working]
        ways = [set(idle[:count]) for count in range(len(idle) + 1)]
        if self._turns:
            ways.append(set(self._held))
        for ignored in ways:
            places = self._fit(workers, gpus, ignored)
            if places is not None:
                share = min(1.0, gpus)
                mine = {seat: 0.0 for seats in places for seat in seats}
                for seats in places:
                    for seat in seats:
                        mine[seat] += share
                stop = tuple(name for name in idle if name in ignored and self._held[name].keys() & mine.keys())
                for name in stop:
                    self.give_back(name)
                self._held[role] = mine
                self._working.add(role)
                return Taken(places=places, stop=stop)
        raise BackendError(
            f"{workers} workers of {gpus:g} GPU for the {role} find no room: {self.said()}",
            where="cluster",
            remedy="ask for fewer or smaller workers, give more GPUs, or let roles take turns with cluster.share: time",
        )

    def use(self, role: str) -> tuple[str, ...]:
        """A role that has seats goes to work. Returns the idle roles that must give up theirs before."""
        self._held[role] = self._held.pop(role)  # the last used
        self._working.add(role)
        stop = tuple(name for name in self.rivals(role) if name not in self._working)
        for name in stop:
            self.give_back(name)
        return stop

    def rivals(self, role: str) -> tuple[str, ...]:
        """The roles with which it takes turns: those on a seat of its own that has not room for all of them."""
        crowded = {
            seat
            for seat in self._held[role]
            if sum(held.get(seat, 0.0) for held in self._held.values()) > 1 + _ROUNDING
        }
        return tuple(name for name, held in self._held.items() if name != role and held.keys() & crowded)

    def has(self, role: str) -> bool:
        return role in self._held

    def give_back(self, role: str) -> None:
        """Without seats it has nothing to give."""
        self._held.pop(role, None)
        self._working.discard(role)

    def said(self) -> str:
        """Example: "8 seats on 1 nodes; policy holds 4, teacher holds 4"."""
        held = ", ".join(f"{role} holds {sum(mine.values()):g}" for role, mine in self._held.items()) or "all free"
        return f"{len(self._seats)} seats on {len({seat.node for seat in self._seats})} nodes; {held}"

    def _fit(self, workers: int, gpus: float, ignored: Collection[str]) -> tuple[tuple[Seat, ...], ...] | None:
        """The seats of each worker as if the ignored roles had none; where they do work, those of the fewest."""
        room = dict.fromkeys(self._seats, 1.0)
        crowd = dict.fromkeys(self._seats, 0)
        for name, held in self._held.items():
            for seat, share in held.items():
                room[seat] -= 0.0 if name in ignored else share
                crowd[seat] += name in self._working
        whole = max(1, round(gpus))
        places = []
        for _ in range(workers):
            fitting = self._on_one_node(room, crowd, count=whole, share=min(1.0, gpus))
            if fitting is None:
                return None
            for seat in fitting:
                room[seat] -= min(1.0, gpus)
            places.append(fitting)
        return tuple(places)

    def _on_one_node(
        self, room: dict[Seat, float], crowd: dict[Seat, int], *, count: int, share: float
    ) -> tuple[Seat, ...] | None:
        for node in dict.fromkeys(seat.node for seat in self._seats):
            # Workers of a part of a GPU go to different ones while there are any.
            free = sorted(
                (seat for seat in self._seats if seat.node == node and room[seat] >= share - _ROUNDING),
                key=lambda seat: (crowd[seat], -room[seat]),
            )
            if len(free) >= count:
                return tuple(free[:count])
        return None
