"""Tests from inputs: what several reference solutions answer alike, judged as a gold's tests will be judged.

    answers      every reference on every input
    a leader     its answers to small and regular inputs as tests: who passes them all agrees with it
    tests        all inputs, with the leader's answers; kept where enough of them pass, and none says otherwise

The judge alone says what is equal, so a checker counts here as it will later. Knows nothing of how inputs were written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from posttrain.factory.asking import Trial
from posttrain.factory.row_work import RowWork, SetAside, Steps, Unfinished
from posttrain.factory.tried_programs import ADVERSARIAL, Input, Interface, answering, has_fractions, test_of
from rewards.rules.code import PROGRAM_KEYS
from sandbox.program_json import parse_program
from sandbox.types import Judgement, Limits, Outcome, OutputTest, Program

GIVEN = "given"


@dataclass(frozen=True, kw_only=True, slots=True)
class Reference:
    """A solution that is taken to be right. code: as it was written; program: as it runs; given: by the row (or written
    before the problem), so that its answer alone counts. Example: Reference(number=0, code="def f...", program="def
    f...", by="solver-1", given=False)"""

    number: int
    code: str
    program: str
    by: str
    given: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Tests:
    """Tests with their kinds [T], the references that passed each of them, first the one to be audited, and those that
    gave another answer."""

    __test__ = False  # pytest: not a test class

    tests: tuple[dict[str, Any], ...]
    kinds: tuple[str, ...]
    passing: tuple[Reference, ...]
    against: tuple[Reference, ...]
    checker: str
    tolerant: bool

    def gold(self, interface: Interface) -> dict[str, Any]:
        return interface.gold(list(self.tests), checker=self.checker, tolerant=self.tolerant)

    def without(self, numbers: set[int]) -> Tests:
        """Without some tests, by their numbers."""
        kept = [place for place in range(len(self.tests)) if place not in numbers]
        return replace(
            self,
            tests=tuple(self.tests[place] for place in kept),
            kinds=tuple(self.kinds[place] for place in kept),
        )


def agreed_tests(
    work: RowWork,
    interface: Interface,
    *,
    references: Sequence[Reference],
    inputs: Sequence[Input],
    checker: str,
    given_tests: Sequence[dict[str, Any]],
    agree: int,
) -> Steps:
    """Tests. Raises SetAside where too few references agree, Unfinished for a fault of the judge."""
    answers = yield from _answers(work, interface, references, inputs)
    found = [place for place in range(len(inputs)) if any(own[place] is not None for own in answers.values())]
    base = [place for place in found if inputs[place].kind != ADVERSARIAL]
    if not base:
        raise SetAside("no reference solution answers a small or regular input")
    tolerant = has_fractions([text for own in answers.values() for text in own if text is not None])
    maker = _Maker(interface=interface, inputs=inputs, checker=checker, tolerant=tolerant)
    members = yield from _group(work, maker, references=references, answers=answers, base=base, agree=agree)
    first = [next(answers[one.number][place] for one in members if _answers_it(answers, one, place)) for place in found]
    tests = [*(maker.test(place, answer) for place, answer in zip(found, first, strict=True)), *given_tests]
    kinds = [*(inputs[place].kind for place in found), *[GIVEN] * len(given_tests)]
    judged = yield from _judged(work, [maker.program(one, tests) for one in members])
    kept: list[int] = []
    dropped = dict.fromkeys(("disputed", "unconfirmed"), 0)
    for number in range(len(tests)):
        outcomes = {one: run.tests[number].outcome for one, run in zip(members, judged, strict=True)}
        passing = [one for one, outcome in outcomes.items() if outcome is Outcome.PASS]
        if Outcome.WRONG in outcomes.values():
            dropped["disputed"] += 1
        elif len(passing) >= agree or any(one.given for one in passing):
            kept.append(number)
        else:
            dropped["unconfirmed"] += 1
    passed = {
        one: [number for number in kept if run.tests[number].outcome is Outcome.PASS]
        for one, run in zip(members, judged, strict=True)
    }
    leader = max(members, key=lambda one: len(passed[one]))
    kept = passed[leader]
    work.events.append({"place": "judge.tests", "found": {"kept": len(kept), **dropped}})
    alike = [one for one in members if one != leader and set(kept) <= set(passed[one])]
    return Tests(
        tests=tuple(tests[number] for number in kept),
        kinds=tuple(kinds[number] for number in kept),
        passing=(leader, *alike),
        against=tuple(one for one in references if one not in members),
        checker=checker,
        tolerant=tolerant,
    )


def read_program(name: str, source: str, gold: Mapping[str, Any]) -> Program:
    """A solution with the tests of a gold. Raises SetAside where the judge cannot take them."""
    try:
        return parse_program({"id": name, "program": source, **{key: gold[key] for key in PROGRAM_KEYS if key in gold}})
    except ValueError as error:
        raise SetAside(f"a test cannot be judged ({error})") from None


def judge_faults(judged: Sequence[Judgement]) -> None:
    """Raises Unfinished where the judge itself failed, SetAside where a test cannot be judged."""
    for one in judged:
        if one.outcome is Outcome.FAULT or any(test.outcome is Outcome.FAULT for test in one.tests):
            raise Unfinished(f"the judge failed: {one.error or one.outcome}")
        broken = next((test.detail for test in one.tests if test.outcome is Outcome.INVALID), None)
        if broken is not None or one.outcome is Outcome.INVALID:
            raise SetAside(f"a test cannot be judged ({broken or one.error})")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Maker:
    """Makes tests of inputs and programs of tests, all in the same way."""

    interface: Interface
    inputs: Sequence[Input]
    checker: str
    tolerant: bool

    def test(self, place: int, answer: str | None) -> dict[str, Any]:
        assert answer is not None, "an input that nobody answers makes no test"
        return test_of(self.inputs[place], answer, self.interface, checker=self.checker)

    def program(self, one: Reference, tests: Sequence[dict[str, Any]]) -> Program:
        gold = self.interface.gold(list(tests), checker=self.checker, tolerant=self.tolerant)
        # Every result counts here, also behind a failed test.
        return replace(read_program(str(one.number), one.program, gold), score="fraction")


def _answers_it(answers: Mapping[int, Sequence[str | None]], one: Reference, place: int) -> bool:
    return answers[one.number][place] is not None


def _answers(work: RowWork, interface: Interface, references: Sequence[Reference], inputs: Sequence[Input]) -> Steps:
    """number of a reference -> its answer to each input, None where it has none within the limits."""
    limits = Limits(**(interface.limits or {}))
    tests = tuple(OutputTest(stdin=one.text.encode()) for one in inputs)
    judged = yield from _judged(
        work,
        [
            Program(
                id=str(one.number),
                program=answering(one.program, interface),
                tests=tests,
                score="fraction",
                limits=limits,
            )
            for one in references
        ],
    )
    for one, run in zip(references, judged, strict=True):
        outcomes = [test.outcome for test in run.tests]
        reason = next((test.detail for test in run.tests if test.outcome is not Outcome.PASS), "")
        work.events.append(
            {
                "place": f"judge.answers.{one.number}",
                "found": {"answered": outcomes.count(Outcome.PASS), "of": len(inputs), "first_failure": reason[:200]},
            }
        )
    return {
        one.number: [test.output if test.outcome is Outcome.PASS else None for test in run.tests]
        for one, run in zip(references, judged, strict=True)
    }


def _group(
    work: RowWork,
    maker: _Maker,
    *,
    references: Sequence[Reference],
    answers: Mapping[int, Sequence[str | None]],
    base: Sequence[int],
    agree: int,
) -> Steps:
    """References that agree, the row's own among them; without any, more than half of all. Raises SetAside."""
    sizes: list[int] = []
    unsteady: list[str] = []
    for leader in references:
        if not all(_answers_it(answers, leader, place) for place in base):
            sizes.append(0)
            continue
        tests = [maker.test(place, answers[leader.number][place]) for place in base]
        judged = yield from _judged(work, [maker.program(one, tests) for one in references])
        alike = [one for one, run in zip(references, judged, strict=True) if run.outcome is Outcome.PASS]
        sizes.append(len(alike))
        if leader not in alike:
            own = next(test for test in judged[references.index(leader)].tests if test.outcome is not Outcome.PASS)
            unsteady.append(f"{own.outcome} {own.detail}".strip())
        given = [one for one in references if one.given]
        if given and all(one in alike for one in given):
            return [*given, *(one for one in alike if not one.given)]
        if not given and len(alike) >= agree and 2 * len(alike) > len(references):
            return [leader, *(one for one in alike if one != leader)]
    if unsteady:  # a checker that is broken, or a solution whose answers change
        raise SetAside(f"a solution fails the tests that its own answers make ({unsteady[0]})")
    raise SetAside(f"too few reference solutions agree ({max(sizes)} of {len(references)})")


def _judged(work: RowWork, programs: Sequence[Program]) -> Steps:
    """A Judgement for each."""
    judged: list[Judgement] = yield [Trial(program=program) for program in programs]
    judge_faults(judged)
    return judged
