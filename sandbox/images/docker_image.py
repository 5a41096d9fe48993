"""Images for the containers of docker_backend.py: made here, found again by id. Nothing is pulled but the base that a
user names.

    interpreter   the tree of root_tree.py, loaded as an archive that holds no time and no owner: same files, same id
    debian        Debian's packages (debian.py) as a base, furnished by the Dockerfile
    dockerfile    any base with a python3, furnished by the Dockerfile

All three hold the same inside files at the same places; each container says which version it has
(contract.inside_version).
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import tarfile
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import docker.errors
import requests

from sandbox.errors import ImageError
from sandbox.images import debian, root_tree
from sandbox.inside.contract import inside_files

REPOSITORY = "posttrain-sandbox"
DEFAULT_BASE = "python:3.11-slim"
ERRORS = (docker.errors.DockerException, requests.RequestException, OSError)
_BUILD_SECONDS = 1800


def ensure_image(client: Any, wanted: str | None = None, profile: str = root_tree.PLAIN) -> str:
    """The id of an image that is there: `wanted` for every profile, or the one made of the running interpreter, loaded
    when absent."""
    try:
        if wanted is not None:
            return str(client.images.get(wanted).id)
    except docker.errors.ImageNotFound as error:
        raise ImageError(
            f"no image {wanted}", remedy="build it (posttrain sandbox build) or leave the image out"
        ) from error
    except ERRORS as error:
        raise ImageError(
            f"the image {wanted} cannot be asked for: {error}", remedy="check the daemon, then try again"
        ) from error
    root = root_tree.tree(profile)
    note = root.with_name(f"{root.name}.image")
    try:
        if note.is_file():
            with contextlib.suppress(docker.errors.ImageNotFound):
                return str(client.images.get(note.read_text().strip()).id)
    except ERRORS as error:
        raise _load_error(error) from error
    found = load(client, root)
    draft = note.with_name(f"{note.name}.{os.getpid()}")
    draft.write_text(found)
    draft.rename(note)
    return found


def load(client: Any, root: Path) -> str:
    """The id of a folder loaded as an image. Raises ImageError."""
    try:
        with tempfile.TemporaryFile() as archive:
            identity = write_archive(root, archive)
            archive.seek(0)
            client.images.load(archive)
        client.api.tag(identity, REPOSITORY, _tag(identity))  # notes the time, which loading does not
        return str(client.images.get(identity).id)
    except ERRORS as error:
        raise _load_error(error) from error


def _load_error(error: Exception) -> ImageError:
    return ImageError(f"the image could not be loaded: {error}", remedy="check the daemon's disk space, then try again")


def prune(client: Any, unused_seconds: float = 24 * 3600) -> list[str]:
    """Remove images of interpreters that no laid-out tree stands for any more, loaded longer ago than that. Returns
    their names.

    Their time of creation is 0, which tells them from images that a user has built and may name somewhere. Raises
    ImageError.
    """
    removed = []
    try:
        noted = {note.read_text().strip() for note in root_tree.cache_folder().glob("*.image")}
        for found in client.api.images(filters={"label": "posttrain.sandbox=image"}):
            if found["Created"] != 0 or found["Id"] in noted:
                continue
            loaded = datetime.fromisoformat(
                client.api.inspect_image(found["Id"])["Metadata"]["LastTagTime"][:19]
            ).replace(tzinfo=UTC)
            if datetime.now(UTC).timestamp() - loaded.timestamp() >= unused_seconds:
                with contextlib.suppress(docker.errors.APIError):  # a container or another image stands on it
                    client.images.remove(found["Id"])
                    removed.append(f"{REPOSITORY}:{_tag(found['Id'])}")
    except ERRORS as error:
        raise ImageError(f"the images cannot be listed: {error}", remedy="check the daemon, then try again") from error
    return removed


def from_debian(client: Any, suite: str = debian.SUITE, mirror: str | None = None) -> str:
    """The id of an image of Debian's own packages; no root and no container registry. Raises ImageError."""
    with tempfile.TemporaryDirectory(prefix="posttrain-debian-") as folder:
        debian.lay_out(Path(folder), suite, mirror or debian.mirror_of_apt(suite))
        base = load(client, Path(folder))
    return from_dockerfile(client, base)


def from_dockerfile(client: Any, base: str = DEFAULT_BASE) -> str:
    """The id of `base` with what a box needs; the daemon pulls a base that it does not have. Raises ImageError.

    The build sees the host's network, for pip: not every daemon has one of its own. Boxes never have any.
    """
    here, said = Path(__file__).parent, ""
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as tar:
        for name in ("Dockerfile", "prepare_image.py"):
            tar.add(here / name, arcname=name)
        for path in inside_files():
            tar.add(path, arcname=f"inside/{os.path.basename(path)}")
    context.seek(0)
    remedy = "name a base that is there and has python3: --base IMAGE"
    options = {
        "custom_context": True,
        "rm": True,
        "forcerm": True,
        "decode": True,
        "timeout": _BUILD_SECONDS,
        "network_mode": "host",
    }
    try:
        for event in client.api.build(fileobj=context, buildargs={"BASE": base}, **options):
            if "error" in event:
                raise ImageError(
                    f"{said[-600:].strip()} {event['error'].strip()}".strip(),
                    where=f"{here / 'Dockerfile'} on {base}",
                    remedy=remedy,
                )
            said += event.get("stream", "")
            if "ID" in event.get("aux", {}):
                identity = str(event["aux"]["ID"])
                client.api.tag(identity, REPOSITORY, _tag(identity))  # so that a prune of what has no name leaves it
                return identity
    except ERRORS as error:
        raise ImageError(f"the image could not be built: {error}", where=base, remedy=remedy) from error
    raise ImageError("the daemon named no image at the end of the build", where=base, remedy=remedy)


def _tag(identity: str) -> str:
    return identity.removeprefix("sha256:")[:16]


def write_archive(root: Path, archive: BinaryIO) -> str:
    """A loadable image of `root` without any clock, owner or host in it: the same tree gives the same id. Returns the
    id."""
    with tempfile.TemporaryFile() as layer:
        with tarfile.open(fileobj=layer, mode="w", format=tarfile.GNU_FORMAT) as tar:
            for path in sorted(root.rglob("*"), key=lambda path: path.relative_to(root).parts):
                entry = tar.gettarinfo(str(path), arcname=str(path.relative_to(root)))
                entry.uid = entry.gid = entry.mtime = 0
                entry.uname = entry.gname = ""
                if entry.isreg():
                    with path.open("rb") as file:
                        tar.addfile(entry, file)
                else:
                    tar.addfile(entry)
        layer.seek(0)
        diff = hashlib.file_digest(layer, "sha256").hexdigest()
        machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)
        config: dict[str, Any] = {"architecture": machine, "os": "linux", "created": "1970-01-01T00:00:00Z"}
        config["config"] = {"Labels": {"posttrain.sandbox": "image"}}
        config["rootfs"] = {"type": "layers", "diff_ids": [f"sha256:{diff}"]}
        body = json.dumps(config, sort_keys=True).encode()
        identity = hashlib.sha256(body).hexdigest()
        manifest = [
            {"Config": f"{identity}.json", "RepoTags": [f"{REPOSITORY}:{_tag(identity)}"], "Layers": ["layer.tar"]}
        ]
        with tarfile.open(fileobj=archive, mode="w") as tar:
            for name, data in ((f"{identity}.json", body), ("manifest.json", json.dumps(manifest).encode())):
                entry = tarfile.TarInfo(name)
                entry.size = len(data)
                tar.addfile(entry, io.BytesIO(data))
            entry = tarfile.TarInfo("layer.tar")
            entry.size = layer.seek(0, os.SEEK_END)
            layer.seek(0)
            tar.addfile(entry, layer)
    return f"sha256:{identity}"
