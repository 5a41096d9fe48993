"""Cross-checks of the stages that make rows: which models they ask, by which roles, and that each can be asked.

Knows nothing of what a stage does with the answers (posttrain/factory).
"""

from __future__ import annotations

from collections.abc import Mapping

from posttrain.recipe.location import Source, near
from posttrain.recipe.resolve import BASE, PROMPTS, is_policy, roles_of, suites_against
from posttrain.recipe.schema import (
    AskedModel,
    AskingStage,
    Clean,
    DataStage,
    Mix,
    Prefer,
    Recipe,
    Reconstruct,
    Refine,
    StageData,
    Verify,
    WriteTests,
)
from posttrain.recipe.yaml_core import Key
from rewards.errors import VerifierError

_SERVER_KEYS = ("model", "version", "api_key_env", "extra", "structured", "prompt_price", "completion_price")


def check_data_stages(recipe: Recipe, source: Source) -> None:
    """Every stage that makes rows. Raises RecipeError."""
    for index, stage in enumerate(recipe.stages):
        key: Key = ("stages", index)
        if not isinstance(stage, DataStage):
            continue
        if stage.from_ is not None:
            source.fail((*key, "from"), "a stage that makes rows starts from no checkpoint", "remove it")
        if isinstance(stage, AskingStage):
            _check_roles(stage, source, key)
            for role, model in stage.models.items():
                _check_model(recipe, source, index, role, model)
        if isinstance(stage, Refine) and stage.code_verifier is not None:
            spec = recipe.verifiers.get(stage.code_verifier)
            if spec is None or spec.kind != "code":
                codes = [name for name, spec in recipe.verifiers.items() if spec.kind == "code"]
                what = f"'{stage.code_verifier}' is no verifier of kind code"
                source.fail((*key, "code_verifier"), what, near(stage.code_verifier, codes))
        if isinstance(stage, Prefer):
            _check_pairs(recipe, source, stage, key)
        if isinstance(stage, WriteTests):
            _check_tests(recipe, source, stage, key)
        if isinstance(stage, Clean):
            _check_clean(recipe, source, stage, key)
        if isinstance(stage, Mix):
            _check_mix(source, stage, key)


def _check_roles(stage: AskingStage, source: Source, key: Key) -> None:
    known = roles_of(stage)
    for role in stage.models:
        if role not in known:
            source.fail((*key, "models", role), f"nobody asks a model '{role}' here", near(role, known))
    needed = list(stage.generators) if isinstance(stage, Verify | Prefer | Refine) else []
    if isinstance(stage, Refine):
        needed.append("critic")
    if isinstance(stage, Reconstruct):
        needed.append("writer")
    for role in needed:
        if role not in stage.models:
            source.fail((*key, "models"), f"no model '{role}'", "add it, with its stage, path or endpoint")
    if isinstance(stage, Verify) and "judge" not in stage.models and stage.verifier is None:
        source.fail(key, "nobody says which candidates are right", "name a verifier, a model 'judge', or both")
    if isinstance(stage, Verify) and stage.pairwise == 1:
        source.fail((*key, "pairwise"), "one candidate cannot be compared", "0 for none, or 2 and more")
    if isinstance(stage, Verify) and stage.pairwise and "judge" not in stage.models:
        source.fail((*key, "pairwise"), "pairs are compared by a judge, and there is none", "add models.judge")
    if isinstance(stage, Reconstruct):
        if "judge" not in stage.models and stage.verifier is None:
            source.fail(key, "nobody says whether a chain ends in its answer", "name a verifier, a judge, or both")
        if stage.min_words > stage.max_words:
            source.fail((*key, "min_words"), f"{stage.min_words} is above max_words {stage.max_words}", "lower it")
    for name in stage.prompts:
        if name not in PROMPTS[type(stage)]:
            source.fail(
                (*key, "prompts", name), f"{stage.kind} shows no prompt '{name}'", near(name, PROMPTS[type(stage)])
            )


def _check_pairs(recipe: Recipe, source: Source, stage: Prefer, key: Key) -> None:
    if "judge" not in stage.models and stage.verifier is None:
        source.fail(key, "nobody says which answer is better", "name a verifier, a model 'judge', or both")
    if stage.generators and len(stage.generators) * stage.samples < 2:
        source.fail((*key, "samples"), "one answer makes no pair", "2 and more, or another generator")
    spec = recipe.verifiers.get(stage.verifier or "")
    if spec is not None and _compares(spec.model_dump()):
        source.fail(
            (*key, "verifier"),
            f"'{stage.verifier}' judges an answer by the others, and here each is scored by itself",
            "name one that scores single answers, or a model 'judge' that compares them",
        )


def _compares(spec: object) -> bool:
    """Whether a verifier's scores come of comparing the answers to one prompt, at any depth."""
    if isinstance(spec, Mapping):
        among = spec.get("kind") == "pairwise" and spec.get("against", "reference") == "group"
        return among or any(map(_compares, spec.values()))
    return isinstance(spec, list | tuple) and any(map(_compares, spec))


def _check_tests(recipe: Recipe, source: Source, stage: WriteTests, key: Key) -> None:
    needed = ["tester", *(["author"] if stage.reverse else []), *(["solver"] if stage.solutions else [])]
    for role in needed:
        if role not in stage.models:
            source.fail((*key, "models"), f"no model '{role}'", "add it, with its stage, path or endpoint")
    if not stage.reverse and "author" in stage.models:
        source.fail((*key, "models", "author"), "an author is asked in reverse only", "remove it, or reverse: true")
    spec = recipe.verifiers.get(stage.verifier)
    if spec is not None and spec.kind != "code":
        codes = [name for name, spec in recipe.verifiers.items() if spec.kind == "code"]
        source.fail((*key, "verifier"), f"'{stage.verifier}' is no verifier of kind code", near(stage.verifier, codes))
    known = ("cpu_seconds", "wall_seconds", "memory_mb", "output_bytes", "processes", "disk_mb")
    for name in stage.limits:
        if name not in known:
            source.fail((*key, "limits", name), f"no limit '{name}'", near(name, known))


def _check_model(recipe: Recipe, source: Source, index: int, role: str, model: AskedModel) -> None:
    key: Key = ("stages", index, "models", role)
    given = [name for name in ("stage", "path", "endpoint") if getattr(model, name) is not None]
    if len(given) != 1:
        what = f"both {given[0]} and {given[1]} say which model" if given else "nothing says which model"
        source.fail(key, what, "give one of: stage (of this run), path (a folder), endpoint (a server) with model")
    if model.endpoint is not None:
        _check_server(source, key, model)
        return
    for name in _SERVER_KEYS:
        if name in model.model_fields_set:
            source.fail((*key, name), f"'{name}' is a server's, and this model is no server", "remove it")
    if model.max_tokens >= recipe.engine.context_tokens:
        source.fail(
            (*key, "max_tokens"),
            f"a reply of {model.max_tokens} tokens leaves no room for a prompt in engine.context_tokens: "
            f"{recipe.engine.context_tokens}",
            "raise engine.context_tokens or lower max_tokens",
        )
    if model.stage is not None:
        earlier = [BASE, *(stage.name for stage in recipe.stages[:index] if is_policy(stage))]
        if model.stage not in earlier:
            source.fail((*key, "stage"), f"no earlier stage '{model.stage}' with a model", near(model.stage, earlier))


def _check_server(source: Source, key: Key, model: AskedModel) -> None:
    from rewards.models.endpoint import check_model

    if model.model is None:
        source.fail((*key, "model"), "key 'model' is missing", "add the name that the server knows the model by")
    try:
        check_model(server_options(model), where="model")
    except VerifierError as error:
        last = (error.where or "").rpartition(".")[2]
        place = (*key, last) if last in AskedModel.model_fields else key
        source.fail(place, error.what, error.remedy or "mend it")


def server_options(model: AskedModel) -> dict[str, object]:
    """What the client of a server is made from (rewards.contract.options.EndpointOptions)."""
    names = ("endpoint", "model", "api_key_env", "timeout_seconds", "retries", "parallel", "extra")
    return {name: getattr(model, name) for name in names}


def _check_mix(source: Source, stage: Mix, key: Key) -> None:
    total = sum(phase.share for phase in stage.phases.values())
    if abs(total - 1.0) > 1e-6:
        source.fail((*key, "phases"), f"the shares of the phases add up to {total:g}", "make them add up to 1")
    for name, phase in stage.phases.items():
        where: Key = (*key, "phases", name)
        if name == "chosen":
            source.fail(where, "'chosen' stands for all phases", "another name")
        if not phase.data and not stage.data:
            source.fail(where, "key 'data' is missing", "give data to the phase or to the stage: {general: 1.0}")
        if phase.quality[0] >= phase.quality[1]:
            source.fail((*where, "quality"), f"{list(phase.quality)} holds no row", "the lower edge first: [0.8, 1]")
        if phase.quality != (0.0, 1.0) and stage.score is None:
            source.fail((*where, "quality"), "no score says which rows are better", "name the stage's score")
        if (phase.domains or stage.domains) and stage.domain is None:
            source.fail(where, "no key says which domain a row has", "name the stage's domain")
    if stage.data and all(phase.data for phase in stage.phases.values()):
        source.fail((*key, "data"), "every phase has data of its own, so nothing reads it", "leave it out")


def _check_clean(recipe: Recipe, source: Source, stage: Clean, key: Key) -> None:
    from rewards.prose.languages import language_code

    for place, name in enumerate(suites_against(recipe, stage)):
        where: Key = (*key, "against", place) if stage.against else (*key, "against")
        if name not in recipe.data:
            source.fail(where, f"no data set '{name}'", near(name, recipe.data))
        if isinstance(recipe.data[name], StageData):
            source.fail(where, f"data '{name}' is rows of a stage, no suite", "name a data set of held-out prompts")
    for place, name in enumerate(stage.languages):
        if language_code(name) is None:
            source.fail((*key, "languages", place), f"unknown language '{name}'", "a code or a name: en, French")
    if stage.max_words is not None and stage.min_words > stage.max_words:
        source.fail((*key, "min_words"), f"{stage.min_words} is above max_words {stage.max_words}", "lower it")
