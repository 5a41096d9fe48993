"""False fails of the judge: right programs that it fails. HumanEval's 164 reference solutions and our own in every form
of test.

    python benchmarks/judge_honest.py [--backend docker] [--slots 2] [--repeats 1] [--allow-unsafe]

Each program has wrong twins, of which one must fail, so that a judge which passes everything is seen. Prints the counts
and every exception to them; exit 1 when there is one.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.honest_programs import Honest, human_eval, own
from sandbox.judge import Judge
from sandbox.program_json import parse_program
from sandbox.types import UNSAFE_SENTENCE, Judgement, Outcome


@dataclass(frozen=True, kw_only=True, slots=True)
class Counts:
    """Example: Counts(programs=500, false_fails=("stdin/fork/1: wall_limit",), unseen=("HumanEval/3",), judged=640)"""

    programs: int
    false_fails: tuple[str, ...]
    unseen: tuple[str, ...]  # programs none of whose wrong twins failed
    judged: int


def count(judge: Judge, corpus: list[Honest], repeats: int) -> Counts:
    """Judge every program `repeats` times, and its twins in turn until one fails."""
    rows = [parse_program(honest.row) for honest in corpus for _ in range(repeats)]
    judged = judge.run(rows)
    false = [f"{one.id}: {_why(one)}" for one in judged if one.outcome is not Outcome.PASS or one.score != 1.0]
    total, open_ones, turn = len(judged), list(corpus), 0
    while any(turn < len(honest.twins) for honest in open_ones):
        tried = [honest for honest in open_ones if turn < len(honest.twins)]
        twins = judge.run([parse_program({**honest.row, "program": honest.twins[turn]}) for honest in tried])
        failed = {one.id for one in twins if one.score == 0.0}
        total += len(twins)
        open_ones = [honest for honest in open_ones if honest.row["id"] not in failed]
        turn += 1
    return Counts(
        programs=len(corpus),
        false_fails=tuple(false),
        unseen=tuple(str(one.row["id"]) for one in open_ones),
        judged=total,
    )


def _why(one: Judgement) -> str:
    failing = next((test for test in one.tests if test.outcome is not Outcome.PASS), None)
    return f"{one.outcome.value} {one.error or (failing.detail if failing else '')}".strip()


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--min-level", default="namespaces")
    parser.add_argument("--slots", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--allow-unsafe", action="store_true", help="for --backend local: programs run as you")
    options = parser.parse_args()
    corpus = [*own(), *human_eval()]
    weakest = "none" if options.backend == "local" else options.min_level
    with Judge(options.backend, weakest, UNSAFE_SENTENCE if options.allow_unsafe else None, options.slots) as judge:
        counts = count(judge, corpus, options.repeats)
        print(f"level {judge.level}, {options.slots} slots: {counts.judged} judgements")
    forms = ", ".join(f"{form} {number}" for form, number in Counter(honest.form for honest in corpus).items())
    print(f"programs {counts.programs} ({forms}), {options.repeats} times each")
    print(f"false fails {len(counts.false_fails)}")
    print(f"programs of which no wrong twin failed {len(counts.unseen)}")
    for line in (*counts.false_fails, *(f"no twin failed: {name}" for name in counts.unseen)):
        print(f"  {line}")
    return 1 if counts.false_fails or counts.unseen else 0


if __name__ == "__main__":
    sys.exit(main())
