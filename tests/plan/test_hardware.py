"""What a plan asks of GPUs and hosts: parts and totals, seats, refusals with what would help, shipped recipes on the
hardware that their rows name."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from posttrain.cli import main
from posttrain.errors import InputError, RecipeError
from posttrain.plan import estimate, look, plan_ahead, prepare
from posttrain.plan.hardware import RESERVED_GB, Verdict
from posttrain.plan.memory import teacher_memory, training_memory
from posttrain.plan.propose import new_fitting_recipe
from posttrain.plan.seating import engines_up
from posttrain.recipe.schema import Dpd, Grpo, Recipe, Sft
from posttrain.recipe.sizes import Decoder, decoder
from posttrain.records.step import Step
from posttrain.store.artefacts import Store
from tests.recipe.world import RECIPE, write_world

ROOT = Path(__file__).parents[2]
SHIPPED = sorted((ROOT / "recipes").glob("*.yaml"))
LLAMA = {
    "model_type": "llama",
    "hidden_size": 4096,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "intermediate_size": 14336,
    "vocab_size": 128256,
    "max_position_embeddings": 131072,
}
PARTS = ("weights", "gradients", "optimizer", "activations", "logits", "engine", "total")
ON_GPUS = RECIPE.replace(
    "cluster: {trainers: 1}",
    "hardware: {gpus: 3, gpu_memory_gb: 80}\ncluster: {trainers: 1, gpus_per_trainer: 1, gpus_per_engine: 1}",
)


def verdict_of(recipe: str | Path, folder: Path, *overrides: str) -> Verdict:
    _, plan = plan_ahead(str(recipe), Store(folder / "store"), overrides=overrides)
    return look(plan, estimate(plan))


def sizes(**changes: Any) -> Decoder:
    found = decoder(LLAMA | changes)
    assert found is not None
    return found


# ---------------------------------------------------------------- sizes and memory


@pytest.mark.parametrize(
    ("config", "parameters"),
    [
        (LLAMA, 8_030_261_248),  # Llama 3.1 8B, by its card
        (
            {
                "model_type": "qwen2", "hidden_size": 2048, "num_hidden_layers": 36, "num_attention_heads": 16,
                "num_key_value_heads": 2, "intermediate_size": 11008, "vocab_size": 151936,
                "tie_word_embeddings": True,
            },
            3_085_938_688,  # Qwen2.5 3B
        ),
        (
            {
                "model_type": "qwen3", "hidden_size": 1024, "num_hidden_layers": 28, "num_attention_heads": 16,
                "num_key_value_heads": 8, "head_dim": 128, "intermediate_size": 3072, "vocab_size": 151936,
                "tie_word_embeddings": True,
            },
            596_049_920,  # Qwen3 0.6B
        ),
        (
            {
                "model_type": "mixtral", "hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32,
                "num_key_value_heads": 8, "intermediate_size": 14336, "vocab_size": 32000, "num_local_experts": 8,
                "num_experts_per_tok": 2,
            },
            46_702_792_704,  # Mixtral 8x7B
        ),
    ],
    ids=["llama", "qwen2", "qwen3", "mixtral"],
)  # fmt: skip
def test_parameters_are_those_of_the_published_models(config: dict[str, Any], parameters: int) -> None:
    found = decoder(config)
    assert found is not None and found.parameters == parameters


def sft(**changes: Any) -> Sft:
    keys = {"kind": "sft", "name": "a", "data": {"d": 1.0}, "max_tokens": 8192, "micro_batch_size": 1, "packing": False}
    return Sft.model_validate(keys | {"gradient_checkpointing": True} | changes)


def test_sharding_divides_the_states_and_leaves_activations() -> None:
    whole, parts = (
        training_memory(sizes(), sft(), context_tokens=8192, trainers=8, sharded=sharded) for sharded in (False, True)
    )
    assert whole.total is not None and parts.total is not None and whole.optimizer is not None
    assert parts.optimizer == pytest.approx(8 * sizes().parameters / 8e9)
    assert whole.optimizer == pytest.approx(12 * sizes().parameters / 1e9), "with what the update works on"
    assert parts.total < whole.total / 3
    assert parts.activations is not None and parts.activations > 1


def test_total_is_the_peak_over_phases_and_not_the_sum() -> None:
    memory = training_memory(sizes(), sft(), context_tokens=8192, trainers=1, sharded=False)
    parts = [getattr(memory, part) or 0.0 for part in PARTS[:-1]]
    assert memory.total is not None and max(parts) < memory.total < sum(parts)


@pytest.mark.parametrize(
    ("less", "more"),
    [
        ({}, {"gradient_checkpointing": False}),
        ({}, {"micro_batch_size": 2}),
        ({}, {"max_tokens": 16384}),
        ({}, {"packing": True}),  # a mask of tokens x tokens
        ({"adapter": {"rank": 16}}, {}),
    ],
    ids=str,
)
def test_what_costs_memory_costs_memory(less: dict[str, Any], more: dict[str, Any]) -> None:
    low, high = (
        training_memory(sizes(), sft(**keys), context_tokens=8192, trainers=64, sharded=True).total
        for keys in (less, more)
    )
    assert low is not None and high is not None and low < high


def test_no_tensor_of_tokens_times_vocabulary_is_reckoned_with() -> None:
    stage = Grpo.model_validate({"kind": "grpo", "name": "a", "prompts": "p", "verifier": "v", "micro_batch_size": 1})
    memory = training_memory(sizes(), stage, context_tokens=65536, trainers=8, sharded=True)
    assert memory.logits is not None and memory.logits < 4 * 18432 * 128256 / 1e9 / 2


def test_a_teacher_costs_two_bytes_a_parameter_and_its_share_where_it_is_shared() -> None:
    stage = Dpd.model_validate(
        {"kind": "dpd", "name": "a", "prompts": "p", "verifier": "v", "teacher": {"path": "t"}, "micro_batch_size": 1}
    )
    keys: dict[str, Any] = {"context_tokens": 8192, "trainers": 8, "sharded": True}
    none = training_memory(sizes(), stage, **keys)
    whole, shared = (
        training_memory(sizes(), stage, **keys, teacher=sizes(), teacher_shared=on) for on in (False, True)
    )
    assert none.weights and whole.weights and shared.weights and whole.total and shared.total
    assert whole.weights - none.weights == pytest.approx(2 * sizes().parameters / 1e9)
    assert shared.weights - none.weights == pytest.approx((2 * sizes().parameters / 8 + 2 * sizes().embeddings) / 1e9)
    alone, eighth = (teacher_memory(sizes(), stage, context_tokens=8192, split=split).weights for split in (1, 8))
    assert alone == pytest.approx(2 * sizes().parameters / 1e9) and eighth is not None and eighth < alone / 3


# ---------------------------------------------------------------- a whole plan


@pytest.mark.parametrize(("share", "most"), [("space", 3), ("time", 1)])
def test_steps_hold_the_gpus_of_the_roles_that_work_in_them(tmp_path: Path, share: str, most: int) -> None:
    verdict = verdict_of(write_world(tmp_path, ON_GPUS), tmp_path, f"cluster.share={share}")
    gpus = {name: need.gpus for name, need in verdict.needs.items()}
    assert gpus["fitness"] == gpus["cold_start"] == gpus["distil"] == 1, "trainers"
    assert gpus["distil.pairs"] == min(2, most), "policy and teacher"
    assert gpus["stem"] == min(2, most), "trainers and policy"
    assert gpus["preference"] == most, "and a judge"
    assert verdict.fits is True


def test_where_roles_take_turns_memory_is_that_of_the_largest(tmp_path: Path) -> None:
    space, time = (
        verdict_of(write_world(tmp_path, ON_GPUS), tmp_path, f"cluster.share={share}").needs["stem"]
        for share in ("space", "time")
    )
    assert space.gpu_memory_gb.engine == time.gpu_memory_gb.engine
    assert time.gpu_memory_gb.total == max(time.gpu_memory_gb.engine or 0, space.gpu_memory_gb.total or 0)
    assert time.host_memory_gb is not None and space.host_memory_gb is not None
    assert time.host_memory_gb > space.host_memory_gb, "who sleeps lies in main memory"


def test_too_few_gpus_are_refused_with_a_split_that_fits(tmp_path: Path) -> None:
    one_row = ON_GPUS.replace("steps: 4,", "steps: 4, micro_batch_size: 1,")
    recipe = write_world(tmp_path, one_row.replace("    steps: 4\n", "    steps: 4\n    micro_batch_size: 1\n"))
    many = ("cluster.trainers=8", "cluster.engines=8", "hardware.gpus=8")
    with pytest.raises(RecipeError) as caught:
        prepare(str(recipe), Store(tmp_path / "store"), overrides=many)
    assert "preference holds 24 GPUs (judge 8 of 1 GPU, policy 8 of 1 GPU, trainers 8 of 1 GPU)" in caught.value.what
    assert "hardware.gpus" in str(caught.value.where) and "set cluster.share: time, or" in str(caught.value.remedy)
    assert verdict_of(recipe, tmp_path, *many, "cluster.share=time").fits is True


def test_an_engine_over_more_gpus_than_a_node_has_is_refused(tmp_path: Path) -> None:
    recipe = write_world(tmp_path, ON_GPUS)
    wide = ("engine.options.tensor_parallel_size=4", "cluster.gpus_per_engine=4", "cluster.share=time")
    with pytest.raises(RecipeError, match=r"1 workers of 4 GPU for the policy find no room: 4 seats on 2 nodes"):
        prepare(str(recipe), Store(tmp_path / "store"), overrides=(*wide, "hardware.gpus=2", "hardware.nodes=2"))


SHAPE = f"base: {{path: not_here, shape: {json.dumps(LLAMA)}}}"
BIG = ON_GPUS.replace("base: {path: base}", SHAPE).replace("gpus: 3", "gpus: 16")


def test_too_much_memory_is_refused_with_parts_and_a_remedy_that_lowers_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    recipe = write_world(tmp_path, BIG)
    assert main(["plan", str(recipe), "--json"]) == 2
    printed = capsys.readouterr()
    found = json.loads(printed.out)
    assert found["fits"] is False and found["misfits"][0]["key"] == "hardware.gpu_memory_gb"
    assert re.search(r"needs \d+ GB on a GPU \(weights ", printed.err) and "LoRA" in printed.err
    assert main(["check", str(recipe)]) == 2, "check refuses it, too"


def test_plan_needs_neither_data_nor_models_where_shapes_are_stated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    recipe = write_world(tmp_path, BIG.replace("{path: teacher}", f"{{path: gone, shape: {json.dumps(LLAMA)}}}"))
    for file in (tmp_path / "data").iterdir():
        file.unlink()
    assert main(["plan", str(recipe), "--json", "--set", "hardware.gpu_memory_gb=600"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["fits"] is True
    assert {"base", "distil.teacher", "data.warmup"} <= set(found["absent"])
    steps = {step["name"]: step for step in found["steps"]}
    assert steps["base"]["id"] is None and steps["stem"]["id"] is None, "ids of what is not here yet"
    assert steps["stem"]["state"] == "to run" and steps["stem"]["gpu_hours"] > 0
    assert set(steps["distil"]["gpu_memory_gb"]) == set(PARTS)
    assert steps["cold_start"]["gpu_memory_gb"]["engine"] is None, "on a GPU of its own, and not asked"
    assert main(["check", str(recipe)]) == 2, "only plan looks ahead"


TEACHER = f"{{path: gone, shape: {json.dumps(LLAMA)}"


@pytest.mark.parametrize(
    ("teacher", "trainers", "notes"),
    [
        ("}", 1, ["not sharded"]),
        ("}", 4, ["sharded over 4 trainers (FSDP2)", "teacher shared among 4 trainers"]),
        (", cache: {}}", 4, ["sharded over 4 trainers (FSDP2)"]),
    ],
)
def test_distillation_on_several_gpus_is_reckoned_as_it_runs(
    tmp_path: Path, teacher: str, trainers: int, notes: list[str]
) -> None:
    recipe = write_world(tmp_path, BIG.replace("{path: teacher}", TEACHER + teacher))
    batch = [
        f"stages.{name}.micro_batch_size=1"
        for name in ("cold_start", "distil", "control", "stem", "judge", "preference")
    ]
    cluster = (f"cluster.trainers={trainers}", "hardware.gpu_memory_gb=60")
    verdict = verdict_of(recipe, tmp_path, *cluster, *batch)
    need = verdict.needs["distil"]
    assert [note for note in need.notes if not note.startswith("attention")] == notes
    assert not any("cannot run" in note for note in need.notes)
    if "cache" in teacher:
        read = verdict.needs["distil.teacher_logprobs"]
        assert read.notes == ("teacher shared among 4 trainers",)
        assert read.gpu_memory_gb.optimizer is None and read.gpu_memory_gb.total is not None and read.flops
        assert read.gpu_memory_gb.total > 2 * 8.03 / 4
    assert need.host_memory_gb is not None


def test_a_student_that_answers_while_it_is_trained_takes_an_engine_its_time_and_copies_of_its_weights(
    tmp_path: Path,
) -> None:
    recipe = write_world(tmp_path, BIG)
    batch = [f"stages.{name}.micro_batch_size=1" for name in ("distil", "stem", "preference")]
    stored, fresh = (
        verdict_of(recipe, tmp_path, f"stages.distil.mode={mode}", *batch).needs["distil"]
        for mode in ("off_policy", "both")
    )
    assert stored.gpu_memory_gb.engine is None and fresh.gpu_memory_gb.engine is not None
    assert stored.gpu_hours is not None and fresh.gpu_hours is not None and fresh.gpu_hours > 1.5 * stored.gpu_hours
    assert stored.host_memory_gb is not None and fresh.host_memory_gb is not None
    assert fresh.host_memory_gb > stored.host_memory_gb


def test_what_an_rl_stage_asks_beside_its_training_takes_tokens_and_time_and_no_training(tmp_path: Path) -> None:
    recipe = write_world(tmp_path, BIG)
    problems, batch = 3, ["stages.stem.micro_batch_size=1", "evaluate.max_tokens=100", "data.held_out.limit=3"]
    guard = "stages.stem.early_stop={guard: {suite: stem, every: 2, samples: 2}}"
    canaries = "stages.stem.alarms={canaries: {data: held_out, verifier: math, per_step: 5}}"
    found = []
    for steps in ([], [guard], [canaries]):
        _, plan = plan_ahead(str(recipe), Store(tmp_path / "store"), overrides=(*batch, "stages.stem.steps=5", *steps))
        estimates = estimate(plan)
        found.append((estimates["stem"], look(plan, estimates).needs["stem"]))
    (plain, needs), (guarded, guarded_needs), (watched, watched_needs) = found
    assert plain.tokens is not None and guarded.tokens is not None and watched.tokens is not None
    assert guarded.tokens - plain.tokens == (1 + 3) * problems * 2 * 100  # at the start, after steps 2, 4 and 5
    assert watched.tokens - plain.tokens == 5 * 5 * 128
    assert needs.flops == guarded_needs.flops == watched_needs.flops and needs.gpu_hours is not None
    assert all(
        more.gpu_hours is not None and more.gpu_hours > needs.gpu_hours for more in (guarded_needs, watched_needs)
    )


def test_engines_that_are_up_are_those_that_steps_ask_and_no_step_has_left() -> None:
    recipe = Recipe.model_validate(
        {"schema": 1, "name": "r", "base": {"path": "toy"}, "stages": [{"kind": "tests.x:Y", "name": "first"}]}
    )

    def step(name: str, kind: str, **inputs: str) -> Step:
        return Step(name=name, kind=kind, version=1, params={}, inputs=inputs, id=name)

    steps = [
        step("pick", "verify", **{"model.writer": "base", "model.judge": "other"}),
        step("distil.pairs", "pairs", teacher="distil.teacher"),
        step("distil", "dpd", teacher="distil.teacher"),
        step("rl", "grpo", judge="taste"),
        step("next", "sft"),
    ]
    assert [set(up) for _, up in engines_up(recipe, steps)] == [
        {"data-base", "data-other"},
        {"policy", "teacher"},
        {"policy"},
        {"policy", "judge"},
        {"policy", "judge"},
    ]


def test_a_config_without_weights_is_enough_to_plan(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = write_world(tmp_path, ON_GPUS)
    (tmp_path / "base" / "model.safetensors").unlink()
    assert main(["plan", str(recipe), "--json", "--store", str(tmp_path / "store")]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["absent"] == ["base"] and found["fits"] is True
    assert found["steps"][0]["id"] is None


def test_a_config_that_is_here_counts_before_a_shape_and_the_plan_says_so(tmp_path: Path) -> None:
    shape = {**LLAMA, "hidden_size": 64, "vocab_size": 100}
    text = ON_GPUS.replace("base: {path: base}", f"base: {{path: base, shape: {json.dumps(shape)}}}")
    verdict = verdict_of(write_world(tmp_path, text), tmp_path)
    assert any("num_hidden_layers is 32 in the recipe's shape and 2" in note for note in verdict.needs["base"].notes)
    memory = verdict.needs["cold_start"].gpu_memory_gb
    assert memory.optimizer is not None and memory.optimizer < 0.1


def test_whether_it_fits_is_not_claimed_where_memory_is_not_stated(tmp_path: Path) -> None:
    text = ON_GPUS.replace(", gpu_memory_gb: 80", "")
    assert verdict_of(write_world(tmp_path, text), tmp_path).fits is None


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ("hardware.gpus=0", "hardware.gpus"),
        ("cluster={trainers: 2, gpus_per_trainer: 0.5, gpus_per_engine: 0.5}", "cluster.gpus_per_trainer"),
        ("engine.context_tokens=100000000", "engine.gpu_memory_share"),
        ("hardware.host_memory_gb=1", "hardware.host_memory_gb"),
    ],
)
def test_each_misfit_names_its_key(tmp_path: Path, change: str, key: str) -> None:
    recipe = write_world(tmp_path, ON_GPUS)
    with pytest.raises(RecipeError) as caught:
        prepare(str(recipe), Store(tmp_path / "store"), overrides=(change,))
    assert key in str(caught.value.where) and caught.value.remedy


def test_a_toy_on_the_cpu_fits_and_asks_no_gpu(tmp_path: Path) -> None:
    verdict = verdict_of(ROOT / "recipes" / "demo_cpu.yaml", tmp_path)
    assert verdict.fits is True
    assert all(need.gpus is None and need.gpu_memory_gb.total is None for need in verdict.needs.values())


# ---------------------------------------------------------------- what comes with posttrain


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_recipe_fits_the_hardware_that_its_row_names(path: Path, tmp_path: Path) -> None:
    _, plan = plan_ahead(str(path), Store(tmp_path / "store"))
    verdict = look(plan, estimate(plan))
    assert verdict.fits is True, verdict.misfits
    rows = (ROOT / "recipes" / "README.md").read_text(encoding="utf-8").splitlines()
    row = next(line for line in rows if f"({path.name})" in line)
    hardware = plan.recipe.hardware
    if hardware is None:
        assert "CPU" in row and "GPU" not in row
        return
    named = re.search(r"(\d+) GPUs? of (\d+) GB", row)
    assert named is not None, "the row names GPUs and their memory"
    assert (hardware.nodes * hardware.gpus, hardware.gpu_memory_gb) == (int(named[1]), float(named[2]))
    fullest = max(need.gpu_memory_gb.total or 0.0 for need in verdict.needs.values())
    assert fullest + RESERVED_GB <= float(named[2])


@pytest.mark.parametrize(("gpus", "memory"), [(1, 80.0), (2, 80.0), (8, 80.0)])
def test_recipe_new_writes_one_that_fits(tmp_path: Path, gpus: int, memory: float) -> None:
    base = tmp_path / "mine"
    base.mkdir()
    small = {
        **LLAMA,
        "hidden_size": 1024,
        "num_attention_heads": 16,
        "intermediate_size": 4096,
        "num_hidden_layers": 16,
    }
    (base / "config.json").write_text(json.dumps(small))
    out = tmp_path / "mine.yaml"
    keys = {"revision": None, "like": "nanbeige4_3b_thinking", "name": None, "out": out}
    new_fitting_recipe(base=str(base), gpus=gpus, gpu_memory_gb=memory, **keys)  # type: ignore[arg-type]
    verdict = verdict_of(out, tmp_path)
    assert verdict.fits is True
    assert max(need.gpus or 0.0 for need in verdict.needs.values()) <= gpus


def test_recipe_new_says_what_is_lacking_and_writes_nothing(tmp_path: Path) -> None:
    base = tmp_path / "mine"
    base.mkdir()
    (base / "config.json").write_text(json.dumps(LLAMA))
    keys = {"revision": None, "like": "nanbeige4_3b_thinking", "name": None, "out": tmp_path / "mine.yaml"}
    with pytest.raises(InputError, match="no layout") as caught:
        new_fitting_recipe(base=str(base), gpus=1, gpu_memory_gb=12.0, **keys)  # type: ignore[arg-type]
    assert caught.value.remedy
    with pytest.raises(InputError, match="sizes are not known"):
        new_fitting_recipe(base=str(tmp_path), gpus=1, gpu_memory_gb=80.0, **keys)  # type: ignore[arg-type]
    assert not (tmp_path / "mine.yaml").exists()


def test_plan_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom posttrain.cli import main\nmain(['plan', 'nanbeige4_3b_thinking', '--json'])\n"
        "heavy = {'torch', 'transformers', 'ray', 'vllm', 'sympy', 'docker'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
