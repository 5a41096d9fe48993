"""The checks by name, what each asks and what to do where it fails, and the table of findings. Runs nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

NOTE = "note: "  # a finding that begins so is said and fails nothing

CHECKS: dict[str, tuple[str, str]] = {
    "types": (
        "verify returns Verdicts of JSON values, with a score where it says correct or wrong",
        "return posttrain.Verdict(outcome=..., score=...); certificate and parts hold numbers, texts, lists and dicts",
    ),
    "scores": (
        "every score is a number in [0, 1], never NaN",
        (
            "divide by the largest score, guard divisions by zero; for a function, score_range: [low, high] maps its "
            "rewards"
        ),
    ),
    "errors": (
        "no answer makes it raise",
        "what is wrong with an answer is a verdict: wrong, or unsupported; catch what parsing raises",
    ),
    "process": (
        "no answer ends its process",
        "no sys.exit, os._exit or crash on an answer; run programs in the sandbox (kind: code)",
    ),
    "deadline": (
        "no answer takes longer than the deadline",
        (
            "cap the length that is looked at; no nested repeats in patterns; no unbounded arithmetic; or raise "
            "deadline_seconds"
        ),
    ),
    "execution": (
        "nothing in an answer is executed",
        "no eval, exec, pickle, yaml.load or shell on an answer; kind: code judges programs",
    ),
    "labels": ("labelled samples are judged as labelled", "mend the verifier, or the label"),
    "groups": (
        "a group gets one verdict an answer, in the order of the group",
        "verify_group returns a list as long as its argument, position by position; keep no state between answers",
    ),
    "determinism": (
        "the same answer gets the same verdict, again and in another process",
        (
            "no random numbers, clocks, order of sets, or memory of earlier answers; the key of a cache holds answer, "
            "gold and options"
        ),
    ),
    "alone": (
        "verify and verify_group say the same of one answer",
        "let one call the other: a group that runs into its deadline is judged answer by answer",
    ),
    "evaluation": (
        "no word of an answer is compiled, or handed to a shell",
        "no eval, exec or sympify of an answer: ast.literal_eval, or a parser",
    ),
    "request": ("the request is left as it came", "copy gold or metadata before you change it: dict(request.metadata)"),
    "threads": (
        "it judges alike in eight threads at once",
        "keep what belongs to one answer in local variables; no signal.alarm",
    ),
    "asyncio": (
        "it judges alike inside a running event loop",
        "no asyncio.run in verify: make verify itself a coroutine",
    ),
    "pickling": (
        "it can be pickled and judges alike after it",
        "no lambdas, locks or open files as attributes: make them where needed",
    ),
    "fork": ("it judges alike in a forked process", "no threads, locks or connections made at import or in __init__"),
    "spawn": (
        "it judges alike in a spawned process",
        "importable by name, set up in __init__, not by what the first process did",
    ),
    "forkserver": (
        "it judges alike under forkserver",
        "importable by name, set up in __init__, not by what the first process did",
    ),
    "ray": (
        "it judges alike in a Ray actor",
        "importable on every worker (installed, or on PYTHONPATH); arguments are JSON values",
    ),
    "state": (
        "working folder, environment, signals, limits, locale and streams stay as they were",
        "no os.chdir, os.environ, setlocale, random.seed or signal.signal (the deadline comes as SIGPROF): with "
        "decimal.localcontext(), "
        "random.Random(seed), or put back in a finally",
    ),
    "memory": (
        "memory does not grow with the answers judged",
        "keep no answers; bound caches (lru_cache(maxsize=64)) or clear them",
    ),
    "descriptors": (
        "files, threads and processes do not pile up",
        "close what you open (with ...), join what you start, remove what you write",
    ),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One check. ok: True passed (detail may hold a note), False failed, None not run (detail says why).

    Example: Finding(check="scores", ok=False, detail="100.0 for 'The answer is 42'")
    """

    check: str
    ok: bool | None
    detail: str = ""

    @property
    def remedy(self) -> str:
        return CHECKS[self.check][1] if self.ok is False else ""


def failed_checks(findings: Sequence[Finding]) -> list[str]:
    """Names of the checks that failed."""
    return [finding.check for finding in findings if finding.ok is False]


def as_json(target: str, findings: Sequence[Finding]) -> dict[str, Any]:
    """{"verifier", "passed", "checks": [{check, ok, detail, asks, remedy}]}."""
    rows = [{**asdict(finding), "asks": CHECKS[finding.check][0], "remedy": finding.remedy} for finding in findings]
    return {"verifier": target, "passed": not failed_checks(findings), "checks": rows}


def as_text(target: str, findings: Sequence[Finding]) -> str:
    """A line a check; a failed one is followed by what was seen and the remedy."""
    lines = []
    for finding in findings:
        mark = {True: "ok", False: "FAILED", None: "not run"}[finding.ok]
        lines.append(f"{mark:8}{finding.check:13}{CHECKS[finding.check][0]}")
        if finding.detail:
            lines.append(f"{'':21}{finding.detail}")
        if finding.remedy:
            lines.append(f"{'':21}remedy: {finding.remedy}")
    bad = failed_checks(findings)
    lines.append(
        f"{target}: {f'{len(bad)} of {len(findings)} checks failed' if bad else 'every check that ran passed'}"
    )
    return "\n".join(lines)
