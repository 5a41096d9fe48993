"""A base made elsewhere is referred to by its content: it may move, and may not change; what a hub's cache lost is
fetched again."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from posttrain.errors import CheckpointError
from posttrain.records.step import Step
from posttrain.store.artefacts import Store
from posttrain.store.housekeeping import collect
from posttrain.store.reference import model_dir
from tests.run.driving import run_steps, step
from tests.run.test_run import statuses


def chain(folder: Path | None, cache: str = "", more: int = 0) -> list[Step]:
    """base -> reader; `more` makes another reader of the same base."""
    base = step("base", "Referrer", cache=cache)
    if folder is not None:
        base = replace(base, files={"model": str(folder)})
    return [base, step("reader", "Reader", inputs={"checkpoint": "base"}, ids={"base": base.id}, more=more)]


@pytest.fixture
def base(tmp_path: Path) -> Path:
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "weights.bin").write_bytes(b"w" * 100)
    return tmp_path / "base"


def test_a_base_that_moved_is_found_where_the_recipe_names_it_and_nothing_reruns(tmp_path: Path, base: Path) -> None:
    run_steps(chain(base), tmp_path / "run", tmp_path / "store")
    shutil.move(base, tmp_path / "moved")
    again = run_steps(chain(tmp_path / "moved"), tmp_path / "run", tmp_path / "store")
    assert statuses(again) == {"base": "cached", "reader": "cached"}
    assert model_dir(tmp_path / "run" / "stages" / "base") == tmp_path / "moved", "through the run folder's link, too"
    more = run_steps(chain(tmp_path / "moved", more=1), tmp_path / "run", tmp_path / "store")
    assert statuses(more) == {"base": "cached", "reader": "ran"}
    assert not Store(tmp_path / "store").verify(), "where it lies now is no part of what was published"


def test_a_base_that_changed_behind_the_plans_back_is_not_read(tmp_path: Path, base: Path) -> None:
    run_steps(chain(base), tmp_path / "run", tmp_path / "store")
    (base / "weights.bin").write_bytes(b"x" * 100)
    with pytest.raises(CheckpointError, match="the model changed since it was first used") as caught:
        run_steps(chain(base, more=1), tmp_path / "run", tmp_path / "store")
    assert caught.value.where == str(base)


def test_a_local_base_that_is_gone_is_said(tmp_path: Path, base: Path) -> None:
    run_steps(chain(base), tmp_path / "run", tmp_path / "store")
    shutil.rmtree(base)
    with pytest.raises(CheckpointError, match="not there any more"):
        run_steps(chain(base, more=1), tmp_path / "run", tmp_path / "store")


def test_a_snapshot_that_left_its_cache_is_fetched_again_once_a_step_needs_it(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    run_steps(chain(None, str(cache)), tmp_path / "run", tmp_path / "store")
    shutil.rmtree(cache)
    again = run_steps(chain(None, str(cache)), tmp_path / "run", tmp_path / "store")
    assert statuses(again) == {"base": "cached", "reader": "cached"} and not cache.exists(), "nothing needs it"
    results = run_steps(chain(None, str(cache), more=1), tmp_path / "run", tmp_path / "store")
    assert statuses(results) == {"base": "cached", "reader": "ran"} and cache.is_dir()
    assert not list((tmp_path / "store" / "work").iterdir())


def test_what_others_add_to_a_snapshots_folder_is_no_change_and_what_they_alter_is(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    run_steps(chain(None, str(cache)), tmp_path / "run", tmp_path / "store")
    (cache / "LICENSE").write_text("added by another tool")
    assert statuses(run_steps(chain(None, str(cache), more=1), tmp_path / "run", tmp_path / "store"))["reader"] == "ran"
    (cache / "weights.bin").unlink()
    with pytest.raises(CheckpointError, match="changed since it was first used") as caught:
        run_steps(chain(None, str(cache), more=2), tmp_path / "run", tmp_path / "store")
    assert "hub's cache" in str(caught.value.remedy)


def test_one_run_naming_another_place_does_not_take_the_base_from_a_run_whose_place_is_whole(
    tmp_path: Path, base: Path
) -> None:
    run_steps(chain(base), tmp_path / "run", tmp_path / "store")
    shutil.copytree(base, tmp_path / "copy")
    run_steps(chain(tmp_path / "copy"), tmp_path / "other", tmp_path / "store")
    shutil.rmtree(tmp_path / "copy")
    assert model_dir(tmp_path / "run" / "stages" / "base") == base
    assert statuses(run_steps(chain(base, more=1), tmp_path / "run", tmp_path / "store"))["reader"] == "ran"


def test_the_note_of_a_place_goes_with_its_artefact(tmp_path: Path, base: Path) -> None:
    run_steps(chain(base), tmp_path / "run", tmp_path / "store")
    shutil.move(base, tmp_path / "moved")
    run_steps(chain(tmp_path / "moved"), tmp_path / "run", tmp_path / "store")
    assert len(list((tmp_path / "store" / "places").iterdir())) == 1
    shutil.rmtree(tmp_path / "run")
    collect(Store(tmp_path / "store"), remove=True)
    assert not list((tmp_path / "store" / "places").iterdir())
