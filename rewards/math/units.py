"""Units as words: cleaning them, and converting between those of one dimension. A small table; unknown words stay
words."""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache

MAGNITUDES = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9, "trillion": 10**12, "dozen": 12}

_TABLE: dict[str, dict[str, Fraction]] = {
    "length": {"m": Fraction(1), "km": Fraction(1000), "cm": Fraction(1, 100), "mm": Fraction(1, 1000),
    "um": Fraction(1, 10**6),
               "nm": Fraction(1, 10**9), "Mm": Fraction(10**6), "in": Fraction(254, 10000), "ft": Fraction(3048, 10000),
               "yd": Fraction(9144, 10000), "mi": Fraction(1609344, 1000)},
    "mass": {"g": Fraction(1), "kg": Fraction(1000), "mg": Fraction(1, 1000), "ug": Fraction(1, 10**6),
    "lb": Fraction(45359237, 100000),
             "oz": Fraction(45359237, 1600000), "tonne": Fraction(10**6)},
    "time": {"s": Fraction(1), "min": Fraction(60), "h": Fraction(3600),
             "day": Fraction(86400), "week": Fraction(604800), "ms": Fraction(1, 1000), "us": Fraction(1, 10**6),
             "ns": Fraction(1, 10**9)},
    "length^3": {"l": Fraction(1, 1000), "ml": Fraction(1, 10**6), "gal": Fraction(3785411784, 10**12)},
    "mass length time^-2": {"N": Fraction(1000), "kN": Fraction(10**6)},  # the unit of mass here is the gram
    "mass length^2 time^-2": {"J": Fraction(1000), "kJ": Fraction(10**6), "MJ": Fraction(10**9),
    "Wh": Fraction(3_600_000),
                              "cal": Fraction(4184), "eV": Fraction(1602176634, 10**25)},
    "mass length^2 time^-3": {"W": Fraction(1000), "kW": Fraction(10**6), "MW": Fraction(10**9)},
    "mass length^-1 time^-2": {"Pa": Fraction(1000), "kPa": Fraction(10**6), "bar": Fraction(10**8),
    "atm": Fraction(101_325_000)},
    "mass length^2 time^-3 current^-1": {"V": Fraction(1000), "mV": Fraction(1), "kV": Fraction(10**6)},
    "mass length^2 time^-3 current^-2": {"ohm": Fraction(1000)},
    "length^2": {"acre": Fraction(316160658, 78125), "ha": Fraction(10_000)},
    "current time": {"C": Fraction(1)}, "mass time^-2 current^-1": {"T": Fraction(1000)},
    "mass length^2 time^-2 current^-1": {"Wb": Fraction(1000)},
    "mass length^2 time^-2 current^-2": {"H": Fraction(1000)},
    "mass^-1 length^-2 time^4 current^2": {"F": Fraction(1, 1000)}, "turn": {"rev": Fraction(1)},
    "level": {"dB": Fraction(1)},
    "amount length^-3": {"M": Fraction(1000), "mM": Fraction(1)}, "month": {"month": Fraction(1), "year": Fraction(12)},
    "current": {"A": Fraction(1), "mA": Fraction(1, 1000)}, "amount": {"mol": Fraction(1), "mmol": Fraction(1, 1000)},
    "time^-1": {"Hz": Fraction(1), "kHz": Fraction(1000), "MHz": Fraction(10**6)},
    "kelvin": {"K": Fraction(1)}, "celsius": {"degC": Fraction(1)}, "fahrenheit": {"degF": Fraction(1)},
    "USD": {"USD": Fraction(1), "cent": Fraction(1, 100)},
    "EUR": {"EUR": Fraction(1)}, "GBP": {"GBP": Fraction(1)}, "JPY": {"JPY": Fraction(1)},
    "angle": {"deg": Fraction(1)},
}  # fmt: skip
_ALIASES = {
    "meter": "m", "metre": "m", "kilometer": "km", "kilometre": "km", "centimeter": "cm", "centimetre": "cm",
    "millimeter": "mm",
    "millimetre": "mm", "inch": "in", "inche": "in", "foot": "ft", "feet": "ft", "yard": "yd", "mile": "mi",
    "gram": "g", "kilogram": "kg",
    "milligram": "mg", "pound": "lb", "ounce": "oz", "second": "s", "sec": "s", "minute": "min", "hour": "h", "hr": "h",
    "day": "day",
    "week": "week", "liter": "l", "litre": "l", "milliliter": "ml", "millilitre": "ml", "dollar": "USD", "usd": "USD",
    "euro": "EUR",
    "eur": "EUR", "gbp": "GBP", "yen": "JPY", "degree": "deg", "^\\circ": "deg", "deg": "deg", "cent": "cent",
    "\\$": "USD", "$": "USD",
    "newton": "N", "joule": "J", "kilojoule": "kJ", "watt": "W", "kilowatt": "kW", "pascal": "Pa", "volt": "V",
    "ampere": "A", "amp": "A",
    "hertz": "Hz", "mole": "mol", "ohm": "ohm", "kelvin": "K", "coulomb": "C", "tesla": "T", "farad": "F", "henry": "H",
    "weber": "Wb",
    "hectare": "ha", "electronvolt": "eV",
    "calorie": "cal", "atmosphere": "atm", "gallon": "gal", "yr": "year", "celsius": "degC",
    "fahrenheit": "degF", "centigrade": "degC", "ton": "ton", "tonne": "tonne", "kph": "km / h", "rpm": "rev / min",
    "revolution": "rev",
    "decibel": "dB",
    "mph": "mi / h",
}  # fmt: skip
_PREFIXES = {"n": Fraction(1, 10**9), "u": Fraction(1, 10**6), "m": Fraction(1, 1000), "k": Fraction(1000),
"M": Fraction(10**6),
             "G": Fraction(10**9), "T": Fraction(10**12)}  # fmt: skip
_PREFIXED = (
    "m",
    "g",
    "s",
    "l",
    "N",
    "J",
    "W",
    "Wh",
    "Pa",
    "V",
    "A",
    "mol",
    "Hz",
    "ohm",
    "C",
    "T",
    "F",
    "H",
    "eV",
    "cal",
    "bar",
)
_SPELLED = re.compile(r"(kilo|centi|milli|micro|nano|pico|mega|giga|tera)([a-z]{3,12})\Z")  # microsecond, kilopascals
_SYMBOL_OF = {
    "kilo": "k",
    "centi": "c",
    "milli": "m",
    "micro": "u",
    "nano": "n",
    "pico": "p",
    "mega": "M",
    "giga": "G",
    "tera": "T",
}
_KNOWN = {
    name: ({base: int(power or 1) for base, _, power in (part.partition("^") for part in dimension.split())}, factor)
    for dimension, units in _TABLE.items()
    for name, factor in units.items()
}
_MILLI = frozenset(("m", *(f"m{name}" for name in _PREFIXED)))
# milli and mega differ by the case of one letter: a symbol that is not known would be compared without it
_KNOWN |= {
    prefix + name: (_KNOWN[name][0], _KNOWN[name][1] * factor)
    for name in _PREFIXED
    for prefix, factor in _PREFIXES.items()
    if prefix + name not in _KNOWN
}
_KNOWN |= {
    f"p{name}": (_KNOWN[name][0], _KNOWN[name][1] / 10**12) for name in ("F", "C", "A", "s")
}  # not the p of "9 pm"
_CURRENCIES = ("USD", "EUR", "GBP", "JPY", "cent")
_TEXT = re.compile(r"\\(?:text|mathrm|textrm|textbf|mathbf|rm) ?\{((?:[^{}]|\{[^{}]{0,10}\})*)\}")
_OHM = re.compile(r"(?:\\Omega(?![A-Za-z])|[\u03a9\u2126])")
_MICRO = re.compile(r"(?:\\mu(?![A-Za-z])|\u03bc) ?(?=[A-Za-z\\])")
_UNIT_AFTER = re.compile(r" ?\\(?:text|mathrm|textrm) ?\{[^{}]{1,40}\}(?:\^\{?[23]\}?)?\Z")
# "12\\pi square units"
_PLAIN_UNIT = re.compile(r"(?<=[\w})]) (?:(?:square|cubic|sq\.?) )?[A-Za-z]{2,14}(?:\^\{?[23]\}?)?\Z")
_OHM_AFTER = re.compile(r"(?<=[\w)}]) ?[kM]?(?:\\Omega|\u03a9)\Z")
_COMPOUND = re.compile(r"(?<=[A-Za-z])-(?=[A-Za-z])")  # newton-metres
_NO_UNIT = re.compile(r"\{ ?[ie] ?\}\Z")  # 5\\mathrm{i} is a number
_FUNCTIONS = (
    "sin",
    "cos",
    "tan",
    "log",
    "exp",
    "sqrt",
    "cot",
    "sec",
    "csc",
    "arcsin",
    "arccos",
    "arctan",
    "mod",
    "inf",
)
_SMALL = ("of", "in", "per", "an", "at", "on", "by", "is")
_ALLOWED = re.compile(r"(?:\^\\circ|[A-Za-z$\\'/.() ^{}0-9-])*\Z")
_POWER = re.compile(r"\^ ?\{ ?(-?[123]) ?\}")
_TEMPERATURE = re.compile(r"\^\\circ ?([CF])(?![A-Za-z])")
_DEGREES = re.compile(r"\b(?:degrees?|deg) ?(celsius|fahrenheit|centigrade|C|F)\b", re.IGNORECASE)
_SQUARE = re.compile(r"\b(square|sq\.?|cubic|cu\.) ([A-Za-z]+)\b", re.IGNORECASE)
_SQUARED = re.compile(r"\b([A-Za-z]+) (squared|cubed)\b", re.IGNORECASE)
_PER = re.compile(r"/|(?:\A|(?<= ))per(?= )")
_SQ = re.compile(r"\bsq\.? (?=[A-Za-z])")
_TURNING = re.compile(r"(?:squared|cubed|factorial|times|plus|minus|divided)\b", re.IGNORECASE)
_JOINING = re.compile(
    (
        r"\b(?:or|and|to|not|but|if|than|either|neither|approximately|about|wrong|incorrect|false|invalid|impossible|"
        r"excluded|rejected|too)\b|[=<>+]"
    ),
    re.IGNORECASE,
)


def clean_unit(rest: str) -> str | None:
    """What follows a number, as a unit: "" for none, None where it is more than a unit, or an expression such as `2xy`.

    Example: " \\text{ dollars}" -> "dollars"; " eggs per day" -> "eggs per day"; " or 4" -> None.
    """
    if not rest.strip():
        return ""
    rest = _OHM.sub("ohm", rest) if "ega" in rest or not rest.isascii() else rest
    if (micro := _MICRO.search(rest)) is not None:
        rest = f"{rest[: micro.start()]} u{_TEXT.sub(lambda m: m[1].strip(), rest[micro.end() :], count=1)}"
    quoted = _TEXT.search(rest) is not None
    apart = rest[:1] == " " or quoted
    rest = " ".join(_TEXT.sub(r" \1 ", rest).replace("\\cdot", " ").split()).replace(" ^", "^")
    rest = _POWER.sub(r"^\1", rest)
    rest = _TEMPERATURE.sub(r" deg\1", rest).strip(" .,$").removeprefix("-").strip()
    if not rest:
        return ""
    rest = _SQ.sub("square ", rest)
    if rest in ("st", "nd", "rd", "th") or _TURNING.match(rest):
        return None  # the 8th is not 8, nor is 8 squared
    if (
        len(rest) > 60
        or not _ALLOWED.match(rest)
        or _JOINING.search(rest)
        or "\\" in rest.replace("^\\circ", "").replace("\\$", "")
    ):
        return None
    words = rest.replace("/", " / ").split()
    return rest if len(words) <= 6 and all(_is_word(word, apart, quoted) for word in words) else None


def _is_word(word: str, apart: bool, quoted: bool) -> bool:
    """A known unit anywhere; other words only apart from the number, of three letters or more, and no functions."""
    base, _, power = word.partition("^")
    if word in ("/", "^\\circ", "\\$", "$") or (
        _word(word).partition("^")[0] in _KNOWN and (len(base) > 1 or quoted or apart)
    ):
        return not power or power in ("2", "3", "-1", "-2", "-3", "\\circ")
    plain = word.strip("'.()-")
    if not plain.replace("-", "").replace("'", "").isalpha():
        return False
    return apart and plain not in _FUNCTIONS and (len(plain) > 2 or quoted or plain in _SMALL)


def split_unit(text: str) -> tuple[str, str]:
    """("24\\pi", "cm^3") of `24\\pi \\text{ cm}^3`; (text, "") where no unit in \\text or \\mathrm ends it."""
    match = _UNIT_AFTER.search(text) or _PLAIN_UNIT.search(text) or _OHM_AFTER.search(text)
    if (
        match is None
        or not match.start()
        or text[: match.start()].rstrip()[-1:] in "+-*/^=(_"
        or _NO_UNIT.search(match.group(0))
    ):
        return text, ""
    unit = clean_unit(match.group(0))
    if (
        unit
        and not match.group(0).lstrip().startswith("\\")
        and not (is_known(unit) or unit.rstrip("s").endswith("unit"))
    ):
        return text, ""
    return (text[: match.start()].strip(), unit) if unit else (text, "")


@lru_cache(maxsize=4096)
def canonical(unit: str) -> str:
    """One spelling: "Meters" -> "m", "square feet" -> "ft^2", "widgets" -> "widget"."""
    unit = _DEGREES.sub(lambda m: f"deg{m[1][0].upper()}", _COMPOUND.sub(" ", unit))
    unit = _SQUARE.sub(lambda m: f"{m[2]}^{2 if m[1][0] in 'sS' else 3}", unit)
    unit = _SQUARED.sub(lambda m: f"{m[1]}^{2 if m[2][0] in 'sS' else 3}", unit)
    return " ".join(_word(word) for word in _PER.sub(" / ", unit).split())


def _word(word: str) -> str:
    base, caret, power = word.strip(".,()").partition("^")
    if base + caret + power == "^\\circ":
        return "deg"
    if base in _KNOWN:
        return base + caret + power
    low = base.lower()
    if base[:1] == "M" and low in _MILLI and (len(base) < 3 or not base.isupper()):
        return base + caret + power  # mega is not milli: Mg, Ms
    low = low if low in _ALIASES or low in _KNOWN else low.removesuffix("s") if len(low) > 2 else low
    prefixed = _SPELLED.match(low)
    if prefixed is not None and low not in _ALIASES:
        symbol = _SYMBOL_OF[prefixed[1]] + _ALIASES.get(prefixed[2], "?")
        return (symbol if symbol in _KNOWN else low) + caret + power
    return _ALIASES.get(low, low) + caret + power


def factor_between(answer: str, gold: str) -> Fraction | None:
    """What to multiply an answer's number by to be in the gold's unit; 1 for the same unit; None for another dimension
    or unknown words."""
    a, g = canonical(answer), canonical(gold)
    if a == g or {a, g} in ({"C", "degC"}, {"F", "degF"}):  # "20 C" is a temperature, too
        return Fraction(1)
    if {a, g} == {"lb", "GBP"} and "ound" in f"{answer} {gold}":  # pounds of either sort
        return Fraction(1)
    known_a, known_g = _dimension(a), _dimension(g)
    if known_a is None or known_g is None or known_a[0] != known_g[0]:
        return None
    return known_a[1] / known_g[1]


def _dimension(unit: str) -> tuple[tuple[tuple[str, int], ...], Fraction] | None:
    """((dimension, power), ...), factor to the base units; None where a word is unknown."""
    powers: dict[str, int] = {}
    factor = Fraction(1)
    sign = 1
    for word in unit.split():
        if word == "/":
            sign = -1
            continue
        base, _, power = word.partition("^")
        if base not in _KNOWN or not (power or "1").lstrip("-").isdigit():
            return None
        dimensions, size = _KNOWN[base]
        exponent = sign * int((power or "1")[:2])
        for dimension, count in dimensions.items():
            powers[dimension] = powers.get(dimension, 0) + count * exponent
        factor *= size**exponent
    return tuple(sorted((d, p) for d, p in powers.items() if p)), factor


def is_currency(unit: str) -> bool:
    return canonical(unit) in _CURRENCIES


def is_known(unit: str) -> bool:
    return _dimension(canonical(unit)) is not None
