"""Rate laws `rate = k[A]^2[B]`: the order in each concentration, whatever the sequence and mark-up. Knows no
chemistry."""

from __future__ import annotations

import re

from rewards.math.words import opened

_MARKUP = re.compile(r"\\(?:ce|text|mathrm|mathit|mathbf|rm|cdot)(?![A-Za-z])|[\s${}*]")
_LAW = re.compile(
    r"(?:(?:rate|[rvRV])=)?k(?P<factors>(?:\[[^\[\]^]{1,20}(?:\^[-+\d]{1,4})?\](?:\^-?\d[\d./]{0,4})?){1,6})\Z",
    re.IGNORECASE,
)
_FACTOR = re.compile(r"\[([^\[\]]+)\](?:\^([-\d./]+))?")


def rate_law(text: str) -> dict[str, str] | None:
    """{"A": "2", "B": "1"} of `r = k[\\mathrm{B}][A]^2`; None for a text that is no rate law."""
    match = _LAW.match(_MARKUP.sub("", opened(text))) if "k" in text and "[" in text and len(text) <= 200 else None
    if match is None:
        return None
    factors = [(name.replace("_", ""), power or "1") for name, power in _FACTOR.findall(match["factors"])]
    orders = {name: {"0.5": "1/2", "1.5": "3/2"}.get(power, power) for name, power in factors if power != "0"}
    return orders if len({name for name, _ in factors}) == len(factors) else None
