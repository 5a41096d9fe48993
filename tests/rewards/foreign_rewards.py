"""Reward functions in the shapes that other libraries document, as their users have them on disk. Not one line here
knows of ours."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

# ---------------------------------------------------------------- TRL: lists in, a list of float or None out


def trl_chat(completions: list[list[dict[str, str]]], solution: list[str], **kwargs: Any) -> list[float | None]:
    texts = [completion[0]["content"] for completion in completions]
    return [None if gold == "unknown" else float(gold in text) for text, gold in zip(texts, solution, strict=True)]


def trl_text(prompts: list[str], completions: list[str], level: list[int], **kwargs: Any) -> list[float]:
    return [
        1.0 if p.endswith("?") and c.strip() and rank > 1 else 0.0
        for p, c, rank in zip(prompts, completions, level, strict=True)
    ]


async def trl_async(prompts: Any, completions: Any, trainer_state: Any, log_metric: Any, **kwargs: Any) -> list[float]:
    await asyncio.sleep(0)
    log_metric("mean", 0.5)
    return [0.5 for _ in completions]


def trl_longest(completion_ids: list[list[int]], **kwargs: Any) -> list[float]:
    top = max(len(ids) for ids in completion_ids)
    return [float(len(ids) == top) for ids in completion_ids]


def _made_for(most: int) -> Any:
    def short_enough(completion_ids: list[list[int]], **kwargs: Any) -> list[float]:
        return [float(len(ids) <= most) for ids in completion_ids]

    return short_enough


trl_made = _made_for(50)  # as trl.rewards.get_soft_overlong_punishment makes one


# ---------------------------------------------------------------- verl: one answer, a number or a dict with "score"


def verl_plain(
    data_source: str, solution_str: str, ground_truth: str, extra_info: dict[str, Any] | None = None
) -> float:
    return float(solution_str.split("####")[-1].strip() == ground_truth)


def verl_dapo(
    data_source: str, solution_str: str, ground_truth: str, extra_info: Any = None, penalty: float = 0.0
) -> dict[str, Any]:
    right = ground_truth in solution_str
    return {"score": (1.0 if right else -1.0) - penalty, "acc": right, "pred": solution_str[-20:]}


def verl_batch(
    data_sources: list[str], solution_strs: list[str], ground_truths: list[str], extra_infos: list[Any]
) -> list[float]:
    best = min(map(len, solution_strs))
    return [float(gold in text and len(text) == best) for text, gold in zip(solution_strs, ground_truths, strict=True)]


# ---------------------------------------------------------------- OpenRLHF
# Queries are prompt + answer; a tensor, or a dict of tensors.


class Tensor:
    """What a tensor is to whoever reads it."""

    def __init__(self, values: list[float]) -> None:
        self.values = values

    def tolist(self) -> list[float]:
        return self.values


def openrlhf_tensor(queries: list[str], prompts: list[str], labels: list[str], **kwargs: Any) -> Tensor:
    answers = [query[len(prompt) :] for query, prompt in zip(queries, prompts, strict=True)]
    return Tensor([float(label == answer) for answer, label in zip(answers, labels, strict=True)])


def openrlhf_dict(queries: list[str], prompts: list[str], labels: list[str]) -> dict[str, Any]:
    scores = [float(label in query) for query, label in zip(queries, labels, strict=True)]
    return {
        "rewards": Tensor([2 * s - 1 for s in scores]),
        "scores": Tensor(scores),
        "extra_logs": {"mean": sum(scores)},
    }


# ---------------------------------------------------------------- open-instruct: a class that is called


class OpenInstructVerifier:
    """As a subclass of VerifierFunction is written (its base class holds name and weight only)."""

    def __init__(self, verifier_config: Any = None) -> None:
        self.name, self.weight, self.verifier_config = "last_word", 1.0, verifier_config

    def __call__(
        self, tokenized_prediction: list[int], prediction: str, label: Any, query: str | None = None
    ) -> SimpleNamespace:
        words = prediction.split()
        return SimpleNamespace(
            score=float(bool(words) and words[-1] == label), cost=0.25, reasoning="compared the last word"
        )


# ---------------------------------------------------------------- slime
# Async, an args namespace and one sample or a list.


async def slime_one(args: Any, sample: Any) -> float:
    await asyncio.sleep(0)
    if sample.status.value == "truncated":
        return 0.0
    return float(sample.label in sample.response and sample.metadata.get("level", 0) >= args.level)


async def slime_keyed(args: Any, sample: Any, **kwargs: Any) -> dict[str, float]:
    return {"accuracy": float(sample.label in sample.response), "style": 0.5}


async def slime_group(args: Any, samples: list[Any]) -> list[float]:
    shortest = min(len(sample.response) for sample in samples)
    return [float(len(sample.response) == shortest) for sample in samples]


# ---------------------------------------------------------------- verifiers
# Any named subset, a group by plural names, a Rubric.


def vf_answer(parser: Any, completion: Any, answer: str, **kwargs: Any) -> float:
    return 1.0 if (parser.parse_answer(completion) or "").strip() == answer.strip() else 0.0


async def vf_state(state: dict[str, Any], info: dict[str, Any]) -> float:
    return float(state["answer"] in state["completion"][-1]["content"] and info.get("level") == 2)


def vf_group(completions: list[Any], answers: list[str]) -> list[float]:
    lengths = [len(completion[-1]["content"]) for completion in completions]
    return [float(length == min(lengths)) for length in lengths]


def vf_short(completion: Any) -> float:
    return float(len(completion[-1]["content"]) < 10)


# What `vf.Rubric(funcs=[...], weights=[...])` holds.
rubric = SimpleNamespace(funcs=[vf_answer, vf_short], weights=[0.8, 0.2], class_objects={})


def trl_hangs_over_a_group(prompts: list[Any], completions: list[Any], **kwargs: Any) -> list[float]:
    """Does not come back where an answer is "hang"."""
    while "hang" in str(completions):
        pass
    return [1.0 for _ in completions]


async def openrlhf_step(observation: str, action: str, label: str, **kwargs: Any) -> dict[str, Any]:
    """An agent's step; `rewards` is a tensor of one number without a dimension."""
    right = float(observation.endswith("?") and label in action)
    return {"rewards": Scalar(2 * right - 1), "scores": Scalar(right), "environment_feedback": "", "done": True}


class Scalar:
    def __init__(self, value: float) -> None:
        self.value = value

    def tolist(self) -> float:
        return self.value


class AgentInstance:
    """As a subclass of AgentInstanceBase is written."""

    async def reset(self, states: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        return {"observation": states["observation"]}

    async def step(self, states: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        right = float(states["label"] in states["action_text"])
        done = "again" not in states["action_text"]
        return {"rewards": Scalar(2 * right - 1), "scores": Scalar(right), "environment_feedback": "", "done": done}


class JudgeConfig:
    def __init__(self, judge_model: str = "small", cost: float = 0.5) -> None:
        self.judge_model, self.cost = judge_model, cost


class OpenInstructJudge:
    """Made with the configuration that its class names; what is called is `async_call`."""

    def __init__(self, judge_type: str, verifier_config: JudgeConfig) -> None:
        self.judge_type, self.verifier_config = judge_type, verifier_config

    @classmethod
    def get_config_class(cls) -> type:
        return JudgeConfig

    def __call__(
        self, tokenized_prediction: list[int], prediction: str, label: Any, query: str | None = None
    ) -> SimpleNamespace:
        raise RuntimeError("use async_call")

    async def async_call(
        self,
        tokenized_prediction: list[int],
        prediction: str,
        label: Any,
        query: str | None = None,
        rollout_state: Any = None,
    ) -> SimpleNamespace:
        right = self.judge_type == "quality" and self.verifier_config.judge_model == "large" and label in prediction
        return SimpleNamespace(score=float(right), cost=self.verifier_config.cost, reasoning="")


async def slime_states(args: Any, sample: Any, **kwargs: Any) -> float:
    return (
        0.0
        if sample.status in (sample.Status.ABORTED, sample.Status.FAILED)
        else float(sample.label in sample.response)
    )


def vf_form(parser: Any, completion: Any, task: str) -> float:
    return parser.get_format_reward_func()(completion) if task == "default" else 0.0


# What older versions of `vf.Rubric` hold.
old_rubric = SimpleNamespace(reward_funcs=[vf_answer, vf_form], reward_weights=[0.75, 0.25])
