"""The recipe that `--smoke` runs in place of one: real shapes, two optimiser steps a stage, few rows and answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from posttrain.recipe.resolve import data_of
from posttrain.recipe.schema import Recipe

_FEW, _FEWER = 32, 4  # rows of a data set that a stage reads, and of any other


def smoke_recipe(recipe: Recipe) -> Recipe:
    """The same recipe with real shapes but two optimiser steps a stage, few rows and prompts, and a name of its own."""
    trained = {name for stage in recipe.stages for name in data_of(stage)}
    raw = recipe.model_dump(mode="json", by_alias=True)
    raw["name"] = f"{recipe.name[:58]}-smoke"
    for stage in raw["stages"]:
        if "steps" in stage:
            stage.update(steps=2, save_every=1)
        if stage.get("gate"):
            stage["gate"]["max_drop"] = 1.0  # two steps may lose everything
        if stage["kind"] == "mix":
            _shrink_mix(stage)
        elif stage.get("phases"):
            count = len(stage["phases"])
            stage["steps"] = max(2, count)
            stage["phases"] = [phase | {"share": 1 / count} for phase in stage["phases"]]
        if "epochs" in stage:
            stage["epochs"] = None
        if stage.get("filter"):
            stage["filter"]["k"] = max(2, min(stage["filter"]["k"], 4))
            stage["filter"].update(low=0.0, high=1.0)
        for key in ("teacher_samples", "student_samples", *(("samples", "rounds") if "models" in stage else ())):
            if key in stage:
                stage[key] = min(stage[key], 2)
        for model in stage.get("models", {}).values():
            if model["path"] == "toy":
                model["toy"] = {**(model["toy"] or {}), "steps": 2}
        if (stage.get("teacher") or {}).get("path") == "toy":
            stage["teacher"]["toy"] = {**(stage["teacher"]["toy"] or {}), "steps": 2}
    if raw["base"]["path"] == "toy":
        raw["base"]["toy"] = {**(raw["base"]["toy"] or {}), "steps": 2}
    for name, data in raw["data"].items():
        few = _FEW if name in trained else _FEWER
        if "rows" in data:
            data["rows"] = min(data["rows"], few)
        if "limit" in data:
            data["limit"] = min(data["limit"] or few, few)
    raw["evaluate"]["k"] = min(recipe.evaluate.k, 2)
    raw["verifiers"] = _without_canaries(raw["verifiers"])
    return Recipe.model_validate_json(json.dumps(raw))


def _shrink_mix(stage: dict[str, Any]) -> None:
    """Few rows, as many for each phase: of so few, a band of quality or a domain may hold none, and so none is asked
    for; and one row may stand for all of its data set."""
    phases = stage["phases"]
    stage["rows"] = max(min(stage["rows"], _FEW), len(phases))
    stage.update(max_repeats=stage["rows"], score=None, domain=None, domains={})
    for phase in phases.values():
        phase.update(share=1 / len(phases), quality=(0.0, 1.0), domains=None)


def _without_canaries(spec: Any) -> Any:
    """A verifier's arguments without canaries on a reward model of the recipe: trained for two steps, it is fooled by
    chance."""
    if isinstance(spec, Mapping):
        mine = spec.get("kind") == "pairwise" and isinstance(spec.get("model"), Mapping) and "stage" in spec["model"]
        return {key: _without_canaries(value) for key, value in spec.items()} | ({"canaries": 0} if mine else {})
    return [_without_canaries(value) for value in spec] if isinstance(spec, list | tuple) else spec
