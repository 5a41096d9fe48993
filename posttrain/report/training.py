"""The sections about what happened inside stages: curves, filters, verdicts, sampled rollouts, where each result came
from.

Reads published files of a stage as it goes, one row at a time, and caps whatever can grow with a run, stating the count
left out. Everything that comes from a file goes through `escape` or `clip`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from posttrain.data.difficulty import bar_of
from posttrain.evaluate.table import duration, percent
from posttrain.records.metrics import FILTER_TABLE, METRICS_FILE, FilterSummary, decisions, metrics_rows
from posttrain.records.reader import Run, StageRecord, VerdictCounts
from posttrain.records.rollouts import AnswerRow, PromptRow, prompt_rows, rollout_files
from posttrain.report.figures import curve, difficulty_chart
from posttrain.report.text import clip, compact, escape
from posttrain.types import StopReason

MAX_CURVES = 12  # a stage
MAX_ROWS = 200_000  # of a metrics file
MAX_DRAWN = 1e300  # the difference of two such numbers is finite
MAX_PROMPTS = 2  # of a sampled step
MAX_ANSWERS = 3  # of a sampled prompt
PROMPT_CHARACTERS = 900
ANSWER_CHARACTERS = 1800
FIRST_CURVES = (
    "reward", "loss", "accuracy", "margin", "entropy", "completion_tokens", "truncated_share", "kl", "reward_std",
    "grad_norm",
    "learning_rate",
)  # fmt: skip


# ---------------------------------------------------------------- curves


def curves(run: Run) -> str:
    """Every stage's metrics over its steps."""
    blocks = [block for stage in run.stages if (block := _stage_curves(stage))]
    body = "".join(blocks) or '<p class="soft">No stage has published metrics yet.</p>'
    return (
        '<section><h2>Training</h2><p class="soft">Thin line: each step; thick line: moving mean. Hover for '
        f"values.</p>{body}</section>"
    )


def _stage_curves(stage: StageRecord) -> str:
    if stage.folder is None:
        return ""
    series, odd = read_series(stage.folder / METRICS_FILE)
    if not series:
        return ""
    order = {name: index for index, name in enumerate(FIRST_CURVES)}
    names = sorted(series, key=lambda name: (order.get(name, len(order)), name))
    figures = "".join(
        f"<figure><figcaption><b>{escape(name.replace('_', ' '))}</b><span "
        f'class="soft">{compact(series[name][-1][1])}</span></figcaption>'
        f"{curve(name, series[name])}</figure>"
        for name in names[:MAX_CURVES]
    )
    notes = []
    if len(names) > MAX_CURVES:
        notes.append(
            f"{len(names) - MAX_CURVES} more metrics in metrics.jsonl: "
            f"{', '.join(escape(name) for name in names[MAX_CURVES:][:20])}."
        )
    if odd:
        notes.append(f"{odd:,} values that are not finite numbers, or too large to draw, are left out.")
    note = f'<p class="note">{" ".join(notes)}</p>' if notes else ""
    return f'<h3>{escape(stage.name)}</h3><div class="grid small">{figures}</div>{note}'


def read_series(path: Path) -> tuple[dict[str, list[tuple[float, float]]], int]:
    """Metric -> [(step, value)] in file order, and how many numbers were not finite, or too large to draw."""
    series: dict[str, list[tuple[float, float]]] = {}
    odd = 0
    for row in islice(metrics_rows(path), MAX_ROWS):
        for name, value in row.values.items():
            if not math.isfinite(value) or abs(value) > MAX_DRAWN:
                odd += 1
            else:
                series.setdefault(name, []).append((float(row.step), value))
    return series, odd


# ---------------------------------------------------------------- filters and verdicts


def filters(run: Run) -> str:
    """Difficulty of the prompts as each filter measured it, and what it kept."""
    if not run.filters:
        return ""
    figures = "".join(_filter_figure(run.stage(step), step, summary) for step, summary in run.filters.items())
    return (
        '<section><h2>Difficulty filters</h2><p class="soft">How many of the k answers were right for each prompt. '
        "Coloured: kept for training.</p>"
        f'<div class="grid">{figures}</div></section>'
    )


def _filter_figure(stage: StageRecord | None, step: str, summary: FilterSummary) -> str:
    kept = _kept_bars(stage.folder / FILTER_TABLE, summary.k) if stage and stage.folder else [False] * (summary.k + 1)
    caption = f"kept {summary.kept:,} of {summary.prompts:,} ({percent(summary.kept_share)} %)"
    return (
        f"<figure><figcaption><b>{escape(step)}</b><span "
        f'class="soft">{caption}</span></figcaption>{difficulty_chart(step, summary.histogram, kept)}</figure>'
    )


def _kept_bars(table: Path, k: int) -> list[bool]:
    """Whether prompts with that many right answers were kept, 0 to k: [k + 1]. The table of decisions says it; a band
    alone would guess."""
    kept = {bar_of(decision, k) for decision in decisions(table) if decision.kept}
    return [right in kept for right in range(k + 1)]


def verdicts(records: Sequence[VerdictCounts]) -> str:
    """Verdicts of the rollouts by outcome: shares as a bar, counts in words."""
    if not records:
        return ""
    rows = "".join(_verdict_row(record) for record in records)
    return (
        '<section><h2>Verdicts</h2><p class="soft">What the verifiers found in each filter and in the rollouts of '
        "each stage.</p>"
        '<div class="legend"><span><i class="key o-correct"></i>correct</span><span><i class="key '
        'o-wrong"></i>wrong</span>'
        '<span><i class="key o-other"></i>other</span></div><table class="plain"><thead><tr><th scope="col">stage</th>'
        '<th scope="col">share</th><th scope="col" '
        f'class="n">counts</th></tr></thead><tbody>{rows}</tbody></table></section>'
    )


def _verdict_row(record: VerdictCounts) -> str:
    total = sum(record.outcomes.values()) or 1
    ordered = sorted(
        record.outcomes.items(),
        key=lambda item: (("correct", "wrong").index(item[0]) if item[0] in ("correct", "wrong") else 2, item[0]),
    )
    bars = "".join(
        (
            f'<i class="{_outcome_class(outcome)}" style="width:{100 * count / total:.2f}%" title="{escape(outcome)}: '
            f'{count:,}"></i>'
        )
        for outcome, count in ordered
    )
    words = ", ".join(f"{count:,} {escape(outcome)}" for outcome, count in ordered)
    part = "" if record.counted_share == 1.0 else f" (in {percent(record.counted_share)} % of the steps)"
    return (
        f'<tr><th scope="row">{escape(record.step)}</th><td class="wide"><span class="stack">{bars}</span></td>'
        f'<td class="n">{words}{part}</td></tr>'
    )


def _outcome_class(outcome: str) -> str:
    return f"o-{outcome}" if outcome in ("correct", "wrong") else "o-other"


# ---------------------------------------------------------------- sampled rollouts


def rollouts(run: Run, think: Sequence[str]) -> str:
    """A few answers of the first, a middle and the last step of each stage with rollouts, with the verifier's reason.
    think: the tags around reasoning; none where they are not known."""
    blocks = []
    for stage in run.stages:
        files = rollout_files(stage.folder)
        if files:
            chosen = [files[index] for index in sorted({0, len(files) // 2, len(files) - 1})]
            steps = "".join(_sampled_step(path, think, is_open=path == chosen[-1]) for path in chosen)
            blocks.append(
                f'<h3>{escape(stage.name)} <span class="note">{len(chosen)} of {len(files)} steps</span></h3>{steps}'
            )
    if not blocks:
        return ""
    return (
        '<section><h2>Sampled rollouts</h2><p class="soft">What the model wrote and why it was judged '
        f"so.</p>{''.join(blocks)}</section>"
    )


def _sampled_step(path: Path, think: Sequence[str], *, is_open: bool) -> str:
    shown: list[str] = []
    total = odd = 0
    for row in prompt_rows(path):
        total += 1
        if row is None:
            odd += 1
        elif len(shown) < MAX_PROMPTS:
            shown.append(_sampled_prompt(row, think))
    step = path.stem.removeprefix("step-").lstrip("0") or "0"
    left_out = f", {odd} rows of another shape" if odd else ""
    return (
        f"<details{' open' if is_open else ''}><summary>step {escape(step)} "
        f'<span class="note">{len(shown)} of {total} prompts{left_out}</span></summary><div '
        f'class="inner">{"".join(shown)}</div></details>'
    )


def _sampled_prompt(row: PromptRow, think: Sequence[str]) -> str:
    chosen = _one_of_each(row.completions)
    answers = "".join(_answer(answer, think) for answer in chosen)
    return (
        f'<div class="prompt">{clip(row.prompt, PROMPT_CHARACTERS)}</div>'
        f'<p class="note">{len(chosen)} of {len(row.completions)} answers</p>{answers}'
    )


def _outcome(answer: AnswerRow) -> str:
    return answer.verdict.outcome if answer.verdict is not None else "none"


def _one_of_each(answers: Sequence[AnswerRow]) -> list[AnswerRow]:
    """Up to MAX_ANSWERS, a different outcome each while there are any: a reader wants to see what was called right and
    what wrong."""
    first: dict[str, AnswerRow] = {}
    for answer in answers:
        first.setdefault(_outcome(answer), answer)
    chosen = list(first.values())[:MAX_ANSWERS]
    return chosen + [answer for answer in answers if answer not in chosen][: max(0, 2 - len(chosen))]


def _answer(answer: AnswerRow, think: Sequence[str]) -> str:
    verdict, outcome = answer.verdict, _outcome(answer)
    facts = ["no score" if verdict is None or verdict.score is None else f"score {compact(verdict.score)}"]
    if verdict is not None and verdict.reason:
        facts.append(f"reason: {clip(verdict.reason, 240)}")
    if verdict is not None and verdict.extracted is not None:
        facts.append(f"read as <code>{clip(verdict.extracted, 120)}</code>")
    facts.append(f"{compact(answer.num_tokens)} tokens")
    if answer.stop_reason == StopReason.LENGTH:
        facts.append("truncated")
    return (
        f'<div class="rollout"><span class="badge {_outcome_class(outcome)}">{escape(outcome)}</span>'
        f'<span class="note">{" · ".join(facts)}</span><div '
        f'class="answer">{_thinking(answer.text, think)}</div></div>'
    )


def _thinking(text: str, think: Sequence[str]) -> str:
    """The reasoning set apart from the answer; the whole text in one piece where the closing tag is missing."""
    close = text.find(think[1]) if len(think) == 2 and think[1] else -1
    if close < 0:
        return clip(text, ANSWER_CHARACTERS)
    close += len(think[1])
    return f'<span class="think">{clip(text[:close], ANSWER_CHARACTERS)}</span>{clip(text[close:], ANSWER_CHARACTERS)}'


# ---------------------------------------------------------------- provenance


def provenance(run: Run) -> str:
    """Every step with its id and its folder."""
    rows = "".join(
        f'<tr><th scope="row">{escape(stage.name)}</th><td class="wide"><code>{_folder_link(run, stage)}</code></td>'
        f'<td class="n">{duration(stage.row.seconds)}</td></tr>'
        for stage in run.stages
    )
    return (
        '<section><h2>Provenance</h2><p class="soft">A step\'s id is the hash of all that made it; the links open '
        "its folder.</p>"
        f"<details><summary>{len(run.stages)} steps and their ids</summary><div class=inner>"
        '<table class="plain"><thead><tr><th scope="col">step</th><th scope="col">id</th><th scope="col" '
        'class="n">time</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div></details></section>"
    )


def _folder_link(run: Run, stage: StageRecord) -> str:
    if stage.folder is None:
        return escape(stage.row.id)
    return f'<a href="{escape(stage.folder.relative_to(run.folder).as_posix())}/">{escape(stage.row.id)}</a>'
