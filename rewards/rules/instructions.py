"""`instructions`: an answer follows checkable constraints (IFEval's, IFBench's), read strictly or loosely. Which exist:
`rewards.rules.constraints`. Blank lines between the thinking and the answer are no part of it.

Gold, as IFEval's rows have it:  {"instruction_id_list": ["punctuation:no_comma", ...], "kwargs": [{}, ...]} (nulls in
                                 kwargs are dropped)
or as RLVR-IFeval has it:        {"func_name": "verify_keywords", "keyword_list": ["tea"], "N": null, ...}
or shorter:                      [{"id": "length_constraints:number_words", "num_words": 50, "relation": "at least"},
                                 ...]
Each may also be given as JSON text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rewards.contract.options import InstructionsOptions, closest_names
from rewards.contract.rule import Rule
from rewards.contract.verdicts import abstain, unsupported, wrong
from rewards.prose.languages import language_code
from rewards.prose.visible import is_blank, visible_text
from rewards.rules.constraint_names import FUNCTIONS, as_object, translated
from rewards.rules.constraints import CONSTRAINTS, RELATIONS
from rewards.rules.ifbench import NOT_CHECKED
from rewards.types import Outcome, Request, Verdict

_BLANK_LINES = re.compile(r"\A(?:[ \t]*\r?\n)+")


@dataclass(frozen=True, kw_only=True, slots=True)
class ConstraintCall:
    """One constraint with its arguments. Example: ConstraintCall(id="keywords:existence", kwargs={"keywords":
    ["tea"]})"""

    id: str
    kwargs: dict[str, Any]


class InstructionsRule(Rule):
    def __init__(self, options: dict[str, Any], think: tuple[str, str]) -> None:
        self.options = InstructionsOptions(**options)
        self.think = think

    def check_gold(self, gold: Any) -> str | None:
        calls = parse_constraints(gold)
        return calls if isinstance(calls, str) else None

    def judge(self, request: Request) -> Verdict:
        calls = parse_constraints(request.gold)
        if isinstance(calls, str):
            return unsupported("gold_unreadable")
        text = _BLANK_LINES.sub("", visible_text(request.response, self.think)).rstrip()
        if is_blank(text):
            return wrong("no_answer", None)
        texts = list(dict.fromkeys(_variants(text))) if self.options.mode == "loose" else [text]
        found = [_follows(entry, texts) for entry in calls]
        parts = {f"{i}.{entry.id}": float(bool(yes)) for i, (entry, yes) in enumerate(zip(calls, found, strict=True))}
        failed = [entry.id for entry, yes in zip(calls, found, strict=True) if yes is False]
        if not failed and None in found:
            return abstain("language_unclear")
        share = sum(parts.values()) / len(parts)
        score = share if self.options.score == "fraction" else float(not failed)
        return Verdict(
            outcome=Outcome.WRONG if failed else Outcome.CORRECT,
            score=score,
            reason="not_followed" if failed else "all_followed",
            certificate={"failed": failed},
            parts=parts,
        )


def _follows(calls: ConstraintCall, texts: list[str]) -> bool | None:
    answers = [CONSTRAINTS[calls.id].check(text, **calls.kwargs) for text in texts]
    return True if True in answers else None if None in answers else False


def _variants(text: str) -> Iterator[str]:
    """The texts of IFEval's loose reading: the answer as it is, without its first line, without its last line, without
    both, and each of these without asterisks."""
    lines = text.strip().split("\n")
    for part in (text, "\n".join(lines[1:]), "\n".join(lines[:-1]), "\n".join(lines[1:-1])):
        for variant in (part, part.replace("*", "")):
            if variant.strip():
                yield variant.strip() if part is not text else variant


def parse_constraints(gold: Any) -> list[ConstraintCall] | str:
    """The constraints of a gold, or what is wrong with it, with the nearest right names."""
    gold = as_object(gold)
    if isinstance(gold, dict) and "func_name" in gold:
        found = translated(gold)
        if found is None:
            return f"unknown func_name {gold['func_name']!r}; {closest_names(str(gold['func_name']), FUNCTIONS)}"
        pairs = [found]
    elif isinstance(gold, dict) and "instruction_id_list" in gold:
        ids, kwargs = gold["instruction_id_list"], gold.get("kwargs")
        kwargs = [{}] * len(ids) if kwargs is None and isinstance(ids, list) else kwargs
        if not (isinstance(ids, list) and isinstance(kwargs, list) and len(ids) == len(kwargs)):
            return "instruction_id_list and kwargs must be lists of one length"
        pairs = list(zip(ids, kwargs, strict=True))
    elif isinstance(gold, list):
        if not all(isinstance(entry, dict) and "id" in entry for entry in gold):
            return "expected a list of objects with 'id'"
        pairs = [(entry["id"], {k: v for k, v in entry.items() if k != "id"}) for entry in gold]
    else:
        return "expected {instruction_id_list, kwargs} or a list of objects with 'id'"
    if not pairs:
        return "no constraint is given"
    calls = []
    for number, (name, given) in enumerate(pairs, start=1):
        problem = _problem(name, given)
        if problem:
            return f"constraint {number}: {problem}"
        takes = CONSTRAINTS[name].takes  # a whole number that a table of floats padded with nulls holds is a count
        kwargs = {k: int(v) if takes[k] == "count" else v for k, v in (given or {}).items() if v is not None}
        calls.append(ConstraintCall(id=name, kwargs=kwargs))
    return calls


def _problem(name: Any, given: Any) -> str | None:
    if not isinstance(name, str):
        return f"an id is {type(name).__name__}, expected text"
    if name in NOT_CHECKED:
        return f"{name} is not checked here, as {NOT_CHECKED[name]}: drop the row, or write a verifier for it"
    if name not in CONSTRAINTS:
        return f"unknown id {name!r}; {closest_names(name, CONSTRAINTS)}"
    if given is not None and not isinstance(given, dict):
        return f"{name}: its arguments are {type(given).__name__}, expected an object"
    takes = CONSTRAINTS[name].takes
    values = {key: value for key, value in (given or {}).items() if value is not None}
    for key in values:
        if key not in takes:
            return f"{name} takes no {key!r}; " + (closest_names(key, takes) if takes else "it takes nothing")
    for key, kind in takes.items():
        if key not in values:
            return f"{name} needs {key!r}"
        if not _fits_kind(values[key], kind):
            return f"{name}: {key} is {values[key]!r}, expected {_EXPECTED[kind]}"
    return None


_EXPECTED = {
    "count": "a whole number of 0 or more",
    "text": "text",
    "texts": "a list of texts",
    "letter": "one character",
    "relation": f"one of {', '.join(RELATIONS)}",
    "language": "a language code such as 'fr'",
}


def _fits_kind(value: Any, kind: str) -> bool:
    if kind == "count":
        whole = (
            value.is_integer() if isinstance(value, float) else isinstance(value, int) and not isinstance(value, bool)
        )
        return whole and value >= 0
    if kind == "texts":
        return isinstance(value, list) and bool(value) and all(isinstance(entry, str) and entry for entry in value)
    if not isinstance(value, str) or not value:
        return False
    if kind == "letter":
        return len(value) == 1
    if kind == "relation":
        return value in RELATIONS
    return language_code(value) is not None if kind == "language" else True
