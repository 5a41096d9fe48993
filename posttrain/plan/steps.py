"""Recipe -> Plan: every stage becomes its steps, in run order, each with inputs, digests and id.

    first                     base (or <stage>.from for --from STAGE=FOLDER), <stage>.teacher of each dpd, fitness
    then                      <stage>.tokens of each sft whose rows are here: a faulty one comes out before any training
    a stage                   dpd: <stage>.pairs, <stage>.teacher_logprobs where it has a cache, <stage>;
                              grpo: <stage>.filter, <stage>; others: <stage>; before a data stage
                              <stage>.<role> for each model made elsewhere
    after a checkpoint        <step>.eval.<suite>, <stage>.gate
    last                      export

These names are printed; what code asks of a step stands in its fields (records/step.py). Knows stage kinds by name and
VERSION only; never runs one.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from posttrain.data.survey import readers
from posttrain.errors import CheckpointError, RecipeError, RunFolderError
from posttrain.plan import identity
from posttrain.recipe.files import ABSENT, Files, check_model_folder, find_files
from posttrain.recipe.load import Loaded
from posttrain.recipe.location import Source, near
from posttrain.recipe.paths import full_path
from posttrain.recipe.resolve import (
    BASE,
    data_of,
    final_policy,
    is_policy,
    judge_of,
    maker_of,
    plugin_modules,
    start_of,
    suites_against,
    takes_kl,
    verifiers_of,
    watched_data,
)
from posttrain.recipe.schema import (
    AnyStage,
    AskingStage,
    Clean,
    Custom,
    DataStage,
    Dpd,
    EngineRole,
    Grpo,
    ModelRef,
    Recipe,
    Sft,
    Stage,
    StageData,
    ToyModel,
    Training,
)
from posttrain.recipe.smoke import smoke_recipe
from posttrain.records.step import ModelRole, Step
from posttrain.store.digests import Digests


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """The steps of a recipe in run order; `recipe` is the one they were made from (smaller than the file's under
    --smoke).

    Example: Plan(recipe=Recipe(...), recipe_dir=Path("recipes"), steps=(Step(name="base", ...), ...),
    stages=("cold_start", ...))
    """

    recipe: Recipe
    recipe_dir: Path
    steps: tuple[Step, ...]
    stages: tuple[str, ...]  # those of the recipe that the plan holds: all, but for --until and --from
    smoke: bool = False
    absent: tuple[str, ...] = ()  # what is not here yet: "base", "distil.teacher", "data.general", "card.general"

    def step(self, name: str) -> Step:
        """Raises KeyError."""
        return {step.name: step for step in self.steps}[name]

    def unsettled(self) -> set[str]:
        """Steps that hang on something that is not here yet: their ids are not those that a run will have."""
        found: set[str] = set()
        for step in self.steps:
            if ABSENT in step.digests.values() or found & set(step.inputs.values()):
                found.add(step.name)
        return found


def build_plan(
    loaded: Loaded,
    digests: Digests,
    *,
    until: str | None = None,
    starts: Mapping[str, Path] | None = None,
    smoke_run: bool = False,
    may_lack: bool = False,
    kinds: Mapping[str, Any] | None = None,
) -> Plan:
    """Steps and ids. `until` ends after that stage; `starts` is stage -> checkpoint made elsewhere (--from); `kinds`
    are the stage classes; `may_lack` plans without data and models that are not here yet (Plan.absent).

    Raises RecipeError, DataError, CheckpointError. Files whose digest is not remembered are hashed; `digests.save()` is
    the caller's.
    """
    if kinds is None:
        from posttrain.stages import STAGES

        kinds = STAGES
    files = find_files(loaded, digests, may_lack=may_lack)
    recipe = smoke_recipe(loaded.recipe) if smoke_run else loaded.recipe
    chosen = _chosen_stages(recipe, until, starts or {})
    builder = _Builder(recipe=recipe, source=loaded.source, files=files, kinds=kinds, smoke=smoke_run)
    external = {name: _external(name, path, recipe, digests) for name, path in (starts or {}).items()}
    if not external:
        builder.model(BASE, recipe.base, role=ModelRole.BASE)
    for stage in chosen:
        if stage.name in external:
            builder.reference(stage.name, *external[stage.name])
    for stage in chosen:
        if isinstance(stage, Dpd):
            builder.model(f"{stage.name}.teacher", stage.teacher, role=ModelRole.TEACHER, stage=stage.name)
    if recipe.evaluate.suites or any(isinstance(stage, Training) for stage in chosen):
        builder.fitness(chosen)  # stages of the user's own alone may ask nothing of a model
    for stage in chosen:
        if isinstance(stage, Sft) and builder.reads_from_start(stage):
            builder.tokens(stage)
    if not external:
        builder.evaluations(BASE)
        builder.few_shot_evaluations()
    for stage in chosen:
        if stage.name in external:
            builder.evaluations(f"{stage.name}.from")
        builder.stage(stage)
    if until is None:
        builder.export()
    names = tuple(stage.name for stage in chosen)
    return Plan(
        recipe=recipe,
        recipe_dir=loaded.recipe_dir,
        steps=tuple(builder.steps.values()),
        stages=names,
        smoke=smoke_run,
        absent=tuple(files.absent),
    )


def recorded_steps(text: str | bytes, where: str = "plan.json") -> tuple[Step, ...]:
    """Steps that a run folder's plan.json recorded. Raises RunFolderError when it is none."""
    try:
        return tuple(_step_from_row(row) for row in json.loads(text)["steps"])
    except (ValueError, KeyError, TypeError) as error:
        raise RunFolderError(
            f"not a recorded plan: {error}", where=where, remedy="remove the file; the store keeps what was made"
        ) from None


def _step_from_row(row: Mapping[str, Any]) -> Step:
    known = {key: value for key, value in row.items() if key in {item.name for item in fields(Step)}}
    role = known.get("role")
    return Step(**{**known, "role": None if role is None else ModelRole(role)})


def _chosen_stages(recipe: Recipe, until: str | None, starts: Mapping[str, Path]) -> list[AnyStage]:
    names = [stage.name for stage in recipe.stages]
    for option, name in [("--until", until), *(("--from", start) for start in starts)]:
        if name is not None and name not in names:
            raise RecipeError(f"no stage '{name}'", where=option, remedy=near(name, names))
    first = min((names.index(name) for name in starts), default=0)
    last = names.index(until) if until is not None else len(names) - 1
    if first > last:
        raise RecipeError(
            f"'{until}' comes before '{names[first]}', where --from starts",
            where="--until",
            remedy="nothing would run; choose a later stage",
        )
    unused = [name for name in starts if names.index(name) > last]
    if unused:
        raise RecipeError(f"'{unused[0]}' comes after --until {until}", where="--from", remedy="leave it out")
    return list(recipe.stages[first : last + 1])


def _external(name: str, path: Path, recipe: Recipe, digests: Digests) -> tuple[Path, str]:
    """Folder with the weights (a stage's published folder holds it as model/) and its digest."""
    folder = full_path(path, Path.cwd())
    where = f"--from {name}={path}"
    if not folder.is_dir():
        raise CheckpointError(
            f"no folder {folder}", where=where, remedy="give a checkpoint folder, such as runs/demo/stages/general"
        )
    if (folder / "model" / "config.json").is_file():
        folder = folder / "model"
    check_model_folder(folder, where, has_template=recipe.chat.template is not None)
    return folder, digests.of(folder)


@dataclass(kw_only=True, slots=True)
class _Builder:
    """Collects steps; every method adds the steps of one thing."""

    recipe: Recipe
    source: Source
    files: Files
    kinds: Mapping[str, Any]
    smoke: bool
    steps: dict[str, Step] = field(default_factory=dict)

    def model(self, name: str, model: ModelRef, *, role: ModelRole, stage: str | None = None) -> None:
        """The base or a model beside it. A toy goes on from a toy base of its shape, which --from may have left out."""
        params = identity.base_params(self.recipe, name, model, local=name in self.files.paths)
        goes_on = role in (ModelRole.TEACHER, ModelRole.ASKED) and _same_toy(self.recipe.base, model)
        if goes_on and BASE not in self.steps:
            self.model(BASE, self.recipe.base, role=ModelRole.BASE)
        inputs = {"checkpoint": BASE} if goes_on else {}
        step = Step(name=name, kind="base", params=params, inputs=inputs, stage=stage, role=role)
        self._add(step, files=(name,), chat=False)

    def reference(self, stage: str, folder: Path, digest: str) -> None:
        """A checkpoint made elsewhere from which a stage starts, given by --from."""
        name = f"{stage}.from"
        self.files.paths[name], self.files.digests[name] = folder, digest
        params = identity.base_params(
            self.recipe, name, ModelRef(path=str(folder), revision=None, toy=None, shape=None), local=True
        )
        step = Step(name=name, kind="base", params=params, stage=stage, role=ModelRole.START)
        self._add(step, files=(name,), chat=False)

    def fitness(self, stages: Sequence[AnyStage]) -> None:
        """All models together, before the first stage: what has been added so far is models."""
        names = [stage.name for stage in stages]
        data = tuple(sorted(readers(self.recipe, names)))
        models = {name: name for name in self.steps}
        params = identity.fitness_params(self.recipe, stages, data)
        self._add(Step(name="fitness", kind="fitness", params=params, inputs=models), data=data)

    def reads_from_start(self, stage: Sft) -> bool:
        """Whether an sft's rows and the tokenizer for them are there before any stage has run."""
        from_stages = any(isinstance(self.recipe.data[name], StageData) for name in data_of(stage))
        return not from_stages and self._tokenizer(stage) in self.steps

    def tokens(self, stage: Sft) -> None:
        """The rows of an sft as tokens. Training changes no tokenizer, so they hang on the model at the beginning."""
        name, tokenizer = f"{stage.name}.tokens", self._tokenizer(stage)
        inputs = {"tokenizer": self._required_step(stage, tokenizer, f"starts from '{tokenizer}'")}
        params = identity.tokens_params(self.recipe, stage, name)
        step = Step(
            name=name, kind="tokens", params=params, inputs={**inputs, **self._stage_data(stage)}, stage=stage.name
        )
        self._add(step, data=tuple(data_of(stage)))

    def _tokenizer(self, stage: AnyStage) -> str:
        """The step whose tokenizer a stage has: where its line of stages begins, or a stage of the user's own in it."""
        by_name = {one.name: one for one in self.recipe.stages}
        name = stage.name
        while f"{name}.from" not in self.steps:
            name = start_of(self.recipe, name)
            if name == BASE or isinstance(by_name[name], Custom):
                return name
        return f"{name}.from"

    def stage(self, stage: AnyStage) -> None:
        """A stage with what it needs before it and its evaluations after it."""
        if isinstance(stage, DataStage):
            self._data_stage(stage)
            return
        inputs = {"checkpoint": self._start(stage)}
        if not isinstance(stage, Sft):  # whose rows are its tokens' own
            inputs |= self._stage_data(stage)
        if isinstance(stage, Dpd):
            inputs |= self._before_distillation(stage, inputs["checkpoint"])
        elif isinstance(stage, Grpo):
            inputs |= self._judge(stage)
            if stage.filter is not None:
                filtered = f"{stage.name}.filter"
                params = identity.sampling_params(self.recipe, stage, filtered)
                step = Step(name=filtered, kind="filter", params=params, inputs=dict(inputs), stage=stage.name)
                self._add(step, data=tuple(data_of(stage)))
                inputs["filter"] = filtered
        elif isinstance(stage, Sft):
            if f"{stage.name}.tokens" not in self.steps:
                self.tokens(stage)
            inputs["tokens"] = f"{stage.name}.tokens"
        data = () if isinstance(stage, Dpd | Sft) else (*data_of(stage), *watched_data(self.recipe, stage))
        params = identity.stage_params(self.recipe, stage)
        step = Step(name=stage.name, kind=stage.kind, params=params, inputs=inputs, stage=stage.name)
        self._add(step, data=data)
        if is_policy(stage):
            self.evaluations(stage.name)
        if isinstance(stage, Sft | Dpd | Grpo) and stage.gate is not None:
            self._gate(stage, stage.gate.suite, inputs["checkpoint"])

    def _gate(self, stage: Sft | Dpd | Grpo, suite: str, start: str) -> None:
        """Whether the stage's checkpoint is handed on, by evaluations of it and of its start."""
        name = f"{stage.name}.gate"
        scores = {"eval.checkpoint": self._score(stage.name, suite), "eval.start": self._score(start, suite)}
        inputs = {"checkpoint": stage.name, "start": start, **scores}
        params = identity.gate_params(stage, name)
        self._add(Step(name=name, kind="gate", params=params, inputs=inputs, stage=stage.name), chat=False)

    def _score(self, checkpoint: str, suite: str) -> str:
        """The step that scores a checkpoint on a suite, which a gate has done for what it hands on."""
        scored = self.steps[checkpoint]
        if scored.kind == "gate" and scored.params["suite"] == suite:
            return checkpoint
        if f"{checkpoint}.eval.{suite}" not in self.steps:
            self._evaluate(checkpoint, suite, few_shot=False)
        return f"{checkpoint}.eval.{suite}"

    def _kept(self, name: str) -> str:
        """The step that hands on what the step `name` made: its gate, where it has one."""
        return f"{name}.gate" if f"{name}.gate" in self.steps else name

    def _before_distillation(self, stage: Dpd, start: str) -> dict[str, str]:
        """The pairs, and the teacher's distributions where they go by way of the disk; inputs that the training has
        beside its start."""
        teacher, pairs, cache = (f"{stage.name}.{what}" for what in ("teacher", "pairs", "teacher_logprobs"))
        if self.recipe.evaluate.teacher:
            self.evaluations(teacher)
        student = self._kept(stage.negatives_from) if stage.negatives_from else start
        if student != start:
            self._required_step(stage, student, f"has its bad answers from '{student}'", missing=stage.negatives_from)
        sampled = {"checkpoint": student, "teacher": teacher, **self._judge(stage)}
        params = identity.sampling_params(self.recipe, stage, pairs)
        step = Step(name=pairs, kind="pairs", params=params, inputs=sampled, stage=stage.name)
        self._add(step, data=tuple(data_of(stage)))
        inputs = {"pairs": pairs, **({"negatives": student} if student != start else {})}
        if not takes_kl(stage):
            return inputs
        if stage.teacher.cache is None:
            return {"teacher": teacher, **inputs}
        params = identity.cache_params(self.recipe, stage, cache)
        read = {"checkpoint": start, "teacher": teacher, "pairs": pairs}
        self._add(Step(name=cache, kind="teacher_logprobs", params=params, inputs=read, stage=stage.name))
        return {**inputs, "teacher_logprobs": cache}

    def _data_stage(self, stage: DataStage) -> None:
        """A stage that makes rows: its models, each a step or a server, and the rows that it reads."""
        inputs, prompts, data = self._stage_data(stage), [], list(data_of(stage))
        if isinstance(stage, AskingStage):
            for role, model in stage.models.items():
                name = f"{stage.name}.{role}"
                if model.stage is not None:
                    asked = self._required_step(stage, self._kept(model.stage), f"asks '{model.stage}'")
                    inputs[f"model.{role}"] = asked
                elif model.path is not None:
                    elsewhere = ModelRef(path=model.path, revision=model.revision, toy=model.toy, shape=None)
                    self.model(name, elsewhere, role=ModelRole.ASKED, stage=stage.name)
                    inputs[f"model.{role}"] = name
            inputs |= self._judge(stage)
            prompts = [role for role in self.files.digests if role.startswith(f"{stage.name}.prompt.")]
        elif isinstance(stage, Clean):
            data += suites_against(self.recipe, stage)
        params = identity.data_stage_params(self.recipe, stage)
        step = Step(name=stage.name, kind=stage.kind, params=params, inputs=inputs, stage=stage.name)
        self._add(step, data=tuple(dict.fromkeys(data)), files=tuple(prompts))

    def evaluations(self, checkpoint: str) -> None:
        """One step a suite for a checkpoint."""
        after = self.recipe.evaluate.after
        if after == "never" or (after == "last" and checkpoint != final_policy(self.recipe)):
            return
        for suite in self.recipe.evaluate.suites:
            self._evaluate(checkpoint, suite, few_shot=False)

    def few_shot_evaluations(self) -> None:
        """The base once more, with worked examples instead of a chat it never saw: a row of reference."""
        settings = self.recipe.evaluate
        for name, suite in settings.suites.items():
            if settings.after == "every_stage" and settings.few_shot and suite.examples is not None:
                self._evaluate(BASE, name, few_shot=True)

    def _evaluate(self, checkpoint: str, suite_name: str, *, few_shot: bool) -> None:
        suite, scored = self.recipe.evaluate.suites[suite_name], self.steps[checkpoint]
        name = f"{checkpoint}{'.few_shot' if few_shot else ''}.eval.{suite_name}"
        role: EngineRole = "teacher" if scored.role is ModelRole.TEACHER else "policy"
        params = identity.evaluate_params(self.recipe, name, suite_name, suite, few_shot=few_shot, role=role)
        data = (suite.data, suite.examples) if few_shot and suite.examples is not None else (suite.data,)
        step = Step(
            name=name,
            kind="evaluate",
            params=params,
            inputs={"checkpoint": checkpoint},
            stage=scored.stage,
            checkpoint=checkpoint,
            suite=suite_name,
            role=scored.role or ModelRole.POLICY,
            few_shot=few_shot,
        )
        self._add(step, data=data)

    def export(self) -> None:
        """The model that is handed over: the last policy, with a card made of all scores."""
        inputs = {"checkpoint": self._kept(final_policy(self.recipe))}
        inputs |= {
            f"eval.{step.row}.{step.suite}": name for name, step in self.steps.items() if step.kind == "evaluate"
        }
        cards = tuple(f"card.{name}" for name in sorted(self.recipe.data) if f"card.{name}" in self.files.paths)
        params = identity.export_params(self.recipe)
        self._add(Step(name="export", kind="export", params=params, inputs=inputs), files=cards)

    def _start(self, stage: AnyStage) -> str:
        external = f"{stage.name}.from"
        start = external if external in self.steps else self._kept(start_of(self.recipe, stage.name))
        return self._required_step(stage, start, f"starts from '{start}'")

    def _judge(self, stage: Stage) -> dict[str, str]:
        judge = judge_of(self.recipe, set(verifiers_of(stage).values()))
        return (
            {"judge": self._required_step(stage, judge, f"asks reward model '{judge}'", missing=judge)}
            if judge is not None
            else {}
        )

    def _stage_data(self, stage: Stage) -> dict[str, str]:
        found = {}
        for name in data_of(stage):
            spec = self.recipe.data[name]
            if isinstance(spec, StageData):
                maker = maker_of(self.recipe, spec)
                found[f"data.{name}"] = self._required_step(
                    stage, maker, f"reads data '{name}' of stage '{spec.stage}'", missing=spec.stage
                )
        return found

    def _required_step(self, stage: Stage, step: str, why: str, missing: str | None = None) -> str:
        """The step, if this plan holds it. missing: the stage that --from is to start at for it; `stage` itself when
        not given."""
        if step not in self.steps:
            # Only --from leaves earlier steps out; the recipe itself was checked.
            remedy = f"add --from {missing or stage.name}=CHECKPOINT, or start earlier"
            raise RecipeError(f"stage '{stage.name}' {why}, which --from leaves out", where="--from", remedy=remedy)
        return step

    def _add(self, step: Step, *, data: tuple[str, ...] = (), files: tuple[str, ...] = (), chat: bool = True) -> None:
        """Complete a step with version, digests, paths and id. data, files: what it reads; chat: and the template."""
        code = (f"code.{module}" for module in plugin_modules(step.params.get("verifiers")))
        roles = [*files, *(f"data.{item}" for item in data), *(("chat.template",) if chat else ()), *code]
        digests = {role: self.files.digests[role] for role in roles if role in self.files.digests}
        paths = {role: str(self.files.paths[role]) for role in roles if role in self.files.paths}
        if step.kind == "base" and step.name in digests:
            # The same folder is the same base, whichever step refers to it.
            digests = {"model": digests[step.name]}
            paths = {"model": paths[step.name]} if step.name in paths else {}
        params = dict(step.params)
        if self.smoke and (step.kind != "base" or "seed" in params):
            params["smoke"] = True
        version = self._version(step.kind, step.name)
        ids = {role: self.steps[name].id for role, name in step.inputs.items()}
        id = identity.step_id(kind=step.kind, version=version, params=params, inputs=ids, digests=digests)
        self.steps[step.name] = replace(step, version=version, params=params, digests=digests, files=paths, id=id)

    def _version(self, kind: str, name: str) -> int:
        stage = self.kinds[kind] if kind in self.kinds else _custom(kind, name, self.recipe, self.source)
        version = stage.VERSION
        assert isinstance(version, int), f"{stage} needs an integer VERSION"
        return version


def _same_toy(base: ModelRef, teacher: ModelRef) -> bool:
    """Whether both are toys of one shape: a base, and one that can go on from it."""
    if base.path != "toy" or teacher.path != "toy":
        return False
    ours, its = (model.toy or ToyModel.model_validate({}) for model in (base, teacher))
    shapes = [toy.model_dump(exclude={"skill", "steps"}) for toy in (ours, its)]
    return ours.skill == "base" and its.skill != "base" and shapes[0] == shapes[1]


def _custom(kind: str, name: str, recipe: Recipe, source: Source) -> Any:
    """The class of `kind: module:Class`, resolved now rather than after hours of training. Raises RecipeError."""
    key = (
        "stages",
        next(index for index, stage in enumerate(recipe.stages) if isinstance(stage, Custom) and stage.name == name),
        "kind",
    )
    module_name, _, class_name = kind.partition(":")
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a module of the user's own may raise anything at import
        from rewards.plugins.plugin import import_fault

        what = f"module '{module_name}' cannot be imported: {import_fault(error)}"
        source.fail(
            key,
            what,
            "install it, or put its folder on PYTHONPATH; a script's work goes below `if __name__ == '__main__':`",
        )
    found = getattr(module, class_name, None)
    if found is None:
        source.fail(
            key,
            f"module '{module_name}' has no class '{class_name}'",
            near(class_name, [item for item in vars(module) if not item.startswith("_")]),
        )
    if not isinstance(getattr(found, "VERSION", None), int) or not callable(getattr(found, "run", None)):
        source.fail(
            key,
            f"'{kind}' is no stage",
            "a stage has an integer VERSION and run(ctx); see posttrain/stages/protocol.py",
        )
    return found
