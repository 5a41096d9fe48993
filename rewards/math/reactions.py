"""Chemical equations: each side as a bag of formulas with their numbers, whatever their order and mark-up. Knows no
chemistry."""

from __future__ import annotations

import re
from collections import Counter

from rewards.math.result import Result, no, unsure, yes

_ARROW = re.compile(
    r"\\(?:to|rightleftharpoons|longrightarrow|leftrightarrow)(?![A-Za-z])|<?[-=]{1,2}>|"
    r"(?<=[\w)}]) ?= ?(?=\d{0,2} ?(?:[A-Z]|\\))"
)
_MARKUP = re.compile(r"\\(?:ce|text|mathrm|mathbf|mathsf|rm)(?![A-Za-z])|[_{}$\\ ]|\^(?=[{\d]*[-+])")
_STATE = re.compile(r"\((?:g|l|s|aq)\)")
_TERM = re.compile(
    r"(?P<count>\d{0,3})(?P<formula>(?:[A-Z][a-z]?\d{0,3}|"
    r"\((?:[A-Z][a-z]?\d{0,3}){1,8}\)\d{0,2}){1,16}(?:\^?\d?[-+])?|e\^?-)\Z"
)

Side = Counter[str]


def reaction(text: str) -> tuple[Side, Side] | None:
    """Both sides of `2H_2 + O_2 \\to 2H_2O`; None for a text that is no equation of a reaction."""
    sides = _ARROW.split(text)
    if len(sides) != 2:
        return None
    left, right = _side(sides[0]), _side(sides[1])
    return None if left is None or right is None else (left, right)


def compare_reactions(gold: str, answer: str) -> Result | None:
    """None where the gold is no reaction. Another multiple of the same equation is not for us to decide."""
    wanted = reaction(gold)
    if wanted is None:
        return None
    got = reaction(answer)
    if got is None:
        return unsure("no_reaction")
    if wanted == got:
        return yes("reaction_equal")
    ratios = {(a[name] * 1000) // b[name] if b[name] else 0 for a, b in zip(wanted, got, strict=True) for name in a | b}
    return unsure("other_multiple") if len(ratios) == 1 and 0 not in ratios else no("reaction_differs")


def _side(text: str) -> Side | None:
    plain = _STATE.sub("", _MARKUP.sub("", text.replace(" + ", "\0")))
    found: Side = Counter()
    for term in plain.split("\0") if "\0" in plain else re.split(r"\+(?=\d{0,3}[A-Z(e])", plain):
        match = _TERM.match(term.strip())
        if match is None:
            return None
        found[match["formula"]] += int(match["count"] or 1)
    return found
