"""What is handed over is what can be loaded without running anybody's code."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from posttrain.recipe import load_recipe
from posttrain.stages.export import Export
from tests.recipe.world import write_model, write_world


def test_pickled_files_beside_the_weights_are_left_behind(tmp_path: Path) -> None:
    recipe = load_recipe(write_world(tmp_path)).recipe
    model = write_model(tmp_path / "checkpoint" / "model")
    for name in ("training_args.bin", "optimizer.pt", "scheduler.pkl", "README.md"):
        (model / name).write_bytes(b"pickled, or of another checkpoint")
    (tmp_path / "output").mkdir()
    step = SimpleNamespace(inputs={"checkpoint": "preference"})
    inputs = {"checkpoint": tmp_path / "checkpoint"}
    context: Any = SimpleNamespace(
        recipe=recipe, recipe_dir=tmp_path, inputs=inputs, output=tmp_path / "output", step=step, input_steps={}
    )
    assert Export().run(context)["files"] == 5
    handed = {path.name: path for path in (tmp_path / "output" / "model").iterdir()}
    assert handed.keys() == {"README.md", "chat_template.jinja", "config.json", "model.safetensors", "tokenizer.json"}
    assert handed["README.md"].read_text().startswith("---\n")
