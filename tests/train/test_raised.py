"""Rotary base and positions that a stage raises: in what is trained, in what is published, and in both engines."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from posttrain.errors import CheckpointError, RecipeError
from posttrain.recipe import load_recipe
from posttrain.recipe.positions import longest_rows, raised_positions
from posttrain.rollout.engine import EngineOptions
from posttrain.rollout.hf_engine import HfEngine
from posttrain.rollout.weights import shape_key
from posttrain.train.model import load_model
from posttrain.train.raised import raised
from posttrain.train.sft import train
from tests.recipe.world import RECIPE, write_world
from tests.train.conftest import Jobs, StopAfter, files, write_rows
from tests.train.test_sft import ROWS, stage

RAISED = {"rope_theta": 5e6, "max_positions": 4096}


def test_what_is_published_has_them_and_nothing_else_of_its_config_changed(jobs: Jobs) -> None:
    data = {"rows": write_rows(jobs.folder / "rows.jsonl", ROWS)}
    job = jobs.make(stage(steps=2, **RAISED), data)
    train(job)
    before, after = (json.loads((folder / "config.json").read_text()) for folder in (jobs.model, job.output / "model"))
    changed = {key for key in after if after[key] != before.get(key)}
    assert after["max_position_embeddings"] == 4096 and before.keys() == after.keys()
    assert changed == {"max_position_embeddings", "rope_parameters"}
    assert after["rope_parameters"] == before["rope_parameters"] | {"rope_theta": 5e6}
    assert not any(path.is_symlink() for path in (job.output / "model").iterdir())
    assert shape_key(job.output / "model") != shape_key(jobs.model), "an engine with the old base is not used for it"


def test_training_itself_computes_with_them(jobs: Jobs) -> None:
    data = {"rows": write_rows(jobs.folder / "rows.jsonl", ROWS)}
    plain, changed = jobs.make(stage(steps=1), data), jobs.make(stage(steps=1, rope_theta=100.0), data)
    train(plain)
    train(changed)
    losses = [json.loads((job.attempt / "metrics.jsonl").read_text())["loss"] for job in (plain, changed)]
    assert abs(losses[0] - losses[1]) > 1e-5
    model = load_model(changed.output / "model")
    slowest = model.model.rotary_emb.inv_freq[-1]
    assert slowest == pytest.approx(100.0 ** -(1 - 2 / model.config.head_dim), rel=1e-5)


def test_a_resumed_stage_goes_on_with_them(jobs: Jobs) -> None:
    data = {"rows": write_rows(jobs.folder / "rows.jsonl", ROWS)}
    configured = stage(steps=3, save_every=1, **RAISED)
    straight = jobs.make(configured, data)
    train(straight)
    assert train(jobs.make(configured, data, stop_file=StopAfter(1))) == {"stopped": True}
    resumed = jobs.make(configured, data, resume=True)
    train(resumed)
    assert files(resumed.output / "model") == files(straight.output / "model")


def test_an_engine_refuses_a_context_beyond_the_positions(tiny: Callable[..., Path]) -> None:
    with pytest.raises(CheckpointError, match=r"engine\.context_tokens is 2049, but .* knows 2048 positions"):
        HfEngine(str(tiny()), "v", EngineOptions(context_tokens=2049))


@pytest.mark.parametrize(
    ("config", "options", "what"),
    [
        ({"rope_theta": 1e4}, {"rope_theta": 1e6}, {"rope_theta": 1e6}),
        (
            {"rope_parameters": {"rope_type": "default", "rope_theta": 1e4}},
            {"rope_theta": 1e6},
            {"rope_parameters": {"rope_type": "default", "rope_theta": 1e6}},
        ),
        ({"max_position_embeddings": 64}, {"max_positions": 128}, {"max_position_embeddings": 128}),
        (
            {"text_config": {"rope_theta": 1e4, "max_position_embeddings": 64}, "vision": 1},
            {"rope_theta": 1e6, "max_positions": 128},
            {"text_config": {"rope_theta": 1e6, "max_position_embeddings": 128}, "vision": 1},
        ),
        ({"rope_theta": 1e4, "rope_scaling": {"type": "yarn", "factor": 4.0}}, {"rope_theta": 1e6}, "scaled already"),
        ({"rope_parameters": {"full": {"rope_theta": 1e4}}}, {"rope_theta": 1e6}, "scaled already"),
        ({"n_positions": 64}, {"rope_theta": 1e6}, "states no rotary base"),
        ({"max_position_embeddings": 256}, {"max_positions": 128}, "knows 256 already"),
    ],
)
def test_a_config_is_changed_in_its_own_keys_or_refused(
    config: dict[str, Any], options: dict[str, Any], what: dict[str, Any] | str
) -> None:
    if isinstance(what, dict):
        assert raised(config, stage(**options)) == what
        return
    with pytest.raises(RecipeError, match=what):
        raised(config, stage(**options))


def test_the_base_answers_for_what_comes_before_a_stage_that_raises(tmp_path: Path) -> None:
    text = RECIPE.replace(
        "data: {warmup: 1.0}, steps: 4, max_tokens: 256",
        "data: {warmup: 1.0}, steps: 4, max_tokens: 9000, max_positions: 9000",
    )
    recipe = load_recipe(write_world(tmp_path, text)).recipe
    names = ("base", "cold_start", "stem", "judge")
    assert [raised_positions(recipe, name) for name in names] == [None, 9000, 9000, 9000]
    assert longest_rows(recipe, recipe.stages) == {"engine.context_tokens": 512}, "the base is scored, too"
    alone = recipe.model_copy(update={"evaluate": recipe.evaluate.model_copy(update={"after": "last"})})
    assert longest_rows(alone, recipe.stages) == {}
    assert longest_rows(alone, []) == {"engine.context_tokens": 512}, "a teacher"
