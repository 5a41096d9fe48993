"""Batches: what a kill or a stop leaves is taken up, what was at fault is judged again, and nobody can tell from the
answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from posttrain.errors import Stopped
from posttrain.recipe.schema import Chat
from posttrain.sampling.job import AnswerBatches, PromptMixture, SamplingJob, ServedModel
from posttrain.sampling.prompts import encode
from posttrain.sampling.resumable import Waves, judged_answers
from posttrain.signals.stopping import check_wait
from posttrain.types import Prompt, RolloutGroup, SamplingParams
from rewards.types import Outcome, Verdict
from tests.sampling.test_sampler import Bytes, Echo, prompt

PROMPTS = [*(prompt(number) for number in range(5)), prompt(1)]  # one of them twice, in different batches


class Parity:
    """Judges by the parity of the seed at the end of the text; `fault` of its calls fail, `last` of them ask for a stop
    first."""

    def __init__(self, stop_file: Path, *, fault: int = 0, stop_at: int = 0) -> None:
        self.stop_file, self.fault, self.stop_at, self.calls = stop_file, fault, stop_at, 0

    def score(self, verifier: Any, groups: Sequence[RolloutGroup]) -> list[RolloutGroup]:
        self.calls += 1
        if self.calls == self.stop_at:
            self.stop_file.touch()
        check_wait()  # as whoever waits for another process does
        return [
            replace(group, verdicts=tuple(self._verdict(one.text) for one in group.completions)) for group in groups
        ]

    def _verdict(self, text: str) -> Verdict:
        if self.calls == self.fault:
            return Verdict(outcome=Outcome.ERROR, score=None, reason="worker_lost", seconds=0.5)
        right = int(text[-1]) % 2 == 0
        return Verdict(
            outcome=Outcome.CORRECT if right else Outcome.WRONG,
            score=float(right),
            parts={"even": float(right)},
            seconds=0.1,
        )


def ask(
    folder: Path, attempt: int, scorer: Parity, engine: Echo, prompts: Sequence[Prompt] = PROMPTS
) -> list[RolloutGroup]:
    earlier = tuple(folder / f"attempt-{number}" for number in range(attempt - 1, 0, -1))
    batches = AnswerBatches(
        folder=folder / f"attempt-{attempt}", earlier=earlier, stop_file=scorer.stop_file, samples=6
    )
    job = SamplingJob(
        model=ServedModel(engine=engine, folder=folder, id="echo"),  # type: ignore[arg-type]
        chat=Chat(),
        prompts=PromptMixture(weights={}, data={}, recipe_dir=folder, verifier="parity", seed=0, context_tokens=64),
        scorer=scorer,
        sampling=SamplingParams(),
        samples=3,
        output=folder,
        batches=batches,
    )
    return judged_answers(job, [encode(prompt, Bytes(), 64) for prompt in prompts], (), asker="suite")


def test_a_stopped_run_keeps_whole_portions_and_its_successor_gives_the_same_answers(tmp_path: Path) -> None:
    straight = ask(tmp_path / "straight", 1, Parity(tmp_path / "none"), Echo())
    assert [group.prompt for group in straight] == PROMPTS
    # Also of the prompt that came twice.
    assert len({completion.text for group in straight for completion in group.completions}) == 18
    with pytest.raises(Stopped):
        ask(tmp_path / "cut", 1, Parity(tmp_path / "stop", stop_at=3), Echo())
    assert len(list((tmp_path / "cut" / "attempt-1").iterdir())) == 2
    (tmp_path / "stop").unlink()
    engine = Echo()
    assert ask(tmp_path / "cut", 2, Parity(tmp_path / "stop"), engine) == straight
    assert engine.calls == 1


def test_a_batch_with_a_fault_is_judged_again(tmp_path: Path) -> None:
    faulty = ask(tmp_path, 1, Parity(tmp_path / "none", fault=2), Echo())
    assert sum(verdict.outcome is Outcome.ERROR for group in faulty for verdict in group.verdicts) == 6
    engine = Echo()
    mended = ask(tmp_path, 2, Parity(tmp_path / "none"), engine)
    assert engine.calls == 1
    assert all(verdict.outcome is not Outcome.ERROR for group in mended for verdict in group.verdicts)


@pytest.mark.parametrize("share", [0.0, 0.4, 0.5, 0.99])
def test_a_torn_batch_is_sampled_again(tmp_path: Path, share: float) -> None:
    whole = ask(tmp_path, 1, Parity(tmp_path / "none"), Echo())
    torn = sorted((tmp_path / "attempt-1").iterdir())[0]
    data = torn.read_bytes()
    torn.write_bytes(data[: int(share * len(data))] if share != 0.5 else data[: data.index(b"\n") + 1])
    engine = Echo()
    assert ask(tmp_path, 2, Parity(tmp_path / "none"), engine) == whole
    assert engine.calls == 1


def test_answers_to_other_prompts_are_refused(tmp_path: Path) -> None:
    ask(tmp_path, 1, Parity(tmp_path / "none"), Echo())
    with pytest.raises(ValueError, match="where sums/9 was asked"):
        ask(tmp_path, 2, Parity(tmp_path / "none"), Echo(), [prompt(9), *PROMPTS[1:]])


def answers_until(waves: Waves | None, folder: Path, samples: int = 12) -> tuple[list[RolloutGroup], Echo]:
    engine = Echo()
    batches = AnswerBatches(folder=folder, earlier=(), stop_file=folder / "stop", samples=48)
    job = SamplingJob(
        model=ServedModel(engine=engine, folder=folder, id="echo"),  # type: ignore[arg-type]
        chat=Chat(),
        prompts=PromptMixture(weights={}, data={}, recipe_dir=folder, verifier="parity", seed=0, context_tokens=64),
        scorer=Parity(folder / "stop"),
        sampling=SamplingParams(),
        samples=samples,
        output=folder,
        batches=batches,
    )
    asked = [encode(prompt, Bytes(), 64) for prompt in PROMPTS]
    return judged_answers(job, asked, (), asker="filter", waves=waves), engine


def test_waves_ask_the_first_answers_of_all_and_stop_where_they_are_told(tmp_path: Path) -> None:
    everything, _ = answers_until(None, tmp_path / "all")
    waves = Waves(size=1, is_open=lambda verdicts: not any(verdict.passed for verdict in verdicts))
    some, _ = answers_until(waves, tmp_path / "waves")
    for whole, part in zip(everything, some, strict=True):
        count = len(part.completions)
        assert part.completions == whole.completions[:count]  # by index under its own seed, never by who is done first
        assert part.verdicts == whole.verdicts[:count]
        assert [verdict.passed for verdict in part.verdicts] == [False] * (count - 1) + [True]
    assert len({len(group.completions) for group in some}) > 1


def test_waves_end_with_the_last_answer_also_where_the_size_does_not_divide(tmp_path: Path) -> None:
    waves = Waves(size=5, is_open=lambda verdicts: True)
    groups, engine = answers_until(waves, tmp_path)
    assert {len(group.completions) for group in groups} == {12}
    assert engine.calls == 3
