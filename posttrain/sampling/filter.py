"""The on-policy difficulty filter, in a trainer worker: avg@k of every prompt by the checkpoint that RL starts from.

`read_kept` reads what it published; it imports nothing heavy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from posttrain.data.difficulty import decide, histogram, settled
from posttrain.data.source import write_set_aside
from posttrain.data.template import ChatTemplate
from posttrain.errors import StageError
from posttrain.machine.ranks import is_first_rank
from posttrain.recipe.schema import Filter
from posttrain.records.codec import as_json, from_json
from posttrain.records.metrics import FILTER_SUMMARY, FILTER_TABLE, FilterSummary
from posttrain.sampling.correctness import count_outcomes, generated_tokens, is_right
from posttrain.sampling.first_groups import FILTER
from posttrain.sampling.job import SamplingJob
from posttrain.sampling.prompts import pick_prompts
from posttrain.sampling.resumable import Waves, judged_answers
from posttrain.sampling.rollout_files import write_groups
from posttrain.store.jsonl import read_lines, write_lines, write_record
from posttrain.types import Prompt
from rewards.types import Verdict

KEPT_PROMPTS = "kept.jsonl"
KEPT_ROLLOUTS = "kept_rollouts.jsonl"


def filter_prompts(job: SamplingJob, band: Filter) -> dict[str, Any]:
    """Keep the prompts with band.low to band.high of `job.samples` answers right, asking no more than decides.
    Publishes kept.jsonl, table.jsonl,
    summary.json, and with band.reuse kept_rollouts.jsonl; other ranks return {} at once.

    Under smoke a model after two steps has no prompt in the band: all are kept, so that the next step has work. Raises
    StageError where no prompt is kept.
    """
    if not is_first_rank():
        return {}
    template = ChatTemplate.load(job.model.folder, job.chat, job.prompts.recipe_dir)
    prompts, faulty = pick_prompts(job.prompts, job.scorer, template)
    scored = judged_answers(job, prompts, template.stop_ids, asker=FILTER, waves=_waves(band))
    decisions = [
        decide(group.prompt.id, [is_right(verdict) for verdict in group.verdicts], band.k, band.low, band.high)
        for group in scored
    ]
    kept = [group for group, decision in zip(scored, decisions, strict=True) if decision.kept or job.smoke]
    write_lines(job.output / KEPT_PROMPTS, [asdict(group.prompt) for group in kept])
    if band.reuse:
        write_groups(job.output / KEPT_ROLLOUTS, kept)
    write_lines(job.output / FILTER_TABLE, map(as_json, decisions))
    summary = FilterSummary(
        prompts=len(prompts),
        kept=len(kept),
        kept_share=round(len(kept) / len(prompts), 6),
        k=band.k,
        answers_per_prompt=round(sum(len(group.completions) for group in scored) / len(prompts), 4),
        set_aside_for_faults=sum(decision.undecided for decision in decisions),
        faulty_rows=write_set_aside(job.output, faulty),
        histogram=tuple(histogram(decisions, band.k)),
        outcomes=count_outcomes(scored),
        generated_tokens=generated_tokens(scored),
    )
    write_record(job.output / FILTER_SUMMARY, as_json(summary))
    if not kept:
        raise StageError(
            f"no prompt of {len(prompts)} lies in the band; by right answers of {band.k}: {list(summary.histogram)}",
            where=str(job.output.name),
            remedy="give easier or harder prompts, or widen filter.low and filter.high",
        )
    return dict(as_json(summary))


def _waves(band: Filter) -> Waves | None:
    """Ask until a prompt is settled. Answers are asked by index under their own seeds, so which come first never
    depends on which are done first."""
    if band.wave == 0 or band.wave >= band.k:
        return None

    def is_open(verdicts: Sequence[Verdict]) -> bool:
        return settled([is_right(verdict) for verdict in verdicts], band.k, band.low, band.high) is None

    return Waves(size=band.wave, is_open=is_open)


def read_kept(folder: Path) -> list[Prompt]:
    """The prompts that a filter step kept."""
    path = folder / KEPT_PROMPTS
    return [from_json(Prompt, row, str(path)) for row in read_lines(path)]
