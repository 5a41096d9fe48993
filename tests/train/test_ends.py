"""Ends of a policy stage: a plateau, a guard suite that falls, and what a resume repeats; signs of a gamed reward."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import pytest

from posttrain.errors import StageError
from posttrain.recipe.schema import Alarms, Plateau
from posttrain.sampling.job import GuardSuite, PromptMixture
from posttrain.train.ends import End, end_of, guard_scores, is_plateau
from posttrain.train.policy import train
from posttrain.train.signs import alarms_of, length_drift, num_rewarded, signs_of
from posttrain.types import RolloutGroup, SamplingParams
from tests.train import test_policy
from tests.train.conftest import Jobs, StopAfter, files, metrics, write_rows
from tests.train.test_policy import PROMPTS, Parity, group, rollouts, stage, verdict

engine = test_policy.engine

# ---------------------------------------------------------------- by rows alone


@pytest.mark.parametrize(
    ("rewards", "window", "min_gain", "ends"),
    [
        ([0.1, 0.2, 0.3, 0.4], 2, 0.0, False),
        ([0.1, 0.2, 0.3, 0.4], 2, 0.3, True),
        ([0.3, 0.3, 0.3, 0.3], 2, 0.0, True),
        ([0.3, 0.3, 0.9], 2, 0.0, False),  # too few steps for two means
        ([0.5, 0.5, 0.1, 0.1, 0.4, 0.4], 2, 0.0, True),  # what was lost and won again is no gain
        ([0.5, 0.5, 0.1, 0.1, 0.6, 0.6], 2, 0.0, False),
    ],
)
def test_a_plateau_is_a_mean_that_is_not_above_the_best_before(
    rewards: list[float], window: int, min_gain: float, ends: bool
) -> None:
    assert is_plateau(rewards, Plateau(window=window, min_gain=min_gain)) is ends


def row(**values: float) -> dict[str, float]:
    return {"reward": 0.5, "completion_tokens": 10.0, "same_answer_share": 0.0, "tampered_share": 0.0, **values}


def test_a_guard_ends_the_stage_by_its_fall_from_the_best_and_only_when_it_was_asked() -> None:
    configured = stage(steps=9, early_stop={"guard": {"suite": "s", "every": 2, "max_drop": 0.2}})
    rows = [row(guard_start=0.5), row(guard=0.8), row(), row(guard=0.61)]
    assert guard_scores(rows) == {0: 0.5, 2: 0.8, 4: 0.61} and end_of(rows, configured) is None
    rows[-1] = row(guard=0.59)
    assert end_of(rows, configured) is End.GUARD
    assert end_of([row(guard_start=0.5), row(guard=0.3)], configured) is None  # 0.5 - 0.3 is above 0.2 by rounding
    assert end_of([row(guard_start=0.8), row(guard=0.6)], configured) is None
    assert end_of([*rows, row()], configured) is None
    assert end_of([row()] * 9, configured) is End.STEPS


def test_signs_are_counted_over_the_step() -> None:
    def answers(*texts: str) -> RolloutGroup:
        made = group([1.0] * len(texts))
        named = zip(made.completions, texts, strict=True)
        return dataclasses.replace(made, completions=tuple(dataclasses.replace(one, text=text) for one, text in named))

    tampered = dataclasses.replace(verdict(0.0), reason="tamper")
    caught = dataclasses.replace(answers("x", "y"), verdicts=(tampered, verdict(1.0)))
    assert signs_of([answers("a", "a"), answers("b", "a"), answers("a", "c"), caught]) == {
        "same_answer_share": pytest.approx(2 / 3),
        "tampered_share": 1 / 8,
    }
    assert signs_of([answers("a", "a")])["same_answer_share"] == 0.0
    assert num_rewarded([group([1.0, 0.0, None, 0.2])]) == 2


def test_each_alarm_has_its_bound_and_says_what_it_saw() -> None:
    rules = Alarms(window=2, same_answer_share=0.5, length_drift=2.0, flat_guard_gain=0.2)

    def names(*rows: dict[str, float], guard: dict[int, float] | None = None) -> list[str]:
        return list(alarms_of(rows, guard or {}, rules))

    assert names(row(same_answer_share=0.5)) == [] and names(row(same_answer_share=0.51)) == ["same_answer"]
    assert names(row(tampered_share=0.01)) == ["tamper"] and names(row(canaries_rewarded=1.0)) == ["canary"]
    assert names(row(length_drift=2.0)) == [] and names(row(length_drift=0.4)) == ["length_drift"]
    rising = [row(reward=value) for value in (0.1, 0.1, 0.3, 0.5)]
    assert names(*rising, guard={0: 0.4, 4: 0.4}) == ["flat_guard"]
    assert names(*rising, guard={0: 0.4, 4: 0.5}) == names(*rising, guard={0: 0.4, 2: 0.4}) == []
    assert length_drift([row(), row(completion_tokens=30.0)], 2) == 1.0
    assert length_drift([row(), row(), row(completion_tokens=30.0)], 2) == 2.0 and length_drift([row()], 2) is None


# ---------------------------------------------------------------- a whole stage


class Falling(Parity):
    """A scorer whose guard suite gives 2, 4, 1, ... right answers of 6, look by look; canaries are never right, or all
    of them; None: faults."""

    def __init__(self, right: Sequence[int] = (), canaries: float | None = 0.0) -> None:
        super().__init__()
        self.right, self.canaries = list(right), canaries

    def gold_problems(self, verifier: Any, prompts: Sequence[Any]) -> list[None]:
        return [None] * len(prompts)

    def score(self, verifier: str, groups: Sequence[RolloutGroup]) -> list[RolloutGroup]:
        if verifier == "parity":
            return super().score(verifier, groups)
        right = self.right.pop(0) if verifier == "guard" else 0
        scores: list[float | None] = [
            float(n < right) if verifier == "guard" else self.canaries for n in range(len(groups))
        ]
        return [
            dataclasses.replace(made, verdicts=tuple(verdict(score) for _ in made.completions))
            for made, score in zip(groups, scores, strict=True)
        ]


def run(jobs: Jobs, engine: Any, scorer: Falling, configured: Any, **changes: Any) -> tuple[Any, dict[str, Any]]:
    rows = [{"id": prompt.id, "prompt": prompt.messages[-1]["content"], "gold": prompt.gold} for prompt in PROMPTS]
    (jobs.folder / "card.md").write_text("---\nlicense: mit\n---\n")
    data = write_rows(jobs.folder / "held_out.jsonl", rows)
    job = jobs.make(configured, **changes)
    asked = PromptMixture(
        weights={"held_out": 1.0},
        data={"held_out": data},
        recipe_dir=jobs.folder,
        verifier="guard",
        seed=3,
        context_tokens=64,
    )
    guard = GuardSuite(prompts=asked, sampling=SamplingParams(temperature=0.6, max_tokens=6), samples=1)
    source = dataclasses.replace(
        rollouts(job, engine, scorer),
        guard=guard if configured.early_stop.guard else None,
        canaries=dataclasses.replace(asked, verifier="canary") if configured.alarms.canaries else None,
    )
    return job, train(job, source)


GUARD = {"suite": "s", "every": 1, "max_drop": 0.2}


def test_a_guard_that_falls_ends_the_stage_with_the_best_weights_also_after_a_resume(jobs: Jobs, engine: Any) -> None:
    """1, 2, 3, 5, then 2 of 6 right: the weights after three steps count, though the resumed attempt did not make
    them."""
    configured = stage(steps=6, save_every=5, early_stop={"guard": GUARD})
    straight, facts = run(jobs, engine, Falling([1, 2, 3, 5, 2]), configured)
    assert [facts[key] for key in ("steps", "ended", "published_step")] == [4, "guard", 3]
    scores = [facts[key] for key in ("guard_start", "guard_published", "guard_last")]
    assert scores == pytest.approx([1 / 6, 5 / 6, 2 / 6], abs=1e-6)
    assert [row["guard"] for row in metrics(straight)] == pytest.approx([2 / 6, 3 / 6, 5 / 6, 2 / 6], abs=1e-6)
    best, _ = run(jobs, engine, Falling(), stage(steps=3))
    published = files(straight.output / "model")
    assert published == files(best.output / "model")
    kept = [path.name for path in sorted((straight.attempt / "best").iterdir())]
    assert kept == ["step-00001", "step-00002", "step-00003"]  # one for each checkpoint that may be resumed from

    _, told = run(jobs, engine, Falling([1, 2, 3, 5]), configured, stop_file=StopAfter(2))
    assert told == {"stopped": True}
    resumed, again = run(jobs, engine, Falling([2]), configured, resume=True)
    assert resumed.resume.step == 3 and again == facts
    assert files(resumed.output / "model") == published and metrics(resumed) == metrics(straight)
    assert files(resumed.attempt / "rollouts") == files(straight.attempt / "rollouts")


def test_a_plateau_ends_the_stage_and_a_resume_after_it_only_publishes(jobs: Jobs, engine: Any) -> None:
    configured = stage(steps=9, save_every=5, early_stop={"plateau": {"window": 1, "min_gain": 1.0}})
    job, facts = run(jobs, engine, Falling(), configured)
    assert (facts["steps"], facts["ended"], facts["published_step"]) == (2, "plateau", 2)
    resumed, again = run(jobs, engine, Falling(), configured, resume=True)
    assert resumed.resume.step == 2 and again == facts
    assert files(resumed.output / "model") == files(job.output / "model") and metrics(resumed) == metrics(job)


def test_a_rewarded_canary_is_an_alarm_and_stops_the_stage_where_the_recipe_says_so(jobs: Jobs, engine: Any) -> None:
    alarms: dict[str, Any] = {"canaries": {"data": "held_out", "verifier": "canary", "per_step": 2}, "window": 2}
    clean, facts = run(jobs, engine, Falling(), stage(alarms=alarms))
    assert [row["canaries_rewarded"] for row in metrics(clean)] == [0.0, 0.0, 0.0] and "alarms" not in facts
    _, facts = run(jobs, engine, Falling(canaries=1.0), stage(alarms=alarms))
    assert facts["alarms"] == {"canary": 3} and facts["ended"] == "steps"
    with pytest.raises(StageError, match="of the verdicts of step 1 are faults") as caught:
        run(jobs, engine, Falling(canaries=None), stage(alarms=alarms))
    assert caught.value.where == "rl, canaries"
    with pytest.raises(StageError, match="step 1 looks gamed: 2 answers to prompts without a right one were rewarded"):
        run(jobs, engine, Falling(canaries=1.0), stage(alarms=alarms | {"on_alarm": "stop"}))


class FirstGamed(Parity):
    """The first groups tamper with the judge, and are worth nothing; of the others every second answer is right."""

    calls = 0

    def score(self, verifier: str, groups: Sequence[RolloutGroup]) -> list[RolloutGroup]:
        self.calls += 1
        gamed = [dataclasses.replace(verdict(0.0), reason="tamper")] * 4
        given = gamed if self.calls == 1 else [verdict(float(n % 2)) for n in range(4)]
        return [dataclasses.replace(made, verdicts=tuple(given)) for made in groups]


def test_signs_are_looked_for_in_replaced_groups_too(jobs: Jobs, engine: Any) -> None:
    job = jobs.make(stage(steps=1, max_resampled=2))
    train(job, rollouts(job, engine, FirstGamed()))
    (row,) = metrics(job)
    assert (row["tampered_share"], row["signal_share"], row["alarm_tamper"]) == (0.5, 1.0, 1.0)
