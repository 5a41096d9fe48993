"""The command line as a user meets it: a process, an exit code, one clear message, and nothing heavy imported."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from posttrain.plan import prepare
from posttrain.records.codec import as_json
from posttrain.store.artefacts import Store
from tests.fake_stages import SOME_SCORES, manifest_for

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("torch", "transformers", "ray", "vllm", "sympy", "docker", "datasets", "trl")
RECIPE = """\
schema: 1
name: {name}
base: {{path: toy}}
stages:
  - {{kind: "tests.fake_stages:Counter", name: first, options: {{steps: {steps}}}}}
  - {{kind: "tests.fake_stages:Counter", name: second, options: {{steps: 4, size: 128}}}}
"""


def write_recipe(folder: Path, name: str = "small", steps: int = 4) -> Path:
    path = folder / f"{name}-{steps}.yaml"
    path.write_text(RECIPE.format(name=name, steps=steps))
    return path


def publish_base(recipe: Path, store_path: Path) -> None:
    """Put a base into the store by hand, so that the stages run without torch."""
    store = Store(store_path)
    _, plan = prepare(str(recipe), store)
    base = plan.step("base")
    held = store.lock(base.id)
    attempt = store.begin(base.id)
    (attempt.output / "state.bin").write_bytes(b"base")
    store.publish(attempt, as_json(manifest_for(base)), held)
    held.release()


def call(
    *arguments: str, cwd: Path, env: dict[str, str] | None = None, code: str | None = None
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code] if code else [sys.executable, "-m", "posttrain"]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        **(env or {}),
    }
    return subprocess.run(
        [*command, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def run_recipe(folder: Path, *arguments: str, name: str = "small", steps: int = 4) -> subprocess.CompletedProcess[str]:
    return call("run", str(write_recipe(folder, name, steps)), "--until", "second", *arguments, cwd=folder)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working directory whose default store holds the base of RECIPE."""
    publish_base(write_recipe(tmp_path), tmp_path / "runs" / ".store")
    return tmp_path


def test_status_in_a_pipe_cuts_no_note(capsys: pytest.CaptureFixture[str]) -> None:
    from posttrain.cli.run import _print_status
    from posttrain.records.results import Status
    from posttrain.run.status import RunStatus, StageStatus

    note = "no prompt has a right answer of the teacher and a wrong one of the student, both ended by themselves"
    row = StageStatus(
        name="distil.pairs", kind="pairs", id="pairs-1", status=Status.FAILED, seconds=12.0, metrics={}, note=note
    )
    _print_status(
        RunStatus(
            run="runs/mine",
            state="failed",
            shown="failed",
            holder=None,
            stages=(row,),
            evaluations=(),
            progress=None,
        )
    )
    assert note in capsys.readouterr().out


def test_run_then_status_then_report_of_the_store(folder: Path) -> None:
    done = run_recipe(folder)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("[")]
    assert [line.split()[:3] for line in lines] == [
        ["[1/3]", "base", "cached"],
        ["[2/3]", "first", "ran"],
        ["[3/3]", "second", "ran"],
    ]
    status = json.loads(call("status", "runs/small", "--json", cwd=folder).stdout)
    assert status["state"] == "done" and [row["status"] for row in status["stages"]] == ["cached", "ran", "ran"]
    assert "second" in call("status", "runs/small", cwd=folder).stdout
    assert f"report: {Path('runs/small/report.html')}" in done.stdout
    (folder / "runs" / "small" / "report.html").unlink()
    assert call("report", "runs/small", cwd=folder).stdout.strip() == "runs/small/report.html"
    assert "<html" in (folder / "runs" / "small" / "report.html").read_text()
    assert "3 artefacts hashed, 0 faults" in call("store", "verify", cwd=folder).stdout
    assert json.loads(call("store", "gc", "--json", cwd=folder).stdout) == []
    assert len(json.loads(call("store", "ls", "--json", cwd=folder).stdout)) == 3


def test_a_cached_rerun_imports_nothing_heavy(folder: Path) -> None:
    assert run_recipe(folder).returncode == 0
    code = (
        f"import sys; from posttrain.cli import main; rc = main(sys.argv[1:]); print(rc, [m for m in {HEAVY} if "
        "m in sys.modules])"
    )
    again = call("run", str(write_recipe(folder)), "--until", "second", cwd=folder, code=code)
    assert again.stdout.splitlines()[-1] == "0 []", again.stdout + again.stderr


def publish_everything(recipe: Path, store_path: Path) -> int:
    """Stand-ins for every artefact of a recipe; returns how many."""
    store = Store(store_path)
    _, plan = prepare(str(recipe), store)
    for step in plan.steps:
        held = store.lock(step.id)
        attempt = store.begin(step.id)
        (attempt.output / "scores.json").write_text(json.dumps(as_json(SOME_SCORES)))
        (attempt.output / "model").mkdir()
        (attempt.output / "model" / "README.md").write_text("card")
        store.publish(attempt, as_json(manifest_for(step)), held)
        held.release()
    return len(plan.steps)


def test_a_cached_rerun_of_the_demos_whole_recipe_imports_nothing_heavy_and_links_the_model(tmp_path: Path) -> None:
    recipe = ROOT / "recipes" / "demo_cpu.yaml"
    steps = publish_everything(recipe, tmp_path / "runs" / ".store")
    code = (
        f"import sys; from posttrain.cli import main; rc = main(sys.argv[1:]); print(rc, [m for m in {HEAVY} if "
        "m in sys.modules])"
    )
    for _ in range(2):
        done = call("run", str(recipe), "--out", "runs/demo", cwd=tmp_path, code=code)
        assert done.stdout.splitlines()[-1] == "0 []", done.stdout + done.stderr
    assert done.stderr.count(" cached ") == steps
    assert "avg@8" in done.stdout and "model card: runs/demo/MODEL_CARD.md" in done.stdout
    assert (tmp_path / "runs" / "demo" / "MODEL_CARD.md").read_text() == "card"
    results = json.loads((tmp_path / "runs" / "demo" / "results.json").read_bytes())
    assert {row["status"] for row in results["stages"]} == {"cached"} and len(results["evaluations"]) > 10


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["store", "ls"]])
def test_help_and_light_commands_import_nothing_heavy(tmp_path: Path, arguments: list[str]) -> None:
    code = (
        f"import sys; from posttrain.cli import main; rc = main(sys.argv[1:]); print(rc, [m for m in {HEAVY} if "
        "m in sys.modules])"
    )
    done = call(*arguments, cwd=tmp_path, code=code)
    assert done.stdout.strip().endswith("0 []"), done.stdout + done.stderr


def test_an_edited_recipe_reruns_the_touched_stage_and_what_follows(folder: Path) -> None:
    assert run_recipe(folder).returncode == 0
    events = [json.loads(line) for line in run_recipe(folder, "--json", steps=6).stdout.splitlines()]
    ended = {event["step"]: event["status"] for event in events if event["event"] == "step_ended"}
    assert ended == {"base": "cached", "first": "ran", "second": "ran"}
    why = {event["step"]: event["why"] for event in events if event["event"] == "step_started"}
    assert "4 -> 6" in why["first"]
    assert events[-1]["event"] == "finished"


def test_a_folder_of_another_recipe_is_refused_with_2(folder: Path) -> None:
    assert run_recipe(folder).returncode == 0
    other = run_recipe(folder, "--out", "runs/small", name="other")
    assert other.returncode == 2
    assert "belongs to the recipe 'small', not to 'other'" in other.stderr and "remedy:" in other.stderr


def test_until_keeps_the_links_of_later_stages_that_are_still_valid_and_gc_keeps_what_is_linked(folder: Path) -> None:
    recipe = str(write_recipe(folder))
    stages = folder / "runs" / "small" / "stages"
    assert run_recipe(folder).returncode == 0
    assert call("run", recipe, "--until", "first", cwd=folder).returncode == 0
    assert sorted(path.name for path in stages.iterdir()) == ["base", "first", "second"]
    assert json.loads(call("store", "gc", "--json", cwd=folder).stdout) == []
    assert call("run", recipe, "--until", "first", "--set", "stages.first.options.steps=2", cwd=folder).returncode == 0
    assert sorted(path.name for path in stages.iterdir()) == ["base", "first"]
    assert len(json.loads(call("store", "gc", "--json", "--yes", cwd=folder).stdout)) == 2


def test_a_smoke_run_does_not_replace_a_real_one(folder: Path) -> None:
    assert run_recipe(folder).returncode == 0
    assert run_recipe(folder, "--smoke", "--out", "runs/small").returncode == 2


def test_quiet_says_nothing(folder: Path) -> None:
    done = run_recipe(folder, "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_failing_stage_is_1_with_one_message_and_no_traceback(folder: Path) -> None:
    recipe = write_recipe(folder)
    done = call("run", str(recipe), "--until", "second", "--set", "stages.first.options.fail_at=3", cwd=folder)
    assert done.returncode == 1
    assert "made to fail at step 3" in done.stderr and "Traceback" not in done.stderr
    assert "Traceback" in (folder / "runs" / "small" / "logs" / "first.log").read_text()


def test_a_flipped_byte_is_named_by_store_verify_and_refused_by_run(folder: Path) -> None:
    assert run_recipe(folder).returncode == 0
    blob = (folder / "runs" / "small" / "stages" / "first" / "part" / "blob.bin").resolve()
    blob.write_bytes(b"x" + blob.read_bytes()[1:])
    verify = call("store", "verify", cwd=folder)
    assert verify.returncode == 1 and str(blob) in verify.stdout
    refused = run_recipe(folder)
    assert refused.returncode == 2 and "part/blob.bin" in refused.stderr and "--discard" in refused.stderr
    assert call("store", "verify", "--discard", cwd=folder).returncode == 1
    assert run_recipe(folder).returncode == 0
    assert call("store", "verify", cwd=folder).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "missing.yaml"], "missing.yaml"),
        (["status", "nowhere"], "no run was started"),
        (["stop", "nowhere"], "no run was started"),
        (["run"], "RECIPE"),
        (["walk"], "walk"),
        (["sample", "nowhere", "--seed", "-1"], "--seed"),
    ],
)
def test_wrong_input_is_2_with_one_message(tmp_path: Path, arguments: list[str], words: str) -> None:
    done = call(*arguments, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert words in done.stderr and "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_the_users_that_shadows_ours_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "rewards").mkdir()
    (tmp_path / "rewards" / "__init__.py").write_text("")
    done = call("--help", cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert str(tmp_path / "rewards") in done.stderr


def test_libraries_are_told_not_to_report_home(tmp_path: Path) -> None:
    names = (
        "HF_HUB_DISABLE_TELEMETRY",
        "VLLM_NO_USAGE_STATS",
        "DO_NOT_TRACK",
        "RAY_USAGE_STATS_ENABLED",
        "TOKENIZERS_PARALLELISM",
    )
    code = f"import os; from posttrain.cli import main; main(['store', 'ls']); print([os.environ[n] for n in {names}])"
    empty = dict.fromkeys(names)
    environment = {name: value for name, value in os.environ.items() if name not in empty}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "['1', '1', '1', '0', 'false']"


@pytest.mark.parametrize(
    "arguments", [["--temperature", "nan"], ["--max-tokens", "0"], ["--prompt", os.fsdecode(b"\xff")]]
)
def test_a_question_that_cannot_be_asked_is_2_with_one_message(folder: Path, arguments: list[str]) -> None:
    (folder / "config.json").write_text("{}")
    code = (
        "import posttrain.run.one_checkpoint as one, posttrain.cli as cli, sys; one.talk = lambda *_: None; "
        "sys.exit(cli.main())"
    )
    done = call("sample", str(folder), *arguments, cwd=folder, code=code)
    assert done.returncode == 2 and "remedy:" in done.stderr and "Traceback" not in done.stderr


def test_a_name_that_the_terminal_cannot_show_is_shown_escaped(folder: Path) -> None:
    run_dir = os.fsdecode(b"runs/\xff")
    assert run_recipe(folder, "--out", run_dir, "--quiet").returncode == 0
    shown = call("status", run_dir, cwd=folder, env={"PYTHONIOENCODING": "ascii:strict"})
    assert shown.returncode == 0 and shown.stdout.startswith("runs/\\udcff: done"), shown.stderr


def test_a_run_whose_streams_are_closed_is_done_all_the_same(folder: Path) -> None:
    command = f"exec {sys.executable} -m posttrain run {write_recipe(folder)} --until second <&- >&- 2>&-"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    assert subprocess.run(["sh", "-c", command], cwd=folder, env=environment, timeout=60, check=False).returncode == 0
    assert json.loads((folder / "runs" / "small" / "results.json").read_bytes())["stages"][-1]["status"] == "ran"
