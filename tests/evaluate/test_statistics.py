"""Properties of the scores: known values, coverage of the interval, and what a fault or a torn file does."""

from __future__ import annotations

import itertools
import math
import random
from dataclasses import replace

import pytest

from posttrain.errors import StageError
from posttrain.evaluate.statistics import (
    avg_at_k,
    bootstrap_ci95,
    paired_difference,
    pass_at_k,
    problem_means,
    score_samples,
)
from posttrain.records.codec import as_json
from posttrain.records.rollouts import JudgedRow, Sample

VERDICT = JudgedRow(outcome="wrong", score=0.0, extracted=None, reason="", parts={})


def sample_rows(right: dict[str, list[bool | None]]) -> list[Sample]:
    return [
        Sample(
            problem=problem,
            sample=i,
            passed=passed,
            format_valid=True,
            truncated=False,
            text="",
            stop_reason="stop",
            num_tokens=10,
            verdict=replace(VERDICT, outcome={True: "correct", False: "wrong", None: "error"}[passed]),
        )
        for problem, answers in right.items()
        for i, passed in enumerate(answers)
    ]


@pytest.mark.parametrize(
    ("n", "c", "k", "expected"),
    [(16, 4, 1, 0.25), (16, 4, 4, 0.728021978), (8, 7, 8, 1.0), (5, 2, 3, 0.9), (8, 0, 8, 0.0)],
)
def test_pass_at_k_equals_hand_computed_values(n, c, k, expected):
    assert pass_at_k(n, c, k) == pytest.approx(expected, abs=1e-9)


def test_pass_at_k_equals_the_share_of_subsets_with_a_right_answer():
    for n in range(1, 8):
        for c, k in itertools.product(range(n + 1), range(1, n + 1)):
            subsets = list(itertools.combinations(range(n), k))
            assert pass_at_k(n, c, k) == pytest.approx(sum(any(i < c for i in s) for s in subsets) / len(subsets))


def test_pass_at_k_stays_finite_where_binomials_overflow_a_float():
    assert 0.0 < pass_at_k(100_000, 3, 5_000) < 1.0


@pytest.mark.parametrize(("n", "c", "k"), [(4, 5, 1), (4, -1, 1), (4, 2, 5), (4, 2, 0)])
def test_pass_at_k_refuses_impossible_counts(n, c, k):
    with pytest.raises(ValueError, match="pass@"):
        pass_at_k(n, c, k)


def test_avg_at_k_weighs_problems_not_samples():
    assert avg_at_k([[True], [False, False, False]]) == 0.5


def test_avg_at_k_refuses_a_problem_without_samples():
    with pytest.raises(ValueError, match="at least one"):
        avg_at_k([[True], []])


def test_bootstrap_is_deterministic_and_brackets_the_mean():
    values = [i % 9 / 8 for i in range(100)]
    low, high = bootstrap_ci95(values)
    assert bootstrap_ci95(values) == (low, high)
    assert low < sum(values) / 100 < high


def test_bootstrap_does_not_depend_on_how_draws_are_chunked(monkeypatch):
    values = [i % 7 / 7 for i in range(50)]
    whole = bootstrap_ci95(values, resamples=999)
    monkeypatch.setattr("posttrain.evaluate.statistics._CHUNK_CELLS", 170)
    assert bootstrap_ci95(values, resamples=999) == whole


def test_bootstrap_half_width_agrees_with_the_normal_approximation():
    rng = random.Random(5)
    values = [rng.random() for _ in range(400)]
    mean = sum(values) / 400
    error = math.sqrt(sum((v - mean) ** 2 for v in values) / 400 / 400)
    low, high = bootstrap_ci95(values)
    assert (high - low) / 2 == pytest.approx(1.96 * error, rel=0.05)


def test_bootstrap_covers_the_truth_about_95_times_of_100():
    rng = random.Random(11)
    covered = 0
    for _ in range(300):
        rates = [rng.random() for _ in range(60)]
        low, high = bootstrap_ci95([sum(rng.random() < p for _ in range(8)) / 8 for p in rates], resamples=800)
        covered += low <= 0.5 <= high
    assert 0.90 <= covered / 300 <= 0.99


def test_bootstrap_of_equal_values_has_no_width_and_of_none_is_an_error():
    assert bootstrap_ci95([0.0] * 20) == (0.0, 0.0)
    with pytest.raises(ValueError, match="at least one value"):
        bootstrap_ci95([])
    with pytest.raises(ValueError, match="finite"):
        bootstrap_ci95([0.1, float("nan")])


def test_score_samples_counts_what_it_says():
    rows = sample_rows({"a": [True, True, False, False], "b": [False] * 4, "c": [True] * 4})
    rows[0] = replace(rows[0], num_tokens=34, truncated=True, format_valid=False)
    scores = score_samples(rows)
    assert (scores.n, scores.k, scores.faults) == (3, 4, 0)
    assert scores.avg_at_k == 0.5
    assert scores.pass_at_k == pytest.approx(2 / 3, abs=1e-6)
    assert (scores.mean_tokens, scores.generated_tokens) == (12.0, 144)
    assert scores.outcomes == {"correct": 6, "wrong": 6}
    assert scores.truncated_share == pytest.approx(1 / 12, abs=1e-6)
    assert scores.format_valid == pytest.approx(11 / 12, abs=1e-6)
    assert scores.ci95[0] <= 0.5 <= scores.ci95[1]


def test_a_fault_leaves_the_mean_and_is_counted():
    scores = score_samples(sample_rows({"a": [True, None], "b": [False, False], "c": [None, None]}))
    assert (scores.n, scores.faults, scores.avg_at_k) == (2, 3, 0.5)
    assert scores.pass_at_k == 0.0, "only b still has its two judgements"


def test_pass_at_k_is_absent_when_no_problem_has_all_its_judgements():
    assert score_samples(sample_rows({"a": [True, None]})).pass_at_k is None


def test_a_suite_without_any_judgement_is_a_stage_error_with_a_remedy():
    with pytest.raises(StageError, match="none of the 2 samples") as caught:
        score_samples(sample_rows({"a": [None, None]}))
    assert caught.value.remedy


def test_torn_or_doubled_rows_are_refused():
    rows = sample_rows({"a": [True, False], "b": [True, False]})
    with pytest.raises(ValueError, match="has 1 samples where others have 2"):
        score_samples(rows[:-1])
    with pytest.raises(ValueError, match="stands twice"):
        score_samples([*rows, rows[0]])
    with pytest.raises(ValueError, match="no samples"):
        score_samples([])


def test_scores_do_not_depend_on_the_order_of_rows():
    rows = sample_rows({f"p{i}": [(i * j) % 3 == 0 for j in range(8)] for i in range(40)})
    shuffled = rows[:]
    random.Random(3).shuffle(shuffled)
    assert score_samples(rows) == score_samples(shuffled)


def test_scores_json_has_the_published_keys_in_order():
    content = as_json(score_samples(sample_rows({"a": [True]})))
    assert list(content) == [
        "k", "n", "avg_at_k", "ci95", "pass_at_k", "format_valid", "faults", "mean_tokens", "truncated_share",
        "generated_tokens", "outcomes",
    ]  # fmt: skip
    assert content["ci95"] == [1.0, 1.0]


def scores_of(gain: float, *, noise: int, seeds: int = 3) -> tuple[dict, dict]:
    rng = random.Random(noise)
    before = {
        (s, suite, f"{suite}/{p}"): rng.random() * 0.7
        for s in range(seeds)
        for suite in ("stem", "code")
        for p in range(100)
    }
    return before, {key: min(1.0, value + gain + rng.gauss(0, 0.2)) for key, value in before.items()}


def test_a_paired_difference_finds_a_gain_that_unpaired_intervals_hide():
    before, after = scores_of(0.06, noise=1)
    found = paired_difference(before, after)
    assert found.excludes_zero and 0.03 < found.mean < 0.09
    assert (found.num_problems, found.num_seeds) == (200, 3)
    unpaired_before = bootstrap_ci95([v for key, v in before.items() if key[0] == 0 and key[1] == "stem"])
    unpaired_after = bootstrap_ci95([v for key, v in after.items() if key[0] == 0 and key[1] == "stem"])
    assert unpaired_after[0] < unpaired_before[1], "the two intervals overlap, the paired one excludes 0"


def test_a_paired_difference_of_nothing_includes_zero():
    before, _ = scores_of(0.0, noise=2)
    rng = random.Random(7)
    found = paired_difference(before, {key: value + rng.gauss(0, 0.1) for key, value in before.items()})
    assert not found.excludes_zero


def test_a_problem_shared_by_seeds_is_one_unit_not_three():
    rng = random.Random(9)
    gains = {p: rng.gauss(0.02, 0.3) for p in range(80)}
    once_before = {(0, "stem", str(p)): 0.5 for p in gains}
    once_after = {(0, "stem", str(p)): 0.5 + gain for p, gain in gains.items()}
    thrice_before = {(s, "stem", p): v for s in range(3) for (_, _, p), v in once_before.items()}
    thrice_after = {(s, "stem", p): v for s in range(3) for (_, _, p), v in once_after.items()}
    assert paired_difference(thrice_before, thrice_after).ci95 == paired_difference(once_before, once_after).ci95


def test_each_suite_weighs_the_same_whatever_its_size():
    before = {(0, "big", str(i)): 0.0 for i in range(90)} | {(0, "small", str(i)): 0.0 for i in range(10)}
    after = {key: (0.2 if key[1] == "small" else 0.0) for key in before}
    found = paired_difference(before, after)
    assert found.mean == pytest.approx(0.1) and found.per_suite == {"big": 0.0, "small": 0.2}
    assert found.per_seed == {0: pytest.approx(0.1)}


def test_a_paired_difference_refuses_unmatched_problems():
    with pytest.raises(ValueError, match="1 stand on one side only"):
        paired_difference({(0, "s", "a"): 0.0, (0, "s", "b"): 0.0}, {(0, "s", "a"): 0.0})
    with pytest.raises(ValueError, match="at least one problem"):
        paired_difference({}, {})


def test_problem_means_leave_out_what_was_never_judged():
    assert problem_means(sample_rows({"b": [True, None], "a": [False, True], "c": [None, None]})) == {
        "a": 0.5,
        "b": 1.0,
    }
