"""Mixtures give exact shares in a repeatable order; the avg@k band is strict and exact; cards tell licence, provenance
and digests."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from posttrain.data.difficulty import decide, histogram, in_band
from posttrain.data.mix import draw, num_rows, seen_of_drawn, seen_of_total
from posttrain.errors import DataError
from posttrain.recipe.cards import card_path, data_facts, read_card
from posttrain.recipe.schema import FileData, GymData, StageData, ToyData

# ---------------------------------------------------------------- mix


@pytest.mark.parametrize(
    ("weights", "total", "expected"),
    [
        ({"a": 0.6, "b": 0.4}, 10, {"a": 6, "b": 4}),
        ({"a": 3.0, "b": 1.0}, 8, {"a": 6, "b": 2}),  # weights need not sum to one
        ({"a": 1.0, "b": 1.0, "c": 1.0}, 10, {"a": 4, "b": 3, "c": 3}),  # largest remainder, ties by name
        ({"a": 0.996, "b": 0.004}, 100, {"a": 100}),
        ({"a": 1.0}, 3, {"a": 3}),
    ],
)
def test_each_data_set_gives_its_share(weights: dict[str, float], total: int, expected: dict[str, int]) -> None:
    rows = {name: [(name, number) for number in range(7)] for name in weights}
    drawn = draw(rows, weights, total, seed=1)
    assert len(drawn) == total
    assert Counter(name for name, _ in drawn) == expected


def test_a_data_set_is_seen_whole_before_any_row_of_it_comes_again() -> None:
    drawn = Counter(draw({"a": list(range(5))}, {"a": 1.0}, 13, seed=4))
    assert set(drawn) == set(range(5)) and sorted(drawn.values()) == [2, 2, 3, 3, 3]


def test_passes_keep_their_order_also_inside_a_mixture() -> None:
    rows = {"a": [("a", number) for number in range(7)], "b": [("b", number) for number in range(40)]}
    drawn = draw(rows, {"a": 1.0, "b": 2.0}, 63, seed=2)
    mine = [row for row in drawn if row[0] == "a"]
    assert [sorted(mine[start : start + 7]) for start in (0, 7, 14)] == [rows["a"]] * 3
    assert [name for name, _ in drawn[:21]] != ["a"] * 21


@pytest.mark.parametrize(
    ("sizes", "weights", "total", "expected"),
    [
        ({"a": 63}, {"a": 1.0}, 63, (0, 0)),
        ({"a": 63}, {"a": 0.3}, 64, (0, 1)),
        ({"a": 63}, {"a": 1.0}, 32, (31, 0)),
        ({"a": 10, "b": 100}, {"a": 1.0, "b": 1.0}, 60, (70, 20)),
    ],
)
def test_rows_not_seen_and_seen_again_are_counted_from_sizes_as_from_what_is_drawn(
    sizes: dict[str, int], weights: dict[str, float], total: int, expected: tuple[int, int]
) -> None:
    seen = seen_of_total(sizes, weights, total)
    assert (seen.not_seen, seen.again) == expected
    pools = {name: [(name, number) for number in range(size)] for name, size in sizes.items()}
    assert seen_of_drawn(sum(sizes.values()), draw(pools, weights, total, seed=0)) == seen


def test_the_same_arguments_give_the_same_order_and_another_seed_another() -> None:
    rows = {"a": list(range(50)), "b": list(range(100, 150))}
    weights = {"b": 0.5, "a": 0.5}
    first = draw(rows, weights, 60, seed=0)
    assert first == draw(dict(reversed(rows.items())), dict(reversed(weights.items())), 60, seed=0)
    assert first != draw(rows, weights, 60, seed=1)
    assert sorted(first) != first


def test_passes_are_counted_by_the_scarcest_data_set() -> None:
    assert num_rows({"a": 100}, {"a": 1.0}, 2.0) == 200
    assert num_rows({"a": 100, "b": 10}, {"a": 0.5, "b": 0.5}, 1.0) == 20
    assert num_rows({"a": 100, "b": 10}, {"a": 0.9, "b": 0.1}, 1.0) == 100
    assert num_rows({"a": 1}, {"a": 1.0}, 0.1) == 1
    assert num_rows({"a": 63}, {"a": 0.3}, 1.0) == 63


# ---------------------------------------------------------------- difficulty


def verdicts(right: int, k: int) -> list[bool | None]:
    return [True] * right + [False] * (k - right)


def test_sixteen_answers_keep_exactly_two_to_fourteen_right() -> None:
    assert [right for right in range(17) if decide("p", verdicts(right, 16), 16, 0.1, 0.9).kept] == list(range(2, 15))


def test_both_borders_are_strict_and_exact() -> None:
    # 1/10 is 0.1 and 9/10 is 0.9, whatever binary fractions make of them
    assert [right for right in range(11) if in_band(right, 10, 0.1, 0.9)] == list(range(2, 9))
    assert [right for right in range(101) if in_band(right, 100, 0.29, 0.57)] == list(range(30, 57))
    assert [right for right in range(5) if in_band(right, 4, 0.0, 1.0)] == [1, 2, 3]


def test_a_prompt_with_a_fault_is_set_aside_and_not_counted_wrong() -> None:
    decision = decide("p", [None, *verdicts(8, 15)], 16, 0.1, 0.9)
    assert (decision.kept, decision.right, decision.wrong, decision.none) == (False, 8, 7, 1)


def test_a_missing_verdict_is_an_error_of_ours() -> None:
    with pytest.raises(ValueError, match="15 verdicts"):
        decide("p", verdicts(3, 15), 16, 0.1, 0.9)


def test_the_histogram_counts_judged_prompts_only() -> None:
    decisions = [
        decide("a", verdicts(0, 4), 4, 0.1, 0.9),
        decide("b", verdicts(4, 4), 4, 0.1, 0.9),
        decide("c", [None, True, True, True], 4, 0.1, 0.9),
    ]
    assert histogram(decisions, 4) == [1, 0, 0, 0, 1]


# ---------------------------------------------------------------- cards

CARD = "---\nlicense: cc-by-4.0\npretty_name: Sums\nprovenance: made by hand\n---\n\nSums.\n"


_MULTIPLIED = "".join(
    f"{here}: &{here} [{', '.join([f'*{before}'] * 8)}]\n"
    for before, here in zip("abcdefghi", "bcdefghij", strict=True)
)


@pytest.mark.parametrize("start", ["", "\ufeff"])
def test_a_card_written_elsewhere_may_hold_what_yaml_cannot_make_a_date_of(tmp_path: Path, start: str) -> None:
    (tmp_path / "card.md").write_text(f"{start}---\nlicense: mit\ndate: 2023-13-45\n---\n", encoding="utf-8")
    assert read_card(tmp_path / "card.md") == {"license": "mit", "date": "2023-13-45"}


def test_a_card_gives_its_front_matter(tmp_path: Path) -> None:
    (tmp_path / "card.md").write_text(CARD)
    data = FileData.model_validate({"source": "jsonl", "path": "rows.jsonl", "card": "card.md"})
    facts = data_facts("sums", data, tmp_path)
    assert (facts.license, facts.title, facts.provenance) == ("cc-by-4.0", "Sums", "made by hand")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (None, "no data card"),
        ("Sums.\n", "no front matter"),
        ("---\nlicense: mit\n", "no front matter"),
        ("---\n{\n---\n", "not YAML"),
        (f"---\nlicense: {'[' * 3000}{']' * 3000}\n---\n", "nested deeper"),
        ("---\na: &a [x, x, x, x, x, x, x, x]\n" + _MULTIPLIED + "license: *j\n---\n", "expands to"),
        ("---\nlicense: !!python/name:os.system\n---\n", "tag"),
        ("---\n- mit\n---\n", "not a mapping"),
        ("---\npretty_name: Sums\n---\n", "lacks license"),
        ("---\nlicense:\n---\n", "lacks license"),
        (b"---\nlicense: \xff\n---\n", "not UTF-8"),
    ],
)
def test_a_bad_card_says_what_is_wrong_with_it(tmp_path: Path, text: Any, what: str) -> None:
    path = tmp_path / "card.md"
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DataError, match=what) as caught:
        read_card(path)
    assert str(caught.value.where).startswith(str(path)) and caught.value.remedy


def test_generated_data_have_shipped_cards_and_rows_of_a_stage_none(tmp_path: Path) -> None:
    toy = ToyData.model_validate({"source": "toy", "task": "stem", "rows": 4})
    gym = GymData.model_validate({"source": "reasoning_gym", "task": "chain_sum", "rows": 4})
    assert data_facts("toy", toy, tmp_path).license and data_facts("gym", gym, tmp_path).license
    assert card_path(StageData.model_validate({"source": "stage", "stage": "distil"}), tmp_path) is None
