"""Wrong accepts and right answers refused, by kind, on rows that were written from the pages alone.

    python benchmarks/verifier_verdicts.py [KIND ...]

verdicts/first.jsonl and second.jsonl: answers as models write them, by authors who saw docs/verifiers.md and
docs/judge.md and no code. Each was judged once before any rule was changed for it (FIRST_LOOK); since then rules have
been mended on both, so that today's figures are tuned on. The kind `code` needs the judge of this machine.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rewards.load import build_verifier
from rewards.services import Services
from rewards.types import Outcome, Request
from sandbox.judge import Judge
from sandbox.types import Level

ROOT = Path(__file__).resolve().parents[1]
SETS = {name: ROOT / "benchmarks" / "verdicts" / f"{name}.jsonl" for name in ("first", "second")}
FIRST_LOOK = {  # (wrong accepts, right refused) before any rule was changed for the set
    "first": {"math": (3, 9), "choice": (0, 8), "language": (0, 1), "code": (0, 0), "tool_call": (0, 0),
              "instructions": (0, 0)},
    "second": {"math": (1, 16), "choice": (3, 3), "language": (0, 0)},
}  # fmt: skip


def rows_of(name: str, kinds: list[str]) -> list[dict[str, Any]]:
    """The rows of a set, of these kinds (none named: of all)."""
    rows = [json.loads(line) for line in SETS[name].read_text(encoding="utf-8").splitlines()]
    return [row for row in rows if not kinds or row["kind"] in kinds]


def judged(rows: list[dict[str, Any]]) -> list[tuple[dict[str, Any], bool]]:
    """Each row with whether its kind, with its defaults, accepts the answer."""
    found = []
    for kind in dict.fromkeys(row["kind"] for row in rows):
        services = Services(workers=1, judge=lambda: Judge(min_level=Level.NAMESPACES))
        verifier = build_verifier({"kind": kind, "deadline_seconds": 20.0}, services)
        own = [row for row in rows if row["kind"] == kind]
        requests = [
            Request(
                response=row["response"], gold=row["gold"], question=row["question"], metadata=row.get("metadata") or {}
            )
            for row in own
        ]
        verdicts = [group[0] for group in verifier.verify_many([[request] for request in requests])]
        found += [
            (row, verdict.outcome is Outcome.CORRECT and verdict.score == 1.0)
            for row, verdict in zip(own, verdicts, strict=True)
        ]
    return found


def main(kinds: list[str]) -> None:
    """The table."""
    print("| set | kind | right | wrong | first look: accepted wrongly, refused wrongly | today |")
    print("|---|---|---|---|---|---|")
    for name in SETS:
        counts: Counter[tuple[str, bool, bool]] = Counter()
        for row, accepted in judged(rows_of(name, kinds)):
            counts[row["kind"], row["expected"], accepted] += 1
        for kind in dict.fromkeys(kind for kind, _, _ in counts):
            right, wrong = ([counts[kind, side, accepted] for accepted in (True, False)] for side in (True, False))
            first = FIRST_LOOK[name][kind]
            print(
                f"| {name} | {kind} | {sum(right)} | {sum(wrong)} | {first[0]}, {first[1]} | {wrong[0]}, {right[1]} |"
            )


if __name__ == "__main__":
    main(sys.argv[1:])
