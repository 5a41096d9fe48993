"""The deeper look before GPU-days are spent: tokenizers, chat template, context lengths, golds, cards, disk. One
Finding each.

Imports transformers' tokenizer and the verifiers' workers, so it is `posttrain check` and not `plan`. What needs a
model that a step will make is reported as `later`; the base step checks it at run, before the first stage.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from posttrain.data.survey import readers
from posttrain.errors import DataError, InputError
from posttrain.plan.estimate import configs, estimate
from posttrain.plan.reuse import RUNS_CODE
from posttrain.plan.steps import Plan
from posttrain.recipe.cards import card_path, is_blank_card, read_card
from posttrain.recipe.resolve import BASE, asked_data, judge_stages, longest_rows, on_vllm_cpu, own_data, verifiers_of
from posttrain.recipe.schema import AnyStage, Data, Dpd, FileData, Grpo, Sft, StageData, ToyData
from posttrain.recipe.sizes import check_heads, check_positions
from posttrain.types import Prompt
from rewards.contract.verifier import BatchVerifier
from rewards.errors import VerifierError
from rewards.load import kind_versions
from rewards.types import Outcome, Request, last_user_turn
from sandbox.errors import SandboxError

if TYPE_CHECKING:
    from sandbox.judge import Judge

SAMPLE = 16
_RIGHT_BY_GOLD = (
    "stem",
    "code",
)  # toy tasks whose worked answers are right by the row's gold, not by a matter of style


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One check. Example: Finding(name="tokenizer of distil.teacher", status="ok", detail="same 166,144 ids as base",
    remedy="")"""

    name: str
    status: Literal["ok", "later", "fail"]
    detail: str
    remedy: str = ""


def check_plan(plan: Plan, store_root: Path) -> list[Finding]:
    """All findings: models, tokenizers, lengths, data, verifiers, disk. A fault of the user's making is a finding, not
    an error."""
    return [
        *_check_models(plan),
        *_check_tokenizers(plan),
        *_check_lengths(plan),
        *_check_data(plan),
        *_check_rows(plan),
        *_check_prompts(plan),
        _check_overlap(plan),
        *_check_verifiers(plan),
        _check_disk(plan, store_root),
    ]


def _guarded(name: str, detail: str, look: Callable[[], str | None]) -> Finding:
    """`look` returns a detail of its own, or None for `detail`; an error that the user can mend is the finding."""
    try:
        return Finding(name=name, status="ok", detail=look() or detail)
    except (InputError, VerifierError, SandboxError) as error:
        where = f" ({error.where})" if error.where else ""
        return Finding(name=name, status="fail", detail=f"{error.what}{where}", remedy=error.remedy or "")
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
    ) as error:  # what libraries raise over torn or foreign files
        detail = f"cannot be read: {type(error).__name__}: {error}"
        return Finding(name=name, status="fail", detail=detail, remedy="save or download the files again")


# ---------------------------------------------------------------- models


def _folders(plan: Plan) -> Iterator[tuple[str, Path | None]]:
    for step in plan.steps:
        if step.kind == "base":
            yield step.name, Path(step.files["model"]) if "model" in step.files else None


def _check_models(plan: Plan) -> Iterator[Finding]:
    from posttrain.train.compatibility import check_base

    for name, folder in _folders(plan):
        title = f"chat template of {name}"
        if folder is None:
            yield Finding(
                name=title, status="later", detail="the model is not here yet; checked at run, before the first stage"
            )
        else:
            chosen = folder
            chat = plan.recipe.chat
            detail = f"renders, keeps {chat.think[0]}, ends in a stop token"
            yield _guarded(title, detail, lambda chosen=chosen: check_base(chosen, plan.recipe.chat, plan.recipe_dir))  # type: ignore[misc]


def _stages(plan: Plan) -> list[AnyStage]:
    return [stage for stage in plan.recipe.stages if stage.name in plan.stages]


def _student(plan: Plan) -> str:
    """The step that the policy comes from: the base, or the first checkpoint given by --from."""
    names = [step.name for step in plan.steps if step.kind == "base"]
    return BASE if BASE in names else next(name for name in names if name.endswith(".from"))


def _check_tokenizers(plan: Plan) -> Iterator[Finding]:
    """A teacher's token distributions mean something to the student only over the same ids."""
    folders = dict(_folders(plan))
    paths = {step.name: step.params["model"]["path"] for step in plan.steps if step.kind == "base"}
    for stage in _stages(plan):
        teacher = f"{stage.name}.teacher"
        if not isinstance(stage, Dpd) or teacher not in paths:
            continue
        student, title = _student(plan), f"tokenizer of {teacher}"
        mine, its = folders[student], folders[teacher]
        if paths[student] == paths[teacher] == "toy":
            yield Finding(name=title, status="ok", detail="all toys share one tokenizer")
        elif mine is None or its is None:
            yield Finding(
                name=title, status="later", detail="a model is not here yet; checked at run, before the first stage"
            )
        else:
            from posttrain.train.compatibility import compare_tokenizers

            yield _guarded(title, "", partial(compare_tokenizers, mine, its))


def _check_lengths(plan: Plan) -> Iterator[Finding]:
    """No row and no answer may be longer than the positions that base and teachers know."""
    known, student = configs(plan), _student(plan)
    for step in (step.name for step in plan.steps if step.kind == "base"):
        title = "context length" if step == student else f"context length of {step}"
        if step not in known:
            yield Finding(
                name=title,
                status="later",
                detail="the model's config is not here yet; checked at run, before the first stage",
            )
            continue
        wanted = longest_rows(plan.recipe, [] if step.endswith(".teacher") else _stages(plan))
        yield _guarded(title, "", partial(check_positions, known[step], wanted, step))
        if on_vllm_cpu(plan.recipe, _stages(plan)):
            yield _guarded(
                f"engine of {step}",
                "vLLM on the CPU has kernels for its attention heads",
                partial(check_heads, known[step], step),
            )


# ---------------------------------------------------------------- data and verifiers


def _check_data(plan: Plan) -> Iterator[Finding]:
    """Every row of every data set that a stage or a suite of this plan reads, as the stage would read it."""
    for name, reader in readers(plan.recipe, plan.stages).items():
        spec = plan.recipe.data[name]
        if isinstance(spec, StageData):
            yield Finding(name=f"data {name}", status="later", detail=f"stage {spec.stage} will write it")
            continue
        yield _guarded(f"data {name}", "", partial(_rows_and_card, reader, name, spec, plan.recipe_dir))


def _check_rows(plan: Plan) -> Iterator[Finding]:
    """How rows to imitate fit their stage's max_tokens, and pack."""
    from posttrain.train.compatibility import check_rows

    model = dict(_folders(plan))[_student(plan)]
    for stage in _stages(plan):
        if not isinstance(stage, Sft) or not own_data(plan.recipe, stage):
            continue
        title = f"rows of {stage.name}"
        if model is None:
            yield Finding(
                name=title,
                status="later",
                detail="the tokenizer is not here yet; checked at run, before the first stage",
            )
            continue
        look = partial(check_rows, model, plan.recipe.chat, plan.recipe_dir, own_data(plan.recipe, stage), stage)
        yield _guarded(title, "", look)


def _check_prompts(plan: Plan) -> Iterator[Finding]:
    """Prompts that the template takes and that leave room for an answer."""
    from posttrain.train.compatibility import check_prompts

    model, room = dict(_folders(plan))[_student(plan)], plan.recipe.engine.context_tokens
    for name, spec in asked_data(plan.recipe, _stages(plan)).items():
        if model is None:
            yield Finding(
                name=f"prompts of {name}",
                status="later",
                detail="the tokenizer is not here yet; checked at run, first of all",
            )
        else:
            yield _guarded(
                f"prompts of {name}",
                "",
                partial(check_prompts, model, plan.recipe.chat, plan.recipe_dir, {name: spec}, room),
            )


def _check_overlap(plan: Plan) -> Finding:
    """Held-out problems must not be trained on."""

    def look() -> str:
        from posttrain.data.overlap import held_out_overlap

        counts = held_out_overlap(plan.recipe, plan.recipe_dir)
        if any(counts.values()):
            worst = max(counts, key=lambda suite: counts[suite])
            raise DataError(
                f"{counts[worst]} problems of suite '{worst}' stand in the training data",
                where=f"evaluate.suites.{worst}.data",
                remedy="take them out of the training data: their scores would say nothing",
            )
        return f"none of {len(counts)} suites stands in the training data (exact match)"

    return _guarded("held-out problems", "", look)


def _rows_and_card(reader: Callable[..., Any], name: str, spec: Data, recipe_dir: Path) -> str:
    rows = reader(name, spec, recipe_dir)
    faults = f", {len(rows.faults)} set aside" if rows.faults else ""
    card = card_path(spec, recipe_dir)
    said = "card present" if card is None else _said_of_card(read_card(card), spec)
    return f"{len(rows.items):,} rows{faults}; {said}"


def _said_of_card(facts: Mapping[str, Any], spec: Data) -> str:
    """A stated digest has been compared by the plan; one that is not stated binds no bytes."""
    if is_blank_card(facts):
        return "its card is still the template: fill it in"
    if not isinstance(spec, FileData):
        return "card present"
    name = Path(spec.path).name
    return (
        "card present, digest as stated"
        if name in (facts.get("digests") or {})
        else f"card present, states no digest of {name}"
    )


def _check_verifiers(plan: Plan) -> Iterator[Finding]:
    """Each pair of a data set and the verifier that judges it: does the verifier say yes to the data set's own
    answers?"""
    pairs: dict[tuple[str, str], None] = {}
    for stage in _stages(plan):
        if isinstance(stage, Dpd | Grpo):
            pairs |= {(verifier, data): None for data, verifier in verifiers_of(stage).items()}
    pairs |= {(suite.verifier, suite.data): None for suite in plan.recipe.evaluate.suites.values()}
    for verifier in sorted({verifier for verifier, _ in pairs}):
        for model in _endpoints(plan.recipe.verifiers[verifier].options):
            yield _guarded(f"model of verifier {verifier}", "", lambda model=model: _probe(model))  # type: ignore[misc]
    with ExitStack() as stack:
        opener = _judge_opener(plan, stack)
        if any(RUNS_CODE & kind_versions(plan.recipe.verifiers[verifier].model_dump()).keys() for verifier, _ in pairs):
            yield _guarded("code judge", "", lambda: f"programs would run at level {opener().level}")
        for verifier, data in pairs:
            yield _check_golds(plan, verifier, data, opener)


def _judge_opener(plan: Plan, stack: ExitStack) -> Callable[[], Judge]:
    """The code judge of the recipe, started when the first program is to be judged and closed with the stack."""
    opened: list[Judge] = []

    def opener() -> Judge:
        from sandbox.judge import Judge

        if not opened:
            rules = plan.recipe.sandbox
            opened.append(stack.enter_context(Judge(**rules.model_dump())))
        return opened[0]

    return opener


def _check_golds(plan: Plan, verifier: str, data: str, opener: Callable[[], Judge]) -> Finding:
    from rewards.load import build_verifier
    from rewards.services import Services

    title, spec = f"verifier {verifier} on {data}", plan.recipe.verifiers[verifier]
    judges = judge_stages(spec.options)
    if judges:
        return Finding(
            name=title, status="later", detail=f"reward model {', '.join(sorted(judges))} is not trained yet"
        )
    if _endpoints(spec.options):
        return Finding(name=title, status="later", detail="asks a model for each answer; checked at run")

    def look() -> str:
        built = build_verifier(spec.model_dump(), Services(think=plan.recipe.chat.think, workers=1, judge=opener))
        prompts, unusable = _usable(built, data, plan.recipe.data[data], plan.recipe_dir)
        accepted = _accepts(
            built, prompts, _worked_answers(plan.recipe.data[data], plan.recipe_dir), plan.recipe.chat.think
        )
        return f"{accepted}; {unusable} golds set aside" if unusable else accepted

    return _guarded(title, "", look)


def _usable(built: BatchVerifier, name: str, spec: Data, recipe_dir: Path) -> tuple[tuple[Prompt, ...], int]:
    """Sampled prompts whose golds the verifier can use, and how many it cannot. Raises DataError where the run would
    surely stop."""
    from posttrain.data.source import Rows, load_prompts, set_aside

    rows = load_prompts(name, _sample(spec), recipe_dir)
    rows = Rows(name=name, items=rows.items[:SAMPLE], numbers=rows.numbers[:SAMPLE])
    reasons = built.gold_problems(
        [Request(response="", gold=p.gold, reference=p.reference, metadata=p.metadata) for p in rows.items]
    )
    if all(reasons) or not getattr(
        spec, "max_faulty_share", 0.0
    ):  # a share cannot be told from a sample: the run counts all rows
        set_aside(rows, spec, reasons)
    prompts = tuple(prompt for prompt, reason in zip(rows.items, reasons, strict=True) if not reason)
    return prompts, len(rows.items) - len(prompts)


def _accepts(built: BatchVerifier, prompts: tuple[Prompt, ...], worked: dict[str, str], think: tuple[str, str]) -> str:
    tried = 0
    for prompt in prompts:
        answers = _answers(prompt, worked, think)
        if not answers:
            continue
        tried += 1
        requests = [
            Request(
                question=last_user_turn(prompt.messages),
                response=answer,
                gold=prompt.gold,
                stop_reason="stop",
                messages=prompt.messages,
                reference=prompt.reference,
                metadata=prompt.metadata,
            )
            for answer in answers
        ]
        verdicts = [built.verify(request) for request in requests]
        if not any(verdict.passed for verdict in verdicts):
            first = verdicts[0]
            what = f"row '{prompt.id}': its own gold {prompt.gold!r} is judged {first.outcome.value} ({first.reason})"
            if first.outcome in (Outcome.ERROR, Outcome.TIMEOUT):
                raise InputError(
                    f"{what}: {first.certificate.get('detail', '')}".rstrip(": "), remedy="mend the verifier"
                )
            raise InputError(what, remedy="mend the gold, or choose another verifier for this data set")
    if not tried:
        return f"{len(prompts)} golds can be read; they are no answers by themselves, so none was tried"
    return f"accepts the answers of {tried} of {len(prompts)} sampled rows"


def _answers(prompt: Prompt, worked: dict[str, str], think: tuple[str, str]) -> list[str]:
    """Answers that must pass: a worked one, the reference, or the gold itself written plainly or in a box."""
    question = prompt.messages[-1]["content"]
    if question in worked:
        return [worked[question]]
    gold = prompt.gold.get("answer") if isinstance(prompt.gold, dict) else prompt.gold
    golds = gold if isinstance(gold, list) and gold else [gold]
    if any(isinstance(one, bool) or not isinstance(one, str | int | float) for one in golds):
        return []
    whole = ", ".join(map(str, golds))  # several values may be one set, or several forms of one answer
    return [
        f"{think[0]}so{think[1]}\n{form}"
        for text in dict.fromkeys((str(golds[0]), whole))
        for form in (f"\\boxed{{{text}}}", text, f"Answer: {text}")
    ]


def _worked_answers(spec: Data, recipe_dir: Path) -> dict[str, str]:
    """Question -> right answer, for the toy world, which can write them."""
    from posttrain.data.source import load_conversations
    from posttrain.toy.tasks import TASKS

    if not isinstance(spec, ToyData) or spec.task not in _RIGHT_BY_GOLD or f"{spec.task}_worked" not in TASKS:
        return {}
    worked = spec.model_copy(update={"task": f"{spec.task}_worked", "rows": min(spec.rows, SAMPLE)})
    rows = load_conversations("worked", worked, recipe_dir).items
    return {row.messages[-2]["content"]: row.messages[-1]["content"] for row in rows}


def _sample(spec: Data) -> Data:
    """The same data set with few rows where rows are made on demand."""
    return spec.model_copy(update={"rows": min(spec.rows, SAMPLE)}) if hasattr(spec, "rows") else spec


def _endpoints(spec: Any) -> list[Mapping[str, Any]]:
    """Models behind endpoints that a verifier's arguments name, at any depth: `model: {endpoint: URL, ...}`."""
    if isinstance(spec, Mapping):
        model = spec.get("model")
        own = [model] if isinstance(model, Mapping) and "endpoint" in model else []
        return own + [found for value in spec.values() for found in _endpoints(value)]
    return [found for item in spec for found in _endpoints(item)] if isinstance(spec, list | tuple) else []


def _probe(model: Mapping[str, Any]) -> str:
    from rewards.models.endpoint import probe

    return probe(model)


# ---------------------------------------------------------------- disk


def _check_disk(plan: Plan, store_root: Path) -> Finding:
    """What all steps publish, plus two resume checkpoints of the largest stage, against what is free at the store."""
    from posttrain.store.artefacts import Store

    store, guesses = Store(store_root), estimate(plan)
    wanted = [
        guesses[step.name].disk_bytes
        for step in plan.steps
        if not store.is_published(step.id) and step.kind not in _SMALL
    ]
    if None in wanted:
        return Finding(name="disk", status="later", detail="the size of the base is not known yet; checked at run")
    place = store_root
    while not place.exists():
        place = place.parent
    free, needed = shutil.disk_usage(os.fspath(place)).free, sum(size or 0 for size in wanted)
    detail = f"{needed / 1e9:.2f} GB for checkpoints and resume state, {free / 1e9:.2f} GB free at {place}"
    if needed > free:
        return Finding(
            name="disk", status="fail", detail=detail, remedy="free space (posttrain store gc), or give another --store"
        )
    return Finding(name="disk", status="ok", detail=detail)


_SMALL = ("fitness", "pairs", "filter", "evaluate")
