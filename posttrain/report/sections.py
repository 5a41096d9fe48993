"""The sections of the report, each a function from what a run left to HTML. A section with nothing to show says so or
is empty.

Everything that comes from a file goes through `escape` or `clip`. Knows nothing of how sections are joined into a page
(html.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from posttrain.evaluate.table import (
    Cell,
    Row,
    Table,
    Yardstick,
    duration,
    percent,
    whole_percent,
)
from posttrain.recipe.schema import ModelRef, Recipe
from posttrain.records.metrics import Tokens
from posttrain.records.reader import Run, StageRecord
from posttrain.records.results import Status
from posttrain.report.figures import Point, score_chart
from posttrain.report.text import compact, escape

Count = TypeVar("Count", int, float)
KIND_WORDS = {
    "base": "base",
    "fitness": "models checked",
    "tokens": "rows to tokens",
    "clean": "rows cleaned",
    "mix": "rows mixed",
    "verify": "rows verified",
    "prefer": "pairs made",
    "refine": "rows refined",
    "reconstruct": "chains rebuilt",
    "tests": "tests written",
    "sft": "supervised",
    "pairs": "preference pairs",
    "teacher_logprobs": "teacher's distributions",
    "dpd": "distillation",
    "filter": "difficulty filter",
    "grpo": "reinforcement",
    "reward_model": "reward model",
    "evaluate": "evaluation",
    "gate": "gate",
    "export": "export",
}


# ---------------------------------------------------------------- head


def head(run: Run, table: Table, recipe: Recipe | None, links: Sequence[tuple[str, str]]) -> str:
    """Name, headline, facts, links. links: (label, relative address)."""
    facts = "".join(
        f"<div><dt>{escape(label)}</dt><dd>{escape(value)}</dd></div>"
        for label, value in _facts(run, table, recipe)
        if value
    )
    anchors = "".join(f'<a href="{escape(address)}">{escape(label)}</a>' for label, address in links)
    return (
        f'<header><h1>{escape(run.name)}</h1><p class="lede">{_headline(table)}</p><dl class="facts">{facts}</dl>'
        f'<nav aria-label="Files of this run">{anchors}</nav></header>'
    )


def _headline(table: Table) -> str:
    scored = [row for row in table.rows if row.mean is not None]
    if len(scored) < 2 or scored[0].mean is None or scored[-1].mean is None:
        return "A post-training run, from its published files."
    first, last = scored[0], scored[-1]
    over = (
        f"{table.measure} over {len(table.suites)} suites"
        if len(table.suites) > 1
        else f"{table.measure} on {escape(table.suites[0])}"
    )
    return (
        f"<b>{percent(first.mean)} → {percent(last.mean)}</b> mean {over}, from {escape(first.label)} to "
        f"{escape(last.label)}."
    )


def _facts(run: Run, table: Table, recipe: Recipe | None) -> list[tuple[str, str]]:
    counts = [_step_tokens(run, stage) for stage in run.stages]
    trained, generated = sum(count.trained or 0 for count in counts), sum(count.generated or 0 for count in counts)
    return [
        ("base", base_words(recipe.base) if recipe is not None else ""),
        ("seed", str(recipe.seed) if recipe is not None else ""),
        ("code judged at level", table.judge_level or ""),
        ("machine", _machine(run)),
        ("time of all stages", duration(sum(stage.row.seconds or 0 for stage in run.stages))),
        ("tokens trained on", compact(trained) if trained else ""),
        ("tokens generated", compact(generated) if generated else ""),
    ]


def base_words(base: ModelRef) -> str:
    """The recipe's base in one line: its path, short revision, or the toy's shape."""
    if base.toy is not None:
        return f"toy {base.toy.architecture}, {base.toy.layers} layers of {base.toy.hidden_size}"
    return f"{base.path} @ {base.revision[:10]}" if base.revision else base.path


def _machine(run: Run) -> str:
    """Cores and engine, as the last manifest that recorded them says. Example: "2 cores, vllm on cpu"."""
    for stage in reversed(run.stages):
        facts = stage.manifest.machine if stage.manifest is not None else None
        if facts is not None:
            devices = sorted({engine.device for engine in facts.engines.values()})
            on = f" on {', '.join(devices)}" if devices else ""
            return f"{facts.cores} cores, {facts.engine_backend}{on}"
    return ""


def notice(run: Run, notes: Sequence[str]) -> str:
    """What is not finished, failed or unreadable; empty for a complete run."""
    lines = []
    for stage in run.stages:
        if stage.row.status is Status.FAILED:
            reason = f": {escape(stage.row.error)}" if stage.row.error else ""
            lines.append(f"<b>{escape(stage.name)}</b> failed{reason}.")
    pending = [stage.name for stage in run.stages if stage.row.status is Status.PENDING]
    if pending:
        lines.append(f"{len(pending)} of {len(run.stages)} steps have not run yet: {_listed(pending)}.")
    lines += [f"{escape(note)}." for note in notes]
    if not lines:
        return ""
    again = (
        "The same <code>posttrain run</code> command continues where this one ended."
        if pending or len(lines) > len(notes)
        else ""
    )
    return f'<div class="notice" role="status">{"".join(f"<p>{line}</p>" for line in lines)}<p>{again}</p></div>'


def _listed(names: Sequence[str], limit: int = 12) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(escape(name) for name in names[:limit]) + more


# ---------------------------------------------------------------- results


def score_section(table: Table, contamination: Mapping[str, Sequence[str]]) -> str:
    """The table and the charts of the same numbers. contamination: suite -> what stages found of it in training
    rows."""
    if not table.suites:
        return '<section><h2>Results</h2><p class="soft">No checkpoint has been evaluated yet.</p></section>'
    said = {
        suite: "".join(f"<br><small class=soft>{escape(line)}</small>" for line in contamination.get(suite, ()))
        for suite in table.suites
    }
    heads = "".join(f'<th scope="col">{escape(suite)}{said[suite]}</th>' for suite in table.suites)
    heads += '<th scope="col" class="n">mean</th>' if len(table.suites) > 1 else ""
    body = "".join(_result_row(table, row) for row in table.rows)
    references = "".join(_result_row(table, row) for row in table.yardsticks)
    faults = sum(cell.scores.faults for cell in table.cells)
    fault_words = (
        f" {faults:,} samples could not be judged; they are left out of the means."
        if faults
        else " Every sample was judged."
    )
    return (
        f"<section><h2>Results</h2><p class=soft>{table.measure} in percent on {table.problems} held-out problems a "
        f"suite. Brackets and bars: 95&nbsp;% interval, bootstrap over problems.{fault_words}</p>"
        f'<table class="results"><thead><tr><th scope="col">checkpoint</th>{heads}</tr></thead><tbody>{body}</tbody>'
        f"{f'<tbody class=references>{references}</tbody>' if references else ''}</table>"
        '<div class="grid" '
        f'style="margin-top:26px">{"".join(_chart(table, suite) for suite in table.suites)}</div></section>'
    )


def _result_row(table: Table, row: Row) -> str:
    cells = "".join(
        f'<td data-suite="{escape(suite)}">{_result_cell(row.cells.get(suite))}</td>' for suite in table.suites
    )
    mean = f'<td class="n" data-suite="mean"><b>{percent(row.mean)}</b></td>' if len(table.suites) > 1 else ""
    kind = " class=reference" if row.yardstick is not None else ""
    return f'<tr{kind}><th scope="row">{escape(row.label)}</th>{cells}{mean}</tr>'


def _result_cell(cell: Cell | None) -> str:
    if cell is None:
        return '<span class="note">not evaluated</span>'
    scores = cell.scores
    low, high = scores.ci95
    length = f"mean length {compact(scores.mean_tokens)} tokens; truncated {percent(scores.truncated_share)} %"
    title = f"pass@{scores.k} {percent(scores.pass_at_k)} %; {length}"
    return (
        f'<span title="{title}"><b>{percent(scores.avg_at_k)}</b> <span class="ci">[{percent(low)}, '
        f"{percent(high)}]</span></span>"
        f'<span class="track"><i class="range" style="left:{100 * low:.1f}%;width:{100 * (high - low):.1f}%"></i>'
        f'<i class="at" style="left:{100 * scores.avg_at_k:.1f}%"></i></span>'
        f'<span class="note">format {whole_percent(scores.format_valid)} · {duration(cell.seconds)}</span>'
    )


def _chart(table: Table, suite: str) -> str:
    scored = [(row.label, row.cells[suite].scores) for row in table.rows if suite in row.cells]
    points = [
        Point(label=label, value=scores.avg_at_k, low=scores.ci95[0], high=scores.ci95[1]) for label, scores in scored
    ]
    levels = [
        (row.label, row.cells[suite].scores.avg_at_k)
        for row in table.yardsticks
        if row.yardstick is Yardstick.TEACHER and suite in row.cells
    ]
    if not points:
        return ""
    last = f"{percent(points[-1].value)} %"
    drawing = score_chart(suite, points, levels)
    return f'<figure><figcaption><b>{escape(suite)}</b><span class="soft">{last}</span></figcaption>{drawing}</figure>'


# ---------------------------------------------------------------- timeline


@dataclass(frozen=True, kw_only=True, slots=True)
class Lane:
    """One line of the timeline: a step, or all evaluations of one checkpoint. `start` counts seconds of work since the
    first step.

    Example: Lane(name="stem", kind="grpo", status=Status.RAN, start=412.0, seconds=61.5, tokens=Tokens(...))
    """

    name: str
    kind: str
    status: Status
    start: float
    seconds: float | None
    tokens: Tokens


WORST_FIRST = (Status.FAILED, Status.PENDING, Status.RAN, Status.RESUMED, Status.CACHED)


def _step_tokens(run: Run, stage: StageRecord) -> Tokens:
    """What a step trained on and generated: an evaluation's count stands in its scores, any other's in its metrics."""
    for evaluation in run.evaluations:
        if evaluation.step == stage.name:
            return Tokens(trained=None, generated=evaluation.generated_tokens)
    return stage.tokens


def lanes(run: Run) -> list[Lane]:
    """Steps in run order, laid end to end; neighbouring evaluations of one checkpoint share a lane."""
    found: list[Lane] = []
    before: str | None = None  # the checkpoint that the lane before evaluates
    clock = 0.0
    for stage in run.stages:
        row = stage.row
        checkpoint = row.checkpoint if row.kind == "evaluate" else None
        lane = Lane(
            name=f"evaluation of {checkpoint}" if checkpoint is not None else row.name,
            kind=row.kind,
            status=row.status,
            start=clock,
            seconds=row.seconds,
            tokens=_step_tokens(run, stage),
        )
        clock += row.seconds or 0.0
        if checkpoint is not None and checkpoint == before:
            lane = _merge(found.pop(), lane)
        found.append(lane)
        before = checkpoint
    return found


def _merge(first: Lane, second: Lane) -> Lane:
    return Lane(
        name=first.name,
        kind=first.kind,
        status=min((first.status, second.status), key=WORST_FIRST.index),
        start=first.start,
        seconds=_total(first.seconds, second.seconds),
        tokens=Tokens(
            trained=_total(first.tokens.trained, second.tokens.trained),
            generated=_total(first.tokens.generated, second.tokens.generated),
        ),
    )


def _total(a: Count | None, b: Count | None) -> Count | None:
    """The sum of what is known; None where nothing is."""
    known = [value for value in (a, b) if value is not None]
    return sum(known[1:], known[0]) if known else None


def timeline(run: Run) -> str:
    """When each step ran, how long it took, how many tokens it trained on and generated."""
    rows = lanes(run)
    whole = max((lane.start + (lane.seconds or 0.0) for lane in rows), default=0.0) or 1.0
    kinds = [kind for kind in KIND_WORDS if any(lane.kind == kind for lane in rows)]
    legend = "".join(f'<span><i class="key k-{kind}"></i>{KIND_WORDS[kind]}</span>' for kind in kinds)
    body = "".join(_lane_row(lane, whole) for lane in rows)
    return (
        f'<section><h2>Timeline</h2><p class="soft">Steps end to end, {duration(whole)} in all. '
        "A cached step shows the time it took when it ran.</p>"
        f'<div class="legend">{legend}</div><table class="timeline"><thead><tr><th scope="col">step</th><th '
        'scope="col">when</th>'
        f'<th scope="col" class="n">time</th><th scope="col" class="n">tokens trained / generated</th>'
        f'<th scope="col">status</th></tr></thead><tbody>{body}</tbody></table></section>'
    )


def _lane_row(lane: Lane, whole: float) -> str:
    bar = ""
    if lane.seconds is not None:
        kind = lane.kind if lane.kind in KIND_WORDS else "custom"
        title = f"{escape(lane.name)}: {duration(lane.seconds)}, from {duration(lane.start)}"
        position = f"left:{100 * lane.start / whole:.2f}%;width:{100 * lane.seconds / whole:.2f}%"
        bar = f'<i class="k-{kind}" style="{position}" title="{title}"></i>'
    trained, generated = lane.tokens.trained, lane.tokens.generated
    tokens = f"{compact(trained)} / {compact(generated)}" if trained or generated else ""
    failed = " failed" if lane.status is Status.FAILED else ""
    return (
        f'<tr><th scope="row">{escape(lane.name)}</th><td class="when"><span class="lane">{bar}</span></td>'
        f'<td class="n">{duration(lane.seconds)}</td><td class="n tokens">{tokens}</td>'
        f'<td class="status{failed}">{escape(lane.status)}</td></tr>'
    )
