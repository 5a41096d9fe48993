"""A root file system of Debian's packages: debootstrap resolves, downloads and checks them, and only what python3 needs
is unpacked.

Nothing is configured and no package's script is run, so neither root nor a chroot is needed, and no shell or package
manager is in it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sandbox.errors import ImageError
from sandbox.inside.contract import MOUNT_POINTS, NOBODY, SCIENCE_MODULES

SUITE = "bookworm"
PACKAGES = ("python3", *(f"python3-{name}" for name in SCIENCE_MODULES))
_DEFAULT_MIRROR = "http://deb.debian.org/debian"
_TOOLS = {"debootstrap": "debootstrap", "dpkg-deb": "dpkg", "tar": "tar"}
_MERGED = ("bin", "sbin", "lib", "lib64")
_UNUSED = ("./usr/share/doc", "./usr/share/man", "./usr/share/locale", "./usr/share/perl5", "./var", "./etc/init.d")
_SECONDS = 900
# Debootstrap lies where only root looks.
SEARCHED = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Package:
    """A downloaded package. `needs` has one tuple of alternatives a dependency."""

    file: Path
    provides: tuple[str, ...]
    needs: tuple[tuple[str, ...], ...]


def lay_out(root: Path, suite: str, mirror: str) -> None:
    """Fill the empty folder `root`. Raises ImageError when a tool is missing or the packages cannot be had."""
    missing = [tool for tool in _TOOLS if shutil.which(tool, path=SEARCHED) is None]
    if missing:
        names = " ".join(_TOOLS[tool] for tool in missing)
        raise ImageError(
            f"{', '.join(missing)} not found",
            remedy=f"install it (Debian: apt-get install {names}), or build --from interpreter",
        )
    with tempfile.TemporaryDirectory(prefix="posttrain-debs-") as folder:
        packages = _download(Path(folder) / "target", suite, mirror)
        for name in _MERGED:
            (root / "usr" / name).mkdir(parents=True)
            (root / name).symlink_to(f"usr/{name}")
        for name in _names_needed(packages):
            _unpack(packages[name].file, root)
    for name in (*MOUNT_POINTS, "etc"):
        (root / name).mkdir(exist_ok=True)
    for library in ("blas/libblas.so.3", "lapack/liblapack.so.3"):  # what their packages' scripts would link
        for found in sorted((root / "usr/lib").glob(f"*/{library}")):
            (found.parent.parent / found.name).symlink_to(library)
    (root / "etc/passwd").write_text(
        f"root:x:0:0:root:/root:/bin/sh\nnobody:x:{NOBODY}:{NOBODY}:nobody:/nonexistent:/bin/sh\n"
    )
    (root / "etc/group").write_text(f"root:x:0:\nnogroup:x:{NOBODY}:\n")
    root.chmod(0o755)


def mirror_of_apt(suite: str) -> str:
    """The mirror that this machine's apt takes `suite` from; Debian's own where it has none."""
    if shutil.which("apt-get") is None:
        return _DEFAULT_MIRROR
    command = ["apt-get", "indextargets", "--format", "$(RELEASE) $(SITE)", "Created-By: Packages"]
    listed = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    return next(
        (site for release, _, site in (line.partition(" ") for line in listed.splitlines()) if release == suite),
        _DEFAULT_MIRROR,
    )


def _download(target: Path, suite: str, mirror: str) -> dict[str, Package]:
    """The packages of a minimal system with ours, by name, their signatures checked."""
    command = [
        "debootstrap",
        "--download-only",
        "--force-check-gpg",
        "--variant=minbase",
        f"--include={','.join(PACKAGES)}",
        suite,
    ]
    try:
        done = _run([*command, str(target), mirror])
    except subprocess.TimeoutExpired as error:
        raise ImageError(
            f"debootstrap did not end in {_SECONDS} s", where=mirror, remedy="name another: --mirror URL"
        ) from error
    if done.returncode:
        why = " ".join(line for line in (done.stdout + done.stderr).splitlines() if line.startswith(("E:", "W:")))
        raise ImageError(
            f"debootstrap failed: {why or done.returncode}",
            where=mirror,
            remedy="name another: --mirror URL, --suite NAME",
        )
    return dict(_read_package(file) for file in sorted((target / "var/cache/apt/archives").glob("*.deb")))


def _read_package(file: Path) -> tuple[str, Package]:
    lines = _run(
        ["dpkg-deb", "-f", str(file), "Package", "Provides", "Depends", "Pre-Depends"], check=True
    ).stdout.splitlines()
    fields = dict(line.partition(": ")[::2] for line in lines)
    needs = (*_names(fields.get("Depends", "")), *_names(fields.get("Pre-Depends", "")))
    return fields["Package"], Package(
        file=file, provides=tuple(name for name, *_ in _names(fields.get("Provides", ""))), needs=needs
    )


def _names(text: str) -> tuple[tuple[str, ...], ...]:
    """Example: _names("libc6 (>= 2.36), awk:any | mawk") == (("libc6",), ("awk", "mawk"))"""
    parts = [part.split("|") for part in text.split(",") if part.strip()]
    return tuple(tuple(re.split(r"[\s:(]", name.strip())[0] for name in part) for part in parts)


def _names_needed(packages: dict[str, Package]) -> Iterator[str]:
    """Names of our packages and all they depend on, each once."""
    providers = {alias: name for name, package in packages.items() for alias in package.provides} | {
        name: name for name in packages
    }
    waiting, seen = list(PACKAGES), set()
    while waiting:
        wanted = waiting.pop()
        if wanted not in providers:
            raise ImageError(f"no package {wanted} was downloaded", remedy="name another suite: --suite NAME")
        name = providers[wanted]
        if name not in seen:
            seen.add(name)
            waiting += [
                next((choice for choice in choices if choice in providers), choices[0])
                for choices in packages[name].needs
            ]
            yield name


def _unpack(file: Path, root: Path) -> None:
    """Its files, without what no program reads. The folders that Debian has merged into /usr stay links."""
    excluded = [f"--exclude={path}" for path in _UNUSED]
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(file)], stdout=subprocess.PIPE) as packed:
        tar = [
            "tar",
            "-x",
            "-C",
            str(root),
            "--keep-directory-symlink",
            "--no-same-owner",
            "--no-same-permissions",
            *excluded,
        ]
        done = subprocess.run(tar, stdin=packed.stdout, capture_output=True, text=True, check=False)
    if done.returncode or packed.returncode:
        raise ImageError(
            f"{file.name} could not be unpacked: {done.stderr.strip()}", remedy="check the disk space, then try again"
        )


def _run(command: list[str], check: bool = False) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PATH": SEARCHED, "LC_ALL": "C"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=check, timeout=_SECONDS)
