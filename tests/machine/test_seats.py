"""Who gets which GPU: the rules alone, and the machine on a Ray that was told of GPUs which are not there."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from posttrain.errors import BackendError
from posttrain.machine.seats import Seat, Seats
from posttrain.plan.prepare import plan_ahead
from posttrain.plan.seating import gpus_of, roles_of, seats_for, unplaced, workers_of
from posttrain.recipe.schema import Recipe
from posttrain.records.step import Step
from posttrain.store.artefacts import Store
from tests.machine import seated

ROOT = Path(__file__).resolve().parents[2]
ON_GPUS = [path for path in sorted((ROOT / "recipes").glob("*.yaml")) if "gpus_per_trainer" in path.read_text("utf-8")]


def seats(*nodes: int, turns: bool = False) -> Seats:
    return Seats(
        [Seat(node=str(node), gpu=str(gpu)) for node, gpus in enumerate(nodes) for gpu in range(gpus)], turns=turns
    )


def named(places: tuple[tuple[Seat, ...], ...]) -> list[str]:
    return [" ".join(f"{seat.node}.{seat.gpu}" for seat in mine) for mine in places]


def test_free_seats_first_then_those_of_who_has_nothing_to_do() -> None:
    board = seats(8)
    assert named(board.take("trainers", 4, 1.0).places) == ["0.0", "0.1", "0.2", "0.3"]
    assert named(board.take("policy", 2, 1.0).places) == ["0.4", "0.5"]
    board.begin_step()
    assert board.take("teacher", 2, 1.0).stop == (), "there is room"
    board.begin_step()
    board.use("policy")
    taken = board.take("judge", 2, 1.0)
    assert taken.stop == ("trainers",) and not board.has("trainers"), "the oldest of those without work"
    with pytest.raises(BackendError, match=r"6 workers of 1 GPU for the other .*policy holds 2.*judge holds 2"):
        board.take("other", 6, 1.0)


def test_an_engine_over_several_gpus_has_them_on_one_node() -> None:
    board = seats(3, 3)
    assert named(board.take("policy", 2, 2.0).places) == ["0.0 0.1", "1.0 1.1"]
    with pytest.raises(BackendError, match="2 nodes; policy holds 4"):
        board.take("teacher", 1, 2.0)


def test_parts_of_a_gpu_are_on_different_ones_while_there_are_any_and_no_rivals() -> None:
    board = seats(2)
    assert named(board.take("trainers", 2, 0.6).places) == ["0.0", "0.1"]
    assert named(board.take("policy", 2, 0.4).places) == ["0.0", "0.1"]
    assert board.rivals("policy") == ()
    with pytest.raises(BackendError):
        board.take("judge", 1, 0.4)


def test_roles_that_take_turns_have_the_same_seats_and_the_fewest_of_others() -> None:
    board = seats(8, turns=True)
    board.take("policy", 8, 1.0)
    assert board.take("trainers", 8, 1.0).stop == () and board.rivals("policy") == ("trainers",)
    board.begin_step()
    assert board.use("policy") == ("trainers",), "who has nothing to do does not wait for its turn but goes"
    judge = board.take("judge", 2, 1.0)
    assert named(judge.places) == ["0.0", "0.1"] and board.rivals("judge") == ("policy",)
    assert named(board.take("teacher", 2, 1.0).places) == ["0.2", "0.3"], "where fewer others are"


@pytest.mark.parametrize("share", ["space", "time"])
@pytest.mark.parametrize("path", ON_GPUS, ids=lambda path: path.stem)
def test_every_step_of_a_shipped_recipe_finds_its_seats(path: Path, share: str, tmp_path: Path) -> None:
    recipe, steps = planned(path, share, tmp_path)
    hardware = recipe.hardware
    assert hardware is not None and steps
    count = seats_for(recipe, steps)
    assert count is not None
    if recipe.cluster.share == "time" or share == load_share(path):
        assert count <= hardware.nodes * hardware.gpus
    board = seats(count, turns=share == "time")
    for step in steps:
        board.begin_step()
        for role in sorted(roles_of(recipe, step)):
            _ = board.use(role) if board.has(role) else board.take(role, *workers_of(recipe, role))
        assert gpus_of(recipe, roles_of(recipe, step)) <= count


def test_shares_of_a_gpu_that_leave_gaps_take_more_seats_than_their_sum(tmp_path: Path) -> None:
    recipe, steps = planned(ON_GPUS[0], "space", tmp_path)
    cluster = recipe.cluster.model_copy(update={"gpus_per_trainer": 0.0, "engines": 3, "gpus_per_engine": 0.6})
    asked = recipe.model_copy(update={"cluster": cluster})
    alone = [step for step in steps if roles_of(asked, step) == {"policy"}]
    assert alone and seats_for(asked, alone) == 3 and unplaced(asked, alone, [2]) is not None


def test_a_stage_of_the_users_own_may_ask_for_any_gpus(tmp_path: Path) -> None:
    recipe, steps = planned(ON_GPUS[0], "space", tmp_path)
    assert seats_for(recipe, [*steps, dataclasses.replace(steps[0], kind="mine:Stage")]) is None


def load_share(path: Path) -> str:
    return "time" if "share: time" in path.read_text("utf-8") else "space"


def planned(path: Path, share: str, tmp_path: Path) -> tuple[Recipe, tuple[Step, ...]]:
    _, plan = plan_ahead(str(path), Store(tmp_path / "store"))
    cluster = plan.recipe.cluster.model_copy(update={"share": share})
    return plan.recipe.model_copy(update={"cluster": cluster}), plan.steps


# ---------------------------------------------------------------- on Ray


@pytest.fixture(scope="module")
def eight_gpus() -> Iterator[None]:
    import ray

    assert not ray.is_initialized(), "a process has one Ray: that of another test was not closed"
    ray.init(address="local", num_cpus=4, num_gpus=8, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model folder, for machines that start stand-ins."""
    from posttrain.machine import machine

    monkeypatch.setattr(machine, "EngineServer", seated.Engine)
    monkeypatch.setattr(machine, "TrainerWorker", seated.Trainer)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text(json.dumps({"hidden_size": 64}))
    return tmp_path / "model"


def machine_of(folder: Path, seats: int, **cluster: Any) -> Any:
    from posttrain.machine.machine import Machine

    recipe = Recipe.model_validate(
        {
            "schema": 1,
            "name": "seats",
            "base": {"path": "toy"},
            "stages": [{"kind": "sft", "name": "warm", "data": {"rows": 1.0}, "steps": 1}],
            "cluster": {"gpus_per_trainer": 1.0, "gpus_per_engine": 1.0, "placement_timeout_seconds": 60.0, **cluster},
            "engine": {"backend": "hf"},
        }
    )
    return Machine(recipe, folder.parent / "logs", seats=seats)


def where_they_sit(machine: Any) -> dict[str, list[str]]:
    """Role -> the GPUs of each worker; in brackets of one that sleeps."""
    workers = {"trainers": machine._trainers} | {role: one.remotes for role, one in machine._engines.items()}
    found = {}
    for role, remotes in workers.items():
        seen = [remote.seat() for remote in remotes]
        found[role] = [f"({gpus})" if asleep else gpus for _, gpus, asleep in seen]
    return found


@pytest.mark.ray
def test_roles_take_turns_on_the_same_gpus(eight_gpus: None, folder: Path) -> None:
    with machine_of(folder, 2, trainers=2, engines=1, gpus_per_engine=2.0, share="time") as machine:
        machine.engine("policy", folder, "base")
        assert where_they_sit(machine)["policy"] == ["0,1"]
        machine.begin_step()
        machine.run(seated.where)
        assert where_they_sit(machine) == {"trainers": ["0", "1"]}, "an idle engine is stopped"
        machine.begin_step()
        policy = machine.engine("policy", folder, "sft")
        judge = machine.engine("judge", folder, "judge")
        assert where_they_sit(machine) == {"trainers": [], "policy": ["(0,1)"], "judge": ["0,1"]}
        machine.run(seated.where)
        assert where_they_sit(machine)["policy"] == where_they_sit(machine)["judge"] == ["(0,1)"]
        for asked, other in ((policy, "judge"), (judge, "policy"), (policy, "judge")):
            assert asked.next_token_logprobs([(1,)], [0]) == [[1.0]], "awake"
            assert where_they_sit(machine)[other] == ["(0,1)"], "one at a time"
        policy.sleep()
        assert where_they_sit(machine)["policy"] == where_they_sit(machine)["judge"] == ["(0,1)"]
        machine.begin_step()
        machine.engine("policy", folder, "stem")
        assert where_they_sit(machine) == {"trainers": [], "policy": ["0,1"]}


@pytest.mark.ray
def test_roles_that_have_gpus_of_their_own_keep_them_while_there_is_room(eight_gpus: None, folder: Path) -> None:
    with machine_of(folder, 3, trainers=2, engines=1) as machine:
        machine.run(seated.where)
        machine.engine("policy", folder, "base")
        assert where_they_sit(machine) == {"trainers": ["0", "1"], "policy": ["2"]}
        machine.begin_step()
        assert machine.run_aside(seated.where)[1] == "", "what asks engines needs no GPU"
        machine.engine("policy", folder, "sft")
        machine.engine("teacher", folder, "teacher")
        assert where_they_sit(machine) == {"trainers": [], "policy": ["2"], "teacher": ["0"]}


@pytest.mark.ray
def test_gpus_that_others_hold_are_refused_with_who_holds_them(eight_gpus: None, folder: Path) -> None:
    with machine_of(folder, 7, engines=1) as first, machine_of(folder, 2, trainers=2) as second:
        first.engine("policy", folder, "base")
        second._ray()._timeout = 1.0
        with pytest.raises(BackendError, match=r"2 GPUs within 1 s.*8 GPU.*posttrain \S+ \w{6} \(7 GPU\)"):
            second.run(seated.where)
        first.close()
        second._ray()._timeout = 60.0
        second.run(seated.where)
        assert len(set(where_they_sit(second)["trainers"])) == 2
