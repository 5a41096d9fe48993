"""What the adapters share: calling a function with the arguments that it takes, a prompt as text, and plain numbers and
lists out of whatever a function returns. Knows no library."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from rewards.errors import VerifierError
from rewards.plugins.coroutines import result_of
from rewards.types import Request


def parameters_of(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """The parameters of a function or of an object's __call__; empty where it hides its signature."""
    try:
        return dict(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return {}


def call_with(function: Callable[..., Any], given: dict[str, Any]) -> Any:
    """Call with those of the arguments that the function takes: all of them where it has **kwargs."""
    known = parameters_of(function)
    bound = getattr(function, "keywords", {})  # the recipe's own arguments win
    every = any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values())
    needed = [
        name for name, p in known.items() if p.default is p.empty and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
    ]
    if missing := [name for name in needed if name not in given and name not in bound]:
        raise VerifierError(
            f"the function takes {', '.join(missing)}, which no row has", remedy="give the rows metadata of that name"
        )
    return result_of(
        function(**{name: value for name, value in given.items() if (every or name in known) and name not in bound})
    )


def prompt_text(request: Request) -> str:
    """The prompt as plain text: the question, else the messages one under the other."""
    if request.question is not None:
        return request.question
    return "\n".join(str(turn.get("content", "")) for turn in request.messages)


def unknown_token_ids(request: Request) -> list[None]:
    """One None for each token of the answer: a verifier knows how many there are, not which."""
    return [None] * (request.num_tokens or 0)


def as_list(value: Any) -> list[Any]:
    """A list, a tuple, or whatever has tolist() (a tensor, an array)."""
    values = value.tolist() if hasattr(value, "tolist") else value
    if isinstance(values, Sequence) and not isinstance(values, str):
        return list(values)
    raise VerifierError(
        f"the function returned {type(value).__name__}, expected one reward an answer", remedy="return a list"
    )


def as_number(value: Any) -> float | None:
    return None if value is None else float(value)


def as_scalar(value: Any) -> Any:
    """A number, or the one number of a tensor."""
    value = value.tolist() if hasattr(value, "tolist") else value
    return value[0] if isinstance(value, list | tuple) else value
