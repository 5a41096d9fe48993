"""What `report_to` names gets the rows of metrics.jsonl while a stage trains: TensorBoard, W&B, MLflow or Trackio,
through transformers' own callbacks.

They are given the metrics, the Trainer's arguments and the model's config: no recipe, no prompt, no answer, no
environment. W&B is kept from reading the command line, code, git and the console; MLflow adds the user and
the path of the program, Trackio how busy the machine is. TensorBoard's files lie in
RUN/trackers/<step>; the others find their server, key and mode as they always do (WANDB_API_KEY, WANDB_MODE,
MLFLOW_TRACKING_URI, ...).
"""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Iterator
from typing import Any

from posttrain.machine.ranks import is_first_rank
from posttrain.recipe.trackers import refuse_missing
from posttrain.train.job import Job

_SILENT = {
    "WANDB_X_DISABLE_META": "true",
    "WANDB_CONSOLE": "off",
    "WANDB_DISABLE_CODE": "true",
    "WANDB_DISABLE_GIT": "true",
    "WANDB_SILENT": "true",
}


@contextlib.contextmanager
def tracked(trainer: Any, job: Job) -> Iterator[None]:
    """While open, the trackers follow the trainer; its callbacks so far come before theirs. One run a step of the plan,
    which a resumed one continues where the tracker can. Raises BackendError: a library is missing."""
    if not job.report_to or not is_first_rank():
        yield
        return
    from transformers.integrations.integration_utils import get_reporting_integration_callbacks

    refuse_missing(job.report_to)
    project = job.stop_file.parent.name
    trainer.args.run_name, trainer.args.project = job.step_name, project
    with _environment(job, project):
        if "wandb" in job.report_to:
            _begin_wandb(job)
        for callback in get_reporting_integration_callbacks(list(job.report_to)):
            trainer.add_callback(callback)
        try:
            yield
        except BaseException:
            _end_runs(job, ended="FAILED")
            raise
        else:
            _end_runs(job, ended="FINISHED")


def _end_runs(job: Job, *, ended: str) -> None:
    """A worker outlives its stage: the next one is a run of its own. Callbacks end theirs only where training does, and
    a second end is an error to some."""
    if "wandb" in job.report_to:
        importlib.import_module("wandb").finish()
    if "mlflow" in job.report_to and (mlflow := importlib.import_module("mlflow")).active_run() is not None:
        mlflow.end_run(ended)
    if "trackio" in job.report_to:
        trackio = importlib.import_module("trackio")
        if trackio.context_vars.current_run.get() is not None:
            trackio.finish()


def _begin_wandb(job: Job) -> None:
    """W&B reads its environment once a process, and a worker trains several stages."""
    off = os.environ.get("WANDB_DISABLED", "").lower() in ("1", "true")  # W&B itself no longer reads it
    importlib.import_module("wandb").init(
        project=os.environ["WANDB_PROJECT"],
        name=job.step_name,
        id=job.owner,
        resume="allow",
        mode="disabled" if off else os.environ.get("WANDB_MODE"),
    )


@contextlib.contextmanager
def _environment(job: Job, project: str) -> Iterator[None]:
    """How the callbacks are told where to write; what the user has set stays."""
    before = dict(os.environ)
    os.environ["TENSORBOARD_LOGGING_DIR"] = str(job.stop_file.parent / "trackers" / job.step_name)
    for name, value in {"WANDB_PROJECT": project, "MLFLOW_EXPERIMENT_NAME": project, **_SILENT}.items():
        os.environ.setdefault(name, value)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
