"""Answers made to keep a verifier busy: towers of powers, deep nesting, floods of markers, huge numbers, Unicode, 10 MB
of one character.

None of them may be accepted. From the classes in which graders are known to hang. Knows nothing of how they are run.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

MB = 1024 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Hang:
    """One row. Example: Hang(name="math/tower/0", spec={"kind": "math"}, gold="4", response="9^{9^9}")"""

    name: str
    spec: dict[str, Any]
    gold: Any
    response: str
    metadata: dict[str, Any] = field(default_factory=dict)


def boxed(text: str) -> str:
    return "The answer is \\boxed{" + text + "}."


def nest(opening: str, inside: str, closing: str, times: int) -> str:
    return opening * times + inside + closing * times


def _fibonacci(length: int) -> str:
    a, b = "a", "b"
    while len(b) < length:
        a, b = b, b + a
    return b[:length]


TOWERS = [
    "9^{9^9}", "9^{9^{9^9}}", "2^{3^{4^{5^6}}}", "x^{9^{9^9}}", "(-9)^{9^{9^9}}", "0.5^{9^{99}}", "e^{e^{e^{e^{100}}}}",
    "\\sin(10^{10^8})", "10^{10^{10}} + 5 - 10^{10^{10}}", "(1+10^{-9})^{10^{18}}", "2^{-10^{15}}", "\\sqrt[10^9]{2}",
    "\\log(9^{9^{9^9}})", "(10^{400})^{400}", "\\frac{9^{9^9}}{9^{9^8}}", "(((((9^9)^9)^9)^9)^9)^9",
    "7^{7^7} \\bmod 10",
    "1.0000001^{10^{10}}", "i^{10^{10^{10}}}", "\\pi^{\\pi^{\\pi^{\\pi}}}", "(x+1)^{10^9}", "(x+y+z)^{100}",
    "(x+1)^{1000}",
    "(\\sqrt2+\\sqrt3+\\sqrt5+\\sqrt7)^{20}", "\\sqrt{2}^{\\sqrt{2}^{\\sqrt{2}^{\\sqrt{2}}}}",
]  # fmt: skip
FACTORIALS = [
    "(10^8)!", "((10!)!)!", "99999!", "100000!/99999!", "\\binom{10^9}{5\\cdot 10^8}", "5!!!!!!!!", "\\Gamma(10^{10})",
    "(9^9)!",
    "\\binom{x}{10^6}", "\\frac{2004!}{2003!}\\cdot 2004!",
]  # fmt: skip
LOOPS = [
    "\\sum_{k=1}^{10^9} \\frac{1}{k^2+\\sin k}", "\\prod_{k=1}^{10^7} (1+\\frac1k)", "\\int_0^1 x^{x^{x^x}} dx",
    "\\int \\sin(\\sin(\\sin x)) dx", "\\lim_{x \\to 0} \\frac{\\sin(\\tan x)-\\tan(\\sin x)}{x^7}",
    "\\sum_{i=1}^{10^5} \\sum_{j=1}^{10^5} ij", "\\gcd(10^{10^7}+1, 10^{10^7}+3)",
    "\\operatorname{lcm}(1,2,3,4,5,6,7,8,9,10^{10^6})",
    "3^{10^{12}} \\bmod 7", "\\lfloor 10^{10^7} \\rfloor", "\\sum_{n=1}^{\\infty} \\frac{1}{n^{n^n}}",
    "\\prod_{n=1}^{800} (1-x^n)",
    "\\frac{x^{800}-1}{x-1}", "\\tan(\\tan(\\tan(\\tan(\\tan(x)))))", "\\sin(1000x)", "\\cos(x)^{500}",
]  # fmt: skip
# what grows hidden behind a name: a library works it out before it rounds, takes a remainder or compares
GROWTH = [
    "\\lceil 10^{10^7} \\rceil", "\\lfloor 9^{9^{9}} \\rfloor", "\\lfloor 10^{9999999} \\rfloor",
    "\\lfloor 10^9999999 \\rfloor",
    "\\lfloor 1e9999999 \\rfloor", "1e999999999", "1E+999999999", "2e999999", "\\operatorname{lcm}(1,2,3,10^{10^6})",
    "\\operatorname{gcd}(10^{10^7}, 6^{10^6})", "\\gcd(10^{10^7}, 6)", "2^{10^8} \\bmod 7", "7^{7^{7}} \\mod 10",
    "\\max(10^{10^7}, 3)",
    "\\lfloor \\exp(\\exp(30)) \\rfloor", "\\lfloor \\exp{\\exp{30}} \\rfloor", "\\lfloor e^{e^{30}} \\rfloor",
    "\\lfloor \\pi^{1000000} \\rfloor", "\\lfloor \\sqrt{10^{10^7}} \\rfloor", "\\lfloor \\log(10^{10^7}) \\rfloor",
    "\\lfloor \\sin(10^{10^7}) \\rfloor", "\\lfloor \\binom{1000000}{500000} \\rfloor", "\\binom{10^7}{5000000}",
    "\\lfloor {10}^{{10}^{7}} \\rfloor", "\\lfloor (10^{10})^{(10^7)} \\rfloor",
    "\\lfloor (10^{1000})^{10000} \\rfloor",
    "\\lfloor ((10^{99})^{99})^{99} \\rfloor", "\\lfloor ((10^{39})^{39})^{39} \\rfloor",
    "\\lfloor x+(x+y+z+w)^{39} \\rfloor",
    "\\lceil (x+y+z)^{39}(a+b+c)^{39}(p+q)^{39} \\rceil", "\\lfloor 10^{-10000000} \\rfloor",
    "\\lfloor 10^{1/10000000} \\rfloor",
    "\\lfloor 10^{\\frac{10000000}{1}} \\rfloor", "\\lfloor 10^{99 \\cdot 99 \\cdot 99} \\rfloor",
    "\\lfloor 10^{9 \\cdot 9 \\cdot 9 \\cdot 9 \\cdot 9 \\cdot 9 \\cdot 9 \\cdot 9} \\rfloor",
    "\\lfloor 2^{x^{99}} \\rfloor",
    "\\lfloor 123456789012345 \\cdot 123456789012345 \\cdot 123456789012345 \\rfloor", "\\operatorname{Gamma}(1000000)",
    "\\Gamma(1000000)", "\\Gamma(10^9)", "\\zeta(1000000)", "\\operatorname{fibonacci}(10000000)", "F_{10000000}",
    "\\lfloor \\sqrt[10000000]{2} \\rfloor", "\\log_{10^{10^6}} 2", "\\operatorname{sgn}(10^{10^7})",
    "\\overline{10^{10^7}}",
    "\\begin{pmatrix} 10^{10^7} & 1 \\\\ \\lfloor 2 \\rfloor & 3 \\end{pmatrix}",
    "\\begin{pmatrix} 1 & 2 \\\\ 3 & 4 \\end{pmatrix}^{10000000}",
    "\\begin{pmatrix} 1 & 2 \\\\ 3 & 4 \\end{pmatrix}^{39}",
    "\\begin{pmatrix} x & 2 \\\\ 3 & y \\end{pmatrix}^{39}", "\\frac{d}{dx} x^{39}",
    "\\lfloor 10^{10 000 000} \\rfloor",
    "\\lfloor 10^{10,000,000} \\rfloor", "\\lfloor 10^{7!} \\rfloor", "\\lfloor 10^{10**7} \\rfloor",
    "\\lfloor 10**10**7 \\rfloor",
    "\\lfloor 10^{\\exp{20}} \\rfloor", "\\lfloor 10^{\\cosh(20)} \\rfloor", "\\cosh(\\cosh(\\cosh(9)))",
    "\\lfloor \\cosh(\\cosh(\\cosh(9))) \\rfloor", "\\lfloor \\tan(10^{15}) \\rfloor",
    "\\lfloor \\sinh(99999999) \\rfloor",
    "\\lfloor \\Gamma(99999999) \\rfloor", "\\lfloor 10^{3 9} \\rfloor",
    "\\lfloor 10^{99} \\rfloor \\lfloor 10^{99} \\rfloor",
    "\\{10^{10^7}, \\lfloor 3 \\rfloor\\}", "(\\lfloor 10^{10^7} \\rfloor, 3)", "|10^{10^7}|",
    "\\lfloor \\frac{1}{1+\\frac{1}{1+\\frac{1}{1+\\frac{1}{1+\\frac{1}{1+\\frac{1}{1+\\frac{1}{x}}}}}}} \\rfloor",
    "\\lfloor \\sqrt{2+\\sqrt{2+\\sqrt{2+\\sqrt{2+\\sqrt{2+\\sqrt{2+\\sqrt{2}}}}}}} \\rfloor",
    "\\lfloor \\sqrt{2}+\\sqrt{3}+\\sqrt{5}+\\sqrt{7}+\\sqrt{11}+\\sqrt{13}+\\sqrt{17} \\rfloor",
    "\\lfloor (\\sqrt{2}+\\sqrt{3}+\\sqrt{5}+\\sqrt{7}+\\sqrt{11})^{39} \\rfloor",
    "\\arctan(\\arctan(\\arctan(\\lfloor x \\rfloor)))",
    "\\log(\\log(\\log(\\log(\\lfloor x \\rfloor))))", "\\sin^{39}(\\lfloor x \\rfloor)\\cos^{39}(x)",
    "\\lfloor x^{39}+y^{39}+z^{39} \\rfloor",
]  # fmt: skip
NESTED = [
    nest("(", "4", ")", 2000), nest("(", "4", ")", 200_000), nest("{", "4", "}", 100_000),
    nest("\\frac{1}{", "2", "}", 300),
    nest("\\frac{1}{", "2", "}", 20_000), nest("\\sqrt{", "16", "}", 60), nest("\\sqrt{", "16", "}", 5000),
    nest("\\left(", "4", "\\right)", 5000), nest("|", "4", "|", 3000), nest("\\text{", "4", "}", 20_000),
    nest("[", "4", "]", 50_000),
    nest("-(", "4", ")", 3000), nest("x^{", "2", "}", 3000), nest("\\sin(", "x", ")", 500), nest("1+(", "x", ")^2", 40),
    nest("\\boxed{", "4", "}", 50_000), nest("\\{", "4", "\\}", 20_000), nest("\\mathrm{", "4", "}", 20_000),
    "(" * 100_000,
    ")" * 100_000, "\\frac" * 50_000, "((((1+" * 10_000, nest("\\begin{pmatrix}", "1", "\\end{pmatrix}", 2000),
]  # fmt: skip
LONG = [
    "+".join(f"{k}x^{{{k}}}" for k in range(400)), "+".join(f"x_{{{k}}}" for k in range(3000)),
    "".join(f"(x+{k})" for k in range(60)),
    "".join(f"(x+{k})" for k in range(500)), "\\{" + ",".join(map(str, range(3000))) + "\\}",
    "(" + ",".join(map(str, range(100_000))) + ")", "\\cup".join(f"({k},{k + 1})" for k in range(1000)),
    "<".join(map(str, range(1000))),
    "=".join(["4"] * 5000), "\\sqrt{2}" + "+\\sqrt{3}" * 300,
    "\\begin{vmatrix}" + "\\\\".join("&".join(f"a_{{{i}{j}}}" for j in range(9)) for i in range(9)) + "\\end{vmatrix}",
    "\\begin{pmatrix}" + "\\\\".join("&".join("1" for _ in range(100)) for _ in range(100)) + "\\end{pmatrix}",
    "\\frac{1}{" + "x+" * 2000 + "1}", "\\{" + ",".join(f"\\sqrt{{{k}}}" for k in range(200)) + "\\}",
    "x=" * 20_000 + "4",
    "4 \\text{ or } " * 10_000 + "5", "\\frac{1}{2}" * 2000, "\\sin x \\cos x" * 200, "xyzxyzxyz" * 400,
    "\\sqrt[3]{" + "2+\\sqrt[3]{" * 30 + "2" + "}" * 31,
]  # fmt: skip
DIGITS = [
    "7" * 200_000, "7" * 2_000_000, "0." + "3" * 200_000, "0." + "0" * 200_000 + "1", "1" * 50_000 + "/" + "3" * 50_000,
    "1e999999999",
    "1e-999999999", "0.\\overline{" + "142857" * 20_000 + "}", "1," * 200_000, "1{,}000" * 50_000, "1 " * 50_000,
    "1e" * 50_000,
    "-" * 100_000 + "4", "1/" * 50_000 + "1", "1.1.1." * 30_000, "4^" * 20_000 + "4", "4!" * 20_000,
    "+" * 100_000 + "4",
    "9" * 1000 + "^" + "9" * 1000, "10000000000000000000000000000061" * 30,
]  # fmt: skip
UNICODE = [
    "4" + "\u0301" * 200_000, "\u200d" * 200_000, "\u202e" * 100_000 + "4", "４" * 100_000, "4" + "²" * 50_000,
    "\ufdfa" * 20_000,
    "\ufdfa" * 200_000, "👩‍👩‍👧‍👦" * 30_000, "\ud800" * 50_000, "\x00" * 200_000, "𝟜" * 50_000, "½" * 50_000,
    "ﬃ" * 100_000,
    "a\u0315\u0300\u05ae\u0300" * 40_000, "\u1100\u1161\u11a8" * 60_000, "İ" * 100_000, "ß" * 100_000, "٤" * 100_000,
    "−" * 100_000,
    "\u2028" * 100_000, "\ufeff" * 100_000, "Ⅷ" * 30_000,
]  # fmt: skip
MARKERS = [
    "answer is " * 50_000, "$" * 100_000, "$$" * 50_000 + "4", "**a" * 50_000, "\\boxed{" * 100_000,
    "\\boxed" * 100_000,
    "boxed{4" * 100_000, "\\boxed{4" * 50_000, "\\fbox{" * 50_000, "#### " * 50_000, "=" * 100_000, " " * 1_000_000,
    "\n" * 1_000_000,
    "\\text{" * 50_000, "{" * 1_000_000, "}" * 1_000_000, "&" * 100_000, "\\\\" * 100_000, "%" * 100_000,
    "%\n" * 100_000,
    "<think>" * 100_000, "</think>" * 100_000, "<think></think>" * 50_000, "</think><think>" * 50_000, ". " * 100_000,
    " or " * 100_000,
    "\\left" * 50_000, "`" * 200_000, "```\n" * 50_000, "\\(" * 50_000, "\\[" * 50_000 + "4",
    "The answer: " * 30_000 + "4?",
    "Answer:\n" * 50_000, "*" * 300_000, "_" * 300_000, "^" * 100_000, "4 and 5 " * 30_000, "-1-" * 50_000,
    "a b " * 100_000,
    "\\phantom{" * 30_000, "<" * 300_000, "is is is " * 60_000 + "\t" * 50_000, "\r\n" * 300_000, "x" * 300_000 + "=",
]  # fmt: skip
BIG = [
    "a" * (10 * MB), "4" * (10 * MB), " " * (10 * MB), "\\boxed{5}" * (MB + 1), "é" * (5 * MB), "word " * (2 * MB),
    "\n" * (10 * MB),
    "中" * (3 * MB),
]  # fmt: skip
DISTINCT = " ".join(f"w{n}" for n in range(300_000))
SCHEMA_CATASTROPHE = {"schema": {"type": "string", "pattern": "^(a+)+$"}}
SCHEMA_UNIQUE = {"schema": {"type": "array", "uniqueItems": True, "maxItems": 3}}
CALL = [{"name": "f", "arguments": {"x": 1}}]
_TEXT_KINDS: tuple[tuple[dict[str, Any], Any], ...] = (
    ({"kind": "exact"}, "4"), ({"kind": "exact", "ignore_case": True}, ["4", "four"]), ({"kind": "format"}, None),
    ({"kind": "language", "language": "fr"}, None), ({"kind": "tool_call"}, CALL),
)  # fmt: skip
_CONSTRAINED: dict[str, tuple[dict[str, Any], list[str]]] = {
    "length_constraints:number_sentences": (
        {"num_sentences": 3, "relation": "exactly"},
        ["!" * MB + "x", ". " * 300_000, ".'" * 300_000, "a." * 300_000],
    ),
    "detectable_content:number_placeholders": (
        {"num_placeholders": 3_000_000},
        ["[" * MB, "[a" * 500_000, "[]" * 500_000],
    ),
    "detectable_format:number_highlighted_sections": (
        {"num_highlights": 3_000_000},
        ["*" * MB, "*a" * 500_000, "**a" * 300_000],
    ),
    "detectable_format:title": ({}, ["<" * MB, "<<" * 300_000 + "a", "<<\n" * 300_000, ">>" * 300_000]),
    "detectable_format:json_format": ({}, ["[" * MB, '{"a":' * 200_000, "9" * 500_000, '"' + "\\u0000" * 100_000]),
    "length_constraints:number_paragraphs": (
        {"num_paragraphs": 2},
        ["***" * 300_000, " *** " * 200_000, " " * MB + "**"],
    ),
    "length_constraints:nth_paragraph_first_word": (
        {"num_paragraphs": 2, "nth_paragraph": 1, "first_word": "no"},
        ["\n\n" * 500_000, "'" * MB],
    ),
    "detectable_content:postscript": ({"postscript_marker": "P.P.S"}, ["p.p." * 250_000, "p. " * 300_000]),
    "combination:two_responses": ({}, ["******" * 150_000, "a******" * 150_000]),
    "change_case:capital_word_frequency": (
        {"capital_frequency": 0, "capital_relation": "less than"},
        ["A-" * 500_000, "A'A" * 300_000],
    ),
    "keywords:forbidden_words": ({"forbidden_words": ["a" * 1000, "a"]}, ["a " * 500_000, "a" * 999 + " a"]),
    "detectable_format:number_bullet_lists": ({"num_bullets": 7}, ["* a\n" * 200_000, "\n " * 500_000]),
    "detectable_format:multiple_sections": (
        {"section_spliter": "Section", "num_sections": 10**7},
        ["Section 1" * 100_000, "Section " * 100_000],
    ),
}


def _math() -> Iterator[tuple[str, dict[str, Any], Any, str]]:
    golds = ["17", "x^2+1", "\\{1,2\\}", "(0,1)", "x=3"]
    families = {
        "tower": TOWERS,
        "factorial": FACTORIALS,
        "loop": LOOPS,
        "growth": GROWTH,
        "nested": NESTED,
        "long": LONG,
        "digits": DIGITS,
        "unicode": UNICODE,
    }
    for family, answers in families.items():
        for number, answer in enumerate(answers):
            yield family, {"kind": "math"}, golds[number % 2], boxed(answer)
            if family in ("tower", "long"):
                yield f"{family}_set", {"kind": "math"}, golds[2 + number % 3], boxed(answer)
    for answer in GROWTH:  # beside a gold that our own parser does not read
        yield "growth", {"kind": "math"}, "\\overline{z} + 1", boxed(answer)
    for number, answer in enumerate(MARKERS):
        yield "marker", {"kind": "math"}, golds[number % 5], answer
    for text in ("9**9**9**9", "9^9^9^9", "Answer: 9^9^9^9", "so it is 2**2**2**2**2**2"):
        yield "prose", {"kind": "math"}, "17", text
    for answer in BIG:
        yield "big", {"kind": "math"}, "17", answer


def _others() -> Iterator[tuple[str, dict[str, Any], Any, str]]:
    for number, answer in enumerate(MARKERS[::3] + UNICODE[::4] + BIG[:3]):
        spec, gold = _TEXT_KINDS[number % len(_TEXT_KINDS)]
        yield "flood", spec, gold, answer
    for answer in (
        "A " * 100_000, "(A) " * 100_000, "answer is " * 50_000, "A or B " * 50_000, "not A " * 50_000, "(" * 300_000,
        boxed("A" * 300_000),
    ):  # fmt: skip
        yield "flood", {"kind": "choice"}, "C", answer
        yield "flood", {"kind": "cascade", "steps": [{"kind": "math"}, {"kind": "choice"}]}, "C", answer
    for answer in (
        "a " * 500_000, "ab" * 500_000, _fibonacci(400_000), DISTINCT[:190_000] * 2, "a" * 400_000 + "b",
        "0" * 199_999 + "1" + "0" * 199_999, BIG[5],
    ):  # fmt: skip
        yield "flood", {"kind": "repetition", "max_share": 0.0, "loop_chars": 1}, None, answer
    for answer in (
        DISTINCT, "`" * MB, "$a" * 500_000, "http://" * 100_000, "<a" * 300_000, "ا" * 500_000, "क्" * 200_000,
        "é" * 500_000,
        "a̐é" * 99_999,
    ):  # fmt: skip
        yield "flood", {"kind": "language", "language": "fr"}, None, answer
    for name, (kwargs, answers) in _CONSTRAINED.items():
        for number, answer in enumerate(answers):
            gold = {"instruction_id_list": [name], "kwargs": [kwargs]}
            yield (
                name.partition(":")[2],
                {"kind": "instructions", "mode": ("strict", "loose")[number % 2]},
                gold,
                answer,
            )
    yield from _calls()


def _calls() -> Iterator[tuple[str, dict[str, Any], Any, str]]:
    bodies = (
        "[" * 100_000, nest('{"a":', "1", "}", 30_000), '{"name": "f", "arguments": {"x": ' + "9" * 100_000 + "}}",
        '{"name": "f", "arguments": {"x": 1e999999}}',
        '{"name": "f", "arguments": {' + ",".join(f'"k{n}": 1' for n in range(10_000)) + "}}",
        "[" + ",".join(['{"name": "f", "arguments": {"x": 1}}'] * 5000) + "]", '"' + "\\u0041" * 30_000 + '"',
        "{" + '"a":1,' * 30_000 + '"a":1}', "1" * 190_000,
    )  # fmt: skip
    for body in bodies:
        yield "body", {"kind": "tool_call"}, CALL, f"<tool_call>{body}</tool_call>"
    for text in (
        "<tool_call>" * 100_000, "</tool_call>" * 100_000, "<tool_call></tool_call>" * 50_000, "```" * 100_000,
        '{"name": "f"}' * 50_000,
    ):  # fmt: skip
        yield "tags", {"kind": "tool_call"}, CALL, text
    yield "schema", {"kind": "tool_call"}, SCHEMA_CATASTROPHE, '"' + "a" * 40 + '!"'
    yield "schema", {"kind": "tool_call"}, SCHEMA_UNIQUE, "[" + ",".join(f'{{"a":{n}}}' for n in range(8000)) + "]"
    yield "schema", {"kind": "tool_call"}, SCHEMA_UNIQUE, "[" + ",".join(["[]"] * 60_000) + "]"


def hangs() -> list[Hang]:
    """All rows, named kind/family/number."""
    rows = []
    for family, spec, gold, response in [*_math(), *_others()]:
        rows.append(Hang(name=f"{spec['kind']}/{family}/{len(rows)}", spec=spec, gold=gold, response=response))
    return rows
