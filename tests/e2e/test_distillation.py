"""Distillation by the command: a teacher's distributions on disk survive a kill, training goes on from them alone, and
a teacher that only writes text has a tokenizer of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from posttrain.rollout.tiny import tiny_model

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [pytest.mark.ray, pytest.mark.long]
CARD = "---\nlicense: apache-2.0\npretty_name: Counting\n---\n\nNumbers and their successors.\n"
RECIPE = """\
schema: 1
name: distilled
base: {path: base}
chat: {template: chatml_think, stop: ["<|im_end|>"]}
engine: {backend: hf, context_tokens: 96}
verifiers: {math: {kind: math}}
data: {questions: {source: jsonl, path: questions.jsonl, card: card.md}}
stages:
  - kind: dpd
    name: cached
    prompts: questions
    verifier: math
    teacher: {path: teacher, cache: {top_k: 64}}
    kd_temperature: 1.5
    kd_skip: [special]
    pairs_per_prompt: 2
    steps: 2
    batch_size: 2
    micro_batch_size: 2
    max_tokens: 12
  - kind: dpd
    name: by_text
    prompts: questions
    verifier: math
    teacher: {path: stranger, gives: text}
    weights: {sequence: 1.0, chosen: 0.0, rejected: 0.0}
    negatives_from: base
    steps: 2
    batch_size: 2
    micro_batch_size: 2
    max_tokens: 12
  - kind: dpd
    name: fresh
    prompts: questions
    verifier: math
    teacher: {path: teacher}
    domains: {questions: {mode: both, kd_temperature: 2.0}}
    steps: 2
    batch_size: 2
    micro_batch_size: 2
    max_tokens: 12
evaluate: {after: never}
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    tiny_model(folder / "base", sharpness=0.3)
    tiny_model(folder / "teacher", sharpness=0.3, seed=1)
    tiny_model(folder / "stranger", sharpness=0.3, seed=2)
    tokenizer = json.loads((folder / "stranger" / "tokenizer.json").read_text())
    vocabulary = tokenizer["model"]["vocab"]
    vocabulary["0"], vocabulary["1"] = vocabulary["1"], vocabulary["0"]
    (folder / "stranger" / "tokenizer.json").write_text(json.dumps(tokenizer))
    shutil.copyfile(
        ROOT / "posttrain" / "data" / "templates" / "chatml_think.jinja", folder / "stranger" / "chat_template.jinja"
    )
    rows = [{"prompt": f"after {n}?", "gold": str(n + 1)} for n in range(6)]
    (folder / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "card.md").write_text(CARD)
    (folder / "recipe.yaml").write_text(RECIPE)
    return folder


def run(world: Path, place: str, failpoint: str | None = None) -> tuple[int, str]:
    """Under smoke, as models of random weights write no right answer."""
    command = [sys.executable, "-m", "posttrain", "run", "recipe.yaml", "--smoke", "--out", f"{place}/run"]
    env = os.environ | {"PYTHONPATH": str(ROOT)} | ({"POSTTRAIN_FAILPOINT": failpoint} if failpoint else {})
    done = subprocess.run(
        [*command, "--store", f"{place}/store"],
        cwd=world, env=env, capture_output=True, text=True, timeout=400, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def published(store: Path, kind: str) -> dict[str, bytes]:
    (folder,) = (path for path in (store / "artefacts").glob(f"{kind}-*"))
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "manifest.json"
    }


def test_a_cache_survives_a_kill_and_both_kinds_of_teacher_train(world: Path) -> None:
    code, output = run(world, "a", failpoint="teacher_cache.index.before_rename:1")
    assert code != 0, output
    artefacts = world / "a" / "store" / "artefacts"
    assert not list(artefacts.glob("dpd-*")) and list(artefacts.glob("pairs-*"))
    code, output = run(world, "a")
    assert code == 0, output
    cache = published(world / "a" / "store", "teacher_logprobs")
    assert sorted(cache) == ["cache.jsonl", "shard-00000.index.npy", "shard-00000.words"]
    assert json.loads(cache["cache.jsonl"])["temperature"] == 1.5
    assert len(list(artefacts.glob("dpd-*"))) == 3
    answers = (world / "a" / "run" / "stages" / "fresh" / "rollouts").glob("step-*.jsonl")
    assert [json.loads(file.read_text().splitlines()[0])["policy_version"] for file in sorted(answers)] == [
        "fresh@0",
        "fresh@1",
    ]
