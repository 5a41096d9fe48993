"""From a recipe's mapping to a verifier: one visible dict of kinds, a cheap check, and `build_verifier`.

`check_spec` runs in `plan`: it imports no sympy, torch or judge, and a kind's module is imported where the kind is
built. Knows nothing of recipes beyond such a mapping.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from rewards.contract import options as opt
from rewards.contract.rule import RuleSpec
from rewards.errors import VerifierError

if TYPE_CHECKING:
    from rewards.contract.verifier import BatchVerifier
    from rewards.services import Services

ENTRY_POINTS = "posttrain.verifiers"


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """One kind: its options record, how it is built, one line for people.

    `version` is part of the identity of what the kind judged: raised when the same answer would now get another
    verdict.
    """

    options: type
    build: Callable[[str, opt.Common, Any, Services], BatchVerifier]
    about: str
    defaults: Mapping[str, Any] = field(default_factory=dict)  # of the common options, where this kind has others
    version: int = 1


def _build_rule(kind: str, common: opt.Common, options: Any, services: Services) -> BatchVerifier:
    from rewards.workers.client import RuleVerifier

    rule = RuleSpec(kind=kind, options=asdict(options), think=list(services.think))
    return RuleVerifier(kind=kind, common=common, rule=rule, workers=services.workers)


def _build_code(kind: str, common: opt.Common, options: opt.CodeOptions, services: Services) -> BatchVerifier:
    from rewards.rules.code import CodeVerifier

    return CodeVerifier(kind=kind, common=common, options=options, think=services.think, judge=services.judge)


def _build_pairwise(kind: str, common: opt.Common, options: opt.PairwiseOptions, services: Services) -> BatchVerifier:
    from rewards.models.endpoint import open_model
    from rewards.models.pairwise import PairwiseVerifier

    model = partial(open_model, options.model, services.model)
    return PairwiseVerifier(kind=kind, common=common, options=options, think=services.think, model=model)


def _build_agent(kind: str, common: opt.Common, options: opt.AgentOptions, services: Services) -> BatchVerifier:
    from rewards.models.agent import AgentVerifier
    from rewards.models.endpoint import open_model

    model = partial(open_model, options.model, services.model)
    return AgentVerifier(
        kind=kind, common=common, options=options, think=services.think, model=model, judge=services.judge
    )


def _build_composition(kind: str, common: opt.Common, options: opt.StepsOptions, services: Services) -> BatchVerifier:
    from rewards.compose import Cascade, Composite, Fold

    # The composition has dealt with truncated answers before its steps see any.
    steps = [build_verifier({**step, "on_truncated": "judge"}, services) for step in options.steps]
    record: type[Composite] = Cascade if kind == "cascade" else Fold
    return record(kind=kind, common=common, steps=steps)


KINDS: dict[str, Kind] = {
    "math": Kind(
        options=opt.MathOptions,
        build=_build_rule,
        about="numbers, expressions, tuples, short text; last box or answer line",
        version=5,
    ),
    "choice": Kind(
        options=opt.ChoiceOptions, build=_build_rule, about="multiple choice, by letter or option text", version=5
    ),
    "exact": Kind(options=opt.ExactOptions, build=_build_rule, about="the visible answer equals the gold after strip"),
    "format": Kind(
        options=opt.FormatOptions, build=_build_rule, about="thinking tags well formed, an answer after them"
    ),
    "length": Kind(options=opt.LengthOptions, build=_build_rule, about="DAPO's soft penalty on tokens"),
    "repetition": Kind(
        options=opt.RepetitionOptions, build=_build_rule, about="share of repeated n-grams, loops at the end"
    ),
    "language": Kind(
        options=opt.LanguageOptions,
        build=_build_rule,
        about="the answer is written in the language asked for",
        version=3,
    ),
    "instructions": Kind(
        options=opt.InstructionsOptions,
        build=_build_rule,
        about="checkable constraints (IFEval's, IFBench's), strict or loose",
        version=3,
    ),
    "tool_call": Kind(
        options=opt.ToolCallOptions,
        build=_build_rule,
        about="tool calls against schemas and allowed values, or plain JSON",
        version=2,
    ),
    "code": Kind(
        options=opt.CodeOptions, build=_build_code, about="programs run against tests by the judge", version=3
    ),
    "agent": Kind(
        options=opt.AgentOptions,
        build=_build_agent,
        about="a model with a Python interpreter decides where rules abstain",
        version=4,
    ),
    "pairwise": Kind(
        options=opt.PairwiseOptions,
        build=_build_pairwise,
        about="a reward model compares with a reference answer or within the group, both orders",
        version=2,
        defaults={"on_abstain": "skip"},  # a pair whose orders disagree says nothing of the answer
    ),
    "cascade": Kind(options=opt.StepsOptions, build=_build_composition, about="the first step that is certain decides"),
    "all": Kind(options=opt.StepsOptions, build=_build_composition, about="every step must say correct"),
    "any": Kind(options=opt.StepsOptions, build=_build_composition, about="one step must say correct"),
    "weighted": Kind(
        options=opt.StepsOptions,
        build=_build_composition,
        about="weighted mean of the steps' scores; the first step decides the outcome",
    ),
}
COMPOSITIONS = ("cascade", "all", "any", "weighted")


def check_spec(spec: Mapping[str, Any], *, where: str = "verifier") -> None:
    """Raise VerifierError where `spec` cannot be built: kind, options, nested steps, plug-in's import and keyword
    arguments."""
    kind, common, options = _parse(spec, where)
    del common
    if kind in COMPOSITIONS:
        _check_steps(kind, options.steps, where)
    _check_values(options, where)


def _check_values(options: Any, where: str) -> None:
    """Values that have the right type and still cannot be meant."""
    if isinstance(options, opt.LengthOptions) and not 0 <= options.cache_tokens <= options.max_tokens:
        raise VerifierError(
            f"cache_tokens is {options.cache_tokens}", where=f"{where}.cache_tokens", remedy="0 to max_tokens"
        )
    if isinstance(options, opt.RepetitionOptions) and options.ngram < 1:
        raise VerifierError(f"ngram is {options.ngram}", where=f"{where}.ngram", remedy="1 or more")
    if isinstance(options, opt.LanguageOptions) and options.language is not None:
        from rewards.prose.languages import NAMES, language_code

        if language_code(options.language) is None:
            remedy = opt.closest_names(options.language.lower(), [*NAMES, *NAMES.values()])
            raise VerifierError(f"language is {options.language!r}", where=f"{where}.language", remedy=remedy)
    if isinstance(options, opt.ToolCallOptions):
        tags = options.tags
        if not (
            len(tags) == 2
            and all(isinstance(tag, str) and tag for tag in tags)
            and tags[0] not in tags[1]
            and tags[1] not in tags[0]
        ):
            raise VerifierError(
                f"tags are {tags!r}",
                where=f"{where}.tags",
                remedy='an opening and a closing one: ["<call>", "</call>"]',
            )
    if isinstance(options, opt.AgentOptions | opt.PairwiseOptions):
        from rewards.models.endpoint import check_model

        check_model(options.model, where=f"{where}.model")
        _check_ranges(options, where)


_RANGES: dict[str, tuple[float, float]] = {
    "max_chars": (1, 1e6), "question_chars": (1, 1e6), "max_marks": (0, 1e6), "opponents": (0, 1e6), "canaries": (0, 1),
    "max_canary_wins": (0, 1), "sure": (0, 1), "budget_tokens": (1, 1e6), "budget_seconds": (0.001, 1e6),
    "cache": (0, 1e9),
}  # fmt: skip


def _check_ranges(options: opt.AgentOptions | opt.PairwiseOptions, where: str) -> None:
    for name, (low, high) in _RANGES.items():
        value = getattr(options, name, None)
        if value is not None and not low <= value <= high:
            raise VerifierError(f"{name} is {value}", where=f"{where}.{name}", remedy=f"{low:g} to {high:g}")


def _check_steps(kind: str, steps: list[Any], where: str) -> None:
    if not steps:
        raise VerifierError(f"{kind} has no steps", where=f"{where}.steps", remedy="list at least one verifier")
    for i, step in enumerate(steps):
        place = f"{where}.steps.{i}"
        if not isinstance(step, Mapping):
            raise VerifierError(f"step {step!r} is no mapping", where=place, remedy="write {kind: ...}")
        if "on_truncated" in step or (kind == "cascade" and "on_abstain" in step):
            name = "on_truncated" if "on_truncated" in step else "on_abstain"
            raise VerifierError(
                f"{name} is set on a step of {kind}", where=f"{place}.{name}", remedy=f"set it on the {kind} itself"
            )
        check_spec(step, where=place)


def build_verifier(spec: Mapping[str, Any], services: Services) -> BatchVerifier:
    """The verifier of a spec such as {"kind": "math", "weight": 0.5}. Opens no judge and no model. Raises
    VerifierError."""
    kind, common, options = _parse(spec, "verifier")
    if ":" not in kind:
        return KINDS[kind].build(kind, common, options, services)
    from rewards.plugins.plugin import check_target, has_verify, split_target, wants_group
    from rewards.workers.client import RuleVerifier

    found = check_target(kind, where="verifier.kind")
    library, _ = split_target(kind)
    return RuleVerifier(
        kind=kind,
        common=common,
        rule=RuleSpec(kind=kind, options=asdict(options), think=list(services.think)),
        workers=services.workers,
        whole_groups=wants_group(kind, found, options),
        judges_single=library is None and not (inspect.isclass(found) and not has_verify(found)),
    )


def _parse(spec: Mapping[str, Any], where: str) -> tuple[str, opt.Common, Any]:
    """(kind or module:Name, common options, the kind's options record). Raises VerifierError."""
    kind = spec.get("kind")
    if not isinstance(kind, str):
        raise VerifierError(
            f"kind is {kind!r}", where=f"{where}.kind", remedy=f"one of: {', '.join(KINDS)}, or module:Name"
        )
    defaults = KINDS[kind].defaults if kind in KINDS else {}
    common = opt.parse_common({**defaults, **spec}, where=where)
    own = {k: v for k, v in spec.items() if k != "kind" and k not in opt.COMMON_NAMES}
    if kind in KINDS:
        return kind, common, opt.parse_options(KINDS[kind].options, own, where=where)
    from rewards.plugins.plugin import check_target

    target = kind if ":" in kind else _installed_target(kind, where)
    found = check_target(target, where=f"{where}.kind")
    return target, common, _plugin_options(found, target, own, where)


def plugin_target(kind: str) -> str | None:
    """What a kind that is not shipped here stands for, as module:Name or library:module:Name; None for a shipped kind
    and for an unknown one."""
    if kind in KINDS or ":" in kind:
        return None if kind in KINDS else kind
    return _installed_kinds().get(kind)


def kind_versions(spec: Any) -> dict[str, int]:
    """Version of each shipped kind that a verifier's specification names, at any depth. Example: {"kind": "math"} ->
    {"math": 1}"""
    values: list[Any] = []
    found: dict[str, int] = {}
    if isinstance(spec, Mapping):
        kind = spec.get("kind")
        found = {kind: KINDS[kind].version} if isinstance(kind, str) and kind in KINDS else {}
        values = list(spec.values())
    elif isinstance(spec, list | tuple):
        values = list(spec)
    for value in values:
        found |= kind_versions(value)
    return found


def may_compare_answers(spec: Any) -> bool:
    """Whether a verifier may judge an answer by the others of its group: `pairwise` does, and a plug-in may (it can
    have a `verify_group`)."""
    if isinstance(spec, Mapping):
        kind = spec.get("kind")
        if isinstance(kind, str) and (kind == "pairwise" or kind not in KINDS):
            return True
        return any(map(may_compare_answers, spec.values()))
    return isinstance(spec, list | tuple) and any(map(may_compare_answers, spec))


def _installed_kinds() -> dict[str, str]:
    return {entry.name: entry.value for entry in entry_points(group=ENTRY_POINTS)}


def _installed_target(kind: str, where: str) -> str:
    installed = _installed_kinds()
    if kind not in installed:
        known = [*KINDS, *installed]
        raise VerifierError(
            f"unknown verifier kind {kind!r}",
            where=f"{where}.kind",
            remedy=f"{opt.closest_names(kind, known)} Or module:Name of your own",
        )
    return installed[kind]


def _plugin_options(found: Any, target: str, own: dict[str, Any], where: str) -> opt.PluginOptions:
    """Keys other than the common ones and those of PluginOptions are arguments of the plug-in; its signature says which
    it takes."""
    from rewards.plugins.plugin import split_target

    settings = {k: v for k, v in own.items() if k in opt.PLUGIN_NAMES and k != "kwargs"}
    kwargs = {**own.get("kwargs", {}), **{k: v for k, v in own.items() if k not in opt.PLUGIN_NAMES}}
    library, _ = split_target(target)
    if library != "slime":  # its functions read theirs from `args`
        _check_arguments(found, target, library, kwargs, where)
    options = opt.parse_options(opt.PluginOptions, {"kwargs": kwargs, **settings}, where=where)
    ends = options.score_range
    if len(ends) != 2 or not all(isinstance(end, (int, float)) for end in ends) or not ends[0] < ends[1]:
        raise VerifierError(
            f"score_range is {ends!r}",
            where=f"{where}.score_range",
            remedy="lowest and highest reward, such as [-1, 1]",
        )
    return options


def _check_arguments(found: Any, target: str, library: str | None, kwargs: dict[str, Any], where: str) -> None:
    """Every argument of the recipe is one the plug-in takes, and none that it needs is missing."""
    from rewards.plugins.adapters import ADAPTERS, takes_config

    try:
        parameters = dict(inspect.signature(found).parameters)
        if library == "open_instruct" and takes_config(found):  # what is left over makes its configuration
            del parameters["verifier_config"]
            parameters |= inspect.signature(found.get_config_class()).parameters
    except (TypeError, ValueError):  # a builtin, or a callable that hides its signature: calling it will tell
        return
    places = [n for n, p in parameters.items() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    every = any(p.kind is p.VAR_POSITIONAL for p in parameters.values())
    if library is None and not inspect.isclass(found) and len(places) < 3 and not every:
        remedy = "write f(question, response, gold), or a class with verify(request)"
        raise VerifierError(f"{target} takes ({', '.join(places)})", where=where, remedy=remedy)
    names = [n for n, p in parameters.items() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    if not inspect.isclass(
        found
    ):  # the first three of a function are question, response, gold; a library supplies what it names
        names = names[3:] if library is None else [n for n in names if n not in ADAPTERS[library].library_arguments]
    if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        for name in kwargs:
            if name not in names:
                remedy = opt.closest_names(name, [*names, *opt.PLUGIN_NAMES, *opt.COMMON_NAMES])
                raise VerifierError(f"unknown option {name!r} for {target}", where=where, remedy=remedy)
    missing = [n for n in names if parameters[n].default is inspect.Parameter.empty and n not in kwargs]
    if missing and (
        library is None or inspect.isclass(found)
    ):  # a library's function may take the rest from the data's columns
        raise VerifierError(f"{target} needs {', '.join(missing)}", where=where, remedy=f"add {missing[0]}: <value>")
