"""Kill -9 at every failpoint of a two-stage run, rerun at once: the published bytes are those of an undisturbed run."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from posttrain.records.step import Step
from posttrain.store import failpoints
from posttrain.store.artefacts import Store
from tests.run.driving import Zygote, published, two_stages


@pytest.fixture
def fast_folder(tmp_path: Path) -> Iterator[Path]:
    """In memory where there is such a place: SIGKILL loses nothing that was written, so the sweep need not wait for a
    disk's fsyncs."""
    if not os.access("/dev/shm", os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="posttrain-sweep-") as name:
        yield Path(name)


def test_kill_at_every_failpoint_then_rerun_publishes_the_same_bytes(fast_folder: Path) -> None:
    steps = two_stages()
    with Zygote(fast_folder) as zygote:
        expected, points = undisturbed(zygote, fast_folder, steps)
        assert len(points) == len(set(points)) > 100
        for point in points:
            folder = fast_folder / "killed"
            rc, output = zygote.run(steps, folder / "run", folder / "store", env={failpoints.TARGET: point})
            assert rc == -9, f"{point}: not killed ({rc}): {output}"
            rc, output = zygote.run(steps, folder / "run", folder / "store")
            assert rc == 0, f"{point}: the rerun failed: {output}"
            check(folder, expected, point)
            shutil.rmtree(folder)


def test_killed_again_while_resuming_it_still_publishes_the_same_bytes(fast_folder: Path) -> None:
    steps = two_stages()
    with Zygote(fast_folder) as zygote:
        expected, points = undisturbed(zygote, fast_folder, steps)
        for first, again in zip(points[3::17], points[::-17], strict=False):
            folder = fast_folder / "killed"
            assert zygote.run(steps, folder / "run", folder / "store", env={failpoints.TARGET: first})[0] == -9
            for point in (first, again, first.split(":")[0] + ":1"):
                # Killed, or done if it hits it no more.
                zygote.run(steps, folder / "run", folder / "store", env={failpoints.TARGET: point})
            rc, output = zygote.run(steps, folder / "run", folder / "store")
            assert rc == 0, f"{first}, {again}: the last run failed: {output}"
            check(folder, expected, f"{first}, {again}")
            shutil.rmtree(folder)


def test_kill_at_every_failpoint_that_only_a_resume_passes(fast_folder: Path) -> None:
    steps = two_stages()
    with Zygote(fast_folder) as zygote:
        expected, points = undisturbed(zygote, fast_folder, steps)
        usual = {point.rpartition(":")[0] for point in points}
        folder, log = fast_folder / "killed", fast_folder / "resume.txt"

        def killed_in_step_three() -> None:
            shutil.rmtree(folder, ignore_errors=True)
            assert (
                zygote.run(steps, folder / "run", folder / "store", env={failpoints.TARGET: "counter.after_metrics:3"})[
                    0
                ]
                == -9
            )

        killed_in_step_three()
        assert zygote.run(steps, folder / "run", folder / "store", env={failpoints.LOG: str(log)})[0] == 0
        resumed = [point for point in log.read_text().split() if point.rpartition(":")[0] not in usual]
        resumed += [point for point in log.read_text().split() if point.startswith("cut_rows.")]
        assert {"attempt.before_set_aside:1", "attempt.after_set_aside:1", "cut_rows.before_rename:1"} <= set(resumed)
        for point in resumed:
            killed_in_step_three()
            assert zygote.run(steps, folder / "run", folder / "store", env={failpoints.TARGET: point})[0] == -9, point
            rc, output = zygote.run(steps, folder / "run", folder / "store")
            assert rc == 0, f"{point}: {output}"
            check(folder, expected, point)


def undisturbed(zygote: Zygote, tmp_path: Path, steps: list[Step]) -> tuple[dict[str, bytes], list[str]]:
    """What a run without a kill publishes, and every failpoint it passes, as name:n."""
    log = tmp_path / "hits.txt"
    rc, output = zygote.run(
        steps, tmp_path / "good" / "run", tmp_path / "good" / "store", env={failpoints.LOG: str(log)}
    )
    assert rc == 0, output
    return published(tmp_path / "good" / "store"), log.read_text().split()


def check(folder: Path, expected: dict[str, bytes], point: str) -> None:
    """The same bytes, each file once more hashed against its manifest, every step accounted for, and no work left."""
    assert published(folder / "store") == expected, point
    assert Store(folder / "store").verify() == [], point
    assert list((folder / "store" / "work").glob("*")) == [], point
    results = json.loads((folder / "run" / "results.json").read_bytes())
    assert all(row["status"] in ("ran", "resumed", "cached") for row in results["stages"]), point
    assert all((folder / "run" / "stages" / row["name"] / "state.bin").exists() for row in results["stages"]), point
