"""What the pipeline lends to verifiers: the code judge, models, the thinking tags. Everything is opened on first use.

Knows nothing of Ray, vLLM or Docker: it holds callables that whoever builds the verifiers supplies.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rewards.errors import VerifierError
from rewards.types import JudgeModel

if TYPE_CHECKING:
    from sandbox.judge import Judge


def _no_judge() -> Judge:
    raise VerifierError("no code judge was given", remedy="build the verifier with Services(judge=...)")


def _no_model(reference: Mapping[str, Any]) -> JudgeModel:
    raise VerifierError(
        f"no models were given, {dict(reference)!r} cannot be reached",
        remedy="build the verifier with Services(model=...)",
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Services:
    """`judge()` opens the sandbox; `model({"stage": "judge"})` gives a model; `think` the tags around the reasoning.

    `workers` is the number of worker processes for rules; 0 takes one a CPU, 16 at most.
    Example: Services(judge=lambda: judge, model=machine.judge_model, think=("<think>", "</think>"))
    """

    judge: Callable[[], Judge] = _no_judge
    model: Callable[[Mapping[str, Any]], JudgeModel] = _no_model
    think: tuple[str, str] = ("<think>", "</think>")
    workers: int = 0
