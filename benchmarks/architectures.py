"""Which architectures a recipe can name as its base? A tiny random model of each is loaded, trained a step (full and
LoRA), saved, loaded again, sampled from by both engines and compared with what it started from.

    python benchmarks/architectures.py                    the table, about ten seconds a row (vLLM starts for each)
    python benchmarks/architectures.py gemma2 phi3        some of them
    python benchmarks/architectures.py --without-vllm     the rest of it, in seconds

A cell holds the largest gap in log-probabilities (nats) to transformers' forward pass of the same weights, or the words
of the refusal. Knows nothing of quality: weights are random.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from posttrain.errors import PosttrainError

SHARED: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 32,
    "max_position_embeddings": 2048,
    "tie_word_embeddings": False,
}
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 64}
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "qwen2": {},
    "qwen3": {"tie_word_embeddings": True},
    "qwen3_moe": EXPERTS | {"norm_topk_prob": True, "decoder_sparse_step": 1, "mlp_only_layers": []},
    "llama": {},
    "mistral": {"sliding_window": None},
    "mixtral": {"num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": None},
    "gemma": {"tie_word_embeddings": True},
    "gemma2": {"tie_word_embeddings": True, "query_pre_attn_scalar": 32, "sliding_window": 64},
    "gemma3_text": {"tie_word_embeddings": True, "query_pre_attn_scalar": 32, "sliding_window": 64},
    "phi3": {"rope_scaling": None, "sliding_window": None, "pad_token_id": 0},
    "olmo2": {},
    "olmoe": {"num_experts": 4, "num_experts_per_tok": 2},
    "smollm3": {"tie_word_embeddings": True},
    "granite": {"logits_scaling": 8.0, "residual_multiplier": 0.22, "embedding_multiplier": 12.0},
    "starcoder2": {"sliding_window": None},
    "gpt_neox": {"rotary_pct": 0.25},
    "gpt2": {"tie_word_embeddings": True, "n_embd": 64, "n_layer": 2, "n_head": 2, "n_positions": 2048},
    "gpt_oss": {"num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": 64},
    "mamba2": {"num_heads": 8, "head_dim": 16, "state_size": 16, "n_groups": 1, "expand": 2},
    "rwkv": {"attention_hidden_size": 64},
}
COLUMNS = ("load", "step", "LoRA", "published", "hf", "vllm")


def base_of(architecture: str, folder: Path, **changes: Any) -> Path:
    """A random base of this architecture in `folder`, as its own library saves it, with generation settings that are
    common and invalid."""
    from transformers import AutoConfig

    from posttrain.rollout.tiny import tiny_from_config

    config = AutoConfig.for_model(architecture, **SHARED | ARCHITECTURES[architecture] | changes)
    # Weights of several nats: a wrong merge, a missing soft cap or an old copy of a head shows.
    tiny_from_config(folder, config, seed=1, sharpness=2.0)
    settings = folder / "generation_config.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"do_sample": False, "temperature": 0.6}))
    return folder


def differing_keys(before: Path, after: Path) -> list[str]:
    """Keys of two config.json that are not equal."""
    old, new = (json.loads((folder / "config.json").read_text()) for folder in (before, after))
    return sorted(
        key for key in old.keys() | new.keys() if old.get(key) != new.get(key) or (key in old) != (key in new)
    )


def try_architecture(architecture: str, folder: Path, *, vllm: bool) -> dict[str, str]:
    """One row of the table: column -> gap or words."""
    row = dict.fromkeys(COLUMNS, "")
    base, published = folder / "base", folder / "published"

    def cell(column: str, look: Callable[[], str]) -> None:
        try:
            row[column] = look()
        except PosttrainError as error:
            row[column] = f"refused: {error.what}"
        except Exception as error:  # noqa: BLE001 - a row of the table, whatever a library raises
            row[column] = f"FAILED {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"

    def load() -> str:
        base_of(architecture, base)
        from posttrain.rollout.causal import load_causal

        return type(load_causal(base)).__name__

    cell("load", load)
    if not (base / "config.json").is_file():
        return row
    cell("step", lambda: _trained(base, published, "full"))
    cell("LoRA", lambda: _trained(base, folder / "lora", "all-linear"))
    if not (published / "config.json").is_file():
        return row
    cell("published", lambda: ", ".join(differing_keys(base, published)) or "config equal")
    cell("hf", lambda: engine_gap("hf", base, published))
    if vllm:
        cell("vllm", lambda: _in_a_child(base, published))
    return row


def _trained(base: Path, out: Path, targets: str) -> str:
    from posttrain.recipe.schema import Chat, Lora
    from posttrain.train.base_trial import try_training

    adapter = "full" if targets == "full" else Lora.model_validate({"rank": 4, "targets": targets})
    chat = Chat.model_validate({"template": "chatml_think", "stop": ["<|im_end|>"]})
    return f"{try_training(base, out, chat=chat, adapter=adapter, seed=3):.0e}"


def engine_gap(backend: str, base: Path, published: Path) -> str:
    """Start an engine on the base, load the published weights, hand over a model in training; sample after each."""
    from posttrain.rollout.engine import EngineOptions
    from posttrain.rollout.parity import check_parity, folder_logprobs, hand_over, probe_sequences
    from posttrain.rollout.serve import build_engine
    from posttrain.train.model import load_model
    from posttrain.types import GenerationRequest, SamplingParams

    engine = build_engine(backend, str(base), "base", EngineOptions(context_tokens=160, kv_cache_gb=0.05))
    sequences, starts = probe_sequences(base)
    gaps = [check_parity(engine, folder_logprobs(base), sequences, starts)]
    engine.load(str(published), "published")
    gaps.append(check_parity(engine, folder_logprobs(published), sequences, starts))
    request = GenerationRequest(prompt_ids=(1, 2, 3), seeds=(0, 1))
    if not all(answer.num_tokens == 8 for answer in engine.generate([request], SamplingParams(max_tokens=8))[0]):
        return "FAILED: answers of another length"
    if backend == "hf":  # under vLLM the trainer is another process
        gaps.append(hand_over(engine, load_model(base), "trained", like=published, tolerance=1e-3))
    return f"{max(gaps):.0e}" if max(gaps) < 1e-3 else f"FAILED: gaps {', '.join(f'{gap:.2g}' for gap in gaps)}"


def _in_a_child(base: Path, published: Path) -> str:
    from posttrain.errors import StageError
    from posttrain.rollout.servable import refuse_unservable

    refuse_unservable(base, "base")
    code = "from benchmarks.architectures import *; print(engine_gap('vllm', *map(Path, sys.argv[1:])))"
    command = [sys.executable, "-c", code, str(base), str(published)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = [line for line in (done.stdout if done.returncode == 0 else done.stderr).splitlines() if line.strip()]
    if done.returncode:
        raise StageError(lines[-1] if lines else f"ended with {done.returncode}")
    return lines[-1]


def main() -> None:
    """The table on standard output."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("architectures", nargs="*", metavar="ARCHITECTURE", help=f"of {', '.join(ARCHITECTURES)}")
    parser.add_argument("--without-vllm", action="store_true")
    asked = parser.parse_args()
    print("| architecture | " + " | ".join(COLUMNS) + " |")
    print("|---" * (1 + len(COLUMNS)) + "|")
    for architecture in asked.architectures or ARCHITECTURES:
        with tempfile.TemporaryDirectory(prefix="posttrain-architecture-") as folder:
            row = try_architecture(architecture, Path(folder), vllm=not asked.without_vllm)
        print(f"| {architecture} | " + " | ".join(row[column] for column in COLUMNS) + " |", flush=True)


if __name__ == "__main__":
    main()
