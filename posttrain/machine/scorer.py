"""Groups of answers to groups with verdicts: the joint between rollouts and `rewards`. Lives in an actor of its own and
does not know it.

Verifiers are built on first use and kept, with their worker pools and the code judge. A judge model is an engine
somebody else owns. Knows no stage: what a fault means for a run (stop, or leave the answer out) is the caller's.
"""

from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from posttrain.errors import BackendError, InputError, RecipeError
from posttrain.factory.asking import Trial
from posttrain.factory.trials import run_trials
from posttrain.machine.judges import JudgePool, Placement, judge_on_each_node
from posttrain.rollout.engine import Engine
from posttrain.types import GenerationRequest, Prompt, RolloutGroup, SamplingParams
from rewards.contract.verifier import BatchVerifier
from rewards.errors import VerifierError
from rewards.load import build_verifier
from rewards.services import Services
from rewards.types import JudgeModel, Request, Verdict, last_user_turn

if TYPE_CHECKING:
    from sandbox.judge import Judge


class EngineJudge:
    """An engine and its tokenizer as the model a verifier asks (rewards.types.JudgeModel), greedy.

    A prompt is asked as a user turn of the checkpoint's chat template, as the reward model was trained; without one,
    plain.
    """

    def __init__(self, engine: Engine, model_dir: str | Path) -> None:
        from transformers import AutoTokenizer

        self._engine = engine
        self._tokenizer: Any = AutoTokenizer.from_pretrained(str(model_dir))

    def complete(self, prompts: list[str], *, max_tokens: int) -> list[str]:
        stops = () if self._tokenizer.eos_token_id is None else (int(self._tokenizer.eos_token_id),)
        requests = [GenerationRequest(prompt_ids=tuple(self._ask(prompt)), seeds=(0,)) for prompt in prompts]
        answers = self._engine.generate(
            requests, SamplingParams(temperature=0.0, max_tokens=max_tokens, stop_token_ids=stops)
        )
        return [answer[0].text for answer in answers]

    def label_logprobs(self, prompts: list[str], labels: list[str]) -> list[list[float]]:
        ids = []
        for label in labels:
            encoded = self._encode(label)
            if len(encoded) != 1:
                raise VerifierError(
                    f"label {label!r} is {len(encoded)} tokens of the judge model", remedy="take labels of one token"
                )
            ids.append(encoded[0])
        return self._engine.next_token_logprobs([self._ask(prompt) for prompt in prompts], ids)

    def _ask(self, prompt: str) -> list[int]:
        if not self._tokenizer.chat_template:
            return self._encode(prompt)
        turns = [{"role": "user", "content": prompt}]
        return self._encode(self._tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))

    def _encode(self, text: str) -> list[int]:
        return [int(token) for token in self._tokenizer.encode(text, add_special_tokens=False)]


class Scorer:
    """All verifiers of a recipe. verifiers: name -> spec; sandbox: the recipe's `sandbox:`; think: the tags around
    reasoning.

    judges: in a pipeline, how to start a judge on each node; None judges in this process.
    """

    def __init__(
        self,
        verifiers: Mapping[str, Mapping[str, Any]],
        sandbox: Mapping[str, Any],
        think: Sequence[str],
        judges: Placement | None = None,
    ) -> None:
        self._specs = dict(verifiers)
        self._sandbox = dict(sandbox)
        self._think = (think[0], think[1])
        self._built: dict[str, BatchVerifier] = {}
        self._models: dict[str, JudgeModel] = {}
        self._judges = judges
        self._judge: Judge | JudgePool | None = None
        self._outcomes: Counter[str] = Counter()

    def use_models(self, models: Mapping[str, tuple[Engine, str | Path]]) -> None:
        """Engines that verifiers may ask: name in `model: {stage: <name>}` -> (engine, folder of its tokenizer)."""
        for name, (engine, model_dir) in models.items():
            self._models[name] = EngineJudge(engine, model_dir)
        self._built.clear()  # a verifier may hold the engine it was built with

    def score(self, verifier: str | Mapping[str, str], groups: Sequence[RolloutGroup]) -> list[RolloutGroup]:
        """A verdict for each completion; one batch a verifier. verifier: a name for all prompts, or one a source of
        prompts."""
        by_name: defaultdict[str, list[int]] = defaultdict(list)
        for index, group in enumerate(groups):
            by_name[self._name_for(verifier, group.prompt)].append(index)
        scored = list(groups)
        for name, indices in by_name.items():
            batches = [
                [_request(group, position) for position in range(len(group.completions))]
                for group in (groups[i] for i in indices)
            ]
            verdicts = self._verifier(name).verify_many(batches)
            for index, row in zip(indices, verdicts, strict=True):
                scored[index] = dataclasses.replace(groups[index], verdicts=tuple(row))
                self._outcomes.update(str(verdict.outcome) for verdict in row)
        return scored

    def verify(self, name: str, requests: Sequence[Request]) -> list[Verdict]:
        """Judge single answers (golds, answers from a file)."""
        return [row[0] for row in self._verifier(name).verify_many([[request] for request in requests])]

    def try_programs(self, trials: Sequence[Trial]) -> list[Any]:
        """What the code judge finds of programs that a stage made (posttrain/factory/trials.py)."""
        return run_trials(cast("Judge", self._open_judge()), trials)

    def gold_problems(self, verifier: str | Mapping[str, str], prompts: Sequence[Prompt]) -> list[str | None]:
        """What is wrong with the gold of each prompt [P] of one source, or None; asked once, when the prompts are
        loaded."""
        if not prompts:
            return []
        name = self._name_for(verifier, prompts[0])
        asked = [
            Request(response="", gold=prompt.gold, reference=prompt.reference, metadata=prompt.metadata)
            for prompt in prompts
        ]
        try:
            return self._verifier(name).gold_problems(asked)
        except VerifierError as error:
            raise InputError(error.what, where=f"verifiers.{name}", remedy=error.remedy) from error

    def outcomes(self) -> dict[str, int]:
        """Verdicts so far, by outcome."""
        return dict(sorted(self._outcomes.items()))

    def judge(self) -> dict[str, Any] | None:
        """The isolation at which code was judged, and the images it ran in; None when none was."""
        return None if self._judge is None else {"level": str(self._judge.level), "images": self._judge.images}

    def close(self) -> None:
        if self._judge is not None:
            self._judge.close()
            self._judge = None

    def _name_for(self, verifier: str | Mapping[str, str], prompt: Prompt) -> str:
        if isinstance(verifier, str):
            return verifier
        if prompt.source not in verifier:
            raise RecipeError(
                f"no verifier for prompts of {prompt.source!r}",
                where="verifier",
                remedy=f"name one beside {', '.join(sorted(verifier))}",
            )
        return verifier[prompt.source]

    def _verifier(self, name: str) -> BatchVerifier:
        if name not in self._built:
            if name not in self._specs:
                raise RecipeError(
                    f"unknown verifier {name!r}",
                    where="verifiers",
                    remedy=f"one of {', '.join(sorted(self._specs)) or 'none'}",
                )
            # A pool is to verifiers what a judge is: `run` and `level`.
            judge = cast("Callable[[], Judge]", self._open_judge)
            services = Services(judge=judge, model=self._model, think=self._think)
            try:
                self._built[name] = build_verifier(self._specs[name], services)
            except VerifierError as error:
                raise InputError(str(error), where=f"verifiers.{name}") from error
        return self._built[name]

    def _model(self, reference: Mapping[str, Any]) -> JudgeModel:
        name = str(reference.get("stage", ""))
        if name not in self._models:
            raise VerifierError(
                f"no engine for model {dict(reference)!r}",
                remedy=f"stages at hand: {', '.join(sorted(self._models)) or 'none'}",
            )
        return self._models[name]

    def _open_judge(self) -> Judge | JudgePool:
        if self._judge is None and self._judges is not None:
            self._judge = judge_on_each_node(self._sandbox, self._judges)
        if self._judge is None:
            from sandbox.errors import SandboxError
            from sandbox.judge import Judge

            try:
                self._judge = Judge(**self._sandbox)
            except SandboxError as error:
                raise BackendError(str(error), where="sandbox") from error
        return self._judge


def _request(group: RolloutGroup, position: int) -> Request:
    """One answer as verifiers see it."""
    completion, prompt = group.completions[position], group.prompt
    return Request(
        response=completion.text,
        gold=prompt.gold,
        question=last_user_turn(prompt.messages),
        messages=prompt.messages,
        stop_reason=str(completion.stop_reason),
        num_tokens=completion.num_tokens,
        reference=prompt.reference,
        metadata=prompt.metadata,
    )
