"""Stages without torch for tests of plan, run and store: a counting loop with metrics and sealed checkpoints, and a
join of inputs.

    kind: tests.fake_stages:Counter   options: {steps: 6, save_every: 2, size: 64}
    kind: tests.fake_stages:Joiner

Counter goes on from the last good checkpoint like a trainer: metrics are cut back to it, and its bytes depend on the
seed alone. Options of the hostile kind (fail_at, sleep, fill) do what their names say.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
from pathlib import Path
from typing import Any

from posttrain.errors import Restart
from posttrain.records.codec import as_json
from posttrain.records.manifest import Manifest
from posttrain.records.scores import SCORES, Scores
from posttrain.records.step import Step
from posttrain.signals.stopping import check_wait
from posttrain.stages.protocol import StepContext
from posttrain.store.checkpoints import cut_rows, newest_good, write_sealed
from posttrain.store.failpoints import failpoint
from posttrain.store.jsonl import write_record
from posttrain.store.reference import folder_digest, model_dir, write_reference


class Counter:
    """`steps` updates of a 256-bit state, a checkpoint every `save_every`; publishes state.bin, part/blob.bin and
    metrics.jsonl."""

    VERSION = 1

    def run(self, ctx: StepContext) -> dict[str, Any]:
        options = {"steps": 6, "save_every": 2, "size": 64, "fail_at": 0, "sleep": 0.0, **_options(ctx)}
        metrics = ctx.attempt / "metrics.jsonl"
        done, state = self._resume(ctx, metrics)
        with open(metrics, "ab") as stream:
            for number in range(done + 1, options["steps"] + 1):
                if number == options["fail_at"] and not ctx.previous:
                    raise RuntimeError(f"made to fail at step {number}")
                if number == options.get("short_at") and len(ctx.previous) < options["shorts"]:
                    raise Restart("short of memory: again with less")
                pause = options["sleep"] if number > 1 else options.get("first_sleep", options["sleep"])
                if pause > 60:
                    (
                        ctx.attempt / "asleep"
                    ).touch()  # no check for a stop comes any more: whoever waits for that can see it
                time.sleep(pause)
                failpoint("counter.before_step")
                state = hashlib.sha256(state).digest()
                failpoint("counter.after_step")
                stream.write(json.dumps({"step": number, "loss": state[0] / 255}).encode() + b"\n")
                stream.flush()
                failpoint("counter.after_metrics")
                if number % options["save_every"] == 0:
                    self._save(ctx, number, state)
                    ctx.progress("count", number, options["steps"])
                    ctx.check_stop()
        (ctx.output / "state.bin").write_bytes(state)
        failpoint("counter.between_files")
        (ctx.output / "part").mkdir()
        (ctx.output / "part" / "blob.bin").write_bytes(state * (options["size"] // 32))
        cut_rows(metrics, ctx.output / "metrics.jsonl", last_step=options["steps"])
        judged = {"judge_level": options["judge_level"]} if "judge_level" in options else {}
        return {"loss": state[0] / 255, "steps": options["steps"], **judged}

    def _resume(self, ctx: StepContext, metrics: Path) -> tuple[int, bytes]:
        start = hashlib.sha256(str(ctx.seed).encode())
        for _, folder in sorted(ctx.inputs.items()):
            start.update((folder / "state.bin").read_bytes())
        good = newest_good(ctx.previous, owner=ctx.step.id)
        if good is None:
            return 0, start.digest()
        cut_rows(good.path.parent / "metrics.jsonl", metrics, last_step=good.step)
        return good.step, (good.path / "state.bin").read_bytes()

    def _save(self, ctx: StepContext, number: int, state: bytes) -> None:
        def fill(folder: Path) -> None:
            (folder / "state.bin").write_bytes(state)
            failpoint("counter.in_checkpoint")
            (folder / "more.bin").write_bytes(state * 2)

        write_sealed(ctx.attempt, step=number, owner=ctx.step.id, fill=fill)


class Joiner:
    """Publishes the hash of its inputs' state files."""

    VERSION = 1

    def run(self, ctx: StepContext) -> dict[str, Any]:
        whole = hashlib.sha256()
        for _, folder in sorted(ctx.inputs.items()):
            whole.update((folder / "state.bin").read_bytes())
        (ctx.output / "state.bin").write_bytes(whole.digest())
        return {"inputs": len(ctx.inputs)}


class Referrer:
    """Refers to a folder made elsewhere: the one the plan found, or what a hub's cache holds (`cache`)."""

    VERSION = 1

    def run(self, ctx: StepContext) -> dict[str, Any]:
        folder = Path(ctx.step.files.get("model") or ctx.step.params["cache"])
        if "model" not in ctx.step.files:
            folder.mkdir(exist_ok=True)
            (folder / "weights.bin").write_bytes(b"fetched")
        names = None if "model" in ctx.step.files else ["weights.bin"]
        write_reference(
            ctx.output, folder, digest=folder_digest(folder, names), files=names, revision=ctx.step.params.get("cache")
        )
        return {}


class Reader:
    """Publishes the weights that its input refers to."""

    VERSION = 1

    def run(self, ctx: StepContext) -> dict[str, Any]:
        (ctx.output / "state.bin").write_bytes((model_dir(ctx.inputs["checkpoint"]) / "weights.bin").read_bytes())
        return {}


class Waiter:
    """Waits for ever, as for an engine that does not come up."""

    VERSION = 1

    def run(self, ctx: StepContext) -> dict[str, Any]:
        (ctx.attempt / "asleep").touch()
        while True:
            check_wait()
            time.sleep(0.05)


class Silent:
    """Publishes a file and tells nothing of it."""

    VERSION = 1

    def run(self, ctx: StepContext) -> None:
        (ctx.output / "state.bin").write_bytes(b"silent")


class Leaver:
    """Leaves as a script does that was made into a stage."""

    VERSION = 1

    def run(self, ctx: StepContext) -> dict[str, Any]:
        raise SystemExit(0)


SOME_SCORES = Scores(
    k=8,
    n=100,
    avg_at_k=0.5,
    ci95=(0.4, 0.6),
    pass_at_k=0.8,
    format_valid=1.0,
    faults=0,
    mean_tokens=30.0,
    truncated_share=0.0,
    generated_tokens=24000,
    outcomes={"correct": 400, "wrong": 400},
)


class Scored:
    """An evaluation with fixed scores."""

    VERSION = 1

    def run(self, ctx: StepContext) -> dict[str, Any]:
        write_record(ctx.output / SCORES, as_json(SOME_SCORES))
        return {"avg_at_k": 0.5}


def _options(ctx: StepContext) -> dict[str, Any]:
    return dict(ctx.step.params.get("options", ctx.step.params))


def manifest_for(step: Step, **changes: Any) -> Manifest:
    """The manifest of a step that was published by hand, with nothing to tell but for `changes`."""
    plain = Manifest(
        step=step.name,
        kind=step.kind,
        version=step.version,
        params=step.params,
        inputs={},
        digests=step.digests,
        seed=0,
        smoke=False,
        versions={},
        machine=None,
        judge_level=None,
        command=("posttrain", "run"),
        host="box",
        started="",
        finished="",
        seconds=1.0,
        attempts=1,
        metrics={},
    )
    return dataclasses.replace(plain, **changes)
