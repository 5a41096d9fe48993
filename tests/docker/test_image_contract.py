"""What every image of the judge must do, however it was made: the running interpreter, Debian's packages, the
Dockerfile."""

from __future__ import annotations

import contextlib
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.backends.docker_backend import connect
from sandbox.errors import ImageError, LevelError
from sandbox.images import debian, root_tree
from sandbox.images.docker_image import ensure_image, from_debian, from_dockerfile, load
from sandbox.judge import Judge
from sandbox.program_json import parse_program
from tests.sandbox.worlds import HONEST, ISOLATED_ATTACKS, check, script

pytestmark = pytest.mark.docker

SCIENCE = {
    "numpy": script("import numpy as np\nprint(int(np.arange(6).reshape(2, 3).T.dot([1, 2]).sum()))", "", "27"),
    "linear_algebra": script("import numpy as np\nprint(round(float(np.linalg.det(np.eye(3) * 2)), 6))", "", "8.0"),
    "sympy": script("import sympy\nprint(sympy.integrate(sympy.Symbol('x') * 2))", "", "x**2"),
    "check": check("def f(x):\n    return x + 1", "assert candidate(1) == 2"),
    "pytest": {
        "id": "p",
        "program": "def f(x):\n    return x + 1",
        "tests": [{"pytest": "from solution import f\ndef test_f():\n    assert f(1) == 2"}],
    },
    "checker": {
        "id": "p",
        "program": "print(3)",
        "tests": [{"stdin": "", "checker": "def check(stdin, stdout):\n    return int(stdout) > 2"}],
    },
    "standard_library": script(
        "import ssl, sqlite3, decimal, lzma, bz2, zlib, ctypes, uuid, asyncio\nprint('all')", "", "all"
    ),
}
# Exhausting takes seconds; and an image of Debian's may have folders that this machine has.
OTHERWISE_TESTED = {"fork_bomb", "thread_bomb", "looks_at_the_machine"}
CONFINED = """
import os, pathlib
def writable(folder):
    try:
        (pathlib.Path(folder) / "x").write_text("x")
        return True
    except OSError:
        return False
places = ("/", "/opt/judge", "/usr", "/etc", "/var", "/dev", "/proc", "/tmp")
print(os.getuid() == 0, [folder for folder in places if writable(folder)])
"""


SUPERVISOR_OF_OLD = """
import json, struct, sys
def main():
    body = json.dumps({"op": "ready", "pid": 1, "inside": 17}).encode()
    sys.stdout.buffer.write(struct.pack(">I", len(body)) + body)
    sys.stdout.buffer.flush()
    sys.stdin.read()
"""


def stranger_base() -> Path:
    """A root laid out as language images are: the interpreter in /usr/local, its packages in site-packages, nothing of
    the judge's."""
    root = root_tree.tree(root_tree.SCIENCE)
    made = root.with_name("draft-stranger")
    shutil.rmtree(made, ignore_errors=True)
    shutil.copytree(root, made, symlinks=True)
    shutil.copytree(made / "opt/python", made / "usr/local", symlinks=True)
    version = f"python3.{sys.version_info.minor}"
    (made / "opt/judge/site").rename(made / "usr/local/lib" / version / "site-packages")
    shutil.rmtree(made / "opt")
    (made / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\n")
    return made


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    made = connect()
    yield made
    made.close()


@contextlib.contextmanager
def forgetting(client: Any) -> Iterator[list[str]]:
    """Put ids in: those images and all they are built on are removed at the end, but for what was there before."""
    before = {found["Id"] for found in client.api.images(all=True)}
    made: list[str] = []
    yield made
    built_on = {found["Id"]: found["ParentId"] for found in client.api.images(all=True)}
    doomed = list(made)
    for identity in doomed:
        doomed += [child for child, parent in built_on.items() if parent == identity]  # of a build that failed
    for identity in reversed(doomed):
        while identity in built_on and identity not in before:
            client.images.remove(identity, force=True, noprune=True)
            identity = built_on.pop(identity)


# Debian's is downloaded and unpacked anew, which takes longer than all else in this file.
@pytest.fixture(scope="module", params=["interpreter", pytest.param("debian", marks=pytest.mark.long), "dockerfile"])
def judge(request: pytest.FixtureRequest, client: Any) -> Iterator[Judge]:
    if request.param == "debian" and shutil.which("debootstrap", path=debian.SEARCHED) is None:
        pytest.skip("debootstrap is not installed; remedy: install it (Debian: apt-get install debootstrap)")
    with forgetting(client) as made:
        if request.param == "debian":
            made.append(from_debian(client))
        elif request.param == "dockerfile":
            base = stranger_base()
            made.append(from_dockerfile(client, load(client, base)))
            shutil.rmtree(base)
        with Judge("docker", "container", slots=2, image=made[0] if made else None) as judge:
            assert not made or judge.backend.images == {root_tree.PLAIN: made[0]}
            yield judge


def outcomes(judge: Judge, rows: dict[str, dict[str, Any]]) -> dict[str, str]:
    return {
        result.id: result.outcome.value
        for result in judge.run([parse_program({**row, "id": name}) for name, row in rows.items()])
    }


def test_honest_programs_pass(judge: Judge) -> None:
    found = outcomes(judge, {**HONEST, **SCIENCE})
    assert {name: outcome for name, outcome in found.items() if outcome != "pass"} == {}


def test_attacks_end_as_they_should(judge: Judge) -> None:
    attacks = {name: row for name, row in ISOLATED_ATTACKS.items() if name not in OTHERWISE_TESTED}
    found = outcomes(judge, {name: row for name, (row, _) in attacks.items()})
    assert {name: outcome for name, outcome in found.items() if outcome not in attacks[name][1]} == {}


def test_a_program_is_nobody_and_writes_in_tmp_only(judge: Judge) -> None:
    assert outcomes(judge, {"confined": script(CONFINED, "", "False ['/tmp']")}) == {"confined": "pass"}


def test_a_judgement_names_the_image_that_it_ran_in(judge: Judge) -> None:
    plain, science = judge.run([parse_program(script("print(1)", "", "1")), parse_program(SCIENCE["numpy"])])
    for result in (plain, science):
        assert judge.backend.client.images.get(result.image).id == result.image  # type: ignore[attr-defined]
    assert [plain.image, science.image] == [
        judge.backend.images[root_tree.PLAIN],
        judge.backend.images.get(root_tree.SCIENCE, plain.image),
    ]


def test_a_session_counts_on(judge: Judge) -> None:
    with judge.session() as session:
        session.run("import numpy\nx = 20")
        assert session.run("print(x + numpy.int64(1))").output == "21\n"


def test_an_image_of_another_version_is_refused(client: Any, tmp_path: Path) -> None:
    """Its inside files are not those of this judge: found when the first box starts, not when an answer is misread."""
    changed = tmp_path / "root"
    shutil.copytree(root_tree.tree(), changed, symlinks=True)
    with (changed / "opt/judge/sandbox/inside/child.py").open("a") as file:
        file.write("\n# another version\n")
    with forgetting(client) as made:
        made.append(load(client, changed))
        with pytest.raises(LevelError, match="another version"):
            Judge("docker", "container", image=made[0])


def test_an_image_from_before_the_folder_inside_is_refused_for_its_version(client: Any, tmp_path: Path) -> None:
    """Its supervisor lies elsewhere, and is started all the same to say which version it is."""
    older = tmp_path / "root"
    shutil.copytree(root_tree.tree(), older, symlinks=True)
    package = older / "opt/judge/sandbox"
    shutil.rmtree(package / "inside")
    (package / "supervisor.py").write_text(SUPERVISOR_OF_OLD)
    with forgetting(client) as made:
        made.append(load(client, older))
        with pytest.raises(LevelError, match="another version"):
            Judge("docker", "container", image=made[0])


def test_a_base_without_python_is_an_error_that_names_it(client: Any, tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\n")
    with forgetting(client) as made:
        made.append(load(client, tmp_path))
        with pytest.raises(ImageError, match="python3") as caught:
            from_dockerfile(client, made[0])
        assert caught.value.exit_code == 69 and made[0] in str(caught.value.where)


def test_the_interpreters_image_is_the_same_laid_out_anew(
    client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    for name in ("a", "b"):
        monkeypatch.setenv("POSTTRAIN_SANDBOX_CACHE", str(tmp_path / name))
        made.append(ensure_image(client))
    assert made[0] == made[1]
