"""Which library each tracker of `report_to` needs, and what to tell who lacks one. Standard library only."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable

from posttrain.errors import BackendError


def refuse_missing(trackers: Iterable[str]) -> None:
    """Raises BackendError that names every library that is missing. A tracker is named as its library is."""
    missing = [name for name in trackers if importlib.util.find_spec(name) is None]
    if missing:
        raise BackendError(
            f"{', '.join(missing)} is not installed",
            where="report_to",
            remedy=f"pip install {' '.join(missing)}, or leave it out of report_to",
        )
