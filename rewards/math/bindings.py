"""Values given by name: `x = 1 or x = 2`, `x = 2, y = 1`, `(x, y) = (2, 1)`, `x = \\pm 2`. Names to lists of values,
and comparing them."""

from __future__ import annotations

import re
from collections.abc import Callable

from rewards.math.declared import relettered
from rewards.math.result import Result, no
from rewards.math.sequences import JOINED, all_of, brackets, split_items, unordered
from rewards.math.words import opened

Same = Callable[[str, str], Result | None]
Bindings = dict[str, list[str]]

NAME = re.compile(
    r"(?:\\(?:angle|triangle|overline|vec|measuredangle) ?)?(?:(?:[A-Za-z]|\\[A-Za-z]{2,8})(?:_\{?\w{1,8}\}?)?'?"
    r"|\\(?:vec|overline|overrightarrow|mathbf) ?\{[A-Za-z]{1,3}\}"
    r"|\\frac ?\{(?:d|\\partial)(?:\^2)? ?[a-zA-Z]?\}\{(?:d|\\partial) ?[a-z](?:\^2)?\}"
    r"|\\frac ?\{[A-Za-z]{1,3}\}\{[A-Za-z]{1,3}\}|\|[a-zA-Z]{1,2}\||\\#|[A-Za-z]'{1,2}\([a-z]\)|[A-Z]{2,4}|"
    r"\{[A-Z]{2,3}\}"
    r"|(?:Var|Cov|Corr|SD|SE|MSE|E)[(\[][A-Z][)\]]|\\(?:hat|bar|tilde) ?\{?(?:\\[a-z]{2,8}|"
    r"[A-Za-z])\}?(?:_\{?\w{1,8}\}?)?"
    r"|[A-Za-z][a-z]{3,20}|[a-zA-Z]\^\{?-1\}?\([a-z]\)|[A-Za-z](?:_\{?\w{1,3}\}?)?\([A-Za-z0-9, ]{1,8}\))\Z"
)
_FUNCTION = re.compile(r"(?P<head>[A-Za-z](?: ?\^ ?\{?-1\}?)?) ?\((?P<name>[a-z])\) ?=")
_WORDS = re.compile(r"[A-Za-z]{2,20}(?: [A-Za-z]{1,20}){0,4}\Z")
_LETTER = re.compile(r"[A-Za-z](?:_\{?\w{1,3}\}?)?\Z")
# y and f(x) name the same thing.
_OF_ONE = re.compile(r"(?:y|[fgh](?:\^\{?-1\}?)?|y\([a-z]\)|[A-Za-z](?:\^\{?-1\}?)?\((?P<name>[a-z])\))\Z")
_DERIVED = re.compile(r"(?:[a-zA-Z]'|[a-zA-Z]'\([a-z]\)|\\frac ?\{d ?[a-zA-Z]?\}\{d ?[a-z]\})\Z")
_RUNNING = re.compile(r"(?<![A-Za-z\\])([a-z]) ?\\in ?\\mathbb ?\{?[ZN]\}?")
_TUPLE_LEAD = re.compile(
    r"\A\((?:[A-Za-z](?:_\{?\w\}?)?)(?:, ?[A-Za-z](?:_\{?\w\}?)?){1,5}\) ?(?:=|\\in(?![A-Za-z])) ?(?=\()"
)
_EXTREME = re.compile(r"\A\\(?=(?:max|min|sup|inf)\Z)")  # \\max = 5 says what "max = 5" does
_WORD_BELOW = re.compile(r"(?<=[A-Za-z}])_(?:\{ ?[A-Za-z]{2,12} ?\}|[A-Za-z]{2,12}\Z)\Z")
_SUBSCRIPT = re.compile(r"_\{?\d+\}?\Z")


def bindings(text: str) -> Bindings | None:
    """Each name with its values, in order; None where `text` gives none, or holds more than names and values."""
    if "=" not in text or re.search(r"[<>]|\\(?:le|ge|ne)(?![A-Za-z])", text):
        return None
    found: Bindings = {}
    name = ""
    for item in split_items(JOINED.sub(", ", opened(text))):
        if _chained(item):  # x = y = z = 0
            *names, value = (side.strip() for side in item.split("="))
            found.update({n: both_signs(value) for n in names})
            name = names[-1]
            continue
        left, sign, right = (part.strip() for part in item.partition("="))
        if not item or "=" in right or (sign and not right) or left.count("{") != left.count("}"):
            return None
        if sign:
            name = left.replace(" ", "") if NAME.match(left.replace(" ", "")) or _names(left) else left
            name = _EXTREME.sub("", name)
            if not (NAME.match(name) or _WORDS.match(name) or _names(name)):
                return None
        elif not name:
            return None
        found.setdefault(name, []).extend(both_signs(right if sign else item))
    return _split_tuple(found)


def _chained(item: str) -> bool:
    """Whether several different letters are given one value."""
    *names, _ = (side.strip() for side in item.split("="))
    return len(names) > 1 and len(set(names)) == len(names) and all(_LETTER.match(name) for name in names)


def alternatives(text: str) -> str | None:
    """`a = 1, b = 2 or a = 3, b = 4` and `(a, b) = (1, 2) or (3, 4)` as "(1, 2), (3, 4)".

    Which values belong together counts. None for a text that names no values so.
    """
    plain = opened(text)
    parts = [part.strip(" ,;") for part in re.split(r" or |;", plain)]
    if len(parts) < 2 and not (lead := _TUPLE_LEAD.match(plain)):
        return None
    lead = _TUPLE_LEAD.match(plain)
    if lead is not None:
        rest = [item for part in parts for item in split_items(_TUPLE_LEAD.sub("", part))]
        return ", ".join(rest) if len(rest) > 1 and all(brackets(item) for item in rest) else None
    each = [bindings(part) for part in parts]
    names = set(each[0] or ())
    if len(names) < 2 or any(
        one is None or set(one) != names or any(len(v) != 1 for v in one.values()) for one in each
    ):
        return None
    return ", ".join(values_of(one) for one in each if one is not None)


def renamed(text: str, like: str) -> str:
    """`f(t) = t^2` with the argument of `f(x) = ...`; as it is where they are not one function of one letter, or
    letters would clash."""
    (old, wanted) = (_FUNCTION.match(side) for side in (text, like))
    if old is None or wanted is None or old["head"] != wanted["head"] or old["name"] == wanted["name"]:
        return text
    value = text[old.end() :]
    letter = re.compile(rf"(?<![A-Za-z\\]){old['name']}(?![A-Za-z])")
    changed = letter.sub(wanted["name"], value)
    clash = re.search(rf"(?<![A-Za-z\\]){wanted['name']}(?![A-Za-z])", value)
    words = re.sub(r"\\[A-Za-z]+|[A-Za-z]{3,}", "", changed)  # names of functions hold letters, too
    return text if clash or old["name"] in words else f"{wanted['head']}({wanted['name']}) = {changed.strip()}"


def with_parameter(text: str, like: str) -> str:
    """The whole number that runs through a family of solutions, named as in `like`.

    Example: "2n\\pi, n \\in \\mathbb{Z}" like "2k\\pi, k \\in \\mathbb{Z}".
    """
    if "mathbb" not in like:
        return text
    wanted, given = _RUNNING.search(like), _RUNNING.search(text)
    if wanted is None or given is None or wanted[1] == given[1]:
        return text
    return relettered(text, given[1], wanted[1]) or text


def _names(text: str) -> list[str]:
    """The names of `(x, y)`."""
    pair = brackets(text)
    names = [name.strip() for name in split_items(pair[1])] if pair is not None and pair[0] == "(" else []
    return names if len(names) > 1 and all(NAME.match(name) for name in names) else []


def _split_tuple(found: Bindings) -> Bindings:
    """(x, y) = (1, 2) as x = 1, y = 2."""
    if len(found) != 1:
        return found
    [(name, values)] = found.items()
    names, pair = _names(name), brackets(values[0])
    items = split_items(pair[1]) if pair is not None else []
    return (
        {n: [v] for n, v in zip(names, items, strict=True)}
        if len(values) == 1 and 1 < len(names) == len(items)
        else found
    )


def both_signs(text: str) -> list[str]:
    """`a \\pm b` as two values; other text alone."""
    if text.count("\\pm") != 1:
        return [text]
    plus, minus = text.replace("\\pm", "+"), text.replace("\\pm", "-")
    return [plus.strip().removeprefix("+").strip(), minus.strip()]


def values_of(found: Bindings) -> str:
    """The values without names: one name's as a list, those of several names as a tuple in the order of the names."""
    if len(found) == 1:
        return ", ".join(next(iter(found.values())))
    if _one_base(found):
        return ", ".join(value for values in found.values() for value in values)
    # Letters have an order of their own, so that y = 1, x = 2 is (2, 1); (r, \theta) keeps the order that it is written
    # in.
    names = sorted(found) if all(map(_LETTER.match, found)) else list(found)
    return "(" + ", ".join(", ".join(found[name]) for name in names) + ")"


def _one_base(found: Bindings) -> str | None:
    """The shared name of x_1, x_2, ...; None for other names."""
    bases = {_SUBSCRIPT.sub("", name) for name in found}
    return bases.pop() if len(bases) == 1 else None


def compare_bindings(wanted: Bindings, got: Bindings, same: Same) -> Result | None:
    """Name by name; x = 2, x = 5 and x_1 = 2, x_2 = 5 as lists."""
    if wanted.keys() == got.keys():
        return all_of([_values(values, got[name], same) for name, values in wanted.items()])
    if len(wanted) == len(got) == 1:
        pair = [next(iter(side)) for side in (wanted, got)]
        if ("y" in pair and "-1" not in pair[1] and all(map(_OF_ONE.match, pair))) or all(map(_DERIVED.match, pair)):
            return all_of([_values(next(iter(wanted.values())), next(iter(got.values())), same)])
        if _same_quantity(*pair):
            return all_of([_values(next(iter(wanted.values())), next(iter(got.values())), same)])
    base = _one_base(wanted)
    if base is not None and base == _one_base(got) and (len(wanted) == 1) != (len(got) == 1):
        lists = [[value for values in side.values() for value in values] for side in (wanted, got)]
        return unordered(lists[0], lists[1], same)
    if any(re.search(r"[A-Za-z]", value) for side in (wanted, got) for values in side.values() for value in values):
        return None  # the same equation may be solved for another of its unknowns
    return no("other_unknowns", certain=len(wanted) > 1)


def _same_quantity(wanted: str, got: str) -> bool:
    """Whether two names are one: `v` and `v_{esc}`, `M_{max}` and `M`, "rate" and r; two subscripts are two
    quantities."""
    if len(got) == 1 and len(wanted) > 3 and wanted.isalpha():
        return wanted[0].casefold() == got.casefold()
    bases = _WORD_BELOW.sub("", wanted), _WORD_BELOW.sub("", got)
    return wanted != got and bases[0] == bases[1] and (bases[0] == wanted or bases[1] == got)


def _values(wanted: list[str], got: list[str], same: Same) -> Result | None:
    return same(wanted[0], got[0]) if len(wanted) == len(got) == 1 else unordered(wanted, got, same)
