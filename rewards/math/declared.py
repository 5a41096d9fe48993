"""What a letter may be, said beside an answer: "for any integer k", "where c is a constant", "k \\in \\mathbb{Z}".

Texts in, texts out. Two answers that declare the same are compared without it, the letter named alike.
"""

from __future__ import annotations

import re

_KIND = (
    r"(?:(?P<{0}>positive|non-?negative|negative|nonzero|odd|even) )?(?P<{1}>integers?|constants?|real(?: number)?s?"
    r"|numbers?|natural numbers?|primes?)"
)
_TAIL = re.compile(
    r"[,;]? ?\(?(?:(?:for|with|where|here|and) )?(?:(?:any|all|some|every|each|an?|arbitrary|real) )*"
    + _KIND.format("sign", "kind")
    + r" (?P<name>[a-zA-Z])\)?\Z"
    r"|[,;]? ?\(?(?:where|with|for|and|here) (?P<name2>[a-zA-Z]) is (?:(?:an?|any|some|arbitrary|real) )*"
    + _KIND.format("sign2", "kind2")
    + r"\)?\Z"
    r"|[,;]? ?\(?(?:(?:for|where|with|all|any) )*(?P<name3>[a-z]) ?\\in ?\\mathbb ?\{?(?P<kind3>[ZNRQ])\}?"
    r"(?P<sign3>[_^] ?\{?(?:[+*0]|>0|\\ge ?0)\}?)?\)?\Z",
    re.IGNORECASE,
)  # fmt: skip
_SIGNS = ("\\mathbb", "integer", "constant", "real", "number", "prime")  # without one there is nothing to search for
_WORDS = {
    "integer": "Z",
    "constant": "R",
    "real": "R",
    "real number": "R",
    "number": "R",
    "natural number": "N",
    "prime": "P",
}


def declared(text: str) -> tuple[str, str, str] | None:
    """(the rest, the letter, what it may be) of "2^k where k is a nonnegative integer"; None for text without such an
    end."""
    match = _TAIL.search(text) if any(sign in text for sign in _SIGNS) else None
    if match is None or not match.start():
        return None
    name = match["name"] or match["name2"] or match["name3"]
    if match["kind3"]:
        kind = match["kind3"].upper() + (match["sign3"] or "").translate(str.maketrans("", "", "_^{} "))
    else:
        word = (match["kind"] or match["kind2"]).lower()
        sign = (match["sign"] or match["sign2"] or "").lower().replace("-", "")
        kind = f"{sign} {_WORDS[word.removesuffix('s')]}".strip()
    return (
        text[: match.start()].strip(" ,;"),
        name,
        {"Z+": "positive Z", "Z>0": "positive Z", "R+": "positive R"}.get(kind, kind),
    )


def named_alike(answer: tuple[str, str, str], gold: tuple[str, str, str]) -> str | None:
    """The answer without its declaration, its letter named as in the gold; None where they declare different things or
    letters clash."""
    rest, name, kind = answer
    if kind != gold[2]:
        return None
    return rest if name == gold[1] else relettered(rest, name, gold[1])


def relettered(text: str, old: str, new: str) -> str | None:
    """The letter `old` as `new`, in products such as kx, too, but not in commands and words; None where `new` has a
    meaning already."""
    pieces = re.split(r"(\\[A-Za-z]+|[A-Za-z]{3,})", text)
    plain = pieces[::2]
    if any(new in piece for piece in plain):
        return None
    pieces[::2] = [piece.replace(old, new) for piece in plain]
    return "".join(pieces)
