"""`mix`: shares, bands of quality and domains of each phase, what comes again, and what is refused."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from posttrain.cli import main
from posttrain.data.source_rows import SourceRow
from posttrain.errors import DataError, RecipeError
from posttrain.factory.mix import mix_rows
from posttrain.recipe import load_recipe
from posttrain.recipe.resolve import data_of
from posttrain.recipe.schema import Mix
from posttrain.recipe.smoke import smoke_recipe
from tests.factory.scripted import lines, write_recipe
from tests.recipe.world import write_jsonl

SHIPPED = sorted((Path(__file__).resolve().parents[2] / "recipes").glob("*.yaml"))


def source(name: str, count: int, **metadata: Any) -> list[SourceRow]:
    """Row n has the quality n, from 1, and a domain by turns."""
    return [
        SourceRow(
            number=n,
            id=f"{name}/{n}",
            data=name,
            messages=({"role": "user", "content": f"{name} {n}?"},),
            answers=("yes",),
            metadata={"quality": n, "domain": ("math", "law")[n % 2], **metadata},
        )
        for n in range(1, count + 1)
    ]


def stage(**keys: Any) -> Mix:
    return Mix.model_validate({"kind": "mix", "name": "curriculum", "data": {"web": 3.0, "code": 1.0}, **keys})


WORLD = {"web": source("web", 40), "code": source("code", 20)}
TWO = {"broad": {"share": 0.75}, "best": {"share": 0.25, "quality": (0.8, 1.0)}}


def test_shares_are_exact_and_bands_are_of_each_data_set() -> None:
    phases = mix_rows(stage(rows=32, score="quality", phases=TWO), WORLD, 0)
    assert {name: len(phase.rows) for name, phase in phases.items()} == {"broad": 24, "best": 8}
    assert Counter(row.data for row in phases["best"].rows) == {"web": 6, "code": 2}
    assert all(row.number > {"web": 32, "code": 16}[row.data] for row in phases["best"].rows)
    assert len({row.id for row in phases["best"].rows}) == 8


def test_domains_have_their_shares_within_each_data_set_and_others_are_left_out() -> None:
    keys = {"rows": 24, "domain": "domain", "domains": {"math": 1.0}}
    phases = mix_rows(stage(**keys, phases={"all": {"share": 1.0}}), WORLD, 0)
    assert Counter(row.data for row in phases["all"].rows) == {"web": 18, "code": 6}
    assert {row.metadata["domain"] for row in phases["all"].rows} == {"math"}
    assert set(phases["all"].seen) == {"web/math", "code/math"}


def test_a_row_comes_again_only_after_all_others_and_that_is_counted() -> None:
    phases = mix_rows(stage(rows=120, phases={"all": {"share": 1.0}}), WORLD, 3)
    times = Counter(row.id for row in phases["all"].rows)
    assert {times[row.id] for row in WORLD["web"]} == {2, 3} and {times[row.id] for row in WORLD["code"]} == {1, 2}
    assert phases["all"].seen["web"].again == 50 and phases["all"].seen["code"].again == 10
    assert phases == mix_rows(stage(rows=120, phases={"all": {"share": 1.0}}), WORLD, 3)
    assert phases != mix_rows(stage(rows=120, phases={"all": {"share": 1.0}}), WORLD, 4)


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"rows": 400}, "takes 100 rows of 'code', which has 20: one would stand 5 times"),
        ({"rows": 4, "score": "stars", "phases": TWO}, "'stars' in the metadata of row 1 of data 'web' is None"),
        ({"rows": 4, "domain": "subject", "domains": {"math": 1.0}}, "'subject' in the metadata of row 1"),
        ({"rows": 4, "domain": "domain", "domains": {"art": 1.0}}, "data 'web' has no row for phase 'all'"),
        (
            {"rows": 4, "domain": "domain", "domains": {"math": 1.0, "medicine": 5.0}},
            "no row for phase 'all' is of the domain 'medicine'",
        ),
    ],
)
def test_what_cannot_be_mixed_is_said(keys: dict[str, Any], says: str) -> None:
    with pytest.raises(DataError, match=says):
        mix_rows(stage(**({"phases": {"all": {"share": 1.0}}} | keys)), WORLD, 0)


@pytest.mark.parametrize(
    "path", [path for path in SHIPPED if "kind: mix" in path.read_text()], ids=lambda path: path.stem
)
def test_a_smoke_run_of_a_shipped_recipe_mixes_its_cut_rows(path: Path) -> None:
    """However few rows the stages before it have left of each data set."""
    for mix in (one for one in smoke_recipe(load_recipe(path).recipe).stages if isinstance(one, Mix)):
        left = {name: source(name, 1) for name in data_of(mix)}
        assert sum(len(phase.rows) for phase in mix_rows(mix, left, 0).values()) == mix.rows <= 32


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"phases": {"all": {"share": 0.5}}}, "add up to 0.5"),
        ({"phases": {"chosen": {"share": 1.0}}}, "'chosen' stands for all phases"),
        ({"data": {}}, "key 'data' is missing"),
        ({"phases": {"all": {"share": 1.0, "quality": [0.5, 0.5]}}}, "holds no row"),
        ({"phases": {"all": {"share": 1.0, "quality": [0.5, 1]}}}, "no score says"),
        ({"domains": {"math": 1.0}}, "no key says which domain"),
        ({"phases": {"all": {"share": 1.0, "data": {"sums": 1.0}}}}, "nothing reads it"),
    ],
)
def test_a_recipe_that_says_nothing_or_too_much_is_refused(tmp_path: Path, change: dict[str, Any], says: str) -> None:
    own = {"kind": "mix", "name": "curriculum", "data": {"sums": 1.0}, "rows": 6, "phases": {"all": {"share": 1.0}}}
    with pytest.raises(RecipeError, match=says):
        load_recipe(write_recipe(tmp_path, [own | change]))


def test_a_phase_is_rows_for_a_later_stage_and_the_plan_says_what_comes_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    own = {"kind": "mix", "name": "curriculum", "data": {"sums": 1.0, "rated": 1.0}, "rows": 40, "score": "quality"}
    own["phases"] = {
        "broad": {"share": 0.75, "data": {"sums": 0.4, "rated": 0.6}, "quality": [0.0, 1.0]},
        "best": {"share": 0.25, "data": {"rated": 1.0}, "quality": [0.5, 1.0]},
    }
    own.pop("data")
    data = {
        "rated": {"source": "file", "path": "rated.jsonl", "card": "cards/sums.md", "metadata": ["quality"]},
        "sums": {"source": "file", "path": "rated.jsonl", "card": "cards/sums.md", "metadata": ["quality"], "limit": 8},
        "best": {"source": "stage", "stage": "curriculum", "part": "best"},
        "all": {"source": "stage", "stage": "curriculum"},
    }
    tidy = {"kind": "clean", "skip": ["exact_duplicate", "near_duplicate"]}
    stages = [own, {**tidy, "name": "tidy", "data": "best"}, {**tidy, "name": "whole", "data": "all"}]
    recipe = write_recipe(tmp_path, stages, data=data)
    write_jsonl(
        tmp_path / "rated.jsonl",
        [{"prompt": f"{n}+1?", "completion": f"It is {n + 1}.", "quality": n / 10} for n in range(12)],
    )
    assert main(["plan", str(recipe)]) == 0
    said = capsys.readouterr().out
    assert "curriculum.broad: 12 rows of sums, which has at most 8: 4 come again, or more" in said
    assert "curriculum.best: 10 rows of rated, which has at most 6: 4 come again, or more" in said
    assert main(["run", str(recipe), "--out", "run", "--store", "store", "--quiet", "--until", "whole"]) == 0
    best = lines(tmp_path / "run" / "stages" / "tidy" / "rows.jsonl")
    assert len(best) == 10 and {row["metadata"]["quality"] for row in best} <= {n / 10 for n in range(6, 12)}
    assert [step["data"] for step in best[0]["made_from"]] == ["rated", "best"]
    assert len(lines(tmp_path / "run" / "stages" / "whole" / "rows.jsonl")) == 40
    smoke = ["--smoke", "--out", "small", "--store", "store", "--quiet", "--until", "curriculum"]
    assert main(["run", str(recipe), *smoke]) == 0
    small = tmp_path / "small" / "stages" / "curriculum" / "phases"
    assert [len(lines(small / f"{name}.jsonl")) for name in ("broad", "best")] == [16, 16]
    card = (tmp_path / "run" / "stages" / "curriculum" / "card.md").read_text()
    assert "best: rated: 10 rows drawn of 6: 0 not seen, 4 seen again" in card
    wrong = recipe.read_text().replace('"part": "best"', '"part": "bets"')
    recipe.write_text(wrong)
    with pytest.raises(RecipeError, match="publishes no 'bets'"):
        load_recipe(recipe)
