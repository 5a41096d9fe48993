"""Models that do not fit together, or the recipe, stop a run before its first stage."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from posttrain.errors import CheckpointError, DataError, StageError
from posttrain.recipe import load_recipe
from posttrain.recipe.sizes import num_positions
from posttrain.records.step import ModelRole, Step
from posttrain.stages.fitness import Fitness
from posttrain.stages.protocol import StepContext
from posttrain.store.reference import write_reference
from tests.preflight.test_check import write_tokenizer, write_weights
from tests.recipe.world import write_jsonl, write_world

WORDS = ["user", "assistant", "one", "two", "q"]


class Here:
    """A machine whose only worker is this process."""

    def run(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)


@pytest.fixture
def context(tmp_path: Path) -> StepContext:
    path = write_world(tmp_path)
    for model in ("base", "teacher"):
        write_tokenizer(tmp_path / model, WORDS)
        write_weights(tmp_path / model)
        (tmp_path / "store" / model).mkdir(parents=True)
        write_reference(tmp_path / "store" / model, tmp_path / model, digest="not asked")
    output = tmp_path / "store" / "work" / "fitness-1" / "tmp.1"
    output.mkdir(parents=True)
    return StepContext(
        step=Step(name="fitness", kind="fitness", version=1, params={"stages": {"cold_start": {}, "distil": {}}}),
        recipe=load_recipe(path, ()).recipe,
        recipe_dir=tmp_path,
        inputs={"base": tmp_path / "store" / "base", "distil.teacher": tmp_path / "store" / "teacher"},
        input_steps={
            "base": Step(name="base", kind="base", params={}, role=ModelRole.BASE),
            "distil.teacher": Step(
                name="distil.teacher", kind="base", params={}, role=ModelRole.TEACHER, stage="distil"
            ),
        },
        output=output,
        attempt=tmp_path,
        previous=(),
        seed=1,
        machine=Here(),  # type: ignore[arg-type]
        smoke=False,
        progress=lambda what, done, total: None,
        check_stop=lambda: None,
        stop_file=tmp_path / "stop",
    )


def edit(config: Path, **changes: Any) -> None:
    config.write_text(json.dumps({**json.loads(config.read_text()), **changes}))


def test_models_that_fit_are_counted_with_the_room_they_need(context: StepContext) -> None:
    found = Fitness().run(context)
    assert found["models"] == 2 and found["disk_bytes"] > 0


def test_a_base_is_trained_a_step_saved_and_read_back_before_the_first_stage(context: StepContext) -> None:
    (context.recipe_dir / "base" / "generation_config.json").write_text('{"do_sample": false, "temperature": 0.6}')
    found = Fitness().run(context)
    assert found["remarks"] == [
        "base: generation_config.json sets temperature without do_sample: published with do_sample true"
    ]
    assert list(context.output.iterdir()) == []
    edit(context.recipe_dir / "base" / "config.json", intermediate_size=64)
    with pytest.raises(CheckpointError, match=r"tensors have another shape: model\.layers\.0\.mlp\.down_proj\.weight"):
        Fitness().run(context)


def test_a_prompt_that_leaves_no_room_for_an_answer_is_refused_by_its_row(context: StepContext) -> None:
    rows = [{"prompt": "q", "gold": "1"}, {"prompt": "one two " * 600, "gold": "2"}]
    write_jsonl(context.recipe_dir / "data" / "questions.jsonl", rows)
    with pytest.raises(
        DataError,
        match=r"row 2 of data 'questions': .* tokens leave no room for an answer in engine\.context_tokens: 512",
    ):
        Fitness().run(context)


def test_a_teacher_of_another_tokenizer_is_refused(context: StepContext) -> None:
    write_tokenizer(context.recipe_dir / "teacher", ["user", "assistant", "uno", "two", "q"])
    with pytest.raises(CheckpointError, match="8: 'one' / 'uno'"):
        Fitness().run(context)


def test_rows_that_cannot_fit_are_refused_before_their_stage_is_reached(context: StepContext) -> None:
    short = context.recipe.model_copy(
        update={"stages": [context.recipe.stages[0].model_copy(update={"max_tokens": 2})]}
    )
    with pytest.raises(DataError, match="no row of data 'warmup' fits in max_tokens 2"):
        Fitness().run(replace(context, recipe=short))


def test_a_faulty_row_of_any_set_is_said_before_the_first_stage(context: StepContext) -> None:
    with (context.recipe_dir / "data" / "questions.jsonl").open("a") as rows:
        rows.write('{"gold": "1"}\n')
    with pytest.raises(DataError, match="of data 'questions': no key 'prompt' or 'messages'"):
        Fitness().run(context)


def test_only_the_stages_of_the_plan_count(context: StepContext) -> None:
    edit(context.recipe_dir / "base" / "config.json", max_position_embeddings=300)
    engine = context.recipe.engine.model_copy(update={"context_tokens": 300})
    longer = context.recipe.stages[0].model_copy(update={"max_tokens": 400})
    recipe = context.recipe.model_copy(update={"engine": engine, "stages": [longer, *context.recipe.stages[1:]]})
    with pytest.raises(CheckpointError, match=r"stages\.cold_start\.max_tokens is 400"):
        Fitness().run(replace(context, recipe=recipe))
    later = replace(context.step, params={"stages": {"distil": {}}})
    assert Fitness().run(replace(context, recipe=recipe, step=later))["models"] == 2


@pytest.mark.parametrize(
    ("model", "limit", "what"), [("base", 300, "base knows 300"), ("teacher", 400, "distil.teacher knows 400")]
)
def test_positions_that_do_not_reach_are_refused(context: StepContext, model: str, limit: int, what: str) -> None:
    edit(context.recipe_dir / model / "config.json", max_position_embeddings=limit)
    with pytest.raises(CheckpointError, match=f"engine.context_tokens is 512, but {what} positions"):
        Fitness().run(context)


@pytest.mark.parametrize(
    ("rope", "positions"),
    [
        (None, 32768),
        ({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}, 131072),
        ({"type": "linear", "factor": 2.0}, 65536),
        ({"rope_type": "llama3", "factor": 8.0, "original_max_position_embeddings": 8192}, 32768),
        ({"rope_type": "default", "rope_theta": 10000.0}, 32768),
    ],
)
def test_a_scaled_rotary_embedding_adds_positions(rope: dict[str, Any] | None, positions: int) -> None:
    assert num_positions({"max_position_embeddings": 32768, "rope_scaling": rope}) == positions


def test_a_disk_without_room_for_a_stage_is_said_before_it(
    context: StepContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(context.output)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(StageError, match="two resume checkpoints") as caught:
        Fitness().run(context)
    assert caught.value.where == str(context.recipe_dir / "store") and "gc" in str(caught.value.remedy)
