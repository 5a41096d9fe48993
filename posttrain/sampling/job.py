"""One record for sampling work, beside the one for training (train/job.py): what a step hands to a trainer worker,
which has the tokenizer. Picklable; imports no torch.

    stage ── SamplingJob(model, prompts, ...) ──> machine.run(evaluate | filter_prompts | make_pairs, job, ...)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from posttrain.recipe.schema import Chat, Data
from posttrain.rollout.engine import Engine
from posttrain.types import Prompt, SamplingParams

SAMPLES_PER_ENGINE = 2048
"""Some times what an engine decodes together, so that the wait for the last answers of a batch costs little."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ServedModel:
    """A model that can be asked: its engine, the folder of its tokenizer, and the id of the artefact it is.

    Example: ServedModel(engine=engine, folder=Path("runs/.store/artefacts/sft-3f9a/model"), id="sft-3f9a")
    """

    engine: Engine
    folder: Path
    id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class PromptMixture:
    """The prompts that a step asks: data sets by weight, the verifier of each, and the room that an answer needs.

    Example: PromptMixture(weights={"sums": 1.0}, data={"sums": ToyData(...)}, recipe_dir=Path("recipes"),
    verifier="math", seed=7, context_tokens=4096)
    """

    weights: Mapping[str, float]  # data set -> weight
    data: Mapping[str, Data]
    recipe_dir: Path
    verifier: str | Mapping[str, str]  # a name for all prompts, or one a data set
    seed: int
    context_tokens: int


@dataclass(frozen=True, kw_only=True, slots=True)
class AnswerBatches:
    """Where finished batches are kept and looked for. earlier: the same folder of previous attempts; samples: answers
    a batch."""

    folder: Path
    earlier: tuple[Path, ...]
    stop_file: Path
    samples: int


@dataclass(frozen=True, kw_only=True, slots=True)
class SamplingJob:
    """One step's sampling: `samples` answers of `model` to each prompt, judged by `scorer`, published in `output`.

    Example: SamplingJob(model=ServedModel(...), chat=Chat(...), prompts=PromptMixture(...), scorer=scorer,
    sampling=SamplingParams(max_tokens=96), samples=16, output=Path(...), batches=AnswerBatches(...))
    """

    model: ServedModel
    chat: Chat
    prompts: PromptMixture
    scorer: Any  # the machine's Scorer, or a proxy to it
    sampling: SamplingParams
    samples: int
    output: Path
    batches: AnswerBatches
    smoke: bool = False  # models after two steps are neither right nor done: every prompt and answer is taken


@dataclass(frozen=True, kw_only=True, slots=True)
class TeacherAnswers:
    """Who writes the good answers of pairs. chat: how the teacher is asked where it has a tokenizer and template of its
    own; None: as the student.

    Example: TeacherAnswers(model=ServedModel(...), samples=4)
    """

    model: ServedModel
    samples: int
    chat: Chat | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class FilterAnswers:
    """Answers to the prompts that a filter kept. version: the id of the model that gave them, from which the stage
    starts; seed: the filter's.

    Example: FilterAnswers(path=Path(".../kept_rollouts.jsonl"), version="sft-3f9a", seed=77)
    """

    path: Path
    version: str
    seed: int


@dataclass(frozen=True, kw_only=True, slots=True)
class GuardSuite:
    """A suite that is asked while a policy trains: `samples` answers a problem.

    Example: GuardSuite(prompts=PromptMixture(...), sampling=SamplingParams(max_tokens=96), samples=1)
    """

    prompts: PromptMixture
    sampling: SamplingParams
    samples: int


@dataclass(frozen=True, kw_only=True, slots=True)
class FollowingEngine:
    """The engine that answers with the weights of a student in training. tolerance, takes_turns: as of a
    RolloutSource.

    Example: FollowingEngine(engine=engine, tolerance=None)
    """

    engine: Engine
    tolerance: float | None
    takes_turns: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class RolloutSource:
    """What RL asks while it trains: the engine that follows the weights, the scorer, and the prompts: those that a
    filter kept, or all of the mixture where `kept` is None. tolerance: nats, of the check after each hand-over; None:
    by the engine's dtype; filtered: the filter's answers, where the first groups begin with them;
    guard, canaries: what is asked beside the prompts and not trained on; takes_turns: engines and trainers have the
    same GPUs."""

    engine: Engine
    scorer: Any
    prompts: PromptMixture
    kept: tuple[Prompt, ...] | None
    tolerance: float | None
    filtered: FilterAnswers | None = None
    guard: GuardSuite | None = None
    canaries: PromptMixture | None = None
    takes_turns: bool = False

    @property
    def following(self) -> FollowingEngine:
        """The engine alone."""
        return FollowingEngine(engine=self.engine, tolerance=self.tolerance, takes_turns=self.takes_turns)
