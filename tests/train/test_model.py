"""What is loaded is what the base holds, what is published is what was trained, and what differs is what the recipe
says: tiny random models of several architectures."""

from __future__ import annotations

import gc
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from benchmarks.architectures import base_of, differing_keys
from posttrain.errors import CheckpointError, StageError
from posttrain.recipe.schema import Chat, Lora, Sft
from posttrain.rollout.causal import load_causal
from posttrain.rollout.engine import EngineOptions
from posttrain.rollout.hf_engine import HfEngine
from posttrain.rollout.parity import folder_logprobs, largest_gap, probe_sequences, trainer_logprobs
from posttrain.rollout.tiny import tiny_model
from posttrain.train.adapter import prove_merge
from posttrain.train.base_trial import examine_base, try_base, try_training
from posttrain.train.model import checkpoint_model, finished, load_model, save_model
from posttrain.train.sft import train
from tests.train.conftest import CHAT, Jobs, StopAfter, files, metrics, weights, write_rows

CLOSE = 1e-5
KINDS = ["mixtral", "gemma2", "gpt_neox", "gpt2"]  # fused experts, soft caps and a tied head, renamed tensors, Conv1D


def lora(**options: Any) -> Lora:
    return Lora.model_validate({"rank": 4, "alpha": 8.0} | options)


@pytest.fixture
def base(tmp_path: Path, tiny: Callable[..., Path]) -> Path:
    """A copy of a tiny qwen3 that a test may break."""
    return Path(shutil.copytree(tiny(), tmp_path / "base"))


def change_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def change_json(path: Path, **values: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


# ---------------------------------------------------------------- what is not there, or of another shape


def test_a_tensor_that_is_missing_is_refused_by_name_and_never_made_up(base: Path) -> None:
    change_weights(base, lambda tensors: tensors.pop("model.layers.1.self_attn.q_proj.weight"))
    for look in (load_model, lambda folder: examine_base(folder, CHAT, folder)):
        with pytest.raises(CheckpointError, match=r"model\.layers\.1\.self_attn\.q_proj\.weight"):
            look(base)


def test_a_missing_expert_is_refused_by_name(tmp_path: Path, tiny: Callable[..., Path]) -> None:
    folder = Path(shutil.copytree(tiny(architecture="mixtral"), tmp_path / "base"))
    change_weights(folder, lambda tensors: tensors.pop("model.layers.0.block_sparse_moe.experts.1.w1.weight"))
    with pytest.raises(CheckpointError, match=r"model\.layers\.0\.mlp\.experts\.gate_up_proj"):
        load_model(folder)


def test_a_tensor_of_another_shape_is_refused_with_both(base: Path) -> None:
    change_weights(base, lambda tensors: tensors.update({"model.norm.weight": torch.ones(3)}))
    with pytest.raises(CheckpointError, match=r"model\.norm\.weight is \[3\], the config wants \[64\]"):
        load_model(base)


def test_tensors_without_a_place_are_said(base: Path) -> None:
    change_weights(base, lambda tensors: tensors.update({"mtp.head.weight": torch.ones(3)}))
    assert any("mtp.head.weight" in remark for remark in examine_base(base, CHAT, base))


def test_shards_without_an_index_are_refused_and_with_it_read(base: Path) -> None:
    whole = folder_logprobs(base)(*probe_sequences(base))
    load_causal(base).save_pretrained(base, max_shard_size="100KB")
    (base / "model.safetensors").unlink()
    assert folder_logprobs(base)(*probe_sequences(base)) == whole
    (base / "model.safetensors.index.json").unlink()
    with pytest.raises(CheckpointError, match=r"neither model\.safetensors nor model\.safetensors\.index\.json"):
        load_model(base)


def test_an_adapter_in_place_of_a_model_is_refused(base: Path) -> None:
    (base / "adapter_config.json").write_text("{}")
    with pytest.raises(CheckpointError, match="an adapter"):
        load_model(base)


def test_quantised_weights_are_refused_by_their_method(base: Path) -> None:
    change_json(base / "config.json", quantization_config={"quant_method": "fp8"})
    with pytest.raises(CheckpointError, match="fp8"):
        examine_base(base, CHAT, base)


def test_ids_beyond_the_embedding_are_refused_where_a_text_can_hold_them(base: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|image|>"]})
    tokenizer.save_pretrained(base)
    assert any("<|image|>" in remark for remark in examine_base(base, CHAT, base))
    tokenizer.add_tokens(["extra"])
    tokenizer.save_pretrained(base)
    with pytest.raises(CheckpointError, match="beyond the embedding's 261 rows, such as 262 'extra'"):
        examine_base(base, CHAT, base)


# ---------------------------------------------------------------- what is published


@pytest.mark.parametrize("architecture", KINDS)
@pytest.mark.parametrize("adapter", ["full", lora(dropout=0.0)], ids=["full", "lora"])
def test_what_is_published_is_what_was_trained(tmp_path: Path, architecture: str, adapter: Any) -> None:
    base = base_of(architecture, tmp_path / "base")
    assert try_training(base, tmp_path / "out", chat=CHAT, adapter=adapter, seed=3) < CLOSE
    assert differing_keys(base, tmp_path / "out") == []


def test_config_json_is_the_bases_own_whatever_the_library_calls_its_keys_today(base: Path, tmp_path: Path) -> None:
    """As files in the world have them: keys of older versions, a dtype of its own, no word on what is a default."""
    config = json.loads((base / "config.json").read_text())
    rope = config.pop("rope_parameters")
    config.pop("dtype")
    config |= {"rope_theta": rope["rope_theta"], "torch_dtype": "bfloat16", "transformers_version": "4.40.0"}
    config |= {"use_cache": False, "architectures": ["Qwen3ForCausalLM"], "eos_token_id": [258, 256]}
    (base / "config.json").write_text(json.dumps(config))
    before = load_model(base)
    save_model(before, tmp_path / "out", source=base, chat=CHAT, stop_ids=(258,))
    assert json.loads((tmp_path / "out" / "config.json").read_text()) == config | {"torch_dtype": "float32"}
    sequences, starts = probe_sequences(base)
    assert trainer_logprobs(before, sequences, starts) == folder_logprobs(tmp_path / "out")(sequences, starts)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ({"do_sample": False, "temperature": 0.6}, {"do_sample": True, "temperature": 0.6}),
        ({"top_p": 0.9, "pad_token_id": 256}, {"top_p": 0.9, "pad_token_id": 256, "do_sample": True}),
        ({"do_sample": False, "temperature": 0.0, "repetition_penalty": 1.1}, {"repetition_penalty": 1.1}),
        ({"do_sample": True, "top_k": 20}, {"do_sample": True, "top_k": 20}),
        ({"max_new_tokens": 0, "temperature": 0.7, "bos_token_id": 1}, {"bos_token_id": 1}),
    ],
)
def test_generation_settings_keep_what_the_base_has_and_are_valid(
    base: Path, tmp_path: Path, theirs: dict[str, Any], ours: dict[str, Any]
) -> None:
    from transformers import GenerationConfig

    (base / "generation_config.json").write_text(json.dumps(theirs))
    remarks = [remark for remark in examine_base(base, CHAT, base) if "generation_config.json" in remark]
    assert len(remarks) == (theirs != ours)
    save_model(load_model(base), tmp_path / "out", source=base, chat=CHAT, stop_ids=(258,))
    assert json.loads((tmp_path / "out" / "generation_config.json").read_text()) == ours | {"eos_token_id": [258]}
    GenerationConfig.from_pretrained(tmp_path / "out").validate(strict=True)


def test_the_attention_of_a_model_with_soft_caps_applies_them(tmp_path: Path) -> None:
    base = base_of("gemma2", tmp_path / "base", attn_logit_softcapping=0.5)
    other = Path(shutil.copytree(base, tmp_path / "other"))
    change_json(other / "config.json", attn_logit_softcapping=None)
    sequences, starts = probe_sequences(base)
    capped, uncapped = (folder_logprobs(folder)(sequences, starts) for folder in (base, other))
    assert load_model(base).config._attn_implementation == "eager"
    assert largest_gap(capped, uncapped) > 1e-3  # SDPA gives the same for both


# ---------------------------------------------------------------- LoRA


def adapter_tensors(folder: Path, seed: int) -> list[torch.Tensor]:
    model = load_model(folder, adapter=lora(), seed=seed)
    return [one.detach() for one in model.parameters() if one.requires_grad]


def test_lora_is_made_from_the_seed_and_from_nothing_else(tiny: Callable[..., Path]) -> None:
    torch.manual_seed(1)
    first = adapter_tensors(tiny(), seed=5)
    state = torch.get_rng_state()
    torch.manual_seed(2)
    assert all(torch.equal(a, b) for a, b in zip(first, adapter_tensors(tiny(), seed=5), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first, adapter_tensors(tiny(), seed=6), strict=True))
    torch.manual_seed(1)
    adapter_tensors(tiny(), seed=7)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("targets", [["no_such"], ["q_proj", "no_such"]])
def test_lora_targets_that_match_nothing_are_refused_with_the_names_there_are(base: Path, targets: list[str]) -> None:
    with pytest.raises(CheckpointError, match="no_such") as caught:
        load_model(base, adapter=lora(targets=targets))
    assert "down_proj" in str(caught.value.remedy) and "q_proj" in str(caught.value.remedy)
    with pytest.raises(CheckpointError, match="no_such"):
        examine_base(base, CHAT, base, [lora(targets=targets)])


@pytest.mark.parametrize("target", ["embed_tokens", "lm_head"])
def test_lora_on_tied_embeddings_is_refused_and_on_others_merged_right(
    tiny: Callable[..., Path], tmp_path: Path, target: str
) -> None:
    with pytest.raises(CheckpointError, match=f"LoRA on {target} cannot be merged"):
        load_model(tiny(tied=True), adapter=lora(targets=[target]))
    assert try_training(tiny(), tmp_path / "out", chat=CHAT, adapter=lora(targets=[target]), seed=3) < CLOSE


def test_lora_with_dropout_on_experts_is_refused_with_a_remedy(tiny: Callable[..., Path]) -> None:
    with pytest.raises(CheckpointError) as caught:
        load_model(tiny(architecture="mixtral"), adapter=lora(dropout=0.1))
    assert "adapter.dropout" in str(caught.value.remedy)


def test_a_merge_that_changes_the_model_is_no_checkpoint(tiny: Callable[..., Path]) -> None:
    adapted = load_model(tiny(), adapter=lora(), seed=1)
    plain = checkpoint_model(adapted)
    assert prove_merge(adapted, plain) < CLOSE
    with torch.no_grad():
        plain.get_output_embeddings().weight.mul_(1.01)
    with pytest.raises(StageError, match="merged model's log-probabilities differ"):
        prove_merge(adapted, plain)


# ---------------------------------------------------------------- the trial before the first stage


def test_the_trial_tries_each_way_of_training_and_leaves_nothing(tiny: Callable[..., Path], tmp_path: Path) -> None:
    said = try_base(tiny(), tmp_path / "trial", chat=CHAT, recipe_dir=tmp_path, adapters=["full", lora()], seed=3)
    assert said == [] and not (tmp_path / "trial").exists()


def test_weights_that_are_not_finite_end_the_trial(base: Path, tmp_path: Path) -> None:
    change_weights(base, lambda tensors: tensors["model.norm.weight"].fill_(float("nan")))
    chat = Chat.model_validate({"template": "chatml_think", "stop": ["<|im_end|>"]})
    with pytest.raises(CheckpointError, match="not finite"):
        try_base(base, tmp_path / "trial", chat=chat, recipe_dir=tmp_path, adapters=[], seed=3)


# ---------------------------------------------------------------- through a stage


def sft_stage(**options: Any) -> Sft:
    values = {"kind": "sft", "name": "warm", "data": {"rows": 1.0}, "batch_size": 2, "micro_batch_size": 2}
    values |= {"max_tokens": 96, "packing": False, "learning_rate": 1e-3, "warmup_share": 0.0, "steps": 4}
    return Sft.model_validate(values | options)


@pytest.fixture
def rows(jobs: Jobs) -> dict[str, Any]:
    lines = [{"prompt": f"after {n}?", "completion": f"<think>{'+' * (n % 5)}</think>{n + 1}"} for n in range(16)]
    return {"rows": write_rows(jobs.folder / "rows.jsonl", lines)}


def test_lora_with_dropout_leaves_the_same_bytes_on_a_rerun_and_on_a_resume(
    jobs: Jobs, rows: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    merge_gaps: list[float] = []
    monkeypatch.setattr("posttrain.train.adapter._refuse_gap", merge_gaps.append)
    stage = sft_stage(save_every=2, adapter={"rank": 4, "alpha": 8.0, "dropout": 0.3})
    straight, again = jobs.make(stage, rows), jobs.make(stage, rows)
    train(straight)
    torch.manual_seed(99)  # whatever the worker did before
    train(again)
    train(jobs.make(stage, rows, stop_file=StopAfter(2)))
    resumed = jobs.make(stage, rows, resume=True)
    assert resumed.resume is not None and resumed.resume.step == 3
    train(resumed)
    assert merge_gaps and 0 < max(merge_gaps) < CLOSE, "of the merged copy, not of the original behind its forward"
    assert files(again.output / "model") == files(straight.output / "model")
    assert files(resumed.output / "model") == files(straight.output / "model")
    other = jobs.make(stage, rows, seed=6)
    train(other)
    assert files(other.output / "model") != files(straight.output / "model")


def test_no_router_loss_is_added_that_no_recipe_asks_for(jobs: Jobs, rows: dict[str, Any], tmp_path: Path) -> None:
    """transformers and TRL would take the coefficient of the config, and publish what they set there."""
    curves, published = [], []
    for coefficient in (0.0, 10.0):
        options = {"output_router_logits": True, "router_aux_loss_coef": coefficient}
        base = base_of("mixtral", tmp_path / f"base-{coefficient}", **options)
        job = jobs.make(sft_stage(steps=2), rows, model=base)
        train(job)
        curves.append([row["loss"] for row in metrics(job)])
        published.append(weights(job.output / "model"))
        assert differing_keys(base, job.output / "model") == []
    assert curves[0] == curves[1]
    assert all(torch.equal(published[0][name], published[1][name]) for name in published[0])


@pytest.mark.parametrize("adapter", ["full", {"rank": 4, "alpha": 8.0}], ids=["full", "lora"])
def test_a_stage_publishes_in_the_dtype_of_its_recipe_what_it_trained_in_float32(
    jobs: Jobs, rows: dict[str, Any], adapter: Any
) -> None:
    """And config.json says so; the next stage and an engine start from it."""
    wide, narrow = (
        jobs.make(sft_stage(adapter=adapter, publish={"dtype": dtype}), rows) for dtype in ("float32", "bfloat16")
    )
    assert train(wide) == train(narrow)
    first, second = (load_file(job.output / "model" / "model.safetensors") for job in (wide, narrow))
    assert first.keys() == second.keys() and {one.dtype for one in first.values()} == {torch.float32}
    assert all(one.dtype == torch.bfloat16 and one.equal(first[name].bfloat16()) for name, one in second.items())
    said = [json.loads((job.output / "model" / "config.json").read_text())["dtype"] for job in (wide, narrow)]
    assert said == ["float32", "bfloat16"]
    assert load_model(narrow.output / "model").dtype == torch.float32
    engine = HfEngine(str(narrow.output / "model"), "v", EngineOptions(context_tokens=64))
    assert engine.health().version == "v"


@pytest.mark.parametrize("tied", [False, True])
def test_a_checkpoint_written_while_training_goes_on_leaves_the_model_as_it_was(
    tmp_path: Path, tiny: Callable[..., Path], tied: bool
) -> None:
    base = tiny(tied=tied)
    for adapter in ("full", Lora.model_validate({"rank": 4, "alpha": 8.0})):
        model, out = load_model(base, adapter=adapter), tmp_path / str(adapter)[:4]
        before = {name: one.clone() for name, one in model.state_dict().items()}
        save_model(model, out, source=base, chat=CHAT, stop_ids=(258,), dtype="bfloat16")
        assert all(one.equal(before[name]) for name, one in model.state_dict().items())
        names = load_file(out / "model.safetensors").keys()
        assert names == load_file(base / "model.safetensors").keys()
        assert all(one.dtype == torch.bfloat16 for one in load_file(out / "model.safetensors").values())


def test_publishing_a_lora_needs_no_second_copy_of_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the high-water mark of this process's memory, from which the model itself is taken off."""
    monkeypatch.setattr("posttrain.train.model.SHARD", "10MB")
    base = tiny_model(tmp_path / "base", hidden_size=1024, layers=5)
    size = (base / "model.safetensors").stat().st_size
    over: dict[bool, float] = {}
    for is_over in (True, False):
        model = load_model(base, adapter=Lora.model_validate({"rank": 4, "alpha": 8.0}))
        for one in model.parameters():
            one.data = one.data.clone()  # off the mapped file
        gc.collect()
        Path("/proc/self/clear_refs").write_text("5")  # sets the mark back
        start = resident("VmRSS")
        whole = finished(model, "bfloat16") if is_over else model
        save_model(whole, tmp_path / str(is_over), source=base, chat=CHAT, stop_ids=(258,), dtype="bfloat16")
        over[is_over] = (resident("VmHWM") - start) / size
        del model, whole
    assert over[True] < 0.5 < 0.9 < over[False]


def test_a_teacher_is_tried_in_the_dtype_that_it_will_answer_in(
    tmp_path: Path, tiny: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half precision where there is a GPU: a float32 copy of a large teacher would be twice its size."""
    loaded: list[Any] = []
    monkeypatch.setattr(
        "posttrain.train.base_trial.load_causal", lambda *given: loaded.append(load_causal(*given)) or loaded[-1]
    )
    save_model(load_model(tiny()), tmp_path / "half", source=tiny(), chat=CHAT, stop_ids=(258,), dtype="bfloat16")
    for has_gpu in (True, False):
        monkeypatch.setattr("torch.cuda.is_available", lambda found=has_gpu: found)
        try_base(tmp_path / "half", tmp_path / "trial", chat=CHAT, recipe_dir=tmp_path, adapters=[], seed=3)
    assert [model.dtype for model in loaded] == [torch.bfloat16, torch.float32]


def resident(what: str) -> int:
    """Bytes, of /proc/self/status."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status[what].split()[0]) * 1024
