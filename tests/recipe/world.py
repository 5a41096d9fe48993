"""A small recipe with every stage kind and real files on disk, for the tests of recipe and plan. No model in it can be
loaded."""

# ruff: noqa: E501 - holds text of another language (style sheets, templates, recipes)

from __future__ import annotations

import json
from pathlib import Path

RECIPE = """\
schema: 1
name: small
seed: 7
base: {path: base}
chat: {think: ["<think>", "</think>"], stop: ["<|im_end|>"]}
cluster: {trainers: 1}
engine: {context_tokens: 512}
sandbox: {min_level: namespaces}
verifiers:
  math: {kind: math}
  code: {kind: code, score: all}
  taste: {kind: pairwise, model: {stage: judge}}
data:
  warmup: {source: jsonl, path: data/warmup.jsonl, card: cards/warmup.md}
  questions: {source: jsonl, path: data/questions.jsonl, card: cards/questions.md}
  programs: {source: jsonl, path: data/programs.jsonl, card: cards/questions.md}
  preferences: {source: jsonl, path: data/preferences.jsonl, card: cards/questions.md}
  good: {source: stage, stage: distil, part: chosen}
  held_out: {source: jsonl, path: data/held_out.jsonl, card: cards/questions.md}
stages:
  - {kind: sft, name: cold_start, data: {warmup: 1.0}, steps: 4, max_tokens: 256}
  - kind: dpd
    name: distil
    prompts: questions
    verifier: math
    teacher: {path: teacher}
    steps: 4
    max_tokens: 128
  - {kind: sft, name: control, from: cold_start, data: {good: 1.0}, steps: 4, max_tokens: 256}
  - {kind: grpo, name: stem, from: distil, prompts: questions, verifier: math, filter: {k: 16}, steps: 4, max_tokens: 128}
  - {kind: reward_model, name: judge, from: distil, data: {preferences: 1.0}, steps: 4, max_tokens: 256}
  - {kind: grpo, name: preference, prompts: questions, verifier: taste, filter: null, steps: 4, max_tokens: 128}
evaluate:
  k: 4
  max_tokens: 128
  few_shot: 2
  suites:
    stem: {data: held_out, verifier: math, examples: warmup}
"""

CARD = "---\nlicense: apache-2.0\npretty_name: Sums\n---\n\nSums of two numbers.\n"


def write_model(folder: Path, mark: str = "a") -> Path:
    """A folder that looks like a checkpoint: config, weights, tokenizer, chat template."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 32,
        "vocab_size": 100,
        "intermediate_size": 128,
        "tie_word_embeddings": False,
        "max_position_embeddings": 1024,
    }
    (folder / "config.json").write_text(json.dumps(config))
    header = json.dumps({"__metadata__": {"mark": mark}}).encode()
    (folder / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    (folder / "tokenizer.json").write_text("{}")
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    return folder


def write_jsonl(path: Path, rows: list[dict[str, object]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def write_world(folder: Path, text: str = RECIPE) -> Path:
    """The recipe and all that it names; returns the recipe's path."""
    write_model(folder / "base")
    write_model(folder / "teacher", mark="b")
    write_jsonl(folder / "data" / "warmup.jsonl", [{"prompt": f"{n}+1?", "completion": str(n + 1)} for n in range(8)])
    write_jsonl(folder / "data" / "questions.jsonl", [{"prompt": f"{n}+2?", "gold": str(n + 2)} for n in range(8)])
    write_jsonl(folder / "data" / "programs.jsonl", [{"prompt": "double", "gold": {"tests": []}}])
    write_jsonl(folder / "data" / "preferences.jsonl", [{"prompt": "hello", "chosen": "good day", "rejected": "eh"}])
    write_jsonl(folder / "data" / "held_out.jsonl", [{"prompt": f"{n}+3?", "gold": str(n + 3)} for n in range(8)])
    (folder / "cards").mkdir(exist_ok=True)
    (folder / "cards" / "warmup.md").write_text(CARD)
    (folder / "cards" / "questions.md").write_text(CARD)
    path = folder / "recipe.yaml"
    path.write_text(text)
    return path
