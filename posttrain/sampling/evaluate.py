"""Score a checkpoint on a suite, in a trainer worker: k answers a problem. Knows no stage."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from posttrain.data.source import load_conversations, load_problems, write_set_aside
from posttrain.data.template import ChatTemplate
from posttrain.errors import DataError
from posttrain.evaluate.statistics import score_samples
from posttrain.machine.ranks import is_first_rank
from posttrain.recipe.schema import Data
from posttrain.records.codec import as_json
from posttrain.records.rollouts import SAMPLES, Sample, judged_row
from posttrain.records.scores import SCORES
from posttrain.sampling.correctness import is_right, is_well_formed
from posttrain.sampling.job import SamplingJob
from posttrain.sampling.prompts import pick_prompts
from posttrain.sampling.resumable import judged_answers
from posttrain.store.jsonl import write_lines, write_record
from posttrain.types import RolloutGroup, StopReason
from rewards.prose.visible import visible_text


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoredSuite:
    """Which suite, and the worked examples that a base is shown in place of a chat.

    Example: ScoredSuite(name="stem", few_shot=3, examples=ToyData(...))
    """

    name: str
    few_shot: int = 0  # examples shown; 0 asks through the chat template
    examples: Data | None = None


def evaluate(job: SamplingJob, suite: ScoredSuite) -> dict[str, Any]:
    """Score `job.model`: `job.samples` answers a problem. Publishes samples.jsonl and scores.json; other ranks return
    {} at once."""
    if not is_first_rank():
        return {}
    template = ChatTemplate.load(job.model.folder, job.chat, job.prompts.recipe_dir)
    plain = _few_shot(template, job, suite) if suite.few_shot else None
    problems, faulty = pick_prompts(job.prompts, job.scorer, plain or template, load=load_problems)
    scored = judged_answers(
        job, problems, template.stop_ids, asker=suite.name, finish=plain.trim if plain is not None else None
    )
    samples = [
        Sample(
            problem=group.prompt.id,
            sample=index,
            passed=is_right(verdict),
            format_valid=is_well_formed(completion, template.think),
            truncated=completion.stop_reason is StopReason.LENGTH,
            text=completion.text,
            stop_reason=str(completion.stop_reason),
            num_tokens=completion.num_tokens,
            verdict=judged_row(verdict),
        )
        for group in scored
        for index, (completion, verdict) in enumerate(zip(group.completions, group.verdicts, strict=True))
    ]
    write_lines(job.output / SAMPLES, map(as_json, samples))
    write_set_aside(job.output, faulty)
    scores: dict[str, Any] = as_json(score_samples(samples))
    write_record(job.output / SCORES, scores)
    return scores


def _few_shot(template: ChatTemplate, job: SamplingJob, suite: ScoredSuite) -> FewShot:
    if suite.examples is None:
        raise DataError(
            f"suite '{suite.name}' names no examples",
            where=f"evaluate.suites.{suite.name}.examples",
            remedy="name a data set of conversations",
        )
    read = load_conversations(f"{suite.name}.examples", suite.examples, job.prompts.recipe_dir)
    return FewShot(template, read.items[: suite.few_shot])


class FewShot:
    """Plain-text prompting of a base that knows no chat: worked examples, then the question. Stops where the next
    question would start."""

    def __init__(self, template: ChatTemplate, examples: Sequence[Any]) -> None:
        self.template = template
        self.stop_ids = template.stop_ids
        shown = [
            (
                row.messages[-2]["content"],
                visible_text(row.messages[-1]["content"], (template.think[0], template.think[1])).strip(),
            )
            for row in examples
        ]
        self.head = "".join(f"Question: {question}\nAnswer: {answer}\n\n" for question, answer in shown)

    def prompt_ids(self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]] = ()) -> list[int]:
        return self.template.plain_ids(f"{self.head}Question: {messages[-1]['content']}\nAnswer:")

    def opened_by(self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]] = ()) -> str:
        return ""

    def decode(self, ids: Sequence[int]) -> str:
        return self.template.decode(ids)

    def trim(self, group: RolloutGroup) -> RolloutGroup:
        """Cut each answer where the model starts another question; it has then ended by itself."""
        trimmed = []
        for completion in group.completions:
            text, found, _ = completion.text.partition("\n\n")
            reason = StopReason.STOP if found else completion.stop_reason
            trimmed.append(dataclasses.replace(completion, text=text.strip(), stop_reason=reason))
        return dataclasses.replace(group, completions=tuple(trimmed))
