"""posttrain: from a base checkpoint to a Thinking model, from one recipe.

The public door for plug-ins: `from posttrain import Verifier, Verdict`. Imports nothing heavy, and `rewards` only when
one of its names is asked for: so the command line can refuse a folder of the user's that shadows it
(posttrain/setup/name_clash.py) before anything imports it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rewards.types import Outcome, Request, Verdict, Verifier

__version__ = "0.1.0"
__all__ = ["Outcome", "Request", "Verdict", "Verifier", "__version__"]


def __getattr__(name: str) -> Any:
    if name in ("Outcome", "Request", "Verdict", "Verifier"):
        import rewards.types

        return getattr(rewards.types, name)
    raise AttributeError(f"module 'posttrain' has no attribute {name!r}; public: {', '.join(__all__)}")
