"""Changes by a percentage with their direction in words: "decreased by 4%", "a 4 % decrease", and as a sign: "-4 %"."""

from __future__ import annotations

import re

from rewards.math.number import Num, parse_number
from rewards.math.result import Result, no, unsure, yes
from rewards.math.words import opened

_DOWN = r"decreas\w{0,3}|f[ae]ll(?:en|s)?|drop\w{0,4}|declin\w{1,3}|reduc\w{1,4}|lower\w{0,3}|los[st]e?|less|down"
_UP = r"increas\w{0,3}|r[io]se[ns]?|gain\w{0,3}|gr[eo]w[nths]{0,2}|raised?|higher|more|up"
_SHARE = r"(?P<share>[-+]?\d[\d.,]{0,12}(?: ?\d{1,3}/\d{1,3})?) ?(?:\\?%|percent|per cent)"
_SUBJECT = (
    r"(?:(?:it|(?:the|its) [a-z ]{3,30}?|overall,?) )?(?:(?:has|had|is|was|went|there (?:is|"
    r"was)) )?(?:been |an? )?(?:overall |net )?"
)
_WAYS = (
    re.compile(
        rf"{_SUBJECT}(?:(?P<down>{_DOWN})|(?P<up>{_UP}))(?: overall)? (?:by|of)(?: about)? {_SHARE}(?: overall)?\Z",
        re.IGNORECASE,
    ),
    re.compile(
        rf"{_SUBJECT}{_SHARE} (?:(?P<down>{_DOWN})|(?P<up>{_UP}))(?: overall| than before| in all)?\Z", re.IGNORECASE
    ),
)


def read_change(text: str) -> Num | None:
    """The signed percentage of a change told in words; None for a text that tells of no change, a signed number among
    it."""
    plain = opened(text).strip(" .")
    if len(plain) > 100 or ("%" not in plain and "cent" not in plain):
        return None
    match = next((found for way in _WAYS if (found := way.match(plain))), None)
    if match is None or match["share"][0] in "+-":  # "decreased by -4%"
        return None
    return parse_number(f"{'-' if match['down'] else ''}{match['share']}%")


def compare_changes(gold: str, answer: str) -> Result | None:
    """None where `gold` is no change in words, or the answer says no percentage."""
    wanted = read_change(gold)
    got = read_change(answer)
    signed = got is not None or answer[:1] in ("+", "-")
    got = got or parse_number(answer)
    if wanted is None or got is None:
        return None
    if not got.percent or got.unit:
        return unsure("percent_or_not")
    if not signed:
        return unsure("direction_missing")
    return yes("change_equal", certain=False) if got.value == wanted.value else no("change_differs", certain=False)
