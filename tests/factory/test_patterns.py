"""What the patterns see, and what only looks like it."""

from __future__ import annotations

import pytest

from posttrain.factory.patterns import personal_data_in, refusal_in, secret_in, self_naming_in
from posttrain.factory.texts import fields_of, take_apart, words_of


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("key AKIAZQ3DVG7TTPLM2X9R in the log", "aws_access_key"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEAw7Zr8m3v1Vf0Qm9Jt2pLx4Yd6Ns5", "private_key"),
        ("export OPENAI=sk-proj-4fT9bQ2mXz7LcV1nR8sKd3WyH6jP0gEu", "model_api_key"),
        ("postgres://app:S3cr3t9x@db.prod.net/main", "password_in_url"),
        ("AKIAIOSFODNN7EXAMPLE", None),
        ("set it to sk-your-key-here-and-do-not-share-it", None),
        ("a sk-learn pipeline, and ghp_ alone", None),
        ("http://user:password@host/", None),
        ("-----BEGIN PRIVATE KEY----- is how such a file begins", None),
    ],
)
def test_secrets(text: str, kind: str | None) -> None:
    assert secret_in(text) == kind


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("write to maria.lopez84@gmail.com today", "email"),
        ("call (415) 867-5309 or", "phone"),
        ("call +49 30 901820 45", "phone"),
        ("SSN: 219-09-9481", "social_security_number"),
        ("card 4539 1488 0343 6467", "card_number"),
        ("IBAN FR14 2004 1010 0505 0001 3M02 606", "iban"),
        ("info@acme.com, jane@example.com, git@github.com", None),
        ("call 212-555-0187", None),
        ("219-09-9481 is a code", None),
        ("4539 1488 0343 6468", None),
        ("x = 3 +44 20 - 100 and 2020-2021, 1-800-1200", None),
        ("@decorator(x) and a@b", None),
    ],
)
def test_personal_data(text: str, kind: str | None) -> None:
    assert personal_data_in(text) == kind


@pytest.mark.parametrize(
    ("answer", "refuses", "names"),
    [
        ("I'm sorry, but I can't assist with that.", True, False),
        ("<think>hm</think>I cannot help with this request.", True, False),
        ("抱歉,我无法提供这些信息。", True, False),
        ("As an AI language model, I cannot give opinions.", True, True),
        ("I am ChatGPT, how can I help?", False, True),
        ("I was trained by OpenAI to help.", False, True),
        ("I'm sorry to hear that! Try restarting the router.", False, False),
        ("I cannot help but smile at this poem.", False, False),
        ("I am Claude, a painter from Lyon.", False, False),
        ("OpenAI was founded in 2015. An AI model learns from data.", False, False),
    ],
)
def test_refusals_and_self_naming_are_looked_for_in_answers(answer: str, refuses: bool, names: bool) -> None:
    texts = take_apart(fields_of({"prompt": "Q", "completion": answer}))
    assert (refusal_in(texts) is not None, self_naming_in(texts) is not None) == (refuses, names)
    asked = take_apart(fields_of({"prompt": answer, "completion": "Yes."}))
    assert refusal_in(asked) is None and self_naming_in(asked) is None


def test_rows_of_any_shape_have_texts_and_roles() -> None:
    turns = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "2+2?"}]},
        {
            "role": "assistant",
            "content": "",
            "reasoning_content": "two and two",
            "tool_calls": [{"type": "function", "function": {"name": "add", "arguments": {"text": "sum it"}}}],
        },
    ]
    shapes = {
        "messages": ({"messages": turns, "id": "x"}, [
            ("system", "Be brief."), ("user", "2+2?"), ("assistant", ""), ("assistant", "two and two"),
            ("assistant", "sum it")]),
        "sharegpt": ({"conversations": [{"from": "gpt", "value": "4"}]}, [("assistant", "4")]),
        "pair": ({"prompt": "Q", "chosen": "a", "rejected": "b"}, [
            ("user", "Q"), ("assistant", "a"), ("rejected", "b")]),
        "number": ({"prompt": "Q", "gold": 4}, [("user", "Q"), ("gold", "4")]),
        "unknown": ({"foo": {"bar": ["baz"]}, "id": "9"}, [("text", "baz")]),
    }  # fmt: skip
    for row, expected in shapes.values():
        assert [(field.role, field.text) for field in fields_of(row)] == expected  # type: ignore[arg-type]


def test_words_keep_the_signs_of_arithmetic_and_each_han_character() -> None:
    assert words_of("What IS  17 + 25? well-known, 9-3") == [
        "what",
        "is",
        "17",
        "+",
        "25",
        "well",
        "known",
        "9",
        "-",
        "3",
    ]
    assert words_of("春眠不觉晓 ok") == ["春", "眠", "不", "觉", "晓", "ok"]
