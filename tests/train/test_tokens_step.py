"""The tokens step: the sequences that it writes, whatever number of processes, kills or portions it took."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from posttrain.data import encode
from posttrain.data.mix import num_rows, shares
from posttrain.data.packing import pack
from posttrain.data.template import ChatTemplate
from posttrain.errors import CheckpointError, DataError, StageError
from posttrain.recipe.schema import FileData, Sft
from posttrain.train import tokens
from posttrain.train.tokens import IGNORED, Sequences, make_tokens
from tests.train.conftest import CHAT, Jobs, StopAfter, write_rows
from tests.train.test_sft import stage

ROWS = [{"prompt": f"after {n}?", "completion": "<think>" + "+" * (n * 7 % 23) + f"</think>{n + 1}"} for n in range(90)]
OTHERS = [{"prompt": f"before {n}?", "completion": f"<think>-</think>{n - 1}"} for n in range(40)]


@pytest.fixture
def data(jobs: Jobs) -> dict[str, FileData]:
    return {
        "rows": write_rows(jobs.folder / "rows.jsonl", ROWS),
        "others": write_rows(jobs.folder / "others.jsonl", OTHERS),
    }


def mixed(**options: Any) -> Sft:
    return stage(**{"data": {"rows": 3.0, "others": 1.0}, "packing": True, "max_tokens": 120, **options})


def content(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def examples(folder: Path) -> list[tuple[list[int], list[int], list[int]]]:
    sequences = Sequences(folder)
    found = [sequences.example(number) for number in range(len(sequences))]
    return [(one["input_ids"].tolist(), one["labels"].tolist(), one["seq_lengths"]) for one in found]


# ---------------------------------------------------------------- the former path, as an oracle


def drawn_as_ever(sizes: Mapping[str, int], weights: Mapping[str, float], total: int, seed: int) -> list[Any]:
    """Lists of pairs, drawn as they were before the step."""
    counts, generator = shares(weights, total), random.Random(f"mix/{seed}")
    pools = {}
    for name in counts:
        pool: list[Any] = []
        while len(pool) < counts[name]:
            again = [(name, number) for number in range(sizes[name])]
            generator.shuffle(again)
            pool += again
        pools[name] = iter(pool)
    turns = [name for name in counts for _ in range(counts[name])]
    generator.shuffle(turns)
    return [next(pools[name]) for name in turns]


def sequences_as_ever(jobs: Jobs, configured: Sft, seed: int) -> list[Any]:
    template = ChatTemplate.load(jobs.model, CHAT)
    encoded = {}
    for name, rows in (("rows", ROWS), ("others", OTHERS)):
        if name in configured.data:
            turns = [
                [{"role": "user", "content": row["prompt"]}, {"role": "assistant", "content": row["completion"]}]
                for row in rows
            ]
            whole = [template.encode_conversation(turn) for turn in turns]
            encoded[name] = [row for row in whole if len(row.ids) <= configured.max_tokens]
    sizes, weights = {name: len(rows) for name, rows in encoded.items()}, dict(configured.data)
    wanted = None if configured.steps is None else configured.steps * configured.batch_size
    total = num_rows(sizes, weights, configured.epochs or 1.0) if wanted is None else wanted
    if wanted is not None and configured.packing:
        scale = sum(weights.values())
        mean = sum(
            weights[name] / scale * sum(len(row.ids) for row in rows) / len(rows) for name, rows in encoded.items()
        )
        total = math.ceil(wanted * configured.max_tokens / mean)
    while True:
        drawn = [encoded[name][number] for name, number in drawn_as_ever(sizes, weights, total, seed)]
        found: Sequence[Any] = [[row] for row in drawn]
        if configured.packing:
            found = [
                [drawn[at] for at in rows]
                for rows in pack([len(row.ids) for row in drawn], configured.max_tokens, seed)
            ]
        if wanted is None or len(found) >= wanted:
            break
        total = math.ceil(total * max(1.05, wanted / len(found)))
    return [
        (
            [token for row in rows for token in row.ids],
            [token if on else -100 for row in rows for token, on in zip(row.ids, row.mask, strict=True)],
            [len(row.ids) for row in rows],
        )
        for rows in found[:wanted]
    ]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"steps": None, "epochs": 2.5},
        {"packing": False, "max_tokens": 60},
        {"packing": False, "steps": None, "epochs": 1.0, "data": {"rows": 1.0}},
    ],
    ids=["packed", "packed epochs", "plain", "one set"],
)
def test_the_sequences_are_those_that_trainers_made_themselves_before(
    jobs: Jobs, data: dict[str, FileData], options: dict[str, Any]
) -> None:
    configured = mixed(**options)
    job = jobs.make(configured, data)
    found = examples(job.inputs["tokens"])
    assert found == sequences_as_ever(jobs, configured, job.seed)
    facts = Sequences(job.inputs["tokens"]).facts.metrics
    assert facts.tokens == sum(len(ids) for ids, _, _ in found)
    assert facts.trained_tokens == sum(label != IGNORED for _, labels, _ in found for label in labels)
    assert facts.rows == sum(len(lengths) for _, _, lengths in found)


# ---------------------------------------------------------------- kills, processes, portions


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Portions and batches of a few rows, so that ninety make many."""
    monkeypatch.setattr(encode, "PORTION_ROWS", 8)
    monkeypatch.setattr(tokens, "BATCH_TOKENS", 500)


def made(jobs: Jobs, job: Any, previous: Sequence[Path] = (), **changes: Any) -> tuple[Any, dict[str, Any]]:
    """make_tokens in folders of its own: the job, and what it returned."""
    number = len(list(jobs.folder.glob("made-*")))
    output = jobs.folder / f"made-{number}"
    output.mkdir()
    again = replace(job, attempt=jobs.folder / f"making-{number}", output=output, **changes)
    return again, make_tokens(again, previous)


@pytest.mark.usefixtures("small")
def test_other_processes_make_the_same_bytes(
    jobs: Jobs, data: dict[str, FileData], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = jobs.make(mixed(), data)
    monkeypatch.setattr(encode, "PATIENCE_SECONDS", 0.0)
    monkeypatch.setattr(tokens, "_cores", lambda: 2)
    here = encode.encode_portion
    monkeypatch.setattr(encode, "encode_portion", lambda *_: pytest.fail("this process worked"))
    beside, _ = made(jobs, job)
    monkeypatch.setattr(encode, "encode_portion", here)
    assert content(beside.output) == content(job.inputs["tokens"])


@pytest.mark.usefixtures("small")
def test_a_killed_step_goes_on_from_its_last_batch_with_the_same_bytes(
    jobs: Jobs, data: dict[str, FileData], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = jobs.make(mixed(), data)
    stopped, said = made(jobs, job, stop_file=StopAfter(9))
    assert said == {"stopped": True} and not list(stopped.output.iterdir())
    name = "rows" if (stopped.attempt / "rows.journal").is_file() else "others"
    with (
        (stopped.attempt / f"{name}.arrow").open("ab") as torn,
        (stopped.attempt / f"{name}.journal").open("ab") as line,
    ):
        torn.write(b"half a batch")
        line.write(b'{"size": 12')
    before = content(stopped.attempt)
    seen: list[int] = []
    plain = encode.encode_portion

    def counted(task: Any, entries: Any, template: Any) -> Any:
        seen.append(len(entries))
        return plain(task, entries, template)

    monkeypatch.setattr(encode, "encode_portion", counted)
    resumed, facts = made(jobs, job, [stopped.attempt])
    assert content(resumed.output) == content(job.inputs["tokens"])
    assert sum(seen) < len(ROWS) + len(OTHERS) and facts["rows"] > 0
    assert content(stopped.attempt) == before, "an earlier attempt may still be written to by a killed run"


def test_a_process_that_dies_is_named(jobs: Jobs, data: dict[str, FileData], monkeypatch: pytest.MonkeyPatch) -> None:
    job = jobs.make(mixed(), data)
    monkeypatch.setattr(encode, "PATIENCE_SECONDS", 0.0)
    monkeypatch.setattr(tokens, "_cores", lambda: 2)
    gone = replace(job, model=jobs.folder / "model")
    template = ChatTemplate.load(jobs.model, CHAT)
    monkeypatch.setattr(ChatTemplate, "load", lambda *_: template)
    with pytest.raises(StageError, match="a process that turns rows of 'others' into tokens died"):
        made(jobs, gone)


# ---------------------------------------------------------------- rows that are left out


@pytest.mark.usefixtures("small")
def test_rows_left_out_are_on_record_in_order_and_counted(jobs: Jobs) -> None:
    rows: list[dict[str, Any]] = [*ROWS]
    rows[3] = {"prompt": "no answer"}
    rows[50] = {"prompt": "x" * 300, "completion": "long"}
    rows[70] = {"prompt": "<|im_end|>", "completion": "y"}
    spec = write_rows(jobs.folder / "rows.jsonl", rows).model_copy(update={"max_faulty_share": 0.1})
    job = jobs.make(mixed(data={"rows": 1.0}, steps=None, epochs=1.0), {"rows": spec})
    facts = Sequences(job.inputs["tokens"]).facts
    assert (facts.metrics.faulty_rows, facts.metrics.too_long_rows, facts.data) == (2, 1, {"rows": 87})
    said = [json.loads(line) for line in (job.inputs["tokens"] / "set_aside.jsonl").read_text().splitlines()]
    assert [(one["data"], one["row"]) for one in said] == [("rows", 4), ("rows", 51), ("rows", 71)]
    assert "tokens, longer than max_tokens 120" in said[1]["reason"]
    names = list(Sequences(job.inputs["tokens"]).named(range(len(Sequences(job.inputs["tokens"])))))
    assert "row 52 of data 'rows'" in names and not {"row 4 of data 'rows'", "row 51 of data 'rows'"} & set(names)
    strict = spec.model_copy(update={"max_faulty_share": 0.01})
    with pytest.raises(DataError, match=r"2 of 90 rows of data 'rows' are faulty \(2\.2%, allowed 1\.0%\).*row 4:"):
        jobs.make(mixed(data={"rows": 1.0}), {"rows": strict})


def test_a_data_set_without_rows_is_refused(jobs: Jobs) -> None:
    with pytest.raises(DataError, match="data 'rows' has no rows"):
        jobs.make(mixed(data={"rows": 1.0}), {"rows": write_rows(jobs.folder / "rows.jsonl", [])})


def test_tokens_of_another_tokenizer_are_refused(jobs: Jobs, data: dict[str, FileData]) -> None:
    sequences = Sequences(jobs.make(mixed(), data).inputs["tokens"])
    sequences.check_tokenizer(ChatTemplate.load(jobs.model, CHAT), "warm")
    other = ChatTemplate.load(jobs.model, CHAT.model_copy(update={"template": "qwen3"}))
    with pytest.raises(CheckpointError, match="is not the one that its rows were tokenised with"):
        sequences.check_tokenizer(other, "warm")
