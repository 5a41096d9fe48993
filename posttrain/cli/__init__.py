"""The command line: one typer app put together from the modules below, and the one place where an error becomes a
message and an exit code.

Exit codes: 0 done, 1 a stage failed (the same command continues), 2 wrong input, 69 a needed backend is missing, 75
stopped on request. No logic here, and nothing heavy: a command imports what it needs when it is called. typer takes the
options of a command from its function's parameters, so commands alone may have more than seven.
"""

from __future__ import annotations

import importlib
import importlib.util
import io
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

import typer

from posttrain import telemetry
from posttrain.setup.extras import missing_backend
from posttrain.setup.name_clash import refuse_foreign_packages
from posttrain.store.atomic import is_full_disk

# A module defines register(app), which adds its commands, or is a group: sandbox.py holds sandbox_app. Order is the
# order of --help.
MODULES = (
    "posttrain.cli.run",
    "posttrain.cli.recipe",
    "posttrain.cli.data",
    "posttrain.cli.watch",
    "posttrain.cli.rollouts",
    "posttrain.cli.store",
    "posttrain.cli.sample",
    "posttrain.cli.profile",
    "posttrain.cli.verify",
    "posttrain.cli.sandbox",
    "posttrain.cli.doctor",
)


def build_app() -> typer.Typer:
    """The app with the commands of every module that is there."""
    app = typer.Typer(
        name="posttrain",
        help="From a base checkpoint to a Thinking model, from one recipe.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    for name in MODULES:
        if importlib.util.find_spec(name) is not None:
            module, group = importlib.import_module(name), name.rpartition(".")[2]
            if hasattr(module, "register"):
                module.register(app)
            else:
                app.add_typer(getattr(module, f"{group}_app"), name=group)
    return app


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line; returns the exit code."""
    _open_streams()
    telemetry.silence_libraries()
    try:
        refuse_foreign_packages()
        if str(Path.cwd()) not in sys.path:
            sys.path.append(str(Path.cwd()))  # stages and verifiers of the user's own; last, so that they hide nothing
        build_app()(args=list(arguments) if arguments is not None else None)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # Whoever read our output has gone: there is nothing more to say, and no noise to make at exit.
        sys.stdout = None  # type: ignore[assignment]
        return 0
    except Exception as error:  # noqa: BLE001 - the last place: every error becomes a message and an exit code
        return report_error(error)
    return 0


def _open_streams() -> None:
    """Make the three streams usable, whatever started this process: open, and able to take any character."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        # A closed stream's number would go to the next file of ours, and libraries write to that number.
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 - for as long as the process lasts
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        # For an answer shown in a Latin-1 terminal, or a folder whose name is no UTF-8.
        sys.stdout.reconfigure(errors="backslashreplace")


def report_error(error: Exception) -> int:
    """Print an error on stderr and return its exit code. A bug of ours keeps its traceback."""
    if isinstance(error, ModuleNotFoundError):
        error = missing_backend(error) or error
    code = getattr(error, "exit_code", None)
    if isinstance(code, int):
        print(f"error: {telemetry.redact(str(error))}", file=sys.stderr)
        return code
    if isinstance(error, OSError):
        full = "the disk is full: " if is_full_disk(error) else ""
        remedy = (
            "\n  remedy: free space (posttrain store gc shows what nobody needs); the same command continues"
            if full
            else ""
        )
        print(f"error: {full}{telemetry.redact(str(error))}{remedy}", file=sys.stderr)
        return 1
    print(telemetry.redact("".join(traceback.format_exception(error))), file=sys.stderr, end="")
    return 1
