"""How many answers a prompt the avg@16 filter starts, asked in waves until the decision is settled, beside asking all
16. Prints Markdown: exact (dynamic programming over right and wrong), and counted over prompts drawn at random whose
decisions are compared with those of all 16 answers.

    python benchmarks/filter_waves.py [--prompts 20000]

Difficulty, the chance of a right answer, is drawn uniformly or from Beta(1/2, 1/2) (most prompts easy or hard).
"""

from __future__ import annotations

import argparse
import math
import random

from posttrain.data.difficulty import decide, expected_answers, settled

K, LOW, HIGH = 16, 0.1, 0.9
WAVES = (1, 2, 4, 8, 16)
POINTS = 400


def chance(place: float, shape: str) -> float:
    """The chance at this quantile of the difficulty's distribution."""
    return place if shape == "uniform" else math.sin(math.pi * place / 2) ** 2


def exact(wave: int, shape: str) -> float:
    """Mean answers a prompt, the middle of each of POINTS equally likely ranges standing for it."""
    return sum(expected_answers(K, wave, LOW, HIGH, chance((i + 0.5) / POINTS, shape)) for i in range(POINTS)) / POINTS


def counted(wave: int, shape: str, prompts: int) -> tuple[float, int]:
    """(mean answers a prompt, decisions that differ from those of all K answers)."""
    rng = random.Random(f"{wave}/{shape}")
    asked, other = 0, 0
    for _ in range(prompts):
        odds = chance(rng.random(), shape)
        verdicts = [rng.random() < odds for _ in range(K)]
        size = 0
        while settled(verdicts[:size], K, LOW, HIGH) is None:
            size = min(K, size + wave)
        asked += size
        early, full = (decide("p", part, K, LOW, HIGH).kept for part in (verdicts[:size], verdicts))
        other += early != full
    return asked / prompts, other


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=20000)
    prompts = parser.parse_args().prompts
    print("| difficulty | wave | answers a prompt, exact | counted | saved against 16 | other decisions |")
    print("|---|---|---|---|---|---|")
    for shape in ("uniform", "Beta(1/2, 1/2)"):
        for wave in WAVES:
            mean, (seen, other) = exact(wave, shape), counted(wave, shape, prompts)
            print(f"| {shape} | {wave} | {mean:.2f} | {seen:.2f} | {K / mean:.2f}x | {other} of {prompts} |")


if __name__ == "__main__":
    main()
