"""A teacher's distributions by way of the disk: what is written, how a kill is survived, and that training from it is
training beside the teacher."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from posttrain.data.template import ChatTemplate
from posttrain.errors import CheckpointError, DataError, StageError
from posttrain.train import dpd, teacher_logprobs
from posttrain.train.job import Job
from posttrain.train.pairs import pair_rows
from posttrain.train.teacher_cache import Cache
from posttrain.train.teacher_logprobs import write_cache
from tests.train.conftest import CHAT, Jobs, StopAfter, files, metrics
from tests.train.test_dpd import KEYS, PAIRS, stage

CACHED = {"path": "teacher", "cache": {"top_k": 255}}


@pytest.fixture
def make(jobs: Jobs, tiny: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Job]:
    """make(...) -> a job of the caching step over 32 pairs, in shards of 12."""
    monkeypatch.setattr(teacher_logprobs, "PAIRS_A_SHARD", 12)
    (jobs.folder / "pairs").mkdir()
    (jobs.folder / "pairs" / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in PAIRS))

    def job(inputs: dict[str, Path] | None = None, stop_file: Any = None, **options: Any) -> Job:
        made = jobs.make(
            stage(**({"teacher": CACHED, "micro_batch_size": 4} | options)),
            inputs={"pairs": jobs.folder / "pairs", **(inputs or {})},
            **({"stop_file": stop_file} if stop_file else {}),
        )
        made.output.mkdir(exist_ok=True)
        return made

    return job


def cached(make: Callable[..., Job], source: Path, **options: Any) -> tuple[Path, dict[str, Any]]:
    job = make(**options)
    return job.output, write_cache(job, source, ())


@pytest.mark.parametrize("divergence", ["forward_kl", "reverse_kl", "jsd"])
def test_training_from_the_cache_is_training_beside_the_teacher(
    make: Callable[..., Job], tiny: Callable[..., Path], divergence: str
) -> None:
    teacher = tiny(seed=1, sharpness=3.0)
    options = {"divergence": divergence, "kd_temperature": 1.5, "weights": {"chosen": 2.0, "rejected": 0.5}}
    folder, said = cached(make, teacher, **options)
    assert said["covered_mass"] > 0.98 and said["pairs"] == 32 and "remarks" not in said
    live = make(teacher={"path": "teacher"}, **options)
    from_disk = make({"teacher_logprobs": folder}, **options)
    dpd.train(live, teacher)
    dpd.train(from_disk, None)
    for one, other in zip(metrics(live), metrics(from_disk), strict=True):
        assert [other[key] for key in ("loss", *KEYS)] == pytest.approx([one[key] for key in ("loss", *KEYS)], rel=0.01)
        assert other["grad_norm"] == pytest.approx(one["grad_norm"], rel=0.01)


def test_a_narrow_cache_raises_the_alarm_and_its_kl_is_no_larger_than_the_teachers(
    make: Callable[..., Job], tiny: Callable[..., Path]
) -> None:
    teacher = tiny(seed=1, sharpness=1.0)  # nearly flat over 261 ids
    folder, said = cached(make, teacher, teacher={"path": "teacher", "cache": {"top_k": 32}})
    assert said["covered_mass"] < 0.97 and said["below_alarm"] > 0.5
    assert "ALARM" in said["remarks"][0] and "raise teacher.cache.top_k" in said["remarks"][0]
    live, from_disk = make(steps=1, teacher={"path": "teacher"}), make({"teacher_logprobs": folder}, steps=1)
    dpd.train(live, teacher)
    dpd.train(from_disk, None)
    assert 0 < metrics(from_disk)[0]["kd_chosen"] <= metrics(live)[0]["kd_chosen"]


def test_a_kill_costs_the_shard_under_way_and_changes_no_byte(
    make: Callable[..., Job], tiny: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    teacher = tiny(seed=1)
    whole, _ = cached(make, teacher)
    job, seen = make(), []

    def die(name: str) -> None:
        if name == "teacher_cache.index.before_rename":
            seen.append(name)
            if len(seen) == 2:
                raise KeyboardInterrupt

    monkeypatch.setattr("posttrain.store.atomic.failpoint", die)
    with pytest.raises(KeyboardInterrupt):
        write_cache(job, teacher, ())
    monkeypatch.undo()
    assert sorted(path.name for path in (job.attempt / "shards").glob("*.index.npy")) == ["shard-00000.index.npy"]
    monkeypatch.setattr(teacher_logprobs, "PAIRS_A_SHARD", 12)
    read: list[int] = []
    sound = teacher_logprobs._answers

    def counted(model: Any, part: Any, facts: Any) -> Any:
        read.append(len(part))
        return sound(model, part, facts)

    monkeypatch.setattr(teacher_logprobs, "_answers", counted)
    again = make()
    write_cache(again, teacher, (job.attempt,))
    assert sum(read) == 20, "the first shard of 12 is taken over"
    assert files(again.output) == files(whole)
    read.clear()
    last = make()
    write_cache(last, teacher, (again.attempt, job.attempt))
    assert not read and files(last.output) == files(whole)


def test_a_torn_shard_is_made_again(make: Callable[..., Job], tiny: Callable[..., Path]) -> None:
    teacher = tiny(seed=1)
    first, second = make(), make()
    write_cache(first, teacher, ())
    words = first.attempt / "shards" / "shard-00001.words"
    words.write_bytes(words.read_bytes()[:-4])
    (first.attempt / "shards" / "shard-00002.index.npy").write_bytes(b"")
    write_cache(second, teacher, (first.attempt,))
    assert files(second.output) == files(first.output)
    assert sorted(path.name for path in (second.attempt / "shards").glob("*.words")) == [
        "shard-00001.words",
        "shard-00002.words",
    ]


def test_a_stop_ends_it_between_two_passes(make: Callable[..., Job], tiny: Callable[..., Path]) -> None:
    job = make(stop_file=StopAfter(4))
    assert write_cache(job, tiny(seed=1), ()) == {"stopped": True}
    assert [path.name for path in sorted((job.attempt / "shards").glob("*.words"))] == ["shard-00000.words"]


def test_a_cache_of_other_pairs_or_of_another_temperature_is_refused(
    make: Callable[..., Job], jobs: Jobs, tiny: Callable[..., Path]
) -> None:
    folder, _ = cached(make, tiny(seed=1))
    with pytest.raises(StageError, match="softened by 1, kd_temperature is 2"):
        dpd.train(make({"teacher_logprobs": folder}, kd_temperature=2.0), None)
    other = [{**row, "rejected": row["rejected"] + "!"} for row in PAIRS]
    (jobs.folder / "pairs" / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in other))
    with pytest.raises(DataError, match="another rejected answer of prompt"):
        dpd.train(make({"teacher_logprobs": folder}), None)


def test_a_teacher_of_another_vocabulary_is_refused_before_it_reads(
    make: Callable[..., Job], jobs: Jobs, tiny: Callable[..., Path]
) -> None:
    other = shutil.copytree(tiny(seed=1), jobs.folder / "other")
    tokenizer = json.loads((other / "tokenizer.json").read_text())
    vocabulary = tokenizer["model"]["vocab"]
    vocabulary["A"], vocabulary["B"] = vocabulary["B"], vocabulary["A"]
    (other / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(CheckpointError, match="2 ids differ from the student's; the first"):
        write_cache(make(), other, ())


def test_positions_are_read_in_the_order_of_the_batch(make: Callable[..., Job], tiny: Callable[..., Path]) -> None:
    """Each answer alone, and several of them behind each other, from several shards."""
    folder, _ = cached(make, tiny(seed=1))
    job = make()
    rows = pair_rows(job, ChatTemplate.load(job.model, CHAT))
    asked = [(rows[30], 1), (rows[2], 0), (rows[13], 1)]
    together = Cache(folder).read(asked)
    assert len(together.rest_N) == len(rows[30].rejected) + len(rows[2].chosen) + len(rows[13].rejected)
    start = 0
    for one in asked:
        alone = Cache(folder).read([one])
        stop, width = start + len(alone.rest_N), alone.ids_NK.shape[1]
        assert np.array_equal(together.ids_NK[start:stop, :width], alone.ids_NK)
        assert np.array_equal(together.logprobs_NK[start:stop, :width], alone.logprobs_NK)
        start = stop


def test_the_words_are_mapped_and_not_read_whole(make: Callable[..., Job], tiny: Callable[..., Path]) -> None:
    folder, _ = cached(make, tiny(seed=1))
    words, _ = Cache(folder)._open(0)
    assert isinstance(words, np.memmap)
