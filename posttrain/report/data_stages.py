"""The section about stages that make rows: what they kept and why not the rest, how rules and judge agree, what it
cost, and sampled rows with how they came about.

Everything that comes from a file goes through `escape` or `clip`. Knows nothing of how the rows were made.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from posttrain.errors import RecordError
from posttrain.evaluate.table import percent
from posttrain.records.codec import from_json
from posttrain.records.metrics import DataStageMetrics
from posttrain.records.reader import Run, StageRecord
from posttrain.report.text import clip, compact, escape

KINDS = ("verify", "prefer", "refine", "reconstruct", "tests")
HISTORY = "history.jsonl"
_LOOKED_AT = 200  # records of a stage, for its samples
_CHARS = 1200


def data_stages(run: Run) -> str:
    """Every stage of this run that made rows by asking models."""
    parts = [_stage(stage) for stage in run.stages if stage.row.kind in KINDS and stage.row.metrics]
    if not parts:
        return ""
    return (
        '<section><h2>Rows made</h2><p class="soft">What the stages that ask models kept, why the rest was set aside, '
        f"and what it took. <code>posttrain data show RUN:STAGE --row N</code> tells a row's history.</p>"
        f"{''.join(parts)}</section>"
    )


def _stage(stage: StageRecord) -> str:
    try:
        found = from_json(DataStageMetrics, stage.row.metrics, stage.name)
    except RecordError as error:
        return f"<h3>{escape(stage.name)}</h3><p>{escape(error.what)}</p>"
    head = f"{found.kept:,} rows kept of {found.rows:,} read, {found.requests:,} requests"
    cost = f", cost {found.cost:,.2f}" if found.cost else ""
    aside = "".join(
        f'<tr><th scope="row">{escape(reason)}</th><td class="n">{count:,}</td></tr>'
        for reason, count in found.set_aside.items()
    )
    tables = [
        _table("set aside", "rows", aside),
        _table("rules / judge", "candidates", _agreement(found.agreement)),
        _table("kept by source", "share", _shares(found.kept_by_source)),
        _table("kept by length", "share", _shares(found.kept_by_length)),
        _table("counted", "", "".join(_row(name, f"{count:,}") for name, count in found.counts.items())),
        _table(
            "model", "requests, tokens in + out, cost", "".join(_use(role, use) for role, use in found.roles.items())
        ),
    ]
    samples = _samples(stage.folder / HISTORY) if stage.folder else ""
    return (
        f'<h3>{escape(stage.name)} <span class="note">{escape(stage.row.kind)}: {head}{cost}</span></h3>'
        f'<div class="grid">{"".join(tables)}</div>{samples}'
    )


def _table(head: str, unit: str, body: str) -> str:
    if not body:
        return ""
    return (
        f'<table class="plain"><thead><tr><th scope="col">{head}</th><th scope="col" class="n">{unit}</th></tr></thead>'
        f"<tbody>{body}</tbody></table>"
    )


def _row(name: str, value: str) -> str:
    return f'<tr><th scope="row">{escape(name)}</th><td class="n">{escape(value)}</td></tr>'


def _agreement(counts: Mapping[str, int]) -> str:
    """Each pair of words, and the share of those that both decided in which they are the same."""
    both = {pair: count for pair, count in counts.items() if "undecided" not in pair}
    same = sum(count for pair, count in both.items() if len(set(pair.split("/"))) == 1)
    body = "".join(_row(pair.replace("/", " / "), f"{count:,}") for pair, count in counts.items())
    return body + (_row("they agree", f"{percent(same / sum(both.values()))} %") if both else "")


def _shares(counts: Mapping[str, tuple[int, int]]) -> str:
    return "".join(
        _row(name, f"{kept:,} of {total:,} ({percent(kept / max(1, total))} %)")
        for name, (kept, total) in counts.items()
    )


def _use(role: str, use: Any) -> str:
    tokens = f"{compact(use.prompt_tokens)} + {compact(use.generated_tokens)}"
    return _row(f"{role}: {use.model}", f"{use.requests:,}, {tokens}, {use.cost:,.2f}")


def _samples(history: Path) -> str:
    """A row that was kept and one that was set aside, the first of each."""
    if not history.is_file():
        return ""
    records = list(islice(_records(history), _LOOKED_AT))
    chosen = [
        next((record for record in records if record["kept"]), None),
        next((record for record in records if record["set_aside"]), None),
    ]
    return "".join(_sample(record) for record in chosen if record is not None)


def _records(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8", newline="\n") as lines:
        for line in lines:
            yield json.loads(line)


def _texts(row: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What is shown of a kept row: its answer, or both of a pair."""
    if "chosen" in row:
        return [("chosen", row["chosen"]), ("rejected", row["rejected"])]
    return [("kept", row["completion"][-1]["content"])]


def _sample(record: Mapping[str, Any]) -> str:
    fate = "kept" if record["kept"] else f"set aside: {escape(record['set_aside'])}"
    said = "".join(
        f"<p><b>{escape(event['place'])}</b> {escape(event.get('by', ''))}</p><pre>{clip(event['reply'], _CHARS)}</pre>"
        for event in record["events"]
        if "reply" in event
    )
    kept = "".join(
        f"<p><b>{what}</b></p><pre>{clip(text, _CHARS)}</pre>" for row in record["kept"] for what, text in _texts(row)
    )
    return (
        f"<details><summary>row {record['row']:,}, {fate}</summary><p><b>question</b></p>"
        f"<pre>{clip(record['question'], _CHARS)}</pre>{said}{kept}</details>"
    )
