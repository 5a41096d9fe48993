"""Phases of an sft stage: their shares, mixtures, lengths and rates; what goes on between them, and what is refused."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import get_scheduler

from posttrain.errors import DataError, RecipeError
from posttrain.recipe import load_recipe
from posttrain.recipe.phases import phases_of
from posttrain.recipe.schema import Sft
from posttrain.train.phases import Phases, decay_steps, shape, warmup_steps
from posttrain.train.sft import train
from posttrain.train.tokens import Sequences
from posttrain.train.trainer import SCHEDULES
from tests.recipe.world import RECIPE, write_world
from tests.train.conftest import Jobs, StopAfter, files, metrics, write_rows
from tests.train.test_sft import stage

SHORT = [{"prompt": f"after {n}?", "completion": f"<think>+</think>{n + 1}"} for n in range(40)]
LONG = [{"prompt": f"count {n}?", "completion": "<think>" + "+" * (40 + n) + f"</think>{n}"} for n in range(40)]
PHASES: list[dict[str, Any]] = [
    {"share": 0.5, "data": {"short": 1.0}, "max_tokens": 96},
    {"share": 0.25, "data": {"short": 1.0, "long": 1.0}, "learning_rate": 5e-4},
    {"share": 0.25, "data": {"long": 1.0}},
]


def phased(**options: Any) -> Sft:
    values = {"data": {}, "steps": 8, "packing": True, "max_tokens": 192, "schedule": "wsd", "phases": PHASES}
    return stage(**values | {"save_every": 1} | options)


@pytest.fixture
def data(jobs: Jobs) -> dict[str, Any]:
    return {
        "short": write_rows(jobs.folder / "short.jsonl", SHORT),
        "long": write_rows(jobs.folder / "long.jsonl", LONG),
    }


def rows_of(sequences: Sequences, numbers: range) -> Counter[str]:
    return Counter(sequences.named(numbers))


def test_each_phase_has_its_share_of_the_steps_its_rows_and_its_length(jobs: Jobs, data: dict[str, Any]) -> None:
    sequences = Sequences(jobs.make(phased(), data).inputs["tokens"])
    assert sequences.facts.phases == (16, 8, 8)
    lengths = [len(sequences.example(number)["input_ids"]) for number in range(32)]
    assert max(lengths[:16]) <= 96 < max(lengths[16:]) <= 192
    sets = [
        {name.split("'")[1] for name in rows_of(sequences, numbers)}
        for numbers in (range(16), range(16, 24), range(24, 32))
    ]
    assert sets == [{"short"}, {"short", "long"}, {"long"}]


def test_a_later_phase_begins_with_rows_that_no_earlier_one_had(jobs: Jobs, data: dict[str, Any]) -> None:
    halves = [{"share": 0.5}, {"share": 0.5}]
    configured = phased(phases=halves, data={"short": 1.0}, packing=False, steps=10, max_tokens=96)
    sequences = Sequences(jobs.make(configured, data).inputs["tokens"])
    first, second = rows_of(sequences, range(20)), rows_of(sequences, range(20, 40))
    assert len(first | second) == 40 and not first & second
    assert (sequences.facts.metrics.rows_not_seen, sequences.facts.metrics.rows_again) == (0, 0)


@pytest.mark.parametrize("schedule", ["cosine", "constant", "linear", "wsd"])
def test_the_shape_of_a_schedule_is_the_librarys(schedule: str) -> None:
    configured = stage(steps=40, schedule=schedule, warmup_share=0.1)
    kwargs = {"num_decay_steps": decay_steps(configured, 40), "decay_type": "linear"} if schedule == "wsd" else None
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    theirs = get_scheduler(
        SCHEDULES[schedule],
        optimizer,
        num_warmup_steps=warmup_steps(configured, 40),
        num_training_steps=40,
        scheduler_specific_kwargs=kwargs,
    )
    for step in range(40):
        assert shape(configured, step, 40) == pytest.approx(theirs.get_last_lr()[0], abs=1e-9), step
        optimizer.step()
        theirs.step()


def test_rates_follow_the_phases_and_fall_at_the_end_of_all(jobs: Jobs, data: dict[str, Any]) -> None:
    job = jobs.make(phased(decay_share=0.25), data)
    train(job)
    assert [row["learning_rate"] for row in metrics(job)] == pytest.approx(
        [1e-3, 1e-3, 1e-3, 1e-3, 5e-4, 5e-4, 1e-3, 5e-4], rel=1e-6
    )


@pytest.mark.parametrize("schedule", ["cosine", "wsd"])
def test_one_phase_of_all_steps_trains_as_a_stage_without_phases(
    jobs: Jobs, data: dict[str, Any], schedule: str
) -> None:
    common = {"phases": [], "data": {"short": 1.0}, "steps": 4, "schedule": schedule, "decay_share": 0.5}
    plain = jobs.make(phased(**common), data)
    whole = jobs.make(phased(**common | {"phases": [{"share": 1.0}]}), data)
    train(plain)
    train(whole)
    assert files(whole.output / "model") == files(plain.output / "model")
    assert metrics(whole) == metrics(plain)
    if schedule == "wsd":
        assert [row["learning_rate"] for row in metrics(plain)] == pytest.approx([1e-3, 1e-3, 1e-3, 5e-4])


def test_a_restart_gives_each_phase_a_schedule_of_its_own() -> None:
    phases = Phases(phased(restart_optimizer=True, schedule="linear", warmup_share=0.25))
    assert [phases.factor(step) for step in range(8)] == pytest.approx([0, 1, 2 / 3, 1 / 3, 0, 0.5, 0, 1])


@pytest.mark.parametrize("restarts", [pytest.param(False, marks=pytest.mark.long), True])
def test_the_optimisers_state_goes_on_or_begins_anew_where_a_phase_ends(
    jobs: Jobs, data: dict[str, Any], restarts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    plain = Phases.on_step_begin

    def watched(self: Any, args: Any, state: Any, control: Any, optimizer: Any = None, **rest: Any) -> None:
        plain(self, args, state, control, optimizer=optimizer, **rest)
        counts = {int(value["step"]) for value in optimizer.state.values() if "step" in value}
        seen.append(max(counts, default=0))

    monkeypatch.setattr(Phases, "on_step_begin", watched)
    train(jobs.make(phased(restart_optimizer=restarts), data))
    assert seen == ([0, 1, 2, 3, 0, 1, 0, 1] if restarts else [0, 1, 2, 3, 4, 5, 6, 7])


@pytest.mark.parametrize("restarts", [pytest.param(False, marks=pytest.mark.long), True])
def test_a_kill_at_the_end_of_a_phase_changes_no_byte(jobs: Jobs, data: dict[str, Any], restarts: bool) -> None:
    configured = phased(restart_optimizer=restarts)
    straight = jobs.make(configured, data)
    train(straight)
    for done in (4, 5):
        assert train(jobs.make(configured, data, stop_file=StopAfter(done - 1))) == {"stopped": True}
        resumed = jobs.make(configured, data, resume=True)
        assert resumed.resume is not None and resumed.resume.step == done
        train(resumed)
        assert files(resumed.output / "model") == files(straight.output / "model")
        assert metrics(resumed) == metrics(straight)


def test_a_data_set_without_a_row_short_enough_for_its_phase_is_refused(jobs: Jobs, data: dict[str, Any]) -> None:
    phases = [{"share": 0.5, "max_tokens": 50}, {"share": 0.5}]
    with pytest.raises(DataError, match="no row of data 'long' fits in max_tokens 50 of phase 1"):
        jobs.make(phased(phases=phases, data={"long": 1.0}), data)


# ---------------------------------------------------------------- the recipe


def test_steps_are_shared_out_to_the_last() -> None:
    thirds = [{"share": 1 / 3}] * 3
    assert [phase.steps for phase in phases_of(stage(steps=10, phases=thirds))] == [3, 4, 3]


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ("steps: 4, phases: [{share: 0.5}, {share: 0.4}]", "add up to 0.9"),
        ("epochs: 1.0, phases: [{share: 1.0}]", "the stage counts epochs"),
        ("steps: 4, phases: [{share: 0.95}, {share: 0.05}]", "a share of 0.05 of 4 steps is none"),
        ("steps: 4, phases: [{share: 1.0, data: {questions: 1.0}}]", "nothing reads it"),
        ("steps: 4, phases: [{share: 1.0, data: {warmpu: 1.0}}]", "no data set 'warmpu'|nothing reads it"),
        ("steps: 4, restart_optimizer: true", "there are no phases"),
        ("steps: 4, decay_share: 0.2", "schedule cosine reads no decay_share"),
        ("steps: 4, max_positions: 128", "256 tokens are more than the 128 positions"),
        ("steps: 4, max_positions: 400", "512 tokens are more than the 400 positions that 'cold_start' has"),
    ],
)
def test_phases_that_say_nothing_or_too_much_are_refused(tmp_path: Path, options: str, what: str) -> None:
    text = RECIPE.replace("data: {warmup: 1.0}, steps: 4,", f"data: {{warmup: 1.0}}, {options},")
    with pytest.raises(RecipeError, match=what):
        load_recipe(write_world(tmp_path, text))


def test_a_stage_without_data_is_refused_unless_its_phases_have_some(tmp_path: Path) -> None:
    bare = RECIPE.replace("data: {warmup: 1.0}, steps: 4,", "steps: 4,")
    with pytest.raises(RecipeError, match="key 'data' is missing or empty"):
        load_recipe(write_world(tmp_path / "bare", bare))
    phases = "steps: 4, phases: [{share: 1.0, data: {warmup: 1.0}}],"
    assert load_recipe(write_world(tmp_path / "phased", bare.replace("steps: 4,", phases, 1)))
