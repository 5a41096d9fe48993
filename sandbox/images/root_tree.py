"""The root file system of a box, made from the running interpreter's own files: no registry, no root, no download.

`tree()` lays it out once in a cache folder named by its digest; bubblewrap and unshare mount it read-only, Docker
imports it as a tar. Only the interpreter, its standard library (without site-packages and tests), the shared libraries
these need, and this package's inside files are in it: no shell, no tools, nothing of the user's. The profile `science`
adds numpy, sympy and pytest, as far as they are installed here; programs that import none of them run in the smaller
`plain`. Knows nothing of backends.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.metadata
import importlib.util
import os
import re
import shutil
import struct
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

from sandbox.errors import ImageError
from sandbox.inside.contract import (
    JUDGE_FOLDER,
    MOUNT_POINTS,
    NOBODY,
    PYTHON,
    SCIENCE_MODULES,
    SITE_FOLDER,
    inside_files,
)

_COMPILE = """import os, py_compile, sys
for file in sys.argv[2:]:
    shown = os.path.join(sys.argv[1], os.path.basename(file))
    py_compile.compile(file, dfile=shown, doraise=True, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
"""
_SKIPPED = {
    "site-packages",
    "dist-packages",
    "test",
    "tests",
    "idlelib",
    "turtledemo",
    "lib2to3",
    "ensurepip",
    "tkinter",
    "__pycache__",
}
PLAIN, SCIENCE = "plain", "science"
# The modules of the profile with what they need; each is the name of a package, too.
SCIENCE_PACKAGES = (*SCIENCE_MODULES, "pluggy", "iniconfig", "packaging", "pygments")
_NEEDS_SCIENCE = re.compile(
    rf"\b(import|from)\s+(?:[\w.]+\s*,\s*)*({'|'.join(SCIENCE_MODULES)})\b|__import__|import_module"
)
_PASSWD = f"nobody:x:{NOBODY}:{NOBODY}:nobody:/tmp:/nonexistent\n"


def _python_library() -> Path:
    return Path(sysconfig.get_path("stdlib"))


def _interpreter() -> Path:
    """The real executable, below any virtual environment."""
    base = getattr(sys, "_base_executable", None) or sys.executable
    return Path(base).resolve()


def _files(root: Path) -> list[Path]:
    """Relative paths below a folder that go in, sorted."""
    found = []
    for folder, names, files in os.walk(root):
        names[:] = sorted(name for name in names if name not in _SKIPPED and not name.startswith("config-"))
        kept = [
            file
            for file in files
            if not file.endswith((".a", ".pyc", ".pyi", ".exe")) and not file.startswith("_tkinter")
        ]
        found += [Path(folder, file).relative_to(root) for file in kept]
    return sorted(found)


@functools.cache
def science_packages() -> tuple[tuple[str, str, Path], ...]:
    """(name, version, folder that holds it) of each package of the profile that is installed here."""
    found = []
    for name in SCIENCE_PACKAGES:
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        found.append((name, distribution.version, Path(str(distribution.locate_file("")))))
    return tuple(found)


def profile_of(*sources: str) -> str:
    """The profile that these texts need. Example: profile_of("import numpy as np") == "science" """
    return SCIENCE if any(_NEEDS_SCIENCE.search(source) for source in sources) else PLAIN


def digest(profile: str = PLAIN) -> str:
    """Names the tree: interpreter, library (path, size, time of change), packages, the text of the inside files and of
    this one."""
    root = _python_library()
    sha = hashlib.sha256(f"{profile} {sys.version} {_interpreter()}".encode())
    for path in _files(root):
        stat = (root / path).stat()
        sha.update(f"{path} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    for source in (*inside_files(), __file__):
        sha.update(Path(source).read_bytes())
    if profile == SCIENCE:
        sha.update(repr(science_packages()).encode())
    return sha.hexdigest()


def image_reference(given: str | None) -> str:
    """What a judge's image is recorded under: the one a user named, or the digest of this interpreter's trees, made or
    not."""
    both = f"{digest(PLAIN)} {digest(SCIENCE)}"
    return given if given is not None else f"tree:{hashlib.sha256(both.encode()).hexdigest()[:20]}"


def cache_folder() -> Path:
    """Where trees are kept. As root it must be a folder that an unprivileged user can pass through."""
    named = os.environ.get("POSTTRAIN_SANDBOX_CACHE")
    if named:
        return Path(named)
    if os.getuid() == 0:
        return Path("/var/cache/posttrain-sandbox")
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "posttrain-sandbox"


def tree(profile: str = PLAIN) -> Path:
    """The laid-out root, made when absent; published by rename, so that two makers never mix. Raises ImageError."""
    final = cache_folder() / digest(profile)
    if final.is_dir():
        with contextlib.suppress(OSError):  # another user's; its owner keeps it in use
            os.utime(final)
        return final
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix="draft-", dir=final.parent))
    except OSError as error:
        remedy = "set POSTTRAIN_SANDBOX_CACHE to a folder that can be written"
        raise ImageError(f"cannot write {final.parent}: {error}", remedy=remedy) from error
    try:
        _lay_out(draft, profile)
        for folder, _, _ in os.walk(draft):
            os.chmod(folder, 0o755)
        os.chmod(draft / "tmp", 0o1777)  # a tmpfs that Docker mounts here takes on this mode
        try:
            draft.rename(final)
        except OSError:
            if not final.is_dir():  # otherwise another process published the same tree first
                raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return final


def prune(unused_seconds: float = 24 * 3600) -> list[str]:
    """Remove trees that nobody has asked for in so long, with their notes and unfinished drafts. Returns their
    names."""
    removed = []
    current = {digest(PLAIN), digest(SCIENCE)}
    for path in sorted(cache_folder().iterdir()) if cache_folder().is_dir() else ():
        tree = path.with_suffix("")  # a note lives as long as its tree
        ours = tree.name.startswith("draft-") or re.fullmatch(r"[0-9a-f]{64}", tree.name)
        last_use = (tree if tree.exists() else path).stat().st_mtime
        if not ours or tree.name in current or time.time() - last_use < unused_seconds:
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
        removed.append(path.name)
    return removed


def _lay_out(root: Path, profile: str) -> None:
    library = _python_library()
    target = root / "opt/python/lib" / f"python{sys.version_info.major}.{sys.version_info.minor}"
    binaries = [root / f"{PYTHON[1:]}.{sys.version_info.minor}"]
    _copy(_interpreter(), binaries[0], mode=0o755)
    (root / PYTHON[1:]).symlink_to(binaries[0].name)
    for source, place in [(library, target), *(_packages(root) if profile == SCIENCE else [])]:
        for path in _files(source):
            _copy(source / path, place / path)
            if path.suffix == ".so":
                binaries.append(place / path)
            elif path.suffix == ".py":
                _copy_bytecode(source / path, place / path)
    for name in (*MOUNT_POINTS, "etc"):
        (root / name).mkdir(exist_ok=True)
    (root / "etc/passwd").write_text(_PASSWD)
    (root / "etc/group").write_text(f"nogroup:x:{NOBODY}:\n")
    (root / "usr/lib").mkdir(parents=True)
    for name in ("lib", "lib64", "usr/lib64"):
        (root / name).symlink_to("lib" if name == "usr/lib64" else "usr/lib")
    for found, name in sorted(_shared_libraries(binaries)):
        if not found.startswith(str(root)):  # a wheel's own are in it already
            _copy(Path(found), root / "usr/lib" / name, mode=0o755)
    package = root / JUDGE_FOLDER[1:] / "sandbox"
    for path in map(Path, inside_files()):
        _copy(path, package / "inside" / path.name)
    (package / "__init__.py").write_text("")
    _compile_inside(package)


def _packages(root: Path) -> list[tuple[Path, Path]]:
    """(folder here, folder inside) of what the science packages consist of; wheels carry their own shared libraries."""
    site = root / SITE_FOLDER[1:]
    names = [name for name, _, _ in science_packages()]
    for name, _, folder in science_packages():
        if name == "pytest":
            _copy(folder / "py.py", site / "py.py")  # a file of its wheel beside its packages
    folder_names = [*names, *(f"{name}.libs" for name in names), *(["_pytest"] if "pytest" in names else [])]
    folders = {folder for _, _, folder in science_packages()}
    return [
        (folder / name, site / name) for folder in sorted(folders) for name in folder_names if (folder / name).is_dir()
    ]


def _copy(source: Path, target: Path, mode: int = 0o644) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    os.chmod(target, mode)


def _copy_bytecode(source: Path, target: Path) -> None:
    """The compiled file, marked as one that is not checked against its source: times of change differ in the tree."""
    cached = Path(importlib.util.cache_from_source(str(source)))
    try:
        data = cached.read_bytes()
    except OSError:
        return
    stat = source.stat()
    current = importlib.util.MAGIC_NUMBER + struct.pack(
        "<III", 0, int(stat.st_mtime) & 0xFFFFFFFF, stat.st_size & 0xFFFFFFFF
    )
    if data[:16] != current:
        return
    unchecked = (
        importlib.util.MAGIC_NUMBER
        + (1).to_bytes(4, "little")
        + importlib.util.source_hash(source.read_bytes())
        + data[16:]
    )
    place = target.parent / "__pycache__" / cached.name
    place.parent.mkdir(exist_ok=True)
    place.write_bytes(unchecked)


def _compile_inside(package: Path) -> None:
    """Bytecode of our own files: a supervisor that compiled them itself would hand the memory that this takes on to
    every fork.

    By a fresh process, as the bytes depend a little on what the compiling one has in memory. Raises ImageError.
    """
    files = [str(package / "inside" / os.path.basename(path)) for path in inside_files()]
    command = [sys.executable, "-I", "-S", "-c", _COMPILE, f"{JUDGE_FOLDER}/sandbox/inside", *files]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ImageError(
            f"the inside files do not compile: {done.stderr.strip()[-300:]}", remedy="install this package again"
        )


def _shared_libraries(binaries: list[Path]) -> set[tuple[str, str]]:
    """(path on this machine, name inside) of every library that `binaries` load, with the loader itself."""
    if shutil.which("ldd") is None:
        raise ImageError(
            "ldd is not installed: the interpreter's libraries cannot be listed", remedy="install it (Debian: libc-bin)"
        )
    environment = {**os.environ, "LD_LIBRARY_PATH": str(_interpreter().parent.parent / "lib")}
    listed = subprocess.run(
        ["ldd", *map(str, binaries)], env=environment, capture_output=True, text=True, check=False
    ).stdout
    found = set()
    for line in listed.splitlines():
        words = line.split()
        if "=>" in words and len(words) >= 3 and words[2].startswith("/"):
            found.add((words[2], os.path.basename(words[0])))
        elif words and words[0].startswith("/") and not line.endswith(":"):
            found.add((words[0], os.path.basename(words[0])))
    if not any("ld-" in name for _, name in found):
        raise ImageError(
            "ldd named no loader for the interpreter",
            where=str(_interpreter()),
            remedy="use a dynamically linked Python",
        )
    return found
