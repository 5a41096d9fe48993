"""Each fault of a recipe is one error: file, line, full key path, the offending value, the remedy."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from posttrain.errors import InputError, RecipeError
from posttrain.recipe import load_recipe
from posttrain.recipe.load import dump_resolved, load_resolved, read_recipe
from posttrain.recipe.schema import Recipe, json_schema
from tests.recipe.world import RECIPE, write_world

# (what is replaced, by what, the key path that the message names, words of the message, words of the remedy)
FAULTS = [
    ("seed: 7", "sede: 7", "sede", "unknown key 'sede'", "'seed'"),
    ("seed: 7", "seed: seven", "seed", "'seven'", "whole number"),
    ("seed: 7", "seed: 1e1", "seed", "10.0", "write it as 10"),
    ("seed: 7", "seed: true", "seed", "True", "whole number"),
    ("seed: 7", "seed: -1", "seed", "-1", "at least 0"),
    ("schema: 1", "schema: 2", "schema", "2", "schema: 1"),
    ("schema: 1\n", "", "", "'schema'", "schema: 1"),
    ("name: small", "name: Small", "name", "'Small'", "small letters"),
    ("name: small\n", "", "name", "missing", "add it"),
    ("think: [", "thnik: [", "chat.thnik", "thnik", "'think'"),
    ('["<think>", "</think>"]', '["<think>"]', "chat.think", "", "2"),
    ("cluster: {trainers: 1}", "cluster: {trainers: 0}", "cluster.trainers", "0", "at least 1"),
    ("cluster: {trainers: 1}", "cluster: 3", "cluster", "3", "mapping"),
    *(
        ("engine: {context_tokens: 512}", f"engine: {{context_tokens: 512, {own}}}", f"engine.{key}", what, remedy)
        for own, key, what, remedy in (
            ("options: {max_model_len: 9}", "options.max_model_len", "engine.context_tokens", "that key instead"),
            ("options: {tensor_parallel_size: 2}", "options", "2 GPUs, and takes 0", "gpus_per_engine: 2"),
            ("roles: {critic: {engines: 2}}", "roles.critic", "critic", "policy"),
            ("backend: hf, options: {max_num_seqs: 9}", "options", "hf", "vllm"),
            (
                "roles: {teacher: {gpus_per_engine: 1.0, options: {tensor_parallel_size: 2}}}",
                "roles.teacher.options",
                "2 GPUs, and takes 1",
                "gpus_per_engine: 2",
            ),
        )
    ),
    ("min_level: namespaces", "min_level: contaner", "sandbox.min_level", "contaner", "'container'"),
    ("min_level: namespaces", "min_level: none", "sandbox.min_level", "none", "I understand generated code runs as me"),
    (
        "min_level: namespaces",
        'min_level: none, allow_unsafe: "yes"',
        "sandbox.allow_unsafe",
        "yes",
        "I understand generated code runs as me",
    ),
    ("min_level: namespaces", "backend: local", "sandbox.backend", "local", "min_level: none"),
    ("min_level: namespaces", "backend: namespaces, image: x", "sandbox.image", "namespaces", "backend: docker"),
    ("{kind: math}", "{kind: maths}", "verifiers.math.kind", "maths", "math"),
    ("{kind: math}", "{kind: math, tolerence: 1}", "verifiers.math", "tolerence", ""),
    ("{kind: math}", '{kind: "no_such_module:X"}', "verifiers.math.kind", "no_such_module", ""),
    ("{kind: math}", "{}", "verifiers.math.kind", "missing", ""),
    ("model: {stage: judge}", "model: {stage: jugde}", "verifiers.taste", "jugde", "'judge'"),
    (
        "source: jsonl, path: data/warmup.jsonl",
        "source: josnl, path: data/warmup.jsonl",
        "data.warmup.source",
        "josnl",
        "'jsonl'",
    ),
    ("source: jsonl, path: data/warmup.jsonl", "path: data/warmup.jsonl", "data.warmup", "'source'", "jsonl"),
    (", card: cards/warmup.md", "", "data.warmup.card", "missing", "add it"),
    (
        "card: cards/warmup.md",
        "card: cards/warmup.md, columns: {question: prompt}",
        "data.warmup.columns.question",
        "'question' is not a key of ours",
        "ours are id, messages, prompt",
    ),
    ("part: chosen", "part: choosen", "data.good.part", "choosen", "'chosen'"),
    ("part: chosen", "part: pairs", "data.good.part", "pairs", "chosen"),
    ("stage: distil, part", "stage: distill, part", "data.good.stage", "distill", "'distil'"),
    ("  warmup: {", "  Warm-up: {", "data.Warm-up", "Warm-up", "small letters"),
    ("kind: sft, name: cold_start", "kind: sfr, name: cold_start", "stages.cold_start.kind", "sfr", "'sft'"),
    ("kind: sft, name: cold_start", "name: cold_start", "stages.cold_start", "'kind'", "sft"),
    ("kind: sft, name: cold_start, data", "kind: sft, data", "stages[0].name", "missing", "add it"),
    (
        "stages:\n  - {kind: sft, name: cold_start",
        "stages:\n  - {kind: sft, name: distil",
        "stages.distil.name",
        "two stages",
        "name of its own",
    ),
    ("name: cold_start, data", "name: base, data", "stages.base.name", "base", "another name"),
    (
        "steps: 4, max_tokens: 256}\n  - kind: dpd",
        "setps: 4, max_tokens: 256}\n  - kind: dpd",
        "stages.cold_start.setps",
        "setps",
        "'steps'",
    ),
    (
        "steps: 4, max_tokens: 256}\n  - kind: dpd",
        "max_tokens: 256}\n  - kind: dpd",
        "stages.cold_start",
        "neither",
        "one of the two",
    ),
    (
        "steps: 4, max_tokens: 256}\n  - kind: dpd",
        "steps: 4, epochs: 1}\n  - kind: dpd",
        "stages.cold_start.epochs",
        "both",
        "one of the two",
    ),
    (
        "steps: 4, max_tokens: 256}\n  - kind: dpd",
        "steps: 4, lr: 1}\n  - kind: dpd",
        "stages.cold_start.lr",
        "'lr'",
        "'learning_rate'",
    ),
    ("data: {warmup: 1.0}", "data: {warmpu: 1.0}", "stages.cold_start.data.warmpu", "warmpu", "'warmup'"),
    ("data: {warmup: 1.0}", "data: {warmup: 0}", "stages.cold_start.data.warmup", "0", "above 0"),
    ("data: {warmup: 1.0}", "data: {}", "stages.cold_start.data", "", "at least 1"),
    ("data: {warmup: 1.0}", "data: {good: 1.0}", "stages.cold_start.data.good", "does not run before", "reorder"),
    (
        "data: {warmup: 1.0}, steps: 4",
        "data: {warmup: 1.0}, batch_size: 24, steps: 4",
        "stages.cold_start.micro_batch_size",
        "the default 16",
        "12",
    ),
    (
        "steps: 4, max_tokens: 256}\n  - kind: dpd",
        "steps: 4, adapter: lora}\n  - kind: dpd",
        "stages.cold_start.adapter",
        "'lora'",
        "expected 'full' or a map",
    ),
    ("    prompts: questions", "    prompts: question", "stages.distil.prompts", "question", "'questions'"),
    ("    prompts: questions", "    prompts: good", "stages.distil.prompts", "good", ""),
    ("    prompts: questions", "    prompts: 3", "stages.distil.prompts", "3", "mapping of keys or text"),
    ("    verifier: math", "    verifier: mth", "stages.distil.verifier", "mth", "'math'"),
    ("    verifier: math", "    verifier: {warmup: math}", "stages.distil.verifier", "warmup", "one verifier"),
    ("    verifier: math", "    verifier: taste", "stages.distil.verifier", "judge", "move"),
    (
        "    verifier: math",
        "    verifier: math\n    weights: {sequence: 0, chosen: 0, rejected: 0}",
        "stages.distil.weights",
        "no loss",
        "above 0",
    ),
    (
        "teacher: {path: teacher}",
        "teacher: {path: teacher, toy: {}}",
        "stages.distil.teacher.toy",
        "teacher",
        "path: toy",
    ),
    (
        "teacher: {path: teacher}",
        "teacher: {path: a/b, revision: main}",
        "stages.distil.teacher.revision",
        "main",
        "40 hex digits",
    ),
    ("base: {path: base}", "base: {path: toy, toy: {hidden_size: 100}}", "base.toy.hidden_size", "100", "128"),
    ("name: stem, from: distil", "name: stem, from: distill", "stages.stem.from", "distill", "'distil'"),
    ("name: stem, from: distil", "name: stem, from: judge", "stages.stem.from", "judge", "earlier"),
    (
        "name: preference, prompts",
        "name: preference, from: judge, prompts",
        "stages.preference.from",
        "reward model",
        "one of",
    ),
    ("filter: {k: 16}", "filter: {k: 1}", "stages.stem.filter.k", "1", "at least 2"),
    ("filter: {k: 16}", "filter: {k: 4, low: 0.26, high: 0.49}", "stages.stem.filter", "4", "widen"),
    ("filter: {k: 16}", "filter: {k: 4, low: 0.9, high: 0.1}", "stages.stem.filter", "0.9", "low < high"),
    ("filter: {k: 16}", "filter: {k: 16}, group: 15, prompts_per_step: 1", "stages.stem.micro_batch_size", "15", "15"),
    ("filter: {k: 16}, steps: 4", "filter: {k: 16}, steps: null", "stages.stem.steps", "steps", "100"),
    (
        "steps: 4, max_tokens: 128}\n  - {kind: reward",
        "steps: 4, max_tokens: 512}\n  - {kind: reward",
        "stages.stem.max_tokens",
        "512",
        "context_tokens",
    ),
    (
        "  max_tokens: 128\n  few_shot",
        "  max_tokens: 4096\n  few_shot",
        "evaluate.max_tokens",
        "4096",
        "context_tokens",
    ),
    ("{data: held_out, ver", "{data: heldout, ver", "evaluate.suites.stem.data", "heldout", "'held_out'"),
    ("{data: held_out, ver", "{data: questions, ver", "evaluate.suites.stem.data", "trains on", "held-out"),
    ("verifier: math, examples", "verifier: taste, examples", "evaluate.suites.stem.verifier", "reward model", "rule"),
    ("verifier: math, examples", "verifier: mat, examples", "evaluate.suites.stem.verifier", "mat", "'math'"),
    (
        "examples: warmup",
        "examples: good",
        "evaluate.suites.stem.examples",
        "answers of a stage",
        "worked conversations",
    ),
    ("data: {warmup: 1.0}", "data: {warmup: 1e308}", "stages.cold_start.data.warmup", "1e+308", "at most"),
    ("steps: 4, max_tokens: 256}", "epochs: 1e308, max_tokens: 256}", "stages.cold_start.epochs", "1e+308", "at most"),
    ("examples: warmup", "examples: warmpu", "evaluate.suites.stem.examples", "warmpu", "'warmup'"),
    ("k: 4\n", "k: 4\n  after: each\n", "evaluate.after", "each", ""),
    ("k: 4\n", "k: .inf\n", "evaluate.k", "infinities", "finite"),
]


def test_tokens_are_added_by_a_full_sft_that_starts_from_the_base(tmp_path: Path) -> None:
    asked = RECIPE.replace('</think>"]', '</think>"], add_tokens: true')
    grown = asked.replace("k: 4\n", "k: 4\n  after: last\n")
    assert load_recipe(write_world(tmp_path / "full", grown)).recipe.chat.add_tokens
    lora = grown.replace("steps: 4, max_tokens: 256}", "steps: 4, max_tokens: 256, adapter: {rank: 2}}", 1)
    gated = grown.replace(
        "steps: 4, max_tokens: 256}", "steps: 4, max_tokens: 256, gate: {suite: stem, max_drop: 0.1}}", 1
    )
    other = grown.replace("from: distil, prompts", "from: base, prompts", 1)
    for name, text, what, remedy in (
        ("lora", lora, "'cold_start' starts from the base, which lacks", "begin with such an sft"),
        ("other", other, "'stem' starts from the base, which lacks", "begin with such an sft"),
        ("gated", gated, "a gate asks the base too", "a later stage"),
        ("asked", asked, "scores the base too", "evaluate.after: last"),
    ):
        with pytest.raises(RecipeError, match=what) as caught:
            load_recipe(write_world(tmp_path / name, text))
        assert remedy in str(caught.value.remedy)


@pytest.mark.parametrize(
    ("override", "key", "remedy"),
    [
        ("early_stop.guard={suite: stemm, every: 2}", "early_stop.guard.suite", "'stem'"),
        ("alarms={canaries: {data: helf_out, verifier: math}}", "alarms.canaries.data", "'held_out'"),
        ("alarms={canaries: {data: good, verifier: math}}", "alarms.canaries.data", ""),
        ("alarms={canaries: {data: questions, verifier: math}}", "alarms.canaries.data", "of their own"),
        ("alarms={canaries: {data: held_out, verifier: maths}}", "alarms.canaries.verifier", "'math'"),
        ("alarms={canaries: {data: held_out, verifier: taste}}", "alarms.canaries.verifier", "of its own"),
    ],
)
def test_what_a_stage_asks_beside_its_prompts_is_there_and_not_trained_on(
    tmp_path: Path, override: str, key: str, remedy: str
) -> None:
    path = write_world(tmp_path)
    with pytest.raises(RecipeError) as caught:
        load_recipe(path, [f"stages.stem.{override}"])
    assert key in str(caught.value.where) and remedy in str(caught.value.remedy)
    load_recipe(path, ["stages.stem.early_stop.guard={suite: stem, every: 2}"])


def test_rollouts_are_sampled_so_that_their_probability_is_known(tmp_path: Path) -> None:
    path = write_world(tmp_path)
    for overrides, key, remedy in (
        (["stages.stem.top_p=0.9"], "stages.stem.top_p", "set top_p: 1.0"),
        (["stages.stem.staleness=1"], "stages.stem.staleness", "importance_sampling: sequence_mask"),
        (
            ["stages.stem.staleness=1", "stages.stem.importance_sampling=token_mask", "cluster.share=time"],
            "stages.stem.staleness",
            "cluster.share: space",
        ),
        (["cluster.context_parallel=2"], "cluster.context_parallel", "a GPU of 80 GB holds 64K"),
        (["cluster.gpus_per_engine=1.5"], "cluster.gpus_per_engine", "a whole number"),
    ):
        with pytest.raises(RecipeError) as caught:
            load_recipe(path, overrides)
        assert key in str(caught.value.where) and remedy in str(caught.value.remedy)
    load_recipe(path, ["stages.stem.staleness=1", "stages.stem.importance_sampling=token_mask"])


@pytest.mark.parametrize(("old", "new", "key", "what", "remedy"), FAULTS)
def test_a_fault_is_one_error_with_file_line_key_and_remedy(
    tmp_path: Path, old: str, new: str, key: str, what: str, remedy: str
) -> None:
    assert RECIPE.count(old) >= 1
    path = write_world(tmp_path, RECIPE.replace(old, new, 1))
    with pytest.raises(RecipeError) as caught:
        load_recipe(path)
    error = caught.value
    assert error.exit_code == 2
    place = re.fullmatch(rf"{re.escape(str(path))}:(\d+)(?:: (.*))?", str(error.where))
    assert place, error.where
    assert (place[2] or "") == key
    assert what in error.what
    assert remedy in (error.remedy or "")
    if key and new.strip() and "\n" not in old + new:
        lines = path.read_text().splitlines()
        first = next(number for number, line in enumerate(lines, start=1) if new.strip() in line)
        assert int(place[1]) == first


def test_the_small_recipe_itself_is_accepted(tmp_path: Path) -> None:
    assert load_recipe(write_world(tmp_path)).recipe.name == "small"


def test_resolved_json_holds_every_default_and_loads_back_equal(tmp_path: Path) -> None:
    recipe = load_recipe(write_world(tmp_path)).recipe
    text = dump_resolved(recipe)
    assert load_resolved(text) == recipe
    assert json.loads(text)["stages"][0]["learning_rate"] == 1e-5
    assert json.loads(text)["stages"][2]["from"] == "cold_start"
    assert dump_resolved(load_resolved(text)) == text


@pytest.mark.parametrize(
    "rendered", [dump_resolved, lambda recipe: json.dumps(json.loads(dump_resolved(recipe)))], ids=["dump", "ascii"]
)
def test_resolved_json_loads_back_equal_whatever_characters_it_holds(
    tmp_path: Path, rendered: Callable[[Recipe], str]
) -> None:
    think = '["<\\U0001F914>", "a\\u2028b\\u0085c\\td"]'
    recipe = load_recipe(write_world(tmp_path, RECIPE.replace('["<think>", "</think>"]', think))).recipe
    assert recipe.chat.think == ("<\U0001f914>", "a\u2028b\u0085c\td")
    assert load_resolved(rendered(recipe)) == recipe


@pytest.mark.parametrize("text", ["[1]", "3", "", "{", "[" * 100_000, '{"schema": NaN}'])
def test_what_is_no_resolved_recipe_is_refused(text: str) -> None:
    with pytest.raises(RecipeError):
        load_resolved(text)


# ---------------------------------------------------------------- overrides


def _value(recipe: Recipe, path: str) -> object:
    value: object = recipe.model_dump(mode="json", by_alias=True)
    for name in path.split("."):
        if isinstance(value, list):
            value = next(item for item in value if item["name"] == name)
        else:
            assert isinstance(value, dict)
            value = value[name]
    return value


@pytest.mark.parametrize(
    ("path", "text", "value"),
    [
        ("stages.cold_start.learning_rate", "1e-5", 1e-5),
        ("stages.stem.filter.k", "8", 8),
        ("stages.stem.filter", "null", None),
        ("stages.cold_start.data.good", "0.5", None),
        ("seed", "0o17", 15),
        ("chat.stop", '["a", "b"]', ["a", "b"]),
        ("stages.distil.weights.rejected", "0.5", 0.5),
        ("stages.cold_start.adapter", "{rank: 4}", None),
        ("verifiers.code.score", "fraction", "fraction"),
        ("evaluate.suites.stem.max_tokens", "64", 64),
        ("name", "on", "on"),
    ],
)
def test_an_override_is_read_by_the_same_rules(tmp_path: Path, path: str, text: str, value: object) -> None:
    recipe = read_recipe(write_world(tmp_path), [f"{path}={text}"]).recipe
    got = _value(recipe, path)
    assert got == value or (value is None and got is not None) or (value is None and text == "null")


@pytest.mark.parametrize(
    ("override", "what", "remedy"),
    [
        ("stages.cold_strat.steps=3", "cold_strat", "'cold_start'"),
        ("stages.cold_start.stepz=3", "stepz", "'steps'"),
        ("stages.².steps=3", "²", "cold_start"),
        (f"stages.{'9' * 5000}.steps=3", "999", "cold_start"),
        ("evalute.k=3", "evalute", "'evaluate'"),
        ("data.warmpu.limit=3", "warmpu", "'warmup'"),
        ("evaluate.suites.stme.max_tokens=3", "stme", "'stem'"),
        ("seed=abc", "'abc'", "whole number"),
        ("seed", "KEY.PATH=VALUE", "such as"),
        ("=3", "KEY.PATH=VALUE", "such as"),
        ("seed.deeper=3", "seed", "whole"),
        ("chat.stop=[a", "not YAML", "brackets"),
        ("chat.stop=!!str a", "tag", "plain value"),
        ("stages.cold_start.steps=2.5", "2.5", "whole number"),
        ("stages.cold_start.epochs=1", "both", "one of the two"),
    ],
)
def test_a_wrong_override_names_the_option(tmp_path: Path, override: str, what: str, remedy: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe(write_world(tmp_path), [override])
    assert str(caught.value.where).startswith("--set ")
    assert what in caught.value.what
    assert remedy in (caught.value.remedy or "")


def test_the_last_of_two_overrides_wins(tmp_path: Path) -> None:
    assert read_recipe(write_world(tmp_path), ["seed=1", "seed=2"]).recipe.seed == 2


# ---------------------------------------------------------------- the shipped recipes and the schema

ROOT = Path(__file__).parents[2]
SHIPPED = sorted((ROOT / "recipes").glob("*.yaml"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_recipe_loads(path: Path) -> None:
    recipe = load_recipe(path).recipe
    assert load_resolved(dump_resolved(recipe)) == recipe
    assert f"[{path.stem}]({path.name})" in (path.parent / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_recipe_stays_under_140_lines(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) < 140


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_the_json_schema_is_valid_and_accepts_shipped_recipes(path: Path) -> None:
    schema = json_schema()
    Draft202012Validator.check_schema(schema)
    from posttrain.recipe.yaml_core import read_file

    Draft202012Validator(schema).validate(read_file(path).data)
    assert not Draft202012Validator(schema).is_valid({**read_file(path).data, "sede": 1})


def test_recipe_new_writes_a_recipe_that_loads_and_overwrites_nothing(tmp_path: Path) -> None:
    from posttrain.recipe.new import new_recipe

    out = tmp_path / "mine.yaml"
    new_recipe(base="toy", revision=None, like="nanbeige4_3b_thinking", name=None, out=out)
    recipe = load_recipe(out).recipe
    assert (recipe.name, recipe.base.path) == ("mine", "toy")
    with pytest.raises(InputError, match="exists"):
        new_recipe(base="toy", revision=None, like="demo_cpu", name=None, out=out)
    with pytest.raises(InputError, match="revision"):
        new_recipe(base="some/model", revision=None, like="demo_cpu", name=None, out=tmp_path / "b.yaml")
    with pytest.raises(InputError, match="demo_cpx"):
        new_recipe(base="toy", revision=None, like="demo_cpx", name=None, out=tmp_path / "c.yaml")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.yaml"]
    new_recipe(base="toy", revision=None, like="neo3_3b_a400m_thinking", name=None, out=tmp_path / "mine" / "neo.yaml")
    assert (tmp_path / "mine" / "templates" / "neo3.jinja").is_file(), "its chat template comes along"
