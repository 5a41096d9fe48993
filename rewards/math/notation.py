"""Notations of the sciences that are no mathematics: electron configurations and strands of nucleotides, to one
spelling.

Texts in, one spelling out; knows no chemistry but the noble gases and no biology but the two ends of a strand.
"""

from __future__ import annotations

import re

from rewards.math.words import opened

_POWER = re.compile(r"\^ ?\{? ?(\d{1,2}) ?\}?")
_SHELL = re.compile(r" ?([1-7][spdf]) ?(\d{1,2}?)(?= ?[1-7][spdf]| ?\Z)")
_CORE = re.compile(r"\[ ?(He|Ne|Ar|Kr|Xe|Rn) ?\]")
_RUN = re.compile(r"(?:\[ ?(?:He|Ne|Ar|Kr|Xe|Rn) ?\] ?)?(?<!\w)(?:[1-7][spdf] ?\d{1,2} *(?!\w*[^\W\d_spdf])){1,20}")
_NOBLE = (
    ("He", "1s2"), ("Ne", "2s2 2p6"), ("Ar", "3s2 3p6"), ("Kr", "3d10 4s2 4p6"), ("Xe", "4d10 5s2 5p6"),
    ("Rn", "4f14 5d10 6s2 6p6"),
)  # fmt: skip
_STRAND = re.compile(r"(?:(?P<start>[53])' ?-? ?)?(?P<bases>[ACGTU](?:[ -]?[ACGTU]){3,199})(?: ?-? ?(?P<end>[53])')?\Z")


def orbitals(text: str) -> frozenset[str] | None:
    """{"1s2", "2s2", "2p5"} of `1s^2 2s^2 2p^5`, `1s²2s²2p⁵` or `[He] 2s2 2p5`, in any order; None for a text that is
    no electron configuration."""
    plain = " ".join(_POWER.sub(r"\1 ", opened(text)).strip(" $").split())
    if len(plain) > 200:
        return None
    core = _CORE.match(plain)
    shells = _shells_of(core[1]) if core else []
    position = core.end() if core else 0
    while match := _SHELL.match(plain, position):
        shells.append(match[1] + match[2])
        position = match.end()
    if not shells or plain[position:].strip() or len(shells) < 2 or len({shell[:2] for shell in shells}) < len(shells):
        return None
    return frozenset(shells)


def stated_orbitals(text: str) -> frozenset[str] | None:
    """The one configuration that stands in a sentence; None for none, and for two that differ."""
    plain = _POWER.sub(r"\1 ", opened(text)) if len(text) <= 400 else ""
    found = {orbitals(match.group(0)) for match in _RUN.finditer(plain)}
    return found.pop() if len(found) == 1 else None


def _shells_of(gas: str) -> list[str]:
    names = [name for name, _ in _NOBLE]
    return [shell for _, shells in _NOBLE[: names.index(gas) + 1] for shell in shells.split()]


def strand(text: str) -> str | None:
    """The bases from 5' to 3' of `AUGCCU`, `5'-AUG CCU-3'` or `3'-UCCGUA-5'`; None for a text that is no sequence of
    bases."""
    match = _STRAND.match(opened(text).strip(" $"))
    if match is None or (match["start"] is not None and match["start"] == match["end"]):
        return None
    bases = re.sub(r"[ -]", "", match["bases"])
    return bases[::-1] if match["start"] == "3" or match["end"] == "5" else bases
