"""What the store has of a plan, in words: cached, to resume, to run and why, and which library versions have
drifted."""

from __future__ import annotations

from pathlib import Path

import pytest

from posttrain.plan import Plan, StepStatus, build_plan, plan_status
from posttrain.recipe import load_recipe
from posttrain.store.artefacts import Store, library_versions
from posttrain.store.digests import Digests
from tests.recipe.world import write_model, write_world


def plan_of(path: Path, *overrides: str) -> Plan:
    return build_plan(load_recipe(path, overrides), Digests(path.parent / "digests.json"))


def publish(
    store: Store,
    plan: Plan,
    *names: str,
    versions: dict[str, str] | None = None,
    machine: dict[str, object] | None = None,
) -> None:
    for name in names:
        id = plan.step(name).id
        held = store.lock(id)
        attempt = store.begin(id)
        (attempt.output / "model.txt").write_text(name)
        record = {"kind": plan.step(name).kind, "versions": versions or dict(library_versions()), "machine": machine}
        store.publish(attempt, record, held)
        held.release()


def by_name(rows: list[StepStatus]) -> dict[str, StepStatus]:
    return {row.step.name: row for row in rows}


def test_a_new_run_folder_has_never_run_anything(tmp_path: Path) -> None:
    plan = plan_of(write_world(tmp_path))
    rows = plan_status(plan.steps, Store(tmp_path / "store"))
    assert {(row.state, row.why) for row in rows} == {("to run", "never run here")}
    assert not (tmp_path / "store").exists()


def test_a_published_step_is_cached_whoever_made_it(tmp_path: Path) -> None:
    plan, store = plan_of(write_world(tmp_path)), Store(tmp_path / "store")
    publish(store, plan, "base", "cold_start")
    rows = by_name(plan_status(plan.steps, store))
    assert {name for name, row in rows.items() if row.state == "cached"} == {"base", "cold_start"}
    assert rows["cold_start"].drift == ()


def test_a_broken_attempt_is_to_resume(tmp_path: Path) -> None:
    plan, store = plan_of(write_world(tmp_path)), Store(tmp_path / "store")
    held = store.lock(plan.step("base").id)
    attempt = store.begin(plan.step("base").id)
    held.release()
    assert by_name(plan_status(plan.steps, store, plan.steps))["base"].state == "to run", (
        "nothing of it is left to go on from"
    )
    (attempt.state / "metrics.jsonl").touch()
    row = by_name(plan_status(plan.steps, store, plan.steps))["base"]
    assert row.state == "to resume"
    assert row.why == "not finished before; has an attempt to go on from"


@pytest.mark.parametrize(
    ("override", "step", "why"),
    [
        ("stages.stem.learning_rate=3e-5", "stem", "learning_rate 1e-05 -> 3e-05"),
        ("stages.stem.filter.k=8", "stem.filter", "filter.k 16 -> 8"),
        ("stages.stem.filter=null", "stem", "input filter stem.filter -> (none)"),
        ("stages.stem.from=cold_start", "stem", "input checkpoint distil -> cold_start"),
        ("stages.cold_start.learning_rate=3e-5", "distil", "input checkpoint (cold_start) will be new"),
        ("seed=8", "cold_start", "seed changed"),
    ],
)
def test_why_names_what_changed_since_the_run_folders_last_plan(
    tmp_path: Path, override: str, step: str, why: str
) -> None:
    path, store = write_world(tmp_path), Store(tmp_path / "store")
    before = plan_of(path)
    publish(store, before, *(step.name for step in before.steps))
    rows = by_name(plan_status(plan_of(path, override).steps, store, before.steps))
    assert rows[step].state == "to run"
    assert why in rows[step].why
    assert rows["base"].state == "cached"


def test_why_names_a_verifier_by_the_data_it_judges_and_no_noise(tmp_path: Path) -> None:
    path = write_world(tmp_path)
    before, after = plan_of(path), plan_of(path, "verifiers.math.kind=exact")
    rows = by_name(plan_status(after.steps, Store(tmp_path / "store"), before.steps))
    assert rows["stem.filter"].why == "verifier of questions: kind math -> exact; input checkpoint (distil) will be new"


def test_why_counts_inputs_beyond_three(tmp_path: Path) -> None:
    path = write_world(tmp_path)
    rows = by_name(
        plan_status(
            plan_of(path, "stages.cold_start.learning_rate=3e-5").steps, Store(tmp_path / "store"), plan_of(path).steps
        )
    )
    assert rows["export"].why.count("input ") == 3 and rows["export"].why.endswith("more inputs will be new")


def test_why_names_changed_content(tmp_path: Path) -> None:
    path = write_world(tmp_path)
    before = plan_of(path)
    write_model(tmp_path / "base", mark="other")
    rows = by_name(plan_status(plan_of(path).steps, Store(tmp_path / "store"), before.steps))
    assert rows["base"].why == "content of model changed"


def test_drifted_versions_and_a_damaged_manifest_are_said(tmp_path: Path) -> None:
    plan, store = plan_of(write_world(tmp_path)), Store(tmp_path / "store")
    publish(store, plan, "base", versions={**library_versions(), "ray": "1.0", "gone": "2.0"})
    publish(store, plan, "cold_start")
    (store.path(plan.step("cold_start").id) / "manifest.json").write_text("{}")
    rows = by_name(plan_status(plan.steps, store))
    assert f"ray 1.0 -> {library_versions().get('ray', 'not installed')}" in rows["base"].drift
    assert "gone 2.0 -> not installed" in rows["base"].drift
    assert "damaged" in rows["cold_start"].drift[0]


def test_another_image_of_the_judge_is_said_of_steps_that_ran_code_and_of_no_other(tmp_path: Path) -> None:
    plan, store = plan_of(write_world(tmp_path), "stages.distil.verifier=code"), Store(tmp_path / "store")
    judge = {"level": "container", "images": {"plain": "sha256:1"}, "image": "sha256:1111"}
    publish(store, plan, "distil.pairs", "stem", machine={"judge": judge})
    rows = by_name(plan_status(plan.steps, store, image="sha256:2222"))
    assert rows["distil.pairs"].drift == ("judge's image sha256:1111 -> sha256:2222",)
    assert rows["stem"].drift == ()
    assert by_name(plan_status(plan.steps, store, image="sha256:1111"))["distil.pairs"].drift == ()
    assert (
        by_name(plan_status(plan.steps, store))["distil.pairs"]
        .drift[0]
        .startswith("judge's image sha256:1111 -> tree:")
    )


def test_a_verifier_of_ones_own_that_is_edited_reruns_what_it_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = tmp_path / "my_rules_of_this_test.py"
    code.write_text("def exact(question, response, gold):\n    return float(gold in response)\n")
    monkeypatch.syspath_prepend(tmp_path)
    overrides = ("verifiers.math={kind: cascade, steps: [{kind: math}, {kind: 'my_rules_of_this_test:exact'}]}",)
    before = plan_of(write_world(tmp_path), *overrides)
    code.write_text("def exact(question, response, gold):\n    return float(gold == response)\n")
    after = plan_of(tmp_path / "recipe.yaml", *overrides)
    changed = {step.name for step in after.steps if step.id != before.step(step.name).id}
    assert {"stem.filter", "stem", "preference", "export"} <= changed and not {"base", "cold_start"} & changed
    row = by_name(plan_status(after.steps, Store(tmp_path / "store"), before.steps))["stem.filter"]
    assert row.why.startswith("content of code.my_rules_of_this_test changed")
