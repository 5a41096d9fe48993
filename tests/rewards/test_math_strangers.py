"""`math` on forms it was not written for at first: each mechanism with right answers and near misses, and the corpus
written blind."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.math_answers.strangers import math_pairs
from benchmarks.verifier_math import pair_rows
from rewards.types import Request
from rewards.workers.rule_table import build_rule

RULE = build_rule({"kind": "math", "options": {}, "think": ["<think>", "</think>"]})


def passes(gold: Any, answer: str, question: str | None = None) -> bool:
    [verdict] = RULE.judge_group([Request(response=f"\\boxed{{{answer}}}", gold=gold, question=question)])
    return verdict.passed


RIGHT = [
    # spellings
    ("\\binom{10}{3}", "\\dbinom{10}{7}"), ("120", "C(10, 3)"), ("120", "{}_{10}C_3"), ("120", "C_{10}^{3}"),
    ("252", "\\frac{10!}{5!5!}"),
    ("\\sqrt{13}", "\\sqrt13"), ("\\sqrt{13}", "√13"), ("\\sqrt[3]{2}", "∛2"), ("\\sqrt[3]{2}", "cbrt(2)"),
    ("|x - 2|", "\\lvert 2-x\\rvert"),
    ("\\lfloor n/2 \\rfloor", "floor(n/2)"), ("6 - 5i", "6-5\\mathrm{i}"), ("6 - 5i", "6 - 5*I"),
    ("i", "\\operatorname{cis} 90^\\circ"),
    ("\\arctan 2", "\\tan^{-1} 2"), ("\\arctan 2", "\\operatorname{arctan} 2"), ("\\tan x", "\\tg x"),
    ("1/6", "0.1(6)"),
    ("1/6", "0.1\\bar{6}"), ("\\frac{1}{7}", "0.\\dot{1}4285\\dot{7}"), ("33\\frac13\\%", "33.\\overline{3}\\%"),
    ("-7", "minus seven"),
    ("17", "\\ 17\\ "), ("(1,-2,3)", "<1,-2,3>"), ("\\vec{a}+\\vec{b}", "\\mathbf{b} + \\vec a"),
    # names and chains
    ("12", "|A| = 12"), ("12", "x+y=12"), ("12", "\\lim_{x\\to 0} f(x) = 12"), ("12", "\\gcd(24,36) = 12"),
    ("12", "P(X > 1) = 12"),
    ("2^{10}-1", "2^{10} - 1 = 1023"), ("\\frac{n(n+1)}{2}", "1+2+\\cdots+n = \\frac{n(n+1)}{2}"),
    ("2\\sqrt2", "\\sqrt8 = 2\\sqrt2"),
    ("x = 5", "x = \\frac{10}{2} = 5"), ("f(x) = 2x - 3", "y = 2x - 3"), ("\\frac{dy}{dx} = 3x^2", "y' = 3x^2"),
    ("(0,0,0)", "x=y=z=0"),
    ("(3, \\pi/2)", "(r,\\theta) = (3, \\pi/2)"), ("(2,-1)", "(y, x) = (-1, 2)"), ("y = 1/x", "xy = 1"),
    ("\\frac{x^3}{3}+C", "\\frac{x^3}{3} + c"), ("C_1e^x + C_2e^{-x}", "Ae^{-x} + Be^{x}"),
    ("x = 2k\\pi, k \\in \\mathbb{Z}", "x = 2n\\pi, n \\in \\mathbb{Z}"),
    ("\\{2k+1 \\mid k \\in \\mathbb{Z}\\}", "\\{1 + 2n : n \\in \\mathbb{Z}\\}"),
    # layouts
    ("(4, 6)", "\\begin{cases} x = 4 \\\\ y = 6 \\end{cases}"), ("(-2, 1, 5)", "-2\\mathbf{i}+\\mathbf{j}+5\\hat{k}"),
    ("(0, 3)", "3\\vec{j}+0\\vec{i}"),
    ("f(x) = \\begin{cases} x & x > 0 \\\\ 0 & x \\le 0 \\end{cases}",
     "\\begin{cases} 0, & \\text{if } x \\leq 0, \\\\ x, & \\text{if } x > 0 \\end{cases}"),
    ("(i) 3; (ii) 5", "(i) 3 (ii) 5"), ("(a) x^2 (b) 7", "x^2; 7"),
    ("[[1,2],[3,4]]", "\\begin{pmatrix}1&2\\cr3&4\\end{pmatrix}"),
    # what a letter may be
    ("$f(x) = cx$ for any constant $c$", "f(x) = kx \\text{ for some constant } k"),
    ("(k,k,k) for any integer k", "(n,n,n), n \\in \\mathbb{Z}"),
    ("2^k where k is a nonnegative integer", "2^m \\text{ for nonnegative integers } m"),
    ("2^k where k is a positive integer", "2^k"),
    # residues and reactions
    ("x \\equiv 3 \\pmod{7}", "x \\equiv -4 \\pmod 7"), ("x \\equiv 3 \\pmod{7}", "7k + 3"),
    ("5", "n \\equiv 5 \\pmod{12}"),
    ("3 (mod 7)", "3 \\pmod{7}"),
    ("2H2 + O2 -> 2H2O", "O_2 + 2H_2 \\rightarrow 2H_2O"), ("2H2 + O2 -> 2H2O", "\\ce{2H2(g) + O2(g) -> 2H2O(l)}"),
    # words
    ("Alice, Bob", "\\text{Bob and Alice}"), ("Monday", "\\text{It falls on a Monday.}"),
    ("-\\infty", "\\text{negative infinity}"),
    (">", "\\text{greater than}"),
    ("A", "\\text{option (A)}"), ("\\emptyset", "\\text{no real solutions}"),
    ("does not exist", "\\text{The limit does not exist.}"),
    ("(-\\infty,2)\\cup(2,\\infty)", "\\text{all real numbers except } 2"), ("\\triangle ABC", "\\text{triangle } ABC"),
    ("a=1, b=-2 \\text{ or } a=-1, b=2", "(a,b)=(-1,2) \\text{ or } (1,-2)"),
    ("(1,2), (2,1)", "x=1, y=2 \\text{ or } x=2, y=1"),
    ("1:2:\\sqrt{3}", "2:4:2\\sqrt{3}"), ("15 \\text{ boys and } 12 \\text{ girls}", "12 girls, 15 boys"),
    ("5 remainder 3", "5 R 3"),
    ("No such $n$ exists", "\\text{There is no such } n"), ("x \\ge 2", "x \\text{ is at least } 2"),
    ("8", "\\color{red}{8}"),
    ("1 + \\frac12 + \\cdots + \\frac1n", "1+\\frac{1}{2}+\\ldots+\\frac{1}{n}"),
    # units
    ("5 feet 6 inches", "5'6\""), ("4 \\Omega", "4 ohms"), ("3 \\mu m", "3 micrometers"),
    ("20^\\circ C", "20 degrees Celsius"),
    ("12\\pi", "12\\pi square units"),
    ("2 \\mu F", "2000 nanofarads"), ("1 atm", "101325 Pa"),
]  # fmt: skip
WRONG = [
    ("$f(x) = cx$ for any constant $c$", "f(x) = x"), ("(k,k,k) for any integer k", "(n,n,n), n \\in \\mathbb{R}"),
    ("2^k where k is a nonnegative integer", "2^m \\text{ for positive integers } m"),
    ("kx for any integer k", "x^2 \\text{ for any integer } x"),
    ("\\frac12 CV^2", "\\frac12 kV^2"), ("C", "K"), ("x^2 + C", "x^2 + Cx"),
    # which values belong together counts; a ratio keeps its order
    ("a=1, b=-2 \\text{ or } a=-1, b=2", "a=1, b=2 \\text{ or } a=-1, b=-2"),
    ("(1,2), (2,1)", "x=1, y=1 \\text{ or } x=2, y=2"),
    ("1:2:\\sqrt{3}", "1:\\sqrt{3}:2"), ("\\frac34", "\\frac34 \\text{ is wrong}"), ("\\frac{9}{16}", "16:9"),
    ("8", "8\\text{th}"),
    ("120", "C(10, 2)"), ("\\sqrt{13}", "\\sqrt1 3"), ("6 - 5i", "6 + 5*I"), ("\\tan x", "\\tan^{-1} x"),
    ("1/6", "0.(16)"),
    ("-7", "|-7|"), ("\\vec a", "a"),
    ("12", "2x = 12"), ("12", "x^2 = 12"), ("12", "-x = 12"), ("12", "12x = 12"), ("12", "x = 12 = 13"),
    ("1023", "2^{10} = 1023"),
    ("f(x) = 2x - 3", "x = 2y - 3"), ("\\frac{dy}{dx} = 3x^2", "y = 3x^2"),
    ("y = 1/x", "(xy - 1)(x - 1) = 0"), ("y = 1/x", "xy = 2"), ("y = 2x + 3", "(y - 2x - 3)(x^2 - 4) = 0"),
    ("x^2 + y", "x^2 + z"),
    ("\\frac{x^3}{3}+C", "\\frac{x^3}{3}"), ("C_1e^x + C_2e^{-x}", "Ae^x + Ae^{-x}"),
    ("x = 2k\\pi, k \\in \\mathbb{Z}", "x = n\\pi, n \\in \\mathbb{Z}"),
    ("\\{2k+1 \\mid k \\in \\mathbb{Z}\\}", "\\{2k \\mid k \\in \\mathbb{Z}\\}"),
    ("\\{2k \\mid k \\in \\mathbb{Z}\\}", "\\{2k \\mid k \\in \\mathbb{N}\\}"),
    ("\\sum_{k=1}^{n} k^2", "\\sum_{k=1}^{n} k"),
    ("(4, 6)", "\\begin{cases} x = 6 \\\\ y = 4 \\end{cases}"),
    ("(-2, 1, 5)", "-2\\mathbf{i}+5\\mathbf{j}+\\mathbf{k}"),
    ("(1, 2)", "\\mathbf{i}2\\mathbf{j}"),
    ("\\begin{cases} x & x > 0 \\\\ 0 & x \\le 0 \\end{cases}",
    "\\begin{cases} x & x \\ge 0 \\\\ 0 & x < 0 \\end{cases}"),
    ("(i) 3; (ii) 5", "(i) 5; (ii) 3"),
    ("x \\equiv 3 \\pmod{7}", "x \\equiv 3 \\pmod 8"), ("7", "7 \\mod 10"), ("5", "17 \\pmod{12}"),
    ("2H2 + O2 -> 2H2O", "H2 + O2 -> H2O"),
    ("2H2 + O2 -> 2H2O", "2H2O -> 2H2 + O2"), ("Alice, Bob", "\\text{Alice}"), ("Alice, Bob", "\\text{Alice, not Bob}"),
    (">", "\\text{less than}"),
    ("(-\\infty,2)\\cup(2,\\infty)", "\\text{all real numbers except } 3"), ("-\\infty", "\\text{infinity}"),
    ("4 \\Omega", "4 A"),
    ("3 \\mu m", "3 mm"),
    ("2 \\mu F", "2 nanofarads"), ("A", "\\text{option (B)}"), ("101_2", "101"), ("50\\%", "50"),
]  # fmt: skip


@pytest.mark.parametrize(("gold", "answer"), RIGHT)
def test_an_equal_form_is_accepted(gold: str, answer: str) -> None:
    assert passes(gold, answer)


@pytest.mark.parametrize(("gold", "answer"), WRONG)
def test_a_near_miss_is_not(gold: str, answer: str) -> None:
    assert not passes(gold, answer)


def test_the_classes_behind_missed_answers_are_accepted_and_their_near_misses_are_not() -> None:
    rows = [(row.request, row.expected) for row in pair_rows("siblings.txt")]
    rows += [
        (Request(response=said, gold=gold, question=asked), good)
        for _, gold, said, good, asked in math_pairs("siblings_prose.txt")
    ]
    assert [
        (request.gold, request.response)
        for request, expected in rows
        if RULE.judge_group([request])[0].passed is not expected
    ] == []


def test_a_base_may_be_left_out_where_the_question_names_it() -> None:
    assert passes("101_2", "101", "Write 5 in base 2.") and not passes("101_2", "101", "What is 2 + 3?")


BLIND = [("strangers.txt", (786, 511), 782), ("strangers_second.txt", (409, 278), 396),
("strangers_third.txt", (183, 189), 179),
         ("strangers_fourth.txt", (125, 88), 116), ("strangers_fifth.txt", (272, 178), 272),
         ("strangers_sixth.txt", (239, 160), 239), ("strangers_seventh.txt", (209, 150), 177)]  # fmt: skip


@pytest.mark.parametrize(("name", "counts", "least"), BLIND)
def test_no_wrong_answer_of_the_corpora_written_blind_is_accepted(
    name: str, counts: tuple[int, int], least: int
) -> None:
    right = wrong = accepted = 0
    for _, gold, response, expected, question in math_pairs(name):
        [verdict] = RULE.judge_group([Request(response=response, gold=gold, question=question)])
        assert expected or not verdict.passed, (gold, response)
        right, wrong, accepted = right + expected, wrong + (not expected), accepted + (expected and verdict.passed)
    assert (right, wrong) == counts
    # what is left: sums with an unknown bound, cases as one expression, a multiple of the unit matrix, free words,
    # synonyms
    assert accepted >= least
