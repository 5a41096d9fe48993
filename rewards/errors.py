"""Errors of the reward side that a user can mend. Standard library only; knows nothing of recipes or of how errors are
printed.

VerifierError(ValueError)   exit 2   an unknown kind or option, a plug-in that cannot be loaded, a gold that cannot be
                                     read
├── GoldError               exit 2   a public data set's row that is recognised, and holds no gold that can be judged
└── JudgeFooled             exit 1   a judge model lets answers pass that are known to be bad
"""

from __future__ import annotations


class VerifierError(ValueError):
    """A verifier, or a gold answer, is wrong as written. `what` names the value, `where` the key, `remedy` what to
    do."""

    exit_code = 2

    def __init__(self, what: str, *, where: str | None = None, remedy: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.remedy = remedy

    def __str__(self) -> str:
        head = f"{self.where}: {self.what}" if self.where else self.what
        return f"{head}\n  remedy: {self.remedy}" if self.remedy else head

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.what, self.where, self.remedy))


def _rebuild(kind: type[VerifierError], what: str, where: str | None, remedy: str | None) -> VerifierError:
    return kind(what, where=where, remedy=remedy)


class GoldError(VerifierError):
    """A row has the shape of a public data set, and what it asks for cannot be judged here, or it breaks its shape."""


class JudgeFooled(VerifierError):
    """The run must not go on: it would reward what fools the judge model."""

    exit_code = 1
