"""A second opinion by math-verify where our own parser cannot read a side. Only its yes counts, and it is never
certain.

Screened before by what a text may hold: short, commands of an allow-list, small numbers, powers of one small number or
letter, no relation chains, golds with some mathematics in them (it takes products of letters in any order), no primed
capitals (it drops the prime). It works constants out exactly and multiplies sums out, so what it would build must be
small whatever stands around it: the floor of 10^(10^7) costs as much as the power, and so do towers behind a name
(\\Gamma, \\cosh, \\zeta, the next one). Its own time limits are off: they need SIGALRM in the main thread; the worker's
CPU timer holds. Its objects are never printed.
"""

from __future__ import annotations

import importlib
import logging
import re
import sys

from rewards.contract.deadline import outside_deadline
from rewards.math.result import Result, yes

MAX_CHARS = 120
_COMMANDS = frozenset((
    "frac", "over", "sqrt", "sin", "cos", "tan", "cot", "sec", "csc", "arcsin", "arccos", "arctan", "ln", "log", "pi",
    "infty", "cdot",
    "times", "div", "lfloor", "rfloor", "lceil", "rceil", "circ", "angle", "triangle", "begin", "end", "vec", "hat",
    "bar", "overline",
    "overrightarrow", "mathbf", "mathbb", "mathrm", "parallel", "perp", "to", "cup", "cap", "subset", "setminus",
    "emptyset",
    "forall", "prime", "partial", "nabla", "Delta", "Theta", "Lambda", "Sigma", "Phi", "Psi", "Omega",
    "alpha", "beta", "gamma", "delta", "epsilon", "varepsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu",
    "nu", "xi", "rho",
    "sigma", "tau", "phi", "varphi", "chi", "psi", "omega",
))  # fmt: skip
_COMMAND = re.compile(r"\\([A-Za-z]+)")
# \mathrm{lcm}(, \zeta(: a function of any growth.
_CALLED = re.compile(r"\\(?:mathrm|mathbf|zeta|phi|psi) ?(?:\{[A-Za-z]{2,}\} ?)?\(")
_REFUSED = re.compile(r"[A-Z]'|!|:|\.\.|\*\*|[=<>]|\bor\b|\band\b|\d{7}|\d ?[eE] ?[-+]?\d|matrix\} ?\^")
_POWER = re.compile(r"[\^_] ?")
_EXPONENT = re.compile(
    r"(?:[0-9A-Za-z](?![0-9^!])|\\circ|\\prime"
    r"|\{ ?-?(?:[0-9]{1,2}|[A-Za-z]|[0-9]{1,2} ?/ ?[0-9]{1,2}|\\circ|[A-Za-z] ?[-+] ?[0-9]) ?\})(?! ?\^)"
)
_OF_SUM = re.compile(r"[)\]}] ?\^ ?\{? ?\d{2}")  # multiplied out: (x + y + z)^{39}
MAX_POWERS = 4
_MATHEMATICS = re.compile(r"\\[A-Za-z]+|[\^+*/]")


def second_opinion(gold: str, answer: str) -> Result | None:
    """yes where math-verify takes both for equal; None otherwise."""
    if not _MATHEMATICS.search(gold) or not (_is_small(gold) and _is_small(answer)):
        return None
    if "math_verify" not in sys.modules:
        with outside_deadline():
            importlib.import_module("math_verify")
        # It warns, with the text, about limits that are off on purpose.
        logging.getLogger("math_verify").setLevel(logging.CRITICAL)
    from math_verify import parse, verify

    try:
        wanted = parse(f"${gold}$", parsing_timeout=None)
        got = parse(f"${answer}$", parsing_timeout=None)
        same = bool(wanted) and bool(got) and verify(wanted, got, timeout_seconds=None)
    except Exception:  # noqa: BLE001  a library reads hostile text here; whatever it raises means that it cannot tell
        return None
    return yes("math_verify", certain=False) if same else None


def _is_small(text: str) -> bool:
    """Whether nothing in `text` can make a library work for long."""
    if len(text) > MAX_CHARS or _REFUSED.search(text) or _CALLED.search(text) or _OF_SUM.search(text):
        return False
    if any(name not in _COMMANDS for name in _COMMAND.findall(text)):
        return False
    powers = list(_POWER.finditer(text))
    return len(powers) <= MAX_POWERS and all(_EXPONENT.match(text, power.end()) for power in powers)
