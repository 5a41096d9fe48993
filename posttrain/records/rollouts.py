"""Answers as stages publish them: rollouts/step-NNNNN.jsonl (a prompt a line, with all its answers) and an evaluation's
samples.jsonl (an answer a line). No clock times: published bytes must repeat.

Knows nothing of how answers are sampled or judged.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from posttrain.errors import RecordError
from posttrain.records.codec import from_json
from posttrain.types import RolloutGroup
from rewards.types import Verdict

ROLLOUTS = "rollouts"
SAMPLES = "samples.jsonl"


@dataclass(frozen=True, kw_only=True, slots=True)
class JudgedRow:
    """A verdict: without its seconds; with the transcript where a model was asked.

    Example: JudgedRow(outcome="correct", score=1.0, extracted="42", reason="integer_equal", parts={})
    """

    outcome: str
    score: float | None
    extracted: str | None
    reason: str
    parts: Mapping[str, Any]
    transcript: Any = None


@dataclass(frozen=True, kw_only=True, slots=True)
class AnswerRow:
    """One answer, with its seed, token ids [T] and their log-probabilities [T]; `verdict` is None before it is judged;
    `policy_version` is empty where it is the row's.

    Example: AnswerRow(text="<think>17+25</think>42", stop_reason="stop", num_tokens=9, verdict=JudgedRow(...))
    """

    text: str
    stop_reason: str
    num_tokens: int
    seed: int | None = None
    token_ids: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    verdict: JudgedRow | None = None
    policy_version: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class PromptRow:
    """One prompt with its G answers. `prompt` is the text of its last turn, `policy_version` that of its first answer.

    Example: PromptRow(prompt_id="toy-stem/3", source="stem_prompts", prompt="17+25?", policy_version="stem@4",
    completions=(AnswerRow(...), ...))
    """

    prompt_id: str
    source: str
    prompt: str
    policy_version: str
    completions: tuple[AnswerRow, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """One answer of an evaluation. `passed` None: a fault of ours, which is neither right nor wrong.

    Example: Sample(problem="toy-stem/3", sample=0, passed=True, format_valid=True, truncated=False, text="...42",
    stop_reason="stop", num_tokens=9, verdict=JudgedRow(...))
    """

    problem: str
    sample: int  # 0 to k - 1
    passed: bool | None
    format_valid: bool
    truncated: bool
    text: str
    stop_reason: str
    num_tokens: int
    verdict: JudgedRow


def judged_row(verdict: Verdict) -> JudgedRow:
    """A verdict as published."""
    return JudgedRow(
        outcome=str(verdict.outcome),
        score=verdict.score,
        extracted=verdict.extracted,
        reason=verdict.reason,
        parts=dict(verdict.parts),
        transcript=verdict.certificate.get("transcript"),
    )


def prompt_row(group: RolloutGroup) -> PromptRow:
    """One prompt with its answers and verdicts, as published."""
    verdicts: tuple[Verdict | None, ...] = group.verdicts or (None,) * len(group.completions)
    version = group.completions[0].policy_version if group.completions else ""
    return PromptRow(
        prompt_id=group.prompt.id,
        source=group.prompt.source,
        prompt=group.prompt.messages[-1]["content"],
        policy_version=version,
        completions=tuple(
            AnswerRow(
                text=completion.text,
                stop_reason=str(completion.stop_reason),
                num_tokens=completion.num_tokens,
                seed=completion.seed,
                token_ids=completion.token_ids,
                logprobs=tuple(round(value, 5) for segment in completion.segments for value in segment.logprobs),
                verdict=judged_row(verdict) if verdict is not None else None,
                policy_version="" if completion.policy_version == version else completion.policy_version,
            )
            for completion, verdict in zip(group.completions, verdicts, strict=True)
        ),
    )


def rollout_files(published: Path | None) -> list[Path]:
    """The rollout files of a step's published folder, one a training step, in order; none where it has no folder."""
    return sorted((published / ROLLOUTS).glob("step-*.jsonl")) if published is not None else []


def prompt_rows(path: Path) -> Iterator[PromptRow | None]:
    """The rows of a rollout file, one at a time; None for a row of another shape, which a stage of the user's own may
    write."""
    for row in json_rows(path):
        try:
            yield from_json(PromptRow, row, str(path))
        except RecordError:
            yield None


def json_rows(path: Path) -> Iterator[Any]:
    """The values of a .jsonl file, one at a time; a missing file has none. A torn last line ends it: it was never
    published."""
    try:
        with path.open(encoding="utf-8", newline="\n") as lines:
            for line in lines:
                try:
                    yield json.loads(line)
                except ValueError:
                    return
    except FileNotFoundError:
        return
