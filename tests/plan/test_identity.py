"""Editing a key changes the ids of exactly the steps that depend on it. The oracle is a table: key -> steps that read
it directly."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from posttrain.plan import Plan, build_plan
from posttrain.recipe import load_recipe
from posttrain.recipe.schema import Dpd, Grpo, RewardModel, Sft
from posttrain.records.step import derive_seed
from posttrain.store.digests import Digests
from rewards import load
from tests.recipe.world import write_jsonl, write_model, write_world


def plan_of(path: Path, *overrides: str, **options: object) -> Plan:
    return build_plan(load_recipe(path, overrides), Digests(path.parent / "digests.json"), **options)  # type: ignore[arg-type]


def touched(before: Plan, after: Plan) -> set[str]:
    old = {step.name: step.id for step in before.steps}
    return {step.name for step in after.steps if old.get(step.name) != step.id}


def closure(plan: Plan, direct: set[str]) -> set[str]:
    """`direct` and everything made from it."""
    found = set(direct)
    for step in plan.steps:
        if found & set(step.inputs.values()):
            found.add(step.name)
    return found


TRAINING = {
    "steps": "5",
    "micro_batch_size": "8",
    "learning_rate": "3e-5",
    "schedule": "wsd",
    "warmup_share": "0.2",
    "weight_decay": "0.1",
    "max_grad_norm": "0.5",
    "adapter": "{rank: 2}",
    "save_every": "2",
    "gradient_checkpointing": "true",
    "attention": "sdpa",
}
RAISED = {"router_loss": "0.01", "rope_theta": "1e6", "max_positions": "2048"}
SUPERVISED = {**TRAINING, "batch_size": "48"}

# stage -> key -> (value, steps that read it)
EDITS: dict[str, dict[str, tuple[str, set[str]]]] = {
    "cold_start": {
        "checkpoint_minutes": ("5.0", set()),
        "publish": ("{dtype: bfloat16}", {"cold_start"}),
        **{key: (value, {"cold_start"}) for key, value in {**SUPERVISED, **RAISED}.items()},
        **{
            key: (value, {"cold_start.tokens", "cold_start"})
            for key, value in {"steps": "5", "batch_size": "48", "max_tokens": "300", "packing": "false"}.items()
        },
        "phases": ("[{share: 0.5}, {share: 0.5, max_tokens: 300}]", {"cold_start.tokens", "cold_start"}),
    },
    "distil": {
        "checkpoint_minutes": ("5.0", set()),
        "publish": ("{dtype: bfloat16}", {"distil"}),
        **{key: (value, {"distil"}) for key, value in SUPERVISED.items()},
        **{
            key: (value, {"distil.pairs"})
            for key, value in {
                "teacher_samples": "2",
                "student_samples": "2",
                "pairs_per_prompt": "2",
                "temperature": "0.5",
            }.items()
        },
        "negatives_from": ("base", {"distil.pairs", "distil"}),
        "prompts": ("warmup", {"distil.pairs"}),
        "verifier": ("code", {"distil.pairs"}),
        "max_tokens": ("100", {"distil.pairs", "distil"}),
        "teacher": ("{path: base}", {"distil.teacher", "export"}),
        "weights": ("{rejected: 0.5}", {"distil"}),
        "beta": ("0.2", {"distil"}),
        "divergence": ("jsd", {"distil"}),
        "jsd_beta": ("0.4", {"distil"}),
        "kd_temperature": ("2.0", {"distil"}),
        "kd_skip": ("[special]", {"distil"}),
        "mode": ("both", {"distil"}),
        "fresh_samples": ("2", {"distil"}),
        "domains": ("{questions: {kd_temperature: 2.0}}", {"distil"}),
    },
    "stem": {
        "checkpoint_minutes": ("5.0", set()),
        "publish": ("{dtype: bfloat16}", {"stem"}),
        **{key: (value, {"stem"}) for key, value in TRAINING.items()},
        "prompts": ("programs", {"stem.filter", "stem", "fitness"}),
        "verifier": ("code", {"stem.filter", "stem"}),
        "filter": ("{k: 8}", {"stem.filter"}),
        "temperature": ("0.9", {"stem.filter", "stem"}),
        "max_tokens": ("100", {"stem.filter", "stem"}),
        **{
            key: (value, {"stem"})
            for key, value in {
                "group": "8",
                "prompts_per_step": "4",
                "loss": "grpo",
                "clip_low": "0.1",
                "clip_high": "0.3",
                "scale_rewards": "none",
                "mask_truncated": "false",
                "soft_punish_cache": "16",
                "length_control": "0.5",
                "max_resampled": "4",
                "importance_sampling": "token_mask",
                "importance_sampling_cap": "2.0",
                "max_fault_share": "0.1",
                "mismatch_tolerance": "0.2",
                "early_stop": "{plateau: {window: 3}, guard: {suite: stem, every: 2}}",
                "alarms": "{window: 4}",
            }.items()
        },
    },
    "judge": {
        "checkpoint_minutes": ("5.0", set()),
        "publish": ("{dtype: bfloat16}", {"judge"}),
        **{
            key: (value, {"judge"})
            for key, value in {**SUPERVISED, "max_tokens": "400", "held_out_share": "0.2"}.items()
        },
        "data": ("{preferences: 2.0}", {"judge"}),
    },
}
HELD_AGAINST_MODELS = ("max_tokens", "packing", "adapter", "data", "phases", "max_positions")
CASES = [
    (f"stages.{stage}.{key}={value}", direct | ({"fitness"} if key in HELD_AGAINST_MODELS else set()))
    for stage, edits in EDITS.items()
    for key, (value, direct) in edits.items()
]

EVALUATIONS = {
    f"{name}.eval.stem"
    for name in ("base", "base.few_shot", "cold_start", "distil.teacher", "distil", "control", "stem", "preference")
}
SAMPLERS = {"distil.pairs", "stem.filter"}
TOKENS = {"cold_start.tokens", "control.tokens"}
TRAINERS = {"cold_start", "distil", "control", "stem", "judge", "preference"}
CASES += [
    ("stages.stem.filter={reuse: false}", {"stem.filter"}),
    ("stages.stem.alarms={on_alarm: stop}", set()),
    ("evaluate.k=2", EVALUATIONS),
    ("evaluate.temperature=0.1", EVALUATIONS),
    ("evaluate.top_p=0.1", EVALUATIONS),
    ("evaluate.max_tokens=100", EVALUATIONS),
    ("evaluate.suites.stem.max_tokens=64", EVALUATIONS),
    ("evaluate.few_shot=3", {"base.few_shot.eval.stem"}),
    ("verifiers.math.on_truncated=judge", EVALUATIONS | {"distil.pairs", "stem.filter", "stem"}),
    ("verifiers.taste.score=win", {"preference"}),
    ("verifiers.code.score=fraction", set()),
    ("data.warmup.limit=4", {"fitness", "cold_start.tokens", "base.few_shot.eval.stem", "export"}),
    ("data.held_out.limit=4", EVALUATIONS | {"export", "fitness"}),
    ("data.programs.limit=1", {"export"}),
    ("engine.context_tokens=500", EVALUATIONS | SAMPLERS | TRAINERS | {"fitness"}),
    ("chat.stop=[x]", EVALUATIONS | SAMPLERS | TOKENS | TRAINERS | {"export", "fitness"}),
    ("seed=8", EVALUATIONS | SAMPLERS | TOKENS | TRAINERS | {"export"}),
    ("name=other", {"export"}),
    ("cluster={trainers: 2, gpus_per_trainer: 1.0}", set()),
    ("engine.backend=hf", set()),
    ("engine.dtype=float16", EVALUATIONS | SAMPLERS),
    ("engine.kv_cache_gb=2", set()),
    ("engine.options={max_num_seqs: 8, enforce_eager: true}", set()),
    ("engine.options={kv_cache_dtype: fp8}", EVALUATIONS | SAMPLERS | {"stem", "preference"}),
    ("engine.roles={teacher: {options: {quantization: fp8}}}", {"distil.teacher.eval.stem", "distil.pairs"}),
    ("engine.roles={judge: {options: {quantization: fp8}}}", {"preference"}),
    ("engine.roles={policy: {engines: 2, gpus_per_engine: 2.0}}", set()),
    ("sandbox.slots=9", set()),
    ("report_to=[tensorboard]", set()),
    ("sandbox.min_level=container", set()),
]


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_world(tmp_path_factory.mktemp("world"))


@pytest.mark.parametrize(("override", "direct"), CASES, ids=[case[0] for case in CASES])
def test_an_edit_touches_exactly_the_steps_that_depend_on_it(recipe: Path, override: str, direct: set[str]) -> None:
    before, after = plan_of(recipe), plan_of(recipe, override)
    assert touched(before, after) == closure(after, direct)


def test_the_table_above_covers_every_key_of_every_stage_kind() -> None:
    structural = {"kind", "name", "from", "epochs", "data"}  # name, from, epochs and data have tests of their own
    structural |= {"top_p", "staleness"}  # the former is 1.0 or refused, the latter needs another key beside it
    structural |= {"restart_optimizer", "decay_share"}  # read only beside phases and wsd
    structural |= {"gate"}  # a step of its own, in test_gate.py
    for stage, model in {"cold_start": Sft, "distil": Dpd, "stem": Grpo, "judge": RewardModel}.items():
        keys = {info.alias or name for name, info in model.model_fields.items()}
        assert EDITS[stage].keys() | structural >= keys, keys - EDITS[stage].keys() - structural


def test_answers_that_the_student_gives_while_it_trains_hang_on_how_they_are_sampled(recipe: Path) -> None:
    fresh = "stages.distil.domains={questions: {mode: on_policy}}"
    before = plan_of(recipe, fresh)
    for asked in ("stages.distil.temperature=0.5", "engine.dtype=float16"):
        after = plan_of(recipe, fresh, asked)
        assert {"distil.pairs", "distil"} <= touched(before, after)
        assert after.step("distil").params != before.step("distil").params


def test_staleness_touches_its_stage(recipe: Path) -> None:
    weighed = "stages.stem.importance_sampling=token_mask"
    before, after = plan_of(recipe, weighed), plan_of(recipe, weighed, "stages.stem.staleness=1")
    assert touched(before, after) == closure(after, {"stem"})


def test_a_comment_or_a_reordered_key_touches_nothing(recipe: Path, tmp_path: Path) -> None:
    before = plan_of(recipe)
    other = recipe.with_name("other.yaml")
    text = recipe.read_text().replace("seed: 7\n", "").replace("schema: 1\n", "# why\nschema: 1\nseed: 0x7   # seven\n")
    other.write_text(text)
    assert touched(before, plan_of(other)) == set()


def test_changed_content_touches_what_reads_it_and_a_moved_file_touches_nothing(tmp_path: Path) -> None:
    path = write_world(tmp_path)
    before = plan_of(path)
    shutil.move(tmp_path / "data" / "warmup.jsonl", tmp_path / "data" / "moved.jsonl")
    assert touched(before, plan_of(path, "data.warmup.path=data/moved.jsonl")) == set()
    write_jsonl(tmp_path / "data" / "moved.jsonl", [{"prompt": "other", "completion": "words"}])
    after = plan_of(path, "data.warmup.path=data/moved.jsonl")
    assert touched(before, after) == closure(after, {"fitness", "cold_start.tokens", "base.few_shot.eval.stem"})


def test_shards_are_known_by_their_content_and_names_wherever_they_lie(tmp_path: Path) -> None:
    path = write_world(tmp_path)
    row = {"prompt": "1+1?", "completion": "2"}
    for name in ("part-1.jsonl", "part-2.jsonl"):
        write_jsonl(tmp_path / "data" / "all" / name, [row])
    glob, folder = "data.warmup={source: file, path: 'data/all/part-*', card: cards/warmup.md}", "data/all"
    before = plan_of(path, glob)
    assert plan_of(path, glob.replace("data/all/part-*", folder)).step("cold_start.tokens").digests["data.warmup"]
    shutil.move(tmp_path / "data" / "all", tmp_path / "data" / "moved")
    moved = glob.replace("data/all", "data/moved")
    assert touched(before, plan_of(path, moved)) == set()
    write_jsonl(tmp_path / "data" / "moved" / "part-3.jsonl", [row])
    after = plan_of(path, moved)
    assert touched(before, after) == closure(after, {"fitness", "cold_start.tokens", "base.few_shot.eval.stem"})


@pytest.mark.parametrize("key", ["columns={prompt: question}", "metadata=[note]", "gold_format=GSM8K"])
def test_how_columns_are_read_belongs_to_what_reads_them(tmp_path: Path, key: str) -> None:
    path = write_world(tmp_path)
    before, after = plan_of(path), plan_of(path, f"data.warmup.{key}")
    assert touched(before, after) == closure(
        after, {"fitness", "cold_start.tokens", "base.few_shot.eval.stem", "export"}
    )


def test_a_moved_base_touches_only_the_card_that_names_it(tmp_path: Path) -> None:
    path = write_world(tmp_path)
    before = plan_of(path)
    shutil.move(tmp_path / "base", tmp_path / "elsewhere")
    assert touched(before, plan_of(path, "base.path=elsewhere")) == {"export"}


def test_a_changed_card_touches_only_the_export(tmp_path: Path) -> None:
    path = write_world(tmp_path)
    before = plan_of(path)
    card = tmp_path / "cards" / "warmup.md"
    card.write_text(card.read_text().replace("apache-2.0", "mit"))
    assert touched(before, plan_of(path)) == {"export"}


def test_a_changed_base_touches_everything_but_the_teacher(tmp_path: Path) -> None:
    path = write_world(tmp_path)
    before = plan_of(path)
    write_model(tmp_path / "base", mark="other weights")
    assert touched(before, plan_of(path)) == {step.name for step in before.steps} - {
        "distil.teacher",
        "distil.teacher.eval.stem",
    }


def test_a_renamed_stage_is_a_new_step_for_itself_and_what_follows(tmp_path: Path) -> None:
    path = write_world(tmp_path)
    before = plan_of(path)
    path.write_text(path.read_text().replace("name: stem,", "name: science,"))
    after = plan_of(path)
    assert touched(before, after) == closure(after, {"fitness", "science.filter", "export"})


def test_a_version_touches_its_kind_and_what_follows(recipe: Path) -> None:
    from posttrain.stages import STAGES

    before = plan_of(recipe)
    newer = type("Newer", (), {"VERSION": STAGES["filter"].VERSION + 1})
    after = plan_of(recipe, kinds={**STAGES, "filter": newer})
    assert touched(before, after) == closure(after, {"stem.filter"})


def test_a_version_of_a_verifier_touches_what_it_judged_and_what_follows(
    recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = plan_of(recipe)
    judged = {step.name for step in before.steps if "math" in step.params.get("verifier_versions", {})}
    monkeypatch.setitem(load.KINDS, "math", replace(load.KINDS["math"], version=load.KINDS["math"].version + 1))
    after = plan_of(recipe)
    assert judged and touched(before, after) == closure(after, judged)
    assert "cold_start" not in touched(before, after)


def test_ids_are_those_of_the_kind_and_twenty_hex_digits_and_differ(recipe: Path) -> None:
    steps = plan_of(recipe).steps
    assert all(step.id.startswith(f"{step.kind}-") and len(step.id) == len(step.kind) + 21 for step in steps)
    assert len({step.id for step in steps}) == len(steps)


def test_the_seed_in_the_id_is_the_seed_that_a_step_gets(recipe: Path) -> None:
    step = plan_of(recipe).step("stem")
    assert step.params["seed"] == derive_seed(7, "stem")
