"""The table of a run: a row a checkpoint, a column a suite; beneath it filters, verdicts and the judge's level.

Builds one `Table` from what a run left and renders it for the terminal (rich) and for a README (Markdown);
report/html.py renders the same `Table` for a browser. Knows nothing of where a run's numbers lie in its folder:
results.py does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from posttrain.records.reader import (
    EvaluationRecord,
    FilterRecord,
    Run,
    VerdictCounts,
    filters_of,
    judge_level,
    read_run,
    reference_checkpoints,
    verdicts_of,
)

MAX_NAMED = 6  # unfinished steps named in a line


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One checkpoint. `cells` maps a suite to its evaluation; a suite not yet scored is missing. `mean` needs all
    suites, else None.

    `role` is empty on the line from base to final model, else why the row is one of reference: "teacher", "few-shot",
    "control".
    """

    checkpoint: str
    role: str
    cells: Mapping[str, EvaluationRecord]
    mean: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """Everything the table shows. `rows` in run order, then `references`."""

    suites: tuple[str, ...]
    rows: tuple[Row, ...]
    references: tuple[Row, ...]
    filters: tuple[FilterRecord, ...]
    verdicts: tuple[VerdictCounts, ...]
    judge_level: str | None
    unfinished: tuple[str, ...]  # "preference (pending)": stages without a published result

    @property
    def k(self) -> tuple[int, ...]:
        return tuple(sorted({cell.k for row in (*self.rows, *self.references) for cell in row.cells.values()}))

    @property
    def measure(self) -> str:
        """avg@8, or avg@k where suites differ."""
        return f"avg@{self.k[0]}" if len(self.k) == 1 else "avg@k"


def build_table(run: Run) -> Table:
    """Arrange what `run` holds. A run that broke off gives the rows it has."""
    suites = tuple(dict.fromkeys(evaluation.suite for evaluation in run.evaluations))
    beside = reference_checkpoints(run)
    cells: dict[str, dict[str, EvaluationRecord]] = {}
    for evaluation in run.evaluations:
        cells.setdefault(evaluation.checkpoint, {})[evaluation.suite] = evaluation
    position = {stage.name: index for index, stage in enumerate(run.stages)}
    ordered = sorted(
        cells, key=lambda name: position.get(name, len(position))
    )  # stable: a name that is no stage goes to the end
    rows = [
        Row(
            checkpoint=name,
            role=beside.get(name, ""),
            cells=cells[name],
            mean=sum(cell.avg_at_k for cell in cells[name].values()) / len(suites)
            if len(cells[name]) == len(suites)
            else None,
        )
        for name in ordered
    ]
    return Table(
        suites=suites,
        rows=tuple(row for row in rows if not row.role),
        references=tuple(row for row in rows if row.role),
        filters=tuple(filters_of(run)),
        verdicts=tuple(verdicts_of(run)),
        judge_level=judge_level(run),
        unfinished=tuple(
            f"{stage.name} ({stage.status})" for stage in run.stages if stage.status in ("failed", "pending")
        ),
    )


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


def row_label(row: Row) -> str:
    """What a reader sees: distil.teacher -> teacher of distil; a few-shot row of base -> base, few-shot; others keep
    their name."""
    if row.role == "teacher" and row.checkpoint.endswith(".teacher"):
        return f"teacher of {row.checkpoint.removesuffix('.teacher')}"
    if row.role == "few-shot":
        return "base, few-shot"
    return (
        f"{row.checkpoint} (control)" if row.role == "control" and "control" not in row.checkpoint else row.checkpoint
    )


def filter_line(record: FilterRecord) -> str:
    return f"{record.stage} kept {record.kept} of {record.prompts} prompts ({percent(record.kept_share)} %)"


def verdict_line(record: VerdictCounts) -> str:
    """One stage's verdicts as a line. Example: "stem: 5120 verdicts: 4138 correct, 982 wrong"."""
    total = sum(record.outcomes.values())
    parts = [
        f"{count} {outcome}" for outcome, count in sorted(record.outcomes.items(), key=lambda item: (-item[1], item[0]))
    ]
    part = (
        "" if record.counted_share == 1.0 else f" in the {percent(record.counted_share)} % of steps that were counted"
    )
    return f"{record.stage}: {total} verdicts{part}: {', '.join(parts)}"


def caption(table: Table) -> str:
    sizes = sorted({cell.n for row in (*table.rows, *table.references) for cell in row.cells.values()})
    problems = f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}" if sizes else "0"
    measure = f"{table.measure} in percent [95 % interval, bootstrap over problems]"
    return f"{measure}; share of answers in valid format; time. {problems} problems a suite."


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
    if table.references:
        grid.add_section()
        for row in table.references:
            grid.add_row(*_rich_cells(table, row), style="dim")
    return Group(grid, Text(""), *(Text(line) for line in closing_lines(table)))


def _rich_cells(table: Table, row: Row) -> list[Text]:
    cells = [Text(row_label(row))]
    for suite in table.suites:
        cell = row.cells.get(suite)
        if cell is None:
            cells.append(Text("-"))
            continue
        # Whole points in the interval, so that three suites fit 80 columns; Markdown and HTML have the tenths.
        text = Text(f"{percent(cell.avg_at_k)} ", style="bold", no_wrap=True)
        text.append(f"[{100 * cell.ci95[0]:.0f}, {100 * cell.ci95[1]:.0f}]\n", style="not bold")
        text.append(f"{whole_percent(cell.format_valid)}, {duration(cell.seconds)}", style="dim not bold")
        cells.append(text)
    if len(table.suites) > 1:
        cells.append(Text(percent(row.mean), style="bold"))
    return cells


def closing_lines(table: Table) -> list[str]:
    """Filters, verdicts, the judge's level and what is unfinished: one line each."""
    lines = [filter_line(record) for record in table.filters] + [verdict_line(record) for record in table.verdicts]
    if table.judge_level:
        unsafe = "  UNSAFE: it ran as you, with your files and network" if table.judge_level == "none" else ""
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
    for row in (*table.rows, *table.references):
        label = f"*{_escape_markdown(row_label(row))}*" if row.role else _escape_markdown(row_label(row))
        cells = [label, *(_markdown_cell(row.cells.get(suite)) for suite in table.suites)]
        lines.append(_markdown_row([*cells, *([percent(row.mean)] if wide else [])]))
    lines += ["", caption(table), "", *(f"- {_escape_markdown(line)}" for line in closing_lines(table))]
    return "\n".join(lines).rstrip() + "\n"


def _markdown_cell(cell: EvaluationRecord | None) -> str:
    if cell is None:
        return "-"
    interval = f"[{percent(cell.ci95[0])}, {percent(cell.ci95[1])}]"
    return f"**{percent(cell.avg_at_k)}** {interval}<br>format {percent(cell.format_valid)} %, {duration(cell.seconds)}"


def _markdown_row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _escape_markdown(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def print_table(run_dir: Path, console: Console | None = None) -> None:
    """Print the table of a run folder. RunFolderError when it is none."""
    (console or Console()).print(render_rich(build_table(read_run(run_dir))))
