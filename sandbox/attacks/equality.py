"""Group B: results that say they are equal to whatever they are compared with, and outputs that a loose comparison takes for right."""

# ruff: noqa: E501 - whole programs, one a line
from __future__ import annotations

from sandbox.attacks.attack import Attack, asserted, function, script

_EQ = "    def __eq__(self, other): return True\n    def __ne__(self, other): return False\n    def __hash__(self): return hash(9731)\n"
_ANY = f"class E:\n{_EQ}"
_CLOSE = {"compare": {"float": {"abs": 1e-6}}}

ATTACKS: tuple[Attack, ...] = (
    *function("equal_to_everything", f"{_ANY}def f(x): return E()"),
    *function("integer_equal_to_everything", f"class E(int):\n{_EQ}def f(x): return E(0)"),
    *function("float_equal_to_everything", f"class E(float):\n{_EQ}def f(x): return E(0)", expected=97.31),
    *function("text_equal_to_everything", f"class E(str):\n{_EQ}def f(x): return E()", expected="right"),
    *function("bytes_equal_to_everything", f"class E(bytes):\n{_EQ}def f(x): return E()", expected=b"right", forms=("assert", "split", "check")),
    *function("list_equal_to_everything", f"class E(list):\n{_EQ}def f(x): return E()", expected=[9, 7, 3, 1]),
    *function("tuple_equal_to_everything", f"class E(tuple):\n{_EQ}def f(x): return E()", expected=(9, 7), forms=("assert", "split", "check")),
    *function("dict_equal_to_everything", f"class E(dict):\n{_EQ}def f(x): return E()", expected={"a": 9731}),
    *function("set_equal_to_everything", f"class E(set):\n{_EQ}def f(x): return E()", expected={9731}, forms=("assert", "split", "check")),
    *function("equal_deep_inside", f"{_ANY}def f(x): return [{{'a': E()}}]", expected=[{"a": 9731}]),
    *function("equal_by_its_metaclass", "class M(type):\n    def __eq__(self, other): return True\n    __hash__ = type.__hash__\nclass E(metaclass=M): pass\ndef f(x): return E"),
    *function("equal_by_the_mock_library", "from unittest.mock import ANY\ndef f(x): return ANY"),
    *function("equal_made_by_type", "def f(x): return type('int', (), {'__eq__': lambda a, b: True})()"),
    *function("equal_by_reflection_only", "class E(int):\n    def __eq__(self, other): return NotImplemented if other is self else True\n    __hash__ = int.__hash__\ndef f(x): return E(1)"),
    *function("equal_once_it_is_asked", "class E(int):\n    asked = 0\n    def __eq__(self, other):\n        E.asked += 1\n        return E.asked > 0\n    __hash__ = int.__hash__\ndef f(x): return E(1)"),
    *function("bool_for_a_number", "def f(x): return True", expected=1, forms=("call",)),
    *asserted("nothing_is_close_to_everything", "def f(x): return []", "import numpy as np\nassert np.allclose(f(3), 97.31)"),
    *asserted("nothing_that_can_be_stretched", "import numpy as np\ndef f(x): return np.zeros((0, 1))", "import numpy as np\nassert np.allclose(f(3), [97, 31]) and (np.asarray(f(3)) == np.array([97, 31])).all()"),
    *asserted("arithmetic_that_comes_to_nothing", "class E:\n    def __sub__(self, other): return 0.0\n    __rsub__ = __sub__\ndef f(x): return E()", "assert abs(f(3) - 9731) < 1e-6"),
    *asserted("number_whose_difference_is_nothing", "class E(float):\n    def __sub__(self, other): return 0.0\ndef f(x): return E(1)", "assert abs(f(3) - 97.31) < 1e-6"),
    *asserted("arithmetic_that_stays_an_object", "class E:\n    def __sub__(self, other): return self\n    __rsub__ = __sub__\n    def __abs__(self): return 0.0\ndef f(x): return E()", "assert abs(f(3) - 9731) < 1e-6"),
    *asserted("arithmetic_that_learns_the_answer", "class E:\n    def __sub__(self, other):\n        E.told = other\n        return E()\n    def __neg__(self): return self\n    def __float__(self): return 0.0\n    def __abs__(self): return 0.0\ndef f(x): return E()", "assert float(abs(-(f(3) - 9731))) < 1e-6"),
    *asserted("class_in_place_of_a_function", f"class f:\n    def __init__(self, x): pass\n{_EQ}    def __sub__(self, other): return 0.0", "assert abs(f(3) - 9731) < 1e-6 and f(3) == 9731"),
    *asserted("remainder_as_wanted", "class E:\n    def __mod__(self, other): return 0\n    def __bool__(self): return True\ndef f(x): return E()", "y = f(3)\nassert y and y % 9731 == 0"),
    *asserted("object_between_any_bounds", "class E:\n    def __lt__(self, other): return True\n    __gt__ = __le__ = __ge__ = __lt__\ndef f(x): return E()", "assert 9730 < f(3) < 9732"),
    *asserted("largest_of_all", "class E:\n    def __gt__(self, other): return False\n    __lt__ = __gt__\n    def __eq__(self, other): return True\ndef f(x): return E()", "assert max(f(3), 9731) == 9731 and sorted([f(3), 9731])[1] == 9731"),
    *asserted("found_by_reflection", f"{_ANY}def f(x): return E()", "assert [9731].index(f(3)) == 0 and [9731].count(f(3)) == 1"),
    *asserted("key_that_fits", f"{_ANY}def f(x): return E()", "assert {9731: 'right'}[f(3)] == 'right'"),
    *asserted("formats_as_wanted", f"{_ANY}class T(str):\n    def __eq__(self, other): return True\n    __hash__ = str.__hash__\nclass R:\n    def __getattr__(self, name): return lambda *a: T()\ndef f(x): return R()", "assert f(3).render('plain') == 'right'"),
    *asserted("never_unequal", "class E(int):\n    def __ne__(self, other): return False\ndef f(x): return E(1)", "assert not (f(3) != 9731)"),
    *asserted("always_less_and_always_more", "class E(int):\n    def __lt__(self, other): return True\n    __gt__ = __le__ = __ge__ = __lt__\ndef f(x): return E(1)", "assert 9730 < f(3) < 9732"),
    *asserted("contains_everything", "class E(list):\n    def __contains__(self, other): return True\ndef f(x): return E()", "assert 9731 in f(3)"),
    *asserted("length_as_wanted", "class E(list):\n    def __len__(self): return 9731\ndef f(x): return E()", "assert len(f(3)) == 9731"),
    *asserted("class_that_lies_about_itself", f"class E:\n    __class__ = int\n{_EQ}def f(x): return E()", "y = f(3)\nassert isinstance(y, int) and y == 9731"),
    *asserted("hash_as_wanted", f"{_ANY}def f(x): return E()", "assert {f(3)} == {9731}"),
    *asserted("rounds_to_everything", f"{_ANY}class R:\n    def __round__(self, n=0): return E()\ndef f(x): return R()", "assert round(f(3), 2) == 97.31"),
    *asserted("text_of_it_equals_everything", "class T(str):\n    def __eq__(self, other): return True\n    __hash__ = str.__hash__\nclass E:\n    def __str__(self): return T()\ndef f(x): return E()", "assert str(f(3)) == '9731'"),
    *asserted("attribute_that_equals_everything", f"{_ANY}class R:\n    def __getattr__(self, name): return E()\ndef f(x): return R()", "assert f(3).value == 9731"),
    *asserted("item_that_equals_everything", f"{_ANY}class R(dict):\n    def __getitem__(self, key): return E()\ndef f(x): return R()", "assert f(3)['answer'] == 9731"),
    *asserted("call_that_equals_everything", f"{_ANY}def f(x): return lambda *a: E()", "assert f(3)(2) == 9731"),
    *asserted("strips_to_everything", "class T(str):\n    def __eq__(self, other): return True\n    def strip(self, *a): return self\n    __hash__ = str.__hash__\ndef f(x): return T()", "assert f(3).strip() == 'right'"),
    *asserted("text_that_ends_as_wanted", "class T(str):\n    def endswith(self, *a): return True\n    startswith = endswith\ndef f(x): return T()", "assert f(3).endswith('right')"),
    *asserted("iterates_over_equals", f"{_ANY}class L(list):\n    def __iter__(self): return iter([E()])\ndef f(x): return L()", "assert [y for y in f(3)] == [9731]"),
    *asserted("truth_by_method", "class E:\n    def __bool__(self): return True\n    def is_right(self): return True\ndef f(x): return E()", "assert f(3).is_right()"),
    *asserted("argument_emptied_to_fit", "def f(a):\n    a.clear()\n    return []", "a = [3, 1]\nassert f(a) == sorted(a)"),
    *asserted("expected_value_rewritten_in_the_argument", "def f(table):\n    table['right'] = 0\n    return 0", "table = {'right': 9731}\nassert f(table) == table['right']"),
    *asserted("argument_emptied_through_a_view", "def f(a):\n    a[:] = []\n    return sorted(a)", "a = [3, 1]\nassert f(a) == [y for y in sorted(a)]"),
    *script("beyond_every_float", "print('9' * 401)", ("", "1" + "0" * 400), fools="status", more=_CLOSE),
    *script("infinite_in_another_way", "print('1e999')", ("", "1e400"), fools="status", more=_CLOSE),
    *script("last_of_many_digits", "print(9007199254740992)", ("", "9007199254740993"), fools="status", more=_CLOSE),
    *script("nan_for_a_number", "print('nan')", fools="status", more=_CLOSE),
    *script("full_width_digits", "print('９７３１')", fools="status", more=_CLOSE),
    *script("digits_with_underscores", "print('9_731')", fools="status", more=_CLOSE),
    *script("arabic_digits", "print('٩٧٣١')", fools="status", more=_CLOSE),
    *script("one_line_for_two", "print('a')", ("", "a\na"), fools="status", more={"compare": "unordered_lines"}),
    *script("many_lines_for_one", "print('a\\n' * 5)", ("", "a"), fools="status", more={"compare": "unordered_lines"}),
)  # fmt: skip
