"""Which terms of the distillation, which divergence, whose answers? The demo's `dpd` stage on the toy, one factor at a
time, beside published relatives; and RL from its checkpoint beside RL from the one that it started from. Prints
Markdown.

    python benchmarks/dpd_ablation.py [--out runs/ablation] [--seeds 0 1 2] [--rows default no_dpo ...]
        [--domains stem code preference] [--problems 100] [--print-only]

Every row is a run of its own by the same command as any recipe. All share one store below --out, and with it base, SFT,
teacher and pairs of a seed: a row costs its distillation and its evaluation, and a killed benchmark goes on where it
was. Differences are paired over the same problems and pooled over seeds.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from benchmarks.three_seeds import PROBLEM_SEED, problem_scores
from posttrain.evaluate.statistics import Difference, Key, paired_difference
from posttrain.recipe.yaml_core import read_text

ROOT = Path(__file__).resolve().parents[1]
DEFAULT = "default"
DOMAINS = ("stem", "code", "preference")
SFT_DATA = ("long_stem", "long_code", "mixed_stem", "mixed_code", "mixed_preference")
RL = {"filter": None, "prompts": "rl_stem_prompts", "prompts_per_step": 8, "steps": 12, "early_stop": {}}


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A run. change: keys of the dpd stage that are not the demo's, None where there is no such stage; rl: whether GRPO
    on stem follows.

    Example: Row(says="no DPO: KL on both answers", weights={"sequence": 0.0})
    """

    says: str
    change: Mapping[str, Any] | None = field(default_factory=dict)
    weights: Mapping[str, float] = field(default_factory=dict)
    rl: bool = False


NO_KL = {"chosen": 0.0, "rejected": 0.0}
ROWS = {
    "sft": Row(says="the checkpoint that all others start from", change=None),
    DEFAULT: Row(says="the demo's: forward KL on both answers of the pairs, DPO"),
    # terms
    "no_dpo": Row(says="without DPO: KL on both answers", weights={"sequence": 0.0}),
    "no_good": Row(says="without KL on the good answers", weights={"chosen": 0.0}),
    "no_bad": Row(says="without KL on the bad answers", weights={"rejected": 0.0}),
    "even": Row(says="the schema's weights and beta: 1, 1, 1, 0.1", weights={"sequence": 1.0, "chosen": 1.0,
                "rejected": 1.0}, change={"beta": 0.1}),
    # divergence
    "reverse_kl": Row(says="reverse KL", change={"divergence": "reverse_kl"}),
    "jsd": Row(says="JSD, beta 0.5", change={"divergence": "jsd"}),
    # whose answers
    "on_policy": Row(says="KL on the student's fresh answers, DPO on the pairs", change={"mode": "on_policy"}),
    "both": Row(says="KL on the pairs and on fresh answers, DPO", change={"mode": "both"}),
    "by_domain": Row(says="stem and code on-policy, preference off-policy", change={"domains": {
                     "stem_prompts": {"mode": "on_policy"}, "code_prompts": {"mode": "on_policy"}}}),
    # published relatives
    "plain_dpo": Row(says="plain DPO", weights=NO_KL),
    "plain_kd": Row(says="plain KD: KL on the good answers alone", weights={"sequence": 0.0, "rejected": 0.0}),
    "on_policy_kd": Row(says="on-policy KD: KL on fresh answers alone", weights={"sequence": 0.0},
                        change={"mode": "on_policy"}),
    # what RL makes of it
    "sft_rl": Row(says="GRPO on stem from sft", change=None, rl=True),
    "dpd_rl": Row(says="the same from default", rl=True),
}  # fmt: skip
RL_PAIRS = (("sft", "sft_rl"), (DEFAULT, "dpd_rl"), ("sft_rl", "dpd_rl"))


def recipe_of(row: Row, domains: Sequence[str], problems: int) -> dict[str, Any]:
    """The demo's recipe with the stages that the row takes: SFT on rows as they are, the dpd stage, GRPO on stem."""
    demo: dict[str, Any] = read_text((ROOT / "recipes" / "demo_cpu.yaml").read_text("utf-8"), "demo_cpu.yaml").data
    stages = {stage["name"]: stage for stage in demo["stages"]}
    general = stages["general"] | {"data": {"mixed_stem": 0.3, "mixed_code": 0.3, "mixed_preference": 0.4}}
    chosen = [stages["cold_start"], general]
    used = {*SFT_DATA, *(demo["evaluate"]["suites"][name]["data"] for name in domains)}
    if row.change is not None:
        prompts = [f"{name}_prompts" for name in domains]
        own = dict(row.change)
        if "domains" in own:
            own["domains"] = {name: keys for name, keys in own["domains"].items() if name in prompts}
        dpd = stages["dpd"] | own
        dpd["prompts"] = dict.fromkeys(prompts, 1.0)
        dpd["verifier"] = {name: dpd["verifier"][name] for name in prompts}
        dpd["weights"] = stages["dpd"]["weights"] | dict(row.weights)
        chosen.append(dpd)
        used |= set(prompts)
    if row.rl:
        chosen.append(stages["stem"] | RL)
        used.add("rl_stem_prompts")
    suites = {name: demo["evaluate"]["suites"][name] for name in domains}
    data = {name: demo["data"][name] for name in sorted(used)}
    for suite in suites.values():
        data[suite["data"]] |= {"rows": problems, "seed": PROBLEM_SEED}
    return demo | {
        "name": "ablation",
        "verifiers": {name: spec for name, spec in demo["verifiers"].items() if name != "taste"},
        "data": data,
        "stages": chosen,
        "evaluate": demo["evaluate"] | {"after": "last", "teacher": False, "few_shot": 0, "suites": suites},
    }


def run(out: Path, name: str, seed: int, recipe: Mapping[str, Any]) -> int:
    """Run a row, or go on with it. Returns the exit code."""
    path = out / f"{name}.yaml"
    path.write_text(yaml.safe_dump(dict(recipe), sort_keys=False), encoding="utf-8")
    command = [sys.executable, "-m", "posttrain", "run", str(path), "--quiet", "--set", f"seed={seed}"]
    place = ["--out", str(run_folder(out, name, seed)), "--store", str(out / "store")]
    return subprocess.run([*command, *place], check=False).returncode


def run_folder(out: Path, name: str, seed: int) -> Path:
    return out / f"seed-{seed}" / name


def finished(out: Path, rows: Sequence[str], seeds: Sequence[int]) -> dict[str, dict[Key, float]]:
    """Row -> share of right samples by (seed, suite, problem), of rows that are there for every seed."""
    found: dict[str, dict[Key, float]] = {}
    for name in rows:
        folders = {seed: run_folder(out, name, seed) for seed in seeds}
        if not all((folder / "results.json").is_file() for folder in folders.values()):
            continue
        each = [problem_scores(folder, seed) for seed, folder in folders.items()]
        if all(len(scores) == 1 for scores in each):  # of one checkpoint, the last
            found[name] = {key: value for scores in each for one in scores.values() for key, value in one.items()}
    return found


def told(difference: Difference) -> str:
    low, high = difference.ci95
    mark = " *" if difference.excludes_zero else ""
    seeds = ", ".join(f"{100 * value:+.1f}" for value in difference.per_seed.values())
    return f"{100 * difference.mean:+.1f}{mark} | [{100 * low:+.1f}, {100 * high:+.1f}] | {seeds}"


def report(scores: Mapping[str, Mapping[Key, float]], suites: Sequence[str]) -> str:
    """The tables, as Markdown. A star: the interval excludes 0."""
    columns = [*suites, "mean", "to the default", "95 % interval", "each seed"]
    lines = [f"| row | what it is | {' | '.join(columns)} |", "|---" * (len(columns) + 2) + "|"]
    for name, found in scores.items():
        means = []
        for suite in suites:
            values = [value for key, value in found.items() if key[1] == suite]
            means.append(sum(values) / len(values))
        cells = [f"{100 * value:.1f}" for value in (*means, sum(means) / len(means))]
        other = DEFAULT in scores and name != DEFAULT
        held = told(paired_difference(scores[DEFAULT], found)) if other else " | | "
        lines.append(f"| {name} | {ROWS[name].says} | {' | '.join(cells)} | {held} |")
    pairs = [pair for pair in RL_PAIRS if scores.keys() >= set(pair)]
    if pairs:
        head = ["mean over domains", "95 % interval", "each seed"]
        lines += ["", f"| difference | {' | '.join([*suites, *head])} |", "|---" * (len(suites) + 4) + "|"]
    for before, after in pairs:
        found_difference = paired_difference(scores[before], scores[after])
        cells = [f"{100 * found_difference.per_suite[suite]:+.1f}" for suite in suites]
        lines.append(f"| {before} -> {after} | {' | '.join(cells)} | {told(found_difference)} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/ablation"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS), metavar="ROW")
    parser.add_argument("--domains", nargs="+", choices=DOMAINS, default=list(DOMAINS))
    parser.add_argument("--problems", type=int, default=100)
    parser.add_argument("--print-only", action="store_true", help="Only print the tables of finished rows.")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for seed in [] if options.print_only else options.seeds:
        for name in options.rows:
            code = run(options.out, name, seed, recipe_of(ROWS[name], options.domains, options.problems))
            if code != 0:
                print(f"row {name} of seed {seed} ended with {code}; the same command goes on", file=sys.stderr)
                return code
    print(report(finished(options.out, list(ROWS), options.seeds), options.domains))
    return 0


if __name__ == "__main__":
    sys.exit(main())
