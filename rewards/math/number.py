"""Text to an exact number with its percent sign and unit: integer, decimal, fraction, mixed, scientific, currency. No
sympy.

Every pattern is anchored and has no nested repetition; digits are capped, so that reading is linear.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from rewards.math.units import MAGNITUDES, canonical, clean_unit, factor_between

MAX_DIGITS = 1000
MAX_EXPONENT = 400

_U = r"(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d{1,3}(?: \d{3})+(?:\.\d+)?(?![\d/])|\d+(?:\.\d*)?|\.\d+)"
_INT = r"(?:\d{1,3}(?:,\d{3})+|\d+)"
_SIGN = r"(?P<sign>[-+]?) ?"
_CURRENCY = r"(?P<currency>\\?\$|\\?€|£|¥|(?:USD|EUR|GBP|US ?\\?\$) ?)? ?"
_FRAC = rf"\\frac ?(?:\{{ ?(?P<fn>[-+]?{_U}) ?\}}|(?P<fn1>\d)) ?(?:\{{ ?(?P<fd>{_U}) ?\}}|(?P<fd1>\d))"
_MIXED = (
    r"(?P<whole>\d+) ?(?:\\frac ?(?:\{ ?(?P<mn>\d+) ?\}|(?P<mn1>\d)) ?(?:\{ ?(?P<md>\d+) ?\}|(?P<md1>\d))"
    r"|(?<= )(?P<mn2>\d+) ?/ ?(?P<md2>\d+))"
)
_SCIENTIFIC = (
    rf"(?P<sm>{_U})(?: ?(?:\\times|\\cdot|\*|x) ?10 ?(?:\^|\*\*) ?(?:\{{ ?(?P<se>[-+]?\d+) ?\}}|(?P<se1>[-+]?\d+))"
    r"|[eE](?P<se2>[-+]?\d+)(?![A-Za-z\d]))"
)
_HEAD = re.compile(
    rf"{_SIGN}{_CURRENCY}(?P<sign2>[-+]?) ?"
    rf"(?:{_MIXED}|{_FRAC}|(?P<rn>{_INT}) ?/ ?(?P<rd>{_INT})(?![\d.,])|{_SCIENTIFIC}|(?P<plain>{_U}))"
)
_INTEGER = re.compile(r"-?\d+\Z")
_REPEATING = re.compile(
    r"(?P<sign>-?)(?P<whole>\d{0,30})\.(?P<fixed>\d{0,30})\\overline ?\{ ?(?P<period>\d{1,30}) ?\}\Z"
)
_PERIOD = re.compile(
    r"(?<=\d)\((\d{1,30})\)|\\bar ?\{ ?(\d{1,30}) ?\}|\\dot ?\{? ?(\d) ?\}?(?:(\d{0,28})\\dot ?\{? ?(\d) ?\}?)?"
)
_UNWRAPPED = re.compile(r"\\(?:text|mathrm) ?\{ ?([A-Za-z. ]{1,30}?) ?\}")
_PART = re.compile(r"(\d{1,9}(?:\.\d{1,9})?) ?([A-Za-z]{1,12})")
_SUM = re.compile(r"\d{1,9} ?[A-Za-z]{1,12}\.?(?:(?: |,|and)+\d{1,9}(?:\.\d{1,9})? ?[A-Za-z]{1,12}\.?){1,3}\Z")
_FEET = re.compile(r"(\d{1,6}) ?' ?(\d{1,2}(?:\.\d{1,6})?) ?(?:\"|'')\Z")
_DOTTED_GROUPS = re.compile(r"[-+]?\d{1,3}(?:\.\d{3}){2,8}(?![\d.])")
_DOTTED = re.compile(r"(?P<head>-?\d{0,30}\.\d{3,60}?) ?(?:\\[lc]?dots|\.\.\.|…)\Z")
_PERCENT = re.compile(r" ?(?:\\?%|\\?percent\b|per ?cent\b|\\text ?\{ ?percent ?\})")


@dataclass(frozen=True, kw_only=True, slots=True)
class Num:
    """value: exact, percent and magnitude words applied; bare: before them. form: integer, decimal, fraction, mixed,
    scientific.

    Example: "$1,234.50" -> Num(value=Fraction(2469, 2), bare=same, form="decimal", unit="USD", percent=False,
    digits=5).
    """

    value: Fraction
    bare: Fraction
    form: str
    unit: str = ""
    percent: bool = False
    magnitude: str = ""
    digits: int = 0  # after the point, of a decimal
    reduced: bool = True

    @property
    def is_angle(self) -> bool:
        return canonical(self.unit) == "deg"

    def plain(self) -> str:
        """The value as text for the symbolic layer, degrees as degrees."""
        fraction = (
            f"{self.value.numerator}/{self.value.denominator}"
            if self.value.denominator > 1
            else str(self.value.numerator)
        )
        return f"({fraction})^\\circ" if self.is_angle else fraction


def parse_number(text: str) -> Num | None:
    """`text` (normalised, wrappers off) as a number with nothing left over but a unit; None otherwise."""
    if len(text) < 18 and _INTEGER.match(text):
        value = Fraction(int(text))
        return Num(value=value, bare=value, form="integer")
    if len(text) > MAX_DIGITS + 200:
        return None
    if "." in text and (
        "\\bar" in text or "\\dot" in text or text.endswith(")")
    ):  # 0.1(6), 0.1\\bar{6}, 0.\\dot{1}4\\dot{2}
        text = _PERIOD.sub(lambda m: f"\\overline{{{''.join(filter(None, m.groups()))}}}", text, count=1)
    if "\\overline" in text:
        end = text.find("}") + 1
        found = _repeating(text[:end])
        return found and _with_rest(found.value, "fraction", 0, True, None, text[end:])
    if text.endswith(("...", "dots", "…")):
        dotted = _DOTTED.match(text)
        return None if dotted is None else _going_on(dotted)
    if text.count(".") > 1 and _DOTTED_GROUPS.match(text):  # 1.000.000; one group alone is a decimal
        text = text.replace(".", ",")
    match = _HEAD.match(text)
    if match is None:
        return None
    if (compound := _compound(text)) is not None:
        return compound
    read = _magnitude_of(match)
    if read is None:
        return None
    value, form, digits, reduced = read
    if (match["sign"] == "-") != (match["sign2"] == "-"):
        value = -value
    return _with_rest(value, form, digits, reduced, match["currency"], text[match.end() :])


def _repeating(text: str) -> Num | None:
    """0.1\\overline{6} is 1/6."""
    match = _REPEATING.match(text)
    if match is None:
        return None
    fixed, period = match["fixed"] or "", match["period"]
    whole = int((match["whole"] or "0") + fixed)
    value = (whole + Fraction(int(period), 10 ** len(period) - 1)) / 10 ** len(fixed)
    value = -value if match["sign"] else value
    return Num(value=value, bare=value, form="fraction")


def _compound(text: str) -> Num | None:
    """`1 hour 30 minutes`, `5 \\text{ feet } 6 \\text{ inches}`: a sum in the first unit; each unit smaller than the
    one before."""
    plain = _UNWRAPPED.sub(r" \1 ", text).strip() if "\\" in text else text
    plain = _FEET.sub(r"\1 ft \2 in", plain) if "'" in plain else plain
    if len(plain) > 80 or _SUM.match(plain) is None:
        return None
    parts = _PART.findall(plain)
    unit = parts[0][1]
    factors = [_smaller(name, unit) for _, name in parts]
    known = [factor for factor in factors if factor is not None]
    if len(known) < len(factors) or any(a <= b for a, b in pairwise(known)):
        return None
    value = sum((_decimal(amount) * factor for (amount, _), factor in zip(parts, known, strict=True)), Fraction(0))
    return Num(value=value, bare=value, form="mixed", unit=unit)


def _smaller(name: str, unit: str) -> Fraction | None:
    """How much of `unit` one `name` is; the cents of a sum in euros are euro cents."""
    return (
        Fraction(1, 100)
        if canonical(name) == "cent" and canonical(unit) in ("USD", "EUR")
        else factor_between(name, unit)
    )


def _going_on(match: re.Match[str]) -> Num | None:
    """0.1666... is 1/6: digits at the end that come three times (a longer period: twice) go on so; None where none
    do."""
    head, _, digits = match["head"].partition(".")
    for size in range(1, len(digits) // 2 + 1):
        period, times = digits[-size:], 3 if size < 3 else 2
        if digits.endswith(period * times):
            fixed = digits[: len(digits) - size]
            return _repeating(f"{head}.{fixed}\\overline{{{period}}}")
    return None


def _magnitude_of(match: re.Match[str]) -> tuple[Fraction, str, int, bool] | None:
    """(absolute value, form, decimals, in lowest terms); None for a zero denominator or an exponent out of range."""
    if match["whole"] is not None:
        numerator = int(match["mn"] or match["mn1"] or match["mn2"])
        denominator = int(match["md"] or match["md1"] or match["md2"])
        if denominator == 0 or numerator >= denominator:
            return None
        part = Fraction(numerator, denominator)
        return int(match["whole"]) + part, "mixed", 0, part.denominator == denominator
    if match["fn"] or match["fn1"] or match["rn"]:
        top = _decimal(match["fn"] or match["fn1"] or match["rn"])
        bottom = _decimal(match["fd"] or match["fd1"] or match["rd"])
        if bottom == 0:
            return None
        value = top / bottom
        return value, "fraction", 0, value.denominator == bottom or value.denominator == 1 == bottom
    if match["sm"] is not None:
        exponent = int((match["se"] or match["se1"] or match["se2"])[:8])
        if abs(exponent) > MAX_EXPONENT:
            return None
        return _decimal(match["sm"]) * Fraction(10) ** exponent, "scientific", 0, True
    plain = match["plain"]
    decimals = len(plain.partition(".")[2])
    return _decimal(plain), "decimal" if "." in plain else "integer", decimals, True


def _decimal(text: str) -> Fraction:
    return Fraction(text.replace(",", "").replace(" ", "").rstrip("."))


def _with_rest(value: Fraction, form: str, digits: int, reduced: bool, currency: str | None, rest: str) -> Num | None:
    """What follows the digits: a percent sign, a magnitude word, a unit; None for anything else."""
    percent = _PERCENT.match(rest)
    if percent:
        rest = rest[percent.end() :]
    bare = value
    unit = clean_unit(rest)
    if unit is None:
        return None
    word, _, after = unit.partition(" ")
    magnitude = word if word in MAGNITUDES else ""
    if magnitude:
        unit = after
        value = value * MAGNITUDES[magnitude]
    if percent:
        value = value / 100
    symbol = {"$": "USD", "€": "EUR", "£": "GBP", "¥": "JPY"}.get(
        (currency or "").strip(" \\US") or (currency or "").strip()[-1:], ""
    )
    symbol = symbol or (currency or "").strip()[:3]
    return Num(
        value=value,
        bare=bare,
        form=form,
        unit=unit or symbol,
        percent=bool(percent),
        magnitude=magnitude,
        digits=digits,
        reduced=reduced,
    )
