"""The corpus against a judge: what each row came to, and what it left behind 100 ms later.

A row that did not fool the control counts for nothing. What an attack left is asked of the box itself, by an honest
program that runs next in it and lists processes and files; containers are counted at the daemon. Knows the judge only
by its public methods.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from sandbox.attacks.attack import Attack
from sandbox.attacks.control import FOOLED, control_word
from sandbox.judge import Judge
from sandbox.program_json import parse_program
from sandbox.types import Level, Outcome

_GRACE_SECONDS = 0.1
_BOXES = 4  # a slot keeps a box for candidates and one for tests, each plain or with packages
# Lists what should not be there: processes that are neither itself, nor its box's first, nor kernel threads of the
# lister; any file.
_PROBE = """
import os
def left():
    seen, family = [], {os.getpid(), os.getppid()}
    for name in os.listdir('/proc'):
        if name.isdecimal() and int(name) not in family and (ALONE or parent_of(name) == os.getppid()):
            seen.append(f'process {name}')
    for top in {'.', *(['/tmp', '/dev/shm'] if ALONE else [])}:
        for folder, folders, files in os.walk(top):
            seen += [f'file {os.path.join(folder, name)}' for name in folders + files]
    return seen
def parent_of(name):
    try: return int(open(f'/proc/{name}/stat').read().rpartition(')')[2].split()[1])
    except OSError: return 0
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """One row's end. `outcome` is empty when it was not run, and `why` says why not, or why the row does not count.

    Example: Result(group="early_exit", name="sys_exit", form="call", counts=True, outcome="early_exit", trust="full",
    score=0.0)
    """

    group: str
    name: str
    form: str
    counts: bool
    why: str = ""
    outcome: str = ""
    named: str = ""  # the outcome that names what was stopped, where only one is right
    trust: str = ""
    score: float | None = None
    left: tuple[str, ...] = ()
    detail: str = ""

    @property
    def false_pass(self) -> bool:
        """Passed with full trust; whether or not the control was shown here, that is a hole."""
        return self.outcome == Outcome.PASS and self.trust != "low"

    @property
    def hurt(self) -> bool:
        """The judge itself was hurt: an end without a score would be a way out."""
        return self.outcome in (Outcome.FAULT, Outcome.INVALID) or (bool(self.outcome) and self.score is None)


def reason_not_run(attack: Attack, level: Level) -> str:
    """Why this row is not run at `level`; empty when it is."""
    if level is Level.NONE and attack.harmful:
        return "exhausts resources or signals other processes"
    if attack.form == "pytest" and importlib.util.find_spec("pytest") is None:
        return "pytest is not installed here"
    if level < attack.stopped_from:
        return f"level {level.value} does not claim to stop it"
    return ""


def control_words(attacks: Iterable[Attack], workers: int) -> list[str]:
    """The control's word on each attack, several at a time. One first: it asks whether there are namespaces."""
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(control_word, attacks))


def besiege(judge: Judge, group: str, attacks: tuple[Attack, ...], controls: list[str]) -> Iterator[Result]:
    """Each attack of a group, one by one. `judge` must have one slot, so that the next program meets the same box."""
    for attack, control in zip(attacks, controls, strict=True):
        named = attack.outcome.value if attack.outcome else ""
        base: dict[str, Any] = {"group": group, "name": attack.name, "form": attack.form, "named": named}
        reason = reason_not_run(attack, judge.level)
        if reason:
            yield Result(**base, counts=False, why=reason)
            continue
        judgement = judge.run([parse_program(attack.row)])[0]
        failing = next((test.detail for test in judgement.tests if test.outcome is not Outcome.PASS), "")
        yield Result(
            **base,
            counts=control == FOOLED,
            why="" if control == FOOLED else control,
            outcome=judgement.outcome.value,
            trust=judgement.trust,
            score=judgement.score,
            left=left_behind(judge),
            detail=judgement.error or failing,
        )


def left_behind(judge: Judge) -> tuple[str, ...]:
    """Processes and files still in the box, containers beyond the slot's own, 100 ms after the end. Empty is what it
    should be."""
    time.sleep(_GRACE_SECONDS)
    alone = judge.level is not Level.NONE
    program = f"ALONE = {alone}\n{_PROBE}"
    row = {
        "id": "left",
        "program": program,
        "entry_point": "left",
        "tests": [{"assert": "found = left()\nassert not found, '; '.join(found)"}],
    }
    probe = judge.run([parse_program(row)])[0]
    found = () if probe.outcome is Outcome.PASS else tuple((probe.tests[0].detail or probe.outcome.value).split("; "))
    containers = containers_of(judge)
    return found + tuple(f"container {name}" for name in containers[_BOXES:])


def containers_of(judge: Judge) -> list[str]:
    """Names of the containers of this judge, in any state; none where the backend has none."""
    if judge.backend.name != "docker":
        return []
    backend = judge.backend
    listed = backend.client.api.containers(all=True, filters={"label": f"posttrain.run={backend.run_id}"})  # type: ignore[attr-defined]
    return [item["Names"][0].lstrip("/") for item in listed]
