"""An engine on seats that other engines of the same step need, too (`cluster.share: time`): before it is asked, the
others go to sleep and it is woken. Its callers wait for each answer, so that one works at a time. Knows no seats.
"""

from __future__ import annotations

from typing import Any


class TakingTurns:
    """Engine protocol over an engine, or a proxy to one. others: engines on its seats; the list is its owner's, who
    adds those that come later, until it is pickled. Picklable when they are."""

    def __init__(self, engine: Any, others: list[Any]) -> None:
        self._engine, self._others = engine, others

    def __reduce__(self) -> tuple[Any, ...]:
        return TakingTurns, (self._engine, self._others)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)

        def ask(*args: Any, **kwargs: Any) -> Any:
            for other in self._others:
                other.sleep()
            self._engine.wake()
            return getattr(self._engine, name)(*args, **kwargs)

        return ask

    def health(self) -> Any:
        """Also of one that sleeps."""
        return self._engine.health()

    def sleep(self) -> None:
        """All that share the seats."""
        for engine in (self._engine, *self._others):
            engine.sleep()

    def abandon(self) -> None:
        """All that share the seats end, whatever they are at: who asked them has gone."""
        for engine in (self._engine, *self._others):
            engine.abandon()
