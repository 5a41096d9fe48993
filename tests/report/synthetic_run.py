"""Builds a realistic run folder for the tests of the table, the report and the card: the plan of a real recipe, its
artefacts in a store, and every file written by what writes it in a run (posttrain/records, store, run/folder).

Every number comes from a seed. No model takes part: these are files as stages publish them, not a stand-in for a stage.
"""

from __future__ import annotations

import functools
import json
import math
import random
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from posttrain.data.difficulty import decide, histogram
from posttrain.plan import Plan, build_plan
from posttrain.recipe import load_recipe
from posttrain.recipe.load import dump_resolved
from posttrain.recipe.shipped import find_recipe
from posttrain.records.codec import as_json
from posttrain.records.manifest import EngineFacts, JudgeFacts, MachineFacts
from posttrain.records.metrics import (
    FILTER_SUMMARY,
    FILTER_TABLE,
    METRICS_FILE,
    DpdMetrics,
    FilterSummary,
    MetricsRow,
    PairsSummary,
    PolicyMetrics,
    RewardModelMetrics,
    SftMetrics,
)
from posttrain.records.results import ResultsFile, Status
from posttrain.records.rollouts import ROLLOUTS, AnswerRow, JudgedRow, PromptRow
from posttrain.records.run_files import RunFacts, write_run_files
from posttrain.records.scores import SCORES, Scores
from posttrain.records.step import Step
from posttrain.run.folder import link_stage, make_folders
from posttrain.store.artefacts import Store
from posttrain.store.jsonl import write_lines, write_record
from sandbox.types import Level
from tests.fake_stages import manifest_for

SUITES = ("stem", "code", "preference")
LINE = ("base", "cold_start", "general", "distil", "stem", "code", "preference")
SKILL = {  # avg@8 by checkpoint, in order of SUITES
    "base": (0.02, 0.01, 0.05),
    "cold_start": (0.22, 0.15, 0.24),
    "general": (0.38, 0.31, 0.41),
    "control": (0.41, 0.34, 0.43),
    "distil": (0.49, 0.42, 0.52),
    "stem": (0.66, 0.43, 0.53),
    "code": (0.66, 0.61, 0.54),
    "preference": (0.67, 0.61, 0.78),
    "distil.teacher": (0.81, 0.77, 0.83),
    "base.few_shot": (0.09, 0.04, 0.11),
}
REASONS = {
    "correct": "integer_equal",
    "wrong": "integer_differs",
    "timeout": "deadline_reached_twice",
    "error": "worker_lost",
}
MACHINE = MachineFacts(
    versions={"torch": "2.9.0"},
    cores=2,
    ray={"CPU": 2.0},
    engine_backend="vllm",
    engines={"policy": EngineFacts(backend="vllm", device="cpu", dtype="float32")},
    trainers=1,
    judge=JudgeFacts(level=Level.CONTAINER, images={}, image="tree:0"),
)


def build_run(
    folder: Path,
    *,
    seed: int = 0,
    steps: int = 40,
    stop_after: str | None = None,
    failed: str | None = None,
    stages: str = "{}",
) -> Path:
    """Make `folder` a whole run, with its store inside. `stop_after`: later steps are pending; `failed`: that step
    failed and nothing after it ran; `stages`: keys of the recipe's stages that are other than usual, by their usual
    names, as JSON."""
    made = Path(made_run(seed, steps, stop_after, failed, stages).name) / "run"
    shutil.copytree(made, folder, symlinks=True)
    return folder


@functools.cache
def made_run(
    seed: int, steps: int, stop_after: str | None, failed: str | None, stages: str
) -> tempfile.TemporaryDirectory[str]:
    """Such a run, made once: publishing a step waits for the disk. Gone when the tests end."""
    place = tempfile.TemporaryDirectory(prefix="synthetic-run-")
    folder = Path(place.name) / "run"
    folder.mkdir()
    rng = random.Random(seed)
    plan = plan_of(seed, stages)
    store = Store(folder / ".store")
    facts = RunFacts(
        schema=1,
        name=plan.recipe.name,
        store=str(store.root),
        recipe_dir=str(plan.recipe_dir),
        smoke=False,
        command=("posttrain", "run"),
        host="box",
        versions={},
    )
    write_run_files(folder, facts=facts, recipe_json=dump_resolved(plan.recipe), steps=plan.steps, why={})
    make_folders(folder)
    results = ResultsFile(folder, name=plan.recipe.name, steps=plan.steps, guard=lambda: None)
    for step in plan.steps:
        if step.name == failed:
            error = "StageError: 9 % of verdicts have no score, above max_fault_share 5 %"
            results.record_failure(step, seconds=12.5, error=error)
            break
        seconds = round(rng.uniform(3, 15) if step.kind == "evaluate" else rng.uniform(15, 80), 2)
        artefact, metrics = publish(store, plan, step, rng, steps, seconds)
        link_stage(folder, step, artefact)
        results.record(step, status=Status.RAN, seconds=seconds, metrics=metrics)
        if step.kind == "evaluate":
            results.add_evaluation(step, artefact)
        if step.name == stop_after:
            break
    results.save()
    return place


@functools.cache
def plan_of(seed: int, stages: str) -> Plan:
    """The demo's plan without the stages that make rows, and with a control beside its distillation."""
    recipe = yaml.safe_load(find_recipe("demo_cpu").read_text(encoding="utf-8"))
    recipe["seed"] = seed
    rows = {row["name"]: row for row in recipe["stages"]}
    rows["distil"] = rows.pop("dpd") | {"name": "distil", "from": "general"}
    rows["judge"]["from"] = "distil"
    rows["general"]["data"] = {"mixed_stem": 1.0}
    rows["control"] = rows["general"] | {"name": "control"}
    changes: dict[str, dict[str, Any]] = json.loads(stages)
    order = ("cold_start", "general", "control", "distil", "stem", "code", "judge", "preference")
    recipe["stages"] = [rows[name] | changes.get(name, {}) for name in order]
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "recipe.yaml"
        path.write_text(yaml.safe_dump(recipe, sort_keys=False), encoding="utf-8")
        return build_plan(load_recipe(path), Store(Path(place)).digests)


def publish(
    store: Store, plan: Plan, step: Step, rng: random.Random, steps: int, seconds: float
) -> tuple[Path, Mapping[str, Any]]:
    """The artefact of a step, published as the driver does; with the metrics of its manifest."""
    ids = {each.name: each.id for each in plan.steps}
    held = store.lock(step.id)
    try:
        attempt = store.begin(step.id)
        metrics = fill(attempt.output, step, rng, steps)
        manifest = manifest_for(
            step,
            inputs={role: ids[name] for role, name in step.inputs.items()},
            machine=MACHINE,
            judge_level=Level.CONTAINER if step.kind in ("grpo", "filter", "evaluate") else None,
            seconds=seconds,
            metrics=metrics,
        )
        return store.publish(attempt, as_json(manifest), held), metrics
    finally:
        held.release()


def fill(output: Path, step: Step, rng: random.Random, steps: int) -> dict[str, Any]:
    """What the stage of that kind writes; returns its headline metrics."""
    if step.kind in ("sft", "dpd", "reward_model"):
        return supervised(output, step.kind, rng, steps)
    if step.kind == "grpo":
        return grpo(output, step.name, rng, steps)
    if step.kind == "filter":
        return difficulty_filter(output, rng)
    if step.kind == "evaluate":
        return evaluation(output, step, rng)
    if step.kind == "pairs":
        pairs = PairsSummary(
            prompts=480,
            pairs=310,
            faulty_rows=0,
            teacher_pass=0.9,
            student_pass=0.3,
            generated_tokens=51200,
            pairs_by_source={"stem_prompts": 310},
        )
        return dict(as_json(pairs))
    if step.kind == "export":
        (output / "model").mkdir()
        (output / "model" / "config.json").write_text("{}")
    return {}


def supervised(output: Path, kind: str, rng: random.Random, steps: int) -> dict[str, Any]:
    rows = [supervised_row(step, steps, kind, rng) for step in range(1, steps + 1)]
    write_lines(output / METRICS_FILE, [row.as_line() for row in rows])
    common: dict[str, Any] = {"steps": steps, "trained_tokens": steps * 2048, "parameters": 800_000}
    common |= {"rows_not_seen": 0, "rows_again": 310}
    if kind == "sft":
        loss = rows[-1].values["loss"]
        return dict(as_json(SftMetrics(loss=loss, rows=steps * 16, faulty_rows=0, too_long_rows=0, **common)))
    if kind == "dpd":
        return dict(as_json(DpdMetrics(loss=rows[-1].values["loss"], pairs=310, **common)))
    return dict(as_json(RewardModelMetrics(pairs=990, faulty_rows=0, too_long_rows=0, **common)))


def supervised_row(step: int, steps: int, kind: str, rng: random.Random) -> MetricsRow:
    values = {
        "loss": 0.4 + 3.1 * math.exp(-4 * step / steps) + rng.gauss(0, 0.05),
        "grad_norm": 0.8 + rng.random() * 0.5,
        "learning_rate": 2e-3 * 0.5 * (1 + math.cos(math.pi * step / steps)),
    }
    extra = {
        "dpd": {"margin": 2.2 * step / steps + rng.gauss(0, 0.1), "kd_chosen": 0.3, "kd_rejected": 0.4},
        "reward_model": {"accuracy": 0.5 + 0.4 * step / steps},
    }
    return MetricsRow(
        step=step, values={key: round(value, 6) for key, value in {**values, **extra.get(kind, {})}.items()}
    )


def grpo(output: Path, name: str, rng: random.Random, steps: int) -> dict[str, Any]:
    rows, tokens = [], 0
    (output / ROLLOUTS).mkdir()
    for step in range(1, steps + 1):
        rate = 0.35 + 0.4 * step / steps
        prompts = [prompt(f"{name}/{step}-{p}", rate, rng) for p in range(4)]
        write_lines(output / ROLLOUTS / f"step-{step:05d}.jsonl", [as_json(row) for row in prompts])
        tokens += sum(answer.num_tokens for row in prompts for answer in row.completions)
        values = {
            "reward": round(rate + rng.gauss(0, 0.05), 6),
            "reward_std": round(0.4 + rng.gauss(0, 0.02), 6),
            "loss": round(rng.gauss(0, 0.02), 6),
            "entropy": round(0.9 - 0.5 * step / steps + rng.gauss(0, 0.03), 6),
            "completion_tokens": round(31 + 12 * step / steps + rng.gauss(0, 1), 3),
            "truncated_share": round(max(0.0, 0.05 - 0.04 * step / steps), 6),
            "grad_norm": round(0.3 + 0.2 * rng.random(), 6),
        }
        rows.append(MetricsRow(step=step, values=values))
    write_lines(output / METRICS_FILE, [row.as_line() for row in rows])
    metrics = PolicyMetrics(
        steps=steps,
        prompts=160,
        parameters=800_000,
        reward_first=rows[0].values["reward"],
        reward_last=rows[-1].values["reward"],
        fault_share=0.01,
        ended="steps",
        published_step=steps,
        truncated_share=rows[-1].values["truncated_share"],
        sync_gap=1e-6,
        entropy_last=rows[-1].values["entropy"],
        trained_tokens=tokens // 2,
        generated_tokens=tokens,
        mismatch=2e-6,
        mismatch_mean=1e-7,
        rows_not_seen=0,
        rows_again=0,
    )
    return dict(as_json(metrics))


def prompt(prompt_id: str, rate: float, rng: random.Random) -> PromptRow:
    a, b = rng.randint(10, 99), rng.randint(10, 99)
    answers = []
    for number in range(8):
        outcome = rng.choices(("correct", "wrong", "timeout", "error"), (rate, 0.97 - rate, 0.02, 0.01))[0]
        said = a + b if outcome == "correct" else a + b + rng.randint(1, 9)
        text = f"<think>{a} + {b}: tens {a // 10 + b // 10}, ones {a % 10 + b % 10}.\nSo {said}.</think>{said}"
        score = {"correct": 1.0, "error": None}.get(outcome, 0.0)
        verdict = JudgedRow(outcome=outcome, score=score, extracted=str(said), reason=REASONS[outcome], parts={})
        length = rng.randint(20, 60)
        answers.append(AnswerRow(text=text, stop_reason="stop", num_tokens=length, seed=number, verdict=verdict))
    return PromptRow(
        prompt_id=prompt_id,
        source="stem_prompts",
        prompt=f"What is {a} + {b}?",
        policy_version="stem@0",
        completions=tuple(answers),
    )


def difficulty_filter(output: Path, rng: random.Random) -> dict[str, Any]:
    decisions = []
    for i in range(240):
        chance = rng.choice((0.0, 0.2, 0.5, 0.8, 1.0)) if i % 4 else rng.choice((0.0, 0.0, 1.0))
        decisions.append(decide(f"p{i}", [rng.random() < chance for _ in range(16)], 16, 0.1, 0.9))
    kept = sum(decision.kept for decision in decisions)
    right = sum(decision.right for decision in decisions)
    summary = FilterSummary(
        prompts=240,
        kept=kept,
        kept_share=round(kept / 240, 6),
        k=16,
        answers_per_prompt=16.0,
        set_aside_for_faults=0,
        faulty_rows=0,
        histogram=tuple(histogram(decisions, 16)),
        outcomes={"correct": right, "wrong": 240 * 16 - right},
        generated_tokens=240 * 16 * 38,
    )
    write_lines(output / FILTER_TABLE, map(as_json, decisions))
    write_record(output / FILTER_SUMMARY, as_json(summary))
    return dict(as_json(summary))


def evaluation(output: Path, step: Step, rng: random.Random) -> dict[str, Any]:
    mean = SKILL.get(step.row, SKILL["general"])[SUITES.index(str(step.suite))]
    low, high = max(0.0, mean - 0.075), min(1.0, mean + 0.075)
    length = round(rng.uniform(25, 45), 2)
    scores = Scores(
        k=8,
        n=100,
        avg_at_k=mean,
        ci95=(round(low, 6), round(high, 6)),
        pass_at_k=round(min(1.0, mean * 1.3 + 0.02), 6),
        format_valid=0.12 if step.row == "base" else round(0.97 + rng.random() * 0.03, 6),
        faults=0,
        mean_tokens=length,
        truncated_share=0.01,
        generated_tokens=round(800 * length),
        outcomes={"correct": round(800 * mean), "wrong": 800 - round(800 * mean)},
    )
    write_record(output / SCORES, as_json(scores))
    return dict(as_json(scores))
