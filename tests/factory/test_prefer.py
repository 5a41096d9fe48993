"""`prefer`: pairs by rules and by a judge, ties and the rest counted; and a reward model trained on pairs of a policy's
own answers, the same after a kill."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from posttrain.cli import main
from posttrain.data.source import read_pairs
from posttrain.recipe.schema import Recipe
from posttrain.records.step import Step
from posttrain.stages.protocol import StepContext
from posttrain.stages.reward_model import RewardModelStage
from posttrain.stages.rows import PreferStage
from tests.factory.scripted import Roles, lines, models, served, write_part, write_recipe
from tests.recipe.world import write_jsonl

MATH = {"verifier": "math", "verifiers": {"math": {"kind": "math"}}}


def compared(better: str, margin: int = 8) -> str:
    return f"<reason>looked</reason>\n<better>{better}</better>\n<margin>{margin}</margin>"


def longer(row: int, text: str, seed: int) -> str:
    """A judge that prefers the longer answer, by a tenth a character."""
    asked = text.rpartition("First answer:")[2].rpartition("Reply in exactly")[0]
    first, second = (len(part.strip()) for part in asked.split("Second answer:"))
    better = "first" if first > second else "second" if second > first else "equal"
    return compared(better, min(10, abs(first - second)))


def alone(folder: Path, rows: list[dict[str, Any]], keys: dict[str, Any], *, code: int = 0) -> dict[str, Any]:
    """`data prefer` on rows; returns its figures."""
    file, part = write_part(folder, keys)
    write_jsonl(file, rows)
    assert main(["data", "prefer", str(file), "--config", str(part), "--out", str(folder / "out"), "--json"]) == code
    return json.loads((folder / "out" / "summary.json").read_text()) if code == 0 else {}


def test_rules_make_a_pair_where_scores_differ_and_say_where_they_do_not(tmp_path: Path) -> None:
    rows = [
        {"prompt": "1+1?", "candidates": ["It is 3", "It is 2", "It is 4"], "gold": "2"},
        {"prompt": "2+1?", "candidates": ["It is 4", "It is 5"], "gold": "3"},
        {"prompt": "3+1?", "candidates": ["<think>a</think>It is 4", "<think>b</think>It is 4"], "gold": "4"},
    ]
    figures = alone(tmp_path, rows, {**MATH, "pairs_per_prompt": 2})
    pairs = read_pairs(tmp_path / "out" / "pairs.jsonl", "x")
    assert [(pair.id, pair.chosen, pair.rejected) for pair in pairs] == [
        ("rows/1", "It is 2", "It is 3"),
        ("rows/1#2", "It is 2", "It is 4"),
    ]
    said = pairs[0].provenance
    assert (said["preferred_by"], said["margin"], said["scores"], said["row"]) == ("rules:math", 1.0, [1.0, 0.0], 1)
    assert figures["kept"] == 2 and figures["set_aside"] == {"no clear pair": 1, "fewer than two answers to compare": 1}
    assert figures["counts"] == {"pairs by rules": 2, "equal by the rules": 2}


def test_a_judge_is_asked_in_both_orders_about_what_the_rules_leave_open(tmp_path: Path) -> None:
    def judge(row: int, text: str, seed: int) -> str:
        fixed = {2: compared("first"), 3: compared("equal", 0), 4: "no form"}  # 2: whatever stands first
        return fixed.get(row) or longer(row, text, seed)

    roles = Roles({"judge": judge})
    rows = [{"prompt": f"{n}+1?", "candidates": ["a.", "b" + "." * (5 if n < 5 else 2)]} for n in range(1, 6)]
    rows.append({"prompt": "6+1?", "candidates": ["It is 7", "It is 6....."], "gold": "7"})
    with served(roles) as server:
        figures = alone(tmp_path, rows, {**MATH, "models": models(server.url, "judge"), "margin": 0.3})
    pairs = read_pairs(tmp_path / "out" / "pairs.jsonl", "x")
    assert [(pair.chosen, pair.provenance["margin"]) for pair in pairs] == [("b.....", 0.4), ("It is 7", 1.0)]
    assert pairs[0].provenance["preferred_by"].startswith("judge (") and pairs[0].provenance["scores"] == [None, None]
    counts = ("orders disagree", "equal by the judge", "not judged", "judge's margin too small", "pairs by the judge")
    assert figures["counts"] == dict.fromkeys([*counts, "pairs by rules"], 1)
    assert figures["set_aside"] == {"no clear pair": 4}
    assert not [asked for asked in roles.asked if asked[1] == 6]  # the rules told these two apart


def test_the_judge_compares_no_more_answers_of_a_row_than_it_is_told_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And the plan says so before."""
    monkeypatch.chdir(tmp_path)
    roles = Roles({"writer": lambda row, text, seed: f"It is{'.' * (seed % 1000)}", "judge": longer})
    with served(roles) as server:
        stage = {"kind": "prefer", "name": "choose", "data": "sums", "generators": ["writer"], "samples": 5}
        stage |= {"models": models(server.url, "writer", "judge"), "pairwise": 3}
        recipe = write_recipe(tmp_path, [stage], rows=4)
        assert main(["plan", str(recipe)]) == 0
        assert "choose: 4 rows, at most 44 requests (writer 20, judge 24)" in capsys.readouterr().out
        assert main(["run", str(recipe), "--out", "run", "--store", "store", "--quiet", "--until", "choose"]) == 0
    done = tmp_path / "run" / "stages" / "choose"
    assert json.loads((done / "summary.json").read_text())["requests"] == 44 == sum(roles.asked.values())
    assert main(["data", "show", "run:choose", "--row", "2"]) == 0
    assert "rejected" in capsys.readouterr().out
    for pair in read_pairs(done / "pairs.jsonl", "x"):
        assert len(pair.chosen) > len(pair.rejected)


URL = "http://127.0.0.1:9/v1"
JUDGE = {"endpoint": URL, "model": "judge"}
GROUP = {"verifier": "p", "verifiers": {"p": {"kind": "pairwise", "against": "group", "model": JUDGE}}}
PAIRS = {"pairs": {"source": "stage", "stage": "choose", "part": "pairs"}}
REWARD = {"kind": "reward_model", "name": "judge", "data": {"pairs": 1.0}, "steps": 1}
FAULTS: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "nobody_judges": ({"models": models(URL, "writer")}, {}, "nobody says which answer is better"),
    "one_answer": ({"samples": 1}, {}, "one answer makes no pair"),
    "compares": ({"verifier": "p"}, {"verifiers": GROUP["verifiers"]}, "judges an answer by the others"),
    "no_rows": ({}, {"data": {"pairs": {**PAIRS["pairs"], "part": "chosen"}}, "more": [REWARD]}, "set it to pairs"),
    "no_part": ({}, {"data": {"pairs": {**PAIRS["pairs"], "part": "best"}}, "more": [REWARD]}, "publishes no 'best'"),
    "prompts": (
        {},
        {"data": PAIRS, "more": [{"kind": "sft", "name": "tune", "data": {"pairs": 1.0}, "steps": 1}]},
        "set it to chosen or rejected",
    ),
}


@pytest.mark.parametrize(("keys", "recipe", "words"), FAULTS.values(), ids=FAULTS)
def test_what_makes_no_pairs_is_refused_before_anything_is_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], keys: dict[str, Any], recipe: dict[str, Any], words: str
) -> None:
    stage = {"kind": "prefer", "name": "choose", "data": "sums", "generators": ["writer"]}
    stage |= {"models": models(URL, "writer", "judge")}
    more = recipe.get("more", [])
    rest = {key: value for key, value in recipe.items() if key != "more"}
    assert main(["plan", str(write_recipe(tmp_path, [stage | keys, *more], **rest))]) == 2
    said = capsys.readouterr().err
    assert words in said and "remedy:" in said


def test_every_key_that_makes_other_pairs_changes_the_id(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def id_of(**keys: Any) -> str:
        stage = {"kind": "prefer", "name": "choose", "data": "sums", "generators": ["writer"]}
        recipe = write_recipe(tmp_path, [stage | {"models": models(URL, "writer", "judge")} | keys])
        capsys.readouterr()
        assert main(["plan", str(recipe), "--json"]) == 0
        return str({step["name"]: step for step in json.loads(capsys.readouterr().out)["steps"]}["choose"]["id"])

    changes: tuple[dict[str, Any], ...] = (
        *({"samples": 3}, {"margin": 0.2}, {"pairwise": 3}, {"pairs_per_prompt": 2}),
        {"generators": ["judge"], "models": models(URL, "judge")},
    )
    assert len({id_of(), *(id_of(**one) for one in changes)}) == 6
    assert id_of(budget={"tokens": 5}, max_fault_share=0.1) == id_of()


def test_under_smoke_every_row_gives_a_pair_whatever_the_models_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with served(Roles({"writer": lambda row, text, seed: "No", "judge": longer})) as server:
        stage = {"kind": "prefer", "name": "choose", "data": "sums", "generators": ["writer"]}
        recipe = write_recipe(tmp_path, [stage | {"models": models(server.url, "writer", "judge")}])
        run = ["run", str(recipe), "--smoke", "--out", "run", "--store", "store", "--quiet", "--until", "choose"]
        assert main(run) == 0
    pairs = read_pairs(tmp_path / "run" / "stages" / "choose" / "pairs.jsonl", "x")
    assert len(pairs) == 12 and all(pair.chosen != pair.rejected for pair in pairs)


# ---------------------------------------------------------------- a policy's own answers


class InProcess:
    """What these stages ask of a machine, with the engine of transformers in this process."""

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe

    def engine(self, role: str, folder: Path, version: str) -> Any:
        from posttrain.rollout.engine import EngineOptions
        from posttrain.rollout.hf_engine import HfEngine

        return HfEngine(str(folder), version, EngineOptions(context_tokens=self._recipe.engine.context_tokens))

    def release(self, role: str) -> None:
        pass

    def scorer(self, asked: Any = None) -> Any:
        from posttrain.machine.scorer import Scorer

        specs = {name: spec.model_dump() for name, spec in self._recipe.verifiers.items()}
        return Scorer(specs, self._recipe.sandbox.model_dump(), self._recipe.chat.think)

    def run(self, function: Any, *args: Any) -> Any:
        return function(*args)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nearly uniform over 261 tokens: some of its answers end by themselves."""
    from posttrain.rollout.tiny import tiny_model

    folder = tmp_path_factory.mktemp("published") / "base-1"
    tiny_model(folder / "model", sharpness=1.0)
    return folder


@pytest.fixture
def recipe(tmp_path: Path) -> Iterator[Recipe]:
    """An answer is to have a w in it; of two that are alike in that a judge prefers the longer."""
    write_recipe(tmp_path, [])
    kwargs = {"letter": "w", "let_frequency": 1, "let_relation": "at least"}
    has_w = {"instruction_id_list": ["keywords:letter_frequency"], "kwargs": [kwargs]}
    write_jsonl(tmp_path / "sums.jsonl", [{"prompt": f"{n}+1?", "gold": has_w} for n in range(1, 5)])
    with served(Roles({"judge": longer})) as server:
        asked = {"policy": {"stage": "base", "max_tokens": 200}, **models(server.url, "judge", version="1")}
        prefer = {"kind": "prefer", "name": "choose", "data": "sums", "generators": ["policy"], "samples": 6}
        yield Recipe.model_validate(
            {
                "schema": 1,
                "name": "own",
                "base": {"path": "base"},
                "chat": {"template": "chatml_think", "stop": ["<|im_end|>"]},
                "engine": {"backend": "hf", "context_tokens": 320},
                "verifiers": {"has_w": {"kind": "instructions"}},
                "data": {"sums": {"source": "jsonl", "path": "sums.jsonl", "card": "cards/sums.md"}, **PAIRS},
                "stages": [
                    {**prefer, "models": asked, "verifier": "has_w", "margin": 0.05, "pairs_per_prompt": 3},
                    {**REWARD, "steps": 2, "batch_size": 2, "micro_batch_size": 2, "max_tokens": 2000},
                ],
                "evaluate": {"after": "never"},
            }
        )


def context(recipe: Recipe, folder: Path, name: str, inputs: dict[str, Path], previous: tuple[Path, ...] = ()) -> Any:
    for part in ("output", "attempt"):
        (folder / part).mkdir(parents=True)
    kind = next(stage.kind for stage in recipe.stages if stage.name == name)
    return StepContext(
        step=Step(name=name, kind=kind, version=1, params={}, id=f"{name}-1", stage=name),
        recipe=recipe,
        recipe_dir=folder.parents[1],
        inputs=inputs,
        input_steps={},
        output=folder / "output",
        attempt=folder / "attempt",
        previous=previous,
        seed=3,
        machine=InProcess(recipe),  # type: ignore[arg-type]
        smoke=False,
        progress=lambda what, done, total: None,
        check_stop=lambda: None,
        stop_file=folder / "stop",
    )


def test_a_reward_model_trains_on_pairs_of_the_policys_own_answers_and_a_lost_batch_changes_no_byte(
    tmp_path: Path, base: Path, recipe: Recipe
) -> None:
    ctx = context(recipe, tmp_path / "calm" / "choose", "choose", {"model.policy": base})
    figures = PreferStage().run(ctx)
    pairs = read_pairs(ctx.output / "pairs.jsonl", "x")
    history = {record["row"]: record for record in lines(ctx.output / "history.jsonl")}
    judges = {pair.provenance["preferred_by"] for pair in pairs}
    assert judges == {"rules:has_w", "judge (1)"} and figures["kept"] == len(pairs) >= 4
    for pair in pairs:
        said = pair.provenance
        replies = [event["reply"] for event in history[said["row"]]["events"] if event.get("role") == "policy"]
        assert {pair.chosen, pair.rejected} <= set(replies)
        assert said["chosen"] == said["rejected"] == "base-1" and len(set(said["seeds"])) == 2
        if said["preferred_by"] == "rules:has_w":
            assert "w" in pair.chosen.lower() and "w" not in pair.rejected.lower() and said["scores"] == [1.0, 0.0]
    killed = tmp_path / "killed" / "lost"
    killed.mkdir(parents=True)
    batches = (ctx.attempt / "replies.jsonl").read_bytes().splitlines(keepends=True)
    (killed / "replies.jsonl").write_bytes(b"".join(batches[:2]) + batches[2][:-9])
    again = context(recipe, tmp_path / "killed" / "choose", "choose", {"model.policy": base}, previous=(killed,))
    assert PreferStage().run(again) == figures
    for name in ("pairs.jsonl", "history.jsonl", "summary.json", "card.md"):
        assert (again.output / name).read_bytes() == (ctx.output / name).read_bytes()
    inputs = {"checkpoint": base, "data.pairs": ctx.output}
    trained = context(recipe, tmp_path / "calm" / "judge", "judge", inputs)
    assert RewardModelStage().run(trained)["pairs"] == len(pairs) - 1  # one is held out
    assert (trained.output / "model" / "config.json").is_file()
