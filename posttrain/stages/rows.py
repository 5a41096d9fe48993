"""The stages that make rows by asking models: their rows, models and judges put together, then handed to the factory.

Servers are asked from this process; own checkpoints through the machine's engines, which are given back at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from posttrain.data.source import load_conversations, write_set_aside
from posttrain.data.source_rows import SourceRow, load_asked_rows, load_source_rows
from posttrain.factory.asking import Answerer, Check, Trial
from posttrain.factory.card import CardSource
from posttrain.factory.row_work import Kit
from posttrain.factory.servers import ServerModel
from posttrain.factory.templates import Prompts
from posttrain.factory.work import StageWork, run_stage
from posttrain.recipe.cards import data_facts, read_card
from posttrain.recipe.engines import engines_of
from posttrain.recipe.files import prompt_files
from posttrain.recipe.resolve import is_made_by_data_stage
from posttrain.recipe.schema import AskingStage, StageData
from posttrain.sampling.job import SAMPLES_PER_ENGINE
from posttrain.stages.data_at_hand import MADE_CARD, data_at_hand
from posttrain.stages.protocol import StepContext
from posttrain.stages.sampling import scorer_for
from posttrain.stages.training import stage_of
from posttrain.store.reference import model_dir

ROWS_PER_SERVER_REQUEST = 4  # rows under way for each request that a server takes at once: most wait for another


class VerifyStage:
    """Which candidates are right, and which of the right ones teach most."""

    VERSION = 3

    def run(self, ctx: StepContext) -> dict[str, Any]:
        return make_rows(ctx)


class PreferStage:
    """Pairs of a better and a worse answer, by rules or by a judge."""

    VERSION = 1

    def run(self, ctx: StepContext) -> dict[str, Any]:
        return make_rows(ctx)


class RefineStage:
    """Drafts scored by a checklist and revised until they pass."""

    VERSION = 3

    def run(self, ctx: StepContext) -> dict[str, Any]:
        return make_rows(ctx)


class ReconstructStage:
    """Chains of thought written anew to answers that are known."""

    VERSION = 3

    def run(self, ctx: StepContext) -> dict[str, Any]:
        return make_rows(ctx)


class TestsStage:
    """Tests for problems of code, each run in the judge before it is kept."""

    __test__ = False  # pytest: not a test class
    VERSION = 3

    def run(self, ctx: StepContext) -> dict[str, Any]:
        return make_rows(ctx)


def make_rows(ctx: StepContext, *, scorer: Callable[[], Any] | None = None, has_card: bool = True) -> dict[str, Any]:
    """The rows of a stage that asks models, published. scorer: where it is not the machine's."""
    stage: AskingStage = stage_of(ctx)
    rows, faults = read_rows(ctx, stage.data, load_asked_rows)
    opened = _Models(ctx, stage)
    try:
        kit = Kit(
            models=stage.models,
            versions=opened.versions,
            prompts=Prompts(stage.kind, prompt_files(stage, ctx.recipe_dir)),
            think=(ctx.recipe.chat.think[0], ctx.recipe.chat.think[1]),
            seed=ctx.seed,
        )
        metrics = run_stage(
            StageWork(
                stage=stage,
                rows=rows,
                faulty_rows=write_set_aside(ctx.output, {stage.data: faults}),
                kit=kit,
                models=opened.models,
                checker=rule_checker(scorer or (lambda: scorer_for(ctx))),
                sources=card_sources(ctx, stage.data) if has_card else [_no_card(stage.data)],
                output=ctx.output,
                attempt=ctx.attempt,
                earlier=ctx.previous,
                fingerprint=ctx.step.id,
                window=window_of(opened.models, stage, engines_of(ctx.recipe, "policy").engines),
                check_stop=ctx.check_stop,
                progress=ctx.progress,
                smoke=ctx.smoke,
            )
        )
    finally:
        opened.release()
    return metrics


def read_rows(
    ctx: StepContext, name: str, load: Callable[..., Any] = load_source_rows
) -> tuple[Sequence[SourceRow], Sequence[Any]]:
    """(rows, faulty ones) of a data set that a stage reads, whoever made it."""
    spec = data_at_hand(ctx)[name]
    think = (ctx.recipe.chat.think[0], ctx.recipe.chat.think[1])
    if isinstance(spec, StageData):  # the answers of a dpd stage
        folders = {name: ctx.inputs[f"data.{name}"]}
        read = load_conversations(name, spec, ctx.recipe_dir, folders)
        return [
            SourceRow(
                number=number,
                id=row.id,
                data=name,
                messages=row.messages[:-1],
                answers=(row.messages[-1]["content"],),
                tools=row.tools,
                group=name,
                turns=row.messages,
            )
            for number, row in zip(read.numbers, read.items, strict=True)
        ], read.faults
    found = load(name, spec, ctx.recipe_dir, think=think)
    return found.items, found.faults


def card_sources(ctx: StepContext, name: str) -> list[CardSource]:
    """What the card says of a data set."""
    spec = ctx.recipe.data[name]
    if is_made_by_data_stage(ctx.recipe, name):
        facts = read_card(ctx.inputs[f"data.{name}"] / MADE_CARD)
        return [
            CardSource(
                name=name,
                title=str(facts.get("pretty_name") or name),
                license=facts.get("license"),
                provenance=facts.get("provenance"),
            )
        ]
    known = data_facts(name, spec, ctx.recipe_dir)
    return [CardSource(name=name, title=known.title, license=known.license, provenance=known.provenance)]


def _no_card(name: str) -> CardSource:
    return CardSource(name=name, title=name, license=None, provenance=None)


def rule_checker(scorer: Callable[[], Any]) -> Callable[[Sequence[Check | Trial]], list[Any]]:
    """Verdicts of a batch of checks, each by its verifier, and what the code judge found of trials. The scorer is
    opened with the first."""

    def check(checks: Sequence[Check | Trial]) -> list[Any]:
        found: dict[int, Any] = {}
        for name in sorted({check.verifier for check in checks if isinstance(check, Check)}):
            asked = {
                place: check.request
                for place, check in enumerate(checks)
                if isinstance(check, Check) and check.verifier == name
            }
            found |= dict(zip(asked, scorer().verify(name, list(asked.values())), strict=True))
        trials = {place: check for place, check in enumerate(checks) if isinstance(check, Trial)}
        if trials:
            found |= dict(zip(trials, scorer().try_programs(list(trials.values())), strict=True))
        return [found[place] for place in range(len(checks))]

    return check


def window_of(models: Mapping[str, Answerer], stage: AskingStage, engines: int) -> int:
    """Rows under way at once: what keeps engines full, or all threads of the servers. Fewer where a budget may end the
    stage: what it is spent on should be finished rows."""
    if any(not model.parallel for model in models.values()):
        return SAMPLES_PER_ENGINE * engines
    at_once = sum(model.parallel for model in models.values())
    limited = stage.budget.tokens is not None or stage.budget.cost is not None
    return at_once if limited else max(16, ROWS_PER_SERVER_REQUEST * at_once)


class _Models:
    """The models of a stage by role, opened, with what they are."""

    def __init__(self, ctx: StepContext, stage: AskingStage) -> None:
        self._ctx = ctx
        self._engines: dict[Path, str] = {}  # folder of a checkpoint -> the machine's name for its engine
        self.models: dict[str, Answerer] = {}
        self.versions: dict[str, str] = {}
        think = (ctx.recipe.chat.think[0], ctx.recipe.chat.think[1])
        for role, model in stage.models.items():
            if model.endpoint is not None:
                self.models[role] = ServerModel(model, think=think, where=f"stages.{stage.name}.models.{role}")
                self.versions[role] = f"{model.model} ({model.version or model.endpoint})"
            else:
                self.versions[role] = ctx.inputs[f"model.{role}"].name
        for role, model in stage.models.items():
            if model.endpoint is None:
                self.models[role] = self._engine_model(role, ctx.inputs[f"model.{role}"], model)

    def _engine_model(self, role: str, published: Path, model: Any) -> Answerer:
        """One engine for each checkpoint, whatever its roles."""
        from posttrain.sampling.engine_model import EngineModel

        ctx, folder = self._ctx, model_dir(published)
        name = self._engines.setdefault(folder, f"data-{role}")
        return EngineModel(
            ctx.machine.engine(name, folder, published.name),
            folder,
            model=model,
            chat=ctx.recipe.chat,
            recipe_dir=ctx.recipe_dir,
            context_tokens=ctx.recipe.engine.context_tokens,
        )

    def release(self) -> None:
        for name in self._engines.values():
            self._ctx.machine.release(name)
