"""Equalities between numbers that a text states and that do not hold: 17 + 25 = 41.

Exact arithmetic on what stands there, without running anything. Only numbers, signs and `=` are read; a side to which
letters or functions belong is left out, and where a remainder, another base or an approximation is named nearby,
nothing is said. A result with decimals may be rounded. Linear in the text.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import pairwise

_RUN = re.compile(r"[-+*/^0-9().,=×÷· \t−]+")
_MARK = re.compile(r"^[ \t>]*(?:[-*+•]|[0-9]{1,3}[.):])[ \t]+")  # of a list
_TEX = {r"\times": "×", r"\cdot": "·", r"\div": "÷", r"\,": " ", "$": " ", "**": " "}
_THOUSANDS = re.compile(r"(?<![0-9.])([0-9]{1,3}(?:,[0-9]{3})+)(?![0-9,])")
_SIGNS = str.maketrans({"×": "*", "÷": "/", "·": "*", "−": "-"})
_OTHER_MEANING = re.compile(
    r"\b(?:mod|modulo|base|binary|hex|octal|remainder|approximately|approx|about|clock|am|pm)\b|[≈%≡]", re.IGNORECASE
)
_FUNCTION = re.compile(r"(?:\b(?:sin|cos|tan|log|ln|lg|sqrt|exp|max|min|gcd|lcm|of|[b-hj-zB-HJ-Z])|[\\√])[ \t]*$")
_LETTER_NEXT = re.compile(r"[ \t]*(?:[b-hj-zB-HJ-Z]\b|\\)")
_NEAR = 24  # characters beside a claim in which a word may change its meaning
_OPERATORS: dict[type[ast.operator], Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_LONGEST, _MOST_DIGITS, _HIGHEST_POWER = 200, 30, 64


def wrong_claims(text: str, most: int = 5) -> list[str]:
    """The first `most` that do not hold, as they stand there.

    Example: wrong_claims("So 17 + 25 = 41, and x + 2 = 9.") == ["17 + 25 = 41"]
    """
    found = []
    for claim in _claims(text):
        if not _holds(claim):
            found.append(claim)
        if len(found) == most:
            break
    return found


def _claims(text: str) -> Iterator[str]:
    """Equalities of numbers alone, without the parts to which something else belongs."""
    for line in text.splitlines():
        plain = _MARK.sub("", line)
        for tex, sign in _TEX.items():
            plain = plain.replace(tex, sign)
        for match in _RUN.finditer(plain):
            start, end = match.span()
            if "=" not in match.group(0) or end - start > _LONGEST:
                continue
            if _OTHER_MEANING.search(plain, max(0, start - _NEAR), end + _NEAR):
                continue
            parts = [part.strip(" \t") for part in match.group(0).rstrip(" \t.,(").split("=")]
            trimmed = match.group(0).lstrip(" \t,.")
            before = plain[: end - len(trimmed)]
            if trimmed[:1] in "+*/^=)×÷·" or (trimmed[:1] in "-−" and trimmed[1:2] == " ") or _belongs(before):
                parts = parts[1:]
            else:
                parts[0] = parts[0].lstrip(" \t,.")
            if end < len(plain) and _goes_on(match.group(0), plain, end):
                parts = parts[:-1]
            if len(parts) > 1:
                yield " = ".join(parts)


def _belongs(before: str) -> bool:
    """Whether what stands before a number belongs to it: x2, f(2), 12:30, sin 30."""
    last = before[-1:]
    return (
        last.isalnum() or (last != "" and last in "_:\\{}[]|!√'\"<>") or _FUNCTION.search(before[-_NEAR:]) is not None
    )


def _goes_on(run: str, text: str, end: int) -> bool:
    """Whether what stands after a number belongs to it: 5x, 5 x, 5!, 5°, or a sign at its end."""
    if run.rstrip(" \t")[-1:] in "-+*/^(×÷·−=":
        return True
    beside = run[-1:] not in (" ", "\t", ".", ",")
    return (beside and (text[end].isalnum() or text[end] in "_{}[]|!\\°'\"")) or bool(_LETTER_NEXT.match(text, end))


def _holds(claim: str) -> bool:
    """False only where every part can be computed and two of them differ."""
    plain = _THOUSANDS.sub(lambda match: match.group(1).replace(",", ""), claim).translate(_SIGNS)
    parts = [part.strip() for part in plain.split("=")]
    if not any(re.search(r"[0-9)]\s*[-+*/^]", part) for part in parts):
        return True  # names of one number, such as 101 = 5 in another base
    values = [_value(part) for part in parts]
    known = [(part, value) for part, value in zip(parts, values, strict=True) if value is not None]
    if len(known) < len(parts):
        return True
    return all(
        one == other or abs(one - other) < max(_rounding(text), _rounding(next_text))
        for (text, one), (next_text, other) in pairwise(known)
    )


def _rounding(text: str) -> Fraction:
    """Less than this a number with decimals may be off by, rounded or cut; 0 for an expression or a whole number."""
    match = re.fullmatch(r"-?[0-9]+\.([0-9]+)", text)
    return Fraction(1, 10 ** len(match.group(1))) if match else Fraction(0)


def _value(text: str) -> Fraction | None:
    if not text or re.search(rf"[0-9)]\s+[0-9(]|[0-9]{{{_MOST_DIGITS}}}|,|[0-9)]\(", text) or "//" in text:
        return None
    try:
        tree = ast.parse(re.sub(r"(?<![0-9.])0+(?=[0-9])", "", text.replace("^", "**")), mode="eval")
        return _of(tree.body)
    except (SyntaxError, ValueError, ZeroDivisionError, OverflowError, RecursionError, MemoryError):
        return None


def _of(node: ast.expr) -> Fraction:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not isinstance(node.value, bool):
        return Fraction(str(node.value))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        value = _of(node.operand)
        return -value if isinstance(node.op, ast.USub) else value
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
        base, power = _of(node.left), _of(node.right)
        if power.denominator != 1 or abs(power) > _HIGHEST_POWER or max(abs(base.numerator), base.denominator) > 10**6:
            raise ValueError("a power that is not computed here")
        return Fraction(base ** int(power))
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        return _OPERATORS[type(node.op)](_of(node.left), _of(node.right))
    raise ValueError("no number")
