"""`tool_call`: the right calls with the right arguments, or none where none is right; also a plain JSON answer against
a schema.

Gold, calls wanted:  {"calls": [{"name": "get_weather", "arguments": {"city": "Oslo"}}, ...], "tools"?: [...]}; [] =
                     none is right
     allowed values: {"name": ..., "allowed": {"city": ["Oslo", "Oslo, Norway"], "unit": ["C", ""]}}, "" = may be left
     out (BFCL's way; its
                     {"get_weather": {"city": [...]}} is read too)
     An object among allowed values holds lists of allowed values, too: {"opts": [{"color": ["red", "crimson"]}]}.
     structured:     {"schema": {...}, "value"?: {...}}
Tools (name, description, parameters as JSON schema) stand in the gold or in metadata["tools"]. Reason codes follow
BFCL's error types.

Of the answer: prose may stand around a tagged call and around the one code fence that holds JSON; beside bare JSON, and
beside a fence with Python calls, it makes the answer no call. OpenAI's envelope {"tool_calls": [{"function": {...}}]}
is read, arguments as JSON text too. A positional argument of a Python call is
the schema's argument in that place; without a schema it is an error. 5.0 is 5 for an
integer, 5.5 is not. An argument that the gold does not name is unexpected, null as well, unless it equals the default
in the tool's schema. An empty answer is wrong, also where no call is right: words are wanted there.
"""

from __future__ import annotations

import json
from typing import Any

from rewards.contract.options import ToolCallOptions
from rewards.contract.rule import Rule
from rewards.contract.verdicts import cap, unsupported, wrong
from rewards.prose.visible import is_blank, visible_text
from rewards.tools.golds import Gold, WantedCall, parse_gold
from rewards.tools.parse import Call, Unreadable, find_calls, find_value
from rewards.tools.schemas import Schema
from rewards.types import Outcome, Request, Verdict

_KEPT_GOLDS = 2_000


class ToolCallRule(Rule):
    def __init__(self, options: dict[str, Any], think: tuple[str, str]) -> None:
        self.options = ToolCallOptions(**options)
        self.think = think
        self._golds: dict[str, Gold | str] = {}

    def check_gold(self, gold: Any) -> str | None:
        return self.check_prompt(Request(response="", gold=gold))

    def check_prompt(self, prompt: Request) -> str | None:
        parsed = self._gold(prompt.gold, prompt.metadata.get("tools"))
        return parsed if isinstance(parsed, str) else None

    def judge(self, request: Request) -> Verdict:
        gold = self._gold(request.gold, request.metadata.get("tools"))
        if isinstance(gold, str):
            return unsupported("gold_unreadable")
        text = visible_text(request.response, self.think)
        if is_blank(text):
            return wrong("no_answer", None)
        try:
            if gold.schema is not None:
                return self._judge_value(gold, find_value(text))
            return self._judge_calls(
                gold, find_calls(text, (self.options.tags[0], self.options.tags[1]), self.options.style), text
            )
        except Unreadable as error:
            return wrong(error.reason, text)
        except RecursionError:
            return wrong("json_too_deep", None)

    def _gold(self, gold: Any, tools: Any) -> Gold | str:
        key = json.dumps([gold, tools], sort_keys=True)
        if key not in self._golds:
            if len(self._golds) > _KEPT_GOLDS:
                self._golds.clear()
            self._golds[key] = parse_gold(gold, tools)
        return self._golds[key]

    def _judge_value(self, gold: Gold, value: Any) -> Verdict:
        assert gold.schema is not None, "asked for structured golds only"
        misfit = gold.schema.misfit(value)
        parts = {"json": 1.0, "schema": float(misfit is None)}
        if gold.has_value:
            parts["fields"] = self._field_share(gold.value, value)
        right = all(part == 1.0 for part in parts.values())
        reason = misfit.reason if misfit else "fits" if right else "value_error"
        detail = {"where": misfit.where, "keyword": misfit.keyword} if misfit else {}
        return self._verdict(right, sum(parts.values()) / len(parts), reason, json.dumps(value), parts, detail)

    def _field_share(self, wanted: Any, value: Any) -> float:
        """Share of the wanted object's fields that are right; other values are right or not."""
        if not isinstance(wanted, dict) or not isinstance(value, dict) or not wanted:
            return float(self._same(wanted, value))
        keys = wanted.keys() | value.keys()
        return sum(key in wanted and key in value and self._same(wanted[key], value[key]) for key in keys) / len(keys)

    def _judge_calls(self, gold: Gold, calls: list[Call], text: str) -> Verdict:
        calls = [_with_names(gold, call) for call in calls] if gold.calls else calls
        shown = json.dumps([{"name": call.name, "arguments": call.arguments} for call in calls]) if calls else None
        if not gold.calls:
            return (
                wrong("unexpected_call", shown)
                if calls
                else self._verdict(True, 1.0, "no_call_as_expected", text.strip(), {}, {})
            )
        if not calls:
            return wrong("no_call", text)
        if len(calls) != len(gold.calls):
            return wrong("wrong_count", shown)
        faults = [[self._fault(gold, wanted, call) for call in calls] for wanted in gold.calls]
        if self.options.order == "given":
            matched = sum(faults[i][i] is None for i in range(len(calls)))
        else:
            matched = _matching_size([[fault is None for fault in row] for row in faults])
        right = matched == len(calls)
        reason = "calls_match" if right else self._first_fault(faults)
        return self._verdict(
            right, matched / len(calls), reason.partition(":")[0], shown, {}, {"where": reason.partition(":")[2]}
        )

    def _first_fault(self, faults: list[list[str | None]]) -> str:
        """One call: its fault. Several: the mildest fault of the first wanted call that no call answers."""
        if (
            len(faults) > 1
            and self.options.order == "given"
            and _matching_size([[f is None for f in row] for row in faults]) == len(faults)
        ):
            return "wrong_order"
        for i, row in enumerate(faults):
            told = [row[i]] if self.options.order == "given" else row
            if None not in told:
                return next(
                    (f for f in told if f and not f.startswith(("wrong_function", "unknown_function"))), told[0] or ""
                )
        return "same_call_twice"

    def _fault(self, gold: Gold, wanted: WantedCall, call: Call) -> str | None:
        """What is wrong with `call` as an answer to `wanted`, as "reason:where"; None where nothing is."""
        same_name = call.name == wanted.name or (
            self.options.strings != "exact" and name_without_dots(call.name) == name_without_dots(wanted.name)
        )
        schema = gold.tools.get(wanted.name if same_name else call.name)
        if gold.tools and schema is None:
            return f"unknown_function:{call.name[:80]}"
        if not same_name:
            return f"wrong_function:{call.name[:80]}"
        for name in call.arguments:
            if name not in wanted.allowed and not self._is_default(schema, name, call.arguments[name]):
                return f"unexpected_argument:{name[:80]}"
        for name in wanted.allowed:
            if (
                name not in call.arguments
                and name not in wanted.optional
                and not self._default_will_do(schema, wanted, name)
            ):
                return f"missing_argument:{name}"
        misfit = schema.misfit(call.arguments) if schema else None
        if misfit:
            return f"{misfit.reason}:{misfit.where}"
        for name, allowed in wanted.allowed.items():
            if name in call.arguments and not any(
                self._allows(value, call.arguments[name], wanted.by_lists) for value in allowed
            ):
                return f"value_error:{name}"
        return None

    def _is_default(self, schema: Schema | None, name: str, value: Any) -> bool:
        described = schema.properties.get(name, {}) if schema else {}
        return "default" in described and self._same(described["default"], value)

    def _default_will_do(self, schema: Schema | None, wanted: WantedCall, name: str) -> bool:
        return any(self._is_default(schema, name, value) for value in wanted.allowed[name])

    def _allows(self, option: Any, value: Any, by_lists: bool) -> bool:
        """Whether a value is what an allowed one stands for. In an object each field is one of a list, and "" in it
        says that the field may be left out."""
        if not by_lists:
            return self._same(option, value)
        if isinstance(option, list) and isinstance(value, list) and any(isinstance(entry, dict) for entry in option):
            return len(option) == len(value) and all(
                self._allows(wanted, given, True) for wanted, given in zip(option, value, strict=True)
            )
        lists = isinstance(option, dict) and option and all(isinstance(entry, list) for entry in option.values())
        if not lists or not isinstance(value, dict):
            return self._same(option, value)
        return value.keys() <= option.keys() and all(
            any(self._allows(entry, value[key], True) for entry in entries) if key in value else "" in entries
            for key, entries in option.items()
        )

    def _same(self, wanted: Any, value: Any) -> bool:
        """JSON equality: true is not 1, 5 is 5.0, objects by key, lists in order; texts as the option `strings`
        says."""
        if isinstance(wanted, bool) or isinstance(value, bool):
            return wanted is value
        if isinstance(wanted, str) and isinstance(value, str):
            return fold(wanted, self.options.strings) == fold(value, self.options.strings)
        if isinstance(wanted, list) and isinstance(value, list):
            return len(wanted) == len(value) and all(self._same(w, v) for w, v in zip(wanted, value, strict=True))
        if isinstance(wanted, dict) and isinstance(value, dict):
            return wanted.keys() == value.keys() and all(self._same(wanted[key], value[key]) for key in wanted)
        return (
            type(wanted) in (int, float, type(None))
            and type(value) in (int, float, type(None))
            and bool(wanted == value)
        )

    def _verdict(
        self, right: bool, share: float, reason: str, shown: str | None, parts: dict[str, float], detail: dict[str, Any]
    ) -> Verdict:
        score = float(right) if self.options.score == "all" else share
        outcome = Outcome.CORRECT if right else Outcome.WRONG
        certificate = {key: value for key, value in detail.items() if value}
        return Verdict(
            outcome=outcome, score=score, reason=reason, extracted=cap(shown), certificate=certificate, parts=parts
        )


def _with_names(gold: Gold, call: Call) -> Call:
    """The call with its positional arguments under the names that the schema has in those places. Raises Unreadable."""
    if not call.positional:
        return call
    schema = gold.tools.get(call.name)
    names = list(schema.properties) if schema is not None else []
    if len(call.positional) > len(names):
        raise Unreadable("positional_arguments")
    named = dict(zip(names, call.positional, strict=False))
    if named.keys() & call.arguments.keys():
        raise Unreadable("key_given_twice")
    return Call(name=call.name, arguments={**named, **call.arguments})


def name_without_dots(name: str) -> str:
    """math.factorial as servers that allow no dot in a name have it: math_factorial."""
    return name.replace(".", "_")


def fold(text: str, strings: str) -> str:
    """What of a text counts. "folded": case and runs of spaces do not; "bfcl": nor do spaces and , . / - _ * ^ (so
    "1.5" equals "15")."""
    if strings == "exact":
        return text
    text = " ".join(text.casefold().split())
    return text if strings == "folded" else "".join(c for c in text.replace("'", '"') if c not in " ,./-_*^")


def _matching_size(fits: list[list[bool]]) -> int:
    """Size of the largest one-to-one matching of rows to columns (augmenting paths)."""
    owner: dict[int, int] = {}

    def place(row: int, seen: set[int]) -> bool:
        for column, fit in enumerate(fits[row]):
            if fit and column not in seen:
                seen.add(column)
                if column not in owner or place(owner[column], seen):
                    owner[column] = row
                    return True
        return False

    return sum(place(row, set()) for row in range(len(fits)))
