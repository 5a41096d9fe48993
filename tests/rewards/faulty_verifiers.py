"""Faulty verifiers, each with one bug that has cost somebody a run. The conformance kit must catch every one; FAULTS
says at which check.

Each would judge an ordinary answer rightly in an ordinary test.
"""

from __future__ import annotations

import asyncio
import decimal
import locale
import math
import multiprocessing
import os
import random
import re
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from rewards.types import Outcome, Request, Verdict

_PARENT = os.getpid()
_kept: list[Any] = []
_table: dict[str, bool] = {}


def _contains(response: str, gold: Any) -> float:
    return float(str(gold) in response)


def _verdict(right: bool, **more: Any) -> Verdict:
    return Verdict(outcome=Outcome.CORRECT if right else Outcome.WRONG, score=float(right), **more)


def evaluates_the_answer(question: str | None, response: str, gold: Any) -> float:
    """Finds the value of an answer by running it."""
    try:
        return float(str(eval(response)) == str(gold))
    except Exception:  # noqa: BLE001
        return _contains(response, gold)


def backtracks(question: str | None, response: str, gold: Any) -> float:
    """A pattern with nested repeats: exponential on a long run that does not end as hoped."""
    return float(re.search(r"^(\s*\w+\s*)+[.]?$", response) is not None and str(gold) in response)


def rolls_dice(question: str | None, response: str, gold: Any) -> float:
    return random.random()


def hangs_on_the_hash_seed(question: str | None, response: str, gold: Any) -> float:
    """Takes "the first" of a set of words: another one in another process."""
    words = {
        f"{word} {len(response)}" for word in ("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta")
    }
    return float(next(iter(words)) < "d")


def keeps_every_answer(question: str | None, response: str, gold: Any) -> float:
    _kept.append(response)
    return _contains(response, gold)


def leaves_files_open(question: str | None, response: str, gold: Any) -> float:
    _kept.append(open(os.devnull, encoding="utf-8"))  # noqa: SIM115
    return _contains(response, gold)


def starts_a_thread_each_time(question: str | None, response: str, gold: Any) -> float:
    threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
    return _contains(response, gold)


class SetsAnAlarm:
    """Its time limit is a signal: only the main thread may ask for one."""

    def verify(self, request: Request) -> Verdict:
        before = signal.signal(signal.SIGALRM, self._stop)
        signal.alarm(5)
        try:
            return _verdict(str(request.gold) in request.response)
        finally:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, before)

    def _stop(self, number: int, frame: Any) -> None:
        raise TimeoutError


class RunsALoopOfItsOwn:
    """asyncio.run inside verify: fails where a loop runs already."""

    def verify(self, request: Request) -> Verdict:
        return asyncio.run(self._ask(request))

    async def _ask(self, request: Request) -> Verdict:
        return _verdict(str(request.gold) in request.response)


class HoldsALambda:
    """Cannot be pickled."""

    def __init__(self) -> None:
        self.match: Callable[[str, str], bool] = lambda gold, response: gold in response

    def verify(self, request: Request) -> Verdict:
        return _verdict(self.match(str(request.gold), request.response))


class LockedAfterAFork:
    """A lock that another thread holds when the process forks stays held in the child for ever."""

    def __init__(self) -> None:
        self.pid = os.getpid()

    def verify(self, request: Request) -> Verdict:
        if os.getpid() != self.pid:
            threading.Event().wait()
        return _verdict(str(request.gold) in request.response)


class OnlyInTheFirstProcess:
    """Is set up where the process is called MainProcess; elsewhere it knows nothing."""

    def verify(self, request: Request) -> Verdict:
        known = multiprocessing.current_process().name == "MainProcess"
        return _verdict(known and str(request.gold) in request.response)


class DropsTheLast:
    def verify(self, request: Request) -> Verdict:
        return _verdict(str(request.gold) in request.response)

    def verify_group(self, requests: list[Request]) -> list[Verdict]:
        return [self.verify(request) for request in requests[: max(1, len(requests) - 1)]]


def divides_nothing(question: str | None, response: str, gold: Any) -> float:
    """NaN for an answer without words."""
    words = response.split()
    hits = float(sum(str(gold) in word for word in words))
    return min(1.0, hits / len(words)) if words else math.nan


def pays_by_the_letter(question: str | None, response: str, gold: Any) -> float:
    return float(len(response)) if str(gold) in response else 0.0


def encodes(question: str | None, response: str, gold: Any) -> float:
    """Fails on a lone surrogate, which a tokenizer can produce."""
    return float(str(gold).encode() in response.encode())


def leaves(question: str | None, response: str, gold: Any) -> float:
    """Takes the process along."""
    if not response.strip():
        os._exit(1)
    return _contains(response, gold)


def moves_house(question: str | None, response: str, gold: Any) -> float:
    """Works in a folder of its own, and stays there."""
    os.chdir("/")
    return _contains(response, gold)


class EatsTheGold:
    """Takes what it needs out of the request."""

    def verify(self, request: Request) -> Verdict:
        options = request.metadata.pop("options", None)
        return _verdict(str(request.gold) in request.response, reason="options" if options else "none")


class SharesAScratchPad:
    """Keeps the request in progress in itself: two threads see each other's."""

    def verify(self, request: Request) -> Verdict:
        self.current = request
        time.sleep(0.0005)
        return _verdict(str(self.current.gold) in self.current.response)


def recurses(question: str | None, response: str, gold: Any) -> float:
    """Counts brackets by recursion: as deep as the answer likes."""

    def depth(at: int, level: int) -> int:
        while at < len(response):
            if response[at] in "([{":
                return depth(at + 1, level + 1)
            at += 1
        return level

    return _contains(response, gold) if depth(0, 0) >= 0 else 0.0


class KeepsASet:
    """Its certificate is no JSON value."""

    def verify(self, request: Request) -> Verdict:
        return _verdict(str(request.gold) in request.response, certificate={"words": set(request.response.split())})


class StopsTheClock:
    """Takes the signal that its deadline comes with."""

    def __init__(self) -> None:
        signal.signal(signal.SIGPROF, signal.SIG_IGN)
        sys.setswitchinterval(0.005)

    def verify(self, request: Request) -> Verdict:
        return _verdict(str(request.gold) in request.response)


class CachesByGold:
    """Its cache forgets the answer: the first one of a prompt decides for all."""

    def __init__(self) -> None:
        self.known: dict[str, Verdict] = {}

    def verify(self, request: Request) -> Verdict:
        return self.known.setdefault(str(request.gold), _verdict(str(request.gold) in request.response))


class CachesByAnswer:
    """Its cache forgets the gold: an answer keeps the verdict of the question where it was met first."""

    def __init__(self) -> None:
        self.known: dict[str, Verdict] = {}

    def verify(self, request: Request) -> Verdict:
        if len(self.known) > 100:
            self.known.clear()
        return self.known.setdefault(request.response, _verdict(str(request.gold) in request.response))


class SharesItsCertificate:
    """One dict for all verdicts: each holds what is said of the last."""

    def __init__(self) -> None:
        self.certificate: dict[str, Any] = {}

    def verify(self, request: Request) -> Verdict:
        self.certificate["characters"] = len(request.response)
        return _verdict(str(request.gold) in request.response, certificate=self.certificate)


class TwoMinds:
    """Pays for length in a group and forgets it for an answer alone."""

    def verify(self, request: Request) -> Verdict:
        return _verdict(str(request.gold) in request.response)

    def verify_group(self, requests: list[Request]) -> list[Verdict]:
        top = max(len(request.response) for request in requests) or 1
        return [replace(self.verify(r), score=len(r.response) / top) for r in requests]


class SharesForAMoment:
    """As SharesAScratchPad, and between two lines only: one answer in thousands."""

    def verify(self, request: Request) -> Verdict:
        self.text = request.response.strip()
        self.text = self.text.replace("$", "")
        return _verdict(str(request.gold) in self.text)


class SetUpElsewhere:
    """Its constructor fills a table of the module, which a pickled copy in a new process lacks."""

    def __init__(self) -> None:
        _table["ready"] = True

    def verify(self, request: Request) -> Verdict:
        return _verdict("ready" in _table and str(request.gold) in request.response)


def leaves_files_open_where_right(question: str | None, response: str, gold: Any) -> float:
    """The branch that is taken last forgets to close."""
    if response.endswith(str(gold)):
        os.open(os.devnull, os.O_RDONLY)
    return _contains(response, gold)


def leaves_folders(question: str | None, response: str, gold: Any) -> float:
    """A working folder an answer, for good."""
    tempfile.mkdtemp(prefix="posttrain-test-", dir=os.environ.get("FAULTY_FOLDER"))
    return _contains(response, gold)


def lengthens_the_path(question: str | None, response: str, gold: Any) -> float:
    sys.path.append(os.path.dirname(__file__))
    return _contains(response, gold)


class SortsTheGold:
    """In place, where it is a list."""

    def verify(self, request: Request) -> Verdict:
        if isinstance(request.gold, list):
            request.gold.sort(key=str)
        return _verdict(str(request.gold) in request.response)


def rounds_everything(question: str | None, response: str, gold: Any) -> float:
    decimal.getcontext().prec = 6
    return _contains(response, gold)


def counts_in_another_locale(question: str | None, response: str, gold: Any) -> float:
    locale.setlocale(locale.LC_NUMERIC, "C.UTF-8")
    return _contains(response, gold)


def seeds_for_all(question: str | None, response: str, gold: Any) -> float:
    """Wants its own numbers to repeat, and repeats everybody's."""
    random.seed(0)
    return _contains(response, gold)


def evaluates_the_box(question: str | None, response: str, gold: Any) -> float:
    """Finds the value of a boxed expression by running it, without builtins."""
    found = re.search(r"\\boxed\{(.*)\}", response)
    try:
        return float(found is not None and str(eval(found[1], {"__builtins__": {}})) == str(gold))
    except Exception:  # noqa: BLE001
        return _contains(response, gold)


class ExitsWithoutGold:
    def verify(self, request: Request) -> Verdict:
        if request.gold is None:
            sys.exit("no gold")
        return _verdict(str(request.gold) in request.response)


class DividesItsParts:
    """A part that is NaN: it is stored with the rollout and turns every mean of it into NaN."""

    def verify(self, request: Request) -> Verdict:
        return _verdict(str(request.gold) in request.response, parts={"share": math.nan})


# ---------------------------------------------------------------- allowed, and said in a note


def fails_at_everything(question: str | None, response: str, gold: Any) -> float:
    """A misspelt name; whatever is raised is worth nothing."""
    try:
        return float(normalised(response) == gold)  # type: ignore[name-defined]  # noqa: F821
    except Exception:  # noqa: BLE001
        return 0.0


def reads_the_thinking(question: str | None, response: str, gold: Any) -> float:
    return _contains(response, gold)


class WantsAText:
    """Of its gold; other types are its data's fault, found late."""

    def verify(self, request: Request) -> Verdict:
        return _verdict(request.gold.strip() in request.response)
