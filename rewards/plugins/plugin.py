"""`module:Name`: a verifier of the user's own, inside a worker. A plain function, or a class with `verify` (and
`verify_group`).

    def f(question, response, gold) -> float | bool | None          keyword arguments from the recipe; None abstains
    class V:  def __init__(self, **kwargs);  def verify(self, request) -> Verdict;  def verify_group(self, requests) ->
        list[Verdict]
              either of the two will do: one that compares answers has only the second
    library:module:Name                                             a function written for another library
                                                                    (rewards.plugins.adapters)

Any of them may be a coroutine. What it returns is checked: another type, NaN or a score outside [0, 1] is an error,
never a score.
"""

from __future__ import annotations

import inspect
import math
import traceback
from dataclasses import asdict, replace
from typing import Any

from rewards.contract.names import load_name
from rewards.contract.options import PluginOptions, closest_names
from rewards.contract.rule import Rule
from rewards.contract.verdicts import cap
from rewards.errors import VerifierError
from rewards.plugins.adapters import ADAPTERS, Adapter, ForeignReward, rubric_functions
from rewards.plugins.calling import parameters_of
from rewards.plugins.coroutines import result_of
from rewards.types import Outcome, Request, Verdict


class PluginRule(Rule):
    def __init__(self, target: str, options: dict[str, Any]) -> None:
        self.target = target
        self.options = PluginOptions(**options)
        library, name = split_target(target)
        found = load_name(name)
        self.adapter: Adapter | None = ADAPTERS[library](found, self.options) if library else None
        self.verifier: Any = found(**self.options.kwargs) if self.adapter is None and inspect.isclass(found) else None
        self.function: Any = found if self.adapter is None and self.verifier is None else None

    def __reduce_ex__(self, protocol: Any) -> Any:
        """A function is pickled by its name (also one that another function made), an object of a class as it is."""
        return (
            (PluginRule, (self.target, asdict(self.options)))
            if self.verifier is None
            else super().__reduce_ex__(protocol)
        )

    def judge(self, request: Request) -> Verdict:
        if self.adapter is not None:
            return self.judge_group([request])[0]
        if self.verifier is not None and has_verify(type(self.verifier)):
            return _require_verdict(result_of(self.verifier.verify(request)))
        if self.verifier is not None:
            return self.judge_group([request])[0]
        value = result_of(self.function(request.question, request.response, request.gold, **self.options.kwargs))
        return (
            _require_verdict(value)
            if isinstance(value, Verdict)
            else self._verdict_of_reward(ForeignReward(reward=None if value is None else float(value)))
        )

    def judge_group(self, requests: list[Request]) -> list[Verdict]:
        if self.adapter is not None:
            return [self._verdict_of_reward(paid) for paid in self.adapter.rewards_of(requests)]
        if self.verifier is not None and has_verify_group(type(self.verifier)):
            return [_require_verdict(entry) for entry in result_of(self.verifier.verify_group(requests))]
        return [self.judge(request) for request in requests]

    def check_gold(self, gold: Any) -> str | None:
        check = getattr(self.verifier, "check_gold", None)
        if check is None:
            return None
        try:
            problem = check(gold)
        except (ValueError, TypeError) as error:
            return str(error)[:500]
        return None if problem is None else str(problem)[:500]

    def _verdict_of_reward(self, paid: ForeignReward) -> Verdict:
        """A reward in `score_range` becomes a score in [0, 1]; where the range is another than that, the reward itself
        is kept as a part."""
        if paid.reward is None:
            return Verdict(outcome=Outcome.ABSTAIN, score=None, reason="function_abstained", parts=paid.parts)
        low, high = self.options.score_range
        score = (paid.reward - low) / (high - low)
        if math.isnan(score) or not 0.0 <= score <= 1.0:
            detail = f"the function returned {paid.reward}, score_range is [{low:g}, {high:g}]"
            return Verdict(
                outcome=Outcome.ERROR, score=None, reason="score_out_of_range", certificate={"detail": detail}
            )
        passes = score >= self.options.pass_at if paid.passes is None else paid.passes
        verdict = Verdict(
            outcome=Outcome.CORRECT if passes else Outcome.WRONG, score=score, reason="function", parts=paid.parts
        )
        if (low, high) != (0.0, 1.0):
            verdict = replace(verdict, parts={**paid.parts, "reward": paid.reward})
        return replace(verdict, cost=paid.cost, certificate={"detail": cap(paid.detail)} if paid.detail else {})


def split_target(target: str) -> tuple[str | None, str]:
    """ "trl:module:Name" -> ("trl", "module:Name"); "module:Name" -> (None, "module:Name")."""
    library, _, name = target.partition(":")
    return (library, name) if ":" in name else (None, target)


def has_verify_group(kind: type) -> bool:
    """Whether a class judges a group as a whole (its own `verify_group`, not the protocol's empty one)."""
    from rewards.types import Verifier

    own = getattr(kind, "verify_group", None)
    return own is not None and own is not Verifier.verify_group


def has_verify(kind: type) -> bool:
    """Whether a class judges one answer by itself (its own `verify`)."""
    from rewards.types import Verifier

    own = getattr(kind, "verify", None)
    return own is not None and own is not Verifier.verify


def wants_group(target: str, found: Any, options: PluginOptions) -> bool:
    """Whether a plug-in gets all answers of a prompt together. Any other gets them one by one, so that an answer at
    which it hangs costs no other answer its verdict."""
    library, _ = split_target(target)
    if library is None:
        return inspect.isclass(found) and has_verify_group(found)
    functions = rubric_functions(found) or [found]  # a Rubric holds several
    return options.whole_group or any(
        name in ADAPTERS[library].group_arguments for function in functions for name in parameters_of(function)
    )


def check_target(target: str, *, where: str) -> Any:
    """Import `module:Name` or `library:module:Name` and look at its shape. Raises VerifierError."""
    library, name = split_target(target)
    if library is not None and library not in ADAPTERS:
        raise VerifierError(
            f"unknown library {library!r} in {target!r}", where=where, remedy=closest_names(library, ADAPTERS)
        )
    try:
        found = load_name(name)
    except (Exception, SystemExit) as error:  # a module of the user's own may raise anything at import
        remedy = "write it as module:Name, importable from where posttrain runs (installed, or on PYTHONPATH)"
        raise VerifierError(
            f"verifier {name!r} cannot be imported: {import_fault(error)}", where=where, remedy=remedy
        ) from error
    if library is None and inspect.isclass(found):
        if not has_verify(found) and not has_verify_group(found):
            remedy = "give it one that returns a Verdict"
            if "__call__" in vars(found):
                remedy += ", or name a function f(question, response, gold)"
            raise VerifierError(f"class {target!r} has no method verify(request)", where=where, remedy=remedy)
    elif not callable(found) and not (library == "verifiers" and rubric_functions(found)):
        raise VerifierError(
            f"{target!r} is a {type(found).__name__}, expected a function or a class", where=where, remedy="name one"
        )
    return found


def import_fault(error: BaseException) -> str:
    """What the import of a module of the user's own raised, which may be anything. Example: "ValueError: no key
    (/home/me/rules.py:7)" """
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error}" + (
        "" if last.filename.startswith("<") else f" ({last.filename}:{last.lineno})"
    )


def _require_verdict(value: Any) -> Verdict:
    if not isinstance(value, Verdict):
        raise VerifierError(
            f"verify returned {type(value).__name__}, expected a Verdict", remedy="from posttrain import Verdict"
        )
    return value
