"""Boxes lent to the sessions of one judge: so many at a time, started when first needed, used again while they are
sound.

Knows nothing of what is run in them.
"""

from __future__ import annotations

import threading

from sandbox.backends.box import Backend, Box, Size
from sandbox.images.root_tree import PLAIN, SCIENCE, science_packages


class BoxPool:
    """Boxes lent to sessions, `most` at a time, started when first needed."""

    def __init__(self, backend: Backend, most: int) -> None:
        self.backend = backend
        self._free: list[Box] = []
        self._lent: set[Box] = set()
        self._sizes: dict[Box, Size] = {}
        self._most = most
        self._closed = False
        self._changed = threading.Condition()

    def lease(self, size: Size) -> Box:
        """A box of this size that nobody else has; waits for one to come back. Raises Fault when none starts,
        RuntimeError once closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._most > 0)
            if self._closed:
                raise RuntimeError("this judge is closed")
            self._most -= 1
            box = self._free.pop() if self._free else None
        try:
            if box is not None and not self._sizes[box].holds(size):
                self._sizes.pop(box)
                box.close()
                box = None
            if box is None:
                box = Box(self.backend.start(0, "session", SCIENCE if science_packages() else PLAIN, size))
        except BaseException:
            with self._changed:
                self._most += 1
                self._changed.notify()
            raise
        with self._changed:
            self._lent.add(box)
            self._sizes.setdefault(box, size)
        return box

    def give_back(self, box: Box, sound: bool) -> None:
        """The end of a lease; a box that is not sound is thrown away."""
        with self._changed:
            self._lent.discard(box)
            kept = sound and not self._closed
            if kept:
                self._free.append(box)
            self._most += 1
            self._changed.notify()
        if not kept:
            self._sizes.pop(box, None)
            box.close()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            ended = [*self._free, *self._lent]
            self._free.clear()
            self._changed.notify_all()
        for box in ended:
            box.close()
