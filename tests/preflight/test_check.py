"""The deeper look: tokenizers, template, lengths, golds, rows and disk, each a finding of its own; real tokenizers,
real verifiers."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path
from typing import get_args

import pytest

from benchmarks.judge_attacks.server import ScriptedServer
from posttrain.errors import InputError
from posttrain.plan import Plan, build_plan
from posttrain.preflight.check import QUESTIONS, check_plan
from posttrain.preflight.disk import SMALL
from posttrain.preflight.finding import Finding, finding_of
from posttrain.preflight.golds import right_answers, try_answers
from posttrain.recipe import load_recipe
from posttrain.recipe.schema import Tracker
from posttrain.recipe.shipped import shipped_dir
from posttrain.stages import STAGES
from posttrain.store.digests import Digests
from posttrain.types import Prompt
from rewards.load import build_verifier
from rewards.services import Services
from sandbox.errors import LevelError
from tests.recipe.world import write_jsonl, write_world

TEMPLATE = Path(__file__).parents[2] / "posttrain" / "data" / "templates" / "chatml_think.jinja"
SPECIAL = ["<|im_start|>", "<|im_end|>", "<think>", "</think>", "<|endoftext|>"]


def write_tokenizer(folder: Path, words: list[str]) -> None:
    """A real word-level tokenizer over these words."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: number for number, word in enumerate([*SPECIAL, "[UNK]", *words])}
    core = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    core.add_special_tokens(SPECIAL)
    made = PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<|endoftext|>")
    made.chat_template = TEMPLATE.read_text(encoding="utf-8")
    made.save_pretrained(folder)


def write_weights(folder: Path) -> None:
    """Random weights for the shape in the folder's config.json, which from then on names a llama."""
    from transformers import LlamaConfig, LlamaForCausalLM, set_seed

    set_seed(1)
    config = LlamaConfig(**json.loads((folder / "config.json").read_text()), architectures=["LlamaForCausalLM"])
    LlamaForCausalLM(config).save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps({**config.to_dict(), "dtype": "float32"}))


@pytest.fixture(scope="session")
def small_world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = write_world(tmp_path_factory.mktemp("world"))
    for model in ("base", "teacher"):
        write_tokenizer(path.parent / model, ["user", "assistant", "one", "two", "q"])
        write_weights(path.parent / model)
    return path


@pytest.fixture
def world(tmp_path: Path, small_world: Path) -> Path:
    shutil.copytree(small_world.parent, tmp_path, dirs_exist_ok=True)
    return tmp_path / small_world.name


def plan_of(path: Path, *overrides: str) -> Plan:
    return build_plan(load_recipe(path, overrides), Digests(path.parent / "digests.json"))


def findings(path: Path, *overrides: str) -> dict[str, Finding]:
    return {finding.name: finding for finding in check_plan(plan_of(path, *overrides), path.parent / "store")}


def test_a_sound_recipe_has_no_failure_and_says_what_is_left(world: Path) -> None:
    found = findings(world)
    assert {name: finding.detail for name, finding in found.items() if finding.status == "fail"} == {}
    assert {name for name, finding in found.items() if finding.status == "later"} == {
        "data good",
        "verifier taste on questions",
    }
    assert found["tokenizer of distil.teacher"].detail == "same 11 ids as the student's"
    assert found["verifier math on questions"].detail == "accepts the answers of 8 of 8 sampled rows"


def test_a_tensor_that_is_missing_is_found_before_the_run(world: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = world.parent / "base" / "model.safetensors"
    tensors = load_file(weights)
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, weights, metadata={"format": "pt"})
    finding = findings(world)["weights of base"]
    assert finding.status == "fail" and "model.layers.1.mlp.up_proj.weight" in finding.detail


def test_lora_targets_and_generation_settings_are_looked_at_before_the_run(world: Path) -> None:
    (world.parent / "base" / "generation_config.json").write_text('{"do_sample": false, "temperature": 0.6}')
    found = findings(world, "stages.cold_start.adapter={targets: [q_proj]}")
    assert found["weights of base"].status == "ok" and "do_sample true" in found["weights of base"].detail
    assert found["weights of distil.teacher"].detail == "every tensor of the architecture is there"
    assert found["architecture of base"].detail == "vLLM runs LlamaForCausalLM"
    finding = findings(world, "stages.cold_start.adapter={targets: [q_porj]}", "engine.backend=hf")["weights of base"]
    assert finding.status == "fail" and "q_porj" in finding.detail and "k_proj" in finding.remedy


def test_a_routers_loss_without_experts_is_found_before_the_run(world: Path) -> None:
    found = findings(world, "stages.cold_start.router_loss=0.01")["experts of base"]
    assert (found.status, "no experts to balance" in found.detail) == ("fail", True)
    assert "router_loss" in found.remedy


def test_findings_come_in_the_order_of_the_questions(world: Path) -> None:
    marks = {
        "models": "weights of base",
        "chat templates": "chat template of base",
        "tokenizers": "tokenizer of distil.teacher",
        "context lengths": "context length",
        "data sets": "data warmup",
        "rows to imitate": "rows of cold_start",
        "prompts": "prompts of questions",
        "held-out problems": "held-out problems",
        "golds": "verifier math on questions",
        "disk": "disk",
    }
    names = list(findings(world))
    assert [question for question in QUESTIONS if question in marks] == sorted(
        marks, key=lambda question: names.index(marks[question])
    )
    assert QUESTIONS.keys() - marks.keys() == {
        *("model servers", "asked models", "code judge", "hardware", "trackers"),
    }, "asked where needed"


def test_differing_tokenizers_are_named_with_their_first_ids(world: Path) -> None:
    write_tokenizer(world.parent / "teacher", ["user", "assistant", "uno", "two", "q"])
    finding = findings(world)["tokenizer of distil.teacher"]
    assert finding.status == "fail"
    assert "8: 'one' / 'uno'" in finding.detail


def test_a_teacher_by_text_is_looked_at_with_its_own_template_and_tokens(world: Path) -> None:
    """It has no <|im_end|>, which the recipe's stop names for the student."""
    teacher = world.parent / "teacher"
    write_tokenizer(teacher, ["user", "assistant", "uno", "dos", "q"])
    config = json.loads((teacher / "tokenizer.json").read_text().replace("<|im_end|>", "<|fin|>"))
    (teacher / "tokenizer.json").write_text(json.dumps(config))
    for name in ("tokenizer_config.json", "chat_template.jinja", "special_tokens_map.json"):
        if (teacher / name).is_file():
            text = (teacher / name).read_text().replace('"eos_token": "<|endoftext|>"', '"eos_token": "<|fin|>"')
            (teacher / name).write_text(text.replace("<|im_end|>", "<|fin|>"))
    weights = "stages.distil.weights={chosen: 0.0, rejected: 0.0}"
    found = findings(world, "stages.distil.teacher={path: teacher, gives: text}", weights)
    assert found["tokenizer of distil.teacher"].detail == "its own: the teacher gives text alone"
    assert found["chat template of distil.teacher"].status == "ok", found["chat template of distil.teacher"]
    assert findings(world)["chat template of distil.teacher"].status == "fail", "asked as the student is, it cannot"


def test_a_stop_that_the_tokenizer_lacks_is_a_failure(world: Path) -> None:
    finding = findings(world, "chat.stop=['not a token']")["chat template of base"]
    assert finding.status == "fail"
    assert "not a token" in finding.detail


def test_an_answer_that_does_not_end_in_a_stop_token_is_a_failure(world: Path) -> None:
    finding = findings(world, "chat.stop=['<|endoftext|>']")["chat template of base"]
    assert finding.status == "fail"
    assert finding.remedy


def test_a_template_that_drops_thinking_is_a_failure(world: Path) -> None:
    text = (
        "{% for m in messages %}<|im_start|>{{ m['role'] }} {{ m['content'].split('</think>')[-1] }}<|im_end|>{% "
        "endfor %}"
    )
    text += "{% if add_generation_prompt %}<|im_start|>assistant {% endif %}"
    (world.parent / "mine.jinja").write_text(text)
    finding = findings(world, "chat.template=mine.jinja")["chat template of base"]
    assert finding.status == "fail"
    assert "<think>" in finding.detail


@pytest.mark.parametrize("override", ["engine.context_tokens=4096", "stages.cold_start.max_tokens=4096"])
def test_more_tokens_than_positions_is_a_failure(world: Path, override: str) -> None:
    finding = findings(world, override)["context length"]
    assert finding.status == "fail"
    assert "4096" in finding.detail and "1024" in finding.detail


def test_rows_are_measured_against_max_tokens_and_packing(world: Path) -> None:
    finding = findings(world)["rows of cold_start"]
    assert (
        finding.status == "ok"
        and "of 'warmup' fit in 256 tokens" in finding.detail
        and "a packed sequence" in finding.detail
    )
    finding = findings(world, "stages.cold_start.max_tokens=2")["rows of cold_start"]
    assert (
        finding.status == "fail" and "no row of data 'warmup' fits in max_tokens 2; the shortest has" in finding.detail
    )


def test_prompts_are_measured_against_the_context(world: Path) -> None:
    assert findings(world)["prompts of questions"].detail == "8 prompts fit in a context of 512 tokens"
    write_jsonl(world.parent / "data" / "held_out.jsonl", [{"prompt": "one two " * 600, "gold": "1"}])
    finding = findings(world)["prompts of held_out"]
    assert finding.status == "fail" and "row 1" in finding.detail and "no room for an answer" in finding.detail


def test_a_gold_that_its_verifier_refuses_is_named_by_row(world: Path) -> None:
    rows = [
        {"id": f"r{n}", "prompt": f"{n}+2?", "gold": str(n + 2) if n else "seventeen sheep, or so"} for n in range(4)
    ]
    write_jsonl(world.parent / "data" / "questions.jsonl", rows)
    finding = findings(world, "verifiers.math.kind=choice")["verifier math on questions"]
    assert finding.status == "fail"


def test_a_row_without_its_field_is_named_by_number(world: Path) -> None:
    write_jsonl(world.parent / "data" / "warmup.jsonl", [{"prompt": "a", "completion": "b"}, {"prompt": "a"}])
    finding = findings(world)["data warmup"]
    assert finding.status == "fail"
    assert "row 2" in finding.detail and "completion" in finding.detail


def test_a_tracker_whose_library_is_missing_is_found_before_the_run(world: Path) -> None:
    lacking = [name for name in get_args(Tracker) if importlib.util.find_spec(name) is None]
    if not lacking:
        pytest.skip("every tracker is installed; remedy: pip uninstall trackio")
    finding = findings(world, f"report_to=[{lacking[0]}]")[f"tracker {lacking[0]}"]
    assert finding.status == "fail" and finding.remedy.startswith(f"pip install {lacking[0]}")


def test_a_level_of_the_code_judge_that_cannot_be_had_is_found_before_the_run(
    world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_docker(*_: object, **__: object) -> None:
        raise LevelError("level container cannot be had here", where="sandbox", remedy="start Docker")

    monkeypatch.setattr("sandbox.judge.choose_backend", no_docker)
    assert "code judge" not in findings(world), "no verifier of the plan runs code"
    finding = findings(world, "stages.stem.prompts=programs", "stages.stem.verifier=code")["code judge"]
    assert (finding.status, finding.remedy) == ("fail", "start Docker")


def test_heads_that_vllm_on_the_cpu_has_no_kernel_for_are_found_before_the_run(world: Path) -> None:
    assert findings(world)["engine of base"].status == "ok"
    config = world.parent / "base" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"head_dim": 16}))
    finding = findings(world)["engine of base"]
    assert finding.status == "fail" and "16 wide" in finding.detail and "engine.backend: hf" in finding.remedy
    assert "engine of base" not in findings(world, "engine.backend=hf")


def test_a_row_that_the_chat_template_refuses_is_named_before_the_run(world: Path) -> None:
    good = {"messages": [{"role": "user", "content": "one"}, {"role": "assistant", "content": "two"}]}
    calls = [{"type": "function", "function": {"name": "lookup", "arguments": {}}}]
    bad = {"messages": [good["messages"][0], {"role": "assistant", "content": "", "tool_calls": calls}]}
    write_jsonl(world.parent / "data" / "warmup.jsonl", [good] * 3 + [bad])
    finding = findings(world)["rows of cold_start"]
    assert (
        finding.status == "fail"
        and "row 4 of data 'warmup'" in finding.detail
        and "drops the call of 'lookup'" in finding.detail
    )
    assert findings(world, "data.warmup.max_faulty_share=0.5")["rows of cold_start"].status == "ok"


def test_how_rows_were_read_is_said(world: Path) -> None:
    turns = [{"from": "human", "value": "one"}, {"from": "gpt", "value": "two", "weight": 0}] * 2
    turns[-1] = {"from": "gpt", "value": "two"}
    write_jsonl(world.parent / "data" / "warmup.jsonl", [{"conversations": turns, "source": "q"}] * 3)
    detail = findings(world)["data warmup"].detail
    assert detail.startswith(
        "3 rows; read as ShareGPT; 3 answers are context and not learned from; not read: source; card present"
    )


def test_a_column_that_nobody_reads_is_a_finding_with_what_to_write(world: Path) -> None:
    write_jsonl(world.parent / "data" / "questions.jsonl", [{"prompt": "one", "gold": "1", "tone": "calm"}])
    finding = findings(world)["data questions"]
    assert finding.status == "fail" and "nothing reads column tone" in finding.detail
    assert "metadata: [tone]" in finding.remedy
    assert findings(world, "data.questions.metadata=[tone]")["data questions"].status == "ok"


def test_what_a_library_raises_over_rows_does_not_ask_for_other_files() -> None:
    def look() -> str:
        raise TypeError("can only concatenate str")

    assert "download" in finding_of("base", look).remedy
    assert finding_of("rows", look, remedy="mend the row").remedy == "mend the row"


def test_a_card_that_is_still_the_template_is_said(world: Path) -> None:
    assert "card present" in findings(world)["data warmup"].detail
    shutil.copy(shipped_dir("data_cards") / "TEMPLATE.md", world.parent / "cards" / "warmup.md")
    assert "its card is still the template" in findings(world)["data warmup"].detail


def test_a_digest_that_a_card_does_not_state_is_not_said_to_match(world: Path) -> None:
    assert "states no digest of warmup.jsonl" in findings(world)["data warmup"].detail
    digest = Digests(world.parent / "digests.json").file(world.parent / "data" / "warmup.jsonl")
    (world.parent / "cards" / "warmup.md").write_text(
        f"---\nlicense: mit\npretty_name: A\ndigests: {{warmup.jsonl: '{digest}'}}\n---\n"
    )
    assert "digest as stated" in findings(world)["data warmup"].detail


def test_each_kind_of_step_is_text_or_has_an_estimate() -> None:
    assert set(STAGES) - set(SMALL) == {"base", "tokens", "sft", "dpd", "grpo", "reward_model", "export"}


def test_too_little_disk_is_a_failure(world: Path) -> None:
    config = world.parent / "base" / "config.json"
    config.write_text(
        json.dumps({**json.loads(config.read_text()), "hidden_size": 1_000_000, "num_hidden_layers": 100})
    )
    finding = findings(world)["disk"]
    assert finding.status == "fail"
    assert "free" in finding.detail


def test_what_needs_a_toy_that_is_not_made_yet_is_left_to_the_run(tmp_path: Path) -> None:
    path = write_world(tmp_path)
    found = findings(
        path,
        "base={path: toy}",
        "stages.distil.teacher={path: toy, toy: {skill: teacher}}",
        "chat.template=chatml_think",
    )
    assert found["chat template of base"].status == "later"
    assert found["tokenizer of distil.teacher"].status == "ok"


@pytest.mark.parametrize(
    ("reply", "status"), [({"A": 0.9, "B": 0.05}, "ok"), ({"<think>": 0.99}, "fail"), ("no logprobs", "fail")]
)
def test_a_model_behind_an_endpoint_is_asked_for_a_label(world: Path, reply: object, status: str) -> None:
    with ScriptedServer(lambda prompt, body: reply) as server:  # type: ignore[arg-type, return-value]
        agent = f"{{kind: agent, model: {{endpoint: '{server.url}', model: judge}}}}"
        found = findings(world, f"verifiers.math={{kind: cascade, steps: [{{kind: math}}, {agent}]}}")
    finding = found["model of verifier math"]
    assert finding.status == status, finding
    assert status == "ok" or finding.remedy


def test_a_key_that_is_not_set_is_found_before_the_run(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    model = "{endpoint: 'http://127.0.0.1:9/v1', model: judge, api_key_env: NO_SUCH_KEY}"
    finding = findings(world, f"verifiers.math={{kind: pairwise, model: {model}}}")["model of verifier math"]
    assert finding.status == "fail" and "NO_SUCH_KEY" in finding.detail


@pytest.mark.parametrize(
    ("kind", "gold", "metadata", "accepted"),
    [
        ("math", ["2", "3"], {}, True),
        ("math", {"answer": "1/2", "tolerance": 0}, {}, True),
        ("choice", "Paris", {"options": ["Rome", "Paris"]}, True),
        ("format", "8", {}, True),
        ("choice", "Q", {"options": ["Rome", "Paris"]}, False),
    ],
)
def test_golds_of_every_form_are_tried_with_all_that_the_row_brings(
    kind: str, gold: object, metadata: dict[str, object], accepted: bool
) -> None:
    built = build_verifier({"kind": kind}, Services(workers=1))
    prompt = Prompt(id="1", source="s", messages=({"role": "user", "content": "q"},), gold=gold, metadata=metadata)
    rows = [(prompt, right_answers(prompt, {}, ("<think>", "</think>")))]
    if accepted:
        assert try_answers(built, rows) == "accepts the answers of 1 of 1 sampled rows"
    else:
        with pytest.raises(InputError, match="its own gold"):
            try_answers(built, rows)
