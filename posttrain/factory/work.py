"""One data stage from its rows to what it publishes.

    rows.jsonl       the rows that are kept, readable as rows to imitate and as prompts, each with what it was made from
    pairs.jsonl      of `prefer` in its place: pairs of a better and a worse answer, each with its provenance
    history.jsonl    every row with all that was asked and answered, in order
    summary.json     figures
    card.md          the data card: licences of the sources, terms of the models

The same bytes whenever the same replies are at hand. Knows nothing of the run around it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from posttrain.data.source_rows import SourceRow
from posttrain.errors import StageError
from posttrain.factory.asking import Answerer, ask_key
from posttrain.factory.budget import Spending, cost_of
from posttrain.factory.card import CardSource, write_stage_card
from posttrain.factory.driving import Checker, Driver, Program
from posttrain.factory.journal import Journal
from posttrain.factory.prefer import pair_row, prefer_row
from posttrain.factory.reconstruct import reconstruct_row
from posttrain.factory.refine import refine_row
from posttrain.factory.row_work import Kit, RowWork, SetAside, Steps, Unfinished
from posttrain.factory.verify import verify_row
from posttrain.factory.write_tests import tests_row
from posttrain.recipe.schema import AskingStage
from posttrain.records.codec import as_json
from posttrain.records.metrics import DATA_SUMMARY, DataStageMetrics, RoleUse
from posttrain.store.jsonl import write_lines, write_record

PROGRAMS: dict[str, Callable[[RowWork, Any], Steps]] = {
    "verify": verify_row,
    "prefer": prefer_row,
    "refine": refine_row,
    "reconstruct": reconstruct_row,
    "tests": tests_row,
}
_SMOKE_GOLD = {"tests": [{"stdin": "", "stdout": ""}]}
PUBLISHED_ROWS, PUBLISHED_PAIRS, HISTORY, CARD = "rows.jsonl", "pairs.jsonl", "history.jsonl", "card.md"


@dataclass(frozen=True, kw_only=True, slots=True)
class StageWork:
    """All that a data stage works with. attempt: where replies are kept; earlier: the same of earlier tries, newest
    first; fingerprint: of all that its rows' fates hang on beside their content; window: rows under way at once."""

    stage: AskingStage
    rows: Sequence[SourceRow]
    faulty_rows: int
    kit: Kit
    models: Mapping[str, Answerer]
    checker: Checker
    sources: Sequence[CardSource]
    output: Path
    attempt: Path
    earlier: Sequence[Path]
    fingerprint: str
    window: int
    check_stop: Callable[[], None]
    progress: Callable[[str, int, int | None], None]
    smoke: bool = False


def run_stage(work: StageWork) -> dict[str, Any]:
    """Raises Stopped, and StageError: the budget is used up, a model is gone, rows without a reply, no row kept.
    Whatever was answered by then is on disk."""
    journal = Journal(work.attempt, work.earlier)
    try:
        unfinished = _ask_all(work, journal)
        _refuse_unfinished(work, unfinished)
        return _publish(work, lambda: (_record(work, journal, row, unfinished) for row in work.rows))
    finally:
        journal.close()


def _ask_all(work: StageWork, journal: Journal) -> dict[int, tuple[RowWork, str]]:
    """Every row to its record in the journal; returns those that could not be worked out, by their row numbers."""
    servers = {role: model for role, model in work.models.items() if model.parallel}
    spending = Spending(budget=work.stage.budget)
    for role, prompt, completion in journal.used:
        if role in servers:
            spending.settle(-1, prompt + completion, cost_of(work.kit.models[role], prompt, completion))
    unfinished: dict[int, tuple[RowWork, str]] = {}
    done = Counter[str]()

    def ended() -> None:
        done["rows"] += 1
        work.progress(f"rows of {work.stage.name}", done["rows"], len(work.rows))

    def programs() -> Iterator[Program]:
        for row in work.rows:
            key = row_key(work.fingerprint, row)
            if journal.has_row(key):
                ended()
            else:
                yield program(RowWork(row, work.kit), key)

    def program(row: RowWork, key: str) -> Program:
        try:
            yield from PROGRAMS[work.stage.kind](row, work.stage)
        except SetAside as reason:
            row.set_aside = str(reason)
        except Unfinished as reason:
            unfinished[row.row.number] = (row, str(reason))
            return
        journal.keep_row(key, row.record())
        ended()

    Driver(
        models=work.models,
        checker=work.checker,
        journal=journal,
        spending=spending,
        window=work.window,
        check_stop=work.check_stop,
        where=f"stages.{work.stage.name}",
    ).run(programs())
    return unfinished


def row_key(fingerprint: str, row: SourceRow) -> str:
    """What the fate of a row hangs on."""
    return ask_key(fingerprint, as_json(row))


def _refuse_unfinished(work: StageWork, unfinished: Mapping[int, tuple[RowWork, str]]) -> None:
    if len(unfinished) > work.stage.max_fault_share * len(work.rows):
        number, (_, reason) = min(unfinished.items())
        raise StageError(
            f"{len(unfinished):,} of {len(work.rows):,} rows could not be worked out; the first is row {number}: "
            f"{reason}",
            where=f"stages.{work.stage.name}",
            remedy="the same command asks those again, and nothing else; max_fault_share sets such rows aside",
        )


def _record(
    work: StageWork, journal: Journal, row: SourceRow, unfinished: Mapping[int, tuple[RowWork, str]]
) -> dict[str, Any]:
    found = journal.row(row_key(work.fingerprint, row))
    if found is None:
        left, reason = unfinished[row.number]
        left.set_aside = f"no reply: {reason}"
        found = left.record()
    if work.smoke and not found["kept"]:
        found = {**found, "kept": _stand_in(work, row, found)}
    return found


def _stand_in(work: StageWork, row: SourceRow, found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What is kept under smoke: models after two steps are neither right nor done, and the next stage needs rows."""
    said = [event["reply"] for event in found["events"] if event.get("reply")]
    texts = [*row.answers, *said, "smoke"]
    if work.stage.kind == "prefer":
        return [pair_row(row, texts[0], f"{texts[0]} less", {"smoke": True})]
    stand_in = RowWork(row, work.kit)
    published = replace(row, gold=_SMOKE_GOLD) if work.stage.kind == "tests" else None
    stand_in.keep(texts[0], by=(), note={"smoke": True}, published=published)
    return stand_in.kept


def _publish(work: StageWork, records: Callable[[], Iterator[dict[str, Any]]]) -> dict[str, Any]:
    """records: of all rows in order, read from the journal one at a time."""
    figures = _Figures(work)

    def lines() -> Iterator[dict[str, Any]]:
        for record in records():
            figures.add(record)
            yield record

    write_lines(work.output / HISTORY, lines())
    file = PUBLISHED_PAIRS if work.stage.kind == "prefer" else PUBLISHED_ROWS
    write_lines(work.output / file, (row for record in records() for row in record["kept"]))
    metrics = figures.metrics()
    if not metrics.kept:
        reasons = "; ".join(f"{count:,} x {reason}" for reason, count in metrics.set_aside.items())
        raise StageError(
            f"none of {metrics.rows:,} rows is kept: {reasons}",
            where=f"stages.{work.stage.name}",
            remedy="look at them: posttrain data show; give other rows or models, or ask less of them",
        )
    write_stage_card(work.output / CARD, stage=work.stage, sources=work.sources, metrics=metrics)
    found: dict[str, Any] = as_json(metrics)
    write_record(work.output / DATA_SUMMARY, found)
    return found


class _Figures:
    """Counts over all rows, in order. Mutable."""

    def __init__(self, work: StageWork) -> None:
        self._work = work
        self._kept = 0
        self._rows = 0
        self._aside: Counter[str] = Counter()
        self._agreement: Counter[str] = Counter()
        self._by_source: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
        self._by_length: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
        self._use: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
        self._counts: Counter[str] = Counter()

    def add(self, record: Mapping[str, Any]) -> None:
        self._rows += 1
        self._kept += len(record["kept"])
        if record["set_aside"]:
            self._aside[class_of(record["set_aside"])] += 1
        source = self._by_source[record["group"]]
        source[0], source[1] = source[0] + bool(record["kept"]), source[1] + 1
        facts = record["facts"]
        self._agreement.update(facts.get("agreement", ()))
        for one in facts.get("lengths", ()):
            length = self._by_length[one["length"]]
            length[0], length[1] = length[0] + one["kept"], length[1] + 1
        self._counts.update(facts.get("counts", {}))
        for event in record["events"]:
            if "tokens" in event:
                use = self._use[event["role"]]
                prompt, completion = event["tokens"]
                use[0], use[1], use[2] = use[0] + 1, use[1] + (prompt or 0), use[2] + (completion or 0)

    def metrics(self) -> DataStageMetrics:
        models = self._work.kit.models
        use = {
            role: RoleUse(
                model=self._work.kit.versions[role],
                requests=requests,
                prompt_tokens=prompt,
                generated_tokens=completion,
                cost=round(cost_of(models[role], prompt, completion), 6),
            )
            for role, (requests, prompt, completion) in sorted(self._use.items())
        }
        return DataStageMetrics(
            rows=self._rows,
            kept=self._kept,
            faulty_rows=self._work.faulty_rows,
            set_aside=dict(sorted(self._aside.items(), key=lambda item: (-item[1], item[0]))),
            requests=sum(one.requests for one in use.values()),
            prompt_tokens=sum(one.prompt_tokens for one in use.values()),
            generated_tokens=sum(one.generated_tokens for one in use.values()),
            cost=round(sum(one.cost for one in use.values()), 6),
            roles=use,
            agreement=dict(sorted(self._agreement.items())),
            kept_by_source={name: (kept, rows) for name, (kept, rows) in sorted(self._by_source.items())},
            kept_by_length={name: (kept, rows) for name, (kept, rows) in sorted(self._by_length.items())},
            counts=dict(sorted(self._counts.items())),
        )


def class_of(reason: str) -> str:
    """A reason without what is only of one row. Example: "judge: unreadable reply"."""
    head, _, tail = reason.partition(": ")
    return f"{head}: {tail.partition(':')[0]}"[:80] if tail else head.partition(" (")[0].partition(" of ")[0][:80]
