"""Scores of a suite: avg@k, pass@k, a bootstrap interval over problems, and paired differences pooled over seeds.

Problems are the unit of chance here. The k samples of one problem share its difficulty, so an interval that resamples
samples is far too narrow; every interval in this file resamples problems. Knows nothing of models, files or stages: it
gets rows, returns numbers.

Shape legend: N problems, R resamples.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from posttrain.errors import StageError
from posttrain.records.rollouts import Sample
from posttrain.records.scores import Scores

RESAMPLES = 10_000
SEED = 20_251_122
_DECIMALS = 6  # published numbers: below any interval's resolution, above the last-bit differences of vectorised sums
_CHUNK_CELLS = 2_000_000  # R x N indices held at once (16 MB); the stream of draws does not depend on it

Key = tuple[int, str, str]
"""(seed, suite, problem)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """after minus before, over the same problems. `per_seed` shows what the interval cannot: how far training seeds
    disagree.

    Example: Difference(mean=0.061, ci95=(0.034, 0.089), num_problems=600, num_seeds=3, per_suite={"stem": 0.11, ...},
                        per_seed={0: 0.058, ...})
    """

    mean: float
    ci95: tuple[float, float]
    num_problems: int
    num_seeds: int
    per_suite: Mapping[str, float]
    per_seed: Mapping[int, float]

    @property
    def excludes_zero(self) -> bool:
        return self.ci95[0] > 0.0 or self.ci95[1] < 0.0


def pass_at_k(n: int, c: int, k: int) -> float:
    """Unbiased chance that at least one of k answers is right, from c right of n sampled: 1 - C(n-c, k) / C(n, k).

    As a product, so that no binomial overflows. Needs 1 <= k <= n and 0 <= c <= n (ValueError).
    """
    if not 0 <= c <= n:
        raise ValueError(f"pass@k: {c} right answers of {n}")
    if not 1 <= k <= n:
        raise ValueError(f"pass@{k} cannot be estimated from {n} samples: sample at least {k}")
    if n - c < k:
        return 1.0
    none_right = 1.0
    for i in range(n - c + 1, n + 1):
        none_right *= 1.0 - k / i
    return 1.0 - none_right


def avg_at_k(samples: Sequence[Sequence[bool]]) -> float:
    """Mean over problems of the mean over samples. samples: [N][k], each inner list at least one long (ValueError
    otherwise)."""
    if not samples or not all(samples):
        raise ValueError("avg@k needs at least one problem, and one sample for each")
    return float(np.mean([sum(row) / len(row) for row in samples]))


def bootstrap_ci95(values: Sequence[float], *, resamples: int = RESAMPLES, seed: int = SEED) -> tuple[float, float]:
    """95 % percentile interval of the mean of per-problem values, problems resampled. values: [N], N >= 1 (ValueError).

    Same values in the same order, same interval. When all values are equal (a base that solves nothing) no resample
    differs and the interval has no width: read it with n beside it.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or array.size == 0 or not np.isfinite(array).all():
        raise ValueError("a bootstrap interval needs at least one value, all finite")
    draws = np.random.RandomState(seed)
    return _interval(_resampled_means(array, np.ones_like(array), draws, resamples))


def paired_difference(
    before: Mapping[Key, float], after: Mapping[Key, float], *, resamples: int = RESAMPLES, seed: int = SEED
) -> Difference:
    """Mean difference over suites, pooled over seeds, with its 95 % interval. Maps are (seed, suite, problem) -> avg@k
    of that problem.

    Each suite weighs the same, whatever its size. A problem that several seeds share is one unit: it is drawn with all
    its seeds, because its difficulty does not become independent by training twice. The interval speaks of problems;
    training seeds are too few to resample, so their spread is reported beside it. Raises ValueError unless both maps
    hold the same keys.
    """
    if not before:
        raise ValueError("a paired difference needs at least one problem")
    if before.keys() != after.keys():
        odd = sorted(before.keys() ^ after.keys())
        raise ValueError(
            f"a paired difference needs the same problems on both sides; {len(odd)} stand on one side only, such as "
            f"{odd[0]}"
        )
    units: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for seed_suite_problem in sorted(before):
        _, suite, problem = seed_suite_problem
        units[suite][problem].append(after[seed_suite_problem] - before[seed_suite_problem])
    draws = np.random.RandomState(seed)
    pooled_R = np.zeros(resamples)
    per_suite: dict[str, float] = {}
    for suite, problems in units.items():
        sums = np.array([sum(values) for values in problems.values()])
        counts = np.array([float(len(values)) for values in problems.values()])
        per_suite[suite] = round(float(sums.sum() / counts.sum()), _DECIMALS)
        pooled_R += _resampled_means(sums, counts, draws, resamples) / len(units)
    return Difference(
        mean=round(float(np.mean(list(per_suite.values()))), _DECIMALS),
        ci95=_interval(pooled_R),
        num_problems=sum(len(problems) for problems in units.values()),
        num_seeds=len({key[0] for key in before}),
        per_suite=per_suite,
        per_seed=_per_seed(before, after),
    )


def _per_seed(before: Mapping[Key, float], after: Mapping[Key, float]) -> dict[int, float]:
    values: dict[int, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for key in sorted(before):
        values[key[0]][key[1]].append(after[key] - before[key])
    return {
        seed: round(float(np.mean([np.mean(row) for row in suites.values()])), _DECIMALS)
        for seed, suites in values.items()
    }


def _resampled_means(sums: np.ndarray, counts: np.ndarray, draws: np.random.RandomState, resamples: int) -> np.ndarray:
    """sums, counts: [N] -> [R] means of N units drawn with replacement. RandomState, because NumPy froze its stream:
    same bytes always."""
    size = len(sums)
    rows = max(1, _CHUNK_CELLS // size)
    means = np.empty(resamples)
    for start in range(0, resamples, rows):
        stop = min(start + rows, resamples)
        index = (draws.random_sample((stop - start, size)) * size).astype(np.int64)
        means[start:stop] = sums[index].sum(axis=1) / counts[index].sum(axis=1)
    return means


def _interval(means: np.ndarray) -> tuple[float, float]:
    return round(float(np.percentile(means, 2.5)), _DECIMALS), round(float(np.percentile(means, 97.5)), _DECIMALS)


# ---------------------------------------------------------------- samples of a suite


def problem_means(samples: Iterable[Sample]) -> dict[str, float]:
    """Problem id -> share of its judged samples that passed, in order of id. Problems without a judgement are left
    out."""
    return {problem: sum(judged) / len(judged) for problem, judged in _by_problem(samples)[0].items() if judged}


def score_samples(samples: Sequence[Sample]) -> Scores:
    """Score one suite. A problem's k samples must all be there, once each (ValueError: a torn or doubled file is not a
    result). Raises StageError when no sample was judged at all.
    """
    judged, k = _by_problem(samples)
    means = [sum(values) / len(values) for values in judged.values() if values]
    if not means:
        raise StageError(
            f"none of the {len(samples)} samples has a judgement",
            remedy="read the reasons in samples.jsonl, run `posttrain doctor`, then run the same command again",
        )
    full = [pass_at_k(k, sum(values), k) for values in judged.values() if len(values) == k]
    generated = sum(sample.num_tokens for sample in samples)
    outcomes = Counter(sample.verdict.outcome for sample in samples)
    return Scores(
        k=k,
        n=len(means),
        avg_at_k=round(float(np.mean(means)), _DECIMALS),
        ci95=bootstrap_ci95(means),
        pass_at_k=round(float(np.mean(full)), _DECIMALS) if full else None,
        format_valid=_share([sample.format_valid for sample in samples]),
        faults=sum(sample.passed is None for sample in samples),
        mean_tokens=round(generated / len(samples), _DECIMALS),
        truncated_share=_share([sample.truncated for sample in samples]),
        generated_tokens=generated,
        outcomes=dict(sorted(outcomes.items())),
    )


def _by_problem(samples: Iterable[Sample]) -> tuple[dict[str, list[bool]], int]:
    """Problem -> judged samples (sorted by problem, so the interval does not depend on the order of rows), and k."""
    judged: dict[str, list[bool]] = defaultdict(list)
    seen: dict[str, set[int]] = defaultdict(set)
    for row in samples:
        if row.sample in seen[row.problem]:
            raise ValueError(f"sample {row.sample} of problem {row.problem} stands twice in the rows")
        seen[row.problem].add(row.sample)
        judged[row.problem].extend([] if row.passed is None else [row.passed])
    if not seen:
        raise ValueError("no samples to score")
    k = max(len(found) for found in seen.values())
    short = [problem for problem, found in seen.items() if len(found) != k]
    if short:
        raise ValueError(f"problem {short[0]} has {len(seen[short[0]])} samples where others have {k}")
    return {problem: judged[problem] for problem in sorted(seen)}, k


def _share(values: Sequence[bool]) -> float:
    return round(sum(values) / len(values), _DECIMALS)
