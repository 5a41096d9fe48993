"""The stage `tests` against solutions that it has not seen.

Small problems: the texts, three right solutions each, and the replies of the roles solver and tester, written from the
stage's prompts alone, lie in code_problems/; five wrong solutions each were written after the replies. The stage runs
on the texts with a server that gives those replies; its tests then judge all eight solutions, with the adversarial
inputs and without them.

HumanEval: the canonical solution is the row's answer; its own tests are not shown. A tester that knows the signature
and the examples in the docstring alone writes inputs by type. Wrong versions are the mutants of the canonical solution
that HumanEval's own tests fail.

Run: python benchmarks/factory_tests.py problems|human_eval FILE [--only N] [--backend local]
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.judge_attacks.server import Fault, ScriptedServer
from posttrain.cli import main
from rewards.rules.program import complete
from sandbox.judge import Judge
from sandbox.program_json import parse_program
from sandbox.proof.mutants import mutants
from sandbox.types import UNSAFE_SENTENCE, Judgement, Outcome

FOLDER = Path(__file__).with_name("code_problems")
ADVERSARIAL = "adversarial"
PROGRAM_KEYS = ("tests", "entry_point", "preamble", "compare", "limits")


@dataclass(frozen=True, kw_only=True, slots=True)
class CodeProblem:
    """A problem with what was written for it. entry_point: "" for a script; parts: "right 1", "solver 2", "wrong 5",
    "validator", ... -> text."""

    name: str
    entry_point: str
    text: str
    parts: Mapping[str, str]

    def programs(self, kind: str) -> list[str]:
        return [text for name, text in self.parts.items() if name.startswith(f"{kind} ")]


def code_problems() -> list[CodeProblem]:
    """All of the folder, in order."""
    parts: dict[str, dict[str, str]] = {}
    heads: dict[str, str] = {}
    for path in (*sorted(FOLDER.glob("problems_*.txt")), *sorted(FOLDER.glob("[rw]*_*.txt"))):
        for block in re.split(r"(?m)^=== ", path.read_text("utf-8"))[1:]:
            head, _, body = block.partition("\n")
            name, _, entry = head.partition(" | ")
            text, *sections = re.split(r"(?m)^--- ", body)
            if entry:
                heads[name], parts[name] = entry, {"text": text.strip()}
            for section in sections:
                title, _, code = section.partition("\n")
                parts[name][title] = code.rstrip("\n")
    return [
        CodeProblem(
            name=name, entry_point="" if entry == "script" else entry, text=parts[name]["text"], parts=parts[name]
        )
        for name, entry in heads.items()
    ]


class Replies:
    """What the scripted roles say. Mutable: the n-th seed that asks solver about a problem gets its n-th reply."""

    def __init__(self, problems: Sequence[CodeProblem]) -> None:
        self._problems = problems
        self._seeds: defaultdict[str, list[int]] = defaultdict(list)
        self._lock = threading.Lock()

    def __call__(self, prompt: str, body: Mapping[str, Any]) -> str | Fault:
        problem = next((one for one in self._problems if one.text in prompt), None)
        if problem is None:
            return Fault(status=400, body='{"error": {"message": "no such problem"}}')
        if body["model"] == "tester":
            names = ("mistakes", "validator", "generators", "checker")
            return "\n".join(f"<{name}>\n{problem.parts[name]}\n</{name}>" for name in names)
        with self._lock:
            seeds = self._seeds[problem.name]
            if body["seed"] not in seeds:
                seeds.append(body["seed"])
            number = seeds.index(body["seed"])
        return f"Here it is.\n\n```python\n{problem.programs('solver')[number]}\n```\n"


def written_tests(
    problems: Sequence[CodeProblem],
    rows: Sequence[Mapping[str, Any]],
    folder: Path,
    *,
    backend: str,
    solutions: int = 2,
    more: Mapping[str, Any] | None = None,
) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """(name -> the published row, figures of the stage). more: further keys of the stage."""
    local = backend == "local"
    sandbox = {"backend": backend} if not local else {
        "backend": "local",
        "min_level": "none",
        "allow_unsafe": UNSAFE_SENTENCE,
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    file, part = folder / "rows.jsonl", folder / "part.yaml"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    with ScriptedServer(Replies(problems)) as server:
        roles = ("solver", "tester") if solutions else ("tester",)
        keys = {
            "models": {
                role: {"endpoint": server.url, "model": role, "version": "scripted", "retries": 0, "parallel": 2}
                for role in roles
            },
            "solutions": solutions,
            "verifier": "code",
            "verifiers": {"code": {"kind": "code"}},
            "sandbox": sandbox,
            **(more or {}),
        }
        part.write_text(json.dumps(keys), "utf-8")
        code = main(["data", "tests", str(file), "--config", str(part), "--out", str(folder / "out")])
    if code:
        raise SystemExit(code)
    published = [json.loads(line) for line in (folder / "out" / "rows.jsonl").read_text("utf-8").splitlines()]
    return {row["id"]: row for row in published}, json.loads((folder / "out" / "summary.json").read_text("utf-8"))


def judged(judge: Judge, gold: Mapping[str, Any], programs: Sequence[str]) -> list[Judgement]:
    """Programs by the tests of a gold."""
    keys = {key: gold[key] for key in PROGRAM_KEYS if key in gold}
    return judge.run(
        [parse_program({"id": str(number), "program": source, **keys}) for number, source in enumerate(programs)],
        fail_fast=True,
    )


def outcomes(judge: Judge, row: Mapping[str, Any], programs: Sequence[str]) -> list[tuple[bool, bool]]:
    """(passes without the adversarial inputs, passes all tests) of each program by a published row."""
    kinds = row["metadata"]["test_kinds"]
    tests = {
        only: [test for test, kind in zip(row["gold"]["tests"], kinds, strict=True) if (kind == ADVERSARIAL) == only]
        for only in (False, True)
    }
    few = [passes(one) for one in judged(judge, {**row["gold"], "tests": tests[False]}, programs)]
    left = [source for source, ok in zip(programs, few, strict=True) if ok]
    found = judged(judge, {**row["gold"], "tests": tests[True]}, left) if tests[True] else []
    rest = iter([passes(one) for one in found] or [True] * len(left))
    return [(ok, ok and next(rest)) for ok in few]


class Known:
    """Outcomes that are known already, in a file beside the stage's own. Mutable."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._found: dict[str, list[Any]] = json.loads(path.read_text("utf-8")) if path.is_file() else {}

    def of(self, name: str, judge: Judge, row: Mapping[str, Any], programs: Sequence[str]) -> list[tuple[bool, bool]]:
        """As `outcomes`, by the name of the problem."""
        if name not in self._found:
            self._found[name] = outcomes(judge, row, programs)
            self._path.write_text(json.dumps(self._found), "utf-8")
        return [(few, full) for few, full in self._found[name]]


def passes(found: Judgement) -> bool:
    """Whether a program passed. Raises RuntimeError for a fault of the judge."""
    if found.score is None:
        raise RuntimeError(f"the judge came to no score: {found.outcome} {found.error}")
    return found.outcome is Outcome.PASS


def compare_problems(
    judge: Judge, problems: Sequence[CodeProblem], rows: Mapping[str, dict[str, Any]], known: Known
) -> Counter[str]:
    """Counts over all problems, and a line for each that is not as it should be."""
    total: Counter[str] = Counter()
    for problem in problems:
        row = rows.get(problem.name)
        total["problems"] += 1
        if row is None:
            continue
        right, wrong = problem.programs("right"), problem.programs("wrong")
        found = known.of(problem.name, judge, row, [*right, *wrong])
        ok = [full for _, full in found[: len(right)]]
        few, slipped = ([one[place] for one in found[len(right) :]] for place in (0, 1))
        total.update(
            {
                "kept": 1,
                "tests": len(row["gold"]["tests"]),
                "right": len(right),
                "right pass": sum(ok),
                "wrong": len(wrong),
                "wrong fail": len(wrong) - sum(slipped),
                "wrong fail without adversarial inputs": len(wrong) - sum(few),
            }
        )
        for name, bad in (("right fails", [not one for one in ok]), ("wrong passes", slipped)):
            numbers = [str(number) for number, one in enumerate(bad, 1) if one]
            if numbers:
                print(f"  {problem.name}: {name}: {', '.join(numbers)}")
    return total


# ---------------------------------------------------------------- HumanEval

_PLAIN = {"int": 3, "float": 1.5, "str": "abc", "bool": True}
_TYPES = {"int": "int", "float": "float", "str": "str", "bool": "bool", "string": "str"}


def type_of(note: str) -> str:
    """A type of a signature as a generator's kind; text where nothing is said."""
    inner = re.fullmatch(r"(?:typing\.)?[Ll]ist\[(.*)\]", note.strip())
    if inner:
        return f"list:{type_of(inner[1])}"
    return "list:int" if note.strip() in ("list", "List") else _TYPES.get(note.strip(), "str")


def human_eval(
    path: Path, only: int | None
) -> tuple[list[CodeProblem], list[dict[str, Any]], dict[str, dict[str, Any]]]:
    """(problems with the replies of a tester that knows the prompt alone, rows, HumanEval's own rows by name)."""
    problems, rows, own = [], [], {}
    with gzip.open(path, "rt", encoding="utf-8") as stream:
        lines = stream.read().splitlines()
    step = max(1, len(lines) // only) if only else 1
    for line in lines[::step][:only]:
        task = json.loads(line)
        name, entry, prompt = task["task_id"], task["entry_point"], task["prompt"]
        signature = re.findall(rf"def {entry}\((.*?)\)\s*(?:->.*?)?:", prompt, re.S)[-1]
        examples = [list(found) for found in examples_of(prompt, entry)]
        names = [part.partition(":") for part in re.split(r",(?![^\[]*\])", signature) if part.strip()]
        kinds = [type_of(note) if note else guess(examples, place) for place, (_, _, note) in enumerate(names)]
        parts = {
            "mistakes": "by type",
            "validator": f"def valid(*args):\n    return len(args) == {len(kinds)}",
            "generators": f"KINDS, EXAMPLES = {kinds!r}, {examples or [[_PLAIN.get(kind, []) for kind in kinds]]!r}\n"
            + (FOLDER / "by_type.txt").read_text("utf-8"),
            "checker": "none",
        }
        text = f"Go on with `{entry}` of {name}:\n"
        problems.append(CodeProblem(name=name, entry_point=entry, text=text.strip(), parts=parts))
        gold = {"entry_point": entry, "starter": prompt}
        rows.append(
            {
                "id": name,
                "prompt": text + prompt,
                "gold": gold,
                "completion": f"```python\n{prompt}{task['canonical_solution']}```",
            }
        )
        own[name] = task
    return problems, rows, own


def examples_of(prompt: str, entry: str) -> list[tuple[Any, ...]]:
    """Arguments of the calls in a docstring that are plain values."""
    import ast

    found = []
    for match in re.finditer(rf"\b{entry}\(", prompt):
        depth, end = 1, match.end()
        while depth and end < len(prompt):
            depth += {"(": 1, "[": 0, ")": -1}.get(prompt[end], 0)
            end += 1
        try:
            value = ast.literal_eval(f"[{prompt[match.end() : end - 1]}]")
            json.dumps(value)
        except (ValueError, SyntaxError, TypeError):
            continue
        if value and not prompt[: match.start()].rstrip().endswith("def"):
            found.append(tuple(value))
    return found


def guess(examples: Sequence[Sequence[Any]], place: int) -> str:
    """The kind of an argument without a type, from the examples."""
    values = [one[place] for one in examples if len(one) > place]
    if not values:
        return "str"
    value = values[0]
    if isinstance(value, list):
        return "list:" + (_TYPES.get(type(value[0]).__name__, "str") if value else "int")
    return _TYPES.get(type(value).__name__, "str")


def compare_human_eval(
    judge: Judge, own: Mapping[str, dict[str, Any]], rows: Mapping[str, dict[str, Any]], *, most: int, known: Known
) -> Counter[str]:
    """Mutants of the canonical solution by HumanEval's own tests and by those written here."""
    total: Counter[str] = Counter()
    for name, task in own.items():
        total["problems"] += 1
        row = rows.get(name)
        if row is None:
            continue
        whole = complete(task["canonical_solution"], task["prompt"], task["entry_point"])
        changed = [source for _, source in mutants(whole, most)]
        theirs = {"entry_point": task["entry_point"], "tests": [{"check": task["test"]}]}
        theirs_row = {"gold": theirs, "metadata": {"test_kinds": ["check"]}}
        by_theirs = [full for _, full in known.of(f"{name} by its own", judge, theirs_row, [whole, *changed])]
        found = known.of(name, judge, row, [whole, *changed])
        by_ours, few = [full for _, full in found], [part for part, _ in found]
        wrong = [place for place in range(len(changed)) if not by_theirs[place + 1]]
        missed = [place for place in wrong if by_ours[place + 1]]
        total.update(
            {
                "kept": 1,
                "tests": len(row["gold"]["tests"]),
                "right": 1,
                "right pass": by_ours[0],
                "mutants": len(changed),
                "wrong": len(wrong),
                "wrong fail": len(wrong) - len(missed),
                "wrong fail without adversarial inputs": sum(not few[place + 1] for place in wrong),
                "failed here, passed by HumanEval's tests": sum(
                    by_theirs[place + 1] and not by_ours[place + 1] for place in range(len(changed))
                ),
            }
        )
        if missed:
            print(f"  {name}: {len(missed)} of {len(wrong)} wrong versions pass")
    return total


def show(total: Counter[str], figures: Mapping[str, Any], seconds: float) -> None:
    for reason, count in figures["set_aside"].items():
        print(f"set aside {count} x {reason}")
    for name, count in total.items():
        print(f"{name:<48}{count:>7,}")
    for name, count in figures["counts"].items():
        print(f"stage: {name:<41}{count:>7,}")
    for what in ("wrong fail", "wrong fail without adversarial inputs"):
        print(f"{what}: {100 * total[what] / max(1, total['wrong']):.1f} %")
    print(f"{seconds:.0f} s")


def command() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("what", choices=("problems", "human_eval"))
    parser.add_argument("file", nargs="?", type=Path, help="human_eval.jsonl.gz")
    parser.add_argument("--only", type=int, help="so many problems, spread over all")
    parser.add_argument("--first", type=int, default=0, help="of problems: the first of them, from 0")
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--work", type=Path, help="where the stage keeps what it found: the same command goes on there")
    parser.add_argument("--cpu-seconds", type=float, default=2.0, help="limit of a test")
    parser.add_argument("--mutants", type=int, default=10)
    given = parser.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        if given.what == "problems":
            problems = code_problems()[given.first :][: given.only]
            rows = [
                {"id": one.name, "prompt": one.text, "metadata": {"entry_point": one.entry_point}} for one in problems
            ]
            own: dict[str, dict[str, Any]] = {}
        else:
            problems, rows, own = human_eval(given.file, given.only)
        published, figures = written_tests(
            problems,
            rows,
            given.work or Path(name),
            backend=given.backend,
            solutions=0 if own else 2,
            more={"limits": {"cpu_seconds": given.cpu_seconds}},
        )
        known = Known((given.work or Path(name)) / "outcomes.json")
        local = given.backend == "local"
        with Judge(given.backend, "none" if local else "container", UNSAFE_SENTENCE if local else None) as judge:
            if own:
                total = compare_human_eval(judge, own, published, most=given.mutants, known=known)
            else:
                total = compare_problems(judge, problems, published, known)
    show(total, figures, time.monotonic() - started)


if __name__ == "__main__":
    command()
