"""`code`: programs judged by running them. The programs of a batch go to the judge in one call, each once.

pass -> correct, the judge's own fault -> error (no score), anything else -> wrong. Gold or metadata holds the tests:
    {"tests": [...], "entry_point"?: str, "preamble"?: str, "starter"?: str, "compare"?: ...,
     "limits"?: {...}}
starter stands before the answer, which may go on from it (a function's body) or write it anew. preamble stands before
the tests; its imports, classes and numbers also before the answer. A gold with other keys is refused: they would be
read as something else elsewhere.
Knows nothing of how programs are isolated; that is the sandbox's.
"""

from __future__ import annotations

import ast
import builtins
import dataclasses
import re
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from rewards.contract.options import CodeOptions, Common, closest_names
from rewards.contract.verdicts import cap
from rewards.contract.verifier import BatchVerifier
from rewards.errors import VerifierError
from rewards.prose.visible import visible_text
from rewards.rules.program import behind, complete, find_program, with_both_names
from rewards.types import Outcome, Request, Verdict

if TYPE_CHECKING:
    from sandbox.judge import Judge
    from sandbox.types import Judgement, Program

PROGRAM_KEYS = ("tests", "entry_point", "preamble", "compare", "limits", "language")
GOLD_KEYS = (*PROGRAM_KEYS, "starter")
_NO_JUDGEMENT = {
    "fault": Outcome.ERROR,
    "invalid": Outcome.UNSUPPORTED,
}  # the judge's own failure; tests it does not judge


class CodeVerifier(BatchVerifier):
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
        sources: dict[int, str] = {}
        owners: dict[str, list[int]] = {}  # answers of a group repeat: the same program on the same tests is run once
        programs: dict[str, Any] = {}
        for i, request in enumerate(flat):
            found = self._program(i, request)
            if isinstance(found, Verdict):
                verdicts[i] = found
            else:
                sources[i] = found.program
                content = repr(dataclasses.replace(found, id=""))
                programs.setdefault(content, found)
                owners.setdefault(content, []).append(i)
        judgements = self._open_judge().run(list(programs.values())) if programs else []
        for content, judgement in zip(programs, judgements, strict=True):
            for i in owners[content]:
                verdicts[i] = self._verdict(judgement, sources[i])
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
            unknown = next((key for key in gold if key not in GOLD_KEYS), None)
            if unknown is not None:
                raise VerifierError(
                    f"unknown key {unknown!r} beside tests", remedy=closest_names(str(unknown), GOLD_KEYS)
                )
            program = self._read("gold", _as_tested("pass", gold), gold)
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
        """The program that the judge is to run, or a verdict where it need not run any."""
        tests = _tests_of(request)
        if tests is None:
            return Verdict(outcome=Outcome.UNSUPPORTED, score=None, reason="no_tests")
        source = extract_program(request.response, self.think, tests)
        if not source:
            return Verdict(outcome=Outcome.WRONG, score=0.0, reason="no_program")
        try:
            return self._read(str(i), _as_tested(source, tests), tests)
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
        evidence = {"level": str(judgement.level), "trust": str(judgement.trust)}
        if outcome in _NO_JUDGEMENT or judgement.score is None:
            detail = {**evidence, "detail": (judgement.error or "")[:300]}
            found = _NO_JUDGEMENT.get(outcome, Outcome.ERROR)
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


def extract_program(response: str, think: tuple[str, str], tests: dict[str, Any] | None = None) -> str:
    """The program in the visible part of an answer, as `tests` would have it: see `rewards.rules.program`."""
    shown = visible_text(response, think)
    forms = [test for test in (tests or {}).get("tests", ()) if isinstance(test, dict)]
    wanted = tuple(name.rpartition(".")[2] for name in _names_wanted(tests or {}, forms))
    return find_program(shown, wanted, reads_input=any("stdin" in test for test in forms))


def _as_tested(source: str, tests: dict[str, Any]) -> str:
    """The program as it is run: with the code that the row gives, and its function under the name that is tested."""
    starter, preamble = tests.get("starter") or "", tests.get("preamble") or ""
    for key, value in (("starter", starter), ("preamble", preamble)):
        if not isinstance(value, str):
            raise VerifierError(f"{key} must be text, not {value!r:.80}", where=key, remedy="write it as one text")
    forms = [test for test in tests["tests"] if isinstance(test, dict)]
    wanted = _names_wanted(tests, forms)
    source = complete(source, starter, tests.get("entry_point"))
    for name in wanted:
        source = with_both_names(source, name)
    return behind(source, _shared(preamble, wanted[0].partition(".")[0] if wanted else ""))


def _names_wanted(tests: dict[str, Any], forms: list[dict[str, Any]]) -> tuple[str, ...]:
    """The function that is tested: the entry point, or what the asserts call; Solution.f where they call a method."""
    if isinstance(tests.get("entry_point"), str):
        return (tests["entry_point"],)
    asserts = "\n".join(str(test["assert"]) for test in forms if "assert" in test)
    methods = re.findall(r"\bSolution\(\)\.(\w+)\(", asserts)
    called = [f"Solution.{name}" for name in methods] or re.findall(r"(?<![\w.])([A-Za-z_]\w*)\(", asserts)
    return tuple(dict.fromkeys(name for name in called if name not in dir(builtins)))


@lru_cache(maxsize=256)
def _shared(preamble: str, own: str) -> str:
    """What of a preamble the program sees: imports, classes and numbers by name. Its functions may be reference
    solutions, which stay with the tests."""
    try:
        tree = ast.parse(preamble)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise VerifierError(f"the preamble does not parse: {error}", where="preamble", remedy="mend it") from error
    kept = [node for node in tree.body if _is_shared(node) and getattr(node, "name", None) != own]
    return "\n".join(ast.unparse(node) for node in kept)


def _is_shared(node: ast.stmt) -> bool:
    if isinstance(node, ast.Assign):
        return isinstance(node.value, ast.Constant | ast.BinOp) and all(
            isinstance(part, ast.BinOp | ast.operator | ast.Constant) for part in ast.walk(node.value)
        )
    return isinstance(node, ast.Import | ast.ImportFrom | ast.ClassDef)


def _tests_of(request: Request) -> dict[str, Any] | None:
    """The mapping that holds the tests: the gold, else the metadata; None where neither does."""
    return next(
        (source for source in (request.gold, request.metadata) if isinstance(source, dict) and source.get("tests")),
        None,
    )
