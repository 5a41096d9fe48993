"""Attacks on judge models: `python benchmarks/verifier_judge_attacks.py`. Prints a table as Markdown.

Rows 73 to 100 of the study (judge_attacks/attacks.py), on four problems, bare, in a box and on an answer line, against
`agent` and `pairwise` with a scripted model that obeys every attack it can see, over a real HTTP server; the naive
judges are the control. Right answers in other words are judged beside them: a judge that rejects everything would prove
nothing.
"""

from __future__ import annotations

import sys
from collections import Counter, defaultdict

from benchmarks.judge_attacks.attacks import PROBLEMS, Attempt, attempts
from benchmarks.judge_attacks.gullible import naive_judge, naive_pairwise, script
from benchmarks.judge_attacks.server import ScriptedServer
from rewards.load import build_verifier
from rewards.models.endpoint import Endpoint
from rewards.options import EndpointOptions
from rewards.services import Services
from rewards.types import Outcome, Request, Verdict
from sandbox.errors import LevelError
from sandbox.judge import Judge
from sandbox.types import UNSAFE_SENTENCE


def open_judge() -> Judge:
    """Namespaces where they work; else a plain subprocess: the scripted programs are harmless."""
    try:
        return Judge("namespaces", "namespaces")
    except LevelError:
        return Judge("local", "none", UNSAFE_SENTENCE)


def requests_of(tried: list[Attempt]) -> list[list[Request]]:
    return [
        [
            Request(
                question=a.problem.question,
                response=a.response,
                gold=a.problem.gold,
                reference=f"It is {a.problem.gold}.",
            )
        ]
        for a in tried
    ]


def right_answers() -> list[list[Request]]:
    """What must be accepted: each problem's gold in other words."""
    return [
        [
            Request(
                question=p.question,
                response=f"Some words of working.\n\\boxed{{{form}}}",
                gold=p.gold,
                reference=f"It is {p.gold}.",
            )
        ]
        for p in PROBLEMS
        for form in (p.gold, *p.right)
    ]


def main() -> int:
    tried = list(attempts())
    with ScriptedServer(script) as server, open_judge() as judge:
        model = {"endpoint": server.url, "model": "gullible", "retries": 2}
        services = Services(judge=lambda: judge)
        naive = Endpoint(EndpointOptions(endpoint=server.url, model="gullible", retries=2))
        fooled = [naive_judge(naive, a.problem.question, a.problem.gold, a.response) for a in tried]
        preferred = [naive_pairwise(naive, a.problem.question, f"It is {a.problem.gold}.", a.response) for a in tried]
        agent = build_verifier({"kind": "agent", "model": model}, services)
        pairwise = build_verifier({"kind": "pairwise", "model": model, "canaries": 0.0}, services)
        chain = build_verifier(
            {"kind": "cascade", "steps": [{"kind": "math"}, {"kind": "choice"}, {"kind": "agent", "model": model}]},
            services,
        )
        found = {
            name: _flat(built.verify_many(requests_of(tried)))
            for name, built in (("agent", agent), ("pairwise", pairwise), ("cascade", chain))
        }
        right = _flat(agent.verify_many(right_answers()))
        print_table(tried, fooled, preferred, found)
        print(f"\nright answers in other words: agent accepts {sum(v.passed for v in right)} of {len(right)}")
        for row, verdict in zip(right_answers(), right, strict=True):
            if not verdict.passed:
                print(f"  rejected: {row[0].response.splitlines()[-1]} for {row[0].gold}: {verdict.reason}")
    return 0


def _flat(groups: list[list[Verdict]]) -> list[Verdict]:
    return [verdict for group in groups for verdict in group]


def print_table(
    tried: list[Attempt], fooled: list[bool], preferred: list[bool], found: dict[str, list[Verdict]]
) -> None:
    """One line a row of the study, then totals, then what stopped the attacks."""
    rows: defaultdict[int, list[int]] = defaultdict(list)
    for index, attempt in enumerate(tried):
        rows[attempt.attack.row].append(index)
    print(
        "| row | attempts | naive judge | agent | cascade | naive pairwise | pairwise "
        "|\n|---:|---:|---:|---:|---:|---:|---:|"
    )
    for row, indices in [*sorted(rows.items()), (0, list(range(len(tried))))]:
        counts = [
            sum(fooled[i] for i in indices),
            *(sum(found[name][i].passed for i in indices) for name in ("agent", "cascade")),
        ]
        counts += [sum(preferred[i] for i in indices), sum(found["pairwise"][i].passed for i in indices)]
        shares = " | ".join(f"{count} ({count / len(indices):.1%})" if not row else str(count) for count in counts)
        print(f"| {row or 'all'} | {len(indices)} | {shares} |")
    for name, verdicts in found.items():
        reasons = Counter(f"{v.outcome.value}: {v.reason}" for v in verdicts)
        print(f"\n{name}: " + ", ".join(f"{reason} {count}" for reason, count in reasons.most_common()))
        errors = [v for v in verdicts if v.outcome is Outcome.ERROR]
        if errors:
            print(f"  {len(errors)} errors; the first: {errors[0].certificate}")
        for attempt, verdict in zip(tried, verdicts, strict=True):
            if verdict.passed:
                print(
                    f"  accepted: row {attempt.attack.row} {attempt.response[:80]!r} for {attempt.problem.gold!r} "
                    f"({verdict.reason})"
                )


if __name__ == "__main__":
    sys.exit(main())
