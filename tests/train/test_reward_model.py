"""The pairwise reward model learns a rule that can be seen from the first letter, in both orders, and its measures can
fail."""

from __future__ import annotations

from typing import Any

import pytest

from posttrain.data.template import ChatTemplate
from posttrain.errors import DataError
from posttrain.recipe.schema import RewardModel
from posttrain.train.reward_model import Comparison, comparisons, draw_orders, label_ids, num_held_out, train
from posttrain.types import PreferencePair
from tests.train.conftest import CHAT, Jobs, StopAfter, files, metrics, write_rows

pytestmark = pytest.mark.usefixtures("no_logits")
PAIRS = [
    {"prompt": "say", "chosen": "<think>x</think>" + "!" * (4 + n % 3), "rejected": "?" * (4 + n % 2)}
    for n in range(40)
]


def stage(**options: Any) -> RewardModel:
    values = {
        "kind": "reward_model",
        "name": "judge",
        "data": {"pairs": 1.0},
        "steps": 4,
        "batch_size": 8,
        "micro_batch_size": 8,
        "max_tokens": 512,
        "learning_rate": 1e-2,
        "schedule": "constant",
        "warmup_share": 0.0,
    }
    return RewardModel.model_validate(values | options)


@pytest.fixture
def data(jobs: Jobs) -> dict[str, Any]:
    return {"pairs": write_rows(jobs.folder / "pairs.jsonl", PAIRS)}


def test_a_rule_that_one_letter_tells_is_learned_in_both_orders(jobs: Jobs, data: dict[str, Any]) -> None:
    job = jobs.make(stage(steps=40, batch_size=16, micro_batch_size=16, learning_rate=3e-3), data)
    facts = train(job)
    curve = metrics(job)
    assert curve[0]["accuracy"] < 0.6 and curve[0]["loss"] > 4.0  # it did not even know that a label is asked for
    assert sum(row["accuracy"] for row in curve[-5:]) / 5 > 0.9
    assert facts["held_out_pairs"] == 4 and facts["held_out_accuracy"] == 1.0 and facts["swap_consistency"] == 1.0


def test_every_pair_comes_in_both_orders_without_its_thinking(jobs: Jobs) -> None:
    template = ChatTemplate.load(jobs.model, CHAT)
    turns = ({"role": "user", "content": "say"},)
    pair = PreferencePair(id="1", source="pairs", messages=turns, chosen="<think>secret</think>good", rejected="bad")
    first, second = comparisons(pair, 1, template)
    one, other = template.decode(first.prompt), template.decode(second.prompt)
    assert one.index("good") < one.index("bad") and other.index("bad") < other.index("good")
    assert "secret" not in one + other
    assert (first.label, second.label) == label_ids(template) and first.label != second.label
    assert (first.pair, second.pair) == (1, 1)


def test_the_two_orders_of_a_pair_are_drawn_side_by_side_and_each_pair_once_a_pass() -> None:
    pairs = {"a": [tuple(Comparison(prompt=(n,), label=label, pair=n) for label in (0, 1)) for n in range(6)]}
    drawn = draw_orders(pairs, {"a": 1.0}, 24, seed=3)
    assert all((one.pair, one.label, other.label) == (other.pair, 0, 1) for one, other in batched(drawn))
    assert sorted(one.pair for one, _ in batched(drawn[:12])) == list(range(6))
    assert len(draw_orders(pairs, {"a": 1.0}, 7, seed=3)) == 7


def batched(rows: list[Comparison]) -> list[tuple[Comparison, Comparison]]:
    return list(zip(rows[::2], rows[1::2], strict=True))


def test_the_turns_before_the_question_are_shown_as_the_judge_is_shown_them(jobs: Jobs) -> None:
    template = ChatTemplate.load(jobs.model, CHAT)
    turns = (
        {"role": "user", "content": "tree"},
        {"role": "assistant", "content": "<think>secret</think>elm"},
        {"role": "user", "content": "why"},
    )
    pair = PreferencePair(id="1", source="pairs", messages=turns, chosen="good", rejected="bad")
    text = template.decode(comparisons(pair, 0, template)[0].prompt)
    assert text.index("tree") < text.index("elm") < text.index("why") < text.index("good") and "secret" not in text


def test_one_pair_is_too_few_to_keep_one_for_measuring() -> None:
    with pytest.raises(DataError, match=r"data 'pairs' has 1 pair, and held_out_share 0.1 keeps 1 of them"):
        num_held_out("pairs", 1, 0.1)
    assert (num_held_out("pairs", 1, 0.0), num_held_out("pairs", 2, 0.1), num_held_out("pairs", 40, 0.1)) == (0, 1, 4)


def test_splitting_and_resuming_change_nothing(jobs: Jobs, data: dict[str, Any]) -> None:
    straight = jobs.make(stage(save_every=2), data)
    train(straight)
    split = jobs.make(stage(micro_batch_size=2), data)
    train(split)
    assert [row["loss"] for row in metrics(split)] == pytest.approx(
        [row["loss"] for row in metrics(straight)], abs=1e-5
    )
    stopped = jobs.make(stage(save_every=2), data, stop_file=StopAfter(2))
    assert train(stopped) == {"stopped": True}
    resumed = jobs.make(stage(save_every=2), data, resume=True)
    train(resumed)
    assert files(resumed.output / "model") == files(straight.output / "model") and metrics(resumed) == metrics(straight)


def test_pairs_that_are_all_too_long_are_an_error(jobs: Jobs, data: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="no pair of data 'pairs' is left to train on: 40 read, 40 longer than max_tok"):
        train(jobs.make(stage(max_tokens=16), data))
