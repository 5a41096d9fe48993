"""The code of stages and verifiers as digests that comments, docstrings and layout do not touch. Run it to record a
decision:

python tests/stages/code_digest.py     writes versions.json with today's code; after raising a version, or when no byte
                                       or verdict changes

A stage's files are listed here; a verifier's are found: its module, and what that imports of `rewards` and `sandbox`.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PINS = Path(__file__).with_name("versions.json")
ROWS = ("files", "hub", "columns", "turns", "question", "shapes", "pairs", "source")
ROWS_READ = tuple(f"data/{name}.py" for name in ROWS)
TOKENS = (
    *(f"data/{name}.py" for name in (*ROWS, "mix")),
    *(f"data/{name}.py" for name in ("template", "dialect", "printed", "spans", "special_tokens")),
)
SEQUENCES = (
    *(f"data/{name}.py" for name in ("encode", "token_rows", "sequences", "packing")),
    "train/tokens.py",
)
METRICS = ("records/codec.py", "records/metrics.py")
LOADED = ("rollout/causal.py", "rollout/weights.py", "train/model.py", "train/adapter.py", "train/published.py")
TILED = ("train/hidden.py", "train/losses/head.py", "train/losses/sparse.py", "train/losses/tiled.py")
PAIRED = ("stages/dpd.py", "train/pairs.py", "train/teacher.py", "train/teacher_cache.py", "train/sharding.py", *TILED)
GOLDS = tuple(sorted(f"../rewards/golds/{path.name}" for path in (ROOT / "rewards" / "golds").glob("*.py")))
FOLLOWED = (
    *("train/following.py", "train/dealing.py"),
    *("rollout/identity.py", "rollout/parity.py", "rollout/weights.py"),
)
TRAINER = (
    *(f"train/{name}.py" for name in ("trainer", "job", "attention", "finite", "sharding", "checkpoints", "trackers")),
    "stages/training.py",
    "stages/smaller.py",
    "recipe/batches.py",
    *LOADED,
    *METRICS,
    *TOKENS,
)
SAMPLING = (
    *(f"sampling/{name}.py" for name in ("job", "prompts", "correctness", "resumable", "rollout_files", "sampler")),
    "machine/scorer.py",
    "stages/sampling.py",
    "records/rollouts.py",
    *METRICS,
    *TOKENS,
    *GOLDS,
)
FACTORY = (
    *(f"factory/{name}.py" for name in ("asking", "card", "claims", "driving", "forms", "row_work", "servers")),
    *(f"factory/{name}.py" for name in ("templates", "work")),
    *("sampling/engine_model.py", "stages/rows.py", "stages/data_at_hand.py", "data/source_rows.py"),
    *("../rewards/models/endpoint.py", "../rewards/models/quoting.py", "../rewards/models/conversation.py"),
    *METRICS,
    *TOKENS,
    *GOLDS,
)
CLEAN = tuple(
    f"factory/{name}.py"
    for name in ("bounds", "clean", "contamination", "duplicates", "examine", "patterns", "texts", "card", "row_work")
)
TOY = ("toy/stem.py", "toy/code.py", "toy/style.py", "toy/tasks.py", "toy/problem.py", "toy/gym.py")
STAGE_CODE = {
    "base": (
        "stages/base.py",
        "store/reference.py",
        "train/hub.py",
        "train/toy_base.py",
        "toy/make.py",
        "toy/muon.py",
        "toy/corpus.py",
        "toy/tokenizer.py",
        *METRICS,
        *TOY,
    ),
    "fitness": ("stages/fitness.py", "train/compatibility.py", "train/base_trial.py", "recipe/sizes.py", *LOADED),
    "tokens": ("stages/tokens.py", *SEQUENCES, "train/job.py", *METRICS, *TOKENS, *TOY),
    "sft": ("stages/sft.py", "train/sft.py", "train/tokens.py", "train/new_tokens.py", "data/token_rows.py", *TRAINER),
    "pairs": ("stages/dpd.py", "sampling/pairs.py", *SAMPLING, *TOY),
    "teacher_logprobs": ("train/teacher_logprobs.py", *PAIRED, *TRAINER),
    "dpd": (
        *("train/dpd.py", "train/reference.py", "train/losses/dpd.py", "train/fresh.py", "recipe/distillation.py"),
        *FOLLOWED,
        *PAIRED,
        *TRAINER,
        *SAMPLING,
    ),
    "filter": (
        "stages/filter.py",
        "sampling/filter.py",
        "sampling/first_groups.py",
        "data/difficulty.py",
        *SAMPLING,
        *TOY,
    ),
    "reward_model": ("stages/reward_model.py", "train/reward_model.py", *TILED, *TRAINER, *TOY),
    "grpo": (
        "stages/grpo.py",
        *("train/policy.py", "train/feed.py", "train/ends.py", "train/signs.py", "sampling/first_groups.py"),
        *(f"train/{name}.py" for name in ("lengths", "signal_groups", "losses/policy", "losses/lengths")),
        *FOLLOWED,
        *TILED,
        *TRAINER,
        *SAMPLING,
    ),
    "mix": (
        *("stages/mix.py", "stages/rows.py", "data/source_rows.py", "data/mix.py", "factory/mix.py"),
        "factory/row_work.py",
        "factory/card.py",
        *ROWS_READ,
        *TOY,
    ),
    "clean": ("stages/clean.py", "stages/rows.py", "data/source_rows.py", *CLEAN, *ROWS_READ, *TOY),
    "verify": ("factory/verify.py", *FACTORY, *TOY),
    "prefer": ("factory/prefer.py", "factory/verify.py", *FACTORY, *TOY),
    "refine": ("factory/refine.py", *FACTORY, *TOY),
    "reconstruct": ("factory/reconstruct.py", "factory/leaks.py", "factory/verify.py", *FACTORY, *TOY),
    "tests": (
        *(
            f"factory/{name}.py"
            for name in ("agreed_tests", "trials", "tried_programs", "write_tests", "written_inputs")
        ),
        *("../rewards/rules/code.py", "../rewards/rules/program.py", "../sandbox/proof/audit.py"),
        "../sandbox/proof/mutants.py",
        *FACTORY,
        *TOY,
    ),
    "evaluate": (
        "stages/evaluate.py",
        "sampling/evaluate.py",
        "evaluate/statistics.py",
        "records/scores.py",
        *SAMPLING,
        *TOY,
    ),
    "gate": ("stages/gate.py", "records/gates.py", "records/scores.py"),
    "export": ("stages/export.py", "report/card.py", "recipe/cards.py"),
}
COMPOSITION = "rewards.compose"
OWN_MODULES = {"code": "rewards.rules.code", "agent": "rewards.models.agent", "pairwise": "rewards.models.pairwise"}
LENT = {
    "code": ("sandbox.judge",),
    "agent": ("sandbox.interpreter",),
}  # opened by others for the verifier, which does not import them
# reached, and yet without a say in a verdict of ours
NO_VERDICT = (
    *("rewards/plugins/plugin.py", "rewards/plugins/adapters.py"),
    *("sandbox/backends/isolation.py", "sandbox/images/debian.py", "sandbox/images/docker_image.py"),
)


def digest_of(files: Iterable[str]) -> str:
    """SHA-256 over the syntax trees of the files, docstrings removed."""
    digest = hashlib.sha256()
    for name in sorted(set(files)):
        tree = ast.parse((ROOT / name).read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            body = getattr(node, "body", None)
            first = body[0] if isinstance(body, list) and body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                body.pop(0)
        digest.update(name.encode() + ast.dump(tree).encode())
    return digest.hexdigest()


def modules_of(kind: str) -> tuple[str, ...]:
    """Where a verifier kind begins."""
    from rewards.workers.rule_table import RULES
    from sandbox.inside.contract import inside_files

    module = RULES[kind].partition(":")[0] if kind in RULES else OWN_MODULES.get(kind, COMPOSITION)
    inside = [f"sandbox.inside.{Path(path).stem}" for path in inside_files()] if kind in LENT else []
    return (module, *LENT.get(kind, ()), *inside)


def closure(modules: Iterable[str]) -> set[str]:
    """Files of the modules and of all they import of `rewards` and `sandbox`, at any depth and in any function."""
    found: set[str] = set()
    waiting = list(modules)
    while waiting:
        path = _file_of(waiting.pop())
        if path is None or path in found or path in NO_VERDICT:
            continue
        found.add(path)
        for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                waiting += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            elif isinstance(node, ast.Import):
                waiting += [alias.name for alias in node.names]
    return found


def _file_of(module: str) -> str | None:
    if module.partition(".")[0] not in ("rewards", "sandbox"):
        return None
    name = module.replace(".", "/")
    return next((path for path in (f"{name}.py", f"{name}/__init__.py") if (ROOT / path).is_file()), None)


@functools.cache
def current() -> dict[str, dict[str, object]]:
    """What is pinned: "stage sft" and "verifier math" -> version and digest of the code."""
    from posttrain.stages import STAGES
    from rewards.load import KINDS

    stages = {
        f"stage {kind}": {"version": STAGES[kind].VERSION, "digest": digest_of(f"posttrain/{name}" for name in files)}
        for kind, files in STAGE_CODE.items()
    }
    verifiers = {
        f"verifier {name}": {"version": kind.version, "digest": digest_of(closure(modules_of(name)))}
        for name, kind in KINDS.items()
    }
    return stages | verifiers


if __name__ == "__main__":
    PINS.write_text(json.dumps(current(), indent=1) + "\n", encoding="utf-8")
