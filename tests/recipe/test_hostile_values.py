"""Whatever value stands at whatever key: a recipe is accepted or refused with one RecipeError that names the place,
never anything else."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from posttrain.errors import RecipeError
from posttrain.recipe.checks import check_references
from posttrain.recipe.load import Loaded, validate
from posttrain.recipe.location import Source
from posttrain.recipe.yaml_core import Key, read_text
from tests.recipe.world import RECIPE

VALUES: list[Any] = [
    None,
    True,
    -1,
    0,
    10**30,
    0.5,
    1e308,
    "",
    "x",
    "a:b",
    [],
    ["x"],
    [[]],
    {},
    {"x": 1},
    {"kind": "sft"},
    {"stage": []},
]


def keys_of(value: Any, key: Key = ()) -> Iterator[Key]:
    yield key
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in items:
        yield from keys_of(inner, (*key, name))


DATA = read_text(RECIPE, "recipe").data
KEYS = [key for key in keys_of(DATA) if key]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_any_value_at_any_key_is_accepted_or_is_one_recipe_error(value: Any) -> None:
    for key in KEYS:
        data = copy.deepcopy(DATA)
        at = data
        for part in key[:-1]:
            at = at[part]
        at[key[-1]] = value
        source = Source(file="recipe", data=data)
        try:
            check_references(Loaded(recipe=validate(source), recipe_dir=Path(), source=source))
        except RecipeError as error:
            assert error.where and error.where.startswith("recipe"), key
            assert error.what and error.remedy, key
