"""The history of a row on a terminal: what was asked, what was said, what was found, and what it came to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.text import Text

_LABELS = 14  # columns
_PLAIN = (str, int, float)


def print_history(record: Mapping[str, Any]) -> None:
    """One row, event by event."""
    console = Console(highlight=False, soft_wrap=True)
    fate = "kept" if record["kept"] else f"set aside: {record['set_aside']}"
    console.print(f"row {record['row']}  id {record['id']}  {fate}", style="bold", markup=False)
    _part(console, "question", record["question"])
    if record["gold"] not in (None, ""):
        gold = record["gold"]
        _part(console, "gold", gold if isinstance(gold, str) else json.dumps(gold, ensure_ascii=False))
    for number, answer in enumerate(record["given"]):
        _part(console, f"given {number}", answer)
    for event in record["events"]:
        _event(console, event)
    for one in record["dropped"]:
        _part(console, "dropped", f"{one['what']}: {one['reason']}", "dim")
    for row in record["kept"]:
        if "chosen" in row:
            _part(console, "chosen", row["chosen"], "green")
            _part(console, "rejected", row["rejected"], "red")
            _part(console, "provenance", json.dumps(row["provenance"], ensure_ascii=False), "dim")
            continue
        _part(console, "kept", row["completion"][-1]["content"], "green")
        _part(console, "made from", json.dumps(row["made_from"], ensure_ascii=False), "dim")
    console.print()


def _event(console: Console, event: Mapping[str, Any]) -> None:
    if "rules" in event:
        read = f", read as {event['extracted']!r}" if event.get("extracted") else ""
        text = f"{event['rules']}: {event['outcome']} ({event['reason']}){read}"
        _part(console, event["place"], text, "cyan")
        return
    if "found" in event:
        found = ", ".join(f"{name} {value}" for name, value in event["found"].items())
        _part(console, event["place"], found, "cyan")
        return
    prompt, completion = event.get("tokens") or (None, None)
    spent = f", {prompt} + {completion} tokens" if completion is not None else ""
    console.print(
        f"  {event['place']}  {event['role']} ({event.get('by', 'not asked')}{spent})", style="bold", markup=False
    )
    if "refused" in event:
        _part(console, "", f"refused: {event['refused']}", "red")
        return
    if "unread" in event:
        _part(console, "", f"not in its form: {event['unread']}", "red")
    fields = event.get("fields")
    if fields is None:
        _part(console, "", event["reply"] + (" [cut off]" if event.get("cut") else ""))
        return
    for name, value in fields.items():
        if isinstance(value, _PLAIN):
            _part(console, f"  {name}", str(value))
            continue
        for number, item in enumerate(value, start=1):
            marks = ", ".join(str(mark) for key, mark in item.items() if key != "text")
            _part(console, f"  {name} {number}", f"({marks}) {item['text']}")


def _part(console: Console, label: str, text: str, style: str = "") -> None:
    head = f"  {label:<{_LABELS}}  "
    body = text.replace("\n", "\n" + " " * len(head))
    console.print(Text.assemble((head, "bold"), (body, style)))
