"""The sections of the report, each a function from what a run left to HTML. A section with nothing to show says so or
is empty.

Everything that comes from a file goes through `escape` or `clip`. Knows nothing of how sections are joined into a page
(html.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from posttrain.evaluate.table import Row, Table, duration, percent, row_label, whole_percent
from posttrain.records.reader import EvaluationRecord, Run, StageRecord, VerdictCounts, number
from posttrain.report.figures import Point, score_chart
from posttrain.report.text import compact, escape

KIND_WORDS = {
    "base": "base",
    "fitness": "models checked",
    "sft": "supervised",
    "pairs": "preference pairs",
    "dpd": "distillation",
    "filter": "difficulty filter",
    "grpo": "reinforcement",
    "reward_model": "reward model",
    "evaluate": "evaluation",
    "export": "export",
}


# ---------------------------------------------------------------- head


def head(run: Run, table: Table, links: Sequence[tuple[str, str]]) -> str:
    """Name, headline, facts, links. links: (label, relative address)."""
    facts = "".join(
        f"<div><dt>{escape(label)}</dt><dd>{escape(value)}</dd></div>" for label, value in _facts(run, table) if value
    )
    anchors = "".join(f'<a href="{escape(address)}">{escape(label)}</a>' for label, address in links)
    return (
        f'<header><h1>{escape(run.name)}</h1><p class="lede">{_headline(table)}</p><dl class="facts">{facts}</dl>'
        f'<nav aria-label="Files of this run">{anchors}</nav></header>{notice(run)}'
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
        f"<b>{percent(first.mean)} → {percent(last.mean)}</b> mean {over}, from {escape(row_label(first))} to "
        f"{escape(row_label(last))}."
    )


def _facts(run: Run, table: Table) -> list[tuple[str, str]]:
    steps = lanes(run, table.verdicts)
    trained, generated = sum(lane.trained or 0 for lane in steps), sum(lane.generated or 0 for lane in steps)
    return [
        ("base", base_words(run.recipe.get("base"))),
        ("seed", str(run.recipe.get("seed", ""))),
        ("code judged at level", table.judge_level or ""),
        ("machine", _machine(run)),
        ("time of all stages", duration(sum(stage.seconds or 0 for stage in run.stages))),
        ("tokens trained on", compact(trained) if trained else ""),
        ("tokens generated", compact(generated) if generated else ""),
    ]


def base_words(base: object) -> str:
    """The recipe's base in one line: its path, short revision, or the toy's shape."""
    if not isinstance(base, Mapping):
        return str(base or "")
    toy, revision = base.get("toy"), base.get("revision")
    if isinstance(toy, Mapping):
        return f"toy {toy.get('architecture', '')}, {toy.get('layers', '?')} layers of {toy.get('hidden_size', '?')}"
    return f"{base.get('path', '')}{f' @ {str(revision)[:10]}' if revision else ''}"


def _machine(run: Run) -> str:
    """Cores and engine, as the last manifest that recorded them says."""
    for stage in reversed(run.stages):
        facts = stage.manifest.get("machine")
        if isinstance(facts, Mapping) and facts:
            engines = facts.get("engines")
            devices = (
                sorted({str(engine.get("device")) for engine in engines.values()})
                if isinstance(engines, Mapping)
                else []
            )
            engine = (
                f", {facts['engine_backend']}{' on ' + ', '.join(devices) if devices else ''}"
                if facts.get("engine_backend")
                else ""
            )
            return f"{facts.get('cores', '?')} cores{engine}"
    return ""


def notice(run: Run) -> str:
    """What is not finished, failed or unreadable; empty for a complete run."""
    lines = []
    for stage in run.stages:
        if stage.status == "failed":
            reason = f": {escape(stage.error)}" if stage.error else ""
            lines.append(f"<b>{escape(stage.name)}</b> failed{reason}.")
    pending = [stage.name for stage in run.stages if stage.status == "pending"]
    if pending:
        lines.append(f"{len(pending)} of {len(run.stages)} steps have not run yet: {_listed(pending)}.")
    lines += [f"{escape(note)}." for note in run.notes]
    if not lines:
        return ""
    again = (
        "The same <code>posttrain run</code> command continues where this one ended."
        if pending or len(lines) > len(run.notes)
        else ""
    )
    return f'<div class="notice" role="status">{"".join(f"<p>{line}</p>" for line in lines)}<p>{again}</p></div>'


def _listed(names: Sequence[str], limit: int = 12) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(escape(name) for name in names[:limit]) + more


# ---------------------------------------------------------------- results


def results(table: Table) -> str:
    """The table and the charts of the same numbers."""
    if not table.suites:
        return '<section><h2>Results</h2><p class="soft">No checkpoint has been evaluated yet.</p></section>'
    heads = "".join(f'<th scope="col">{escape(suite)}</th>' for suite in table.suites)
    heads += '<th scope="col" class="n">mean</th>' if len(table.suites) > 1 else ""
    body = "".join(_result_row(table, row) for row in table.rows)
    references = "".join(_result_row(table, row) for row in table.references)
    faults = sum(cell.faults or 0 for row in (*table.rows, *table.references) for cell in row.cells.values())
    fault_words = (
        f" {faults:,} samples could not be judged; they are left out of the means."
        if faults
        else " Every sample was judged."
    )
    sizes = sorted({cell.n for row in (*table.rows, *table.references) for cell in row.cells.values()})
    problems = f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    return (
        f"<section><h2>Results</h2><p class=soft>{table.measure} in percent on {problems} held-out problems a suite. "
        f"Brackets and bars: 95&nbsp;% interval, bootstrap over problems.{fault_words}</p>"
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
    label = escape(row_label(row))
    return f'<tr{" class=reference" if row.role else ""}><th scope="row">{label}</th>{cells}{mean}</tr>'


def _result_cell(cell: EvaluationRecord | None) -> str:
    if cell is None:
        return '<span class="note">not evaluated</span>'
    low, high = cell.ci95
    length = f"mean length {compact(cell.mean_tokens)} tokens; truncated {percent(cell.truncated_share)} %"
    title = f"pass@{cell.k} {percent(cell.pass_at_k)} %; {length}"
    return (
        f'<span title="{title}"><b>{percent(cell.avg_at_k)}</b> <span class="ci">[{percent(low)}, '
        f"{percent(high)}]</span></span>"
        f'<span class="track"><i class="range" style="left:{100 * low:.1f}%;width:{100 * (high - low):.1f}%"></i>'
        f'<i class="at" style="left:{100 * cell.avg_at_k:.1f}%"></i></span>'
        f'<span class="note">format {whole_percent(cell.format_valid)} · {duration(cell.seconds)}</span>'
    )


def _chart(table: Table, suite: str) -> str:
    scored = [(row, row.cells[suite]) for row in table.rows if suite in row.cells]
    points = [
        Point(label=row_label(row), value=cell.avg_at_k, low=cell.ci95[0], high=cell.ci95[1]) for row, cell in scored
    ]
    levels = [
        (row_label(row), row.cells[suite].avg_at_k)
        for row in table.references
        if row.role == "teacher" and suite in row.cells
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
    first step."""

    name: str
    kind: str
    status: str
    start: float
    seconds: float | None
    trained: float | None
    generated: float | None


def tokens_of(stage: StageRecord, verdicts: Sequence[VerdictCounts]) -> tuple[float | None, float | None]:
    """(trained on, generated), as the stage's metrics say; the tokens of published rollouts where they do not."""
    metrics = stage.metrics
    trained = number(metrics.get("trained_tokens"))
    generated = number(metrics.get("generated_tokens"))
    if generated is None and stage.kind == "filter":
        generated = number(metrics.get("tokens"))
    if generated is None:
        generated = next(
            (float(record.num_tokens) / record.counted_share for record in verdicts if record.stage == stage.name), None
        )
    return trained, generated


def lanes(run: Run, verdicts: Sequence[VerdictCounts]) -> list[Lane]:
    """Steps in run order, laid end to end; neighbouring evaluations of one checkpoint share a lane."""
    samples = {
        f"{e.checkpoint}.eval.{e.suite}": e.mean_tokens * e.n * e.k
        for e in run.evaluations
        if e.mean_tokens is not None
    }  # tokens an evaluation generated, from its mean length
    found: list[Lane] = []
    clock = 0.0
    for stage in run.stages:
        trained, generated = tokens_of(stage, verdicts)
        generated = generated if generated is not None else samples.get(stage.name)
        name = f"evaluation of {stage.name.split('.eval.')[0]}" if stage.kind == "evaluate" else stage.name
        lane = Lane(
            name=name,
            kind=stage.kind,
            status=stage.status,
            start=clock,
            seconds=stage.seconds,
            trained=trained,
            generated=generated,
        )
        clock += stage.seconds or 0.0
        if found and found[-1].name == name and stage.kind == "evaluate":
            lane = _merge(found.pop(), lane)
        found.append(lane)
    return found


def _merge(first: Lane, second: Lane) -> Lane:
    def total(a: float | None, b: float | None) -> float | None:
        return None if a is None and b is None else (a or 0.0) + (b or 0.0)

    worst = min((first.status, second.status), key=("failed", "pending", "ran", "resumed", "cached").index)
    return Lane(
        name=first.name,
        kind=first.kind,
        status=worst,
        start=first.start,
        seconds=total(first.seconds, second.seconds),
        trained=total(first.trained, second.trained),
        generated=total(first.generated, second.generated),
    )


def timeline(run: Run, table: Table) -> str:
    """When each step ran, how long it took, how many tokens it trained on and generated."""
    rows = lanes(run, table.verdicts)
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
    tokens = (
        " / ".join(compact(value) for value in (lane.trained, lane.generated)) if lane.trained or lane.generated else ""
    )
    failed = " failed" if lane.status == "failed" else ""
    return (
        f'<tr><th scope="row">{escape(lane.name)}</th><td class="when"><span class="lane">{bar}</span></td>'
        f'<td class="n">{duration(lane.seconds)}</td><td class="n tokens">{tokens}</td>'
        f'<td class="status{failed}">{escape(lane.status)}</td></tr>'
    )
