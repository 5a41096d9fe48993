"""Builds a realistic run folder by the published formats, for the tests of the table, the report and the card.

Every number comes from a seed. No model takes part: these are files as stages publish them, not a stand-in for a stage.
"""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

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
KINDS = {
    "base": "base",
    "cold_start": "sft",
    "general": "sft",
    "control": "sft",
    "distil": "dpd",
    "stem": "grpo",
    "code": "grpo",
    "preference": "grpo",
}
REASONS = {
    "correct": "integer_equal",
    "wrong": "integer_differs",
    "timeout": "deadline_reached_twice",
    "error": "worker_lost",
}


def build_run(
    folder: Path, *, seed: int = 0, steps: int = 40, stop_after: str | None = None, failed: str | None = None
) -> Path:
    """Write a whole run. `stop_after`: later steps are pending; `failed`: that step failed and nothing after it ran."""
    rng = random.Random(seed)
    plan = _plan()
    folder.mkdir(parents=True)
    _json(folder / "recipe.json", _recipe(seed))
    _json(
        folder / "run.json",
        {
            "name": "demo-cpu",
            "machine": {"cpu": "x86_64, 2 cores", "memory_gb": 24, "gpu": None},
            "judge": {"level": "container"},
        },
    )
    stages: list[dict[str, Any]] = []
    evaluations: list[dict[str, Any]] = []
    alive = True
    for name, kind in plan:
        status = "ran" if alive and name != failed else "failed" if name == failed else "pending"
        alive = alive and name != failed
        row = {
            "name": name,
            "kind": kind,
            "id": f"{kind}-{rng.getrandbits(48):012x}",
            "status": status,
            "seconds": None,
            "metrics": {},
        }
        if status == "ran":
            row["seconds"] = round(rng.uniform(3, 15) if kind == "evaluate" else rng.uniform(15, 80), 2)
            output = folder / "stages" / name
            output.mkdir(parents=True)
            row["metrics"] = _publish(output, name, kind, rng, steps)
            _json(
                output / "manifest.json",
                {"id": row["id"], "kind": kind, "name": name, "seconds": row["seconds"], "seeds": {"run": seed}},
            )
            if kind == "evaluate":
                evaluations.append(json.loads((output / "scores.json").read_text()))
        elif status == "failed":
            row["seconds"] = 12.5
            row["metrics"] = {"error": "StageError: 9 % of verdicts have no score, above max_fault_share 5 %"}
        stages.append(row)
        alive = alive and name != stop_after
    _json(folder / "results.json", {"stages": stages, "evaluations": evaluations})
    return folder


def _plan() -> list[tuple[str, str]]:
    plan: list[tuple[str, str]] = []
    for name in ("base", "cold_start", "general", "control", "distil", "stem", "code", "judge", "preference"):
        if name == "distil":
            plan += [("distil.teacher", "base"), ("distil.pairs", "pairs")]
            plan += [(f"distil.teacher.eval.{suite}", "evaluate") for suite in SUITES]
        if KINDS.get(name) == "grpo":
            plan.append((f"{name}.filter", "filter"))
        plan.append((name, KINDS.get(name, "reward_model")))
        if name in SKILL:
            plan += [(f"{name}.eval.{suite}", "evaluate") for suite in SUITES]
        if name == "base":
            plan += [(f"base.few_shot.eval.{suite}", "evaluate") for suite in SUITES]
    return [*plan, ("export", "export")]


def _recipe(seed: int) -> dict[str, Any]:
    return {
        "schema": 1,
        "name": "demo-cpu",
        "seed": seed,
        "base": {"path": "toy", "revision": None, "toy": {"architecture": "qwen3", "hidden_size": 128, "layers": 4}},
        "chat": {"template": "chatml_think", "think": ["<think>", "</think>"], "stop": ["<|im_end|>"]},
        "sandbox": {"backend": "auto", "min_level": "container"},
        "stages": [
            {"kind": "sft", "name": "cold_start", "from": None},
            {"kind": "sft", "name": "general", "from": None},
            {"kind": "sft", "name": "control", "from": None},
            {"kind": "dpd", "name": "distil", "from": "general"},
            {"kind": "grpo", "name": "stem", "from": None},
            {"kind": "grpo", "name": "code", "from": None},
            {"kind": "reward_model", "name": "judge", "from": "distil"},
            {"kind": "grpo", "name": "preference", "from": None},
        ],
    }


def _publish(output: Path, name: str, kind: str, rng: random.Random, steps: int) -> dict[str, Any]:
    if kind in ("sft", "dpd", "reward_model"):
        rows = [_supervised_row(step, steps, kind, rng) for step in range(1, steps + 1)]
        _jsonl(output / "metrics.jsonl", rows)
        return {"loss": rows[-1]["loss"], "trained_tokens": steps * 2048}
    if kind == "grpo":
        return _grpo(output, name, rng, steps)
    if kind == "filter":
        return _filter(output, rng)
    if kind == "evaluate":
        checkpoint, suite = name.split(".eval.")
        return _evaluate(output, checkpoint, suite, rng)
    if kind == "export":
        (output / "model").mkdir()
    return {}


def _supervised_row(step: int, steps: int, kind: str, rng: random.Random) -> dict[str, Any]:
    row = {
        "step": step,
        "loss": 0.4 + 3.1 * math.exp(-4 * step / steps) + rng.gauss(0, 0.05),
        "grad_norm": 0.8 + rng.random() * 0.5,
        "learning_rate": 2e-3 * 0.5 * (1 + math.cos(math.pi * step / steps)),
    }
    extra = {
        "dpd": {"margin": 2.2 * step / steps + rng.gauss(0, 0.1), "kd_chosen": 0.3, "kd_rejected": 0.4},
        "reward_model": {"accuracy": 0.5 + 0.4 * step / steps},
    }
    return {key: round(value, 6) for key, value in {**row, **extra.get(kind, {})}.items()}


def _grpo(output: Path, name: str, rng: random.Random, steps: int) -> dict[str, Any]:
    rows, tokens = [], 0
    for step in range(1, steps + 1):
        rate = 0.35 + 0.4 * step / steps
        groups = [_group(f"{name}/{step}-{p}", rate, rng) for p in range(4)]
        _jsonl(output / "rollouts" / f"step-{step:05d}.jsonl", groups)
        tokens += sum(c["num_tokens"] for g in groups for c in g["completions"])
        rows.append(
            {
                "step": step,
                "reward": round(rate + rng.gauss(0, 0.05), 6),
                "reward_std": round(0.4 + rng.gauss(0, 0.02), 6),
                "loss": round(rng.gauss(0, 0.02), 6),
                "entropy": round(0.9 - 0.5 * step / steps + rng.gauss(0, 0.03), 6),
                "completion_tokens": round(31 + 12 * step / steps + rng.gauss(0, 1), 3),
                "truncated_share": round(max(0.0, 0.05 - 0.04 * step / steps), 6),
                "grad_norm": round(0.3 + 0.2 * rng.random(), 6),
            }
        )
    _jsonl(output / "metrics.jsonl", rows)
    return {"reward": rows[-1]["reward"], "generated_tokens": tokens}


def _group(prompt_id: str, rate: float, rng: random.Random) -> dict[str, Any]:
    a, b = rng.randint(10, 99), rng.randint(10, 99)
    completions = []
    for _ in range(8):
        outcome = rng.choices(("correct", "wrong", "timeout", "error"), (rate, 0.97 - rate, 0.02, 0.01))[0]
        answer = a + b if outcome == "correct" else a + b + rng.randint(1, 9)
        text = f"<think>{a} + {b}: tens {a // 10 + b // 10}, ones {a % 10 + b % 10}.\nSo {answer}.</think>{answer}"
        score = {"correct": 1.0, "error": None}.get(outcome, 0.0)
        verdict = {"outcome": outcome, "score": score, "extracted": str(answer), "reason": REASONS[outcome]}
        completions.append({"text": text, "stop_reason": "stop", "num_tokens": rng.randint(20, 60), "verdict": verdict})
    return {"prompt_id": prompt_id, "prompt": f"What is {a} + {b}?", "completions": completions}


def _filter(output: Path, rng: random.Random) -> dict[str, Any]:
    table = []
    for i in range(240):
        right = (
            sum(rng.random() < rng.choice((0.0, 0.2, 0.5, 0.8, 1.0)) for _ in range(16))
            if i % 4
            else rng.choice((0, 0, 16))
        )
        table.append({"id": f"p{i}", "right": right, "wrong": 16 - right, "none": 0, "kept": 2 <= right <= 14})
    kept = sum(row["kept"] for row in table)
    histogram = [sum(row["right"] == c for row in table) for c in range(17)]
    _jsonl(output / "table.jsonl", table)
    _json(
        output / "summary.json",
        {"prompts": 240, "kept": kept, "kept_share": round(kept / 240, 6), "histogram": histogram},
    )
    return {"kept_share": round(kept / 240, 6), "generated_tokens": 240 * 16 * 38}


def _evaluate(output: Path, checkpoint: str, suite: str, rng: random.Random) -> dict[str, Any]:
    mean = SKILL[checkpoint][SUITES.index(suite)]
    low, high = max(0.0, mean - 0.075), min(1.0, mean + 0.075)
    scores = {
        "checkpoint": checkpoint,
        "suite": suite,
        "k": 8,
        "n": 100,
        "avg_at_k": mean,
        "ci95": [round(low, 6), round(high, 6)],
        "pass_at_k": round(min(1.0, mean * 1.3 + 0.02), 6),
        "format_valid": 0.12 if checkpoint == "base" else round(0.97 + rng.random() * 0.03, 6),
        "faults": 0,
        "mean_tokens": round(rng.uniform(25, 45), 2),
        "truncated_share": 0.01,
    }
    _json(output / "scores.json", scores)
    return {"avg_at_k": mean}


def _json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1), encoding="utf-8")


def _jsonl(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
