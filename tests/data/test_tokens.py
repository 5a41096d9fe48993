"""Where tokens are not what they seem: bos, cut tokens, tokens with a name, dates, prompts that open the thinking, rows
that a template prints in part, and faults of templates over one row."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers import AddedToken, processors
from transformers import PreTrainedTokenizerFast

from posttrain.data.spans import TurnCounts, Untrained
from posttrain.data.template import ChatTemplate, count_turns
from posttrain.errors import CheckpointError, DataError
from posttrain.recipe.schema import Chat
from posttrain.rollout.tiny import tiny_model
from posttrain.sampling.prompts import encode
from posttrain.sampling.sampler import sample
from posttrain.train.compatibility import check_base
from posttrain.types import Completion, Prompt, SamplingParams, Segment, StopReason
from tests.data.test_real_templates import load
from tests.data.tokenizers import BOS, CONVERSATIONS, EOS, KINDS, WEATHER, make_tokenizer

USER = {"role": "user", "content": "Six times seven?"}
SAYS = {"role": "assistant", "content": "forty two"}
THINKS = {**SAYS, "reasoning_content": "six sevens"}
CHATML = """\
{%- for message in messages -%}<|im_start|>{{ message['role'] }}
{{ message['content'] }}<|im_end|>
{% endfor -%}
{%- if add_generation_prompt -%}<|im_start|>assistant
{% endif -%}"""


def on(text: str, kind: str = "byte_level", **chat: Any) -> ChatTemplate:
    """A template of a test's own on a tokenizer of tests/data/tokenizers.py."""
    tokenizer = make_tokenizer(kind)
    tokenizer.chat_template = text
    return ChatTemplate(tokenizer, Chat(**{"stop": ["<|im_end|>"], **chat}), "test")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture
def base(folder: Path, tmp_path: Path) -> Callable[[str], tuple[Path, Chat, Path]]:
    """base(text) -> what check_base is asked with: a tiny model and this template beside the recipe."""

    def write(text: str, **chat: Any) -> tuple[Path, Chat, Path]:
        (tmp_path / "own.jinja").write_text(text)
        return folder, Chat(template="own.jinja", **{"stop": ["<|im_end|>"], **chat}), tmp_path

    return write


# ---------------------------------------------------------------- one text, tokenised once


@pytest.mark.parametrize("prints", [True, False])
def test_a_bos_stands_where_the_template_prints_it_and_never_twice(prints: bool) -> None:
    core = make_tokenizer("byte_level").backend_tokenizer
    adding = PreTrainedTokenizerFast(tokenizer_object=core, bos_token=BOS, eos_token=EOS)
    before = core.post_processor
    try:
        number = core.token_to_id(BOS)
        core.post_processor = processors.TemplateProcessing(single=f"{BOS} $A", special_tokens=[(BOS, number)])
        adding.backend_tokenizer.post_processor = core.post_processor
        adding.chat_template = ("{{ bos_token }}" if prints else "") + CHATML
        template = ChatTemplate(adding, Chat(stop=["<|im_end|>"]), "test")
        assert template.encode_conversation([USER, SAYS]).ids.count(number) == int(prints)
        assert template.prompt_ids([USER]).count(number) == int(prints)
        assert template.plain_ids("Question: 1+1?")[0] == number, "plain text has no template to print it"
    finally:
        core.post_processor = before


def test_plain_text_gets_no_bos_where_the_tokenizer_puts_none() -> None:
    template = on(CHATML)
    assert template.plain_ids("Question") == template.encode("Question")


def test_a_token_that_reaches_over_the_start_of_an_answer_is_refused_by_its_name() -> None:
    glued = "{%- for message in messages -%}{{ message['content'] }}{% if message['role'] == 'assistant' %}<|im_end|>"
    template = on(glued + "{% endif %}{%- endfor -%}")
    with pytest.raises(DataError, match=r"the token '[^']+' would be part .* the answer messages\[1\]"):
        template.encode_conversation([{"role": "user", "content": "Paris tod"}, {"role": "assistant", "content": "ay"}])


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_behind_its_prompt_has_the_ids_that_sft_would_train(kind: str) -> None:
    template = on(CHATML, kind)
    prompt = template.prompt_text([USER])
    encoded = template.encode_conversation([USER, SAYS])
    trained = [token for token, mask in zip(encoded.ids, encoded.mask, strict=True) if mask]
    assert template.answer_ids("forty two", prompt) == trained
    assert template.prompt_ids([USER]) == list(encoded.ids[: encoded.mask.index(1)])


# ---------------------------------------------------------------- which turns are trained


def test_earlier_reasoning_that_qwen3_drops_is_counted_and_the_turn_not_trained() -> None:
    encoded = load("preset qwen3", "byte_level").encode_conversation(CONVERSATIONS["reasoning twice"][0])
    assert encoded.untrained == (Untrained.REASONING_DROPPED,) and encoded.trained_turns == 1


@pytest.mark.parametrize("name", ["preset qwen3", "trl phi3", "trl qwen3"])
def test_turns_are_trained_where_the_template_ends_the_last_one_differently(name: str) -> None:
    encoded = load(name, "byte_level").encode_conversation(CONVERSATIONS["turns"][0])
    assert (encoded.trained_turns, encoded.untrained) == (3, ())


def test_a_tool_loop_without_reasoning_is_trained() -> None:
    encoded = load("trl qwen3", "byte_level").encode_conversation(*CONVERSATIONS["tools"])
    assert (encoded.trained_turns, encoded.untrained) == (2, ())


def test_a_row_of_context_only_has_nothing_to_learn() -> None:
    with pytest.raises(DataError, match="context"):
        on(CHATML).encode_conversation([USER, {**SAYS, "train": False}])


def test_context_is_no_turn_that_is_lost_and_what_is_lost_has_a_limit() -> None:
    template = load("preset qwen3", "byte_level")
    counts = count_turns(
        template.encode_conversation(CONVERSATIONS[name][0])
        for name in ("context", "reasoning twice", "reasoning twice")
    )
    assert counts == TurnCounts(trained=3, untrained={"reasoning_dropped": 2}, context=1)
    assert counts.untrained_share == 0.4
    counts.check_share(0.4, "cot")
    with pytest.raises(DataError, match=r"40.0% of the .* data 'cot' .* 3 of 5 .* drops their") as caught:
        counts.check_share(0.39, "cot")
    assert "chat.max_untrained_share" in str(caught.value.remedy)


# ---------------------------------------------------------------- what the template prints


@pytest.mark.parametrize(
    ("turns", "tools", "words"),
    [
        ([USER, THINKS], (), r"does not print the reasoning of messages\[1\]"),
        ([USER, SAYS], (WEATHER,), r"does not print tools\[0\]"),
        ([*CONVERSATIONS["tools"][0]], (), r"drops the call of 'get_weather' in messages\[1\]"),
    ],
)
def test_what_a_template_does_not_print_is_a_fault_of_the_row(turns: list[Any], tools: Any, words: str) -> None:
    with pytest.raises(DataError, match=words):
        on(CHATML).encode_conversation(turns, tools)


def test_a_prompt_whose_tools_or_calls_are_not_printed_is_refused_too() -> None:
    with pytest.raises(DataError, match="does not print tools"):
        on(CHATML).prompt_ids([USER], (WEATHER,))
    with pytest.raises(DataError, match="drops the call"):
        on(CHATML).prompt_ids(CONVERSATIONS["tools"][0][:3])
    assert load("preset qwen3", "byte_level").prompt_ids(CONVERSATIONS["tools reasoned"][0][:5], (WEATHER,))


def test_a_turn_that_a_template_leaves_out_is_a_fault_of_the_row() -> None:
    deaf = CHATML.replace("{{ message['content'] }}", "{{ message['content'] if message['role'] != 'system' }}")
    with pytest.raises(DataError, match=r"does not print the content of messages\[0\] \(system\)"):
        on(deaf).encode_conversation([{"role": "system", "content": "Be short."}, USER, SAYS])


@pytest.mark.parametrize(
    "prints",
    ["{{ call.function.arguments }}", "{{ call.function.arguments + '!' }}"],
    ids=["as Python prints it", "as text only"],
)
def test_arguments_are_given_as_text_to_a_template_that_wants_text(prints: str) -> None:
    calls = "{% for call in message.tool_calls or [] %}{{ call.function.name }}" + prints + "{% endfor %}<|im_end|>"
    template = on(CHATML.replace("<|im_end|>", calls, 1))
    assert template.dialect.arguments_as_text
    assert '{"city": "Paris"}' in template.render(CONVERSATIONS["tools"][0], ask=False)


def test_reasoning_is_given_under_the_key_that_the_template_reads() -> None:
    assert load("trl gptoss", "byte_level").dialect.reasoning == "thinking"
    assert "six sevens" in load("trl gptoss", "byte_level").render([USER, THINKS], ask=False)


@pytest.mark.parametrize(
    ("broken", "turn", "words"),
    [
        ("{{ message['content'] + 1 }}", USER, r"messages\[0\] \(user\): TypeError"),
        ("{{ message.name.first }}", USER, r"messages\[0\] \(user\): UndefinedError"),
        ("{{ raise_exception('no') if message.role == 'assistant' }}", USER, r"messages\[1\] \(assistant\): no"),
    ],
)
def test_whatever_a_template_raises_over_a_row_names_the_turn(broken: str, turn: Any, words: str) -> None:
    template = on(CHATML.replace("{{ message['content'] }}", broken))
    with pytest.raises(DataError, match=words):
        template.encode_conversation([turn, SAYS])


# ---------------------------------------------------------------- special tokens


def test_special_is_what_the_tokenizer_treats_so_and_not_what_has_a_name() -> None:
    core = make_tokenizer("byte_level").backend_tokenizer
    core.add_tokens([AddedToken("<tool_word>", special=False)])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, eos_token=EOS)
    tokenizer.chat_template = CHATML
    template = ChatTemplate(tokenizer, Chat(stop=["<|im_end|>"]), "test")
    assert template.encode_conversation([{"role": "user", "content": "a <tool_word> here"}, SAYS]).trained_turns
    for turns in (
        [{"role": "user", "content": f"a {EOS}"}, SAYS],
        [USER, {**SAYS, "content": "yes<|im_end|>"}],
        [USER, {**THINKS, "reasoning_content": "<|im_start|>"}],
    ):
        with pytest.raises(DataError, match="special token"):
            template.encode_conversation(turns)
    with pytest.raises(DataError, match=r"special token .* tools\[0\]"):
        template.prompt_ids([USER], ({**WEATHER, "description": EOS},))
    call = {"type": "function", "function": {"name": "f", "arguments": {"x": f"1{EOS}"}}}
    with pytest.raises(DataError, match=r"special token .*messages\[1\].tool_calls"):
        template.encode_conversation([USER, {**SAYS, "tool_calls": [call]}])


def test_think_tags_that_are_special_are_an_assistants_own_and_no_users(folder: Path) -> None:
    template = ChatTemplate.load(folder, Chat(template="chatml_think", stop=["<|im_end|>"]))
    assert template.encode_conversation([USER, {**SAYS, "content": "<think>a</think>b"}]).trained_turns
    with pytest.raises(DataError, match="special token '<think>'"):
        template.encode_conversation([{"role": "user", "content": "a <think>"}, SAYS])


# ---------------------------------------------------------------- presets, dates, opened thinking


def test_a_preset_on_a_base_without_its_tokens_says_what_to_do_and_does_it_when_told(
    folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match=r"llama3 prints <\|start_header_id\|>.* does not have") as caught:
        ChatTemplate.load(folder, Chat(template="llama3", stop=["<|eot_id|>"]))
    assert "chat.add_tokens" in str(caught.value.remedy) and "chatml_think" in str(caught.value.remedy)
    template = ChatTemplate.load(folder, Chat(template="llama3", stop=["<|eot_id|>"], add_tokens=True))
    encoded = template.encode_conversation([USER, SAYS])
    assert template.decode(encoded.ids[-1:]) == "<|eot_id|>" and encoded.mask[-1] == 1


def test_a_preset_prints_the_bos_of_a_base_that_has_one_of_its_own() -> None:
    assert load("preset chatml_think", "byte_level").prompt_text([USER]).startswith(f"{BOS}<|im_start|>")


DATED = "{{ strftime_now('%d %b %Y') if strftime_now is defined }}" + CHATML


def test_a_template_that_prints_the_date_is_given_one_by_the_recipe_or_refused() -> None:
    with pytest.raises(CheckpointError, match="today's date") as caught:
        on(DATED)
    assert "chat.date" in str(caught.value.remedy)
    assert on(DATED, date="2026-01-31").prompt_text([USER]).startswith("31 Jan 2026<|im_start|>")
    assert on("{{ date_string }}" + CHATML, date="2026-01-31").prompt_text([USER]).startswith("31 Jan 2026")


def test_a_date_that_is_none_is_refused_by_the_recipe() -> None:
    for wrong in ("2026-02-30", "yesterday"):
        with pytest.raises(ValueError, match="date"):
            Chat(date=wrong)


OPENED = CHATML.replace("assistant\n{% endif -%}", "assistant\n<think>\n{% endif -%}")


class Inside:
    """An engine that answers from inside the reasoning."""

    def generate(self, requests: Any, sampling: Any) -> Any:
        return [
            [
                Completion(
                    segments=(Segment(token_ids=(1,), logprobs=(-1.0,)),),
                    text="six sevens\n</think>\n42",
                    stop_reason=StopReason.STOP,
                    policy_version="v",
                    seed=seed,
                )
                for seed in request.seeds
            ]
            for request in requests
        ]


def test_an_answer_to_a_prompt_that_opens_the_thinking_is_judged_whole() -> None:
    prompt = encode(Prompt(id="1", source="s", messages=(USER,), gold="42"), on(OPENED), 4096)
    assert prompt.opened == "<think>\n"
    inside: Any = Inside()
    group = sample(inside, [prompt], 2, SamplingParams(), (0,))[0]
    assert [one.text for one in group.completions] == ["<think>\nsix sevens\n</think>\n42"] * 2
    assert encode(Prompt(id="1", source="s", messages=(USER,), gold="42"), on(CHATML), 4096).opened == ""


def test_check_says_that_a_prompt_opens_the_thinking(base: Callable[..., tuple[Path, Chat, Path]]) -> None:
    said = check_base(
        *base(OPENED.replace("message['content'] }}", "message['content'] | replace('<think>one', '<think>\\none') }}"))
    )
    assert "opens <think> in the prompt" in said
    drops = OPENED.replace("message['content'] }}", "message['content'].split('</think>')[-1] }}")
    assert "rollouts only" in check_base(*base(drops))
    assert check_base(*base(CHATML)) == "renders, keeps <think>, ends in a stop token"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (CHATML.replace("message['content'] }}", "message['content'].split('</think>')[-1] }}"), "drops <think>"),
        (CHATML.replace("<|im_end|>", ""), "no stop token"),
        (
            CHATML.replace("assistant\n{% endif", "assistant\n<think>\n\n</think>\n\n{% endif"),
            "another text than its prompt",
        ),
    ],
    ids=["drops thinking", "no end", "closes thinking in the prompt"],
)
def test_check_refuses_a_template_that_cannot_teach_an_answer(
    base: Callable[..., tuple[Path, Chat, Path]], text: str, words: str
) -> None:
    with pytest.raises(CheckpointError, match=words):
        check_base(*base(text))


def test_a_slow_tokenizer_is_refused() -> None:
    class Slow:
        is_fast = False

    with pytest.raises(CheckpointError, match=r"Slow is a slow tokenizer"):
        ChatTemplate(Slow(), Chat(), "test")
