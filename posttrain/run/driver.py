"""Plan -> outputs: each step is skipped, resumed or run, published, and recorded. Never knows what a step does.

    owner and lock of the run folder -> run.json, recipe.json, plan.json -> every step -> report
    a step:  cached? -> lock of the id -> attempt -> stage.run -> publish -> links -> results.json

Everything survives a kill at any point: the same command finds what is published, and a killed step's attempt with its
checkpoints. Ray, torch and vLLM start only when a step touches `ctx.machine`, or imports them itself.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import importlib
import logging
import platform
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from posttrain.errors import InputError, PosttrainError, Restart, StageError, Stopped
from posttrain.plan.seating import seats_for
from posttrain.recipe.schema import Recipe
from posttrain.records.codec import as_json
from posttrain.records.manifest import MachineFacts, Manifest, manifest_of
from posttrain.records.results import PROGRESS, Progress, ResultsFile, RunResults, Status
from posttrain.records.run_files import RunFacts, write_run_files
from posttrain.records.step import Step, derive_seed
from posttrain.run import folder as run_folder
from posttrain.setup.extras import missing_backend
from posttrain.signals.progress import Watch
from posttrain.signals.stopping import StopRequest, giving_up_waits
from posttrain.stages.protocol import StageKind, StepContext
from posttrain.store.artefacts import MANIFEST, Attempt, Store, library_versions
from posttrain.store.atomic import is_full_disk, write_json
from posttrain.store.failpoints import failpoint
from posttrain.store.housekeeping import gc_guard, register_run
from posttrain.store.lock import Lock, LockHeldError
from posttrain.store.reference import check_reference, is_reference, model_dir, note_place, read_reference
from posttrain.telemetry import Display, RedactingFormatter, redact, redact_json
from sandbox.types import Level

if TYPE_CHECKING:
    from posttrain.machine.machine import Machine

POLL_SECONDS = 0.2
PROGRESS_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class RunOptions:
    """How to run, as the command line says.

    Example: RunOptions(run_dir=Path("runs/demo"), store=Store(Path("runs/.store")), recipe_dir=Path("recipes"),
    command=("posttrain",))
    """

    run_dir: Path
    store: Store
    recipe_dir: Path
    smoke: bool = False
    partial: bool = False  # the plan leaves stages of the recipe out (--until, --from)
    take_over: bool = False
    command: tuple[str, ...] = ()
    why: Mapping[str, str] = field(default_factory=dict)  # step name -> why it runs, from the plan


class LazyMachine:
    """Stands in for the Machine until a step asks something of it: a pipeline without torch starts no Ray."""

    def __init__(self, recipe: Recipe, logs: Path, *, seats: int | None = None, shared: Sequence[Path] = ()) -> None:
        self._recipe = recipe
        self._logs = logs
        self._num_seats, self._shared = seats, shared
        self._machine: Machine | None = None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if self._machine is None:
            from posttrain.machine.machine import Machine

            self._machine = Machine(self._recipe, self._logs, seats=self._num_seats, shared=self._shared)
        return getattr(self._machine, name)

    def begin_step(self) -> None:
        """See Machine; nothing where none was needed yet."""
        if self._machine is not None:
            self._machine.begin_step()

    def facts(self) -> MachineFacts | None:
        """What the manifests say of the machine; None while no step needed one."""
        return self._machine.facts() if self._machine is not None else None

    def close(self) -> None:
        """Stop what was started."""
        if self._machine is not None:
            self._machine.close()
            self._machine = None


def run(steps: Sequence[Step], recipe: Recipe, recipe_json: str, options: RunOptions, display: Display) -> RunResults:
    """Bring every step to its published artefact; returns what results.json holds.

    Raises RunFolderError (folder of another recipe, or held), Stopped, StageError, BackendError, or the InputError a
    step found.
    """
    folder, store = options.run_dir, options.store
    started = time.monotonic()
    held = run_folder.acquire(folder, recipe.name, smoke=options.smoke, take_over=options.take_over)
    try:
        with StopRequest(folder / run_folder.STOP) as stop:
            with gc_guard(
                store,
                exclusive=False,
                waiting=_wait_round("waiting for a `store gc` at work in this store", display, stop),
            ):
                register_run(store, folder)
                facts = _run_facts(recipe, options)
                write_run_files(folder, facts=facts, recipe_json=recipe_json, steps=steps, why=options.why)
                run_folder.make_folders(folder)
                run_folder.unlink_stale(folder, steps, store.inputs_of, partial=options.partial)
            results = ResultsFile(folder, name=recipe.name, steps=steps, guard=held.check_fence)
            runner = _Runner(
                steps=steps, recipe=recipe, options=options, display=display, stop=stop, held=held, results=results
            )
            runner.run_all()
            report = _write_report(folder, steps, ran=runner.ran)
        display.finished(
            {
                "run": str(folder),
                "seconds": round(time.monotonic() - started, 3),
                "report": str(report) if report else None,
            }
        )
        return results.content
    finally:
        display.close()
        held.release()


class _Runner:
    """The loop over the steps of one run, with what all of them share."""

    def __init__(
        self,
        *,
        steps: Sequence[Step],
        recipe: Recipe,
        options: RunOptions,
        display: Display,
        stop: StopRequest,
        held: Lock,
        results: ResultsFile,
    ) -> None:
        self.steps, self.recipe, self.options, self.display = steps, recipe, options, display
        self.stop, self.held, self.results, self.store = stop, held, results, options.store
        self.folder = options.run_dir
        self.ids = {step.name: step.id for step in steps}
        self.by_name = {step.name: step for step in steps}
        self.ran = False
        self._progress_written = 0.0
        self._warned = False

    def run_all(self) -> None:
        machine = LazyMachine(
            self.recipe, self.folder / "logs", seats=seats_for(self.recipe, self.steps), shared=[self.store.root]
        )
        try:
            for number, step in enumerate(self.steps, start=1):
                self.stop.check()
                why = self.options.why.get(step.name, "")
                self.display.step_started(step.name, number, len(self.steps), why)
                self._bring(step, machine)
                failpoint("run.after_step")
        finally:
            machine.close()
            (self.folder / PROGRESS).unlink(missing_ok=True)
        self.results.save()

    def _bring(self, step: Step, machine: LazyMachine) -> None:
        """One step to its artefact, its link and its row in results.json."""
        started = time.monotonic()
        cached = self.store.is_published(step.id)
        if cached and not (self.store.work / step.id).exists():
            status = Status.CACHED
        else:
            held = self._wait_for_lock(step)
            try:
                if self.store.is_published(
                    step.id
                ):  # made by another run while this one waited, or killed right after its rename
                    self.store.clean(step.id)
                    status = Status.CACHED
                else:
                    status = self._execute(step, machine, held)
                    self.ran = True
            finally:
                held.release()
        artefact = self.store.ensure_intact(step.id) if status is Status.CACHED else self.store.path(step.id)
        if "model" in step.files:
            note_place(artefact, Path(step.files["model"]))
        manifest = manifest_of(self.store.manifest(step.id), str(artefact / MANIFEST))
        self.held.check_fence()
        run_folder.link_stage(self.folder, step, artefact)
        self.results.record(step, status=status, seconds=manifest.seconds, metrics=manifest.metrics)
        if step.kind == "evaluate":
            self.results.add_evaluation(step, artefact)
        if status is not Status.CACHED:
            self.results.save()
        self.display.step_ended(step.name, status, time.monotonic() - started, manifest.metrics)

    def _wait_for_lock(self, step: Step) -> Lock:
        """The right to build this id. While another run builds it, wait."""
        wait: Callable[[], None] | None = None
        while True:
            try:
                return self.store.lock(step.id, take_over=self.options.take_over)
            except LockHeldError as error:
                if error.holder is None or "--take-over" in (error.remedy or ""):
                    raise
                word = f"{step.name}: waiting for {error.holder.label}, which builds the same step in this store"
                wait = wait or _wait_round(word, self.display, self.stop)
                wait()

    def _execute(self, step: Step, machine: LazyMachine, held: Lock) -> Status:
        """Run the stage and publish; returns RAN or RESUMED. A failure is recorded, logged with its traceback, and
        raised in our terms."""
        started, began = _now(), time.monotonic()
        log = self.folder / "logs" / f"{step.name}.log"
        self.results.save()  # so that `posttrain status` sees what came before this step
        self._progress_written = 0.0
        self._progress(step, "started", 0, None)
        attempt = self.store.begin(step.id)
        resumed = any(any(folder.iterdir()) for folder in attempt.previous)
        try:
            with _log_to(log):
                machine.begin_step()
                context = self._context(step, machine, attempt)
                # an engine may take minutes to start
                with giving_up_waits(self.stop.stop_file), Watch(self.stop.stop_file.parent, context.progress):
                    metrics = _stage(step.kind).run(context) or {}  # one of the user's own may have nothing to tell
                failpoint("run.before_publish")
                seconds = time.monotonic() - began
                manifest = self._manifest(
                    context, attempt, as_json(metrics), machine.facts(), started=started, seconds=seconds
                )
                self.store.publish(attempt, redact_json(as_json(manifest)), held)
            self._warn_of(manifest.judge_level)
        except Stopped:
            self.store.drop_output(attempt)
            self.results.save()
            raise
        except Restart as error:  # it knows what to do otherwise, and says it to its next attempt
            self.store.drop_output(attempt)
            self.display.message(f"{step.name}: {error.what}")
            return self._execute(step, machine, held)
        except (
            Exception,
            SystemExit,
        ) as error:  # the boundary to stages, plug-ins and libraries: whatever they raise is attributed here
            self.store.drop_output(attempt)
            shown = self._failure(step, error, log, time.monotonic() - began)
            if shown is error:
                raise
            raise shown from error
        return Status.RESUMED if resumed else Status.RAN

    def _warn_of(self, level: Level | None) -> None:
        if level is Level.NONE and not self._warned:
            self.display.message(
                "UNSAFE: generated code runs as you here, with your files and network (sandbox level none)"
            )
            self._warned = True

    def _context(self, step: Step, machine: LazyMachine, attempt: Attempt) -> StepContext:
        return StepContext(
            step=step,
            recipe=self.recipe,
            recipe_dir=self.options.recipe_dir,
            inputs={role: self._input_folder(name, machine) for role, name in step.inputs.items()},
            input_steps={role: self.by_name[name] for role, name in step.inputs.items()},
            output=attempt.output,
            attempt=attempt.state,
            previous=attempt.previous,
            seed=derive_seed(self.recipe.seed, step.name),
            machine=cast("Machine", machine),
            smoke=self.options.smoke,
            progress=lambda what, done, total: self._progress(step, what, done, total),
            check_stop=self.stop.check,
            stop_file=self.stop.stop_file,
        )

    def _input_folder(self, name: str, machine: LazyMachine) -> Path:
        """The folder of an input, every byte of it hashed, and of the model that it refers to."""
        folder = self.store.open_verified(self.ids[name])
        if is_reference(folder) and not model_dir(folder).is_dir():
            self._find_again(self.by_name[name], folder, machine)
        check_reference(folder, self.stop.check)
        return folder

    def _find_again(self, step: Step, published: Path, machine: LazyMachine) -> None:
        """What a step refers to is gone, such as a snapshot from a hub's cache: run it once more for the place, not for
        the artefact."""
        self.display.message(f"{step.name}: the model is not at {model_dir(published)} any more; looking for it again")
        held = self._wait_for_lock(step)
        try:
            attempt = self.store.begin(step.id)
            _stage(step.kind).run(self._context(step, machine, attempt))
            note_place(published, Path(read_reference(attempt.output)["path"]))
        finally:
            self.store.clean(step.id)
            held.release()

    def _manifest(
        self,
        context: StepContext,
        attempt: Attempt,
        metrics: Mapping[str, Any],
        machine: MachineFacts | None,
        *,
        started: str,
        seconds: float,
    ) -> Manifest:
        step = context.step
        return Manifest(
            step=step.name,
            kind=step.kind,
            version=step.version,
            params=step.params,
            inputs={role: self.ids[name] for role, name in step.inputs.items()},
            digests=step.digests,
            seed=context.seed,
            smoke=self.options.smoke,
            versions=library_versions(),
            machine=machine,
            judge_level=_judge_level(metrics, machine),
            command=self.options.command,
            host=platform.node(),
            started=started,
            finished=_now(),
            seconds=round(seconds, 3),
            attempts=attempt.number,
            metrics=metrics,
        )

    def _failure(self, step: Step, error: Exception | SystemExit, log: Path, seconds: float) -> Exception:
        """The error to show, after the failure is on record. An error of ours keeps its class, and so its exit code."""
        shown = _attribute(step, error, log)
        self.results.record_failure(step, seconds=seconds, error=str(shown).splitlines()[0])
        try:
            with open(log, "a", encoding="utf-8") as stream:
                stream.write(redact("".join(traceback.format_exception(error))))
            self.results.save()
        except OSError as unsaved:  # the disk may still be full; the message on the terminal must not be lost over that
            self.display.message(f"{step.name}: the failure could not be recorded: {unsaved}")
        self.display.step_ended(step.name, Status.FAILED, seconds, {})
        return shown

    def _progress(self, step: Step, what: str, done: int, total: int | None) -> None:
        self.display.progress(what, done, total)
        now = time.monotonic()
        if now - self._progress_written >= PROGRESS_SECONDS:
            self._progress_written = now
            progress = Progress(step=step.name, what=what, done=done, total=total, updated=_now())
            with contextlib.suppress(OSError):  # a hint
                write_json(self.folder / PROGRESS, as_json(progress), point=None, durable=False)


def _wait_round(word: str, display: Display, stop: StopRequest) -> Callable[[], None]:
    """A function that is one round of a wait for somebody else: it says the word the first time, raises Stopped when a
    stop was asked for, and sleeps a moment."""
    said = False

    def wait() -> None:
        nonlocal said
        if not said:
            display.message(word)
            said = True
        stop.check()
        time.sleep(POLL_SECONDS)

    return wait


def _stage(kind: str) -> StageKind:
    """The stage of a kind: from the one dict of stages, or a class of the user's own given as module:Class."""
    if ":" in kind:
        module, _, name = kind.partition(":")
        try:
            return cast("StageKind", getattr(importlib.import_module(module), name)())
        except (ImportError, AttributeError) as error:
            remedy = "put the module on PYTHONPATH or into the folder the command runs in"
            raise InputError(f"the stage kind {kind} cannot be loaded: {error}", remedy=remedy) from error
    from posttrain.stages import STAGES

    return STAGES[kind]()


def _attribute(step: Step, error: Exception | SystemExit, log: Path) -> Exception:
    """An error of ours (or of rewards and sandbox) as it is; a full disk and anything else as a StageError with the
    log's place."""
    if is_full_disk(error):
        remedy = "free space (posttrain store gc shows what nobody needs); the same command continues"
        return StageError(f"{step.name}: the disk is full ({error})", where=str(log), remedy=remedy)
    if isinstance(
        error, SystemExit
    ):  # a script made into a stage; left alone, sys.exit(0) would pass for a run that is done
        return StageError(
            f"{step.name} failed: it left by sys.exit({error.code!r})",
            where=str(log),
            remedy="raise an error, or return",
        )
    if isinstance(error, PosttrainError) or hasattr(error, "exit_code"):
        return error
    if isinstance(error, ModuleNotFoundError) and (absent := missing_backend(error)):
        return absent
    what = f"{step.name} failed: {type(error).__name__}: {error}"
    return StageError(
        what, where=str(log), remedy="the log has the traceback; the same command continues from the last checkpoint"
    )


def _judge_level(metrics: Mapping[str, Any], machine: MachineFacts | None) -> Level | None:
    """Isolation at which code was judged: as a stage says that judged it by itself, else that of the machine's
    judge."""
    stated = metrics.get("judge_level")
    if stated in [str(level) for level in Level]:
        return Level(stated)
    return machine.judge.level if machine is not None and machine.judge is not None else None


def _run_facts(recipe: Recipe, options: RunOptions) -> RunFacts:
    return RunFacts(
        schema=1,
        name=recipe.name,
        store=str(options.store.root),
        recipe_dir=str(options.recipe_dir),
        smoke=options.smoke,
        command=options.command,
        host=platform.node(),
        versions=library_versions(),
    )


def _write_report(folder: Path, steps: Sequence[Step], *, ran: bool) -> Path | None:
    """report.html, where something changed since the last one. A report that fails is an error, and takes no result
    with it."""
    page, mark = folder / "report.html", folder / "report.key"
    key = hashlib.sha256("\n".join(step.id for step in steps).encode()).hexdigest()
    if not ran and page.exists() and mark.exists() and mark.read_text() == key:
        return page
    try:
        from posttrain.report.html import write_report
    except ModuleNotFoundError as error:
        if error.name != "posttrain.report.html":
            raise
        return None
    try:
        written = write_report(folder)
    except Exception as error:  # every result is published by now, and must be said to be
        what = f"the report could not be written: {type(error).__name__}: {error}"
        raise StageError(
            what, where=str(page), remedy=f"all results are kept; try again with: posttrain report {folder}"
        ) from error
    mark.write_text(key)
    return written


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")


@contextlib.contextmanager
def _log_to(path: Path) -> Iterator[None]:
    """Python's log records of everything that runs in the block go to one file, secrets taken out."""
    handler = logging.FileHandler(path, encoding="utf-8", delay=True)
    handler.setFormatter(RedactingFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
        handler.close()
