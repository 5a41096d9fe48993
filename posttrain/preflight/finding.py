"""What an answer of `posttrain check` is, and how a look at files becomes one. Knows nothing of what is looked at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from posttrain.errors import InputError
from rewards.errors import VerifierError
from sandbox.errors import SandboxError


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One line of `posttrain check`. `later`: it needs a model that is not here yet, and is looked at by the run.

    Example: Finding(name="tokenizer of distil.teacher", status="ok", detail="same 166,144 ids as base", remedy="")
    """

    name: str
    status: Literal["ok", "later", "fail"]
    detail: str
    remedy: str = ""


def later(name: str, lacking: str = "a model", when: str = "before the first stage") -> Finding:
    """What cannot be looked at yet. Example: later("prompts of sums", "the tokenizer") has the detail "the tokenizer
    is not here yet; checked at run, before the first stage"."""
    return Finding(name=name, status="later", detail=f"{lacking} is not here yet; checked at run, {when}")


def finding_of(
    name: str, look: Callable[[], str | None], detail: str = "", *, remedy: str = "save or download the files again"
) -> Finding:
    """Look now: what `look` returns is the detail (`detail` where it returns None), and an error that the user can mend
    is a failed finding. remedy: what to do where a library raises over what it is given."""
    try:
        return Finding(name=name, status="ok", detail=look() or detail)
    except (InputError, VerifierError, SandboxError) as error:
        where = f" ({error.where})" if error.where else ""
        return Finding(name=name, status="fail", detail=f"{error.what}{where}", remedy=error.remedy or "")
    # What libraries raise over torn or foreign files.
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        detail = f"cannot be read: {type(error).__name__}: {error}"
        return Finding(name=name, status="fail", detail=detail, remedy=remedy)
