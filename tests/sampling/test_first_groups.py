"""First groups: the filter's answers by their index, continued to whole groups, whatever stopped when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from posttrain.data.difficulty import settled
from posttrain.errors import StageError
from posttrain.recipe.schema import Chat
from posttrain.sampling.first_groups import FirstGroups
from posttrain.sampling.job import AnswerBatches, FilterAnswers, PromptMixture, SamplingJob, ServedModel
from posttrain.sampling.resumable import Waves, judged_answers
from posttrain.sampling.rollout_files import write_groups
from posttrain.types import Completion, EncodedPrompt, GenerationRequest, RolloutGroup, SamplingParams, Segment
from rewards.types import Outcome, Verdict
from tests.sampling.test_sampler import Echo, encoded, prompt

K, SEED = 16, 7
PROMPTS = [encoded(prompt(number)) for number in range(40)]


def is_right(seed: int) -> bool:
    return seed % 3 == 0


class RightIsShort(Echo):
    """Right answers have 2 to 4 tokens, wrong ones 20 to 90: whoever takes what is done first takes the right ones."""

    def generate(self, requests: Sequence[GenerationRequest], sampling: SamplingParams) -> list[list[Completion]]:
        def sized(one: Completion) -> Completion:
            tokens = 2 + one.seed % 3 if is_right(one.seed) else 20 + one.seed % 71
            return replace(one, segments=(Segment(token_ids=(1,) * tokens, logprobs=(-0.5,) * tokens),))

        return [list(map(sized, group)) for group in super().generate(requests, sampling)]


def judged(one: Completion) -> Verdict:
    right = is_right(one.seed)
    return Verdict(outcome=Outcome.CORRECT if right else Outcome.WRONG, score=float(right))


class Scorer:
    def score(self, verifier: Any, groups: Sequence[RolloutGroup]) -> list[RolloutGroup]:
        return [replace(group, verdicts=tuple(map(judged, group.completions))) for group in groups]


def filtered(
    folder: Path, wave: int, version: str = "base-1", prompts: Sequence[EncodedPrompt] = PROMPTS
) -> list[RolloutGroup]:
    """A filter's answers, `wave` at a time until each prompt is settled; in the folder as it publishes them."""

    def is_open(verdicts: Sequence[Verdict]) -> bool:
        return settled([verdict.passed for verdict in verdicts], K, 0.1, 0.9) is None

    folder.mkdir()
    job = SamplingJob(
        model=ServedModel(engine=RightIsShort(version), folder=folder, id=version),  # type: ignore[arg-type]
        chat=Chat(),
        prompts=PromptMixture(weights={}, data={}, recipe_dir=folder, verifier="v", seed=SEED, context_tokens=64),
        scorer=Scorer(),
        sampling=SamplingParams(),
        samples=K,
        output=folder,
        batches=AnswerBatches(folder=folder / "batches", earlier=(), stop_file=folder / "stop", samples=64),
    )
    waves = Waves(size=wave, is_open=is_open) if wave else None
    groups = judged_answers(job, prompts, (), asker="filter", waves=waves)
    write_groups(folder / "kept.jsonl", groups)
    return groups


def first(folder: Path, prompts: Sequence[EncodedPrompt] = PROMPTS, version: str = "base-1") -> FirstGroups:
    return FirstGroups(FilterAnswers(path=folder / "kept.jsonl", version=version, seed=SEED), prompts)


@pytest.mark.parametrize("group", [4, 16, 24])
def test_groups_are_those_of_a_filter_that_never_stops_also_where_right_answers_are_the_short_ones(
    tmp_path: Path, group: int
) -> None:
    """Whoever took the first that are done, or the ones at hand alone, would have a share of right answers too high."""
    early, whole = filtered(tmp_path / "early", wave=2), filtered(tmp_path / "whole", wave=0)
    counts = [len(one.completions) for one in early]
    assert min(counts) < 8 < max(counts)
    engine = RightIsShort("stem@0")
    groups = first(tmp_path / "early").sample(engine, PROMPTS, group, SamplingParams())
    shared = min(group, K)
    seeds = [[one.seed for one in made.completions[:shared]] for made in groups]
    assert seeds == [[one.seed for one in made.completions[:shared]] for made in whole]
    texts = [[one.text for one in made.completions[:shared]] for made in groups]
    assert texts == [[one.text for one in made.completions[:shared]] for made in whole]
    assert all(len({one.seed for one in made.completions}) == len(made.completions) == group for made in groups)
    # The filter's own, with their log-probabilities, up to where it stopped; the engine's from there on.
    for made, count in zip(groups, counts, strict=True):
        versions = [one.policy_version for one in made.completions]
        assert versions == (["base-1"] * count + ["stem@0"] * group)[:group]
    assert engine.calls == 1 if group > min(counts) else engine.calls == 0
    assert groups[0].prompt_ids == PROMPTS[0].ids and groups[0].verdicts == ()


def test_an_answer_of_the_filter_is_given_once(tmp_path: Path) -> None:
    filtered(tmp_path / "f", wave=2)
    held = first(tmp_path / "f")
    once, again = (held.sample(RightIsShort("stem@0"), PROMPTS[:2], 4, SamplingParams()) for _ in range(2))
    seeds = {one.seed for group in once + again for one in group.completions}
    assert len(seeds) == 16
    assert {one.policy_version for group in again for one in group.completions} == {"stem@0"}


def test_prompts_that_share_an_id_each_begin_with_their_own_answers(tmp_path: Path) -> None:
    named = [replace(prompt(number), id="same") for number in range(3)]
    shared = [encoded(one) for one in (*named, named[0])]  # and one stands there twice
    filtered(tmp_path / "f", wave=0, prompts=shared)
    engine = RightIsShort("stem@0")
    groups = first(tmp_path / "f", shared).sample(engine, shared[::-1], K, SamplingParams())
    assert engine.calls == 0 and len({one.seed for group in groups for one in group.completions}) == 4 * K
    said = [{one.text.partition("?")[0] for one in group.completions} for group in groups]
    assert said == [{"0"}, {"2"}, {"1"}, {"0"}]


def test_answers_of_another_model_are_refused(tmp_path: Path) -> None:
    filtered(tmp_path / "f", wave=2, version="base-2")
    with pytest.raises(
        StageError, match=r"answers to sums/0 are of base-2, and the stage starts from base-1"
    ) as caught:
        first(tmp_path / "f")
    assert caught.value.remedy
