"""Residue classes: `x \\equiv 3 \\pmod{7}`, `3 (mod 7)`, `x = 7k + 3`, to (residue, modulus). Integers only; nothing is
evaluated."""

from __future__ import annotations

import re

from rewards.math.result import Result, no, unsure, yes
from rewards.math.words import opened

_MOD = re.compile(
    r" ?(?:\\pmod ?\{? ?(\d{1,12}) ?\}?|\\(?:b?mod|mathrm ?\{mod\}) ?\{? ?(\d{1,12}) ?\}?|"
    r"\(? ?(?:\\?mod) ?\{?(\d{1,12})\}? ?\)?)\)?\Z"
)
_LEFT = re.compile(r"(?:[A-Za-z](?:_\{?\w{1,3}\}?)?) ?(?:\\equiv(?![A-Za-z])|=) ?")
_STEPS = re.compile(r"(?:[A-Za-z] ?= ?)?(?:(\d{1,12}) ?[a-z] ?([-+]) ?(\d{1,12})|(\d{1,12}) ?\+ ?(\d{1,12}) ?[a-z])\Z")


def residue(text: str) -> tuple[int, int] | None:
    """(3, 7) of `x \\equiv 10 \\pmod 7`; None for a text that is no congruence."""
    text = opened(text)
    match = _MOD.search(text)
    if match is not None and match.start():
        modulus = int(next(group for group in match.groups() if group))
        value = _LEFT.sub("", text[: match.start()].strip(), count=1).strip()
        return (int(value) % modulus, modulus) if modulus and re.fullmatch(r"-?\d{1,18}", value) else None
    return None


def compare_residues(gold: str, answer: str) -> Result | None:
    """None where the gold is no residue class."""
    wanted = residue(gold)
    if wanted is None:
        return None
    got = residue(answer) or _in_steps(answer)
    if got is None:
        return unsure("no_residue_class")
    return yes("residue_equal") if wanted == got else no("residue_differs")


def residue_value(answer: str) -> str | None:
    """The number in front of `\\pmod{12}`, where it is the least residue and a number is wanted; None for other
    text."""
    # 7 mod 10 is a task.
    found = residue(answer) if "\\pmod" in answer or "\\equiv" in answer or "(mod" in answer else None
    value = _LEFT.sub("", opened(answer)).strip()
    return str(found[0]) if found is not None and re.match(rf"{found[0]}(?!\d)", value) else None


def _in_steps(text: str) -> tuple[int, int] | None:
    """7k + 3 for any whole k."""
    match = _STEPS.match(text)
    if match is None:
        return None
    modulus, value = int(match[1] or match[5]), int(match[3] or match[4])
    return ((-value if match[2] == "-" else value) % modulus, modulus) if modulus else None
