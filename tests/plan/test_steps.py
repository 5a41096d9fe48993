"""What a recipe becomes: steps, their order and inputs; --until, --from, --smoke; and faults of files."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from posttrain.data.mix import Seen
from posttrain.errors import InputError, RecipeError, RunFolderError
from posttrain.plan import Plan, build_plan, estimate, recorded_steps
from posttrain.plan.prepare import parse_starts
from posttrain.recipe import load_recipe
from posttrain.recipe.distillation import domains_of, samples_fresh
from posttrain.recipe.resolve import counts_in_band, start_of
from posttrain.recipe.schema import Dpd, DpdWeights, Filter, Grpo, Sft
from posttrain.store.digests import Digests
from tests.recipe.world import RECIPE, write_jsonl, write_model, write_world

ROOT = Path(__file__).parents[2]


def plan_of(path: Path, *overrides: str, **options: object) -> Plan:
    return build_plan(load_recipe(path, overrides), Digests(path.parent / "digests.json"), **options)  # type: ignore[arg-type]


def test_every_stage_becomes_its_steps_in_run_order_with_their_inputs(tmp_path: Path) -> None:
    plan = plan_of(write_world(tmp_path))
    assert {step.name: dict(step.inputs) for step in plan.steps if step.kind not in ("evaluate", "export")} == {
        "base": {},
        "cold_start.tokens": {"tokenizer": "base"},
        "cold_start": {"checkpoint": "base", "tokens": "cold_start.tokens"},
        "distil.teacher": {},
        "fitness": {"base": "base", "distil.teacher": "distil.teacher"},
        "distil.pairs": {"checkpoint": "cold_start", "teacher": "distil.teacher"},
        "distil": {"checkpoint": "cold_start", "teacher": "distil.teacher", "pairs": "distil.pairs"},
        "control.tokens": {"tokenizer": "base", "data.good": "distil.pairs"},
        "control": {"checkpoint": "cold_start", "tokens": "control.tokens"},
        "stem.filter": {"checkpoint": "distil"},
        "stem": {"checkpoint": "distil", "filter": "stem.filter"},
        "judge": {"checkpoint": "distil"},
        "preference": {"checkpoint": "stem", "judge": "judge"},
    }
    names = [step.name for step in plan.steps]
    assert all(names.index(needed) < names.index(step.name) for step in plan.steps for needed in step.inputs.values())
    assert names[:3] == ["base", "distil.teacher", "fitness"], "all models are here and fit before the first stage"
    assert names[3] == "cold_start.tokens", "a faulty row comes out before anything is trained or scored"
    assert names[-1] == "export"
    assert plan.step("export").inputs["checkpoint"] == "preference"
    scored = {step.inputs["checkpoint"] for step in plan.steps if step.kind == "evaluate"}
    assert scored == {"base", "distil.teacher", "cold_start", "distil", "control", "stem", "preference"}
    assert sum(role.startswith("eval.") for role in plan.step("export").inputs) == 8
    assert plan.step("base.few_shot.eval.stem").inputs == {"checkpoint": "base"}


CACHED = "stages.distil.teacher={path: teacher, cache: {top_k: 64}}"


def own(keys: str) -> str:
    """What a data set has of its own in the stage distil."""
    return f"stages.distil.domains={{questions: {{{keys}}}}}"


TEXT = ("stages.distil.teacher={path: teacher, gives: text}", "stages.distil.weights={chosen: 0.0, rejected: 0.0}")


def test_a_cached_teacher_has_a_step_of_its_own_and_training_does_not_ask_it(tmp_path: Path) -> None:
    recipe = write_world(tmp_path)
    plan, live = plan_of(recipe, CACHED), plan_of(recipe)
    names = [step.name for step in plan.steps if step.stage == "distil" and step.kind != "evaluate"]
    assert names == ["distil.teacher", "distil.pairs", "distil.teacher_logprobs", "distil"]
    step = plan.step("distil.teacher_logprobs")
    assert step.kind == "teacher_logprobs" and step.params["top_k"] == 64
    assert step.inputs == {"checkpoint": "cold_start", "teacher": "distil.teacher", "pairs": "distil.pairs"}
    assert plan.step("distil").inputs == {
        "checkpoint": "cold_start",
        "pairs": "distil.pairs",
        "teacher_logprobs": "distil.teacher_logprobs",
    }
    assert plan.step("distil.teacher").id == live.step("distil.teacher").id, "the same model, however it is read"
    assert plan.step("distil.pairs").id == live.step("distil.pairs").id
    other = plan_of(recipe, CACHED.replace("64", "128"))
    assert other.step("distil.teacher_logprobs").id != step.id and other.step("distil").id != plan.step("distil").id
    softer = plan_of(recipe, CACHED, "stages.distil.kd_temperature=2.0")
    assert softer.step("distil.teacher_logprobs").id != step.id
    faster = plan_of(recipe, CACHED, "stages.distil.learning_rate=3e-5")
    assert faster.step("distil.teacher_logprobs").id == step.id
    assert estimate(plan)["distil.teacher_logprobs"].tokens == 2 * 512 * 8, "two answers of each prompt, at most"


def test_a_teacher_by_text_writes_pairs_and_is_not_asked_again(tmp_path: Path) -> None:
    recipe = write_world(tmp_path)
    plan, live = plan_of(recipe, *TEXT), plan_of(recipe, TEXT[1])
    assert plan.step("distil").inputs == {"checkpoint": "cold_start", "pairs": "distil.pairs"}
    assert plan.step("distil.pairs").inputs["teacher"] == "distil.teacher"
    assert plan.step("distil.pairs").id != live.step("distil.pairs").id, "it is asked in its own tokens"
    assert plan.step("fitness").id != live.step("fitness").id
    assert estimate(plan)["distil"].memory_bytes is not None


def test_bad_answers_may_be_of_an_earlier_policy_that_the_recipe_names(tmp_path: Path) -> None:
    recipe = write_world(tmp_path)
    plan = plan_of(recipe, "stages.distil.negatives_from=base")
    assert plan.step("distil.pairs").inputs["checkpoint"] == "base"
    inputs = plan.step("distil").inputs
    assert inputs["negatives"] == "base" and inputs["checkpoint"] == "cold_start"
    same = plan_of(recipe, "stages.distil.negatives_from=cold_start")
    assert same.step("distil.pairs").id == plan_of(recipe).step("distil.pairs").id
    assert same.step("distil").id == plan_of(recipe).step("distil").id


@pytest.mark.parametrize(
    ("overrides", "key", "words"),
    [
        (
            TEXT[:1],
            "weights",
            "gives text alone, so there is no distribution to take a KL from, and weights.chosen is 1",
        ),
        ((TEXT[0].replace("text}", "text, cache: {}}"), TEXT[1]), "teacher.cache", "nothing would read the cache"),
        ((CACHED, TEXT[1]), "teacher.cache", "the weights of both KL terms are 0"),
        (("stages.distil.negatives_from=stem",), "negatives_from", "'stem' is no policy before 'distil'"),
        (
            (*TEXT, "stages.distil.mode=on_policy"),
            "mode",
            "text alone, so it has nothing to say of the student's fresh",
        ),
        ((*TEXT, own("weights: {rejected: 1.0}")), "domains.questions.weights", "rejected 1"),
        ((CACHED, own("mode: both")), "domains.questions.mode", "cannot hold answers that the student gives"),
        ((CACHED, own("kd_temperature: 2.0")), "domains.questions.kd_temperature", "softened by the stage's 1 alone"),
        ((own("mode: both, weights: {fresh: 0.0}"),), "domains.questions.weights", "nothing is learnt from them"),
        ((own("weights: {sequence: 0.0, chosen: 0.0, rejected: 0.0}"),), "domains.questions.weights", "no loss"),
        (("stages.distil.domains={warmup: {mode: both}}",), "domains.warmup", "none of the stage's prompts"),
        (("stages.distil.teacher={path: teacher, cache: {top_k: 16}}",), "top_k", "32"),
    ],
)
def test_what_a_teacher_cannot_give_is_refused_in_words(
    tmp_path: Path, overrides: tuple[str, ...], key: str, words: str
) -> None:
    with pytest.raises(RecipeError) as caught:
        plan_of(write_world(tmp_path), *overrides)
    assert words in str(caught.value) and key in str(caught.value.where)


def test_what_a_data_set_does_not_say_is_as_the_stage_has_it_and_stays_so_when_written_out(tmp_path: Path) -> None:
    recipe = plan_of(
        write_world(tmp_path), "stages.distil.weights={rejected: 0.5}", own("mode: on_policy, weights: {sequence: 0.0}")
    ).recipe
    for read in (recipe, type(recipe).model_validate_json(recipe.model_dump_json(by_alias=True))):
        stage = next(stage for stage in read.stages if isinstance(stage, Dpd))
        domain = domains_of(stage)["questions"]
        assert (domain.off_policy, domain.fresh, domain.reads_pairs) == (False, True, False)
        assert domain.weights == DpdWeights(sequence=0.0, chosen=1.0, rejected=0.5, fresh=1.0)
        assert samples_fresh(stage) and domain.temperature == 1.0


def test_fresh_answers_count_as_tokens(tmp_path: Path) -> None:
    recipe = write_world(tmp_path)
    modes = ("off_policy", "on_policy", "both")
    plans = {mode: plan_of(recipe, f"stages.distil.mode={mode}", "stages.distil.fresh_samples=3") for mode in modes}
    tokens = {mode: estimate(plan)["distil"].tokens for mode, plan in plans.items()}
    each = tokens["off_policy"] // 2
    assert tokens == {"off_policy": 2 * each, "on_policy": (2 + 3) * each, "both": (2 + 3) * each}
    alone = plan_of(recipe, "stages.distil.mode=on_policy", "stages.distil.weights={sequence: 0.0}")
    assert estimate(alone)["distil"].tokens == each, "the pairs are not read"


def test_a_filter_step_asks_the_judge_too(tmp_path: Path) -> None:
    plan = plan_of(write_world(tmp_path), "stages.preference.filter={k: 4}")
    assert plan.step("preference.filter").inputs == {"checkpoint": "stem", "judge": "judge"}


@pytest.mark.parametrize(("after", "scored"), [("last", {"preference"}), ("never", set())])
def test_evaluate_after_chooses_the_checkpoints(tmp_path: Path, after: str, scored: set[str]) -> None:
    plan = plan_of(write_world(tmp_path), f"evaluate.after={after}")
    assert {step.inputs["checkpoint"] for step in plan.steps if step.kind == "evaluate"} == scored


def test_files_are_absolute_paths_beside_their_digests(tmp_path: Path) -> None:
    plan = plan_of(write_world(tmp_path))
    for step in plan.steps:
        assert step.files.keys() == step.digests.keys()
        assert all(Path(path).is_absolute() and Path(path).exists() for path in step.files.values())
    assert plan.step("base").files["model"] == str(tmp_path / "base")


def test_until_ends_after_the_stage_and_its_scores(tmp_path: Path) -> None:
    path = write_world(tmp_path)
    whole, part = plan_of(path), plan_of(path, until="distil")
    assert [step.name for step in part.steps][-2:] == ["distil", "distil.eval.stem"]
    ids = {step.id for step in part.steps if step.kind != "fitness"}  # which looks at the stages that the plan holds
    assert ids < {step.id for step in whole.steps}


def test_from_starts_at_a_checkpoint_made_elsewhere(tmp_path: Path) -> None:
    path = write_world(tmp_path)
    elsewhere = write_model(tmp_path / "elsewhere" / "model", mark="c").parent
    plan = plan_of(path, starts={"stem": elsewhere, "judge": elsewhere})
    assert [step.name for step in plan.steps if step.kind != "evaluate"] == [
        "stem.from",
        "judge.from",
        "fitness",
        "stem.filter",
        "stem",
        "judge",
        "preference",
        "export",
    ]
    assert plan.step("stem.filter").inputs == {"checkpoint": "stem.from"}
    assert plan.step("stem.from").kind == "base"
    assert plan.step("stem.from").files["model"] == str(elsewhere / "model")
    assert list(plan.step("fitness").inputs) == ["stem.from", "judge.from"]
    other = plan_of(path, starts={"judge": elsewhere, "stem": elsewhere})
    assert [step.id for step in other.steps] == [step.id for step in plan.steps], (
        "the order of the options says nothing"
    )
    write_model(elsewhere / "model", mark="d")
    assert (
        plan_of(path, starts={"stem": elsewhere, "judge": elsewhere}).step("preference").id
        != plan.step("preference").id
    )


def test_from_says_which_later_stage_lacks_its_start(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="'judge' starts from 'distil'") as caught:
        plan_of(write_world(tmp_path), starts={"stem": write_model(tmp_path / "elsewhere")})
    assert "--from judge=" in str(caught.value.remedy)
    with pytest.raises(RecipeError, match="'preference' asks reward model 'judge'") as caught:
        plan_of(tmp_path / "recipe.yaml", starts={"preference": write_model(tmp_path / "elsewhere")})
    assert "--from judge=" in str(caught.value.remedy), "that stage is to be started, not the one that was given"


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"until": "stme"}, "no stage 'stme'"),
        ({"starts": {"stme": Path("base")}}, "no stage 'stme'"),
        ({"starts": {"stem": Path("nowhere")}}, "no folder"),
        ({"starts": {"stem": Path("/")}}, "no config.json"),
        ({"starts": {"stem": Path("/")}, "until": "distil"}, "comes before"),
    ],
)
def test_a_wrong_until_or_from_is_an_input_error(tmp_path: Path, options: dict[str, object], what: str) -> None:
    with pytest.raises(InputError, match=what) as caught:
        plan_of(write_world(tmp_path), **options)
    assert str(caught.value.where).startswith("--")


@pytest.mark.parametrize("starts", [["stem"], ["=x"], ["stem="], ["stem=a", "stem=b"]])
def test_from_is_stage_and_folder(starts: list[str]) -> None:
    with pytest.raises(RecipeError):
        parse_starts(starts)


def test_smoke_keeps_shapes_and_shrinks_counts(tmp_path: Path) -> None:
    path = write_world(tmp_path)
    whole, small = plan_of(path), plan_of(path, smoke_run=True)
    assert [step.name for step in small.steps] == [step.name for step in whole.steps]
    assert small.recipe.name == "small-smoke"
    assert small.step("base").id == whole.step("base").id
    assert not {step.id for step in small.steps if step.kind != "base"} & {step.id for step in whole.steps}
    for before, after in zip(whole.recipe.stages, small.recipe.stages, strict=True):
        assert getattr(after, "steps", None) == 2
        assert getattr(after, "max_tokens", None) == getattr(before, "max_tokens", None)
        assert getattr(after, "micro_batch_size", None) == getattr(before, "micro_batch_size", None)
        if isinstance(before, Grpo) and isinstance(after, Grpo):
            assert (after.group, after.prompts_per_step) == (before.group, before.prompts_per_step)


def test_epochs_give_way_to_steps_under_smoke(tmp_path: Path) -> None:
    path = write_world(
        tmp_path,
        RECIPE.replace("steps: 4, max_tokens: 256}\n  - kind: dpd", "epochs: 2, max_tokens: 256}\n  - kind: dpd"),
    )
    stage = plan_of(path, smoke_run=True).recipe.stages[0]
    assert isinstance(stage, Sft)
    assert (stage.steps, stage.epochs) == (2, None)


def test_smoke_asks_no_canaries_of_a_reward_model_of_two_steps(tmp_path: Path) -> None:
    asked = "{kind: pairwise, model: {endpoint: 'http://judge:8000/v1', model: j}}"
    both = "taste: {kind: cascade, steps: [{kind: pairwise, model: {stage: judge}}, " + asked + "]}"
    path = write_world(tmp_path, RECIPE.replace("taste: {kind: pairwise, model: {stage: judge}}", both))
    trained, served = plan_of(path, smoke_run=True).recipe.verifiers["taste"].options["steps"]
    assert trained["canaries"] == 0
    assert "canaries" not in served
    assert "canaries" not in plan_of(path).recipe.verifiers["taste"].options["steps"][0]


def test_the_default_start_is_the_policy_before_and_never_a_reward_model(tmp_path: Path) -> None:
    recipe = load_recipe(write_world(tmp_path)).recipe
    assert [start_of(recipe, stage.name) for stage in recipe.stages] == [
        "base",
        "cold_start",
        "cold_start",
        "distil",
        "distil",
        "stem",
    ]


@pytest.mark.parametrize(
    ("k", "kept"), [(16, list(range(2, 15))), (10, list(range(2, 9))), (8, list(range(1, 8))), (5, [1, 2, 3, 4])]
)
def test_the_band_is_strict_and_exact(k: int, kept: list[int]) -> None:
    assert counts_in_band(Filter(k=k, low=0.1, high=0.9)) == kept


def test_a_recorded_plan_reads_back_and_a_torn_one_is_named(tmp_path: Path) -> None:
    import dataclasses

    plan = plan_of(write_world(tmp_path))
    text = json.dumps({"steps": [{**dataclasses.asdict(step), "why": "never run"} for step in plan.steps]})
    assert recorded_steps(text) == tuple(json_step for json_step in plan.steps)
    with pytest.raises(RunFolderError):
        recorded_steps(text[:-20])


def test_every_step_has_an_estimate_and_known_ones_are_right(tmp_path: Path) -> None:
    plan = plan_of(write_world(tmp_path))
    guesses = estimate(plan)
    assert guesses.keys() == {step.name for step in plan.steps}
    assert (guesses["cold_start"].steps, guesses["cold_start"].tokens) == (4, 4 * 32 * 256)
    assert guesses["stem.filter"].tokens == 8 * 16 * 128
    assert guesses["stem.eval.stem"].tokens == 8 * 4 * 128
    # 2 layers of (attention 3 * 64*64 + feed-forward 3 * 64*128 + two norms), two embeddings of 100, the last norm
    parameters = 2 * (3 * 64 * 64 + 3 * 64 * 128 + 128) + 2 * 100 * 64 + 64
    assert guesses["cold_start"].memory_bytes == 16 * parameters
    assert guesses["export"].disk_bytes == 4 * parameters


def test_the_plan_says_which_rows_are_not_seen_and_which_are_seen_again(tmp_path: Path) -> None:
    path = write_world(tmp_path)
    write_jsonl(tmp_path / "data" / "warmup.jsonl", [{"prompt": str(n), "completion": "a"} for n in range(63)])
    write_jsonl(
        tmp_path / "data" / "preferences.jsonl", [{"prompt": str(n), "chosen": "a", "rejected": "b"} for n in range(40)]
    )

    def seen(stage: int, *overrides: str) -> tuple[int | None, Seen | None]:
        plan = plan_of(path, *(f"stages.{stage}.{override}" for override in overrides))
        guess = estimate(plan)[plan.stages[stage]]
        return guess.steps, guess.seen

    epoch = ("epochs=1", "steps=null")
    assert seen(0, *epoch) == (2, Seen(rows=63, drawn=63, not_seen=0, again=0))
    assert seen(0, "epochs=2.5", "steps=null") == (5, Seen(rows=63, drawn=158, not_seen=0, again=95))
    assert seen(0, "packing=false") == (4, Seen(rows=63, drawn=128, not_seen=0, again=65))
    assert seen(0, "packing=false", "steps=1") == (1, Seen(rows=63, drawn=32, not_seen=31, again=0))
    assert seen(0) == (4, None)  # how many rows four packed steps hold only their tokens tell
    assert seen(4, *epoch) == (3, Seen(rows=72, drawn=72, not_seen=0, again=0))  # 36 pairs in both orders, 4 held out
    assert seen(3) == (4, None)  # the filter has not chosen yet
    questions = Seen(rows=8, drawn=32, not_seen=0, again=24)
    assert seen(5) == (4, questions) and questions.said() == "32 rows drawn of 8: 0 not seen, 24 seen again"


# ---------------------------------------------------------------- stages of the user's own

CUSTOM = RECIPE.replace("stages:\n", 'stages:\n  - {kind: "KIND", name: mine, options: {a: 1}}\n')


def test_a_stage_of_the_users_own_is_planned_by_its_class(tmp_path: Path) -> None:
    plan = plan_of(write_world(tmp_path, CUSTOM.replace("KIND", "tests.plan.own_stage:Mine")))
    step = plan.step("mine")
    assert (step.version, step.inputs, step.id[:7]) == (3, {"checkpoint": "base"}, "custom-")
    assert plan.step("cold_start").inputs == {"checkpoint": "mine", "tokens": "cold_start.tokens"}
    assert plan.step("cold_start.tokens").inputs == {"tokenizer": "mine"}, "such a stage may publish another tokenizer"


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        ("no_such_module:Mine", "cannot be imported"),
        ("tests.plan.own_stage:Mein", "no class 'Mein'"),
        ("tests.plan.own_stage:NoVersion", "is no stage"),
    ],
)
def test_a_wrong_stage_of_the_users_own_is_named(tmp_path: Path, kind: str, what: str) -> None:
    with pytest.raises(RecipeError, match=what) as caught:
        plan_of(write_world(tmp_path, CUSTOM.replace("KIND", kind)))
    assert "stages.mine.kind" in str(caught.value.where)


@pytest.mark.parametrize(("few_shot", "read"), [(2, True), (0, False)])
def test_worked_examples_of_a_suite_are_read_with_all_other_data_before_the_first_stage(
    tmp_path: Path, few_shot: int, read: bool
) -> None:
    text = RECIPE.replace("examples: warmup", "examples: shown").replace("few_shot: 2", f"few_shot: {few_shot}")
    shown = "  shown: {source: jsonl, path: data/warmup.jsonl, card: cards/warmup.md}\n"
    plan = plan_of(write_world(tmp_path, text.replace("data:\n", f"data:\n{shown}", 1)))
    assert ("data.shown" in plan.step("fitness").digests) is read


@pytest.mark.parametrize(
    ("name", "text", "what"),
    [
        ("torn_stage", "class Mine(:\n", r"SyntaxError: .*torn_stage\.py, line 1"),
        ("raising_stage", "\nraise ValueError('no key')\n", r"ValueError: no key \(.*raising_stage\.py:2\)"),
        ("leaving_stage", "raise SystemExit(0)\n", "SystemExit: 0"),
    ],
)
def test_a_stage_whose_module_breaks_at_import_is_named_with_the_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str, what: str
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / f"{name}.py").write_text(text)
    with pytest.raises(RecipeError, match=f"cannot be imported: {what}") as caught:
        plan_of(write_world(tmp_path, CUSTOM.replace("KIND", f"{name}:Mine")))
    assert "stages.mine.kind" in str(caught.value.where)


# ---------------------------------------------------------------- faults of files


def _remove(*names: str):  # type: ignore[no-untyped-def]
    def change(folder: Path) -> None:
        for name in names:
            (folder / name).unlink()

    return change


def _write(name: str, text: str):  # type: ignore[no-untyped-def]
    return lambda folder: (folder / name).write_text(text)


FILE_FAULTS = [
    ("data file missing", _remove("data/warmup.jsonl"), (), "data.warmup.path", "no file"),
    ("data file empty", _write("data/warmup.jsonl", ""), (), "data.warmup.path", "empty"),
    ("card missing", _remove("cards/warmup.md"), (), "data.warmup.card", "no data card"),
    ("card without licence", _write("cards/warmup.md", "---\ntitle: x\n---\n"), (), "data.warmup.card", "license"),
    ("card without header", _write("cards/warmup.md", "words"), (), "data.warmup.card", "front matter"),
    (
        "card states another digest",
        _write("cards/warmup.md", "---\nlicense: mit\ndigests: {warmup.jsonl: 'sha256:00'}\n---\n"),
        (),
        "data.warmup.card",
        "sha256:00",
    ),
    ("base missing", lambda folder: None, ("base.path=nowhere",), "base.path", "no folder"),
    ("base at the home of nobody", lambda folder: None, ("base.path=~nobody-here/model",), "base.path", "no folder"),
    ("hub base without revision", lambda folder: None, ("base.path=some/model",), "base.path", "no revision"),
    (
        "local base with revision",
        lambda folder: None,
        (f"base.revision='{'a' * 40}'",),
        "base.revision",
        "local folder",
    ),
    ("base without config", _remove("base/config.json"), (), "base.path", "config.json"),
    ("base with a torn config", _write("base/config.json", "{"), (), "base.path", "not JSON"),
    ("base without weights", _remove("base/model.safetensors"), (), "base.path", "safetensors"),
    ("base with torn weights", _write("base/model.safetensors", "weights"), (), "base.path", "torn"),
    (
        "base without one of its shards",
        _write(
            "base/model.safetensors.index.json",
            '{"weight_map": {"a": "model.safetensors", "b": "model-2.safetensors"}}',
        ),
        (),
        "base.path",
        "names model-2.safetensors, which is not there",
    ),
    ("base without tokenizer", _remove("base/tokenizer.json"), (), "base.path", "no tokenizer"),
    ("base without chat template", _remove("base/chat_template.jinja"), (), "base.path", "chat template"),
    ("teacher without tokenizer", _remove("teacher/tokenizer.json"), (), "stages.distil.teacher.path", "no tokenizer"),
    ("template missing", lambda folder: None, ("chat.template=mine.jinja",), "chat.template", "no file"),
    ("unknown preset", lambda folder: None, ("chat.template=chatml_thnik",), "chat.template", "chatml_thnik"),
    (
        "a glob that matches nothing",
        lambda folder: None,
        ("data.warmup={source: file, path: 'data/none-*', card: cards/warmup.md}",),
        "data.warmup.path",
        "no file",
    ),
    (
        "a folder without rows",
        lambda folder: (folder / "data" / "none").mkdir(),
        ("data.warmup={source: file, path: data/none, card: cards/warmup.md}",),
        "data.warmup.path",
        "no file of rows",
    ),
    (
        "a digest of a shard that its card does not state",
        _write("cards/warmup.md", "---\nlicense: mit\ndigests: {warmup.jsonl: 'sha256:0'}\n---\n"),
        ("data.warmup={source: file, path: 'data/warm*', card: cards/warmup.md}",),
        "data.warmup.card",
        "warmup.jsonl has digest",
    ),
    (
        "hub data without revision",
        lambda folder: None,
        ("data.warmup={source: hub, path: a/b, card: cards/warmup.md}",),
        "data.warmup.path",
        "no revision",
    ),
]


@pytest.mark.parametrize(
    ("change", "overrides", "key", "what"), [row[1:] for row in FILE_FAULTS], ids=[row[0] for row in FILE_FAULTS]
)
def test_a_fault_of_a_file_is_one_input_error_at_the_recipes_line(
    tmp_path: Path, change, overrides: tuple[str, ...], key: str, what: str
) -> None:  # type: ignore[no-untyped-def]
    path = write_world(tmp_path)
    change(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError) as caught:
        plan_of(path, *overrides)
    assert caught.value.exit_code == 2
    assert str(caught.value.where).endswith(f": {key}")
    assert what in caught.value.what
    assert caught.value.remedy
    assert sorted(tmp_path.rglob("*")) == before


def test_a_template_of_the_recipe_stands_in_for_the_bases(tmp_path: Path) -> None:
    path = write_world(tmp_path)
    for model in ("base", "teacher"):
        (tmp_path / model / "chat_template.jinja").unlink()
    plan = plan_of(path, "chat.template=chatml_think")
    assert "chat.template" in plan.step("cold_start").digests


def test_the_first_path_that_leads_nowhere_brings_the_others_with_it(tmp_path: Path) -> None:
    path = write_world(tmp_path)
    shutil.rmtree(tmp_path / "teacher")
    (tmp_path / "data" / "held_out.jsonl").unlink()
    (tmp_path / "cards" / "warmup.md").unlink()
    with pytest.raises(InputError, match=r"no folder .*teacher") as caught:
        plan_of(path)
    assert str(caught.value.remedy).endswith("Not there either: data.warmup.card, data.held_out.path")


def test_a_card_with_the_right_digest_passes(tmp_path: Path) -> None:
    path = write_world(tmp_path)
    data = write_jsonl(tmp_path / "data" / "warmup.jsonl", [{"prompt": "a", "completion": "b"}])
    digest = Digests(tmp_path / "digests.json").file(data)
    (tmp_path / "cards" / "warmup.md").write_text(f"---\nlicense: mit\ndigests: {{warmup.jsonl: '{digest}'}}\n---\n")
    assert plan_of(path).step("cold_start.tokens").digests["data.warmup"] == digest


# ---------------------------------------------------------------- weight of the import


def test_planning_imports_nothing_heavy_and_writes_nothing(tmp_path: Path) -> None:
    path = write_world(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    code = (
        "import sys, pathlib\n"
        "from posttrain.plan import prepare, plan_status, estimate\n"
        "from posttrain.store.artefacts import Store\n"
        f"store = Store(pathlib.Path({str(tmp_path / 'store')!r}))\n"
        f"_, plan = prepare({str(path)!r}, store)\n"
        "plan_status(plan.steps, store); estimate(plan)\n"
        "heavy = ('torch', 'ray', 'vllm', 'transformers', 'sympy', 'docker', 'numpy', 'datasets')\n"
        "print([name for name in heavy if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("path", [ROOT / "recipes" / "demo_cpu.yaml"], ids=["demo_cpu"])
def test_the_demo_is_planned_from_what_ships(path: Path, tmp_path: Path) -> None:
    plan = build_plan(load_recipe(path), Digests(tmp_path / "digests.json"))
    kinds = {step.name: step.kind for step in plan.steps}
    assert {
        "base",
        "cold_start",
        "general",
        "dpd.pairs",
        "stem.filter",
        "code.filter",
        "judge",
        "preference.filter",
        "export",
    } <= kinds.keys()
    assert all(
        guess.memory_bytes
        for name, guess in estimate(plan).items()
        if kinds[name] in ("sft", "dpd", "grpo", "reward_model")
    )
