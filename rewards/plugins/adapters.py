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

An adapter gives `ForeignReward` records; `rewards.plugins.plugin` turns them into verdicts. What those libraries have
and we do not (token ids, a trainer's state, their own classes) is None or absent, never made up. Imports none of them.
"""

from __future__ import annotations

import enum
import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from types import SimpleNamespace
from typing import Any, ClassVar

from rewards.contract.options import PluginOptions
from rewards.errors import VerifierError
from rewards.plugins.calling import (
    as_list,
    as_number,
    as_scalar,
    call_with,
    parameters_of,
    prompt_text,
    unknown_token_ids,
)
from rewards.plugins.coroutines import result_of
from rewards.types import Request

GOLD_COLUMNS = ("solution", "answer", "ground_truth", "label", "target", "gold")  # names that data sets of TRL give it


@dataclass(frozen=True, kw_only=True, slots=True)
class ForeignReward:
    """What a foreign function says of one answer. reward: as the function returned it, None where it does not apply;
    passes: whether the answer is right, where the function says that beside the reward."""

    reward: float | None
    passes: bool | None = None
    parts: dict[str, float] = field(default_factory=dict)
    cost: dict[str, float] = field(default_factory=dict)
    detail: str | None = None


class Adapter(ABC):
    """One library's way of calling.

    library_arguments: what the library supplies (the recipe supplies the others as keyword arguments);
    group_arguments: those among them by which a function says that it judges all answers of a prompt together.
    """

    library_arguments: ClassVar[tuple[str, ...]] = ()
    group_arguments: ClassVar[tuple[str, ...]] = ()

    def __init__(self, found: Any, options: PluginOptions) -> None:
        self.options = options
        self.function: Any = found(**options.kwargs) if inspect.isclass(found) else partial(found, **options.kwargs)

    @abstractmethod
    def rewards_of(self, requests: list[Request]) -> list[ForeignReward]:
        """One record an answer, in order; all requests of one prompt, or a single one."""

    def prompt_of(self, request: Request) -> Any:
        """The prompt as messages, or as text where the option `style` is text."""
        if self.options.style == "text":
            return prompt_text(request)
        return [dict(turn) for turn in request.messages] or [{"role": "user", "content": request.question or ""}]

    def style_error(self, error: Exception) -> VerifierError:
        """The error for a function that fails in its own lines, as it does when it reads texts and is given messages,
        or the other way round."""
        other = "chat" if self.options.style == "text" else "text"
        given = "texts" if self.options.style == "text" else "lists of messages"
        what = (
            f"{type(error).__name__}: {error} (prompts and completions were given as {given}; for the other form "
            f"style: {other})"
        )
        return VerifierError(what, remedy=f"style: {other}, or mend the function")

    def answer_of(self, request: Request) -> Any:
        return (
            request.response if self.options.style == "text" else [{"role": "assistant", "content": request.response}]
        )


class Trl(Adapter):
    library_arguments = (
        "prompts",
        "completions",
        "completion_ids",
        "trainer_state",
        "log_extra",
        "log_metric",
        "environments",
        *GOLD_COLUMNS,
    )

    def rewards_of(self, requests: list[Request]) -> list[ForeignReward]:
        columns: dict[str, list[Any]] = {name: [request.gold for request in requests] for name in GOLD_COLUMNS}
        keys = dict.fromkeys(key for request in requests for key in request.metadata)
        columns |= {key: [request.metadata.get(key) for request in requests] for key in keys}
        if self.options.gold_as:
            columns[self.options.gold_as] = [request.gold for request in requests]
        given = columns | {
            "prompts": [self.prompt_of(request) for request in requests],
            "completions": [self.answer_of(request) for request in requests],
            "completion_ids": [unknown_token_ids(request) for request in requests],
            "trainer_state": None,
            "log_extra": _ignore_log,
            "log_metric": _ignore_log,
        }
        try:
            return [ForeignReward(reward=as_number(value)) for value in as_list(call_with(self.function, given))]
        except (TypeError, AttributeError, KeyError) as error:
            raise self.style_error(error) from error


class Verl(Adapter):
    library_arguments = (
        "data_source",
        "solution_str",
        "ground_truth",
        "extra_info",
        "data_sources",
        "solution_strs",
        "ground_truths",
        "extra_infos",
    )
    group_arguments = ("solution_strs",)  # its batch manager

    def rewards_of(self, requests: list[Request]) -> list[ForeignReward]:
        rows = [
            {
                "data_source": request.metadata.get("data_source"),
                "solution_str": request.response,
                "ground_truth": request.gold,
                "extra_info": request.metadata.get("extra_info", request.metadata),
            }
            for request in requests
        ]
        if "solution_strs" in parameters_of(self.function):
            return [
                self._reward_of(value)
                for value in as_list(call_with(self.function, {f"{k}s": [row[k] for row in rows] for k in rows[0]}))
            ]
        return [self._reward_of(result_of(self.function(**row))) for row in rows]

    def _reward_of(self, value: Any) -> ForeignReward:
        if isinstance(value, dict):
            parts = {
                str(key): float(part)
                for key, part in value.items()
                if isinstance(part, (int, float)) and key != "score"
            }
            acc = value.get("acc")  # what verl's own graders call right or wrong, beside a shaped score
            return ForeignReward(
                reward=as_number(value["score"]), passes=None if acc is None else bool(acc), parts=parts
            )
        return ForeignReward(reward=as_number(value[0] if isinstance(value, (list, tuple)) else value))


class OpenRlhf(Adapter):
    library_arguments = ("queries", "prompts", "labels", "observation", "action", "label", "states")

    def rewards_of(self, requests: list[Request]) -> list[ForeignReward]:
        if "action" in parameters_of(self.function) or hasattr(self.function, "step"):
            return [self._first_turn_reward(request) for request in requests]
        prompts = [prompt_text(request) for request in requests]
        queries = [prompt + request.response for prompt, request in zip(prompts, requests, strict=True)]
        value = result_of(self.function(queries, prompts, [request.gold for request in requests]))
        if not isinstance(value, dict):
            return [ForeignReward(reward=as_number(reward)) for reward in as_list(value)]
        rewards = as_list(value["rewards"])
        if value.get("scores") is None:
            return [ForeignReward(reward=as_number(reward)) for reward in rewards]
        return [
            self._reward_with_filter_score(reward, score)
            for reward, score in zip(rewards, as_list(value["scores"]), strict=True)
        ]

    def _reward_with_filter_score(self, reward: Any, score: Any) -> ForeignReward:
        """`score` is what the library's filter reads, in [0, 1]; it says whether the answer is right."""
        return ForeignReward(
            reward=as_number(reward), passes=float(score) >= self.options.pass_at, parts={"filter_score": float(score)}
        )

    def _first_turn_reward(self, request: Request) -> ForeignReward:
        """The reward for the answer as the first action of an agent. Raises VerifierError for an agent that wants a
        second turn."""
        prompt = prompt_text(request)
        if hasattr(self.function, "step"):
            states = {"observation": prompt, "label": request.gold}
            begun = result_of(self.function.reset(states)) if hasattr(self.function, "reset") else states
            seen = {"observation_text": begun.get("observation", prompt), "action_text": request.response}
            value = result_of(self.function.step({**states, **seen, "sampling_params": None}))
        else:
            value = call_with(self.function, {"observation": prompt, "action": request.response, "label": request.gold})
        if not value.get("done", True):
            raise VerifierError(
                "the agent wants another turn", remedy="a reward of one answer: done is True after the first step"
            )
        reward = as_scalar(value["rewards"])
        return (
            ForeignReward(reward=as_number(reward))
            if value.get("scores") is None
            else self._reward_with_filter_score(reward, as_scalar(value["scores"]))
        )


class OpenInstruct(Adapter):
    library_arguments = ("tokenized_prediction", "prediction", "label", "query", "rollout_state")

    def __init__(self, found: Any, options: PluginOptions) -> None:
        if takes_config(found):
            config = found.get_config_class()  # in that library its fields come from the command line
            fields = {name: value for name, value in options.kwargs.items() if name in parameters_of(config)}
            rest = {name: value for name, value in options.kwargs.items() if name not in fields}
            options = replace(options, kwargs={**rest, "verifier_config": config(**fields)})
        super().__init__(found, options)

    def rewards_of(self, requests: list[Request]) -> list[ForeignReward]:
        own = "async_call" in vars(type(self.function))  # what it calls; the base class's hands over to __call__
        function = self.function.async_call if own else self.function
        return [
            self._reward_of(result_of(function(unknown_token_ids(r), r.response, r.gold, prompt_text(r))))
            for r in requests
        ]

    def _reward_of(self, value: Any) -> ForeignReward:
        if not hasattr(value, "score"):
            return ForeignReward(reward=as_number(value))
        cost = {"verifier": float(value.cost)} if getattr(value, "cost", 0) else {}
        return ForeignReward(reward=as_number(value.score), cost=cost, detail=getattr(value, "reasoning", None))


class _SampleStatus(enum.Enum):
    """The states that slime's samples have (slime/utils/types.py)."""

    PENDING = "pending"
    COMPLETED = "completed"
    TRUNCATED = "truncated"
    ABORTED = "aborted"
    FAILED = "failed"


class Slime(Adapter):
    library_arguments = ("args", "sample", "samples", "evaluation")
    group_arguments = ("samples",)  # --group-rm

    def __init__(self, found: Any, options: PluginOptions) -> None:
        super().__init__(found, PluginOptions())  # the recipe's keyword arguments are fields of `args`
        self.options = options
        self.args = SimpleNamespace(**{"reward_key": None, **options.kwargs})

    def rewards_of(self, requests: list[Request]) -> list[ForeignReward]:
        samples = [self._sample(i, request) for i, request in enumerate(requests)]
        if "samples" in parameters_of(self.function):
            return [self._reward_of(value) for value in as_list(result_of(self.function(self.args, samples)))]
        return [self._reward_of(result_of(self.function(self.args, sample))) for sample in samples]

    def _sample(self, index: int, request: Request) -> SimpleNamespace:
        status = _SampleStatus.TRUNCATED if request.stop_reason == "length" else _SampleStatus.COMPLETED
        return SimpleNamespace(
            index=index,
            group_index=0,
            prompt=self.prompt_of(request),
            response=request.response,
            response_length=request.num_tokens or 0,
            tokens=[],
            label=request.gold,
            reward=None,
            status=status,
            Status=_SampleStatus,
            metadata=request.metadata,
        )

    def _reward_of(self, value: Any) -> ForeignReward:
        if not isinstance(value, dict):
            return ForeignReward(reward=as_number(value))
        if self.args.reward_key is None:
            raise VerifierError(
                f"the function returned {sorted(value)}", remedy="name the one that is the reward: reward_key: <name>"
            )
        parts = {str(key): float(part) for key, part in value.items() if isinstance(part, (int, float))}
        return ForeignReward(reward=as_number(value[self.args.reward_key]), parts=parts)


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
        return _full_format_reward


class PrimeVerifiers(Adapter):
    library_arguments = (
        *("prompt", "completion", "answer", "state", "task", "info", "parser"),
        *("prompts", "completions", "answers", "states", "tasks", "infos"),
    )
    group_arguments = ("prompts", "completions", "answers", "states", "tasks", "infos")

    def __init__(self, found: Any, options: PluginOptions) -> None:
        rubric = found(**options.kwargs) if inspect.isclass(found) and hasattr(found, "score_rollout") else found
        self.objects: dict[str, Any] = {"parser": _Parser()}
        functions = rubric_functions(rubric)
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

    def rewards_of(self, requests: list[Request]) -> list[ForeignReward]:
        states = [self._state(request) for request in requests]
        columns = [self._one(function, states) for function in self.functions]
        names = [getattr(function, "__name__", f"function {i}") for i, function in enumerate(self.functions)]
        paid = []
        for i in range(len(requests)):
            rewards = [column[i] for column in columns]
            parts = dict(zip(names, rewards, strict=True)) if len(names) > 1 else {}
            paid.append(
                ForeignReward(reward=sum(r * w for r, w in zip(rewards, self.weights, strict=True)), parts=parts)
            )
        return paid

    def _state(self, request: Request) -> dict[str, Any]:
        return {
            "prompt": self.prompt_of(request),
            "completion": self.answer_of(request),
            "answer": request.gold,
            "task": request.metadata.get("task", "default"),
            "info": request.metadata.get("info", request.metadata),
        }

    def _one(self, function: Callable[..., Any], states: list[dict[str, Any]]) -> list[float]:
        if any(name in self.group_arguments for name in parameters_of(function)):
            plural = {f"{key}s": [state[key] for state in states] for key in states[0]}
            return [
                float(value) for value in as_list(call_with(function, {**plural, "states": states, **self.objects}))
            ]
        return [float(call_with(function, {**state, "state": state, **self.objects})) for state in states]


def takes_config(found: Any) -> bool:
    """Whether a class of open-instruct is made with a configuration of its own kind."""
    return inspect.isclass(found) and hasattr(found, "get_config_class") and "verifier_config" in parameters_of(found)


def rubric_functions(rubric: Any) -> list[Any] | None:
    """The reward functions of a Rubric (whose attributes older versions name otherwise); None for
    anything else."""
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


def _full_format_reward(completion: Any, **_: Any) -> float:
    return 1.0


def _ignore_log(*_: Any, **__: Any) -> None:
    """log_extra and log_metric: there is no table of completions here."""
