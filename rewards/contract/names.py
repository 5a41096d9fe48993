"""From `module:Name` to the object that it names. Knows nothing of what that is."""

from __future__ import annotations

import importlib
from typing import Any


def load_name(target: str) -> Any:
    """The object that `module:Name` names. Raises ImportError or AttributeError, and whatever the module raises."""
    module, _, name = target.partition(":")
    value: Any = importlib.import_module(module)
    for part in name.split("."):
        value = getattr(value, part)
    return value
