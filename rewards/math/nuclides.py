"""Nuclear equations: each side as its particles with their numbers, `^{4}_{2}He`, `\\alpha` and `He-4` alike. No
physics but names."""

from __future__ import annotations

import re
from typing import NamedTuple

from rewards.math.result import Result, no, unsure, yes

_ARROW = re.compile(r"\\(?:to|longrightarrow|Rightarrow)(?![A-Za-z])|[-=]{1,2}>")
_WHOLE = re.compile(r"\A\\ce ?\{(.*)\}\Z")
_MARKUP = re.compile(r"\\(?:ce|text|mathrm|mathbf|mathsf|rm)(?![A-Za-z])|[\s$]|(?<![\^_])\{\}")
_NUMBER = r"(?:\{(?P<{0}>[-+]?\d{1,3})\}|(?P<{0}1>[-+]?\d{1,3}?))"
_MASS, _CHARGE, _MASS2, _CHARGE2 = (_NUMBER.replace("{0}", name) for name in ("a", "z", "b", "y"))
_TERM = re.compile(
    rf"(?P<count>\d{{0,2}})\{{?(?:\^{_MASS}(?:_{_CHARGE})?|_{_CHARGE2}\^{_MASS2})?\}}?"
    r"\{?(?P<name>[A-Z][a-z]?|[enp]|\\(?:alpha|beta|gamma|bar\{?\\nu\}?(?:_\{?e\}?)?|"
    r"nu(?:_\{?e\}?)?))\}?(?P<sign>\^?\{?[-+]\}?)?(?:-(?P<dash>\d{1,3}))?\Z"
)
# mass number, charge number and name of particles with a name of their own
_CALLED = {
    "\\alpha": (4, 2, "He"), "\\beta": (0, -1, "e"), "e": (0, -1, "e"), "n": (1, 0, "n"), "p": (1, 1, "H"),
    "\\gamma": (0, 0, "gamma"),
}  # fmt: skip


class Particle(NamedTuple):
    """Example: `{}^{4}_{2}\\mathrm{He}` is Particle("He", 4, 2); a charge number that is not written is None."""

    name: str
    mass: int
    charge: int | None


def nuclear(text: str) -> tuple[list[Particle], list[Particle]] | None:
    """Both sides of an equation between nuclides, one of them at least with its mass number; None for a text that is no
    such equation."""
    text = _WHOLE.sub(r"\1", text)
    sides = _ARROW.split(text) if len(text) <= 400 else []
    if len(sides) != 2 or not ("^" in text or re.search(r"[A-Z][a-z]?-\d", text)):
        return None
    left, right = _side(sides[0]), _side(sides[1])
    return None if left is None or right is None else (left, right)


def compare_nuclear(gold: str, answer: str) -> Result | None:
    """Particle by particle on each side, in any order; None where the gold is no such equation."""
    wanted, got = nuclear(gold), nuclear(answer)
    if wanted is None:
        return None
    if got is None:
        return unsure("no_reaction")
    same = all(len(a) == len(b) and all(map(_is_same, a, b)) for a, b in zip(wanted, got, strict=True))
    return yes("reaction_equal") if same else no("reaction_differs")


def _is_same(gold: Particle, given: Particle) -> bool:
    return gold[:2] == given[:2] and (gold.charge == given.charge or None in (gold.charge, given.charge))


def _side(text: str) -> list[Particle] | None:
    """The particles in order of name, mass and charge; None where a term is none."""
    found: list[Particle] = []
    for term in re.split(r"\+(?![^{]*\})(?=.)", _MARKUP.sub("", text)):
        match = _TERM.match(term)
        particle = _particle(match) if match else None
        if match is None or particle is None:
            return None
        found += [particle] * int(match["count"] or 1)
    return sorted(found, key=lambda one: (one.name, one.mass, one.charge or 0))


def _particle(match: re.Match[str]) -> Particle | None:
    """None for a name that no mass number makes a nuclide, and for numbers that contradict the name."""
    written = {key: match[key] or match[f"{key}1"] for key in "azby"}
    mass, charge = written["a"] or written["b"] or match["dash"], written["z"] or written["y"]
    called = _CALLED.get(match["name"])
    if match["name"].startswith(("\\nu", "\\bar")):
        return Particle(match["name"].replace("{", "").replace("}", "").removesuffix("_e"), 0, 0)
    if called is None:
        return (
            Particle(match["name"], int(mass), int(charge) if charge else None) if mass and not match["sign"] else None
        )
    positive = "+" in (match["sign"] or "") and called[2] == "e"
    own = (called[0], 1 if positive or (called[2] == "e" and charge in ("1", "+1")) else called[1])
    told = (int(mass) if mass else own[0], int(charge) if charge else own[1])
    return Particle(called[2], *own) if told == own else None
