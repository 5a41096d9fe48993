"""Data stages in recipes: what a plan says before, which faults are refused with their line, and on what a step's id
hangs."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from posttrain.cli import main
from posttrain.errors import DataError, InputError
from posttrain.factory.examine import RULES
from posttrain.factory.templates import VARIABLES, Prompts
from posttrain.plan.asking import asked_at_most
from posttrain.recipe.files import SHIPPED_PROMPTS
from posttrain.recipe.resolve import PROMPTS
from posttrain.recipe.schema import Clean, CleanRule, Prefer, Reconstruct, Refine, Verify, WriteTests
from tests.factory.scripted import Roles, judged, models, served, write_part, write_recipe
from tests.recipe.world import write_jsonl

URL = "http://127.0.0.1:9/v1"


def pick(**more: Any) -> dict[str, Any]:
    asked = models(URL, "writer", "judge")
    return {"kind": "verify", "name": "pick", "data": "sums", "generators": ["writer"], "models": asked, **more}


def planned(recipe: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, Any]]:
    capsys.readouterr()
    assert main(["plan", str(recipe), "--json"]) == 0
    return {step["name"]: step for step in json.loads(capsys.readouterr().out)["steps"]}


def test_a_plan_names_rows_requests_tokens_and_cost_and_no_run_asks_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    roles = Roles(
        {
            "writer": lambda row, text, seed: f"It is {row + 1}{'!' * (seed % 9)}",
            "judge": lambda row, text, seed: (
                "<reason>x</reason><better>equal</better>" if "First answer:" in text else judged()
            ),
        }
    )
    with served(roles) as server:
        asked = models(server.url, "writer", "judge", max_tokens=100, prompt_price=1.0, completion_price=10.0)
        recipe = write_recipe(tmp_path, [pick(models=asked, samples=3, pairwise=3)], rows=10)
        found = planned(recipe, capsys)["pick"]["estimate"]["asked"]
        assert main(["plan", str(recipe)]) == 0
        assert "pick: 10 rows, at most 130 requests (writer 30, judge 100)" in capsys.readouterr().out
        assert main(["run", str(recipe), "--out", "run", "--store", "store", "--quiet", "--until", "pick"]) == 0
    assert found["rows"] == 10 and found["requests"] == 130
    figures = json.loads((tmp_path / "run" / "stages" / "pick" / "summary.json").read_text())
    assert figures["requests"] == sum(roles.asked.values()) <= found["requests"]
    assert figures["generated_tokens"] <= found["reply_tokens"] == 13000
    assert 0 < figures["cost"] < found["cost"]


def test_estimates_of_every_kind_count_its_rounds() -> None:
    refine = Refine.model_validate(
        {"kind": "refine", "name": "r", "data": "d", "generators": ["a", "b"], "rounds": 3, "samples": 2}
        | {"models": models(URL, "a", "b", "critic", max_tokens=10)}
    )
    assert asked_at_most(refine, 2, 100).by_role == {"a": 4 + 6, "b": 4, "critic": 2 * (2 + 5 + 3)}
    chain = Reconstruct.model_validate(
        {"kind": "reconstruct", "name": "r", "data": "d", "samples": 3, "models": models(URL, "writer", "judge")}
    )
    assert asked_at_most(chain, 2, 100).by_role == {"writer": 8, "judge": 6}
    tests = WriteTests.model_validate(
        {"kind": "tests", "name": "t", "data": "d", "verifier": "code", "reverse": True, "solutions": 3}
        | {"models": models(URL, "author", "solver", "tester")}
    )
    assert asked_at_most(tests, 2, 100).by_role == {"author": 4, "solver": 6, "tester": 4}


FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "nobody_judges": (pick(models=models(URL, "writer")), "nobody says which candidates are right"),
    "unused_model": (pick(models=models(URL, "writer", "judge", "critic")), "nobody asks a model 'critic' here"),
    "no_generator": (pick(generators=["author"]), "nobody asks a model 'writer' here"),
    "no_such_verifier": (pick(verifier="maths"), "no verifier 'maths'"),
    "two_places": (
        pick(models={**models(URL, "writer"), "judge": {"endpoint": URL, "model": "x", "path": "base"}}),
        "both path and endpoint say which model",
    ),
    "no_place": (pick(models={**models(URL, "writer"), "judge": {"temperature": 0.0}}), "nothing says which model"),
    "no_model_name": (pick(models={**models(URL, "writer"), "judge": {"endpoint": URL}}), "key 'model' is missing"),
    "a_key_itself": (pick(models=models(URL, "writer", "judge", api_key_env="sk-12345")), "is no variable name"),
    "odd_address": (pick(models=models("localhost:80", "writer", "judge")), "no plain address"),
    "servers_key_on_a_folder": (
        pick(models={**models(URL, "writer"), "judge": {"path": "base", "structured": True, "max_tokens": 9}}),
        "'structured' is a server's",
    ),
    "no_room": (pick(models={**models(URL, "writer"), "judge": {"path": "base"}}), "leaves no room for a prompt"),
    "later_stage": (pick(models={**models(URL, "writer"), "judge": {"stage": "next", "max_tokens": 9}}), "no earlier"),
    "a_prompt_that_is_not_shown": (pick(prompts={"judgement": "x.jinja"}), "verify shows no prompt 'judgement'"),
    "no_prompt_file": (pick(prompts={"judge": "absent.jinja"}), "no file"),
    "from": (pick(**{"from": "base"}), "starts from no checkpoint"),
    "one_pair": (pick(pairwise=1), "one candidate cannot be compared"),
    "no_data": (pick(data="sum"), "no data set 'sum'"),
}


@pytest.mark.parametrize(("stage", "words"), FAULTS.values(), ids=FAULTS)
def test_a_stage_that_cannot_work_is_refused_before_anything_is_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], stage: dict[str, Any], words: str
) -> None:
    recipe = write_recipe(tmp_path, [stage])
    assert main(["plan", str(recipe)]) == 2
    said = capsys.readouterr().err
    assert words in said and "stages.pick" in said and "remedy:" in said and "sk-12345" not in said


def test_rows_of_a_data_stage_are_read_only_after_it_and_as_rows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    again = {"kind": "verify", "name": "again", "data": "picked", "models": models(URL, "judge")}
    picked = {"source": "stage", "stage": "pick"}
    for stages, data, words in (
        ([again, pick()], picked, "does not run before 'again'"),
        ([pick(), again], {**picked, "part": "pairs"}, "publishes no 'pairs'"),
        ([pick(), again], {**picked, "stage": "pack"}, "no dpd or data stage 'pack'"),
    ):
        assert main(["plan", str(write_recipe(tmp_path, stages, data={"picked": data}))]) == 2
        assert words in capsys.readouterr().err


def test_an_id_hangs_on_what_changes_replies_and_not_on_how_they_are_had(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def id_of(**more: Any) -> str:
        model = {"endpoint": URL, "model": "m", **more.pop("model", {})}
        stage = pick(models={"writer": model, "judge": model}, **more)
        return str(planned(write_recipe(tmp_path, [stage]), capsys)["pick"]["id"])

    plain = id_of()
    how = {"timeout_seconds": 9.0, "retries": 1, "parallel": 3, "api_key_env": "A_KEY", "prompt_price": 3.0}
    assert id_of(model=how) == plain
    assert id_of(budget={"tokens": 5}, max_fault_share=0.1) == plain
    (tmp_path / "own.jinja").write_text("{{ question }} {{ reply_form }} {{ answer }}")
    changed = [
        id_of(model={"temperature": 0.3}),
        id_of(model={"max_tokens": 77}),
        id_of(model={"version": "2026-01"}),
        id_of(model={"endpoint": "http://127.0.0.1:10/v1"}),
        id_of(model={"extra": {"top_k": 3}}),
        id_of(samples=2),
        id_of(prompts={"judge": "own.jinja"}),
    ]
    assert len({plain, *changed}) == 8
    # With a version of its own a model may move.
    assert id_of(model={"version": "a"}) == id_of(model={"version": "a", "endpoint": "http://127.0.0.1:10/v1"})


ODD_PROMPTS = {
    "no_such_name": ("{{ questoin }} {{ reply_form }}", "uses 'questoin', which it is not given"),
    "no_form": ("{{ question }}", "does not show reply_form"),
    "no_template": ("{{ question", "no prompt can be made of it"),
    "no_such_filter": ("{{ question | cited }} {{ reply_form }}", "no prompt can be made of it"),
}


@pytest.mark.parametrize(("text", "words"), ODD_PROMPTS.values(), ids=ODD_PROMPTS)
def test_a_prompt_that_cannot_be_shown_stops_the_stage_before_anybody_is_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, words: str
) -> None:
    roles = Roles({"writer": lambda row, text, seed: f"It is {row + 1}", "judge": lambda row, text, seed: judged()})
    (tmp_path / "own.jinja").write_text(text)
    with served(roles) as server:
        keys = {"generators": ["writer"], "models": models(server.url, "writer", "judge")}
        file, part = write_part(tmp_path, keys | {"prompts": {"judge": "own.jinja"}})
        assert main(["data", "verify", str(file), "--config", str(part), "--out", str(tmp_path / "out")]) == 2
        assert not server.requests
    assert words in capsys.readouterr().err


def test_prompts_cannot_reach_into_python(tmp_path: Path) -> None:
    path = tmp_path / "own.jinja"
    path.write_text("{{ question.__class__.__mro__[1].__subclasses__() }}")
    with pytest.raises(DataError, match="cannot be written"):
        Prompts("verify", {"generate": path}).text("generate", {"question": "1+1?"})


def test_what_a_prompt_may_use_is_what_the_page_says() -> None:
    page = (Path(__file__).parents[2] / "docs" / "factory.md").read_text()
    for kind, prompts in VARIABLES.items():
        (row,) = re.findall(rf"^\| `{kind}` \| (`[a-z_]+`[:;].*) \|$", page, flags=re.MULTILINE)
        told = {
            name: set(re.findall("`([a-z_]+)`", rest)) for name, rest in re.findall(r"`([a-z_]+)`(?::([^;|]*)|;)", row)
        }
        assert {name: set(uses) - {"question", "reply_form"} for name, uses in prompts.items()} == told


def test_every_prompt_is_shipped_and_every_shipped_file_is_a_prompt() -> None:
    kinds = {Verify: "verify", Prefer: "prefer", Refine: "refine", Reconstruct: "reconstruct", WriteTests: "tests"}
    names = {f"{kinds[kind]}_{name}" for kind, prompts in PROMPTS.items() for name in prompts if name != "generate"}
    assert {kinds[kind]: list(prompts) for kind, prompts in PROMPTS.items()} == {
        kind: list(prompts) for kind, prompts in VARIABLES.items()
    }
    assert {path.stem for path in SHIPPED_PROMPTS.glob("*.jinja")} == names | {"generate"}


def test_the_rules_that_clean_may_leave_out_are_those_it_has() -> None:
    assert sorted(CleanRule.__args__) == sorted(RULES)
    assert Clean.model_fields["skip"].annotation == list[CleanRule]


def test_smoke_asks_little_and_publishes_rows_whatever_the_models_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    roles = Roles({"writer": lambda row, text, seed: f"No{seed}", "judge": lambda row, text, seed: judged("wrong")})
    with served(roles) as server:
        recipe = write_recipe(tmp_path, [pick(models=models(server.url, "writer", "judge"), samples=5)], rows=50)
        run = ["run", str(recipe), "--smoke", "--out", "run", "--store", "store", "--quiet", "--until", "pick"]
        assert main(run) == 0
    assert len((tmp_path / "run" / "stages" / "pick" / "rows.jsonl").read_text().splitlines()) == 32
    assert sum(roles.asked.values()) == 32 * 4


def test_check_asks_each_server_for_a_word_and_says_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from posttrain.factory.servers import probe_server
    from posttrain.recipe.schema import AskedModel

    with served(Roles({"judge": lambda row, text, seed: "ready"})) as server:
        server.script = lambda prompt, body: "ready"
        good = AskedModel.model_validate({"endpoint": server.url, "model": "judge"})
        assert "judge answers; it counts no tokens" in probe_server(good, "stages.pick.models.judge")
    with pytest.raises(InputError, match="does not answer"):
        probe_server(good.model_copy(update={"retries": 0}), "stages.pick.models.judge")


def test_a_suites_problem_that_a_data_stage_reads_counts_as_trained_on(tmp_path: Path) -> None:
    """Else the way through a stage that makes rows would hide it."""
    from posttrain.data.overlap import held_out_overlap
    from posttrain.recipe import load_recipe

    write_jsonl(tmp_path / "held_out.jsonl", [{"prompt": "3+1?", "gold": "4"}, {"prompt": "90+1?", "gold": "91"}])
    held_out = {"source": "jsonl", "path": "held_out.jsonl", "card": "cards/sums.md"}
    tune = {"kind": "sft", "name": "tune", "data": {"picked": 1.0}, "steps": 1, "batch_size": 16}
    recipe = write_recipe(
        tmp_path,
        [pick(), tune, {"kind": "grpo", "name": "rl", "prompts": "picked", "verifier": "math", "max_tokens": 64}],
        data={"held_out": held_out, "picked": {"source": "stage", "stage": "pick"}},
        evaluate={"suites": {"sums": {"data": "held_out", "verifier": "math", "max_tokens": 64}}, "after": "last"},
        verifiers={"math": {"kind": "math"}},
    )
    loaded = load_recipe(recipe)
    assert held_out_overlap(loaded.recipe, loaded.recipe_dir) == {"sums": 1}


def test_training_stages_take_the_rows_of_a_data_stage_as_their_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stages = [
        pick(),
        {"kind": "sft", "name": "tune", "data": {"picked": 1.0}, "steps": 1, "batch_size": 16},
        {"kind": "grpo", "name": "rl", "prompts": "picked", "verifier": "math", "max_tokens": 64},
        {"kind": "refine", "name": "better", "data": "picked", "generators": ["student"]}
        | {"models": {"student": {"stage": "tune", "max_tokens": 64}, **models(URL, "critic")}},
    ]
    more = {"data": {"picked": {"source": "stage", "stage": "pick"}}, "verifiers": {"math": {"kind": "math"}}}
    steps = planned(write_recipe(tmp_path, stages, **more), capsys)
    assert steps["tune.tokens"]["inputs"]["data.picked"] == "pick"
    assert steps["tune"]["inputs"] == {"checkpoint": "base", "tokens": "tune.tokens"}
    assert steps["rl.filter"]["inputs"] == {"checkpoint": "tune", "data.picked": "pick"}
    assert steps["rl"]["inputs"]["data.picked"] == "pick"
    assert steps["better"]["inputs"] == {"data.picked": "pick", "model.student": "tune"}
    assert steps["export"]["inputs"]["checkpoint"] == "rl"


def test_the_models_card_states_the_terms_of_models_that_wrote_or_judged_its_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    roles = Roles({"writer": lambda row, text, seed: f"It is {row + 1}", "judge": lambda row, text, seed: judged()})
    with served(roles) as server:
        asked = models(server.url, "writer", terms="no competing models") | models(server.url, "judge", version="v2")
        recipe = write_recipe(tmp_path, [pick(models=asked)], rows=2)
        assert main(["run", str(recipe), "--out", "run", "--store", "store", "--quiet"]) == 0
    card = (tmp_path / "run" / "MODEL_CARD.md").read_text()
    assert "| replies of writer (a server), in the data | no competing models |" in card
    assert "| replies of judge (v2), in the data | not stated" in card and "license: other" in card
    rows_card = (tmp_path / "run" / "stages" / "pick" / "card.md").read_text()
    assert 'license: "other"' in rows_card and "terms of its replies: no competing models" in rows_card
