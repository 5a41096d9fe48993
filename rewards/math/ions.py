"""Chemical formulas and ions as text: mark-up, states and the spelling of a charge away. Knows no chemistry."""

from __future__ import annotations

import re

from rewards.math.kinds import FORMULA
from rewards.math.result import Result, no, yes
from rewards.math.words import DOUBT, opened

_MARKUP = re.compile(r"\\(?:ce|text|mathrm|textrm|mathbf|textbf)(?![A-Za-z])|[ _{}$\\]")
_SAYS = re.compile(r"\b(?:is|are|be|forms?|gives?|called)\b")
_STATE = re.compile(r"\((?:g|l|s|aq)\)\Z")
_CHARGE = re.compile(r"\^(?:(?P<count>\d?)(?P<sign>[-+])|(?P<sign2>[-+])(?P<count2>\d))\Z")


def compare_formulas(gold: str, answer: str) -> Result | None:
    """None where the answer is no formula, and no sentence that names one with a digit or a charge."""
    wanted, got = _plain(gold), _plain(answer)
    if _is_same(wanted, got):
        return yes("formula_equal")
    if FORMULA.match(got):
        return no("formula_differs")
    named = {
        _plain(word)
        for word in re.split(r"[ ,;]+", opened(answer).rstrip("."))
        if FORMULA.match(word) and not word.isalpha()
    }
    alone = len(named) == 1 and _is_same(wanted, named.pop()) and _SAYS.search(answer) and not DOUBT.search(answer)
    return yes("formula_in_sentence", certain=False) if alone else None


def _is_same(gold: str, got: str) -> bool:
    """Where both set the charge apart it is no index: O_2^- is no O^{2-}."""
    return gold == got or (("^" in gold) != ("^" in got) and gold.replace("^", "") == got.replace("^", ""))


def _plain(text: str) -> str:
    """`\\text{Ca}^{+2}(aq)` as Ca^2+."""
    plain = _STATE.sub("", _MARKUP.sub("", text))
    charge = _CHARGE.search(plain)
    if charge is None:
        return plain
    count = (charge["count"] or charge["count2"] or "").removeprefix("1")
    return f"{plain[: charge.start()]}^{count}{charge['sign'] or charge['sign2']}"
