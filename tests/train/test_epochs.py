"""Each row once an epoch: the last step holds the rest, nothing is dropped or wrapped, what is not seen is counted."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch

from posttrain.data.template import ChatTemplate
from posttrain.recipe.schema import FileData
from posttrain.train import dpd, reward_model, sft
from posttrain.train.model import load_model
from posttrain.train.tokens import IGNORED, Sequences
from tests.train import test_dpd, test_reward_model, test_sft
from tests.train.conftest import CHAT, Jobs, StopAfter, files, metrics, write_rows

ROWS = [{"prompt": f"after {n}?", "completion": "<think>" + "+" * (n % 9) + f"</think>{n + 1}"} for n in range(63)]


@pytest.fixture
def rows(jobs: Jobs) -> dict[str, FileData]:
    return {"rows": write_rows(jobs.folder / "rows.jsonl", ROWS)}


def stage(**options: Any) -> Any:
    return test_sft.stage(**{"steps": None, "epochs": 1.0, "batch_size": 32, "micro_batch_size": 8, **options})


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[Counter[str]]:
    """What the collator is given, step by step: the text of every row that has a trained token."""
    from trl.trainer import sft_trainer

    steps: list[Counter[str]] = []
    collator = sft_trainer.DataCollatorForLanguageModeling
    plain = collator.torch_call

    def watched(self: Any, examples: list[dict[str, Any]]) -> dict[str, Any]:
        seen: Counter[str] = Counter()
        for example in examples:
            at = 0
            for length in example["seq_lengths"]:
                if any(label != -100 for label in example["labels"][at : at + length]):
                    seen[str(list(map(int, example["input_ids"][at : at + length])))] += 1
                at += length
        steps.append(seen)
        return dict(plain(self, examples))

    monkeypatch.setattr(collator, "torch_call", watched)
    return steps


def ids_of_rows(jobs: Jobs) -> list[str]:
    template = ChatTemplate.load(jobs.model, CHAT)
    turns = (
        [{"role": "user", "content": row["prompt"]}, {"role": "assistant", "content": row["completion"]}]
        for row in ROWS
    )
    return [str(list(template.encode_conversation(turn).ids)) for turn in turns]


@pytest.mark.parametrize(
    ("options", "epochs", "steps"),
    [
        ({}, 1.0, 2),
        ({"micro_batch_size": 4}, 2.0, 4),
        ({"batch_size": 64, "micro_batch_size": 64}, 1.0, 1),
        ({"packing": True, "max_tokens": 200, "batch_size": 4, "micro_batch_size": 2}, 1.0, None),
        ({"packing": True, "max_tokens": 200, "batch_size": 4, "micro_batch_size": 1}, 3.0, None),
    ],
    ids=["once", "twice", "one-short-step", "packed", "packed-thrice"],
)
def test_every_row_is_trained_on_once_an_epoch(
    jobs: Jobs,
    rows: dict[str, FileData],
    trained: list[Counter[str]],
    options: dict[str, Any],
    epochs: float,
    steps: int | None,
) -> None:
    job = jobs.make(stage(epochs=epochs, **options), rows)
    facts = sft.train(job)
    assert sum(trained, Counter()) == Counter({row: int(epochs) for row in ids_of_rows(jobs)})
    assert (facts["rows"], facts["rows_not_seen"], facts["rows_again"]) == (63 * epochs, 0, 63 * (epochs - 1))
    assert len(metrics(job)) == facts["steps"] and (steps is None or facts["steps"] == steps)


@pytest.mark.parametrize(
    ("options", "rows_trained", "not_seen", "again"),
    [
        ({"epochs": 0.5}, 32, 31, 0),
        ({"epochs": 1.5}, 94, 0, 31),
        ({"epochs": None, "steps": 1}, 32, 31, 0),
        ({"epochs": None, "steps": 3}, 96, 0, 33),
    ],
)
def test_parts_of_epochs_and_steps_say_what_they_leave_out_or_repeat(
    jobs: Jobs,
    rows: dict[str, FileData],
    trained: list[Counter[str]],
    options: dict[str, Any],
    rows_trained: int,
    not_seen: int,
    again: int,
) -> None:
    facts = sft.train(jobs.make(stage(**options), rows))
    seen = sum(trained, Counter())
    assert sum(seen.values()) == facts["rows"] == rows_trained
    assert (facts["rows_not_seen"], facts["rows_again"]) == (not_seen, again)
    assert (63 - len(seen), sum(seen.values()) - len(seen)) == (not_seen, again)


def test_packed_steps_hold_as_many_sequences_as_asked_and_none_comes_twice_unsaid(
    jobs: Jobs, rows: dict[str, FileData], trained: list[Counter[str]]
) -> None:
    configured = stage(epochs=None, steps=7, packing=True, max_tokens=150, batch_size=4, micro_batch_size=2)
    job = jobs.make(configured, rows)
    facts = sft.train(job)
    seen = sum(trained, Counter())
    assert facts["steps"] == len(metrics(job)) == 7 and len(trained) == 14
    assert sum(seen.values()) == facts["rows"] and 63 - len(seen) == facts["rows_not_seen"]
    assert facts["rows_again"] == facts["rows"] - len(seen) > 0
    assert len(Sequences(job.inputs["tokens"])) == 28


def test_a_short_last_step_weighs_its_tokens_by_what_it_holds(jobs: Jobs, rows: dict[str, FileData]) -> None:
    """The last step of 63 rows in batches of 62 has one row: its loss is the mean over that row's tokens."""
    job = jobs.make(stage(batch_size=62, micro_batch_size=31, learning_rate=1e-12), rows)
    sft.train(job)
    row, model = Sequences(job.inputs["tokens"]).example(62), load_model(jobs.model)
    ids, mask = torch.tensor(row["input_ids"]), torch.tensor(row["labels"] != IGNORED)[1:]
    with torch.no_grad():
        logprobs = torch.log_softmax(model(input_ids=ids[None]).logits[0, :-1], dim=-1)
    taken = logprobs.gather(1, ids[1:, None])[:, 0] * mask
    assert metrics(job)[-1]["loss"] == pytest.approx(-float(taken.sum()) / int(mask.sum()), abs=1e-5)


@pytest.mark.parametrize(
    "options",
    [pytest.param({}, marks=pytest.mark.long), {"packing": True, "max_tokens": 150, "batch_size": 5}],
    ids=["plain", "packed"],
)
def test_a_kill_around_the_short_step_changes_no_byte(
    jobs: Jobs, rows: dict[str, FileData], options: dict[str, Any]
) -> None:
    configured = stage(**{"batch_size": 16, "micro_batch_size": 5, "save_every": 1, "epochs": 1.0, **options})
    straight = jobs.make(configured, rows)
    facts = sft.train(straight)
    assert facts["rows"] == 63
    for stop in (facts["steps"] - 2, facts["steps"] - 1):  # before the short step, and right after it
        stopped = jobs.make(configured, rows, stop_file=StopAfter(stop))
        sft.train(stopped)
        resumed = jobs.make(configured, rows, resume=True)
        assert resumed.resume is not None and resumed.resume.step == stop + 1
        sft.train(resumed)
        assert files(resumed.output / "model") == files(straight.output / "model")
        assert metrics(resumed) == metrics(straight)


def test_pairs_are_seen_once_an_epoch_and_the_last_step_has_the_rest(
    jobs: Jobs, tiny: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import json

    (jobs.folder / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in test_dpd.PAIRS[:31]))
    steps: list[int] = []
    plain = dpd.DpdTrainer.micro_batches

    def watched(self: Any, rows: Any) -> Any:
        steps.append(len(rows))
        return plain(self, rows)

    monkeypatch.setattr(dpd.DpdTrainer, "micro_batches", watched)
    job = jobs.make(test_dpd.stage(steps=None, epochs=1.0, batch_size=16), inputs={"pairs": jobs.folder})
    facts = dpd.train(job, tiny(seed=1))
    assert steps == [16, 15] and facts["steps"] == 2 and (facts["rows_not_seen"], facts["rows_again"]) == (0, 0)
    assert facts["trained_tokens"] > 0 and [row["step"] for row in metrics(job)] == [1, 2]


def test_comparisons_are_seen_once_an_epoch_and_long_and_faulty_pairs_are_counted(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = [
        *test_reward_model.PAIRS,
        {"prompt": "say", "chosen": "!" * 900, "rejected": "?"},
        {"prompt": "say", "chosen": "!"},
    ]
    spec = write_rows(jobs.folder / "pairs.jsonl", pairs).model_copy(update={"max_faulty_share": 0.1})
    seen: Counter[tuple[int, int]] = Counter()
    plain = reward_model.LabelTrainer.micro_batches

    def watched(self: Any, rows: Any) -> Any:
        seen.update((row["comparison"].pair, row["comparison"].label) for row in rows)
        return plain(self, rows)

    monkeypatch.setattr(reward_model.LabelTrainer, "micro_batches", watched)
    job = jobs.make(test_reward_model.stage(steps=None, epochs=1.0, batch_size=16), {"pairs": spec})
    facts = reward_model.train(job)
    assert set(seen.values()) == {1} and len(seen) == 72 and facts["steps"] == 5
    assert (facts["pairs"], facts["held_out_pairs"], facts["rows_not_seen"], facts["rows_again"]) == (36, 4, 0, 0)
    assert (facts["faulty_rows"], facts["too_long_rows"]) == (1, 1)
    said = [line.split('"row": ')[1][:2] for line in (job.output / "set_aside.jsonl").read_text().splitlines()]
    assert said == ["41", "42"]
