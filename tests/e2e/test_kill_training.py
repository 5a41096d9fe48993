"""Kill -9 inside real SFT and GRPO, rerun the same command at once: the published bytes are those of an undisturbed
run.

By default one run is killed twice, inside each stage, and compared once at the end, with the engine that starts at
once. `make test-long` kills one with vLLM nine times, and takes every failpoint that training passes, alone, each
followed by one rerun. All use the command line.
"""

# ruff: noqa: E501 - holds text of another language (style sheets, templates, recipes)

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.run.driving import ROOT, published

pytestmark = pytest.mark.ray

CARD = "---\nlicense: apache-2.0\npretty_name: Counting\n---\n\nNumbers and their successors.\n"
PLUGIN = '''"""A verifier that needs no model to be right: the parity of the answer's length."""

def parity(question, response, gold):
    return float(len(response) % 2)
'''
RL_STEPS = 8  # three kills in a row, and what an orphaned trainer still does after the driver's
SWEEP_STEPS = 3  # every failpoint of every step is a run and its rerun
RECIPE = f"""\
schema: 1
name: killed
seed: 3
base: {{path: base}}
chat: {{template: chatml_think, stop: ["<|im_end|>"]}}
engine: {{context_tokens: 96, kv_cache_gb: 0.05}}
verifiers:
  parity: {{kind: "parity_of_length:parity", on_truncated: judge}}
data:
  counting: {{source: jsonl, path: counting.jsonl, card: card.md}}
  questions: {{source: jsonl, path: questions.jsonl, card: card.md}}
stages:
  - {{kind: sft, name: warm, data: {{counting: 1.0}}, steps: 8, save_every: 2, batch_size: 4, micro_batch_size: 2, max_tokens: 96,
     learning_rate: 1e-3}}
  - {{kind: grpo, name: rl, prompts: questions, verifier: parity, filter: null, group: 4, prompts_per_step: 2, micro_batch_size: 4,
     steps: {RL_STEPS}, save_every: 1, max_tokens: 12, mask_truncated: false, learning_rate: 1e-3}}
evaluate: {{after: never}}
"""
SFT_POINTS = [
    "train.checkpoint.written:1",  # step 2: the Trainer's files are there, no seal
    "train.optimizer_step.after:2",  # from step 2: in the middle of step 4
    "seal.before_rename:1",  # step 4: a torn seal
    "train.checkpoint.rotating:1",  # step 8: an old checkpoint without its seal
    "publish.before_rename:1",  # all trained; the driver dies with the artefact complete under its temporary name
]
GRPO_POINTS = [
    "rollouts.rename.before:1",  # a step is sampled, its record half written
    "train.optimizer_step.after:1",
    "train.checkpoint.sealed:1",  # the Trainer has not gone on
]
TRAINING = ("train.", "seal.", "rollouts.", "stage.", "cut_rows.", "model.", "tokenizer.")


class World:
    """The recipe with everything it names, and the command that runs it into a named place."""

    def __init__(self, folder: Path, recipe: str = RECIPE) -> None:
        from posttrain.rollout.tiny import tiny_model

        self.folder = folder
        self._undisturbed: dict[str, tuple[dict[str, bytes], list[str]]] = {}
        tiny_model(folder / "base", sharpness=0.3)  # flat: answers of a group differ
        rows = [{"prompt": f"after {n}?", "completion": f"<think>{n}+1</think>{n + 1}"} for n in range(24)]
        (folder / "counting.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        (folder / "questions.jsonl").write_text(
            "".join(json.dumps({"prompt": f"after {n}?", "gold": str(n + 1)}) + "\n" for n in range(8))
        )
        (folder / "card.md").write_text(CARD)
        (folder / "parity_of_length.py").write_text(PLUGIN)
        (folder / "recipe.yaml").write_text(recipe)

    def undisturbed(self, engine: str) -> tuple[dict[str, bytes], list[str]]:
        """What a run without a kill publishes, and every failpoint hit in any of its processes."""
        if engine not in self._undisturbed:
            log = self.folder / f"hits-{engine}.txt"
            code, output = self.run(f"good-{engine}", *with_engine(engine), log=log)
            assert code == 0, output
            self._undisturbed[engine] = published(self.store(f"good-{engine}")), log.read_text().split()
        return self._undisturbed[engine]

    def start(
        self, place: str, *options: str, failpoint: str | None = None, log: Path | None = None
    ) -> subprocess.Popen[str]:
        command = [
            sys.executable,
            "-m",
            "posttrain",
            "run",
            "recipe.yaml",
            "--out",
            f"{place}/run",
            "--store",
            f"{place}/store",
            "--quiet",
            *options,
        ]
        env = {key: value for key, value in os.environ.items() if not key.startswith("POSTTRAIN_FAILPOINT")}
        env["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(self.folder)])
        env |= {"POSTTRAIN_FAILPOINT": failpoint} if failpoint else {}
        env |= {"POSTTRAIN_FAILPOINT_LOG": str(log)} if log else {}
        return subprocess.Popen(
            command, cwd=self.folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def run(self, place: str, *options: str, failpoint: str | None = None, log: Path | None = None) -> tuple[int, str]:
        process = self.start(place, *options, failpoint=failpoint, log=log)
        output, _ = process.communicate(timeout=300)
        return process.returncode, output

    def store(self, place: str) -> Path:
        return self.folder / place / "store"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("world"))


def with_engine(name: str) -> tuple[str, ...]:
    return "--set", f"engine.backend={name}"


def check_equal(found: dict[str, bytes], expected: dict[str, bytes], where: str = "") -> None:
    """The same names, the same bytes; the message names the first file that differs in the order of the stages."""
    assert found.keys() == expected.keys(), where
    differing = [name for name in expected if found[name] != expected[name]]
    lines = [
        (name, one, other)
        for name in differing
        if name.endswith("metrics.jsonl")
        for one, other in zip(found[name].splitlines(), expected[name].splitlines(), strict=False)
        if one != other
    ]
    assert not differing, f"{where}: {differing}; {lines[:1]}"


def check_once_each(files: dict[str, bytes], steps: int) -> None:
    """No metrics row and no rollout appears twice, none is missing."""
    metrics = {
        name: [json.loads(line)["step"] for line in text.splitlines()]
        for name, text in files.items()
        if name.endswith("metrics.jsonl")
    }
    assert sorted(metrics.values()) == [list(range(1, steps + 1)), list(range(1, 9))], metrics
    rollouts = {
        Path(name).name: text for name, text in files.items() if "/rollouts/" in name and not name.endswith("#files")
    }
    assert sorted(rollouts) == [f"step-{step:05d}.jsonl" for step in range(1, steps + 1)]
    for name, text in rollouts.items():
        groups = [json.loads(line) for line in text.splitlines()]
        assert len(groups) == len({group["prompt_id"] for group in groups}) == 2, name
        assert {group["policy_version"] for group in groups} == {f"rl@{int(name[5:10]) - 1}"}


def actors_below(pid: int) -> list[Any]:
    """The actors (not Ray's own daemons) that a driver started."""
    import psutil

    found = []
    for process in psutil.Process(pid).children(recursive=True):
        try:
            if "ray::_Host" in " ".join(process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


def kill_the_driver_in_rl(world: World, place: str, engine: str, delay: float) -> None:
    """Start, wait until step 1 is sampled, wait `delay` seconds more, kill -9 the driver alone: its actors must be gone
    within 5 s."""
    import psutil

    process = world.start(place, *with_engine(engine))
    began = time.monotonic()
    while not any((world.store(place) / "work").glob("grpo-*/attempt-1/rollouts/step-00001.jsonl")):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() - began < 240, "no step within four minutes"
        time.sleep(0.01)
    actors = actors_below(process.pid)
    time.sleep(delay)
    assert len([actor for actor in actors if actor.is_running()]) >= 3  # trainer, engine, scorer
    process.kill()
    assert process.wait(timeout=30) == -signal.SIGKILL
    _, alive = psutil.wait_procs(actors, timeout=5.0)
    assert alive == []
    if process.stdout:
        process.stdout.close()


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("place", "engine", "sft", "rl"),
    [
        ("two", "hf", SFT_POINTS[1:2], []),
        pytest.param("nine", "vllm", SFT_POINTS, GRPO_POINTS, marks=[pytest.mark.long, pytest.mark.vllm]),
    ],
    ids=["two", "nine"],
)
def test_killed_in_training_again_and_again_it_publishes_the_same_bytes(
    world: World, place: str, engine: str, sft: list[str], rl: list[str]
) -> None:
    """At these failpoints, and once the driver alone, from outside, in the middle of RL."""
    expected, hits = world.undisturbed(engine)
    check_once_each(expected, RL_STEPS)
    missing = {point.split(":")[0] for point in SFT_POINTS + GRPO_POINTS} - {hit.split(":")[0] for hit in hits}
    assert not missing, f"an undisturbed run never passes {missing}"
    for point in (*sft, None, *rl):
        if point is None:
            kill_the_driver_in_rl(world, place, engine, random.uniform(0.0, 0.2))
            continue
        code, output = world.run(place, *with_engine(engine), failpoint=point)
        # -9: the driver itself was hit. 1: a trainer was, and the driver says so.
        assert code == -signal.SIGKILL or (code == 1 and "died" in output), f"{point} ({code}): {output}"
        started = any((world.store(place) / "work").glob("grpo-*"))
        assert started == (point in GRPO_POINTS), f"{point} was hit in the other stage"
    code, output = world.run(place, *with_engine(engine))
    assert code == 0, output
    found = published(world.store(place))
    check_equal(found, expected)
    check_once_each(found, RL_STEPS)
    results = json.loads((world.folder / place / "run" / "results.json").read_text())
    assert {row["status"] for row in results["stages"]} <= {"ran", "resumed", "cached"}
    assert not list((world.store(place) / "work").glob("*"))


@pytest.mark.long
@pytest.mark.vllm
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("stage", ["warm", "rl"])
def test_kill_at_every_failpoint_of_training(world: World, stage: str) -> None:
    """A stage at a time: its failpoints, each in a store that holds what comes before it."""
    log, ready = world.folder / f"hits-{stage}.txt", world.folder / f"ready-{stage}"
    whole, sweep = f"whole-{stage}", f"sweep-{stage}"
    options = ("--until", stage, "--set", f"stages.rl.steps={SWEEP_STEPS}")
    ready.mkdir()
    if stage == "rl":
        code, output = world.run(ready.name, "--until", "warm")
        assert code == 0, output
    shutil.copytree(ready, world.folder / whole, symlinks=True)
    code, output = world.run(whole, *options, log=log)
    assert code == 0, output
    expected = published(world.store(whole))
    hits = set(log.read_text().split())
    points = sorted(hit for hit in hits if hit.startswith((*TRAINING, "publish.")))
    assert len(points) > 30
    for point in points:
        shutil.copytree(ready, world.folder / sweep, symlinks=True)
        code, output = world.run(sweep, *options, failpoint=point)
        assert code == -signal.SIGKILL or (code == 1 and "died" in output), f"{point} ({code}): {output}"
        code, output = world.run(sweep, *options)
        assert code == 0, f"{point}: {output}"
        found = published(world.store(sweep))
        check_equal(found, expected, point)
        if stage == "rl":
            check_once_each(found, SWEEP_STEPS)
        shutil.rmtree(world.folder / sweep)
    print(f"{stage}: killed at {len(points)} failpoints, each rerun gave the same bytes")
