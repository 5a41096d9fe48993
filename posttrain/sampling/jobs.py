"""Sampling work that steps hand to a trainer worker (it has the tokenizer): evaluate a suite, filter prompts, make
preference pairs.

Each writes its files into the output folder and returns headline metrics. Only the first rank works; the others wait
for the next stage.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from posttrain.data.difficulty import decide, histogram
from posttrain.data.mix import draw
from posttrain.data.source import (
    Fault,
    Rows,
    load_conversations,
    load_problems,
    load_prompts,
    set_aside,
    write_set_aside,
)
from posttrain.data.template import ChatTemplate
from posttrain.errors import DataError, StageError
from posttrain.evaluate.statistics import score_samples
from posttrain.recipe.schema import Chat, Data, Dpd, Filter
from posttrain.records.codec import as_json
from posttrain.records.metrics import FILTER_SUMMARY, FILTER_TABLE, FilterSummary, PairsSummary
from posttrain.records.rollouts import SAMPLES, Sample, judged_row
from posttrain.records.scores import SCORES, Scores
from posttrain.rollout.engine import Engine
from posttrain.sampling.resumable import Portions, answers
from posttrain.sampling.sampler import PromptEncoder, refusals
from posttrain.store.jsonl import write_lines, write_record
from posttrain.train.trainer import is_first_rank
from posttrain.types import Completion, Prompt, RolloutGroup, SamplingParams, StopReason
from rewards.prose.visible import visible
from rewards.types import Outcome, Verdict

Loader = Callable[[str, Data, Path], Rows[Prompt]]


def judged(verdict: Verdict) -> bool | None:
    """Right, not right (wrong, abstained, timed out), or None for a fault of ours, which counts as neither."""
    return None if verdict.outcome is Outcome.ERROR else verdict.passed


def format_valid(completion: Completion, think: tuple[str, ...]) -> bool:
    """One think block, closed, an answer after it, and the turn ended by the model."""
    text = completion.text
    return (
        completion.stop_reason is StopReason.STOP
        and text.count(think[0]) == 1
        and text.count(think[1]) == 1
        and text.index(think[0]) < text.index(think[1])
        and bool(visible(text, (think[0], think[1])).strip())
    )


def checked_prompts(
    name: str,
    data: Data,
    recipe_dir: Path,
    scorer: Any,
    verifier: str | Mapping[str, str],
    *,
    load: Loader = load_prompts,
) -> Rows[Prompt]:
    """Prompts whose golds their verifier can use; the others are faulty rows, and above the stated share the run stops
    here."""
    rows = load(name, data, recipe_dir)
    return set_aside(rows, data, scorer.gold_problems(verifier, rows.items))


def askable(rows: Rows[Prompt], data: Data, encoder: PromptEncoder, context_tokens: int) -> Rows[Prompt]:
    """Prompts that the template takes and that leave room for an answer; the others are faulty rows, like those of an
    unusable gold."""
    return set_aside(rows, data, refusals(rows.items, encoder, context_tokens))


def pick_prompts(
    weights: Mapping[str, float], data: Mapping[str, Data], recipe_dir: Path, seed: int, scorer: Any,
    verifier: str | Mapping[str, str],
    *, encoder: PromptEncoder, context_tokens: int,
) -> tuple[list[Prompt], dict[str, Sequence[Fault]]]:  # fmt: skip
    """All prompts of one data set, or a mixture as long as its weights allow. Also the faulty rows."""
    pools = {
        name: askable(
            checked_prompts(name, data[name], recipe_dir, scorer, verifier), data[name], encoder, context_tokens
        )
        for name in sorted(weights)
    }
    faults: dict[str, Sequence[Fault]] = {name: rows.faults for name, rows in pools.items()}
    if len(pools) == 1:
        return list(next(iter(pools.values())).items), faults
    scale = sum(weights.values())
    total = int(min(len(rows.items) * scale / weights[name] for name, rows in pools.items()))
    return draw({name: rows.items for name, rows in pools.items()}, weights, total, seed), faults


def evaluate(
    *, model: Path, chat: Chat, recipe_dir: Path, data: Data, name: str, suite: str, verifier: str,
    engine: Engine,
    scorer: Any, k: int, sampling: SamplingParams, seed: int, output: Path, portions: Portions, context_tokens: int,
    examples: Data | None = None, few_shot: int = 0,
) -> Scores | None:  # fmt: skip
    """Score a checkpoint on a suite: k answers a problem. Publishes samples.jsonl and scores.json."""
    if not is_first_rank():
        return None
    template = ChatTemplate.load(model, chat, recipe_dir)
    encoder: Any = template
    if few_shot:
        if examples is None:
            raise DataError(
                f"suite '{suite}' names no examples",
                where=f"evaluate.suites.{suite}.examples",
                remedy="name a data set of conversations",
            )
        encoder = FewShot(template, load_conversations(f"{name}.examples", examples, recipe_dir).items[:few_shot])
    import dataclasses

    read = askable(
        checked_prompts(name, data, recipe_dir, scorer, verifier, load=load_problems), data, encoder, context_tokens
    )
    prompts = list(read.items)
    stops = tuple(encoder.stop_ids)
    scored = answers(
        portions, "suite", prompts, engine=engine, encoder=encoder, scorer=scorer, verifier=verifier, group=k,
        sampling=dataclasses.replace(sampling, stop_token_ids=stops), seed_parts=(seed, suite, 0),
        finish=encoder.trim if few_shot else None,
    )  # fmt: skip
    samples = [
        Sample(
            problem=group.prompt.id,
            sample=index,
            passed=judged(verdict),
            format_valid=format_valid(completion, template.think),
            truncated=completion.stop_reason is StopReason.LENGTH,
            text=completion.text,
            stop_reason=str(completion.stop_reason),
            num_tokens=completion.num_tokens,
            verdict=judged_row(verdict),
        )
        for group in scored
        for index, (completion, verdict) in enumerate(zip(group.completions, group.verdicts, strict=True))
    ]
    write_lines(output / SAMPLES, map(as_json, samples))
    write_set_aside(output, {name: read.faults})
    scores = score_samples(samples)
    write_record(output / SCORES, as_json(scores))
    return scores


class FewShot:
    """Plain-text prompting of a base that knows no chat: worked examples, then the question. Stops where the next
    question would start."""

    def __init__(self, template: ChatTemplate, examples: Sequence[Any]) -> None:
        self.template = template
        self.stop_ids = template.stop_ids
        shown = [
            (
                row.messages[-2]["content"],
                visible(row.messages[-1]["content"], (template.think[0], template.think[1])).strip(),
            )
            for row in examples
        ]
        self.head = "".join(f"Question: {question}\nAnswer: {answer}\n\n" for question, answer in shown)

    def prompt_ids(self, messages: Sequence[Mapping[str, Any]]) -> list[int]:
        return self.template.encode(f"{self.head}Question: {messages[-1]['content']}\nAnswer:")

    def decode(self, ids: Sequence[int]) -> str:
        return self.template.decode(ids)

    def trim(self, group: RolloutGroup) -> RolloutGroup:
        """Cut each answer where the model starts another question; it has then ended by itself."""
        import dataclasses

        trimmed = []
        for completion in group.completions:
            text, found, _ = completion.text.partition("\n\n")
            reason = StopReason.STOP if found else completion.stop_reason
            trimmed.append(dataclasses.replace(completion, text=text.strip(), stop_reason=reason))
        return dataclasses.replace(group, completions=tuple(trimmed))


def filter_prompts(
    *, model: Path, chat: Chat, recipe_dir: Path, data: Mapping[str, Data], weights: Mapping[str, float],
    verifier: str | Mapping[str, str],
    engine: Engine, scorer: Any, band: Filter, sampling: SamplingParams, seed: int, output: Path, portions: Portions,
    context_tokens: int,
    smoke: bool = False,
) -> FilterSummary | None:  # fmt: skip
    """avg@k of every prompt by the current checkpoint. Publishes kept.jsonl, table.jsonl, summary.json; one prompt at
    least must be kept.

    Under smoke a model after two steps has no prompt in the band: all are kept, so that the next step has work.
    """
    if not is_first_rank():
        return None
    import dataclasses

    template = ChatTemplate.load(model, chat, recipe_dir)
    prompts, faulty = pick_prompts(
        weights, data, recipe_dir, seed, scorer, verifier, encoder=template, context_tokens=context_tokens
    )
    scored = answers(
        portions, "filter", prompts, engine=engine, encoder=template, scorer=scorer, verifier=verifier, group=band.k,
        sampling=dataclasses.replace(sampling, stop_token_ids=template.stop_ids), seed_parts=(seed, "filter", 0),
    )  # fmt: skip
    decisions = [
        decide(group.prompt.id, [judged(verdict) for verdict in group.verdicts], band.k, band.low, band.high)
        for group in scored
    ]
    kept = [asdict(group.prompt) for group, decision in zip(scored, decisions, strict=True) if decision.kept or smoke]
    write_lines(output / "kept.jsonl", kept)
    write_lines(output / FILTER_TABLE, map(as_json, decisions))
    num_faulty = write_set_aside(output, faulty)
    outcomes = Counter(str(verdict.outcome) for group in scored for verdict in group.verdicts)
    summary = FilterSummary(
        prompts=len(prompts),
        kept=len(kept),
        kept_share=round(len(kept) / len(prompts), 6),
        k=band.k,
        set_aside_for_faults=sum(decision.none > 0 for decision in decisions),
        faulty_rows=num_faulty,
        histogram=tuple(histogram(decisions, band.k)),
        outcomes=dict(sorted(outcomes.items())),
        generated_tokens=sum(c.num_tokens for group in scored for c in group.completions),
    )
    write_record(output / FILTER_SUMMARY, as_json(summary))
    if not kept:
        raise StageError(
            f"no prompt of {len(prompts)} lies in the band: right answers of {band.k} were {list(summary.histogram)}",
            where=str(output.name),
            remedy="give easier or harder prompts, or widen filter.low and filter.high",
        )  # fmt: skip
    return summary


def sample_answers(
    *, model: Path, chat: Chat, recipe_dir: Path, prompts: Sequence[Prompt], verifier: str | Mapping[str, str],
    engine: Engine, scorer: Any,
    count: int, sampling: SamplingParams, seed: int, who: str, portions: Portions,
) -> list[RolloutGroup] | None:  # fmt: skip
    """Scored answers of one model to the prompts of a dpd stage."""
    if not is_first_rank():
        return None
    import dataclasses

    template = ChatTemplate.load(model, chat, recipe_dir)
    return answers(
        portions, who, prompts, engine=engine, encoder=template, scorer=scorer, verifier=verifier, group=count,
        sampling=dataclasses.replace(sampling, stop_token_ids=template.stop_ids), seed_parts=(seed, who, 0),
    )  # fmt: skip


def make_pairs(
    *, stage: Dpd, weights: Mapping[str, float], data: Mapping[str, Data], chat: Chat, recipe_dir: Path, teacher: Path,
    student: Path,
    teacher_engine: Engine, student_engine: Engine, teacher_id: str, student_id: str, scorer: Any, seed: int,
    output: Path,
    portions: Portions, context_tokens: int, smoke: bool = False,
) -> PairsSummary | None:  # fmt: skip
    """Good answers from the teacher that pass, bad ones from the student that fail; one pair a prompt where both exist.

    Under smoke any two answers make a pair: models after two steps are neither right nor done.
    """
    if not is_first_rank():
        return None
    template = ChatTemplate.load(student, chat, recipe_dir)
    prompts, faulty = pick_prompts(
        weights, data, recipe_dir, seed, scorer, stage.verifier, encoder=template, context_tokens=context_tokens
    )
    sampling = SamplingParams(temperature=stage.temperature, max_tokens=stage.max_tokens)
    common: dict[str, Any] = {
        "chat": chat,
        "recipe_dir": recipe_dir,
        "prompts": prompts,
        "verifier": stage.verifier,
        "scorer": scorer,
        "sampling": sampling,
        "seed": seed,
        "portions": portions,
    }
    good = (
        sample_answers(model=teacher, engine=teacher_engine, count=stage.teacher_samples, who="teacher", **common) or []
    )
    bad = (
        sample_answers(model=student, engine=student_engine, count=stage.student_samples, who="student", **common) or []
    )
    rows = []
    for by_teacher, by_student in zip(good, bad, strict=True):
        chosen = by_teacher.completions[0] if smoke else _first(by_teacher, right=True)
        rejected = by_student.completions[0] if smoke else _first(by_student, right=False)
        if chosen is None or rejected is None:
            continue
        rows.append(
            {
                "id": by_teacher.prompt.id, "source": by_teacher.prompt.source,
                "messages": list(by_teacher.prompt.messages),
                "chosen": chosen.text, "rejected": rejected.text,
                "provenance": {"chosen": f"teacher:{teacher_id}", "rejected": f"student:{student_id}"},
            }
        )  # fmt: skip
    write_lines(output / "pairs.jsonl", rows)
    num_faulty = write_set_aside(output, faulty)
    if not rows:
        raise StageError(
            f"no prompt has a right answer of the teacher and a wrong one of the student, both ended by themselves. "
            f"Teacher: {_tally(good)}; student: {_tally(bad)}",
            remedy=(
                f"where many are cut off, raise max_tokens ({stage.max_tokens}); else give another verifier or "
                "teacher, or more prompts"
            ),
        )
    return PairsSummary(
        prompts=len(prompts),
        pairs=len(rows),
        faulty_rows=num_faulty,
        teacher_pass=_share(good),
        student_pass=_share(bad),
        generated_tokens=sum(c.num_tokens for group in (*good, *bad) for c in group.completions),
        pairs_by_source=dict(sorted(Counter(str(row["source"]) for row in rows).items())),
    )


def _first(group: RolloutGroup, *, right: bool) -> Completion | None:
    """The first answer that ended by itself and is right (or wrong, judged so: a fault of ours is neither)."""
    for completion, verdict in zip(group.completions, group.verdicts, strict=True):
        if judged(verdict) is right and completion.stop_reason is StopReason.STOP:
            return completion
    return None


def _tally(groups: Sequence[RolloutGroup]) -> str:
    """Example: "3 of 80 right, 75 cut off"."""
    right = sum(bool(judged(verdict)) for group in groups for verdict in group.verdicts)
    stops = [completion.stop_reason for group in groups for completion in group.completions]
    return f"{right} of {len(stops)} right, {stops.count(StopReason.LENGTH)} cut off"


def _share(groups: Sequence[RolloutGroup]) -> float:
    verdicts: list[Verdict] = [verdict for group in groups for verdict in group.verdicts if judged(verdict) is not None]
    return round(sum(verdict.passed for verdict in verdicts) / max(1, len(verdicts)), 6)
