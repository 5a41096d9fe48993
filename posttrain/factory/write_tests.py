"""`tests`: tests for problems of code, and in reverse problems for tests; all that is kept has run in the judge.

    in reverse   author: a solution and inputs for it ──> its answers ──> author: the problem's text
    references   the row's answers, and what solver writes from the text
    inputs       tester: a validator, generators of three kinds, a checker where several outputs are right
    tests        inputs with the answers on which references agree (agreed_tests.py)
    gate         the audit (sandbox/proof): the solution passes each time, mutants and known wrong ones fail

Kept: the problem as a prompt with a gold of the verifier `code`, answered by the solution that was audited. Knows
nothing of how models are reached.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from posttrain.factory.agreed_tests import Reference, Tests, agreed_tests, judge_faults, read_program
from posttrain.factory.asking import Check, Trial
from posttrain.factory.forms import Field, Form
from posttrain.factory.row_work import RowWork, SetAside, Steps, Unfinished, Wanted
from posttrain.factory.tried_programs import SMALL, Input, Interface, answering
from posttrain.factory.written_inputs import generated, written_inputs
from posttrain.recipe.schema import WriteTests
from posttrain.types import Message
from rewards.prose.visible import CODE_FENCE
from rewards.rules.code import extract_program
from rewards.rules.program import behind, complete, with_both_names
from rewards.types import Request, last_user_turn
from sandbox.types import Judgement, Limits, Outcome, OutputTest, Program

WRONG_SOLUTIONS = "wrong_solutions"  # of a row: programs that its tests must fail
_SHOWN_TESTS, _SHOWN_CHARS = 6, 400
DESIGN = Form(
    fields=(
        Field(name="idea", kind="text", says="two or three sentences: the task, and what makes it instructive"),
        Field(
            name="entry_point",
            kind="text",
            says="the name of the function that a solution defines; script where it reads standard input instead",
        ),
        Field(name="solution", kind="text", says="the complete Python program"),
        Field(name="inputs", kind="text", says="Python code that defines small()"),
    )
)
DESCRIBE = Form(fields=(Field(name="problem", kind="text", says="the text of the problem"),))


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """What is asked, and how its solutions are run. given_tests: of the row's gold; inputs: that its author wrote."""

    question: str
    messages: tuple[Message, ...]
    interface: Interface
    given_tests: tuple[dict[str, Any], ...] = ()
    inputs: tuple[Input, ...] = ()


def tests_row(work: RowWork, stage: WriteTests) -> Steps:
    """The program of a row. Raises SetAside where no tests come of it that the audit lets pass."""
    if stage.reverse:
        problem, references = yield from _in_reverse(work, stage)
    else:
        problem = _problem_of(work, stage)
        references = [
            _reference(number, text, problem.interface, work, by="given")
            for number, text in enumerate(work.row.answers)
        ]
    references += yield from _solved(work, stage, problem, first=len(references))
    if not references:
        raise SetAside("no reference solution: the row has no answer, and solver wrote none")
    inputs, checker = yield from written_inputs(
        work, stage, question=problem.question, interface=problem.interface, more=problem.inputs
    )
    tests = yield from agreed_tests(
        work,
        problem.interface,
        references=references,
        inputs=inputs,
        checker=checker,
        given_tests=problem.given_tests,
        agree=stage.agree,
    )
    tests, audited = yield from _gate(work, stage, problem, tests)
    wrong = yield from _known_wrong(work, stage, problem, tests)
    answer = f"{CODE_FENCE}python\n{tests.passing[0].code}\n{CODE_FENCE}"
    yield from _accepted(work, stage, problem, tests, answer)
    _publish(work, stage, problem, tests, answer=answer, caught={**audited, **wrong})


# ---------------------------------------------------------------- the problem and its references


def _problem_of(work: RowWork, stage: WriteTests) -> Problem:
    """The row as a problem."""
    row = work.row
    gold: Mapping[str, Any] = row.gold if isinstance(row.gold, dict) else {}
    entry = gold.get("entry_point") or row.metadata.get("entry_point") or ""
    tests = gold.get("tests")
    return Problem(
        question=work.question,
        messages=row.messages,
        interface=Interface(
            entry_point=str(entry),
            starter=str(gold.get("starter") or ""),
            preamble=str(gold.get("preamble") or ""),
            compare=gold.get("compare"),
            limits=gold.get("limits") or _limits(stage),
        ),
        given_tests=tuple(tests) if isinstance(tests, list) else (),
    )


def _limits(stage: WriteTests) -> dict[str, Any]:
    """As golds have them: only seconds may have a fraction."""
    return {name: value if name.endswith("_seconds") else int(value) for name, value in stage.limits.items()}


def _reference(number: int, text: str, interface: Interface, work: RowWork, *, by: str) -> Reference:
    wanted = {"entry_point": interface.entry_point or None, "tests": [] if interface.entry_point else [{"stdin": ""}]}
    code = extract_program(text, work.kit.think, wanted)
    return Reference(
        number=number, code=code, program=_runnable(code, interface), by=by, given=by in ("given", "author")
    )


def _runnable(code: str, interface: Interface) -> str:
    """As the verifier runs an answer, but with all of the preamble."""
    whole = with_both_names(complete(code, interface.starter, interface.entry_point or None), interface.entry_point)
    return behind(whole, interface.preamble)


def _solved(work: RowWork, stage: WriteTests, problem: Problem, *, first: int) -> Steps:
    """What solver writes from the text alone; the same program twice is one."""
    variables = {
        "question": problem.question,
        "interface": problem.interface.said,
        "starter": problem.interface.starter,
        "limits": _shown_limits(problem.interface),
    }
    wanted = [
        Wanted(role="solver", place=f"solve.{number}", prompt="solve", variables=variables, writes=True)
        for number in range(stage.solutions)
    ]
    said = (yield from work.ask(wanted)) if wanted else []
    found: dict[str, Reference] = {}
    for one in said:
        if one.lacking or one.cut:
            continue
        made = _reference(first + len(found), one.text, problem.interface, work, by=work.kit.versions["solver"])
        if made.code:
            found.setdefault(made.code, made)
    return list(found.values())


def _in_reverse(work: RowWork, stage: WriteTests) -> Steps:
    """(problem, [its author's solution]): the solution and its answers come before the text."""
    design = yield from work.ask_one(
        Wanted(role="author", place="design", prompt="design", variables={"seed": work.question}, form=DESIGN)
    )
    entry = design.fields["entry_point"].strip("`() ")
    entry = "" if entry.casefold() == "script" else entry
    if entry and not all(part.isidentifier() for part in entry.split(".")):
        raise SetAside(f"author: {entry[:40]!r} is no name of a function")
    interface = Interface(entry_point=entry, limits=_limits(stage))
    solution = _reference(0, design.fields["solution"], interface, work, by="author")
    inputs = yield from generated(stage, design.fields["inputs"], SMALL, interface=interface)
    if isinstance(inputs, str):
        raise SetAside(f"author: its inputs: {inputs}")
    answers = yield from _answers_of(solution, interface, inputs)
    tests = [(one, answer) for one, answer in zip(inputs, answers, strict=True) if answer is not None]
    if not tests:
        raise SetAside("author: its solution answers none of its own inputs")
    shown = [
        {"input": one.text[:_SHOWN_CHARS], "output": answer[:_SHOWN_CHARS]} for one, answer in tests[:_SHOWN_TESTS]
    ]
    variables = {
        "solution": solution.code,
        "tests": shown,
        "interface": interface.said,
        "idea": design.fields["idea"],
    }
    told = yield from work.ask_one(
        Wanted(role="author", place="describe", prompt="describe", variables=variables, form=DESCRIBE)
    )
    text = told.fields["problem"]
    problem = Problem(
        question=text,
        messages=({"role": "user", "content": text},),
        interface=interface,
        inputs=tuple(one for one, _ in tests),
    )
    return problem, [solution]


def _answers_of(solution: Reference, interface: Interface, inputs: Sequence[Input]) -> Steps:
    tests = tuple(OutputTest(stdin=one.text.encode()) for one in inputs)
    program = Program(
        id="author",
        program=answering(solution.program, interface),
        tests=tests,
        score="fraction",
        limits=Limits(**(interface.limits or {})),
    )
    judged: list[Judgement] = yield [Trial(program=program)]
    judge_faults(judged)
    return [test.output if test.outcome is Outcome.PASS else None for test in judged[0].tests]


def _shown_limits(interface: Interface) -> str:
    limits = Limits(**(interface.limits or {}))
    return f"{limits.cpu_seconds:g} seconds and {limits.memory_mb} MB"


# ---------------------------------------------------------------- the gate


def _gate(work: RowWork, stage: WriteTests, problem: Problem, tests: Tests) -> Steps:
    """(tests without flaky and slow ones, figures of the audit). Raises SetAside for what it does not let pass."""
    options = {"most_mutants": stage.mutants, "reruns": stage.reruns, "least_caught": stage.least_caught}
    odd: dict[str, int] = {}
    for last in (False, True):
        if len(tests.tests) < stage.min_tests:
            raise SetAside(f"too few tests ({len(tests.tests)} of {stage.min_tests} that are needed)")
        gold = tests.gold(problem.interface)
        (finding,) = yield [Trial(program=read_program(work.row.id, tests.passing[0].program, gold), audit=options)]
        if finding.undecided:
            raise Unfinished("the judge failed in the audit")
        found = {
            "mutants": finding.mutants,
            "caught": finding.caught,
            "flaky": len(finding.flaky),
            "slow": len(finding.slow),
            "drop": list(finding.drop),
            "survivors": list(finding.survivors),
        }
        work.events.append({"place": f"judge.audit{'.again' if last else ''}", "found": found})
        unsteady = {*finding.flaky, *finding.slow}
        if last or not unsteady:
            break
        odd = {"flaky tests": len(finding.flaky), "slow tests": len(finding.slow)}
        tests = tests.without(unsteady)
    if finding.drop:
        few = finding.caught < stage.least_caught * finding.mutants
        raise SetAside(f"audit: {'mutants pass: ' if few else ''}{finding.drop[0]}")
    return tests, {"mutants": finding.mutants, "mutants caught": finding.caught, **odd}


def _known_wrong(work: RowWork, stage: WriteTests, problem: Problem, tests: Tests) -> Steps:
    """Figures of the row's wrong solutions, and of references that gave other answers. Raises SetAside."""
    listed = work.row.metadata.get(WRONG_SOLUTIONS)
    wrong = [text for text in listed if isinstance(text, str)] if isinstance(listed, list) else []
    programs = [
        _reference(number, text, problem.interface, work, by="wrong").program for number, text in enumerate(wrong)
    ]
    programs += [one.program for one in tests.against]
    if not programs:
        return {}
    gold = tests.gold(problem.interface)
    judged: list[Judgement] = yield [
        Trial(program=read_program(f"wrong {number}", program, gold), fail_fast=True)
        for number, program in enumerate(programs)
    ]
    judge_faults(judged)
    caught = [one.outcome is not Outcome.PASS for one in judged]
    work.events.append(
        {"place": "judge.wrong", "found": {"wrong": len(wrong), "outcomes": [str(one.outcome) for one in judged]}}
    )
    if sum(caught[: len(wrong)]) < stage.least_caught * len(wrong):
        raise SetAside(f"wrong solutions pass ({len(wrong) - sum(caught[: len(wrong)])} of {len(wrong)})")
    return {"wrong solutions": len(programs), "wrong solutions caught": sum(caught)}


def _accepted(work: RowWork, stage: WriteTests, problem: Problem, tests: Tests, answer: str) -> Steps:
    """Raises SetAside where the verifier, which reads the answer as it will be trained on, does not take it."""
    request = Request(
        response=answer,
        gold=tests.gold(problem.interface),
        question=last_user_turn(problem.messages),
        messages=problem.messages,
    )
    verdicts = yield [Check(verifier=stage.verifier, request=request)]
    work.note_verdicts(stage.verifier, verdicts, "rules")
    if not verdicts[0].passed:
        raise SetAside(f"the verifier refuses the solution: {verdicts[0].reason}")


# ---------------------------------------------------------------- what it comes to


def _publish(
    work: RowWork, stage: WriteTests, problem: Problem, tests: Tests, *, answer: str, caught: Mapping[str, int]
) -> None:
    small = [test for test, kind in zip(tests.tests, tests.kinds, strict=True) if kind == SMALL]
    kinds = Counter(tests.kinds)
    metadata = {key: value for key, value in work.row.metadata.items() if key != WRONG_SOLUTIONS}
    published = replace(
        work.row,
        messages=problem.messages,
        gold=tests.gold(problem.interface),
        metadata={**metadata, "public_tests": small[: stage.public_tests], "test_kinds": list(tests.kinds)},
    )
    roles = [role for role in ("author", "solver", "tester") if role in work.kit.models]
    note = {
        "tests": dict(kinds),
        "references": [one.by for one in tests.passing],
        "checker": bool(tests.checker),
        "caught": dict(caught),
    }
    work.keep(answer, by=[work.kit.versions[role] for role in roles], note=note, published=published)
    counts = {f"{kind} tests": count for kind, count in kinds.items()}
    work.facts = {"counts": {**work.facts.get("counts", {}), **counts, **caught}}
