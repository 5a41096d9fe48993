"""What `posttrain doctor` says of one part of this machine. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One row. Example: Finding(name="docker", ok=False, seen="no daemon answers", remedy="start the Docker daemon",
    seconds=0.2)."""

    name: str
    ok: bool
    seen: str
    remedy: str | None = None  # set on every "no"
    seconds: float = 0.0
    detail: dict[str, Any] = field(default_factory=dict)
