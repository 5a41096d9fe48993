"""The judge: programs in, judgements out, in order. Owns the queue and the slots; how one program is judged is the
business of judging/.

    run() --jobs--> queue --> slot threads (one box each, a second for split tests) --> judgements, back in order
                              waits for: its box                 unblocked by: frames, deadlines
"""

from __future__ import annotations

import threading
from concurrent.futures import Future
from queue import SimpleQueue
from types import TracebackType

from sandbox.backends.box import Backend, Size
from sandbox.backends.box_pool import BoxPool
from sandbox.backends.isolation import choose_backend
from sandbox.interpreter import SESSION, Session, SessionLimits
from sandbox.judging import host_speed
from sandbox.judging.rerun import SlotSchedule
from sandbox.judging.slot import Slot
from sandbox.types import Judgement, Level, Program


class Judge:
    """Context manager over a pool of `slots` boxes; `run` may be called from several threads at once.

    `backend` auto, docker, namespaces or local; `min_level` the weakest isolation accepted, see
    isolation.choose_backend. `image` a digest to use with docker instead of the one built here. `cpu_scale` multiplies
    CPU limits; None takes what a calibration of this host says.
    Raises LevelError (exit_code 69) when the level cannot be had.
    """

    def __init__(
        self,
        backend: str = "auto",
        min_level: str = "container",
        allow_unsafe: str | None = None,
        slots: int = 2,
        image: str | None = None,
        cpu_scale: float | None = None,
    ) -> None:
        if slots < 1:
            raise ValueError(f"slots must be at least 1, not {slots}")
        self.backend: Backend = choose_backend(backend, min_level, allow_unsafe, image)
        self.cpu_scale = host_speed.cpu_scale() if cpu_scale is None else cpu_scale
        self._jobs: SimpleQueue[tuple[Program, bool, Future[Judgement]] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._closed = False
        self._sessions = BoxPool(self.backend, slots)
        schedule = SlotSchedule.of_this_machine()
        self._slots = [Slot(self.backend, number, schedule, self.cpu_scale) for number in range(slots)]
        self._threads = [
            threading.Thread(target=self._work, args=(slot,), name=f"judge-{slot.number}", daemon=True)
            for slot in self._slots
        ]
        for thread in self._threads:
            thread.start()

    @property
    def level(self) -> Level:
        """The isolation that programs run under."""
        return self.backend.level

    @property
    def images(self) -> dict[str, str]:
        """Profile -> id of the image that its boxes run, of those started so far."""
        return dict(self.backend.images)

    def run(self, programs: list[Program], fail_fast: bool = False) -> list[Judgement]:
        """Judge all; as many judgements, in the same order. Raises RuntimeError after close."""
        futures: list[Future[Judgement]] = [Future() for _ in programs]
        with self._lock:
            if self._closed:
                raise RuntimeError("this judge is closed")
            for program, future in zip(programs, futures, strict=True):
                self._jobs.put((program, fail_fast, future))
        return [future.result() for future in futures]

    def session(self, limits: SessionLimits = SESSION) -> Session:
        """A stateful interpreter of its own. At most `slots` at once, beside the programs: waits for a box. Raises
        Fault, RuntimeError."""
        return Session(self._sessions.lease(Size.of(limits.of_a_cell())), limits, self._sessions.give_back)

    def close(self, *, at_once: bool = False) -> None:
        """End all boxes. Programs already given are judged first, unless `at_once`; sessions are ended where they
        are."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            while at_once and not self._jobs.empty():
                self._refuse(self._jobs.get())
            for _ in self._threads:
                self._jobs.put(None)
        for slot in self._slots if at_once else ():
            slot.abandon()
        for thread in self._threads:
            thread.join()
        self._sessions.close()
        self.backend.close()

    def __enter__(self) -> Judge:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(at_once=kind is not None)  # as by an interrupt: nobody waits for the rest any more

    @staticmethod
    def _refuse(job: tuple[Program, bool, Future[Judgement]] | None) -> None:
        if job is not None:
            job[2].set_exception(RuntimeError("this judge is closed"))

    def _work(self, slot: Slot) -> None:
        while (job := self._jobs.get()) is not None:
            program, fail_fast, future = job
            try:
                try:
                    judgement = slot.judge(program, fail_fast)
                except Exception as error:  # noqa: BLE001 - a bug of ours, over what one program made us read, costs no other its judgement
                    judgement = slot.fault_judgement(program, error)
                future.set_result(judgement)
            except BaseException as error:  # noqa: BLE001 - to the caller, not to a lost thread: nobody may wait for ever
                future.set_exception(error)
        slot.drop()
