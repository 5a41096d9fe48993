"""The conformance kit catches every seeded fault and raises no alarm on what is shipped."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rewards.kit.direct_checks import DIRECT_CHECKS
from rewards.kit.examine import Sample, examine
from rewards.kit.finding import CHECKS, Finding, as_json, as_text, failed_checks
from rewards.load import KINDS, build_verifier
from rewards.models.agent_prompt import LABELS
from rewards.plugins.scaffold import write_example
from rewards.services import Services
from rewards.types import Request

ROOT = Path(__file__).resolve().parents[2]
CHILDREN = {
    "fork",
    "spawn",
    "forkserver",
}  # each starts an interpreter: asked of a few, the rest in benchmarks/verifier_kit.py
FROM_INTERFACE = {
    "SortsItsGroup": "groups",
    "CorrectWithoutScore": "types",
    "percent": "scores",
    "PaysOnlyOnce": "determinism",
    "AnswersWithADict": "types",
}
FAULTS = {
    "evaluates_the_answer": "execution",
    "backtracks": "deadline",
    "rolls_dice": "determinism",
    "hangs_on_the_hash_seed": "determinism",
    "keeps_every_answer": "memory",
    "leaves_files_open": "descriptors",
    "starts_a_thread_each_time": "descriptors",
    "SetsAnAlarm": "threads",
    "RunsALoopOfItsOwn": "asyncio",
    "HoldsALambda": "pickling",
    "LockedAfterAFork": "fork",
    "OnlyInTheFirstProcess": "spawn",
    "DropsTheLast": "groups",
    "divides_nothing": "scores",
    "pays_by_the_letter": "scores",
    "encodes": "errors",
    "leaves": "process",
    "moves_house": "state",
    "EatsTheGold": "request",
    "SharesAScratchPad": "threads",
    "recurses": "errors",
    "KeepsASet": "types",
    "StopsTheClock": "state",
    "CachesByGold": "determinism",
    "CachesByAnswer": "determinism",
    "SharesItsCertificate": "determinism",
    "TwoMinds": "alone",
    "SharesForAMoment": "threads",
    "SetUpElsewhere": "spawn",
    "leaves_files_open_where_right": "descriptors",
    "leaves_folders": "descriptors",
    "lengthens_the_path": "descriptors",
    "SortsTheGold": "request",
    "rounds_everything": "state",
    "counts_in_another_locale": "state",
    "seeds_for_all": "state",
    "evaluates_the_box": "evaluation",
    "ExitsWithoutGold": "process",
    "DividesItsParts": "scores",
}
NOTED = {
    "fails_at_everything": ("labels", "every answer asked is wrong"),
    "reads_the_thinking": ("labels", "a gold that only the thinking holds counts; an empty gold"),
    "WantsAText": ("errors", "gold None, gold 7"),
}
HONEST = (
    "GroupOnly",
    "bounded_cache",
    "OwnLoop",
    "PoolForAGroup",
    "DatabaseAThread",
    "scratch_file",
    "OwnDice",
    "ChecksForm",
    "asks_politely",
)
SEEDED = {f"tests.rewards.faulty_from_interface:{name}": check for name, check in FROM_INTERFACE.items()} | {
    f"tests.rewards.faulty_verifiers:{name}": check for name, check in FAULTS.items()
}


@pytest.mark.parametrize("target", SEEDED)
def test_the_kit_catches_a_faulty_verifier_at_the_check_for_its_fault(
    target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAULTY_FOLDER", str(tmp_path))
    built = build_verifier({"kind": target, "deadline_seconds": 0.3}, Services(workers=2))
    findings, _ = examine(built, inside=[SEEDED[target]], patience_seconds=2.0 if target.endswith("AFork") else 60.0)
    assert SEEDED[target] in failed_checks(findings), as_text(target, findings)
    assert all(finding.detail and finding.remedy for finding in findings if finding.ok is False)


@pytest.mark.parametrize("name", NOTED)
def test_what_may_be_meant_and_seldom_is_gets_a_note_and_fails_nothing(name: str) -> None:
    built = build_verifier({"kind": f"tests.rewards.faulty_verifiers:{name}"}, Services(workers=2))
    findings, _ = examine(built, inside=[])
    check, said = NOTED[name]
    found = {finding.check: finding.detail for finding in findings}
    assert not failed_checks(findings) and all(part in found[check] for part in said.split("; ")), as_text(
        name, findings
    )


@pytest.mark.parametrize("name", HONEST)
def test_the_kit_raises_no_alarm_on_an_odd_but_honest_verifier(name: str) -> None:
    built = build_verifier({"kind": f"tests.rewards.honest_verifiers:{name}"}, Services(workers=2))
    findings, _ = examine(
        built, inside=[check for check in DIRECT_CHECKS if name == "OwnLoop" or check not in CHILDREN]
    )
    assert not failed_checks(findings), as_text(name, findings)


def sample(response: str, gold: Any, expected: bool | None = None, **more: Any) -> Sample:
    return Sample(
        request=Request(question="What is 6 * 7?", response=response, gold=gold, num_tokens=9, **more),
        expected=expected,
    )


CALL = {
    "calls": [{"name": "add", "arguments": {"a": 6}}],
    "tools": [{"name": "add", "parameters": {"properties": {"a": {"type": "integer"}}}}],
}
STEPS = [{"kind": "math"}, {"kind": "exact"}]
NUMBERS = [sample("\\boxed{42}", "42", True), sample("41", "42", False)]
# kind -> its least options and labelled samples
SHIPPED: dict[str, tuple[dict[str, Any], list[Sample]]] = {
    "math": ({}, NUMBERS),
    "choice": ({}, [sample("The answer is (B)", "B", True), sample("A", "B", False)]),
    "exact": ({}, [sample("42", "42", True), sample("it is 42", "42", False)]),
    "format": ({}, [sample("<think>a</think>42", None, True), sample("42", None, False)]),
    "length": ({"max_tokens": 100_000}, [sample("42", None, True)]),
    "repetition": ({}, [sample("The answer is 42", None, True)]),
    "language": ({}, [sample("The answer to this question is, without any doubt, the number 42.", "en", True)]),
    "instructions": (
        {},
        [
            sample(text, [{"id": "punctuation:no_comma"}], expected)
            for text, expected in (("It is 42", True), ("It is, well, 42", False))
        ],
    ),
    "tool_call": (
        {},
        [sample(f'<tool_call>{{"name": "add", "arguments": {{"a": {n}}}}}</tool_call>', CALL, n == 6) for n in (6, 7)],
    ),
    **{
        kind: ({"steps": STEPS}, [sample("42", "42", True), sample("41", "42", False)])
        for kind in ("cascade", "all", "any", "weighted")
    },
    "agent": (
        {"model": {"stage": "judge"}, "cache": 32},
        [sample("\\boxed{carbon dioxide}", "CO2", True), sample("\\boxed{argon}", "CO2", False), *NUMBERS],
    ),
    "pairwise": (
        {"model": {"stage": "judge"}},
        [sample("good, 42", None, True, reference="42"), sample("42", None, False, reference="good, good")],
    ),
}
FOREIGN = {
    "trl:{}:trl_chat": {},
    "trl:{}:trl_made": {},
    "verl:{}:verl_dapo": {"score_range": [-1, 1]},
    "openrlhf:{}:openrlhf_dict": {"score_range": [-1, 1]},
    "open_instruct:{}:OpenInstructVerifier": {},
    "slime:{}:slime_one": {"level": 0},
    "verifiers:{}:rubric": {},
}


class Taste:
    """A judge model that likes "good", and knows that CO2 is carbon dioxide."""

    def complete(self, prompts: list[str], *, max_tokens: int) -> list[str]:
        return ["" for _ in prompts]

    def label_logprobs(self, prompts: list[str], labels: list[str]) -> list[list[float]]:
        return [
            self._preference(prompt) if len(labels) == 2 else self._equivalence(prompt, labels) for prompt in prompts
        ]

    def _preference(self, prompt: str) -> list[float]:
        first, _, second = prompt.partition("Answer B:\n")
        margin = first.count("good") - second.count("good")
        return [-math.log1p(math.exp(-margin)), -math.log1p(math.exp(margin))]

    def _equivalence(self, prompt: str, labels: list[str]) -> list[float]:
        reference, candidate = (
            prompt.partition(f"{name}:\n| ")[2].partition("\n")[0] for name in ("Reference", "Candidate")
        )
        same = reference == candidate or {reference, candidate} == {"CO2", "carbon dioxide"}
        said = LABELS[0] if same else LABELS[1]
        return [math.log(0.97 if label == said else 0.01) for label in labels]


def examined(spec: dict[str, Any], samples: list[Sample], *, children: bool = False) -> list[Finding]:
    built = build_verifier(spec, Services(workers=2, model=lambda reference: Taste()))
    return examine(built, samples, inside=[name for name in DIRECT_CHECKS if children or name not in CHILDREN])[0]


@pytest.mark.parametrize("kind", SHIPPED)
def test_the_kit_raises_no_alarm_on_a_shipped_kind(kind: str) -> None:
    options, samples = SHIPPED[kind]
    findings = examined({"kind": kind, **options, "deadline_seconds": 10.0}, samples, children=kind == "math")
    assert not failed_checks(findings), as_text(kind, findings)
    assert [finding.ok for finding in findings if finding.check == "labels"] == [True]


def test_every_shipped_kind_is_examined_somewhere() -> None:
    assert set(KINDS) - set(SHIPPED) == {"code"}  # in containers, below


@pytest.mark.docker
def test_the_kit_raises_no_alarm_on_the_code_judge() -> None:
    from sandbox.judge import Judge

    tests = {"tests": [{"stdin": "", "stdout": "42"}]}
    samples = [sample(f"```python\nprint({n})\n```", tests, n == 42) for n in (42, 41)]
    with Judge("docker", "container", None, 2) as judge:
        findings, _ = examine(
            build_verifier({"kind": "code"}, Services(judge=lambda: judge)), samples, inside=["determinism", "request"]
        )
    assert not failed_checks(findings), as_text("code", findings)


@pytest.mark.parametrize("kind", FOREIGN)
def test_the_kit_raises_no_alarm_on_an_adapter(kind: str) -> None:
    spec = {"kind": kind.format("tests.rewards.foreign_rewards"), "deadline_seconds": 10.0, **FOREIGN[kind]}
    findings = examined(
        spec, [sample("it is 42", "42", True if "rubric" not in kind else None)], children=kind.startswith("trl")
    )
    assert not failed_checks(findings), as_text(kind, findings)


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    launch = (
        "import sys; sys.path.append(sys.argv.pop(1)); from posttrain.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    return subprocess.run(
        [sys.executable, "-c", launch, str(ROOT), *arguments], capture_output=True, text=True, cwd=cwd, check=False
    )


def test_the_scaffold_passes_every_check_from_the_shell(tmp_path: Path) -> None:
    write_example("near_enough", tmp_path)
    given = ("--set", "tolerance=0.01", "--samples", "near_enough.jsonl", "--json", "--no-ray")
    done = run("verifier", "test", "near_enough:NearEnough", *given, cwd=tmp_path)
    report = json.loads(done.stdout)
    assert done.returncode == 0 and report["passed"], done.stdout + done.stderr
    assert {row["check"]: row["ok"] for row in report["checks"]} == dict.fromkeys(
        [name for name in CHECKS if name != "ray"], True
    )


def test_a_failing_verifier_exits_with_1_and_names_the_remedy_and_a_missing_one_with_2(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "def judge(question, response, gold):\n    return 100.0\n\n\ndef one(request):\n    pass\n", encoding="utf-8"
    )
    done = run("verifier", "test", "mine:judge", "--no-ray", cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    assert "FAILED  scores" in done.stdout and "score_range" in done.stdout
    assert run("verifier", "test", "mine:jugde", cwd=tmp_path).returncode == 2
    assert run("verifier", "test", "mathh", cwd=tmp_path).returncode == 2
    assert run("verifier", "test", "mine:one", "--no-ray", cwd=tmp_path).returncode == 2
    assert run("verifier", "test", "mine:judge", "--samples", "none.jsonl", cwd=tmp_path).returncode == 2


def test_findings_read_as_a_table_and_as_json() -> None:
    findings = [
        Finding(check="types", ok=True),
        Finding(check="scores", ok=False, detail="sample 1: nan"),
        Finding(check="ray", ok=None),
    ]
    lines = as_text("mine", findings).splitlines()
    assert [line.split()[0] for line in lines] == ["ok", "FAILED", "sample", "remedy:", "not", "mine:"]
    assert as_json("mine", findings)["passed"] is False


@pytest.mark.ray
def test_a_ray_actor_must_give_the_same_verdicts() -> None:
    from posttrain.machine.verifier_in_actor import ray_finding

    spec, think = {"kind": "exact"}, ("<think>", "</think>")
    baseline = examine(build_verifier(spec, Services(workers=1)), inside=[])[1]
    assert ray_finding(spec, think, baseline).ok is True
