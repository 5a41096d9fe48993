"""The options of each kind, as frozen records: name, type, default, and how a mapping from a recipe is checked against
them.

One record a kind; a record's defaults are the only home of a default. Knows nothing of how a kind judges.
"""

from __future__ import annotations

import difflib
import types
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from rewards.errors import VerifierError


@dataclass(frozen=True, kw_only=True, slots=True)
class Common:
    """Options of every kind."""

    weight: float = 1.0  # share in a weighted composition
    deadline_seconds: float = 2.0  # CPU seconds a verdict of a rule may take
    on_abstain: Literal["zero", "skip"] = "zero"  # abstain and unsupported: score 0, or no score (leaves the group)
    on_truncated: Literal["zero", "judge", "skip"] = "zero"  # an answer cut by its token budget


@dataclass(frozen=True, kw_only=True, slots=True)
class MathOptions:
    """`fallback` lets an answer without a box count by its answer line or last number."""

    fallback: bool = True
    symbolic: bool = True  # expressions, equations, sets of expressions
    second_opinion: bool = True  # ask math-verify where our own parser gives up
    allow_unevaluated: bool = False  # accept 17+25 for 42


@dataclass(frozen=True, kw_only=True, slots=True)
class ChoiceOptions:
    """Letters that options may have."""

    letters: str = "ABCDEFGHIJ"


@dataclass(frozen=True, kw_only=True, slots=True)
class FormatOptions:
    """opened: the prompt ends with the opening tag, so that an answer that does not come with it starts inside the
    reasoning. Answers of a run come with what their prompt opened."""

    opened: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class LengthOptions:
    """DAPO's soft penalty: free up to max_tokens - cache_tokens, then linear down to -1 at max_tokens."""

    max_tokens: int
    cache_tokens: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class RepetitionOptions:
    """An answer is wrong when more than max_share of its n-grams were seen before in it, or when it ends in a loop."""

    ngram: int = 4  # words (characters where a text has no spaces)
    max_share: float = 0.5  # share of repeated n-grams above which the answer is wrong
    # An end of so many characters that is one passage, 3 times or more, is a loop; 0: loops are not looked for.
    loop_chars: int = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class LanguageOptions:
    """`language` holds for rows whose gold names none."""

    language: str | None = None  # code or English name, such as "fr" or "French"
    max_other_share: float = 0.2  # of the letters, in lines of another language; above it the answer is wrong


@dataclass(frozen=True, kw_only=True, slots=True)
class InstructionsOptions:
    """How constraints are read and what a share of them is worth."""

    mode: Literal["strict", "loose"] = "strict"  # loose: also without asterisks, first line or last line (IFEval)
    score: Literal["all", "fraction"] = "all"  # 1 only when every constraint is followed, or the share that is


@dataclass(frozen=True, kw_only=True, slots=True)
class ToolCallOptions:
    """Where calls are looked for and how they are compared."""

    style: Literal["auto", "tagged", "json"] = "auto"  # auto: tagged where a tag occurs, else an answer that is JSON
    tags: list[str] = field(default_factory=lambda: ["<tool_call>", "</tool_call>"])
    order: Literal["any", "given"] = "any"  # of several calls
    strings: Literal["folded", "exact", "bfcl"] = "folded"  # folded: case and runs of spaces do not count
    score: Literal["all", "fraction"] = "all"  # 1 only when every call (field) is right, or the share that is


@dataclass(frozen=True, kw_only=True, slots=True)
class ExactOptions:
    """How texts are compared."""

    ignore_case: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class CodeOptions:
    """What a share of passed tests is worth, and limits for rows that state none."""

    score: Literal["all", "fraction"] = "all"  # 1 only when every test passes, or the share passed
    limits: dict[str, Any] = field(default_factory=dict)  # handed to the judge where a row states none
    pytest: bool = False  # take pytest files: they share the program's process, which can fool them (trust: low)


@dataclass(frozen=True, kw_only=True, slots=True)
class EndpointOptions:
    """`model: {endpoint: ...}` of a verifier: an OpenAI-compatible server that gives log-probabilities."""

    endpoint: str  # address up to /v1
    model: str  # name that the server knows
    api_key_env: str | None = None  # name of the environment variable that holds the key
    timeout_seconds: float = 60.0  # for one whole request
    retries: int = 4  # after the first try, with growing pauses
    parallel: int = 16  # requests at once
    # Fields added to each request, such as {chat_template_kwargs: {...}}.
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class PairwiseOptions:
    """The reward model, whom an answer must beat, what the probability becomes, and how much of each text the model
    sees."""

    model: dict[str, Any]
    # The prompt's reference answer, or the other answers of the group.
    against: Literal["reference", "group"] = "reference"
    opponents: int = 0  # with group: neighbours on either side that each answer meets; 0 for all of the group
    score: Literal["probability", "win"] = "probability"
    max_chars: int = 6000  # of each answer, as the judge sees it
    question_chars: int = 6000
    max_marks: int = 40  # marks of markdown kept in each answer
    # A winner must lose on another question; null: with an endpoint only (a stage's model may know one task).
    cross_check: bool | None = None
    canaries: float = 0.05  # share of known-bad answers mixed in; 0 for none
    max_canary_wins: float = 0.01  # share of them that may win before the run is stopped


@dataclass(frozen=True, kw_only=True, slots=True)
class AgentOptions:
    """The model that decides whether an answer states the gold, and what one verdict may cost."""

    model: dict[str, Any]
    max_chars: int = 400  # of the extracted answer; a longer one is wrong
    question_chars: int = 4000
    sure: float = 0.9  # probability of the label below which a second vote is taken, gold and answer swapped
    budget_tokens: int = 1024  # of replies, for one verdict
    budget_seconds: float = 120.0  # waiting for model and interpreter, for one verdict
    cache: int = 100_000  # verdicts kept by content; 0 for none


@dataclass(frozen=True, kw_only=True, slots=True)
class StepsOptions:
    """Composition: `steps` are verifiers written as in a recipe."""

    steps: list[dict[str, Any]]


@dataclass(frozen=True, kw_only=True, slots=True)
class PluginOptions:
    """A verifier of the user's own. Further keys of the recipe go to a class's constructor, or to a function's keyword
    arguments.

    `style`, `gold_as` and `whole_group` say how a function of another library (rewards.plugins.adapters) is called.
    """

    kwargs: dict[str, Any] = field(default_factory=dict)
    pass_at: float = 0.5  # a function's score from which the answer counts as correct
    score_range: list[float] = field(default_factory=lambda: [0.0, 1.0])  # of a function's rewards; mapped to [0, 1]
    style: Literal["chat", "text"] = "chat"  # prompts and completions as messages, or as texts (trl, slime, verifiers)
    gold_as: str | None = None  # trl: the column that the gold is, beside the common names
    whole_group: bool = False  # the function compares the answers of a prompt: it gets all of them at once


T = TypeVar("T")

COMMON_NAMES = tuple(f.name for f in fields(Common))
PLUGIN_NAMES = tuple(f.name for f in fields(PluginOptions))


def closest_names(name: str, known: Iterable[str]) -> str:
    """A remedy that names the closest known names, or all of them where none is close."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    return f"did you mean {', '.join(close)}?" if close else f"one of: {', '.join(names)}"


def parse_options(record: type[T], given: Mapping[str, Any], *, where: str) -> T:
    """Build `record` from a recipe's mapping: unknown names, missing names and wrong types raise VerifierError."""
    hints = get_type_hints(record)
    known: dict[str, Field[Any]] = {f.name: f for f in fields(record)}  # type: ignore[arg-type]
    for name, value in given.items():
        if name not in known:
            raise VerifierError(
                f"unknown option {name!r}", where=where, remedy=closest_names(name, [*known, *COMMON_NAMES])
            )
        if not _fits(value, hints[name]):
            raise VerifierError(
                f"{name} is {value!r}, expected {_name(hints[name])}", where=f"{where}.{name}", remedy="mend the value"
            )
    for name, entry in known.items():
        if name not in given and entry.default is MISSING and entry.default_factory is MISSING:
            raise VerifierError(
                f"option {name!r} is missing", where=where, remedy=f"add {name}: <{_name(hints[name])}>"
            )
    values = {name: float(value) if hints[name] is float else value for name, value in given.items()}
    return record(**values)


def parse_common(given: Mapping[str, Any], *, where: str) -> Common:
    """The common options among `given`; raises VerifierError."""
    common = parse_options(Common, {k: v for k, v in given.items() if k in COMMON_NAMES}, where=where)
    if common.deadline_seconds <= 0:
        raise VerifierError(
            f"deadline_seconds is {common.deadline_seconds}, expected more than 0", where=f"{where}.deadline_seconds"
        )
    if common.weight < 0:
        raise VerifierError(f"weight is {common.weight}, expected 0 or more", where=f"{where}.weight")
    return common


def _fits(value: Any, hint: Any) -> bool:
    origin = get_origin(hint)
    if origin is Literal:
        return value in get_args(hint)
    if origin in (Union, types.UnionType):
        return any(_fits(value, part) for part in get_args(hint))
    if origin in (dict, list):
        return isinstance(value, origin)
    if hint is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, hint)


def _name(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return " or ".join(map(repr, get_args(hint)))
    return getattr(hint, "__name__", str(hint))
