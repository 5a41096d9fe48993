"""How fast `posttrain data clean` is and what it holds: rows a minute and memory at 120 words a row, MB a second at
rows of 30 KB. One row in twenty is a copy, one in twenty a copy with words changed; the suite holds 2,000 of the rows.

Wall clock depends on what else runs, processor seconds less so: both are printed. Memory is the peak of the largest
process above that of a run over 1,000 rows, by rows.
Run: python benchmarks/clean.py [--rows 1000000] [--long-rows 20000] [--processes 2]
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

LONG_WORDS = 5_000  # about 30 KB


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """seconds: wall clock; cpu_seconds: of all processes; peak: bytes of the largest. Example: Run(seconds=61.0,
    cpu_seconds=118.0, peak=900_000_000)"""

    seconds: float
    cpu_seconds: float
    peak: int


def write_rows(path: Path, count: int, num_words: int) -> None:
    """Rows of made-up words, as frequent as words are (Zipf)."""
    rng = random.Random(0)
    letters = "etaoinshrdlucmfwypvbgk"
    vocabulary = ["".join(rng.choices(letters, k=rng.randint(2, 9))) for _ in range(30_000)]
    weights = list(itertools.accumulate(1 / (rank + 8) for rank in range(len(vocabulary))))
    recent: list[list[str]] = []
    with path.open("w", encoding="utf-8") as out:
        for number in range(count):
            words = rng.choices(vocabulary, cum_weights=weights, k=num_words)
            if recent and number % 20 == 7:
                words = list(rng.choice(recent))
            elif recent and number % 20 == 13:
                words = [word if rng.random() > 0.08 else "changed" for word in rng.choice(recent)]
            recent = [*recent[-99:], words]
            cut = num_words // 4
            row = {"prompt": " ".join(words[:cut]), "completion": " ".join(words[cut:])}
            out.write(json.dumps(row) + "\n")


def clean(rows: Path, suite: Path, processes: int) -> Run:
    """One run of the command in a process of its own."""
    command = [sys.executable, "-m", "posttrain", "data", "clean", str(rows), "--against", str(suite)]
    command += ["--out", f"{rows}.kept", "--report", f"{rows}.report", "--processes", str(processes)]
    started = time.monotonic()
    child = os.posix_spawn(sys.executable, command, {**os.environ, "OMP_NUM_THREADS": "1"})
    _, status, usage = os.wait4(child, 0)
    assert status == 0, f"the command ended with {status}"
    return Run(
        seconds=time.monotonic() - started,
        cpu_seconds=usage.ru_utime + usage.ru_stime,
        peak=usage.ru_maxrss * 1024,
    )


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--long-rows", type=int, default=20_000)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        small, many, long, suite = (home / f"{name}.jsonl" for name in ("small", "many", "long", "suite"))
        write_rows(small, 1_000, 120)
        write_rows(many, options.rows, 120)
        write_rows(long, options.long_rows, LONG_WORDS)
        with many.open(encoding="utf-8") as lines:
            suite.write_text("".join(itertools.islice(lines, 2_000)), "utf-8")
        base = clean(small, suite, options.processes)
        found = clean(many, suite, options.processes)
        held = (found.peak - base.peak) / options.rows
        print(
            f"{options.rows:,} rows of 120 words: {found.seconds:.0f} s, {options.rows / found.seconds * 60:,.0f} "
            f"rows/min; {found.cpu_seconds:.0f} processor seconds, which is "
            f"{options.rows / found.cpu_seconds * 120:,.0f} rows/min on two free cores; {held:,.0f} bytes a row"
        )
        found = clean(long, suite, options.processes)
        size = long.stat().st_size / 1e6
        print(
            f"{options.long_rows:,} rows of {size * 1e3 / options.long_rows:.0f} KB: {found.seconds:.0f} s, "
            f"{size / found.seconds:.1f} MB/s; {found.cpu_seconds:.0f} processor seconds, which is "
            f"{size / found.cpu_seconds * 2:.1f} MB/s on two free cores"
        )


if __name__ == "__main__":
    main()
