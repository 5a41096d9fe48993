"""`code`: programs judged by running them. The programs of a batch go to the judge in one call, each once.

pass -> correct, the judge's own fault -> error (no score), anything else -> wrong. Gold or metadata holds the tests:
    {"tests": [...], "entry_point"?: str, "preamble"?: str, "compare"?: ..., "limits"?: {...}}
Knows nothing of how programs are isolated; that is the sandbox's.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rewards.base import Built
from rewards.errors import VerifierError
from rewards.options import CodeOptions, Common
from rewards.prose.visible import visible
from rewards.rules.base import cap
from rewards.types import Outcome, Request, Verdict

if TYPE_CHECKING:
    from sandbox.judge import Judge
    from sandbox.types import Judgement, Program

PROGRAM_KEYS = ("tests", "entry_point", "preamble", "compare", "limits", "language")
_UNJUDGED = {"fault": Outcome.ERROR, "invalid": Outcome.UNSUPPORTED}  # the judge's own failure; tests it does not judge
_FENCE = "```"
_PYTHON = ("python", "python3", "py", "")


class CodeVerifier(Built):
    def __init__(
        self, *, kind: str, common: Common, options: CodeOptions, think: tuple[str, str], judge: Callable[[], Judge]
    ) -> None:
        super().__init__(kind=kind, common=common)
        self.options = options
        self.think = think
        self._open_judge = judge

    def judge_groups(self, groups: list[list[Request]]) -> list[list[Verdict]]:
        flat = [request for group in groups for request in group]
        verdicts: list[Verdict | None] = [None] * len(flat)
        owners: dict[str, list[int]] = {}  # answers of a group repeat: the same program on the same tests is run once
        programs: dict[str, Any] = {}
        for i, request in enumerate(flat):
            found = self._program(i, request)
            if isinstance(found, Verdict):
                verdicts[i] = found
            else:
                content = repr(dataclasses.replace(found, id=""))
                programs.setdefault(content, found)
                owners.setdefault(content, []).append(i)
        judgements = self._open_judge().run(list(programs.values())) if programs else []
        for content, judgement in zip(programs, judgements, strict=True):
            for i in owners[content]:
                verdicts[i] = self._verdict(judgement, extract_program(flat[i].response, self.think))
        rest = iter(verdicts)
        return [[verdict for _ in group if (verdict := next(rest)) is not None] for group in groups]

    def check_gold(self, gold: Any) -> None:
        from sandbox.judging.runnable_tests import runnable_test

        if not isinstance(gold, dict) or not gold.get("tests"):
            raise VerifierError(
                f'the gold of a code problem is {{"tests": [...]}}, not {repr(gold)[:200]}',
                remedy='give {"tests": [...]}',
            )
        try:
            program = self._read("gold", "pass", gold)
            for test in program.tests:
                runnable_test(test, program)
        except ValueError as error:
            said = str(error).replace("\n  remedy: ", "; ")  # on one line: it becomes the reason of a row
            raise VerifierError(
                f"the gold of a code problem cannot be read: {said}", remedy="mend or drop the row"
            ) from error

    def _gold_problem(self, prompt: Request) -> str | None:
        return super()._gold_problem(dataclasses.replace(prompt, gold=_tests_of(prompt) or prompt.gold))

    def _program(self, i: int, request: Request) -> Any:
        """What the judge is to run, or the verdict that makes running needless."""
        tests = _tests_of(request)
        if tests is None:
            return Verdict(outcome=Outcome.UNSUPPORTED, score=None, reason="no_tests")
        source = extract_program(request.response, self.think)
        if not source:
            return Verdict(outcome=Outcome.WRONG, score=0.0, reason="no_program", certificate={"certain": True})
        try:
            return self._read(str(i), source, tests)
        except ValueError as error:  # the tests are at fault, not the answer
            return Verdict(
                outcome=Outcome.UNSUPPORTED,
                score=None,
                reason="tests_unreadable",
                certificate={"detail": str(error)[:300]},
            )

    def _read(self, name: str, source: str, tests: dict[str, Any]) -> Program:
        """Raises ValueError for tests that cannot be read, or that this verifier does not take."""
        from sandbox.errors import ProgramError
        from sandbox.program_json import parse_program
        from sandbox.types import PytestTest

        program = parse_program(self._row(name, source, tests))
        if not self.options.pytest and any(isinstance(test, PytestTest) for test in program.tests):
            what = "a pytest file shares the program's process, which can fool it"
            raise ProgramError(
                what, where="tests", remedy="write asserts or a check, or set pytest: true on the verifier"
            )
        return program

    def _row(self, name: str, source: str, tests: dict[str, Any]) -> dict[str, Any]:
        row = {
            "id": name,
            "program": source,
            "score": self.options.score,
            **{k: tests[k] for k in PROGRAM_KEYS if k in tests},
        }
        limits = {**self.options.limits, **tests.get("limits", {})}
        return {**row, "limits": limits} if limits else row

    def _verdict(self, judgement: Judgement, source: str) -> Verdict:
        outcome = str(judgement.outcome)
        evidence = {"certain": True, "level": str(judgement.level), "trust": str(judgement.trust)}
        if outcome in _UNJUDGED or judgement.score is None:
            detail = {**evidence, "detail": (judgement.error or "")[:300]}
            found = _UNJUDGED.get(outcome, Outcome.ERROR)
            return Verdict(
                outcome=found,
                score=None,
                reason=outcome,
                extracted=cap(source),
                certificate=detail,
                seconds=judgement.seconds,
            )
        share = judgement.passed / judgement.total if judgement.total else 0.0
        right = outcome == "pass"
        return Verdict(
            outcome=Outcome.CORRECT if right else Outcome.WRONG,
            score=share if self.options.score == "fraction" else float(right),
            extracted=cap(source),
            reason=outcome,
            certificate=evidence,
            parts={"tests_passed": share},
            seconds=judgement.seconds,
        )


def extract_program(response: str, think: tuple[str, str]) -> str:
    """The last fenced Python block of the visible answer; without a fence all of it. An unclosed last fence runs to the
    end."""
    shown = visible(response, think)
    found = None
    lines = shown.splitlines(keepends=True)
    start = None
    for i, line in enumerate(lines):
        mark = line.strip()
        if not mark.startswith(_FENCE):
            continue
        if start is None:
            start = (i + 1, mark[len(_FENCE) :].strip().split(" ")[0].lower())
        elif mark == _FENCE:
            found = "".join(lines[start[0] : i]) if start[1] in _PYTHON else found
            start = None
    if start is not None and start[1] in _PYTHON:
        found = "".join(lines[start[0] :])
    return (shown if found is None else found).strip("\n") if (found or shown).strip() else ""


def _tests_of(request: Request) -> dict[str, Any] | None:
    """What holds the tests, the gold or the metadata."""
    return next(
        (source for source in (request.gold, request.metadata) if isinstance(source, dict) and source.get("tests")),
        None,
    )
