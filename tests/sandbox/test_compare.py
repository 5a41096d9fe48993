"""Comparison: what counts as the same answer, and what never does."""

from __future__ import annotations

import itertools
import json
import math
import sys
from collections import Counter, OrderedDict, defaultdict, deque
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.inside.codec import MOST_ITEMS, Malformed, pack, unpack
from sandbox.judging.compare import Equality, Tolerance, same_output, same_value, truth
from sandbox.judging.packed_values import validate

PYTHON, JSON = Equality(json=False), Equality(json=True)

plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.complex_numbers(allow_nan=False),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text() | st.integers() | st.booleans(), inner, max_size=4)
        | st.sets(st.integers() | st.text(), max_size=4)
        | st.frozensets(st.tuples(st.integers(), st.text()), max_size=3)
    ),
    max_leaves=12,
)


def through_json(tree: Any) -> Any:
    return json.loads(json.dumps(tree))


@given(plain)
def test_a_value_survives_the_crossing(value: Any) -> None:
    tree = through_json(pack(value))
    validate(tree)
    assert unpack(tree) == value
    assert same_value(pack(value), tree, PYTHON)


@given(plain, plain)
def test_packed_equality_is_pythons_own(a: Any, b: Any) -> None:
    assert same_value(pack(a), through_json(pack(b)), PYTHON) == (a == b)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda i: st.lists(i) | st.dictionaries(st.text(max_size=3), i),
        max_leaves=30,
    )
)
def test_hostile_trees_are_refused_or_harmless(tree: Any) -> None:
    try:
        validate(tree)
    except Malformed:
        return
    same_value(pack([1, {"a": (2,)}]), tree, JSON)
    same_value(tree, tree, PYTHON)
    truth(tree)


HOSTILE = [
    {"t": "tuple", "v": 1},
    {"t": "dict", "v": [[1]]},
    {"t": "int", "v": "zz"},
    {"t": "float", "v": "12"},
    {"t": "complex", "v": ["a", 1]},
    {"t": "what", "v": 1},
    {"t": "fraction", "v": "1/0"},
    {"t": "fraction", "v": "1" * 500 + "/3"},
    {"t": "decimal", "v": "1E+999999"},
    {"t": "range", "v": [0, 9, 0]},
    {"t": "range", "v": [0, "9", 1]},
    {"t": "range", "v": [{"t": "set", "v": [[]]}, 1, 1]},
    {"t": "iterator", "v": 1},
    {"x": 1},
    {"t": "set", "v": [], "w": 1},
]


@pytest.mark.parametrize("tree", HOSTILE)
def test_malformed_trees_are_named(tree: Any) -> None:
    with pytest.raises(Malformed):
        validate(tree)


def test_json_expectations_have_no_tuples_and_only_text_keys() -> None:
    assert same_value(pack([1, [2]]), pack((1, (2,))), JSON)
    assert same_value(pack({"1": 2}), pack({1: 2}), JSON)
    assert not same_value(pack({"1": 2}), pack({1: 2}), PYTHON)
    assert not same_value(pack(1), pack(True), JSON)
    assert same_value(pack(1), pack(1.0), JSON)
    assert not same_value(pack([1]), pack({1}), JSON)


def test_nan_equals_nothing() -> None:
    nan = float("nan")
    for how in (PYTHON, JSON, Equality(json=True, tolerance=Tolerance(abs=1e9, rel=1e9))):
        assert not same_value(pack(nan), pack(nan), how)
        assert not same_value(pack(1.0), pack(nan), how)
        assert not same_value(pack({nan}), pack({nan}), how)
    assert not same_output(b"nan", b"nan", "float", Tolerance(abs=1.0))


def test_tolerance_is_absolute_or_relative() -> None:
    assert same_value(pack([100.0]), pack([100.5]), Equality(json=True, tolerance=Tolerance(rel=0.01)))
    assert not same_value(pack([100.0]), pack([102.0]), Equality(json=True, tolerance=Tolerance(rel=0.01)))
    assert same_output(b"0.0 x", b"1e-9 x", "float", Tolerance(abs=1e-8))
    assert not same_output(b"1", b"inf", "float", Tolerance(abs=1e300, rel=1e300))
    assert not same_output(b"1", b"1_0", "float", Tolerance(abs=100))


@pytest.mark.parametrize(
    "value",
    [
        Fraction(-1, 3),
        Fraction(4),
        Decimal("0.10"),
        Decimal("1E+20"),
        deque([1, (2,)]),
        range(5, -3, -2),
        [Fraction(1, 2)],
        {Decimal(1): 2},
        Counter("aab"),
        OrderedDict(b=1, a=2),
        defaultdict(list, a=[1]),
        defaultdict(None, {(1,): 2}),
    ],
)
def test_values_of_the_standard_library_survive_the_crossing(value: Any) -> None:
    tree = through_json(pack(value))
    validate(tree)
    assert unpack(tree) == value and type(unpack(tree)) is type(value)


def test_exact_numbers_equal_the_numbers_they_are() -> None:
    for value, equal, other in (
        (Fraction(1, 2), 0.5, 0.25),
        (Decimal("2.0"), 2, 3),
        (Decimal("0.1"), Fraction(1, 10), 0.1),
    ):
        assert same_value(pack(equal), pack(value), PYTHON) and not same_value(pack(other), pack(value), PYTHON)
        assert same_value(pack({equal}), pack({value}), PYTHON) and not same_value(pack({other}), pack({value}), PYTHON)
    assert (
        truth(pack(Fraction(0))) is False and truth(pack(Decimal("0.1"))) is True and truth(pack(range(10**30))) is True
    )


def test_a_complex_number_equals_the_real_one_that_it_is() -> None:
    for real in (3, 1.5, True, Fraction(1, 2), Decimal(2), float("inf")):
        assert same_value(pack([real]), pack([complex(real)]), PYTHON) and same_value(
            pack({complex(real)}), pack({real}), PYTHON
        )
        assert not same_value(pack(real), pack(complex(float(real), 1)), PYTHON)
        assert not same_value(pack(real), pack(complex(real)), JSON)
    close = Equality(json=False, tolerance=Tolerance(abs=1e-6))
    assert same_value(pack(1), pack(1 + 1e-9j), close) and not same_value(pack(1), pack(1 + 1e-3j), close)


def test_a_default_dict_keeps_what_makes_its_items_if_that_is_pythons_own() -> None:
    assert unpack(through_json(pack(defaultdict(int))))["a"] == 0
    made = unpack(through_json(pack(defaultdict(lambda: 1, b=2))))
    assert type(made) is defaultdict and made == {"b": 2} and "a" not in made
    with pytest.raises(KeyError):
        made["a"]


def test_an_array_is_a_list_that_knows_its_shape_where_numpy_is_not_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    tree = {"t": "array", "v": ["f8", [2, 1], [[0.5], [1.0]]]}
    validate(tree)
    monkeypatch.setitem(sys.modules, "numpy", None)
    found = unpack(tree)
    assert found == [[0.5], [1.0]] and (found.shape, found.ndim, found.size, found.tolist()) == (
        (2, 1),
        2,
        2,
        [[0.5], [1.0]],
    )
    assert same_value(pack([[0.5], [1.0]]), tree, JSON) and truth(tree) is True
    for wrong in (
        ["O", [1], [1]],
        ["f8", [0], []],
        ["f8", [True], [1]],
        ["f8", 1, [1]],
        ["f8", [1], 1],
        ["f8", [1], [{"t": "x", "v": 1}]],
    ):
        with pytest.raises(Malformed):
            validate({"t": "array", "v": wrong})


def test_an_iterator_crosses_with_its_first_items_and_the_cut_is_seen() -> None:
    assert list(unpack(through_json(pack(iter([1, 2]))))) == [1, 2]
    endless = list(unpack(through_json(pack(itertools.count()))))
    assert (
        endless[:MOST_ITEMS] == list(range(MOST_ITEMS)) and len(endless) == MOST_ITEMS + 1 and endless[-1] != MOST_ITEMS
    )


def test_opaque_values_equal_nothing_and_have_no_truth() -> None:
    tree = pack(object())
    assert not same_value(tree, tree, PYTHON)
    assert truth(tree) is None


@given(st.binary(), st.binary())
def test_tokens_ignore_white_space_only(a: bytes, b: bytes) -> None:
    assert same_output(a, b, "tokens", None) == (a.split() == b.split())
    assert same_output(a, a, "bytes", None)
    assert same_output(a, b, "bytes", None) == (a == b)


@given(st.lists(st.text(alphabet="ab ", max_size=3), max_size=5))
def test_lines_in_any_order(lines: list[str]) -> None:
    forth, back = "\n".join(lines).encode(), "\n".join(reversed(lines)).encode()
    if lines and lines[0].strip() and lines[-1].strip():
        assert same_output(forth, back, "unordered_lines", None)
        assert not same_output(forth, back + b"\nb", "unordered_lines", None)


def test_colliding_values_do_not_stall_the_host() -> None:
    """Python's hash of these is one and the same; as a set of integers this takes minutes."""
    values = [i * (2**61 - 1) for i in range(1, 40_001)]
    tree = {"t": "set", "v": [pack(value) for value in values]}
    assert same_value(tree, tree, PYTHON)


@pytest.mark.parametrize(
    ("expected", "got", "same"),
    [
        ("1" + "0" * 400, "9" * 401, False),
        ("1e400", "1e999", False),
        ("1e400", "10e399", True),
        ("1" + "0" * 400, "1" + "0" * 399 + "1", True),
        ("9007199254740993", "9007199254740992", False),
        ("9007199254740993", "9007199254740993.0", True),
        ("1", "9" * 100_000, False),
    ],
)
def test_numbers_beyond_a_floats_reach_are_compared_as_they_are(expected: str, got: str, same: bool) -> None:
    assert (
        same_output(
            expected.encode(), got.encode(), "float", Tolerance(abs=1e-9, rel=1e-12 if "0" * 99 in expected else 0)
        )
        == same
    )


def test_whole_numbers_beyond_a_floats_reach_differ() -> None:
    how = Equality(json=True, tolerance=Tolerance(abs=1e-9))
    assert not same_value(pack(2**53 + 1), pack(2**53), how)
    assert not same_value(pack(10**400), pack(10**400 + 1), how)
    assert not same_value(pack(10**400), pack(math.inf), how)
    assert same_value(pack(10**400), pack(10**400 + 1), Equality(json=True, tolerance=Tolerance(rel=1e-9)))


def test_keys_that_json_makes_one_are_still_two() -> None:
    assert not same_value(pack({"1": "right"}), pack({1: "wrong", "1": "right"}), JSON)
    assert not same_value(pack({"a": 2}), {"t": "dict", "v": [["a", 1], ["a", 2]]}, PYTHON)


@pytest.mark.parametrize(
    "key", [Fraction(1, 3), Decimal("0.1"), 2.0**70, math.inf, frozenset({(1, 2)}), None, b"a", 1j]
)
def test_no_key_brings_the_host_down(key: Any) -> None:
    for how in (JSON, PYTHON):
        assert not same_value(pack({"a": 1}), through_json(pack({key: 1})), how)
        assert not same_value(pack({"a"}), through_json(pack({key})), how)


def test_no_long_number_as_a_key_brings_the_host_down() -> None:
    assert not same_value(pack({"a": 1}), through_json(pack({10**5000: 1})), JSON)


def test_deeply_nested_keys_do_not_grow_on_the_host() -> None:
    nested: Any = ("a",)
    for _ in range(140):
        nested = (nested, '"\\')
    assert same_value(pack({nested}), through_json(pack({nested})), PYTHON)
    assert not same_value(pack({(1, ("2",))}), pack({(1, ("2", ""))}), PYTHON)
