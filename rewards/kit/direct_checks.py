"""Checks that need the verifier itself, not its pool: run in a process of their own, which a bad verifier may hang or
take down.

Reads one JSON object on stdin: {"rule", "units": [[request]], "expected": [keys], "checks": [name], "patience"}; writes
a line a check. Each check takes the `Subject` and returns what is wrong with it, or "". Knows nothing of the pool or of
policies.
"""

from __future__ import annotations

import asyncio
import copy
import gc
import json
import multiprocessing
import os
import pickle
import random
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from rewards.contract.rule import Rule, RuleSpec
from rewards.kit.finding import NOTE
from rewards.kit.process_watch import Watch, changed_state, process_state, random_state, resource_counts, yielding_trace
from rewards.kit.samples import TOKEN, code_like_requests, odd_prompts
from rewards.types import Outcome, Request, Verdict
from rewards.workers.messages import request_from_json, request_to_json, verdict_to_json
from rewards.workers.rule_table import build_rule

_THREADS = 8
_SWITCH_SECONDS = 2e-5  # between threads, in the check of threads
_YIELDS = 200  # lines of a verifier's own code at which each thread lets another one go on
_LEAK_BYTES = 256  # an answer, in each of two stretches
_LEAK_COUNT = 10  # descriptors, threads, processes, ... over 40 answers
_BOUND_ANSWERS = 6_000  # a cache that has stopped growing by then is bounded
_BOUND_SECONDS = 6.0

Judge = Callable[[list[Request]], list[Verdict]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """What is examined. units: groups of requests as JSON; expected: the keys of their verdicts; state: the process
    before the verifier was built; watch: the audit events of the process, where the verifier has one of its own.

    `patience` is how many seconds a check waits for threads and processes: generous, since a busy machine starts them
    slowly.
    """

    judge: Judge
    units: list[list[dict[str, Any]]]
    expected: list[Any]
    spec: RuleSpec | None = None
    rule: Rule | None = None
    state: dict[str, Any] | None = None
    watch: Watch | None = None
    patience: float = 60.0

    def keys(self, judge: Judge | None = None) -> list[Any]:
        """Keys of the verdicts on all units. The requests are made anew, so that no earlier call can have changed
        them."""
        return [[verdict_key(v) for v in (judge or self.judge)(requests_of(unit))] for unit in self.units]


def requests_of(unit: list[dict[str, Any]]) -> list[Request]:
    """A group of requests, made anew from its JSON."""
    return [request_from_json(entry) for entry in json.loads(json.dumps(unit))]


def verdict_key(verdict: Verdict) -> list[Any]:
    """What must be the same wherever an answer is judged: outcome, score, extracted, reason, parts. JSON values."""
    undecided = verdict.outcome in (Outcome.ABSTAIN, Outcome.UNSUPPORTED)
    return [
        verdict.outcome.value,
        None if undecided else verdict.score,
        verdict.extracted,
        verdict.reason,
        verdict.parts,
    ]


def difference(expected: Sequence[Any], found: Sequence[Any]) -> str:
    """The first verdict that is not as expected, or ""."""
    for wanted, got in zip(expected, found, strict=True):
        for one, other in zip(wanted, got, strict=False):
            if list(one) != list(other):
                old, new = (f"{k[0]} {k[1]}" if one[:2] != other[:2] else str(k[2:])[:80] for k in (one, other))
                return f"{old} became {new}"
        if len(wanted) != len(got):
            return f"{len(wanted)} verdicts became {len(got)}"
    return ""


def determinism(subject: Subject) -> str:
    """Compares with the verdicts of another process, asking in the opposite order, so that nothing seen earlier helps;
    then asks once more in this process."""
    groups = [subject.judge(requests_of(unit)) for unit in subject.units[::-1]][::-1]
    told = [[verdict_to_json(verdict) for verdict in group] for group in copy.deepcopy(groups)]
    first = [[verdict_key(verdict) for verdict in group] for group in groups]
    problem = difference(subject.expected, first) or difference(first, subject.keys())
    if not problem and told != [[verdict_to_json(verdict) for verdict in group] for group in groups]:
        return "a verdict changed after it was given: its certificate or parts are shared with later ones"
    return problem


def request(subject: Subject) -> str:
    """Compares each request as JSON before and after it was judged: the samples, then odd golds, whatever the verifier
    makes of those."""
    # Not of a verifier that holds a model or a judge, where each question costs.
    odd = odd_prompts(request_from_json(subject.units[0][0])).values() if subject.rule else ()
    for unit in [*map(requests_of, subject.units), *([entry] for entry in odd)]:
        before = [copy.deepcopy(request_to_json(entry)) for entry in unit]
        with suppress(Exception):
            subject.judge(unit)
        for old, new in zip(before, map(request_to_json, unit), strict=True):
            changed = sorted(name for name in {*old, *new} if old.get(name) != new.get(name))
            if changed:
                return f"changed {', '.join(changed)}"
    return ""


def alone(subject: Subject) -> str:
    """Compares `verify`, which a group falls back on, with `verify_group` of one answer."""
    assert subject.rule is not None, "only a rule has both"
    for unit in subject.units:
        try:
            single = [verdict_key(subject.rule.judge(request)) for request in requests_of(unit)]
        except Exception as error:  # noqa: BLE001  a verifier that only compares may refuse: then a group at its deadline is an error
            return (
                f"{NOTE}verify raises {error_text(error)}: a group that runs into the deadline is then an error "
                "as a whole"
            )
        grouped = [verdict_key(verdict) for request in requests_of(unit) for verdict in subject.judge([request])]
        if problem := difference([grouped], [single]):
            return f"by verify_group and by verify: {problem}"
    return ""


def threads(subject: Subject) -> str:
    """Judges every answer three times in each of eight threads, each at another answer. In the first round a thread
    lets another go on at each line."""
    problems: list[str] = []
    together = threading.Barrier(_THREADS)
    tracing = threading.Lock()  # two threads cannot set a trace function at one moment
    count = len(subject.units)

    def work(number: int) -> None:
        order = [(i + number * count // _THREADS) % count for i in range(count)]
        rounds = [[requests_of(subject.units[i]) for i in order] for _ in range(3)]
        expected = [subject.expected[i] for i in order]
        try:
            with tracing:
                sys.settrace(yielding_trace(_YIELDS))
            together.wait(subject.patience)
            given = [[subject.judge(group) for group in rounds[0]]]
            with tracing:
                sys.settrace(None)
            given += [[subject.judge(group) for group in groups] for groups in rounds[1:]]
            for judged in given:
                problems.extend(
                    filter(
                        None,
                        [difference(expected, [[verdict_key(verdict) for verdict in verdicts] for verdicts in judged])],
                    )
                )
        except BaseException as error:  # noqa: BLE001  whatever it raises is the finding
            problems.append(error_text(error))

    running = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(_THREADS)]
    until = time.monotonic() + subject.patience
    usual = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_SECONDS)
    try:
        for thread in running:
            thread.start()
        for thread in running:
            thread.join(max(0.0, until - time.monotonic()))
    finally:
        sys.setswitchinterval(usual)
    if any(thread.is_alive() for thread in running):
        problems.append(f"still busy after {subject.patience:g} s")
    return problems[0] if problems else ""


def in_loop(subject: Subject) -> str:
    async def work() -> str:
        return difference(subject.expected, subject.keys())

    return asyncio.run(work())


def pickling(subject: Subject) -> str:
    assert subject.rule is not None, "only rules are pickled"
    again = pickle.loads(
        pickle.dumps(subject.rule)
    )  # safe: the bytes are made on this line, of a rule that this process holds
    return difference(subject.expected, subject.keys(again.judge_group))


def child(method: str) -> Callable[[Subject], str]:
    """A check in a child process: a forked child inherits the verifier, any other unpickles it and also builds it from
    its name."""

    def check(subject: Subject) -> str:
        context: Any = multiprocessing.get_context(method)
        here, there = context.Pipe(duplex=False)
        inherited = subject.rule if method == "fork" else _pickle_or_none(subject.rule)
        given = (there, subject.spec, inherited, subject.units, subject.expected)
        process = context.Process(target=_in_child, args=given, daemon=True)
        process.start()
        there.close()
        try:
            if not here.poll(subject.patience):
                return f"no verdict after {subject.patience:g} s"
            found = here.recv()
        except EOFError:
            return "the child ended without a verdict"
        finally:
            process.kill()
            process.join()
        return str(found)

    return check


def _pickle_or_none(rule: Rule | None) -> bytes | None:
    try:
        return pickle.dumps(rule)
    except Exception:  # noqa: BLE001  that it cannot be pickled is said by the check of pickling
        return None


def _in_child(pipe: Any, spec: RuleSpec, given: Rule | bytes | None, units: list[Any], expected: list[Any]) -> None:
    """Sends what is wrong, or "". The verifier that it was given judges first: building another could set up what that
    one lacks."""
    try:
        # Safe: the bytes come from our parent by a pipe that only it holds, and are of the rule under test.
        rule = pickle.loads(given) if isinstance(given, bytes) else given
        problem = (
            ""
            if rule is None
            else difference(expected, Subject(judge=rule.judge_group, units=units, expected=expected).keys())
        )
        if isinstance(given, bytes):
            problem = f"a pickled one: {problem}" if problem else ""
        if not problem and (rule is None or isinstance(given, bytes)):
            problem = difference(
                expected, Subject(judge=build_rule(spec).judge_group, units=units, expected=expected).keys()
            )
        pipe.send(problem)
    except BaseException as error:  # noqa: BLE001  reported to the parent, which makes it the finding
        pipe.send(error_text(error))


def state(subject: Subject) -> str:
    """Compares the process before and after; says whether the shared random numbers were seeded, and which files are
    written."""
    if subject.watch:
        subject.watch.written.clear()
        subject.watch.active = True
    try:
        seeds = []
        for seed in (1, 2):
            random.seed(seed)
            subject.keys()
            seeds.append(random_state())
    finally:
        if subject.watch:
            subject.watch.active = False
    problem = changed_state(subject.state or {})
    if not problem and seeds[0] == seeds[1]:
        problem = "changed: the random numbers that all share are seeded (random.seed)"
    if problem or subject.watch is None:
        return problem
    left = subject.watch.left()
    where = sorted(subject.watch.addresses)
    notes = [f"it writes {left[0]}: many processes write at once"] if left else []
    notes += [f"it connects to {where[0]}: where that fails, the outcome is error, never a score"] if where else []
    return f"{NOTE}{'; '.join(notes)}" if notes else ""


def evaluation(subject: Subject) -> str:
    """Whether a word of an answer turns up in code that is executed. The answers are harmless, whatever becomes of
    them."""
    assert subject.watch is not None, "only in a process of its own"
    subject.watch.active = True
    try:
        for entry in code_like_requests(request_from_json(subject.units[0][0])):
            with suppress(Exception):
                subject.judge([replace(entry, gold=copy.deepcopy(entry.gold))])
            if subject.watch.executed:
                return f"{entry.response!r} reached {', '.join(sorted(subject.watch.executed))}"
    finally:
        subject.watch.active = False
    return ""


def memory(subject: Subject) -> str:
    """Measures bytes an answer over two stretches of distinct answers, after one that fills caches. Growth that stops
    later is that of a cache with a bound."""
    _judge_distinct(subject, 0, 20)  # imports on first need
    started = time.monotonic()
    _judge_distinct(subject, 20, 30)
    count = int(min(200, max(30, 0.1 * 10 / max(1e-6, time.monotonic() - started))))
    until = time.monotonic() + _BOUND_SECONDS
    tracemalloc.start()
    try:
        sizes: list[int] = []
        judged = 0
        while True:
            _judge_distinct(subject, 1000 + judged, 1000 + judged + count)
            judged += count
            gc.collect()
            sizes.append(tracemalloc.get_traced_memory()[0])
            if len(sizes) < 3:
                continue
            growth = min(sizes[-1] - sizes[-2], sizes[-2] - sizes[-3]) / count
            if growth <= _LEAK_BYTES:
                return ""
            if judged >= _BOUND_ANSWERS or time.monotonic() > until:
                return f"{growth:.0f} bytes an answer, over {judged} answers"
            count = min(2 * count, 1000)
            sizes = sizes[-1:]
    finally:
        tracemalloc.stop()


def _judge_distinct(subject: Subject, start: int, stop: int) -> None:
    """Judges answers that no cache holds. They end as the samples do, since the end is what verifiers mostly read."""
    for i in range(start, stop):
        unit = requests_of(subject.units[i % len(subject.units)])
        subject.judge([replace(entry, response=f"{i} {'so it goes, ' * 80}\n{entry.response}") for entry in unit])


def descriptors(subject: Subject) -> str:
    """Counts what is left open after 40 answers, with every outcome equally often: one path alone may forget to
    close."""
    paths: dict[Any, list[list[dict[str, Any]]]] = {}
    for unit, keys in zip(subject.units, subject.expected, strict=True):
        paths.setdefault((keys[0][0], keys[0][3]), []).append(unit)
    kinds = sorted(paths.values(), key=len, reverse=True)[:4]
    if subject.watch:
        subject.watch.written.clear()
        subject.watch.active = True
    before = resource_counts()
    for i in range(40):
        units = kinds[i % len(kinds)]
        subject.judge(requests_of(units[i // len(kinds) % len(units)]))
    if subject.watch:
        subject.watch.active = False
    left = {"files left behind": (0, len(subject.watch.left()))} if subject.watch else {}
    counts = left | {name: (before[name], count) for name, count in resource_counts().items()}
    grown = {name: new - old for name, (old, new) in counts.items() if new - old >= _LEAK_COUNT}
    return ", ".join(f"{count} more {name} after 40 answers" for name, count in grown.items())


# Order: those that need a process as it was before go first, what spoils it goes last.
DIRECT_CHECKS: dict[str, Callable[[Subject], str]] = {
    "determinism": determinism,
    "request": request,
    "alone": alone,
    "state": state,
    "evaluation": evaluation,
    "asyncio": in_loop,
    "pickling": pickling,
    "fork": child("fork"),
    "spawn": child("spawn"),
    "forkserver": child("forkserver"),
    "threads": threads,
    "memory": memory,
    "descriptors": descriptors,
}


def error_text(error: BaseException) -> str:
    """The type and a capped message."""
    text = str(error.args[0]) if error.args and isinstance(error.args[0], str) else ""
    return f"{type(error).__name__}: {text[:200]}".rstrip(": ")


def run_check(name: str, subject: Subject) -> str:
    """Run one check; what it raises is the finding."""
    try:
        return DIRECT_CHECKS[name](subject)
    except BaseException as error:  # noqa: BLE001  a verifier may raise anything, SystemExit too
        return error_text(error)


def main() -> None:
    """Answer on the real stdout; what the verifier prints goes nowhere."""
    out = os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 1)
    os.dup2(null, 2)
    task = json.load(sys.stdin)
    watch = Watch(TOKEN)
    before = process_state()
    try:
        rule = build_rule(task["rule"])
    except BaseException as error:  # noqa: BLE001  a plug-in's constructor may raise anything
        os.write(out, json.dumps({"built": error_text(error)}).encode() + b"\n")
        os._exit(0)
    given = {name: task[name] for name in ("units", "expected", "patience")}
    subject = Subject(judge=rule.judge_group, spec=task["rule"], rule=rule, state=before, watch=watch, **given)
    os.write(out, b'{"built": ""}\n')
    for name in task["checks"]:
        os.write(out, json.dumps({"check": name, "problem": run_check(name, subject)}).encode() + b"\n")
    os._exit(0)  # threads that a bad verifier left behind are not waited for
