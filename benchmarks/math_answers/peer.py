"""math-verify with its defaults as a plug-in verifier, so that it runs in the same worker processes, on the same text,
as ours.

Its time limits stay as shipped (5 s for each parse and for the comparison, by SIGALRM in the worker's main thread).
"""

from __future__ import annotations

from typing import Any

from math_verify import parse, verify

from posttrain import Outcome, Request, Verdict
from rewards.prose.visible import visible_text


class MathVerify:
    """Accepts what `verify(parse(gold), parse(visible response))` accepts."""

    def verify(self, request: Request) -> Verdict:
        try:
            same = verify(
                parse(f"${_text(request.gold)}$"), parse(visible_text(request.response, ("<think>", "</think>")))
            )
        except Exception as error:  # noqa: BLE001  it reads hostile text: whatever it raises is no acceptance
            return Verdict(outcome=Outcome.ABSTAIN, score=0.0, reason=type(error).__name__)
        return Verdict(outcome=Outcome.CORRECT if same else Outcome.WRONG, score=float(same), reason="math_verify")


def _text(gold: Any) -> str:
    """A gold as the one text that math-verify takes: the working before #### off, a list as a set."""
    if isinstance(gold, dict):
        gold = gold["answer"]
    if isinstance(gold, list):
        return "\\{" + ", ".join(map(str, gold)) + "\\}"
    return str(gold).rpartition("####")[2].strip()
