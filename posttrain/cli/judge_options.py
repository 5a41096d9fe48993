"""What the judge's commands share: their options on the command line, and the judge that these open.

Knows nothing of what a judge is then asked to do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from sandbox.judge import Judge

Backend = Annotated[str, typer.Option(help="auto, docker, namespaces or local.")]
MinLevel = Annotated[
    str | None, typer.Option(help="Weakest isolation accepted. Default: container, or the backend's own.")
]
AllowUnsafe = Annotated[
    bool, typer.Option("--allow-unsafe", help="Accept that programs run as you, without isolation.")
]
Image = Annotated[str | None, typer.Option(help="Docker image, by digest, instead of the one built here.")]


@dataclass(frozen=True, kw_only=True, slots=True)
class JudgeOptions:
    """Which judge a command opens. `cpu_scale`: None takes what a calibration of this host says.

    Example: JudgeOptions(backend="auto", min_level=None, allow_unsafe=False, image=None, slots=2)
    """

    backend: str
    min_level: str | None
    allow_unsafe: bool
    image: str | None
    slots: int
    cpu_scale: float | None = None

    def level_accepted(self) -> str:
        """The weakest isolation accepted: as given, or the one that goes with the backend."""
        weakest = "none" if self.allow_unsafe else "container"
        return self.min_level or {"namespaces": "namespaces", "local": "none"}.get(self.backend, weakest)


def open_judge(options: JudgeOptions) -> Judge:
    """A judge at the level asked for; says on stderr which it is. An error ends the command with its exit code."""
    from sandbox.errors import SandboxError
    from sandbox.judge import Judge
    from sandbox.types import UNSAFE_SENTENCE

    sentence = UNSAFE_SENTENCE if options.allow_unsafe else None
    try:
        judge = Judge(
            options.backend, options.level_accepted(), sentence, options.slots, options.image, options.cpu_scale
        )
    except (SandboxError, ValueError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(getattr(error, "exit_code", 2)) from error
    banner = "  UNSAFE: programs run as you, with your files and network" if judge.level == "none" else ""
    typer.echo(f"level {judge.level}, backend {judge.backend.name}, {options.slots} slots{banner}", err=True)
    return judge
