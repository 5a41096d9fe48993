"""The table of a run: a row a checkpoint, a column a suite; beneath it filters, verdicts and the judge's level.

Builds one `Table` from what a run left and renders it for the terminal (rich) and for a README (Markdown);
report/html.py renders the same `Table` for a browser. Knows nothing of where a run's numbers lie in its folder:
records/reader.py does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from posttrain.records.metrics import FilterSummary
from posttrain.records.reader import Run, VerdictCounts, controls, judge_level, read_run, verdicts_of
from posttrain.records.results import Evaluation, Status
from posttrain.records.step import ModelRole
from sandbox.types import Level

MAX_NAMED = 6  # unfinished steps named in a line


class Yardstick(StrEnum):
    """Why a row stands beside the line from base to final model."""

    TEACHER = "teacher"
    FEW_SHOT = "few-shot"
    CONTROL = "control"


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """One checkpoint on one suite: the scores, and the seconds that scoring took (None: not known).

    Example: Cell(scores=Evaluation(checkpoint="general", suite="stem", avg_at_k=0.41, ...), seconds=12.5)
    """

    scores: Evaluation
    seconds: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One checkpoint. `cells` maps a suite to its cell; a suite not yet scored is missing. `mean` needs all suites,
    else None. `yardstick` is None on the line from base to final model. `label` is what a reader sees.

    Example: Row(checkpoint="dpd.teacher", label="teacher of dpd", yardstick=Yardstick.TEACHER, cells={...}, mean=0.8)
    """

    checkpoint: str
    label: str
    yardstick: Yardstick | None
    cells: Mapping[str, Cell]
    mean: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """Everything the table shows. `rows` in run order, then `yardsticks`; `filters` by name of the step."""

    suites: tuple[str, ...]
    rows: tuple[Row, ...]
    yardsticks: tuple[Row, ...]
    filters: Mapping[str, FilterSummary]
    verdicts: tuple[VerdictCounts, ...]
    judge_level: Level | None
    unfinished: tuple[str, ...]  # "preference (pending)": stages without a published result

    @property
    def cells(self) -> tuple[Cell, ...]:
        return tuple(cell for row in (*self.rows, *self.yardsticks) for cell in row.cells.values())

    @property
    def measure(self) -> str:
        """avg@8, or avg@k where suites differ."""
        found = {cell.scores.k for cell in self.cells}
        return f"avg@{found.pop()}" if len(found) == 1 else "avg@k"

    @property
    def problems(self) -> str:
        """How many problems a suite has: "100", "100 to 164" where suites differ, "0" before any is scored."""
        sizes = sorted({cell.scores.n for cell in self.cells})
        return f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}" if sizes else "0"


def build_table(run: Run) -> Table:
    """Arrange what `run` holds. A run that broke off gives the rows it has."""
    suites = tuple(dict.fromkeys(evaluation.suite for evaluation in run.evaluations))
    seconds = {stage.name: stage.row.seconds for stage in run.stages}
    beside = controls(run)
    scored: dict[str, dict[str, Cell]] = {}
    for evaluation in run.evaluations:
        cell = Cell(scores=evaluation, seconds=seconds.get(evaluation.step))
        scored.setdefault(evaluation.checkpoint, {})[evaluation.suite] = cell
    position = {stage.name: index for index, stage in enumerate(run.stages)}
    # The sort is stable: a checkpoint that is no step of its own (a model with worked examples) goes to the end.
    ordered = sorted(scored, key=lambda name: position.get(name, len(position)))
    rows = [_row(name, scored[name], suites, is_control=name in beside) for name in ordered]
    return Table(
        suites=suites,
        rows=tuple(row for row in rows if row.yardstick is None),
        yardsticks=tuple(row for row in rows if row.yardstick is not None),
        filters=run.filters,
        verdicts=tuple(verdicts_of(run)),
        judge_level=judge_level(run),
        unfinished=tuple(
            f"{stage.name} ({stage.row.status})"
            for stage in run.stages
            if stage.row.status in (Status.FAILED, Status.PENDING)
        ),
    )


def _row(checkpoint: str, cells: Mapping[str, Cell], suites: Sequence[str], *, is_control: bool) -> Row:
    one = next(iter(cells.values())).scores
    if one.few_shot:
        yardstick: Yardstick | None = Yardstick.FEW_SHOT
    elif one.role is ModelRole.TEACHER:
        yardstick = Yardstick.TEACHER
    else:
        yardstick = Yardstick.CONTROL if is_control else None
    means = [cell.scores.avg_at_k for cell in cells.values()]
    return Row(
        checkpoint=checkpoint,
        label=_label(one, is_control=is_control),
        yardstick=yardstick,
        cells=cells,
        mean=sum(means) / len(suites) if len(means) == len(suites) else None,
    )


def _label(scored: Evaluation, *, is_control: bool) -> str:
    """What a reader sees: "teacher of distil", "base, few-shot", "longer (control)"; others keep their name."""
    if scored.role is ModelRole.TEACHER:
        return f"teacher of {scored.stage}"
    if scored.few_shot:
        return f"{scored.stage or scored.role}, few-shot"
    return f"{scored.checkpoint} (control)" if is_control and scored.checkpoint != "control" else scored.checkpoint


# ---------------------------------------------------------------- words


def percent(share: float | None) -> str:
    """0.4125 -> "41.2"; None -> "-"."""
    return "-" if share is None else f"{100 * share:.1f}"


def whole_percent(share: float | None) -> str:
    """0.987 -> "99 %"; None -> "-". Never 100 % for less than all, nor 0 % for more than none."""
    if share is None:
        return "-"
    if share in (0.0, 1.0):
        return f"{100 * share:.0f} %"
    return f"{min(99.0, max(1.0, 100 * share)):.0f} %"


def duration(seconds: float | None) -> str:
    """12.4 -> "12 s", 75 -> "1 min 15 s", 7260 -> "2 h 1 min"; None -> "-"."""
    if seconds is None:
        return "-"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes == 0:
        return f"{rest} s"
    hours, minutes_left = divmod(minutes, 60)
    return f"{hours} h {minutes_left} min" if hours else f"{minutes} min {rest} s"


def filter_line(step: str, summary: FilterSummary) -> str:
    """Example: "stem.filter kept 212 of 400 prompts (53.0 %), 10.4 answers a prompt for avg@16"."""
    asked = f"{summary.answers_per_prompt:.1f} answers a prompt for avg@{summary.k}"
    return f"{step} kept {summary.kept} of {summary.prompts} prompts ({percent(summary.kept_share)} %), {asked}"


def verdict_line(record: VerdictCounts) -> str:
    """One stage's verdicts as a line. Example: "stem: 5120 verdicts: 4138 correct, 982 wrong"."""
    total = sum(record.outcomes.values())
    parts = [
        f"{count} {outcome}" for outcome, count in sorted(record.outcomes.items(), key=lambda item: (-item[1], item[0]))
    ]
    part = (
        "" if record.counted_share == 1.0 else f" in the {percent(record.counted_share)} % of steps that were counted"
    )
    return f"{record.step}: {total} verdicts{part}: {', '.join(parts)}"


def caption(table: Table) -> str:
    """What the numbers of the table are, in a line below it."""
    measure = f"{table.measure} in percent [95 % interval, bootstrap over problems]"
    return f"{measure}; share of answers in valid format; time. {table.problems} problems a suite."


# ---------------------------------------------------------------- terminal and Markdown


def render_rich(table: Table) -> RenderableType:
    """The table and the lines under it, for a rich console."""
    if not table.suites:
        return Group(Text("No checkpoint has been evaluated yet."), *(Text(line) for line in closing_lines(table)))
    grid = RichTable(
        caption=caption(table), caption_justify="left", show_edge=False, pad_edge=False, box=box.SIMPLE_HEAD
    )
    grid.add_column("checkpoint", no_wrap=True)
    for suite in table.suites:
        grid.add_column(suite, justify="right")
    if len(table.suites) > 1:
        grid.add_column("mean", justify="right")
    for row in table.rows:
        grid.add_row(*_rich_cells(table, row))
    if table.yardsticks:
        grid.add_section()
        for row in table.yardsticks:
            grid.add_row(*_rich_cells(table, row), style="dim")
    return Group(grid, Text(""), *(Text(line) for line in closing_lines(table)))


def _rich_cells(table: Table, row: Row) -> list[Text]:
    cells = [Text(row.label)]
    for suite in table.suites:
        cell = row.cells.get(suite)
        if cell is None:
            cells.append(Text("-"))
            continue
        # Whole points in the interval, so that three suites fit 80 columns; Markdown and HTML have the tenths.
        scores = cell.scores
        text = Text(f"{percent(scores.avg_at_k)} ", style="bold", no_wrap=True)
        text.append(f"[{100 * scores.ci95[0]:.0f}, {100 * scores.ci95[1]:.0f}]\n", style="not bold")
        text.append(f"{whole_percent(scores.format_valid)}, {duration(cell.seconds)}", style="dim not bold")
        cells.append(text)
    if len(table.suites) > 1:
        cells.append(Text(percent(row.mean), style="bold"))
    return cells


def closing_lines(table: Table) -> list[str]:
    """Filters, verdicts, the judge's level and what is unfinished: one line each."""
    lines = [filter_line(step, summary) for step, summary in table.filters.items()]
    lines += [verdict_line(counts) for counts in table.verdicts]
    if table.judge_level:
        unsafe = "  UNSAFE: it ran as you, with your files and network" if table.judge_level is Level.NONE else ""
        lines.append(f"generated code was judged at level: {table.judge_level}{unsafe}")
    if table.unfinished:
        more = len(table.unfinished) - MAX_NAMED
        lines.append(
            f"not finished: {', '.join(table.unfinished[:MAX_NAMED])}{f' and {more} more' if more > 0 else ''}"
        )
    return lines


def render_markdown(table: Table) -> str:
    """The same as a GitHub table and a list, ending in a newline."""
    wide = len(table.suites) > 1
    head = ["checkpoint", *(f"{suite} {table.measure}" for suite in table.suites), *(["mean"] if wide else [])]
    lines = [_markdown_row(head), _markdown_row(["---", *["---:"] * (len(head) - 1)])]
    for row in (*table.rows, *table.yardsticks):
        label = _escape_markdown(row.label) if row.yardstick is None else f"*{_escape_markdown(row.label)}*"
        cells = [label, *(_markdown_cell(row.cells.get(suite)) for suite in table.suites)]
        lines.append(_markdown_row([*cells, *([percent(row.mean)] if wide else [])]))
    lines += ["", caption(table), "", *(f"- {_escape_markdown(line)}" for line in closing_lines(table))]
    return "\n".join(lines).rstrip() + "\n"


def _markdown_cell(cell: Cell | None) -> str:
    if cell is None:
        return "-"
    scores = cell.scores
    score = f"**{percent(scores.avg_at_k)}** [{percent(scores.ci95[0])}, {percent(scores.ci95[1])}]"
    return f"{score}<br>format {percent(scores.format_valid)} %, {duration(cell.seconds)}"


def _markdown_row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _escape_markdown(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def print_table(run_dir: Path, console: Console | None = None) -> None:
    """Print the table of a run folder. RunFolderError when it is none."""
    (console or Console()).print(render_rich(build_table(read_run(run_dir))))
