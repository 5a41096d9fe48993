"""Answers made to hang a verifier, one by one in a warm worker: over the deadline, accepted, workers lost, time. Beside
math-verify.

    python benchmarks/verifier_hangs.py [--peer] [--slow 20] [--only math/loop]

The deadline is the default one, 2 CPU seconds. Two clocks: the caller's wall, which on a busy machine shows the
neighbours too, and the CPU seconds of the worker (to 0.01 s), those of killed workers and of starting their successors
included. The peer gets the rows of `math`, `choice` and `cascade` in the same kind of worker, with its own time limits
(they add up to 15 s), killed at 20 CPU seconds.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from benchmarks.corpora.hangs import Hang, hangs
from rewards.load import build_verifier
from rewards.services import Services
from rewards.types import Request
from rewards.workers.pool import Limits, Pool
from rewards.workers.pool import shared_pool as shared

DEADLINE = 2.0
GRACE = 0.3
PEER = {
    "kind": "benchmarks.math_answers.peer:MathVerify",
    "options": {"kwargs": {}, "pass_at": 0.5},
    "think": ["<think>", "</think>"],
}
PEER_SECONDS = 20.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Timed:
    """One row's verdict. wall, cpu: seconds; said: outcome and reason."""

    name: str
    wall: float
    cpu: float
    said: str


def timed(name: str, pool: Pool, ask: Callable[[], str]) -> Timed:
    """Run `ask` and read both clocks around it."""
    wall, cpu = time.monotonic(), _worker_cpu(pool)
    said = ask()
    return Timed(name=name, wall=time.monotonic() - wall, cpu=max(0.0, _worker_cpu(pool) - cpu), said=said)


def _worker_cpu(pool: Pool) -> float:
    """CPU seconds of the pool's workers, dead ones included. Reads the pool's insides: a benchmark may."""
    dead = resource.getrusage(resource.RUSAGE_CHILDREN)
    return dead.ru_utime + dead.ru_stime + sum(worker.state()[1] for worker in pool._free)


def ours(rows: list[Hang]) -> Iterator[Timed]:
    pool = shared(1, Limits())
    for row in rows:
        verifier = build_verifier(row.spec, Services(workers=1))
        request = Request(response=row.response, gold=row.gold, metadata=row.metadata)

        def ask(verifier: object = verifier, request: Request = request) -> str:
            verdict = verifier.verify(request)  # type: ignore[attr-defined]
            return f"{verdict.outcome} {verdict.reason}"

        yield timed(row.name, pool, ask)


def peer(rows: list[Hang]) -> Iterator[Timed]:
    """math-verify on the rows that a mathematics grader could meet."""
    pool = Pool(1, Limits(quiet=True))
    for row in rows:
        if row.spec["kind"] in ("math", "choice", "cascade"):
            item = [{"response": row.response, "gold": row.gold}]

            def ask(item: list[dict[str, object]] = item) -> str:
                reply = pool.run(PEER, "judge", [item], deadline_seconds=PEER_SECONDS)[0]
                return str(reply.data["verdicts"][0]["outcome"]) if reply.status == "ok" else reply.status

            yield timed(row.name, pool, ask)
    pool.close()


def show(name: str, results: list[Timed], slow: int) -> None:
    """The figures of one grader, and its slowest rows."""
    late = DEADLINE + GRACE
    print(
        f"{name}: {len(results)} rows, outcomes "
        f"{dict(Counter(entry.said.split()[0] for entry in results).most_common())}"
    )
    for clock in ("cpu", "wall"):
        seconds = sorted(getattr(entry, clock) for entry in results)
        print(
            f"  {clock:4} over {late:.1f} s: {sum(s > late for s in seconds)}, mean "
            f"{1000 * statistics.mean(seconds):.0f} ms, "
            f"median {1000 * statistics.median(seconds):.0f} ms, p95 {1000 * seconds[int(0.95 * len(seconds))]:.0f} "
            "ms, "
            f"most {seconds[-1]:.2f} s"
        )
    for entry in sorted(results, key=lambda entry: -entry.cpu)[:slow]:
        print(f"    cpu {entry.cpu:6.2f} s, wall {entry.wall:6.2f} s  {entry.name:46} {entry.said}")
    for entry in results:
        if entry.said.startswith("correct"):
            print(f"    ACCEPTED {entry.name}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--peer", action="store_true", help="math-verify on the same rows (minutes)")
    parser.add_argument("--slow", type=int, default=10, help="how many of the slowest rows are named")
    parser.add_argument("--only", default="", help="rows whose name starts so")
    arguments = parser.parse_args()
    rows = [row for row in hangs() if row.name.startswith(arguments.only)]
    warm = build_verifier({"kind": "math"}, Services(workers=1))
    warm.verify(Request(response="\\boxed{x^2+1}", gold="1+x^2"))  # sympy is imported
    show("posttrain", list(ours(rows)), arguments.slow)
    easy = warm.verify_many([[Request(response=str(n), gold=str(n))] for n in range(200)])
    print(f"  easy answers judged right afterwards: {sum(group[0].passed for group in easy)} of 200")
    if arguments.peer:
        show("math-verify", list(peer(rows)), arguments.slow)


if __name__ == "__main__":
    main()
