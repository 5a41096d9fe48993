"""What a step trains on: groups without signal replaced, the fault limit, shares by tokens, lengths in rewards."""

from __future__ import annotations

import dataclasses
import os
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from posttrain.errors import StageError, Stopped
from posttrain.recipe.schema import Recipe
from posttrain.sampling.rollout_files import write_groups
from posttrain.train.dealing import Dealer, deal
from posttrain.train.lengths import Successes, rewards_of
from posttrain.train.losses.lengths import length_control, overlong_penalty
from posttrain.train.policy import policy_rows
from posttrain.train.signal_groups import groups_with_signal, refuse_faults, spare_prompts
from posttrain.types import EncodedPrompt, Prompt, RolloutGroup
from tests.train.test_policy import group, stage

DULL, MIXED = [1.0, 1.0], [1.0, 0.0]


def prompts(count: int) -> list[EncodedPrompt]:
    made = [Prompt(id=str(n), source="s", messages=({"role": "user", "content": "?"},)) for n in range(count)]
    return [EncodedPrompt(prompt=prompt, ids=(1, 2)) for prompt in made]


class Asked:
    """Answers by prompt id: those in `mixed` have signal. Remembers what it was asked, call by call."""

    def __init__(self, mixed: set[str]) -> None:
        self.mixed = mixed
        self.calls: list[list[str]] = []

    def __call__(self, asked: Sequence[EncodedPrompt]) -> list[RolloutGroup]:
        self.calls.append([one.prompt.id for one in asked])
        return [
            dataclasses.replace(group(MIXED if one.prompt.id in self.mixed else DULL), prompt=one.prompt)
            for one in asked
        ]


def ids(groups: Sequence[RolloutGroup]) -> list[str]:
    return [one.prompt.id for one in groups]


def test_groups_without_signal_are_replaced_until_the_batch_is_whole() -> None:
    ask, spare = Asked({"1", "5", "6", "8"}), prompts(10)[4:]
    kept, replaced = groups_with_signal(ask, prompts(4), spare, 100)
    assert ids(kept) == ["1", "5", "6", "8"] and ids(replaced) == ["0", "2", "3", "4", "7"]
    assert ask.calls == [["0", "1", "2", "3"], ["4", "5", "6"], ["7"], ["8"]]


@pytest.mark.parametrize(("most", "kept"), [(0, ["0", "1", "2", "3"]), (3, ["0", "1", "5", "6"])])
def test_the_cap_ends_the_search_and_the_batch_keeps_its_size(most: int, kept: list[str]) -> None:
    ask = Asked({"1", "5", "6", "8"})
    assert ids(groups_with_signal(ask, prompts(4), prompts(10)[4:], most)[0]) == kept
    assert sum(map(len, ask.calls)) == 4 + most


def test_spare_prompts_are_those_not_asked_and_the_same_again() -> None:
    every = prompts(9)
    spare = spare_prompts(every, every[2:5], 3, seed=1)
    assert sorted(one.prompt.id for one in spare) == ["0", "1", "5", "6", "7", "8"]
    assert spare == spare_prompts(every, every[2:5], 3, seed=1) != spare_prompts(every, every[2:5], 4, seed=1)


def test_the_fault_limit_is_that_of_the_whole_step() -> None:
    """Four faults of 64 in one group, none in seven more: 0.8 % of the step."""
    groups = [group([None] * 4 + [1.0] * 60), *(group([1.0] * 64) for _ in range(7))]
    refuse_faults(groups, 0.05, step=0, where="rl")
    with pytest.raises(StageError, match=r"6\.2% of the verdicts of step 3 are faults \(allowed 5\.0%\)"):
        refuse_faults(groups[:1], 0.05, step=2, where="rl")


@pytest.mark.parametrize("workers", [1, 2, 8])
def test_shares_hold_every_group_once_and_weigh_alike(workers: int) -> None:
    draw = random.Random(workers)
    groups = [
        dataclasses.replace(
            group(MIXED, tokens=[[7] * draw.randint(1, 900), [7] * draw.randint(1, 900)]), prompt=one.prompt
        )
        for one in prompts(64)
    ]
    shares = deal(groups, workers)
    assert sorted(int(name) for share in shares for name in ids(share)) == list(range(64))
    loads = [sum(one.num_tokens for made in share for one in made.completions) for share in shares]
    assert max(loads) < 1.05 * sum(loads) / workers
    assert all(ids(share) == sorted(ids(share), key=int) for share in shares)


def test_the_overlong_penalty_is_trls() -> None:
    from trl.rewards import get_soft_overlong_punishment

    theirs = get_soft_overlong_punishment(max_completion_len=100, soft_punish_cache=20)
    lengths = [1, 79, 80, 81, 90, 99, 100]
    assert [overlong_penalty(length, 100, 20) for length in lengths] == theirs(
        completion_ids=[[0] * length for length in lengths]
    )
    assert overlong_penalty(100, 100, 0) == 0.0


def test_of_two_right_answers_the_shorter_gains_only_where_it_is_asked_for() -> None:
    both = group([1.0, 1.0], tokens=[[7, 258], [7] * 9 + [258]])
    assert policy_rows([both], stage(max_tokens=10)) == []
    rows = policy_rows([both], stage(max_tokens=10, soft_punish_cache=5))
    assert [row.advantage > 0 for row in rows] == [True, False]


def test_length_control_is_the_formula_and_a_right_answer_stays_above_a_wrong_one() -> None:
    def cost(tokens: int, usual: float | None = 50.0) -> float:
        return length_control(tokens, 100, usual, alpha=0.5, passed_share=0.8)

    assert [cost(tokens) for tokens in (1, 50, 75, 100)] == pytest.approx([0.0, 0.0, -0.2, -0.4])
    assert cost(100, None) == cost(100, 100.0) == 0.0
    assert 1.0 + length_control(100, 100, 0.0, alpha=0.99, passed_share=1.0) > 0.0


def test_the_usual_length_is_the_median_of_earlier_right_answers_also_after_a_resume(tmp_path: Path) -> None:
    lengths = [[7] * 4, [7] * 6, [7] * 20, [7] * 9]
    first = group([1.0, 1.0, 1.0, 0.0], tokens=lengths)
    straight = Successes()
    assert straight.usual([first]) == {}
    straight.add([first])
    write_groups(tmp_path / "step-00001.jsonl", [first])
    for known in (straight, Successes([tmp_path / "step-00001.jsonl"])):
        assert known.usual([first]) == {(first.prompt.source, first.prompt.id): 6}
    rewards = rewards_of(first, stage(max_tokens=20, length_control=0.5), straight.usual([first]))
    assert rewards == pytest.approx([1.0, 1.0, 1.0 - 0.5 * 0.75, -0.5 * 0.75 * 3 / 14])
    assert rewards_of(group([None, 1.0]), stage(), {}) == [None, 1.0]


# ---------------------------------------------------------------- two workers


def shares_in_workers(error: str) -> Any:
    """What each worker gets, or the error that the first raises, as rank 0 sees them. Runs in a worker."""
    import torch.distributed as dist

    from posttrain.machine.ranks import is_first_rank

    def make() -> list[RolloutGroup]:
        assert is_first_rank(), "only the first worker asks"
        if error == "stopped":
            raise Stopped("stopped on request")
        return [dataclasses.replace(group(MIXED), prompt=one.prompt) for one in prompts(4)]

    dealer, seen = Dealer(), [None, None]
    try:
        mine: Any = ids(dealer.share(make))
    except Stopped as stopped:
        mine = stopped.what
    assert dealer.tell(os.environ["RANK"]) == "0"
    dist.all_gather_object(seen, mine)
    return seen


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from posttrain.machine.machine import Machine

    parts: dict[str, Any] = {
        "schema": 1,
        "name": "two",
        "base": {"path": "toy"},
        "stages": [{"kind": "sft", "name": "warm", "data": {"rows": 1.0}, "steps": 1}],
        "cluster": {"trainers": 2},
    }
    with Machine(Recipe.model_validate(parts), tmp_path_factory.mktemp("two") / "logs") as machine:
        yield machine


@pytest.mark.ray
def test_the_first_worker_asks_and_all_get_their_share_or_its_error(two: Any) -> None:
    assert sorted(name for share in two.run(shares_in_workers, error="") for name in share) == ["0", "1", "2", "3"]
    assert two.run(shares_in_workers, error="stopped") == ["stopped on request"] * 2
