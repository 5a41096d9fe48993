"""Rows and their numbers on a terminal. Where there is no colour, what is trained on stands between ⟦ and ⟧."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from posttrain.data.counts import DataStatistics, Spread
from posttrain.data.source import Fault
from posttrain.data.views import Part, RowView, TokenRun

_STYLES = {True: "green", False: "dim", None: ""}
_LABELS = 16  # columns


def print_row(row: RowView) -> None:
    """Turn by turn, or token run by token run where they are known."""
    console = Console(highlight=False, soft_wrap=True)
    head = f"row {row.number}  {row.kind}  id {row.id}"
    if row.tokens:
        head += f"  {row.num_tokens:,} tokens, {row.num_trained:,} trained"
    console.print(head, style="bold", markup=False)
    if row.turns:
        console.print(f"  {row.turns}", style="dim", markup=False)
    if row.fault:
        console.print(f"  the template refuses it: {row.fault}", style="red", markup=False)
    if row.tokens:
        for name, runs in row.tokens:
            console.print(f"  {name}", style="bold", markup=False)
            console.print(_runs(runs, colour=console.color_system is not None))
    else:
        for part in row.parts:
            console.print(_part(part, colour=console.color_system is not None))
    console.print()


def print_fault(fault: Fault) -> None:
    Console(highlight=False, soft_wrap=True).print(
        f"row {fault.row}  faulty: {fault.reason}", style="red", markup=False
    )


def _part(part: Part, *, colour: bool) -> Text:
    label = f"  {part.label:<{_LABELS}}"
    marked = part.trained and not colour
    body = part.text.replace("\n", "\n" + " " * len(label))
    note = "  (context, not trained on)" if part.trained is False and part.label != "rejected" else ""
    return Text.assemble((label, "bold"), (f"⟦{body}⟧" if marked else body, _STYLES[part.trained]), (note, "dim"))


def _runs(runs: tuple[TokenRun, ...], *, colour: bool) -> Text:
    text = Text()
    for index, run in enumerate(runs):
        opens = run.trained and not colour and (index == 0 or not runs[index - 1].trained)
        closes = run.trained and not colour and (index + 1 == len(runs) or not runs[index + 1].trained)
        style = "bold magenta" if run.special else _STYLES[run.trained]
        if run.special and run.trained:
            style = "bold green"
        text.append("⟦" if opens else "")
        text.append(run.text, style)
        text.append("⟧" if closes else "")
    return text


def print_statistics(name: str, found: DataStatistics) -> None:
    """A line a fact; what is 0 is left out."""
    print(f"{name}: {found.rows:,} rows, {found.faulty_rows:,} faulty")
    lines = {
        "turns a row": _spread(found.turns),
        "messages": _counts(found.roles),
        "rows with a system turn": found.with_system,
        "rows with tools": found.with_tools,
        "rows with tool calls": found.with_tool_calls,
        "rows with reasoning": found.with_reasoning,
        "turns that are context only": found.context_turns,
        "rows whose prompt another row has": found.same_prompt,
        "languages": _counts(found.languages),
        "characters a row": _spread(found.characters),
        "tokens a row": _spread(found.tokens),
        "trained share of the tokens": None if found.trained_share is None else f"{found.trained_share:.1%}",
    }
    for label, value in lines.items():
        if value:
            print(f"  {label:<34} {value if isinstance(value, str) else format(value, ',')}")
    for reason, count in found.faults.items():
        print(f"  fault {count:>6,} x  {reason}")


def _spread(numbers: Spread | None) -> str:
    if numbers is None:
        return ""
    between = f"{numbers.min:,} to {numbers.max:,}, median {numbers.p50:,}"
    return f"{between}, 90 % up to {numbers.p90:,}; {numbers.sum:,} in all"


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())
