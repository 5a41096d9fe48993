"""Which files make up a base, whether vLLM would take it, and that vLLM's presence changes no reference."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from benchmarks.architectures import base_of
from posttrain.errors import CheckpointError
from posttrain.rollout.causal import changed_by_vllm
from posttrain.rollout.engine import EngineOptions
from posttrain.rollout.hf_engine import HfEngine
from posttrain.rollout.parity import check_parity, folder_logprobs, hand_over, probe_sequences
from posttrain.rollout.servable import refuse_unservable
from posttrain.rollout.weights import iterate_weights

CLOSE = 1e-4


def test_a_second_copy_of_the_weights_in_another_layout_is_not_read(tmp_path: Path, tiny: Callable[..., Path]) -> None:
    """As Mistral publishes: consolidated.safetensors, with names of its own, beside the model."""
    folder = Path(shutil.copytree(tiny(), tmp_path / "base"))
    names = {name for name, _ in iterate_weights(folder)}
    tensors = load_file(folder / "model.safetensors")
    save_file({f"layers.{name}": tensor for name, tensor in tensors.items()}, folder / "consolidated.safetensors")
    assert {name for name, _ in iterate_weights(folder)} == names
    (folder / "model.safetensors").rename(folder / "weights.safetensors")
    with pytest.raises(CheckpointError, match=r"neither model\.safetensors nor"):
        list(iterate_weights(folder))


def test_pickled_weights_are_named_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(b"pickled")
    with pytest.raises(CheckpointError, match=r"pytorch_model\.bin") as caught:
        list(iterate_weights(tmp_path))
    assert "save_pretrained" in str(caught.value.remedy)


@pytest.mark.parametrize("architecture", ["gpt_neox", "gemma2"])
def test_the_hf_engine_takes_tensors_that_are_renamed_and_caps_that_are_soft(tmp_path: Path, architecture: str) -> None:
    from posttrain.train.model import load_model

    first, second = base_of(architecture, tmp_path / "first"), base_of(architecture, tmp_path / "second")
    tensors = load_file(second / "model.safetensors")
    save_file({name: tensor * 0.9 for name, tensor in tensors.items()}, second / "model.safetensors", {"format": "pt"})
    engine = HfEngine(str(first), "first", EngineOptions(context_tokens=160))
    engine.load(str(second), "second")
    assert check_parity(engine, folder_logprobs(second), *probe_sequences(first)) < CLOSE
    assert hand_over(engine, load_model(first), "third", like=first, tolerance=CLOSE) < CLOSE


def test_a_state_space_model_is_refused_by_the_hf_engine_before_it_samples(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="LinearAttentionLayer") as caught:
        HfEngine(str(base_of("mamba2", tmp_path / "base")), "base")
    assert caught.value.where == "engine.backend"


def test_without_vllm_in_the_process_no_class_is_changed(tiny: Callable[..., Path]) -> None:
    assert not changed_by_vllm(tiny())


# ---------------------------------------------------------------- vLLM itself


def named(folder: Path, architecture: str) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"architectures": [architecture], "model_type": "rwkv"}))
    return folder


@pytest.mark.vllm
def test_an_architecture_of_vllms_tables_is_taken_and_another_refused_by_name(tmp_path: Path) -> None:
    assert refuse_unservable(named(tmp_path / "listed", "Gemma2ForCausalLM"), "base") == "vLLM runs Gemma2ForCausalLM"
    with pytest.raises(CheckpointError, match="RwkvForCausalLM") as caught:
        refuse_unservable(named(tmp_path / "not", "RwkvForCausalLM"), "base")
    assert caught.value.where == "engine.backend" and "engine.backend: hf" in str(caught.value.remedy)


REFERENCE = """
import sys
from posttrain.rollout.parity import folder_logprobs, probe_sequences, largest_gap
from posttrain.rollout.causal import changed_by_vllm
from posttrain.rollout.engine import EngineOptions
folder = sys.argv[1]
sequences, starts = probe_sequences(folder)
before = folder_logprobs(folder)(sequences, starts)
from posttrain.rollout.vllm_engine import VllmEngine
engine = VllmEngine(folder, "base", EngineOptions(context_tokens=160, kv_cache_gb=0.05))
after = folder_logprobs(folder)(sequences, starts)
print(changed_by_vllm(folder), before == after, largest_gap(engine.score(sequences, starts), after) < 1e-4)
"""


@pytest.mark.vllm
@pytest.mark.parametrize(
    ("architecture", "changed"), [("olmo2", True), pytest.param("qwen3", False, marks=pytest.mark.long)]
)
def test_the_reference_is_the_same_before_and_after_vllm_came_into_the_process(
    tmp_path: Path, architecture: str, changed: bool
) -> None:
    """olmo2 runs on transformers' code, whose classes vLLM decorates: made from them, the reference would not load."""
    command = [sys.executable, "-c", REFERENCE, str(base_of(architecture, tmp_path / "base"))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.splitlines()[-1] == f"{changed} True True"
