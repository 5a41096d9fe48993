"""The three-seed table: the demo's recipe with seeds 0, 1, 2, 200 other problems a suite, and three control rows.
Prints Markdown.

    python benchmarks/three_seeds.py [--out runs/seeds] [--seeds 0 1 2] [--problems 200] [--until STAGE]
        [--suites stem code preference] [--print-only]

as_collected and as_verified are general SFT on the stem rows before they were verified, and before their chains were
rebuilt; control is SFT from the checkpoint that DPD started from, on the good answers that DPD had. Each takes the same
steps, batch and learning rate as what it is held against. All runs share the store, so that a killed benchmark goes on
where it was. Differences are paired over the same problems and pooled over seeds.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from posttrain.evaluate.statistics import Key, paired_difference, problem_means
from posttrain.recipe.yaml_core import read_text
from posttrain.records.codec import from_json
from posttrain.records.reader import read_run
from posttrain.records.rollouts import SAMPLES, Sample, json_rows

ROOT = Path(__file__).resolve().parents[1]
ROWS = (
    "base", "base.few_shot", "cold_start", "as_collected", "as_verified", "general", "control", "dpd",
    "stem", "code", "preference", "dpd.teacher",
)  # fmt: skip
# held-out problems other than those that settings are chosen by; those runs have seed 7, which is none of the three
PROBLEM_SEED = 163
PAIRS = (
    ("base", "general"), ("as_collected", "general"), ("as_collected", "as_verified"), ("as_verified", "general"),
    ("general", "dpd"), ("control", "dpd"), ("dpd", "preference"), ("dpd", "stem"), ("stem", "code"),
    ("code", "preference"),
)  # fmt: skip


def recipe_text(problems: int, suites: list[str] | None = None) -> str:
    """The demo's recipe with more problems, and the control stages after those that they are held against."""
    recipe: dict[str, Any] = read_text(
        (ROOT / "recipes" / "demo_cpu.yaml").read_text(encoding="utf-8"), "demo_cpu.yaml"
    ).data
    for suite in recipe["evaluate"]["suites"].values():
        recipe["data"][suite["data"]] |= {"rows": problems, "seed": PROBLEM_SEED}
    if suites:
        recipe["evaluate"]["suites"] = {name: recipe["evaluate"]["suites"][name] for name in suites}
    recipe["data"]["good_answers"] = {"source": "stage", "stage": "dpd", "part": "chosen"}
    stages = recipe["stages"]
    for stage in stages:
        for name, file in stage.get("prompts", {}).items() if stage["kind"] == "reconstruct" else ():
            stage["prompts"][name] = str(ROOT / "recipes" / file)
    place = next(index for index, stage in enumerate(stages) if stage["name"] == "general")
    general = stages[place] | {"from": "cold_start"}
    stages[place] = general
    for name, made in (("as_verified", "stem_right"), ("as_collected", "stem_clean")):
        data = {made if source == "stem_rebuilt" else source: share for source, share in general["data"].items()}
        stages.insert(place, {**general, "name": name, "data": data})
    at = next(index for index, stage in enumerate(stages) if stage["name"] == "dpd")
    trained = stages[at]
    kept = (
        "steps",
        "epochs",
        "batch_size",
        "micro_batch_size",
        "learning_rate",
        "schedule",
        "warmup_share",
        "weight_decay",
        "max_grad_norm",
    )
    control = {key: trained[key] for key in kept if key in trained}
    before = next(stage["name"] for stage in reversed(stages[:at]) if stage["kind"] in ("sft", "dpd", "grpo"))
    control |= {
        "kind": "sft",
        "name": "control",
        "from": trained.get("from", before),
        "data": {"good_answers": 1.0},
        "max_tokens": 512,
        "packing": False,
    }
    stages.insert(at + 1, control)
    stages[at + 2].setdefault("from", "dpd")
    return yaml.safe_dump(recipe, sort_keys=False, allow_unicode=True)


def problem_scores(run: Path, seed: int) -> dict[str, dict[Key, float]]:
    """Checkpoint -> (seed, suite, problem) -> share of its samples that passed, of every evaluation of a run."""
    found: dict[str, dict[Key, float]] = {}
    for evaluation in read_run(run).evaluations:
        path = run / "stages" / evaluation.step / SAMPLES
        samples = [from_json(Sample, row, str(path)) for row in json_rows(path)]
        found.setdefault(evaluation.checkpoint, {}).update(
            {(seed, evaluation.suite, problem): mean for problem, mean in problem_means(samples).items()}
        )
    return found


def report(runs: dict[int, Path], suites: list[str]) -> str:
    """The two tables, as Markdown."""
    means: dict[str, dict[Key, float]] = {checkpoint: {} for checkpoint in ROWS}
    for seed, run in runs.items():
        for checkpoint, scores in problem_scores(run, seed).items():
            means[checkpoint] |= scores
    means = {checkpoint: found for checkpoint, found in means.items() if found}  # all of them, or those --until made
    lines = [f"| checkpoint | {' | '.join(suites)} | mean |", "|---" * (len(suites) + 2) + "|"]
    for checkpoint in means:
        per_suite = []
        for suite in suites:
            values = [value for key, value in means[checkpoint].items() if key[1] == suite]
            per_suite.append(sum(values) / len(values))
        cells = " | ".join(f"{100 * value:.1f}" for value in per_suite)
        lines.append(f"| {checkpoint} | {cells} | {100 * sum(per_suite) / len(per_suite):.1f} |")
    lines += [
        "",
        f"| difference | {' | '.join(suites)} | mean over domains | 95 % interval | each seed |",
        "|---" * (len(suites) + 4) + "|",
    ]
    for before, after in (pair for pair in PAIRS if means.keys() >= set(pair)):
        found = paired_difference(means[before], means[after])
        cells = " | ".join(f"{100 * found.per_suite[suite]:+.1f}" for suite in suites)
        low, high = found.ci95
        seeds = ", ".join(f"{100 * value:+.1f}" for value in found.per_seed.values())
        lines.append(
            f"| {before} -> {after} | {cells} | {100 * found.mean:+.1f} | [{100 * low:+.1f}, {100 * high:+.1f}] | "
            f"{seeds} |"
        )
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/seeds"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--problems", type=int, default=200)
    parser.add_argument("--until", help="End each run after this stage.")
    parser.add_argument("--suites", nargs="+", help="Only these suites.")
    parser.add_argument("--print-only", action="store_true", help="Only print the table of finished runs.")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    text = recipe_text(options.problems, options.suites)
    recipe_path = options.out / "recipe.yaml"
    recipe_path.write_text(text, encoding="utf-8")
    runs = {seed: options.out / f"seed-{seed}" for seed in options.seeds}
    if not options.print_only:
        for seed, run in runs.items():
            command = [
                sys.executable,
                "-m",
                "posttrain",
                "run",
                str(recipe_path),
                "--out",
                str(run),
                "--set",
                f"seed={seed}",
                *(["--until", options.until] if options.until else []),
            ]
            done = subprocess.run(command, cwd=Path.cwd(), check=False)
            if done.returncode != 0:
                return done.returncode
    print(report(runs, list(yaml.safe_load(text)["evaluate"]["suites"])))
    return 0


if __name__ == "__main__":
    sys.exit(main())
