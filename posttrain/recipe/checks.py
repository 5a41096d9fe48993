"""Cross-checks of a recipe: names, references, order, numbers that must fit together. No disk, no models.

Every check raises RecipeError with file, line and key path. What needs the disk is in files.py, what needs a tokenizer
in posttrain/preflight/.
"""

from __future__ import annotations

from collections.abc import Callable

from posttrain.recipe.data_stages import check_data_stages
from posttrain.recipe.distillation import check_distillation
from posttrain.recipe.engines import check_engines, on_gpus
from posttrain.recipe.load import Loaded
from posttrain.recipe.location import Source, near
from posttrain.recipe.phases import check_phases
from posttrain.recipe.positions import check_raised
from posttrain.recipe.resolve import (
    BASE,
    asked_suites,
    counts_in_band,
    data_of,
    gate_of,
    is_made_by_data_stage,
    is_policy,
    judge_stages,
    models_of,
    start_of,
    verifiers_of,
)
from posttrain.recipe.schema import (
    AnyStage,
    DataStage,
    Dpd,
    Filter,
    Grpo,
    Mix,
    Prefer,
    Recipe,
    RewardModel,
    Sandbox,
    Sft,
    StageData,
    Supervised,
    Training,
)
from posttrain.recipe.yaml_core import Key
from rewards.errors import VerifierError

RESERVED_NAMES = ("base", "fitness", "export")


def check_references(loaded: Loaded) -> None:
    """All cross-checks, in the order a reader would mend them. Raises RecipeError."""
    recipe, source = loaded.recipe, loaded.source
    checks: tuple[Callable[[Recipe, Source], None], ...] = (
        _check_names,
        _check_models,
        _check_starts,
        _check_added_tokens,
        _check_data,
        _check_verifiers,
        _check_judges,
        _check_numbers,
        check_phases,
        _check_context,
        check_raised,
        check_data_stages,
        check_engines,
        _check_suites,
        _check_watched,
        _check_sandbox,
        _check_hardware,
    )
    for check in checks:
        check(recipe, source)


def _stage_key(recipe: Recipe, name: str) -> Key:
    return ("stages", next(index for index, stage in enumerate(recipe.stages) if stage.name == name))


def _check_names(recipe: Recipe, source: Source) -> None:
    seen: set[str] = set()
    for index, stage in enumerate(recipe.stages):
        key = ("stages", index, "name")
        if stage.name in seen:
            source.fail(key, f"two stages are named '{stage.name}'", "give each stage a name of its own")
        if stage.name in RESERVED_NAMES:
            source.fail(key, f"'{stage.name}' is the name of a step that every plan has", "choose another name")
        seen.add(stage.name)


def _check_models(recipe: Recipe, source: Source) -> None:
    for _, key, model in models_of(recipe):
        if not model.path and model.shape is None:
            source.fail((*key, "path"), "key 'path' is missing", "add it: a local folder, a hub id, or toy")
        if model.path == "toy" and model.shape is not None:
            source.fail((*key, "shape"), "'shape' is for models that are not here yet", "a toy's sizes stand in 'toy'")
        if model.path == "toy":
            if model.revision is not None:
                source.fail((*key, "revision"), "a toy has no revision", "remove it")
            if model.toy is not None and model.toy.hidden_size % 32:
                source.fail(
                    (*key, "toy", "hidden_size"),
                    f"{model.toy.hidden_size} is not a multiple of 32",
                    "choose 96, 128, 160, ...",
                )
        elif model.toy is not None:
            source.fail(
                (*key, "toy"), f"'toy' describes a toy, but path is '{model.path}'", "set path: toy, or remove 'toy'"
            )
    start, end = recipe.chat.think
    if not start or not end or start == end:
        source.fail(
            ("chat", "think"), f"{start!r} and {end!r} cannot mark reasoning", "give two different, non-empty tags"
        )


def _check_starts(recipe: Recipe, source: Source) -> None:
    earlier: dict[str, bool] = {BASE: True}
    for index, stage in enumerate(recipe.stages):
        key: Key = ("stages", index, "from")
        if stage.from_ is not None and not earlier.get(stage.from_, False):
            policies = [name for name, policy in earlier.items() if policy]
            later = any(other.name == stage.from_ for other in recipe.stages[index:])
            if stage.from_ in earlier:
                kind = next(other.kind for other in recipe.stages if other.name == stage.from_).replace("_", " ")
                source.fail(
                    key, f"'{stage.from_}' is a {kind}, not a policy to go on from", near(stage.from_, policies)
                )
            if later:
                source.fail(
                    key,
                    f"'{stage.from_}' does not come before '{stage.name}'",
                    f"name an earlier one ({', '.join(policies)}), or reorder the stages",
                )
            source.fail(key, f"no stage '{stage.from_}'", near(stage.from_, policies))
        earlier[stage.name] = is_policy(stage)


def _check_added_tokens(recipe: Recipe, source: Source) -> None:
    """Tokens that a base lacks are added by a full sft that starts from it; nobody before it can be asked with them."""
    if not recipe.chat.add_tokens:
        return
    for index, stage in enumerate(recipe.stages):
        grows, starts = isinstance(stage, Sft) and stage.adapter == "full", start_of(recipe, stage.name) == BASE
        if starts and gate_of(stage) is not None:
            what = "a gate asks the base too, which cannot be asked with the tokens that chat.add_tokens adds"
            source.fail(("stages", index, "gate"), what, "give the gate to a later stage")
        if starts and isinstance(stage, Training) and not grows:
            source.fail(
                ("stages", index),
                f"'{stage.name}' starts from the base, which lacks the tokens of chat.add_tokens; only an sft with "
                "adapter: full adds them",
                "begin with such an sft, and let this stage start from it",
            )
    if recipe.evaluate.suites and recipe.evaluate.after == "every_stage":
        source.fail(
            ("evaluate", "after"),
            "every_stage scores the base too, which cannot be asked with the tokens that chat.add_tokens adds",
            "set evaluate.after: last",
        )


def _data_key(recipe: Recipe, stage: AnyStage) -> Key:
    with_data = isinstance(stage, Sft | RewardModel | DataStage)
    return (*_stage_key(recipe, stage.name), "data" if with_data else "prompts")


def _check_data(recipe: Recipe, source: Source) -> None:
    for index, stage in enumerate(recipe.stages):
        for name in data_of(stage):
            key = _data_key(recipe, stage)
            place = (*key, name) if source.knows((*key, name)) else key
            if name not in recipe.data:
                source.fail(place, f"no data set '{name}'", near(name, recipe.data))
            spec = recipe.data[name]
            if isinstance(spec, StageData):
                _check_stage_data(recipe, source, index, name, spec, place)


def _check_stage_data(recipe: Recipe, source: Source, index: int, name: str, spec: StageData, place: Key) -> None:
    stage = recipe.stages[index]
    makers = [other.name for other in recipe.stages if isinstance(other, Dpd | DataStage)]
    if spec.stage not in makers:
        source.fail(("data", name, "stage"), f"no dpd or data stage '{spec.stage}'", near(spec.stage, makers))
    if not any(other.name == spec.stage for other in recipe.stages[:index]):
        source.fail(
            place,
            f"data '{name}' comes from stage '{spec.stage}', which does not run before '{stage.name}'",
            "reorder the stages",
        )
    maker = next(other for other in recipe.stages if other.name == spec.stage)
    pairs = isinstance(maker, Dpd | Prefer)
    more = ["rejected", "pairs"] if pairs else list(maker.phases) if isinstance(maker, Mix) else []
    parts = ["chosen", *more]
    if spec.part not in parts:
        source.fail(
            ("data", name, "part"),
            f"{maker.kind} stage '{maker.name}' publishes no '{spec.part}'",
            near(spec.part, parts),
        )
    if is_made_by_data_stage(recipe, name):
        if isinstance(stage, RewardModel):
            source.fail(place, f"data '{name}' holds rows, not pairs", "name a data set of preference pairs")
        return
    if isinstance(stage, DataStage):
        if spec.part == "pairs":
            source.fail(("data", name, "part"), f"pairs are not what {stage.kind} can read", "set it to chosen")
        return
    if isinstance(stage, Dpd | Grpo):
        source.fail(place, f"data '{name}' holds answers of a stage, not prompts", "name a data set of prompts")
    if isinstance(stage, Sft) == (spec.part == "pairs"):
        wanted = "chosen or rejected" if isinstance(stage, Sft) else "pairs"
        source.fail(
            ("data", name, "part"),
            f"{spec.part} is not what {stage.kind} stage '{stage.name}' can read",
            f"set it to {wanted}",
        )


def _check_verifiers(recipe: Recipe, source: Source) -> None:
    from rewards.load import check_spec

    for name, spec in recipe.verifiers.items():
        try:
            check_spec(spec.model_dump(mode="python"), where=f"verifiers.{name}")
        except VerifierError as error:
            source.fail(_verifier_key(name, error.where), error.what, error.remedy or "see `posttrain verify --help`")
    for index, stage in enumerate(recipe.stages):
        used, key = verifiers_of(stage), ("stages", index, "verifier")
        for name in used.values():
            if name not in recipe.verifiers:
                source.fail(key, f"no verifier '{name}'", near(name, recipe.verifiers))
        if isinstance(stage, Dpd | Grpo) and used.keys() != data_of(stage).keys():
            odd = sorted(used.keys() ^ data_of(stage).keys())
            source.fail(
                key,
                f"verifiers and prompts name different data sets: {', '.join(odd)}",
                "give each data set of prompts one verifier",
            )


def _verifier_key(name: str, where: str | None) -> Key:
    """The place that rewards writes as text: "verifiers.stem.steps.0.kind"."""
    parts = (where or "").split(".")
    return (
        tuple(int(part) if part.isdecimal() else part for part in parts)
        if parts[:2] == ["verifiers", name]
        else ("verifiers", name)
    )


def _check_judges(recipe: Recipe, source: Source) -> None:
    """A verifier that asks a reward model can be used only after that stage."""
    models = [stage.name for stage in recipe.stages if isinstance(stage, RewardModel)]
    for name, spec in recipe.verifiers.items():
        for judge in sorted(judge_stages(spec.options)):
            if judge not in models:
                source.fail(
                    ("verifiers", name), f"model names stage '{judge}', which is no reward_model", near(judge, models)
                )
    ready: set[str] = set()
    for index, stage in enumerate(recipe.stages):
        asked = {
            judge for name in verifiers_of(stage).values() for judge in judge_stages(recipe.verifiers[name].options)
        }
        key = ("stages", index, "verifier")
        if asked - ready:
            late = sorted(asked - ready)[0]
            source.fail(
                key,
                f"the verifier asks reward model '{late}', which is not trained before '{stage.name}'",
                "move the reward_model stage up",
            )
        if len(asked) > 1:
            source.fail(
                key,
                f"the verifiers ask several reward models: {', '.join(sorted(asked))}",
                "use one reward model a stage",
            )
        if isinstance(stage, RewardModel):
            ready.add(stage.name)


def _check_numbers(recipe: Recipe, source: Source) -> None:
    if recipe.cluster.context_parallel > 1:
        source.fail(
            ("cluster", "context_parallel"),
            "torch's ring attention drops the mask that keeps packed rows apart, and DeepSpeed's Ulysses takes no "
            "losses of ours: what would be trained is not what the recipe says",
            "set it to 1: with sharding: fsdp, gradient_checkpointing and attention: flash a GPU of 80 GB holds 64K "
            "tokens of a model of 4B (`posttrain plan`)",
        )
    if recipe.cluster.sharding == "fsdp" and recipe.cluster.trainers == 1:
        source.fail(("cluster", "sharding"), "fsdp with one trainer shares nothing", "set cluster.trainers: 2 or more")
    for index, stage in enumerate(recipe.stages):
        key: Key = ("stages", index)
        if isinstance(stage, Supervised):
            if (stage.steps is None) == (stage.epochs is None):
                what = "neither steps nor epochs is given" if stage.steps is None else "both steps and epochs are given"
                source.fail(key if stage.steps is None else (*key, "epochs"), what, "give one of the two")
            _check_batch(recipe, source, key, stage.batch_size, stage, f"batch_size {stage.batch_size}")
        if isinstance(stage, Dpd):
            check_distillation(recipe, source, index, stage)
        if isinstance(stage, RewardModel) and stage.held_out_share >= 1.0:
            source.fail(
                (*key, "held_out_share"), "1.0 leaves no pairs to train on", "give a share below 1, such as 0.1"
            )
        if isinstance(stage, Grpo):
            if stage.steps is None:
                source.fail((*key, "steps"), "grpo needs a number of steps", "such as 100")
            rows = stage.prompts_per_step * stage.group
            _check_batch(recipe, source, key, rows, stage, f"prompts_per_step * group = {rows}")
            _check_sampling(source, key, stage)
            if stage.soft_punish_cache >= stage.max_tokens:
                what = f"{stage.soft_punish_cache} is not below max_tokens {stage.max_tokens}"
                source.fail((*key, "soft_punish_cache"), what, "give fewer tokens, such as a quarter of max_tokens")
            if stage.filter is not None:
                _check_filter(source, (*key, "filter"), stage.filter)


def _check_watched(recipe: Recipe, source: Source) -> None:
    """Names of guard suites and canaries. Canaries are asked, so they are no answers of a stage, and never trained
    on."""
    trained = {name for stage in recipe.stages for name in data_of(stage)}
    for index, stage in enumerate(recipe.stages):
        if not isinstance(stage, Grpo):
            continue
        guard, canaries = stage.early_stop.guard, stage.alarms.canaries
        if guard is not None and guard.suite not in recipe.evaluate.suites:
            suites = recipe.evaluate.suites
            source.fail(
                ("stages", index, "early_stop", "guard", "suite"),
                f"no suite '{guard.suite}'",
                near(guard.suite, suites),
            )
        if canaries is None:
            continue
        key: Key = ("stages", index, "alarms", "canaries")
        if canaries.data not in recipe.data or isinstance(recipe.data[canaries.data], StageData):
            source.fail((*key, "data"), f"no prompts '{canaries.data}'", near(canaries.data, recipe.data))
        if canaries.data in trained:
            source.fail(
                (*key, "data"), f"a stage trains on '{canaries.data}'", "give the canaries prompts of their own"
            )
        if canaries.verifier not in recipe.verifiers:
            what = f"no verifier '{canaries.verifier}'"
            source.fail((*key, "verifier"), what, near(canaries.verifier, recipe.verifiers))
        if judge_stages(recipe.verifiers[canaries.verifier].options):
            remedy = "its verifier has canaries of its own; watch the others here"
            source.fail((*key, "verifier"), "a reward model judges it", remedy)


def _check_sampling(source: Source, key: Key, stage: Grpo) -> None:
    if stage.top_p != 1.0:
        source.fail(
            (*key, "top_p"),
            f"{stage.top_p} cuts the distribution, and no loss here knows what was cut",
            "set top_p: 1.0 (temperature may be any)",
        )
    if stage.staleness and stage.importance_sampling == "none":
        source.fail(
            (*key, "staleness"),
            f"answers {stage.staleness} steps old are not the policy's own",
            "set importance_sampling: sequence_mask, as TRL does",
        )


def _check_batch(recipe: Recipe, source: Source, key: Key, rows: int, stage: Training, name: str) -> None:
    trainers, micro = recipe.cluster.trainers, stage.micro_batch_size
    if rows % (micro * trainers):
        if rows % trainers:
            source.fail(key, f"{name} cannot be shared by {trainers} trainers", f"make it a multiple of {trainers}")
        # A search from above, with an end: absurd sizes must be refused at once too.
        best = next((size for size in range(min(micro, rows, 4096), 0, -1) if rows % (size * trainers) == 0), 1)
        among = f" on {trainers} trainers" if trainers > 1 else ""
        what = str(micro) if "micro_batch_size" in stage.model_fields_set else f"the default {micro}"
        source.fail(
            (*key, "micro_batch_size"), f"{what} does not divide {name}{among}", f"set micro_batch_size: {best}"
        )


def _check_filter(source: Source, key: Key, rule: Filter) -> None:
    if rule.low >= rule.high:
        source.fail(key, f"low {rule.low} is not below high {rule.high}", "give low < high, such as 0.1 and 0.9")
    if not set(counts_in_band(rule)) & set(range(1, rule.k)):
        source.fail(
            key,
            f"no number of right answers of {rule.k} lies strictly between {rule.low} and {rule.high}",
            "widen the band or raise k",
        )


def _check_context(recipe: Recipe, source: Source) -> None:
    """An answer must leave room for its prompt in the engine's context."""
    room = recipe.engine.context_tokens
    limits: list[tuple[Key, int]] = [
        (("stages", index, "max_tokens"), stage.max_tokens)
        for index, stage in enumerate(recipe.stages)
        if isinstance(stage, Dpd | Grpo)
    ]
    for name, suite in asked_suites(recipe, recipe.stages).items():
        own = suite.max_tokens is not None
        key: Key = ("evaluate", "suites", name, "max_tokens") if own else ("evaluate", "max_tokens")
        limits.append((key, suite.max_tokens or recipe.evaluate.max_tokens))
    for key, limit in limits:
        if limit >= room:
            source.fail(
                key,
                f"an answer of {limit} tokens leaves no room for a prompt in engine.context_tokens: {room}",
                "raise engine.context_tokens or lower max_tokens",
            )


def _check_suites(recipe: Recipe, source: Source) -> None:
    trained = {name: stage.name for stage in recipe.stages for name in data_of(stage)}
    judges = {stage.name for stage in recipe.stages if isinstance(stage, RewardModel)}
    for index, stage in enumerate(recipe.stages):
        if (gate := gate_of(stage)) is not None and gate.suite not in recipe.evaluate.suites:
            what = f"'{gate.suite}' is no suite"
            source.fail(("stages", index, "gate", "suite"), what, near(gate.suite, recipe.evaluate.suites))
    for name, suite in recipe.evaluate.suites.items():
        key: Key = ("evaluate", "suites", name)
        if suite.data not in recipe.data:
            source.fail((*key, "data"), f"no data set '{suite.data}'", near(suite.data, recipe.data))
        if isinstance(recipe.data[suite.data], StageData):
            source.fail(
                (*key, "data"),
                f"data '{suite.data}' holds answers of a stage, not prompts",
                "name a data set of held-out prompts",
            )
        if suite.data in trained:
            source.fail(
                (*key, "data"),
                f"stage '{trained[suite.data]}' trains on '{suite.data}', which this suite measures on",
                "give the suite held-out data",
            )
        if suite.examples is not None and suite.examples not in recipe.data:
            source.fail((*key, "examples"), f"no data set '{suite.examples}'", near(suite.examples, recipe.data))
        if suite.examples is not None and isinstance(recipe.data[suite.examples], StageData):
            remedy = "name a data set of worked conversations: the base is scored before any stage runs"
            source.fail((*key, "examples"), f"data '{suite.examples}' holds answers of a stage", remedy)
        if suite.verifier not in recipe.verifiers:
            source.fail((*key, "verifier"), f"no verifier '{suite.verifier}'", near(suite.verifier, recipe.verifiers))
        if judge_stages(recipe.verifiers[suite.verifier].options) & judges:
            # Every checkpoint is scored, also those that exist before the reward model does; and what trained a policy
            # must not measure it.
            source.fail(
                (*key, "verifier"),
                "a suite cannot be judged by a reward model of this recipe",
                "measure with a rule that training never saw",
            )


def _check_sandbox(recipe: Recipe, source: Source) -> None:
    sandbox = recipe.sandbox
    if sandbox.allow_unsafe is not None or sandbox.min_level == "none":
        _check_sentence(sandbox, source)
    if sandbox.backend == "local" and sandbox.min_level != "none":
        source.fail(
            ("sandbox", "backend"),
            f"local isolates nothing, so min_level {sandbox.min_level} cannot be met",
            "set min_level: none, or another backend",
        )
    if sandbox.image is not None and sandbox.backend not in ("auto", "docker"):
        source.fail(
            ("sandbox", "image"),
            f"the backend {sandbox.backend} runs no image",
            "set backend: docker, or leave the image out",
        )


def _check_sentence(sandbox: Sandbox, source: Source) -> None:
    """Programs run as the user only where the recipe says so in the judge's own words."""
    from sandbox.types import UNSAFE_SENTENCE

    if sandbox.allow_unsafe is not None and sandbox.allow_unsafe != UNSAFE_SENTENCE:
        source.fail(
            ("sandbox", "allow_unsafe"),
            f"{sandbox.allow_unsafe!r} is not the sentence",
            f'write exactly "{UNSAFE_SENTENCE}"',
        )
    if sandbox.min_level == "none" and sandbox.allow_unsafe is None:
        source.fail(
            ("sandbox", "min_level"),
            "none lets generated code run as you",
            f'set sandbox.allow_unsafe: "{UNSAFE_SENTENCE}", or a higher level',
        )


def _check_hardware(recipe: Recipe, source: Source) -> None:
    """GPUs asked by number only; their memory is for plan/hardware.py, which knows the models."""
    cluster, hardware = recipe.cluster, recipe.hardware
    for index, stage in enumerate(recipe.stages):
        if cluster.share == "time" and isinstance(stage, Grpo) and stage.staleness:
            source.fail(
                ("stages", index, "staleness"),
                "answers are sampled while a step trains, and cluster.share: time has one of the two at work",
                "set it to 0, or cluster.share: space",
            )
    if on_gpus(recipe) and hardware is not None and hardware.gpus == 0:
        source.fail(
            ("hardware", "gpus"),
            "cluster asks for GPUs and hardware has none",
            "give hardware.gpus, or set cluster.gpus_per_trainer and cluster.gpus_per_engine to 0",
        )
