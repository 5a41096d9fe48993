"""The tables of the `math` verifier: right and wrong answers it is asked about, and its speed, with math-verify on the
same pairs.

    python benchmarks/verifier_math.py [hostile] [gsm8k] [identities] [hard] [near] [siblings] [strangers] [second]
    [third] [fourth] [fifth]
        [sixth] [seventh] [speed] [--held-back] [--seed 7] [--no-peer]

Both run as rules in the same pool of worker processes. `--held-back` takes the pairs, renderings and problems that were
set aside while the rules were written. `--show` lists what ours got wrong; `--thin 8` measures speed on every eighth
pair. Prints Markdown.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.math_answers import gsm8k, hostile, strangers
from benchmarks.math_answers.identities import generate
from rewards.base import Built
from rewards.load import build_verifier
from rewards.options import MathOptions, PluginOptions
from rewards.rules.base import Rule, build_rule
from rewards.services import Services
from rewards.types import Outcome, Request, Verdict
from rewards.workers.client import RuledVerifier

HERE = Path(__file__).parent / "math_answers"
OURS: dict[str, Any] = {"kind": "math"}
PEER: dict[str, Any] = {"kind": "benchmarks.math_answers.peer:MathVerify", "deadline_seconds": 20.0}
NAMES = ("ours", "math-verify")
BLIND = ("strangers", "second", "third", "fourth", "fifth", "sixth", "seventh")
PARTS = ("hostile", "gsm8k", "identities", "hard", "near", "siblings", *BLIND, "speed")


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One answer with its label, and the line of the table that it counts in."""

    type: str
    request: Request
    expected: bool


# ---------------------------------------------------------------- the corpora


def hard_rows(held_back: bool) -> Iterator[Row]:
    """Lines `+ ¦ class ¦ gold ¦ answer ¦ question?`; the whole answer stands in one box."""
    yield from pair_rows("hard_held_back.txt" if held_back else "hard.txt")


def pair_rows(name: str) -> Iterator[Row]:
    for line in (HERE / name).read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            mark, kind, gold, answer, *question = [part.strip() for part in line.split("¦")]
            request = Request(question=question[0] if question else None, response=f"\\boxed{{{answer}}}", gold=gold)
            yield Row(type=kind, request=request, expected=mark == "+")


def stranger_rows(name: str) -> Iterator[Row]:
    """Whole responses, written blind; gold and question as their datasets give them."""
    for kind, gold, response, expected, question in strangers.math_pairs(name):
        yield Row(type=kind, request=Request(question=question, response=response, gold=gold), expected=expected)


def other_kinds() -> str:
    """The same for the other kinds of rules, each with its own options; no peer."""
    by_spec: defaultdict[str, list[Row]] = defaultdict(list)
    for kind, gold, extra, response, expected in strangers.other_pairs():
        metadata = {"options": extra["options"]} if "options" in extra else {}
        request = Request(response=response, gold=gold, metadata=metadata, num_tokens=extra.get("num_tokens"))
        by_spec[json.dumps({"kind": kind, **extra.get("set", {})})].append(
            Row(type=kind, request=request, expected=expected)
        )
    rows, verdicts = [], []
    for spec, found in by_spec.items():
        rows += found
        verdicts += judge(build_verifier(json.loads(spec), Services(workers=1)), found)
    return table(rows, [verdicts], NAMES[:1])


def hostile_rows() -> Iterator[Row]:
    tables = (("accept", hostile.RIGHT, True), ("reject", hostile.WRONG, False))
    for name, table, expected in tables:
        for gold, response in table:
            yield Row(type=name, request=Request(response=response, gold=gold), expected=expected)
    for response in hostile.SLOW:
        yield Row(type="reject, slow", request=Request(response=response, gold="4"), expected=False)


def gsm8k_rows(path: Path, held_back: bool) -> Iterator[Row]:
    """Every rendering against the true gold, and against one gold that is off (a different one each time)."""
    problems = gsm8k.problems(path)
    cut = len(problems) - gsm8k.HELD_BACK_PROBLEMS
    for number, (question, solution, gold) in enumerate(problems if held_back else problems[:cut]):
        others = list(gsm8k.other_golds(question, gold))
        for turn, (name, response) in enumerate(gsm8k.renderings(solution, gold)):
            if name in gsm8k.HELD_BACK and not held_back:
                continue
            off = others[(number + turn) % len(others)]
            yield Row(type=name, request=Request(question=question, response=response, gold=gold), expected=True)
            yield Row(type=name, request=Request(question=question, response=response, gold=off), expected=False)


def identity_rows(seed: int) -> Iterator[Row]:
    for row in generate(seed):
        yield Row(
            type=row.type, request=Request(response=f"\\boxed{{{row.answer}}}", gold=row.gold), expected=row.expected
        )


# ---------------------------------------------------------------- judging and tables


def judge(verifier: Built, rows: Sequence[Row]) -> list[Verdict]:
    return [verdict for [verdict] in verifier.verify_many([[row.request] for row in rows])]


def table(rows: Sequence[Row], verdicts: Sequence[Sequence[Verdict]], names: Sequence[str]) -> str:
    """A line a type: recall, false accepts and abstentions of each verifier."""
    by_type: defaultdict[str, list[int]] = defaultdict(list)
    for index, row in enumerate(rows):
        by_type[row.type].append(index)
    heads = " | ".join(f"{name}: recall | false accepts | abstained" for name in names)
    lines = [f"| type | n | {heads} |", "|---" * (2 + 3 * len(names)) + "|"]
    for kind, indices in [*by_type.items(), ("all", list(range(len(rows))))]:
        cells = " | ".join(_figures(rows, found, indices) for found in verdicts)
        lines.append(f"| {kind} | {len(indices)} | {cells} |")
    return "\n".join(lines)


def _figures(rows: Sequence[Row], verdicts: Sequence[Verdict], indices: Sequence[int]) -> str:
    right = [i for i in indices if rows[i].expected]
    wrong = [i for i in indices if not rows[i].expected]
    abstained = sum(verdicts[i].outcome in (Outcome.ABSTAIN, Outcome.UNSUPPORTED, Outcome.TIMEOUT) for i in indices)
    return f"{_share(right, verdicts)} | {_share(wrong, verdicts)} | {abstained}"


def _share(indices: Sequence[int], verdicts: Sequence[Verdict]) -> str:
    accepted = sum(verdicts[i].passed for i in indices)
    return f"{accepted / len(indices):.1%} ({accepted} of {len(indices)})" if indices else "-"


def failures(rows: Sequence[Row], verdicts: Sequence[Verdict]) -> Iterator[str]:
    for row, verdict in zip(rows, verdicts, strict=True):
        if verdict.passed is not row.expected:
            want = "missed " if row.expected else "ACCEPTED"
            asked = f"{str(row.request.gold)[:60]!r} <- {row.request.response[-90:]!r}"
            yield f"{want} [{row.type}] {asked} ({verdict.outcome}, {verdict.reason})"


# ---------------------------------------------------------------- speed


def speed(specs: Sequence[dict[str, Any]], names: Sequence[str], rows: Sequence[Row]) -> str:
    """CPU seconds of one warm process a verdict, the best of three passes for each pair: median, 95th and 99th
    percentile in milliseconds.

    Both rules run here, one after the other on each pair, as a worker runs them: neighbours on the machine cost neither
    anything.
    """
    rules = [
        build_rule({"kind": spec["kind"], "options": _options_of(spec), "think": ["<think>", "</think>"]})
        for spec in specs
    ]
    for rule in rules:  # imports
        rule.judge_group([Request(response="\\boxed{1 + \\lfloor x \\rfloor}", gold="x^2+1")])
    best = [[_cpu_seconds(rule, row) for row in rows] for rule in rules]
    for _ in range(2):
        best = [
            [min(old, _cpu_seconds(rule, row)) for old, row in zip(times, rows, strict=True)]
            for rule, times in zip(rules, best, strict=True)
        ]
    points = [[_percentile(sorted(times), share) for share in (0.5, 0.95, 0.99)] for times in best]
    lines = [f"| ms of CPU a verdict, {len(rows)} pairs | median | p95 | p99 | mean |", "|---|---|---|---|---|"]
    for name, found, times in zip(names, points, best, strict=True):
        lines.append(
            f"| {name} | " + " | ".join(f"{1000 * value:.3f}" for value in (*found, sum(times) / len(times))) + " |"
        )
    if len(points) > 1:
        ratios = [*(a / b for a, b in zip(*points[:2], strict=True)), sum(best[0]) / sum(best[1])]
        lines.append("| ratio | " + " | ".join(f"{ratio:.3f}" for ratio in ratios) + " |")
    return "\n".join(lines)


def _options_of(spec: dict[str, Any]) -> dict[str, Any]:
    return asdict(PluginOptions() if ":" in spec["kind"] else MathOptions())


def _cpu_seconds(rule: Rule, row: Row) -> float:
    started = time.process_time_ns()
    rule.judge_group([row.request])
    return (time.process_time_ns() - started) / 1e9


def _percentile(times: Sequence[float], share: float) -> float:
    return times[min(len(times) - 1, int(share * len(times)))]


def throughput(verifiers: Sequence[Built], names: Sequence[str], path: Path, thin: int) -> str:
    """Verdicts a second on a GSM8K mix with 1 % hostile rows, two workers; and whether ours says the same one by one.

    By the wall, and by the CPU seconds of workers (killed ones too) and caller: the rate of two cores with nothing else
    to do.
    """
    mix = [row for row in gsm8k_rows(path, False) if row.expected][:990]
    slow = [Row(type="slow", request=Request(response=text, gold="4"), expected=False) for text in hostile.SLOW]
    rows = list(mix)
    for place in range(10):
        rows.insert(place * 100 + place * 7, slow[place * 2 % len(slow)])
    rows = rows[: len(rows) // thin]
    lines = [
        f"| {len(rows)} verdicts, 1 % hostile | a second of wall, 2 workers | a second of 2 CPUs |",
        "|---|---|---|",
    ]
    rates = []
    for name, verifier in zip(names, verifiers, strict=True):
        judge(verifier, rows[:50])  # workers up, imports done
        started, cpu = time.perf_counter(), _all_cpu(verifier)
        together = judge(verifier, rows)
        rates.append((len(rows) / (time.perf_counter() - started), 2 * len(rows) / (_all_cpu(verifier) - cpu)))
        lines.append(f"| {name} | {rates[-1][0]:.0f} | {rates[-1][1]:.0f} |")
        if name == "ours":
            alone = [verifier.verify(row.request) for row in rows]
            same = all(
                (a.outcome, a.score, a.reason) == (b.outcome, b.score, b.reason)
                for a, b in zip(together, alone, strict=True)
            )
            lines.append(f"| ours: same verdicts one by one | {'yes' if same else 'NO'} | |")
    if len(rates) > 1:
        lines.append(f"| ratio | {rates[0][0] / rates[1][0]:.1f} | {rates[0][1] / rates[1][1]:.1f} |")
    return "\n".join(lines)


def _all_cpu(verifier: Built) -> float:
    """CPU seconds so far of this process, of its ended children and of the verifier's idle workers. Reads a pool's
    insides."""
    assert isinstance(verifier, RuledVerifier), "both are rules"
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    alive = sum(worker.state()[1] for worker in verifier.pool._free)
    return time.process_time() + ended.ru_utime + ended.ru_stime + alive


def main() -> None:
    """Print the tables that were asked for; all of them by default."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", help=", ".join(PARTS))
    parser.add_argument("--held-back", action="store_true")
    parser.add_argument("--data", type=Path, default=gsm8k.PATH, help="rows of openai/grade-school-math")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-peer", action="store_true")
    parser.add_argument(
        "--thin", type=int, default=1, help="speed: every n-th pair only, for a machine that is short of time"
    )
    parser.add_argument("--show", action="store_true")
    options = parser.parse_args()
    if unknown := sorted(set(options.parts) - set(PARTS)):
        parser.error(f"no such part: {', '.join(unknown)}; there are {', '.join(PARTS)}")
    corpora: dict[str, Callable[[], Iterable[Row]]] = {
        "hostile": hostile_rows,
        "gsm8k": lambda: gsm8k_rows(options.data, options.held_back),
        "identities": lambda: identity_rows(options.seed),
        "hard": lambda: hard_rows(options.held_back),
        "near": lambda: pair_rows("near.txt"),
        "siblings": lambda: (*pair_rows("siblings.txt"), *stranger_rows("siblings_prose.txt")),
        "strangers": lambda: stranger_rows("strangers.txt"),
        "fifth": lambda: stranger_rows("strangers_fifth.txt"),
        "sixth": lambda: stranger_rows("strangers_sixth.txt"),
        "seventh": lambda: stranger_rows("strangers_seventh.txt"),
        "third": lambda: stranger_rows("strangers_third.txt"),
        "fourth": lambda: stranger_rows("strangers_fourth.txt"),
        "second": lambda: stranger_rows("strangers_second.txt"),
    }
    names = NAMES[:1] if options.no_peer else NAMES
    verifiers = [build_verifier(spec, Services(workers=2)) for spec in (OURS, PEER)[: len(names)]]
    for part in options.parts or PARTS:
        print(f"\n## {part}\n")
        if part == "speed":
            pairs = [
                *hard_rows(options.held_back),
                *list(identity_rows(options.seed))[::4],
                *list(gsm8k_rows(options.data, False))[::28],
            ]
            print(speed((OURS, PEER)[: len(names)], names, pairs[:: options.thin]) + "\n", flush=True)
            print(throughput(verifiers, names, options.data, options.thin), flush=True)
            continue
        rows = list(corpora[part]())
        verdicts = [judge(verifier, rows) for verifier in verifiers]
        print(table(rows, verdicts, names), flush=True)
        if part == "sixth":
            print("\n" + other_kinds(), flush=True)
        if options.show:
            print("\n" + "\n".join(failures(rows, verdicts[0])))


if __name__ == "__main__":
    main()
