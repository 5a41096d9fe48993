"""Examine one verifier: through its pool as in training, then the verifier itself in a process of its own
(rewards.kit.direct_checks).

Gives findings; prints nothing. Knows nothing of Ray: that check is made by whoever has a cluster, who compares with the
`Baseline`.
"""

from __future__ import annotations

import json
import math
import select
import subprocess
import sys
import tempfile
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rewards.contract.verifier import BatchVerifier
from rewards.kit.direct_checks import DIRECT_CHECKS, Subject, difference, run_check, verdict_key
from rewards.kit.finding import NOTE, Finding
from rewards.kit.samples import OTHER, PLAIN, answers_to_other_questions, hostile, odd_prompts
from rewards.types import Outcome, Request, Verdict
from rewards.workers.client import RuleVerifier
from rewards.workers.messages import request_to_json

_BOOT = "import json,sys; sys.path[:] = json.loads(sys.argv.pop()); from rewards.kit.direct_checks import main; main()"
_BATCH = 8  # hostile answers at a time: a verifier that hangs on one of them is not asked the rest
_SHORT = 5_000  # characters: a longer answer is put to the verifier through the pool only
_PASS_SECONDS = 1.0  # what the answers of the direct checks, each judged some sixty times, take together
_START_SECONDS = 60.0
_BY_REASON = {
    "score_out_of_range": "scores",
    "malformed_verdict": "types",
    "score_missing": "types",
    "wrong_length": "groups",
    "worker_lost": "process",
}
_POOL_CHECKS = ("types", "scores", "errors", "process", "deadline", "execution", "labels", "groups")
# Those direct checks that need no process of the verifier's own.
_CHECKS_HERE = ("determinism", "request", "threads", "asyncio", "memory", "descriptors")


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """A request, with the label it should get where there is one."""

    request: Request
    expected: bool | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Baseline:
    """Requests, each a group of its own, and the keys of their verdicts, which any other process must repeat."""

    requests: list[Request]
    keys: list[Any]


def examine(
    built: BatchVerifier,
    samples: Sequence[Sample] = (),
    *,
    inside: Collection[str] = tuple(DIRECT_CHECKS),
    patience_seconds: float = 60.0,
) -> tuple[list[Finding], Baseline]:
    """Findings, and the verdicts that other processes must repeat.

    `inside` names the checks of the verifier itself to run; `patience_seconds` is how long one of them waits for
    threads and processes.
    """
    samples = [replace(s, request=_without_truncation(s.request)) for s in samples] or [
        Sample(request=request) for request in PLAIN
    ]
    plain = [sample.request for sample in samples]
    judged, problems = _judge_through_pool(built, samples)
    order = _order_problem(built, plain)
    if order:
        problems.setdefault("groups", order)
    baseline = _baseline_of(judged)
    findings = [_finding(name, problems.get(name, "")) for name in _POOL_CHECKS]
    if not any(sample.expected is not None for sample in samples):
        said = [
            _one_sided_note([verdict for _, verdict in judged]),
            problems.get("labels", ""),
            "no sample has a label: --samples FILE",
        ]
        findings = [_not_run("labels", next(filter(None, said))) if f.check == "labels" else f for f in findings]
    return findings + _direct_findings(
        built, baseline, [name for name in DIRECT_CHECKS if name in inside], patience_seconds
    ), baseline


def _without_truncation(request: Request) -> Request:
    """The request, its answer counted as whole: a truncated one meets a policy and never the verifier."""
    return replace(request, stop_reason="stop") if request.stop_reason == "length" else request


def _baseline_of(judged: list[tuple[Request, Verdict]]) -> Baseline:
    """What other processes must repeat: as many of the short answers with a verdict as a pass has time for, every
    outcome among them."""
    fit = [
        (request, v)
        for request, v in judged
        if v.outcome not in (Outcome.ERROR, Outcome.TIMEOUT) and len(request.response) < _SHORT
    ]
    kept: list[tuple[Request, Verdict]] = []
    left, seen = _PASS_SECONDS, set()
    for request, verdict in fit:
        if left >= 0 or verdict.outcome not in seen:
            kept.append((request, verdict))
        seen.add(verdict.outcome)
        left -= verdict.seconds
    return Baseline(requests=[request for request, _ in kept], keys=[[verdict_key(verdict)] for _, verdict in kept])


def _one_sided_note(verdicts: Sequence[Verdict]) -> str:
    """A note on a verifier that says the same of every answer, which cannot be told from one that fails at all of
    them; "" for any other."""
    outcomes = {verdict.outcome for verdict in verdicts}
    if len(outcomes) != 1 or not outcomes & {Outcome.CORRECT, Outcome.WRONG}:
        return ""
    return (
        f"every answer asked is {outcomes.pop()}, right ones and nonsense: --samples FILE with labels; an exception "
        "must not become a score"
    )


def _judge_through_pool(
    built: BatchVerifier, samples: Sequence[Sample]
) -> tuple[list[tuple[Request, Verdict]], dict[str, str]]:
    """Every request with its verdict, and what was wrong: check -> what was seen first."""
    problems: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        canary = Path(folder) / "executed"
        named = {f"sample {i}": sample.request for i, sample in enumerate(samples, start=1)}
        others = answers_to_other_questions([sample.request for sample in samples]) or [OTHER]
        named |= {f"an answer to another question ({i})": request for i, request in enumerate(others, start=1)}
        named |= hostile(samples[0].request, canary)
        names, judged = list(named), []
        for start in range(0, len(names), _BATCH):
            batch = names[start : start + _BATCH]
            verdicts = [group[0] for group in built.verify_many([[named[name]] for name in batch])]
            for name, verdict in zip(batch, verdicts, strict=True):
                check, seen = _fault(verdict)
                if check:
                    problems.setdefault(check, f"{name}: {seen}")
                if canary.exists():
                    problems.setdefault("execution", f"one of {', '.join(batch)} was executed")
            judged += [(named[name], verdict) for name, verdict in zip(batch, verdicts, strict=True)]
            if sum(verdict.outcome is Outcome.TIMEOUT for verdict in verdicts) > 1:
                break
    if isinstance(built, RuleVerifier):  # of a judge or a model, each question costs
        _ask_odd_prompts(built, samples[0].request, problems)
    for i, (sample, (_, verdict)) in enumerate(zip(samples, judged, strict=False), start=1):
        if sample.expected is not None and sample.expected is not verdict.passed:
            problems.setdefault(
                "labels", f"sample {i}: {verdict.outcome} ({verdict.reason}), labelled {sample.expected}"
            )
    if odd := _odd_verdicts_note([verdict for _, verdict in judged]):
        problems.setdefault("scores", odd)
    if isinstance(built, RuleVerifier) and (note := _too_easy_note(built, samples[0].request)):
        problems.setdefault("labels", note)
    return judged, problems


def _ask_odd_prompts(built: BatchVerifier, sample: Request, problems: dict[str, str]) -> None:
    """Put golds of other types than the verifier was made for: it may refuse them, even by raising, and must not end
    its process."""
    prompts = odd_prompts(sample)
    verdicts = [group[0] for group in built.verify_many([[prompt] for prompt in prompts.values()])]
    refused = []
    for name, verdict in zip(prompts, verdicts, strict=True):
        check, seen = _fault(verdict)
        if check == "errors":
            refused.append(name)
        elif check:
            problems.setdefault(check, f"{name}: {seen}")
    if refused:
        more = f" and {len(refused) - 3} more" if len(refused) > 3 else ""
        note = (
            f"{NOTE}it raises at {', '.join(refused[:3])}{more}: unsupported, or a class's check_gold(gold), "
            "would say so before a run"
        )
        problems.setdefault("errors", note)


def _odd_verdicts_note(verdicts: list[Verdict]) -> str:
    """A note on verdicts that are allowed and seldom meant; "" where there are none."""
    notes = []
    if any(verdict.passed and verdict.score == 0 for verdict in verdicts):
        notes.append("correct with score 0: the filter counts it, the reward does not")
    if any(verdict.outcome is Outcome.WRONG and verdict.score == 1 for verdict in verdicts):
        notes.append("wrong with score 1: the reward counts it, the filter does not")
    longest = max((len(str(verdict.extracted or "")) for verdict in verdicts), default=0)
    if longest > _SHORT:
        notes.append(f"extracted has {longest} characters and is stored with each answer")
    return f"{NOTE}{'; '.join(notes)}" if notes else ""


def _too_easy_note(built: BatchVerifier, sample: Request) -> str:
    """A note on a verifier that accepts a gold from the thinking alone, or anything for an empty gold: a grader is
    fooled by these, a check of form may mean them."""
    if not isinstance(sample.gold, str | int | float):
        return ""
    nothing, thought = "I cannot tell.", "<think>{}</think>I cannot tell."
    texts = (thought.format(sample.gold), thought.format("so"), nothing)
    requests = [replace(sample, response=text) for text in texts] + [replace(sample, response=nothing, gold="")]
    there, absent, plain, empty = (group[0].passed for group in built.verify_many([[request] for request in requests]))
    notes = (
        ["a gold that only the thinking holds counts: response.rpartition('</think>')[2]"]
        if there and not absent
        else []
    )
    notes += ["an empty gold accepts every answer"] if empty and not plain else []
    return f"{NOTE}{'; '.join(notes)}" if notes else ""


def _fault(verdict: Verdict) -> tuple[str, str]:
    """(check, what was seen), or ("", "")."""
    if verdict.outcome is Outcome.TIMEOUT:
        return (
            "process" if verdict.reason == "worker_crashed" else "deadline"
        ), f"{verdict.reason} after {verdict.seconds:.1f} s"
    if verdict.outcome is not Outcome.ERROR:
        numbers = {**verdict.parts, **verdict.cost}
        odd = [name for name, part in numbers.items() if not (isinstance(part, int | float) and math.isfinite(part))]
        return ("scores", f"part {odd[0]!r} is no finite number") if odd else ("", "")
    seen = str(verdict.certificate.get("detail") or verdict.reason)
    if verdict.reason == "rule_failed" and seen.startswith(("SystemExit", "KeyboardInterrupt")):
        return "process", seen
    if verdict.reason == "rule_failed" and ("expected a Verdict" in seen or "JSON serializable" in seen):
        return "types", seen
    return _BY_REASON.get(verdict.reason, "errors"), seen


def _order_problem(built: BatchVerifier, plain: list[Request]) -> str:
    """A group, and the same group the other way round. All answers are put to the question of one sample, whose gold
    has letters if any."""
    question = next(
        (request for request in plain if isinstance(request.gold, str) and request.gold.swapcase() != request.gold),
        plain[0],
    )
    texts = [request.response for request in plain] + ["", "something else", question.response]
    texts += [request.response.swapcase() for request in plain[:4]]
    group = [replace(question, response=text, num_tokens=len(text) // 4) for text in texts]
    there, back = built.verify_group(group), built.verify_group(group[::-1])
    for verdict in (*there, *back):
        if verdict.reason == "wrong_length":
            return str(verdict.certificate.get("detail"))
    return difference([[verdict_key(v)] for v in there], [[verdict_key(v)] for v in back[::-1]])


# ---------------------------------------------------------------- the verifier itself


def _direct_findings(built: BatchVerifier, baseline: Baseline, checks: list[str], patience: float) -> list[Finding]:
    if not baseline.requests:
        return [_not_run(name, "it gave no verdict that could be compared") for name in checks]
    units = [[request_to_json(request)] for request in baseline.requests]
    if isinstance(built, RuleVerifier):
        return _findings_from_processes(
            {"rule": built.rule, "units": units, "expected": baseline.keys, "patience": patience}, checks
        )
    subject = Subject(judge=built.verify_group, units=units, expected=baseline.keys, patience=patience)
    why = "it holds a judge, a model or other verifiers, and is built anew in each process"
    return [
        _finding(name, run_check(name, subject)) if name in _CHECKS_HERE else _not_run(name, why) for name in checks
    ]


def _findings_from_processes(task: dict[str, Any], checks: list[str]) -> list[Finding]:
    """Checks in order in one process; a check that hangs it or takes it down has failed, and a new process goes on
    after it."""
    findings: list[Finding] = []
    while len(findings) < len(checks):
        done = _problems_from_process({**task, "checks": checks[len(findings) :]})
        findings += [_finding(name, problem) for name, problem in done]
    return findings


def _problems_from_process(task: dict[str, Any]) -> list[tuple[str, str]]:
    """(check, problem) of the checks that were answered, and of the one the process was lost at."""
    command = [sys.executable, "-c", _BOOT, json.dumps(sys.path)]
    with tempfile.TemporaryFile() as task_file:
        task_file.write(json.dumps(task).encode())
        task_file.seek(0)
        # Unbuffered: select sees every line.
        process = subprocess.Popen(command, stdin=task_file, stdout=subprocess.PIPE, bufsize=0)
    assert process.stdout is not None, "the pipe was asked for"
    checks: list[str] = task["checks"]
    done: list[tuple[str, str]] = []
    try:
        built = _line(process.stdout, _START_SECONDS)
        if not isinstance(built, dict) or built["built"]:
            why = built["built"] if isinstance(built, dict) else built
            return [(name, f"it could not be built: {why}") for name in checks]
        for name in checks:
            line = _line(process.stdout, task["patience"] * 1.5)
            done.append((name, line["problem"] if isinstance(line, dict) else line))
            if not isinstance(line, dict):
                break
        return done
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def _line(pipe: Any, seconds: float) -> dict[str, Any] | str:
    """The next line, or why there is none. The process writes a line whole."""
    ready, _, _ = select.select([pipe], [], [], seconds)
    if not ready:
        return f"it was still busy after {seconds:g} s"
    raw = pipe.readline()
    return json.loads(raw) if raw else "its process ended"


def _finding(name: str, problem: str) -> Finding:
    return Finding(check=name, ok=not problem or problem.startswith(NOTE), detail=problem)


def _not_run(name: str, why: str) -> Finding:
    return Finding(check=name, ok=None, detail=why)
