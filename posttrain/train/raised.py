"""A checkpoint with another rotary base and more positions (ABF), by its config.json alone: what is loaded here is what
will be published.

The folder is made anew beside the attempt: a config.json, and links to all other files. Knows nothing of training.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from posttrain.errors import RecipeError
from posttrain.recipe.schema import Sft
from posttrain.recipe.sizes import num_positions
from posttrain.rollout.weights import read_config


def with_raised_positions(model: Path, stage: Sft, folder: Path) -> Path:
    """The checkpoint to train from: `model`, or `folder` with the stage's rope_theta and max_positions. Raises
    RecipeError where the model has no one rotary base to change, or knows more positions already."""
    if stage.rope_theta is None and stage.max_positions is None:
        return model
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    for path in model.iterdir():
        if path.name != "config.json":
            os.symlink(path.resolve(), folder / path.name)
    config = raised(read_config(model), stage)
    (folder / "config.json").write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return folder


def raised(config: Mapping[str, Any], stage: Sft) -> dict[str, Any]:
    """The config with the stage's values, in the keys in which it has its own."""
    where = f"stages.{stage.name}"
    inner = config["text_config"] if isinstance(config.get("text_config"), dict) else config
    found = dict(inner)
    rope = inner.get("rope_parameters") or inner.get("rope_scaling") or {}
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind != "default" or any(isinstance(value, dict) for value in rope.values()):
        raise RecipeError(
            f"the model's positions are scaled already ({json.dumps(rope)})",
            where=f"{where}.rope_theta" if stage.rope_theta else f"{where}.max_positions",
            remedy="leave rope_theta and max_positions out, or begin with a base whose rotary positions are plain",
        )
    if stage.rope_theta is not None:
        if "rope_theta" not in found and "rope_theta" not in rope:
            raise RecipeError(
                "the model's config.json states no rotary base",
                where=f"{where}.rope_theta",
                remedy="leave it out: only models with plain rotary positions have one",
            )
        if "rope_theta" in rope:
            found["rope_parameters" if inner.get("rope_parameters") else "rope_scaling"] = {
                **rope,
                "rope_theta": stage.rope_theta,
            }
        if "rope_theta" in found:
            found["rope_theta"] = stage.rope_theta
    if stage.max_positions is not None:
        limit = num_positions(inner)
        if limit is not None and stage.max_positions < limit:
            raise RecipeError(
                f"max_positions is {stage.max_positions}, and the model knows {limit} already",
                where=f"{where}.max_positions",
                remedy="leave it out, or give more",
            )
        found["max_position_embeddings"] = stage.max_positions
    return {**config, "text_config": found} if inner is not config else found
