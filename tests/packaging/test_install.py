"""Set-up's decisions: which torch, what is said before a download, which steps run again. What pip does, the
fresh-clone runs show."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from posttrain.errors import BackendError
from posttrain.setup import install

OFFERED = ["2.15.0", "2.13.0+cu130", "2.13.0+cpu", "2.13.0", "2.12.1"]
LINUX: dict[str, Any] = {"system": "Linux", "machine": "x86_64"}


def test_without_a_gpu_the_cpu_build_is_taken_where_it_is_offered() -> None:
    build = install.choose_torch(OFFERED, gpu=False, **LINUX)
    assert build == install.TorchBuild(requirement="torch==2.13.0+cpu", cuda=False)


def test_with_a_gpu_the_cpu_build_is_excluded() -> None:
    from packaging.requirements import Requirement

    build = install.choose_torch(OFFERED, gpu=True, **LINUX)
    accepted = [version for version in OFFERED if version in Requirement(build.requirement).specifier]
    assert build.cuda and accepted == ["2.13.0+cu130", "2.13.0"]


def test_where_only_the_cuda_build_is_offered_it_is_taken_and_announced_with_its_size_and_the_way_round_it() -> None:
    build = install.choose_torch(["2.15.0", "2.13.0"], gpu=False, **LINUX)
    said = install.announcement(build, gpu=False)
    assert build.cuda and build.requirement == "torch==2.13.0"
    assert (
        "no NVIDIA GPU" in said
        and install.CUDA_DOWNLOAD in said
        and "GB" in said
        and "CPU build avoids this download" in said
    )
    assert "avoids" not in install.announcement(build, gpu=True)


def test_the_plain_build_of_a_mac_is_no_cuda_build() -> None:
    assert not install.choose_torch(["2.13.0"], gpu=False, system="Darwin", machine="arm64").cuda


def test_sources_without_the_release_are_a_missing_backend() -> None:
    with pytest.raises(BackendError, match=r"offer no torch==2\.13\.0"):
        install.choose_torch(["2.15.0", "2.13.1"], gpu=False, **LINUX)


def test_pip_tells_the_offered_versions_without_fetching_one() -> None:
    offered = install.offered_versions(Path(sys.executable))
    assert install.choose_torch(offered, gpu=False, **LINUX)


def silent(line: str) -> None:
    pass


def test_a_step_runs_once_and_again_when_what_decides_it_changes(tmp_path: Path) -> None:
    done: list[str] = []
    for key in ("a", "a", "b"):
        install.unless_stamped(tmp_path, "torch", key, silent, partial(done.append, key))
    assert done == ["a", "b"]


def test_a_failed_step_is_repeated(tmp_path: Path) -> None:
    def fails() -> None:
        raise BackendError("no network")

    with pytest.raises(BackendError):
        install.unless_stamped(tmp_path, "torch", "a", silent, fails)
    assert install.unless_stamped(tmp_path, "torch", "a", silent, lambda: None)


def test_a_repeated_step_repeats_the_later_ones(tmp_path: Path) -> None:
    for name in install.STEPS:
        install.unless_stamped(tmp_path, name, "a", silent, lambda: None)
    install.unless_stamped(tmp_path, "package", "b", silent, lambda: None)
    assert install.read_stamp(tmp_path) == {"torch": "a", "package": "b"}


def test_a_torn_stamp_counts_as_none(tmp_path: Path) -> None:
    (tmp_path / install.STAMP).write_text('{"torch": "a')
    assert install.read_stamp(tmp_path) == {}


def test_the_locked_lists_keep_out_what_breaks_next_to_a_cpu_torch() -> None:
    for name in ("cpu.txt", "vllm_cpu.txt"):
        pins = [
            line.split("==")[0].lower()
            for line in (install.LOCKS / name).read_text("utf-8").splitlines()
            if not line.startswith("#")
        ]
        assert len(pins) == len(set(pins))
        assert not {"torchvision", "torchaudio", "torchcodec"} & set(pins)


def test_the_locked_lists_agree_with_each_other_and_with_the_extras() -> None:
    import tomllib

    from packaging.requirements import Requirement

    def pins(name: str) -> dict[str, str]:
        lines = (install.LOCKS / name).read_text("utf-8").splitlines()
        read = [Requirement(line) for line in lines if not line.startswith("#")]
        return {pin.name.lower().replace("_", "-"): next(iter(pin.specifier)).version for pin in read}

    locked, engine = pins("cpu.txt"), pins("vllm_cpu.txt")
    assert {name: version for name, version in engine.items() if name in locked and locked[name] != version} == {}
    assert engine.keys() - locked.keys() == {"triton"}
    project = tomllib.loads((install.HOME / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    asked = [Requirement(line) for line in [*project["dependencies"], *extras["cpu"], *extras["dev"]]]
    for requirement in asked:
        version = locked[requirement.name.lower().replace("_", "-")]
        assert version in requirement.specifier, f"{requirement} but {version} is locked"
    assert install.TORCH in [str(requirement) for requirement in asked]


def test_pip_failing_is_a_missing_backend_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(BackendError) as caught:
        install.pip(Path(sys.executable), ["install", "--no-index", "no-such-package-here"], capture=True)
    assert caught.value.exit_code == 69 and "continues" in (caught.value.remedy or "")


def test_where_imports_leave_no_bytecode_set_up_does_once_after_each_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix = tmp_path / "tests" / "env"  # a checkout may lie below a folder of that name
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(prefix)], check=True)
    python = prefix / "bin" / "python"
    folder = next(prefix.glob("lib/python*/site-packages"))
    (folder / "library.py").write_text("one = 1\n")
    (folder / "template.py").write_text("{{ not }} python\n")
    (folder / "package" / "tests").mkdir(parents=True)
    (folder / "package" / "tests" / "left_out.py").write_text("")
    said: list[str] = []
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    assert not install.bytecode_step(python, prefix, said.append) and not said
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    assert install.bytecode_step(python, prefix, said.append)
    assert [path.name.split(".")[0] for path in folder.rglob("*.pyc")] == ["library"]
    assert not install.bytecode_step(python, prefix, said.append)
    install.unless_stamped(prefix, "engine", "another", said.append, lambda: None)
    for package in ("posttrain", "rewards", "sandbox"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "module.py").write_text("one = 1\n")
    assert install.bytecode_step(python, prefix, said.append, checkout=tmp_path)
    assert len(list(tmp_path.glob("*/__pycache__/module.*.pyc"))) == 3, "a checkout used in place starts as fast"
