"""The answers that the kit puts to a verifier: a few ordinary ones, and some that have broken graders. Texts only;
knows no verifier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rewards.types import Request

_QUESTION = "What is 6 * 7?"

PLAIN = [
    Request(
        question=_QUESTION,
        response=text,
        gold="42",
        stop_reason="stop",
        num_tokens=len(text),
        metadata={"options": ["41", "42"]},
    )
    for text in ("The answer is 42", "41", "<think>6 * 7</think>\\boxed{42}", "I do not know, perhaps 43.", "42")
]
OTHER = replace(PLAIN[1], question="What is 6 * 7 - 1?", gold="41")

TOKEN = "zq7731"  # a word no module has: where it turns up in a code object, the answer was compiled
_TOKEN_TEXTS = (
    "{0}",
    "{0} + 1",
    "\\boxed{{{0} + 1}}",
    "Answer: {0} + 1",
    "is {0}",
    "```python\nprint({0})\n```",
    '{{"answer": {0}}}',
)

_CODE = (
    "__import__('pathlib').Path('{canary}').touch()",
    (
        "[c for c in ().__class__.__base__.__subclasses__()] and "
        "__import__('os').close(__import__('os').open('{canary}', 64))"
    ),
    "(lambda: open('{canary}', 'w').close())()",
    "!!python/object/apply:os.system ['touch {canary}']",
    "$(touch {canary})`touch {canary}`; touch {canary}",
    "cos\nsystem\n(S'touch {canary}'\ntR.",
    (
        "[c for c in ().__class__.__mro__[1].__subclasses__() if '_wrap_c' in "
        "c.__name__][0].__init__.__globals__['system']('touch {canary}')"
    ),
)
# The first payload and the last stand in each.
_SURROUNDINGS = (
    "{}",
    "\\boxed{{{}}}",
    "The answer is {}",
    "Answer: {}",
    "```python\n{}\n```",
)

HOSTILE = {
    "empty": "",
    "blank": " \n\t ",
    "NUL and controls": "42\x00\x1b[2J\x07",
    "lone surrogate": "42 \ud800",
    "direction marks": "\u202e24\u202c \u200f42",
    "digits of other scripts": "\u0664\u0662 ² ½ Ⅻ",
    "a long word": "a" * 200_000,
    "a long word with an odd end": "a" * 48 + "!",
    "words with an odd end": "word " * 40 + "!",
    "spaces with an odd end": "42" + " " * 30_000 + "!",
    "a long number": "4" * 6_000,
    "a number too large": "1e999999",
    "towers of powers": "\\boxed{9^{9^{9^{9}}}} 9**9**9**9",
    "a factorial of a factorial": "\\boxed{((99!)!)!}",
    "nan and infinity": "nan inf -inf 1/0 0/0",
    "deep brackets": "(" * 20_000 + "42" + ")" * 20_000,
    "deep JSON": "[" * 20_000 + "]" * 20_000,
    "deep boxes": "\\boxed{" * 3_000 + "42",
    "unclosed box": "\\boxed{42",
    "unclosed thinking": "<think>42",
    "many closing tags": "</think>" * 500 + "42",
    "format directives": "{0.__class__.__mro__} {gold} %s%n%(gold)s ${{gold}}",
    "markup and queries": "<script>alert(42)</script>'; DROP TABLE answers; --",
    "half a JSON object": '{"answer": 42, "answer": ',
    "many lines": "42\n" * 20_000,
}


def hostile(sample: Request, canary: Path) -> dict[str, Request]:
    """Name -> the sample with a hostile answer. Some of them create the file `canary` where they are executed."""
    code = [text.format(canary=canary) for text in _CODE]
    surrounded = [surrounding.format(text) for text in (code[0], code[-1]) for surrounding in _SURROUNDINGS[1:]]
    texts = HOSTILE | {f"code {i}": text for i, text in enumerate([*code, *surrounded], start=1)}
    return {name: _with_answer(sample, text) for name, text in texts.items()}


def answers_to_other_questions(requests: Sequence[Request]) -> list[Request]:
    """Answers to the questions of other samples, so that neither an answer nor a gold by itself tells the verdict."""
    golds = list({repr(request.gold): request for request in requests}.values())[:3]
    found = [
        _with_answer(other, request.response)
        for request in list(requests)[:4]
        for other in golds
        if other.gold != request.gold
    ]
    return found[:6]


def code_like_requests(sample: Request) -> list[Request]:
    """Answers with a word in them that only an interpreter would take for code."""
    return [_with_answer(sample, text.format(TOKEN)) for text in _TOKEN_TEXTS]


def odd_prompts(sample: Request) -> dict[str, Request]:
    """The sample with golds of every JSON type, and with nested metadata and messages: they may be refused, not
    changed."""
    golds: list[Any] = [
        None,
        "",
        7,
        0.5,
        True,
        ["b", "a"],
        {"answer": "42", "accepted": ["b", "a"]},
        [["b"], {"a": []}],
    ]
    turns: tuple[dict[str, Any], ...] = (
        {"role": "system", "content": " be brief "},
        {"role": "user", "content": sample.question or ""},
    )
    told = replace(sample, messages=turns, metadata={**sample.metadata, "nested": {"list": [2, 1]}})
    return {"messages": told} | {f"gold {gold!r}": replace(told, gold=gold) for gold in golds}


def _with_answer(sample: Request, text: str) -> Request:
    return replace(sample, response=text, num_tokens=len(text) // 4)
