"""Many rows at once through their models: each row is a program that yields what it wants to know and is given the
answers.

    admit   rows start in order while fewer than `window` are under way
    send    requests to servers one by one, as many at once as the model's `parallel`; checks in one batch at a time
    batch   only when nothing else is under way: all that waits for the first engine, by its role's name, as one batch

So with engines alone each batch is what the batches before it make it, also after a kill: the journal holds a batch
whole or not. A reply is in the journal before its row hears of it. Knows nothing of what rows ask.
"""

from __future__ import annotations

import itertools
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from posttrain.errors import StageError
from posttrain.factory.asking import Answer, Answerer, Ask, Check, Reply, Silent, Trial
from posttrain.factory.budget import Spending
from posttrain.factory.journal import Journal

GIVE_UP_AFTER = 8  # requests in a row to which a server gave no reply: it is gone
LAST_REPLIES_SECONDS = 20.0  # waited for when the stage stops
Program = Generator[Sequence[Ask | Check | Trial], list[Any], None]
Checker = Callable[[Sequence[Check | Trial]], list[Any]]


@dataclass(kw_only=True, slots=True)
class _Live:
    """A row under way: its program, and the answers that it waits for."""

    program: Program
    answers: list[Any] = field(default_factory=list)
    waiting: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class _Task:
    """A place in a row's list of answers, and what goes there."""

    ticket: int
    live: _Live
    place: int
    wanted: Ask | Check | Trial


class Driver:
    """models: by role; where: the stage's key in the recipe, for messages."""

    def __init__(
        self,
        *,
        models: Mapping[str, Answerer],
        checker: Checker,
        journal: Journal,
        spending: Spending,
        window: int,
        check_stop: Callable[[], None],
        where: str,
    ) -> None:
        self._models, self._checker, self._journal, self._spending = models, checker, journal, spending
        self._window, self._check_stop, self._where = window, check_stop, where
        self._rows_ended = 0
        self._tickets = itertools.count()
        self._live: set[int] = set()
        self._asks: dict[str, deque[_Task]] = {role: deque() for role in models}
        self._checks: list[_Task] = []
        self._done: queue.Queue[tuple[_Lane, list[_Task], Any]] = queue.Queue()
        self._lanes = {role: _Lane(model, self._done) for role, model in models.items() if model.parallel}
        self._checking = _Lane(None, self._done)
        self._under_way = 0
        self._silent_in_a_row = dict.fromkeys(models, 0)

    def run(self, programs: Iterator[Program]) -> None:
        """Every program to its end. Raises Stopped, StageError (budget, a model that is gone) and what a model raises;
        whatever was answered is in the journal."""
        try:
            exhausted = False
            while True:
                while not exhausted and len(self._live) < self._window:
                    program = next(programs, None)
                    exhausted = program is None
                    if program is not None:
                        self._start(program)
                if not self._live:
                    return
                self._send()
                if self._under_way:
                    self._take()
                elif not self._batch():
                    raise self._spending.used_up(self._rows_ended, self._where)
                self._check_stop()
        except Exception:
            self._take_last()
            raise
        finally:
            for lane in (*self._lanes.values(), self._checking):
                lane.end()

    # ------------------------------------------------------------ rows

    def _start(self, program: Program) -> None:
        live = _Live(program=program)
        self._live.add(id(live))
        self._advance(live, first=True)

    def _advance(self, live: _Live, *, first: bool = False) -> None:
        """Hand a row its answers until it wants something that is not known yet, or ends."""
        while True:
            try:
                wanted = next(live.program) if first else live.program.send(live.answers)
            except StopIteration:
                self._live.discard(id(live))
                self._rows_ended += 1
                return
            first = False
            live.answers, live.waiting = [None] * len(wanted), 0
            for place, item in enumerate(wanted):
                known = self._journal.reply(item.key) if isinstance(item, Ask) else None
                if known is not None:
                    live.answers[place] = Reply(**known)
                    continue
                live.waiting += 1
                task = _Task(ticket=next(self._tickets), live=live, place=place, wanted=item)
                if isinstance(item, Ask):
                    self._asks[item.role].append(task)
                else:
                    self._checks.append(task)
            if live.waiting:
                return

    def _give(self, task: _Task, answer: Any) -> None:
        live = task.live
        live.answers[task.place] = answer
        live.waiting -= 1
        if not live.waiting:
            self._advance(live)

    # ------------------------------------------------------------ sending

    def _send(self) -> None:
        for role, lane in self._lanes.items():
            waiting = self._asks[role]
            while waiting and lane.free and self._may_send(waiting[0]):
                self._put(lane, [waiting.popleft()])
        if self._checks and self._checking.free:
            batch, self._checks = self._checks, []
            self._put(self._checking, batch, lambda: self._checker([_check(task) for task in batch]))

    def _put(self, lane: _Lane, tasks: list[_Task], work: Callable[[], Any] | None = None) -> None:
        self._under_way += 1
        lane.put(tasks, work)

    def _may_send(self, task: _Task) -> bool:
        if not self._spending.limited:
            return True
        ask = _ask(task)
        model = self._models[ask.role]
        prompt, reply = model.most_tokens(ask)
        longest = Reply(text="", cut=False, prompt_tokens=prompt, completion_tokens=reply, by="")
        return self._spending.reserve(task.ticket, prompt + reply, model.price(longest))

    def _batch(self) -> bool:
        """All that waits for one engine; False where nothing can be sent."""
        for role in sorted(self._asks):
            tasks = list(self._asks[role])
            if tasks and role not in self._lanes:
                self._asks[role].clear()
                self._hear(tasks, self._models[role].answer([_ask(task) for task in tasks]))
                return True
        return False

    # ------------------------------------------------------------ hearing

    def _take(self, seconds: float = 0.5) -> None:
        """What has come back, at most one wait."""
        try:
            lane, tasks, answers = self._done.get(timeout=seconds)
        except queue.Empty:
            return
        self._under_way -= 1
        lane.heard()
        if isinstance(answers, BaseException):
            raise answers
        self._hear(tasks, answers)

    def _hear(self, tasks: Sequence[_Task], answers: Sequence[Any]) -> None:
        """To the journal first, whole; then to the rows."""
        self._keep(tasks, answers)
        for task, answer in zip(tasks, answers, strict=True):
            if isinstance(task.wanted, Ask):
                self._count(task, answer)
            self._give(task, answer)

    def _count(self, task: _Task, answer: Answer) -> None:
        role = _ask(task).role
        if isinstance(answer, Reply):
            if self._spending.limited and answer.completion_tokens is None:
                raise StageError(
                    f"the server of {role} does not say how many tokens a reply took, so no budget can be kept",
                    where=self._where,
                    remedy="remove the budget, or ask a server that reports usage",
                )
            tokens = (answer.prompt_tokens or 0) + (answer.completion_tokens or 0)
            self._spending.settle(task.ticket, tokens, self._models[role].price(answer))
        else:
            self._spending.settle(task.ticket, 0, 0.0)
        self._silent_in_a_row[role] = self._silent_in_a_row[role] + 1 if isinstance(answer, Silent) else 0
        if self._silent_in_a_row[role] >= GIVE_UP_AFTER and isinstance(answer, Silent):
            raise StageError(
                f"{role} gave no reply to {GIVE_UP_AFTER} requests in a row: {answer.reason}",
                where=self._where,
                remedy="is its server up? The same command goes on: nothing that was answered is asked again",
            )

    def _take_last(self) -> None:
        """Replies that are under way when the stage stops have been paid for: they are waited for, a while."""
        end = time.monotonic() + LAST_REPLIES_SECONDS
        while self._under_way and time.monotonic() < end:
            try:
                _, tasks, answers = self._done.get(timeout=0.2)
            except queue.Empty:
                continue
            self._under_way -= 1
            if not isinstance(answers, BaseException):
                self._keep(tasks, answers)

    def _keep(self, tasks: Sequence[_Task], answers: Sequence[Any]) -> None:
        """The replies among the answers, as one line."""
        entries = []
        for task, answer in zip(tasks, answers, strict=True):
            if isinstance(answer, Reply):
                ask = _ask(task)
                asked = {"key": ask.key, "role": ask.role, "row": ask.row, "place": ask.place}
                entries.append({**asked, "reply": asdict(answer)})
        self._journal.keep_replies(entries)


def _ask(task: _Task) -> Ask:
    assert isinstance(task.wanted, Ask), "checks are no requests to models"
    return task.wanted


def _check(task: _Task) -> Check | Trial:
    assert isinstance(task.wanted, Check | Trial), "requests to models are no checks"
    return task.wanted


class _Lane:
    """Threads that take one task at a time. They end with the process: none holds up a stop.

    A reply that the driver has not heard yet keeps its thread's place, so that a kill never takes more than `parallel`
    of them.
    """

    def __init__(self, model: Answerer | None, done: queue.Queue[tuple[_Lane, list[_Task], Any]]) -> None:
        self._model, self._done = model, done
        self._limit = model.parallel if model is not None else 1
        self._tasks: queue.Queue[tuple[list[_Task], Callable[[], Any] | None] | None] = queue.Queue()
        self._threads: list[threading.Thread] = []
        self._busy = 0

    @property
    def free(self) -> bool:
        return self._busy < self._limit

    def put(self, tasks: list[_Task], work: Callable[[], Any] | None) -> None:
        self._busy += 1
        if len(self._threads) < self._busy:
            thread = threading.Thread(target=self._work, daemon=True, name="factory")
            self._threads.append(thread)
            thread.start()
        self._tasks.put((tasks, work))

    def _work(self) -> None:
        while (item := self._tasks.get()) is not None:
            tasks, work = item
            try:
                answers = work() if work is not None else self._ask(tasks)
            except BaseException as error:  # noqa: BLE001 - raised again by the driver
                answers = error
            self._done.put((self, tasks, answers))

    def heard(self) -> None:
        """The driver has one answer of this lane."""
        self._busy -= 1

    def _ask(self, tasks: list[_Task]) -> list[Answer]:
        assert self._model is not None, "a lane without a model is given work"
        return self._model.answer([_ask(task) for task in tasks])

    def end(self) -> None:
        for _ in self._threads:
            self._tasks.put(None)
