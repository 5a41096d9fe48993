"""What isolation this machine offers, by trying: each backend starts a real box, which answers, or says why not and
what would help.

Also where a backend is chosen. Never a weaker one than asked for, and the plain subprocess only on the explicit
sentence.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass

from sandbox.backends.box import Backend, Box
from sandbox.errors import LevelError, SandboxError
from sandbox.types import UNSAFE_SENTENCE, Level

_NAMESPACES_REMEDY = (
    "install bubblewrap (Debian: apt-get install bubblewrap) and allow user namespaces "
    "(sysctl kernel.unprivileged_userns_clone=1; Ubuntu 24.04: sysctl kernel.apparmor_restrict_unprivileged_userns=0)"
)
_DOCKER_REMEDY = (
    "install Docker (Debian: apt-get install docker.io), start its daemon, and let this user reach its socket"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Availability:
    """One backend here. Example: Availability(level=Level.NAMESPACES, backend="namespaces", available=True, why_not="",
    remedy="")"""

    level: Level
    backend: str
    available: bool
    why_not: str = ""
    remedy: str = ""


def _namespace_backend(image: str | None) -> Backend:
    from sandbox.backends.namespace_backend import NamespaceBackend

    if shutil.which("bwrap") is None and shutil.which("unshare") is None:
        raise LevelError("neither bwrap nor unshare is installed", remedy=_NAMESPACES_REMEDY)
    return NamespaceBackend()


def _docker_backend_maker(runtime: str) -> Callable[[str | None], Backend]:
    def make(image: str | None) -> Backend:
        try:
            from sandbox.backends.docker_backend import DockerBackend
        except ImportError as error:
            raise LevelError(f"the docker SDK is not installed: {error}", remedy="pip install docker") from error
        return DockerBackend(runtime=runtime, image=image)

    return make


def _local_backend(image: str | None) -> Backend:
    from sandbox.backends.local_backend import LocalBackend

    return LocalBackend()


@dataclass(frozen=True, kw_only=True, slots=True)
class BackendKind:
    """A level with the backend that reaches it. `remedy` is what helps where it does not work and says nothing itself.

    Example: BackendKind(level=Level.NONE, name="local", make=_local_backend, remedy="...")
    """

    level: Level
    name: str
    make: Callable[[str | None], Backend]
    remedy: str


# Strongest first: the order in which `auto` looks.
_KINDS = (
    BackendKind(
        level=Level.KERNEL,
        name="docker",
        make=_docker_backend_maker("runsc"),
        remedy=f"{_DOCKER_REMEDY}, and register gVisor's runsc as a runtime",
    ),
    BackendKind(level=Level.CONTAINER, name="docker", make=_docker_backend_maker("runc"), remedy=_DOCKER_REMEDY),
    BackendKind(level=Level.NAMESPACES, name="namespaces", make=_namespace_backend, remedy=_NAMESPACES_REMEDY),
    BackendKind(level=Level.NONE, name="local", make=_local_backend, remedy=f'set allow_unsafe: "{UNSAFE_SENTENCE}"'),
)


def levels() -> list[Availability]:
    """One row a backend, strongest first. Starts and ends a real box for each that can be."""
    rows = []
    for kind in _KINDS:
        why = remedy = ""
        try:
            _backend_that_answers(kind, None).close()
        except SandboxError as error:
            why, remedy = error.what, error.remedy or kind.remedy
        rows.append(Availability(level=kind.level, backend=kind.name, available=not why, why_not=why, remedy=remedy))
    return rows


def choose_backend(backend: str, min_level: str, allow_unsafe: str | None, image: str | None = None) -> Backend:
    """The strongest backend that works and is at least `min_level`. Raises LevelError naming what is missing, and
    ValueError."""
    wanted = Level(min_level)
    if backend not in ("auto", "docker", "namespaces", "local"):
        raise ValueError(f"backend must be auto, docker, namespaces or local, not {backend!r}")
    if image and backend not in ("auto", "docker"):
        raise ValueError(f"an image needs the backend docker, not {backend}")
    unsafe = allow_unsafe == UNSAFE_SENTENCE
    if backend == "local" and not (unsafe and wanted is Level.NONE):
        raise LevelError(
            "the backend local isolates nothing",
            where="sandbox",
            remedy=f'min_level: none and allow_unsafe: "{UNSAFE_SENTENCE}"',
        )
    reasons, remedies = [], []
    for kind in _KINDS:
        if (
            kind.level < wanted
            or backend not in ("auto", kind.name)
            or (kind.name == "local" and not unsafe)
            or (image and kind.name != "docker")
        ):
            continue
        try:
            return _backend_that_answers(kind, image)
        except SandboxError as error:
            reasons.append(f"{kind.level} ({kind.name}): {error.what}")
            remedies.append(error.remedy or kind.remedy)
    if not reasons:
        reasons, remedies = [f"backend {backend} cannot reach it"], ["choose another backend, or a lower min_level"]
    raise LevelError(f"level {wanted} cannot be had here. " + "; ".join(reasons), where="sandbox", remedy=remedies[-1])


def _backend_that_answers(kind: BackendKind, image: str | None) -> Backend:
    made = kind.make(image)
    try:
        box = Box(made.start(0, "candidate"))
        box.ping()
        box.close()
    except SandboxError:
        made.close()
        raise
    return made
