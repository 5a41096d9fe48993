"""Reward functions written for other libraries, unchanged: `kind: "trl:my_module:reward"`. Each is called as its own
library calls it.

    trl            f(prompts, completions, completion_ids, **columns) -> list of float or None
        trl/trainer/grpo_trainer.py
    verl           f(data_source, solution_str, ground_truth, extra_info) -> float or {"score"}
        docs/preparation/reward_function.rst
    openrlhf       f(queries, prompts, labels) -> list, tensor or {"rewards", "scores"}
        examples/python/reward_func.py
                   step(observation, action, label), or a class with step(states): its first turn
                       examples/python/agent_func.py
    open_instruct  VerifierFunction.__call__(tokens, prediction, label, query) -> .score, .cost
        open_instruct/ground_truth_utils.py
    slime          async f(args, sample) or f(args, samples) -> float(s) or dict
        docs/en/get_started/customization.md
    verifiers      f(any of prompt, completion, answer, state, task, info), or a Rubric of them
        verifiers/rubrics/rubric.py

An adapter gives `Paid` records; `rewards.plugins.plugin` turns them into verdicts. What those libraries have and we do
not (token ids, a trainer's state, their own classes) is None or absent, never made up. Imports none of them.
"""

from __future__ import annotations

import enum
import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from types import SimpleNamespace
from typing import Any, ClassVar

from rewards.contract.options import PluginOptions
from rewards.errors import VerifierError
from rewards.plugins.coroutines import awaited
from rewards.types import Request

GOLD_COLUMNS = ("solution", "answer", "ground_truth", "label", "target", "gold")  # names that data sets of TRL give it


@dataclass(frozen=True, kw_only=True, slots=True)
class Paid:
    """What a foreign function said of one answer. `reward` as it came (None: not applicable); `passes` where it says so
    itself."""

    reward: float | None
    passes: bool | None = None
    parts: dict[str, float] = field(default_factory=dict)
    cost: dict[str, float] = field(default_factory=dict)
    detail: str | None = None


class Adapter(ABC):
    """One library's way of calling. `names`: arguments the library supplies; others are the recipe's keyword
    arguments."""

    names: ClassVar[tuple[str, ...]] = ()
    whole: ClassVar[tuple[str, ...]] = ()  # argument names that say: I judge a group as a whole

    def __init__(self, found: Any, options: PluginOptions) -> None:
        self.options = options
        self.function: Any = found(**options.kwargs) if inspect.isclass(found) else partial(found, **options.kwargs)

    @abstractmethod
    def pay(self, requests: list[Request]) -> list[Paid]:
        """One record an answer, in order; all requests of one prompt, or a single one."""

    def turns(self, request: Request) -> Any:
        """The prompt as messages, or as text where the option `style` is text."""
        if self.options.style == "text":
            return text_of(request)
        return [dict(turn) for turn in request.messages] or [{"role": "user", "content": request.question or ""}]

    def misread(self, error: Exception) -> VerifierError:
        """A function that was given messages and reads texts, or the other way round, fails somewhere in its own
        lines."""
        other = "chat" if self.options.style == "text" else "text"
        given = "texts" if self.options.style == "text" else "lists of messages"
        what = (
            f"{type(error).__name__}: {error} (prompts and completions were given as {given}; for the other form "
            f"style: {other})"
        )
        return VerifierError(what, remedy=f"style: {other}, or mend the function")

    def answer(self, request: Request) -> Any:
        return (
            request.response if self.options.style == "text" else [{"role": "assistant", "content": request.response}]
        )


class Trl(Adapter):
    names = (
        "prompts",
        "completions",
        "completion_ids",
        "trainer_state",
        "log_extra",
        "log_metric",
        "environments",
        *GOLD_COLUMNS,
    )

    def pay(self, requests: list[Request]) -> list[Paid]:
        columns: dict[str, list[Any]] = {name: [request.gold for request in requests] for name in GOLD_COLUMNS}
        keys = dict.fromkeys(key for request in requests for key in request.metadata)
        columns |= {key: [request.metadata.get(key) for request in requests] for key in keys}
        if self.options.gold_as:
            columns[self.options.gold_as] = [request.gold for request in requests]
        given = columns | {
            "prompts": [self.turns(request) for request in requests],
            "completions": [self.answer(request) for request in requests],
            "completion_ids": [unknown_ids(request) for request in requests],
            "trainer_state": None,
            "log_extra": _say_nothing,
            "log_metric": _say_nothing,
        }
        try:
            return [Paid(reward=_number(value)) for value in _listed(call(self.function, given))]
        except (TypeError, AttributeError, KeyError) as error:
            raise self.misread(error) from error


class Verl(Adapter):
    names = (
        "data_source",
        "solution_str",
        "ground_truth",
        "extra_info",
        "data_sources",
        "solution_strs",
        "ground_truths",
        "extra_infos",
    )
    whole = ("solution_strs",)  # its batch manager

    def pay(self, requests: list[Request]) -> list[Paid]:
        rows = [
            {
                "data_source": request.metadata.get("data_source"),
                "solution_str": request.response,
                "ground_truth": request.gold,
                "extra_info": request.metadata.get("extra_info", request.metadata),
            }
            for request in requests
        ]
        if "solution_strs" in parameters(self.function):
            return [
                self._paid(value)
                for value in _listed(call(self.function, {f"{k}s": [row[k] for row in rows] for k in rows[0]}))
            ]
        return [self._paid(awaited(self.function(**row))) for row in rows]

    def _paid(self, value: Any) -> Paid:
        if isinstance(value, dict):
            parts = {
                str(key): float(part)
                for key, part in value.items()
                if isinstance(part, (int, float)) and key != "score"
            }
            acc = value.get("acc")  # what verl's own graders call right or wrong, beside a shaped score
            return Paid(reward=_number(value["score"]), passes=None if acc is None else bool(acc), parts=parts)
        return Paid(reward=_number(value[0] if isinstance(value, (list, tuple)) else value))


class OpenRlhf(Adapter):
    names = ("queries", "prompts", "labels", "observation", "action", "label", "states")

    def pay(self, requests: list[Request]) -> list[Paid]:
        if "action" in parameters(self.function) or hasattr(self.function, "step"):
            return [self._stepped(request) for request in requests]
        prompts = [text_of(request) for request in requests]
        queries = [prompt + request.response for prompt, request in zip(prompts, requests, strict=True)]
        value = awaited(self.function(queries, prompts, [request.gold for request in requests]))
        if not isinstance(value, dict):
            return [Paid(reward=_number(reward)) for reward in _listed(value)]
        rewards = _listed(value["rewards"])
        if value.get("scores") is None:
            return [Paid(reward=_number(reward)) for reward in rewards]
        return [self._filtered(reward, score) for reward, score in zip(rewards, _listed(value["scores"]), strict=True)]

    def _filtered(self, reward: Any, score: Any) -> Paid:
        """`score` is what its filter reads, in [0, 1]."""
        return Paid(
            reward=_number(reward), passes=float(score) >= self.options.pass_at, parts={"filter_score": float(score)}
        )

    def _stepped(self, request: Request) -> Paid:
        """The answer as the first action of an agent. One that wants a second turn gives no reward for an answer."""
        prompt = text_of(request)
        if hasattr(self.function, "step"):
            states = {"observation": prompt, "label": request.gold}
            begun = awaited(self.function.reset(states)) if hasattr(self.function, "reset") else states
            seen = {"observation_text": begun.get("observation", prompt), "action_text": request.response}
            value = awaited(self.function.step({**states, **seen, "sampling_params": None}))
        else:
            value = call(self.function, {"observation": prompt, "action": request.response, "label": request.gold})
        if not value.get("done", True):
            raise VerifierError(
                "the agent wants another turn", remedy="a reward of one answer: done is True after the first step"
            )
        reward = _scalar(value["rewards"])
        return (
            Paid(reward=_number(reward))
            if value.get("scores") is None
            else self._filtered(reward, _scalar(value["scores"]))
        )


class OpenInstruct(Adapter):
    names = ("tokenized_prediction", "prediction", "label", "query", "rollout_state")

    def __init__(self, found: Any, options: PluginOptions) -> None:
        if takes_config(found):
            shape = found.get_config_class()  # there, its fields come from the command line
            fields = {name: value for name, value in options.kwargs.items() if name in parameters(shape)}
            rest = {name: value for name, value in options.kwargs.items() if name not in fields}
            options = replace(options, kwargs={**rest, "verifier_config": shape(**fields)})
        super().__init__(found, options)

    def pay(self, requests: list[Request]) -> list[Paid]:
        own = "async_call" in vars(type(self.function))  # what it calls; the base class's hands over to __call__
        ask = self.function.async_call if own else self.function
        return [self._paid(awaited(ask(unknown_ids(r), r.response, r.gold, text_of(r)))) for r in requests]

    def _paid(self, value: Any) -> Paid:
        if not hasattr(value, "score"):
            return Paid(reward=_number(value))
        cost = {"verifier": float(value.cost)} if getattr(value, "cost", 0) else {}
        return Paid(reward=_number(value.score), cost=cost, detail=getattr(value, "reasoning", None))


class _SampleStatus(enum.Enum):
    """The states that slime's samples have (slime/utils/types.py)."""

    PENDING = "pending"
    COMPLETED = "completed"
    TRUNCATED = "truncated"
    ABORTED = "aborted"
    FAILED = "failed"


class Slime(Adapter):
    names = ("args", "sample", "samples", "evaluation")
    whole = ("samples",)  # --group-rm

    def __init__(self, found: Any, options: PluginOptions) -> None:
        super().__init__(found, PluginOptions())  # the recipe's keyword arguments are fields of `args`
        self.options = options
        self.args = SimpleNamespace(**{"reward_key": None, **options.kwargs})

    def pay(self, requests: list[Request]) -> list[Paid]:
        samples = [self._sample(i, request) for i, request in enumerate(requests)]
        if "samples" in parameters(self.function):
            return [self._paid(value) for value in _listed(awaited(self.function(self.args, samples)))]
        return [self._paid(awaited(self.function(self.args, sample))) for sample in samples]

    def _sample(self, index: int, request: Request) -> SimpleNamespace:
        status = _SampleStatus.TRUNCATED if request.stop_reason == "length" else _SampleStatus.COMPLETED
        return SimpleNamespace(
            index=index,
            group_index=0,
            prompt=self.turns(request),
            response=request.response,
            response_length=request.num_tokens or 0,
            tokens=[],
            label=request.gold,
            reward=None,
            status=status,
            Status=_SampleStatus,
            metadata=request.metadata,
        )

    def _paid(self, value: Any) -> Paid:
        if not isinstance(value, dict):
            return Paid(reward=_number(value))
        if self.args.reward_key is None:
            raise VerifierError(
                f"the function returned {sorted(value)}", remedy="name the one that is the reward: reward_key: <name>"
            )
        parts = {str(key): float(part) for key, part in value.items() if isinstance(part, (int, float))}
        return Paid(reward=_number(value[self.args.reward_key]), parts=parts)


class _Parser:
    """What the library's plain `Parser` does: the text of the last assistant message."""

    def parse(self, text: str) -> str:
        return text

    def parse_answer(self, completion: Any) -> str | None:
        if isinstance(completion, str):
            return completion
        said = [turn for turn in completion if turn.get("role") == "assistant"]
        return str(said[-1]["content"]) if said else None

    def get_format_reward_func(self) -> Callable[..., float]:
        return _any_form


class PrimeVerifiers(Adapter):
    names = (
        *("prompt", "completion", "answer", "state", "task", "info", "parser"),
        *("prompts", "completions", "answers", "states", "tasks", "infos"),
    )
    whole = ("prompts", "completions", "answers", "states", "tasks", "infos")

    def __init__(self, found: Any, options: PluginOptions) -> None:
        rubric = found(**options.kwargs) if inspect.isclass(found) and hasattr(found, "score_rollout") else found
        self.objects: dict[str, Any] = {"parser": _Parser()}
        functions = functions_of(rubric)
        if functions is not None:
            self.options = options
            self.functions = functions
            self.weights = [
                float(weight) for weight in getattr(rubric, "weights", getattr(rubric, "reward_weights", ()))
            ]
            self.objects |= getattr(rubric, "class_objects", {})
        else:
            super().__init__(found, options)
            self.functions, self.weights = [self.function], [1.0]

    def pay(self, requests: list[Request]) -> list[Paid]:
        states = [self._state(request) for request in requests]
        columns = [self._one(function, states) for function in self.functions]
        names = [getattr(function, "__name__", f"function {i}") for i, function in enumerate(self.functions)]
        paid = []
        for i in range(len(requests)):
            rewards = [column[i] for column in columns]
            parts = dict(zip(names, rewards, strict=True)) if len(names) > 1 else {}
            paid.append(Paid(reward=sum(r * w for r, w in zip(rewards, self.weights, strict=True)), parts=parts))
        return paid

    def _state(self, request: Request) -> dict[str, Any]:
        return {
            "prompt": self.turns(request),
            "completion": self.answer(request),
            "answer": request.gold,
            "task": request.metadata.get("task", "default"),
            "info": request.metadata.get("info", request.metadata),
        }

    def _one(self, function: Callable[..., Any], states: list[dict[str, Any]]) -> list[float]:
        if any(name in self.whole for name in parameters(function)):
            plural = {f"{key}s": [state[key] for state in states] for key in states[0]}
            return [float(value) for value in _listed(call(function, {**plural, "states": states, **self.objects}))]
        return [float(call(function, {**state, "state": state, **self.objects})) for state in states]


def takes_config(found: Any) -> bool:
    """Whether a class of open-instruct is made with a configuration of its own kind."""
    return inspect.isclass(found) and hasattr(found, "get_config_class") and "verifier_config" in parameters(found)


def functions_of(rubric: Any) -> list[Any] | None:
    """The reward functions of a Rubric, whose attributes older versions name otherwise; None for anything else."""
    for functions, weights in (("funcs", "weights"), ("reward_funcs", "reward_weights")):
        if hasattr(rubric, functions) and hasattr(rubric, weights):
            return list(getattr(rubric, functions))
    return None


ADAPTERS: dict[str, type[Adapter]] = {
    "trl": Trl,
    "verl": Verl,
    "openrlhf": OpenRlhf,
    "open_instruct": OpenInstruct,
    "slime": Slime,
    "verifiers": PrimeVerifiers,
}


def parameters(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """Of a function or of an object's __call__; empty where they cannot be seen."""
    try:
        return dict(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return {}


def call(function: Callable[..., Any], given: dict[str, Any]) -> Any:
    """Call with those of the arguments that the function takes: all of them where it has **kwargs."""
    known = parameters(function)
    bound = getattr(function, "keywords", {})  # the recipe's own arguments win
    every = any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values())
    needed = [
        name for name, p in known.items() if p.default is p.empty and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
    ]
    if missing := [name for name in needed if name not in given and name not in bound]:
        raise VerifierError(
            f"the function takes {', '.join(missing)}, which no row has", remedy="give the rows metadata of that name"
        )
    return awaited(
        function(**{name: value for name, value in given.items() if (every or name in known) and name not in bound})
    )


def text_of(request: Request) -> str:
    """The prompt as plain text: the question, else the messages one under the other."""
    if request.question is not None:
        return request.question
    return "\n".join(str(turn.get("content", "")) for turn in request.messages)


def unknown_ids(request: Request) -> list[None]:
    """As long as the answer has tokens; which ones a verifier does not know."""
    return [None] * (request.num_tokens or 0)


def _listed(value: Any) -> list[Any]:
    """A list, a tuple, or whatever has tolist() (a tensor, an array)."""
    values = value.tolist() if hasattr(value, "tolist") else value
    if isinstance(values, Sequence) and not isinstance(values, str):
        return list(values)
    raise VerifierError(
        f"the function returned {type(value).__name__}, expected one reward an answer", remedy="return a list"
    )


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _scalar(value: Any) -> Any:
    """A number, or the one number of a tensor."""
    value = value.tolist() if hasattr(value, "tolist") else value
    return value[0] if isinstance(value, list | tuple) else value


def _any_form(completion: Any, **_: Any) -> float:
    return 1.0


def _say_nothing(*_: Any, **__: Any) -> None:
    """log_extra and log_metric: there is no table of completions here."""
