"""Text and numbers for a page that shows what models wrote: everything becomes inert, visible and short.

A completion may hold markup, direction overrides, control characters, lone surrogates or megabytes. Knows nothing of
the page's layout.
"""

from __future__ import annotations

import html
import unicodedata

_KEEP = frozenset("\n\t")
_JOINERS = frozenset("\u200c\u200d\ufe0f")  # emoji and several scripts need them; alone they change nothing but joining


def escape(text: object) -> str:
    """For an element's content or a quoted attribute: markup escaped, invisible and direction-changing characters as
    [U+202E]."""
    return html.escape(
        "".join(character if _visible(character) else f"[U+{ord(character):04X}]" for character in str(text)),
        quote=True,
    )


def clip(text: object, limit: int) -> str:
    """`escape`, cut after `limit` characters with the number left out stated."""
    whole = str(text)
    if len(whole) <= limit:
        return escape(whole)
    return f'{escape(whole[:limit])}<span class="cut"> … {len(whole) - limit:,} more characters</span>'


def _visible(character: str) -> bool:
    # Cc control, Cf format (direction overrides, tags), Cs lone surrogate, Co private use, Cn unassigned
    return (
        character in _KEEP
        or character in _JOINERS
        or unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Co", "Cn")
    )


def compact(value: float | None) -> str:
    """1234567 -> "1.23 M", 0.000412 -> "4.12e-4", 0.5 -> "0.5", None -> "-"."""
    if value is None:
        return "-"
    if value == 0:
        return "0"
    size = abs(value)
    for bound, unit in ((1e9, " G"), (1e6, " M"), (1e4, " k")):
        if size >= bound:
            return f"{value / bound * (10 if unit == ' k' else 1):.3g}{unit}"
    if size >= 1000:
        return f"{value:,.0f}"
    if size < 0.001:
        mantissa, exponent = f"{value:.2e}".split("e")
        return f"{float(mantissa):g}e{int(exponent)}"
    return f"{value:.3g}"
