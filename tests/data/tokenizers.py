"""Tokenizers of the five kinds that bases come with, trained in a second on a few sentences, and conversations to put
through them."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import trl
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from posttrain.data.template import PRESETS

KINDS = ("byte_level", "metaspace_first", "metaspace_always", "prepend", "unigram", "word_piece")
TRL = Path(trl.__file__).parent / "chat_templates"
TEMPLATES = {
    **{f"preset {path.stem}": path for path in sorted(PRESETS.glob("*.jinja"))},
    **{f"trl {path.stem}": path for path in sorted(TRL.glob("*.jinja"))},
}
BOS, EOS, PAD, UNK = "<s>", "</s>", "<pad>", "<unk>"
_TOKEN = re.compile(
    r"<\|[A-Za-z0-9_/]+\|>|<[A-Za-z0-9_]+\|>|<\|[A-Za-z0-9_]+>|<｜[^｜\s]+｜>|</?(?:start|end)_of_[a-z_]+>|\[/?INST\]"
)
_TEXT = [
    "The answer is forty two, because six times seven is forty two.\n\nassistant user system tool model",
    "What is the weather in Paris today? It is 21 degrees, says the tool.\n  indented\ttext, and more: {}[]()",
    "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich. 数学は楽しい。 naïve café ∑ 🙂 Ω",
    "abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ 0123456789 !\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~",
] * 20


def special_names(text: str) -> set[str]:
    """What looks like a control token in a template's source."""
    return set(_TOKEN.findall(text))


@functools.cache
def make_tokenizer(kind: str) -> Any:
    """With bos and eos of its own, and every control token of all templates as a special one."""
    core, trainer = _core(kind)
    core.train_from_iterator(_TEXT, trainer)
    names: Iterable[str] = sorted(set().union(*(special_names(path.read_text("utf-8")) for path in TEMPLATES.values())))
    core.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in (BOS, EOS, PAD, *names)])
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        bos_token=BOS,
        eos_token=EOS,
        pad_token=PAD,
        unk_token=UNK,
        clean_up_tokenization_spaces=False,
    )


def _core(kind: str) -> tuple[Any, Any]:
    given = {"special_tokens": [UNK], "show_progress": False}
    if kind == "byte_level":
        core = Tokenizer(models.BPE())
        core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        core.decoder = decoders.ByteLevel()
        alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
        return core, trainers.BpeTrainer(vocab_size=700, initial_alphabet=alphabet, **given)
    if kind.startswith("metaspace"):
        core = Tokenizer(models.BPE(unk_token=UNK))
        scheme = kind.removeprefix("metaspace_")
        core.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme)
        core.decoder = decoders.Metaspace(prepend_scheme=scheme)
        return core, trainers.BpeTrainer(vocab_size=600, **given)
    if kind == "prepend":
        core = Tokenizer(models.BPE(unk_token=UNK))
        core.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
        core.decoder = decoders.Metaspace()
        # Trained word by word, or merges would span whole sentences.
        core.pre_tokenizer = pre_tokenizers.Split(re_words(), "merged_with_next")
        return core, trainers.BpeTrainer(vocab_size=600, **given)
    if kind == "unigram":
        core = Tokenizer(models.Unigram())
        core.pre_tokenizer = pre_tokenizers.Metaspace()
        core.decoder = decoders.Metaspace()
        return core, trainers.UnigramTrainer(vocab_size=400, unk_token=UNK, **given)
    core = Tokenizer(models.WordPiece(unk_token=UNK))
    core.normalizer = normalizers.BertNormalizer()
    core.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    core.decoder = decoders.WordPiece()
    return core, trainers.WordPieceTrainer(vocab_size=700, **given)


def re_words() -> str:
    """Where a SentencePiece word begins."""
    return "▁"


def _user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def _says(text: str, reasoning: str | None = None) -> dict[str, Any]:
    thought = {} if reasoning is None else {"reasoning_content": reasoning}
    return {"role": "assistant", "content": text, **thought}


WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Weather of a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string", "description": "Its name."}}},
    },
}


def _calls(city: str, reasoning: str | None = None) -> dict[str, Any]:
    call = {"id": "abcdef123", "type": "function", "function": {"name": "get_weather", "arguments": {"city": city}}}
    return {**_says("", reasoning), "tool_calls": [call]}


def _result(text: str) -> dict[str, Any]:
    return {"role": "tool", "content": text, "name": "get_weather", "tool_call_id": "abcdef123"}


CONVERSATIONS: dict[str, tuple[list[dict[str, Any]], tuple[dict[str, Any], ...]]] = {
    "single": ([_user("What is six times seven?"), _says("The answer is forty two.")], ()),
    "system": ([{"role": "system", "content": "Be short."}, _user("Six times seven?"), _says("forty two")], ()),
    "turns": (
        [_user("Hi"), _says("Hello there"), _user("And now?"), _says("More"), _user("Bye"), _says("So long")],
        (),
    ),
    "same words": ([_user("yes"), _says("yes"), _user("yes"), _says("yes")], ()),
    "reasoning": ([_user("Six times seven?"), _says("forty two", "because six times seven is that")], ()),
    "reasoning twice": (
        [_user("Six times seven?"), _says("forty two", "six times seven"), _user("And eight?"), _says("48", "6*8")],
        (),
    ),
    "inline": ([_user("Six times seven?"), _says("<think>\nsix times seven\n</think>\n\nforty two")], ()),
    "unicode": ([_user("Zwölf Ω?"), _says("数学は楽しい。 naïve 🙂 café")], ()),
    "blanks": ([_user("  Hi \n"), _says(" Hello \n\n there \n"), _user("\n\nAnd?"), _says("\n\nMore")], ()),
    "context": ([_user("Hi"), {**_says("Hello there"), "train": False}, _user("And now?"), _says("More")], ()),
    "assistant first": ([_says("How can I help?"), _user("Hi"), _says("Hello there")], ()),
    "two answers": ([_user("Hi"), _says("Hello there"), _says("What is it?")], ()),
    "tools": (
        [_user("Weather in Paris?"), _calls("Paris"), _result("21 degrees"), _says("It is 21 degrees.")],
        (WEATHER,),
    ),
    "tools reasoned": (
        [
            _user("Weather in Paris?"),
            _calls("Paris", "ask the tool"),
            _result("21 degrees"),
            _says("It is 21 degrees.", "the tool says so"),
            _user("And in Berlin?"),
            _calls("Berlin"),
            _result("7 degrees"),
            _says("It is 7 degrees."),
        ],
        (WEATHER,),
    ),
}
