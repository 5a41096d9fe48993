"""The toy's tokenizer: byte-level BPE trained on the toy's corpus, single digits, special tokens for turns and
thinking.

The same for every toy model, whatever its seed, so that teacher and student share a vocabulary. Imports tokenizers and
transformers when called, never torch.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from posttrain.toy.corpus import tokenizer_texts

VOCABULARY = 768
TEXTS = 3000
PAD, END_OF_TEXT, TURN_START, TURN_END, THINK, END_THINK = (
    "<|pad|>",
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<think>",
    "</think>",
)
SPECIAL = (PAD, END_OF_TEXT, TURN_START, TURN_END, THINK, END_THINK)
TEMPLATE = Path(__file__).parent.parent / "data" / "templates" / "chatml_think.jinja"


def make_tokenizer() -> Any:
    """A PreTrainedTokenizerFast with a chat template. Its eos is <|endoftext|>; turns end with <|im_end|>, which a
    recipe must name."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    core.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=list(SPECIAL), initial_alphabet=alphabet, show_progress=False
    )
    core.train_from_iterator(tokenizer_texts(0, TEXTS), trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, eos_token=END_OF_TEXT, pad_token=PAD, clean_up_tokenization_spaces=False
    )
    tokenizer.chat_template = TEMPLATE.read_text(encoding="utf-8")
    return tokenizer
