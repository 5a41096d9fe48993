"""LaTeX or plain formula text to a tree of allow-listed nodes. Own tokenizer and recursive descent; nothing is
evaluated, nothing executed.

    expression = term (+|- term)*        term = factor ((*|/|implied) factor)*        factor = -factor | power
Sums, integrals, limits and unknown commands are refused, not guessed: they are questions, not answers.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any, NamedTuple

MAX_TOKENS = 400
MAX_DEPTH = 40
# Ways to write a binomial coefficient without \\binom: {}_{10}C_3, ^{10}C_{3}, C(10, 3), and of numerals C_{10}^{3}.
_CHOSEN = (
    re.compile(r"(?:\{ ?\})? ?[_^] ?\{? ?(?P<n>\w{1,4}) ?\}? ?(?:C|\\mathrm ?\{C\}) ?_ ?\{? ?(?P<k>\w{1,4}) ?\}?"),
    re.compile(r"(?<![A-Za-z\\])C ?\((?P<n>[^(),]{1,20}),(?P<k>[^(),]{1,20})\)"),
    re.compile(r"(?<![\w\\])(?P<n>\w{1,4}) choose (?P<k>\w{1,4})(?!\w)"),
    re.compile(r"(?<![A-Za-z\\])(?:C|\\mathrm ?\{C\}) ?_ ?\{? ?(?P<n>\d{1,4}) ?\}? ?\^ ?\{? ?(?P<k>\d{1,4}) ?\}?"),
)
_ARRANGED = (
    re.compile(r"(?:\{ ?\})? ?[_^] ?\{? ?(?P<n>\d{1,4}) ?\}? ?P ?_ ?\{? ?(?P<k>\d{1,4}) ?\}?"),
    re.compile(r"(?<![A-Za-z\\])P ?\( ?(?P<n>\d{1,4}), ?(?P<k>\d{1,4}) ?\)"),
)
_LONE_LETTER = re.compile(
    r"\\(?:text|mathrm|mathit|textrm|rm) ?\{ ?([A-Za-z]) ?\}|\\(?:mathrm|rm) ([A-Za-z])(?![A-Za-z])"
)
_MAX_DIGITS = 60

FUNCTIONS = (
    "sin",
    "cos",
    "tan",
    "cot",
    "sec",
    "csc",
    "arcsin",
    "arccos",
    "arctan",
    "sinh",
    "cosh",
    "tanh",
    "ln",
    "log",
    "lg",
    "exp",
    "abs",
    "sqrt",
)
_BRACKETS = {"lfloor": ("rfloor", "floor"), "lceil": ("rceil", "ceil")}
_CONSTANTS = {"pi": "pi", "e": "e", "i": "i"}
_GREEK = (
    "alpha", "beta", "gamma", "delta", "epsilon", "theta", "lambda", "mu", "nu", "xi", "rho", "sigma", "tau", "phi",
    "varphi", "psi",
    "omega", "zeta", "eta", "kappa",
)  # fmt: skip
_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)|\\(?P<command>[A-Za-z]+)|(?P<op>\*\*|\\[{}|]|"
    r"[-+*/^_!()\[\]{}|])"
    r"|(?P<word>floor|cis|ceil|cbrt|arcsin|arccos|arctan|sinh|cosh|tanh|sqrt|sin|cos|tan|cot|sec|csc|log|lg|ln|exp|"
    r"pi)(?![A-Za-z])|(?P<letter>[A-Za-z]))"
)


class NotReadable(ValueError):
    """The text is no expression of the allow-list, or too large. The message is a short reason, never the text."""


class Node(NamedTuple):
    """kind: num (value Fraction), sym (name), const (pi, e, i), add, mul, div, neg, pow, call (name), fact, binom.
    args: child nodes."""

    kind: str
    value: Any
    args: tuple[Node, ...] = ()


def parse(text: str) -> Node:
    """The tree of one expression. Raises NotReadable."""
    tokens = tokenise(text)
    parser = _Parser(tokens)
    node = parser.expression(0)
    if parser.position != len(tokens):
        raise NotReadable("something is left over")
    return node


def tokenise(text: str) -> list[tuple[str, str]]:
    """(kind, text) of each token; kinds: number, command, op, word, letter. Raises NotReadable."""
    tokens: list[tuple[str, str]] = []
    text = _respelled(text).strip()
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None or match.lastgroup is None:
            raise NotReadable("unknown character")
        value = match.group(match.lastgroup)
        kind = "op" if value in ("\\{", "\\}", "\\|") else match.lastgroup
        if kind == "number" and len(value) > _MAX_DIGITS:
            raise NotReadable("number too long")
        tokens.append((kind, "^" if value == "**" else value))
        position = match.end()
        if len(tokens) > MAX_TOKENS:
            raise NotReadable("too many tokens")
    if not tokens:
        raise NotReadable("empty")
    return tokens


def _respelled(text: str) -> str:
    if "C" in text or "choose" in text:
        for pattern in _CHOSEN:
            text = pattern.sub(r"\\binom{\g<n>}{\g<k>}", text)
    if "P" in text:
        for pattern in _ARRANGED:
            text = pattern.sub(r"(\\binom{\g<n>}{\g<k>}\\cdot \g<k>!)", text)
    if "\\" in text and ("{" in text or "rm " in text):
        text = _LONE_LETTER.sub(r" \1\2 ", text)
    return text


def number(value: int | Fraction) -> Node:
    return Node("num", Fraction(value))


class _Parser:
    """Recursive descent over tokens; `bars` is how many |...| are open, so that a bar closes before it opens."""

    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self.tokens = tokens
        self.position = 0
        self.bars = 0

    def peek(self) -> tuple[str, str]:
        return self.tokens[self.position] if self.position < len(self.tokens) else ("end", "")

    def take(self, expected: str | None = None) -> tuple[str, str]:
        token = self.peek()
        if token[0] == "end" or (expected is not None and token != ("op", expected)):
            raise NotReadable(f"expected {expected or 'more'}")
        self.position += 1
        return token

    def expression(self, depth: int) -> Node:
        if depth > MAX_DEPTH:
            raise NotReadable("too deep")
        parts = [self.term(depth)]
        while self.peek() in (("op", "+"), ("op", "-")):
            sign = self.take()[1]
            part = self.term(depth)
            parts.append(part if sign == "+" else Node("neg", None, (part,)))
        return parts[0] if len(parts) == 1 else Node("add", None, tuple(parts))

    def term(self, depth: int) -> Node:
        left = self.factor(depth)
        while True:
            token = self.peek()
            if token in (("op", "*"), ("command", "cdot"), ("command", "times")):
                self.take()
                left = _product(left, self.factor(depth))
            elif token in (("op", "/"), ("command", "div")):
                self.take()
                left = Node("div", None, (left, self.factor(depth)))
            elif self._starts_atom(token):
                if token[0] == "number" and self.tokens[self.position - 1] != ("op", "!") and not self._is_turned():
                    raise NotReadable("a number after a factor")  # x2, 2 3: ambiguous
                left = _product(left, self.power(depth))
            else:
                return left

    def _is_turned(self) -> bool:
        """Whether i or j stands before a number as engineers write it: j40."""
        before = self.tokens[max(0, self.position - 2) : self.position]
        return before[-1] in (("letter", "i"), ("letter", "j")) and before[0] != ("op", "_")

    def _starts_atom(self, token: tuple[str, str]) -> bool:
        kind, value = token
        if kind == "op":
            return value in ("(", "[", "{") or (value == "|" and not self.bars)
        if kind == "command":
            return value not in ("cdot", "times", "div", "rfloor", "rceil")
        return kind in ("number", "letter", "word")

    def factor(self, depth: int) -> Node:
        if depth > MAX_DEPTH:
            raise NotReadable("too deep")
        token = self.peek()
        if token == ("op", "-"):
            self.take()
            return Node("neg", None, (self.factor(depth + 1),))
        if token == ("op", "+"):
            self.take()
            return self.factor(depth + 1)
        return self.power(depth)

    def power(self, depth: int) -> Node:
        base = self.postfix(self.atom(depth + 1))
        if self.peek() != ("op", "^"):
            return base
        self.take()
        if self._is_degree():
            return Node("div", None, (_product(base, Node("const", "pi")), number(180)))
        return Node("pow", None, (base, self.exponent(depth + 1)))

    def _is_degree(self) -> bool:
        if self.peek() == ("command", "circ"):
            self.take()
            return True
        if self.tokens[self.position : self.position + 3] == [("op", "{"), ("command", "circ"), ("op", "}")]:
            self.position += 3
            return True
        return False

    def exponent(self, depth: int) -> Node:
        """One group, one token, or (plain text) a signed power: a^-2, a^b^c to the right."""
        if depth > MAX_DEPTH:
            raise NotReadable("too deep")
        if self.peek() == ("op", "-"):
            self.take()
            return Node("neg", None, (self.exponent(depth + 1),))
        base = self.postfix(self.atom(depth))
        if self.peek() == ("op", "^"):
            self.take()
            return Node("pow", None, (base, self.exponent(depth + 1)))
        return base

    def postfix(self, node: Node) -> Node:
        while self.peek() == ("op", "!"):
            self.take()
            node = Node("fact", None, (node,))
        return node

    def group(self, opening: str, closing: str, depth: int) -> Node:
        self.take(opening)
        bars, self.bars = self.bars, 0
        node = self.expression(depth + 1)
        self.bars = bars
        self.take(closing)
        return node

    def atom(self, depth: int) -> Node:
        kind, value = self.peek()
        if kind == "number":
            self.take()
            return number(Fraction(value.replace(",", "")))
        if kind == "letter":
            self.take()
            return self.symbol(value)
        if kind in ("word", "command"):
            self.take()
            return self.command(value, depth)
        if value in ("(", "[", "{"):
            return self.group(value, {"(": ")", "[": "]", "{": "}"}[value], depth)
        if value == "|" and not self.bars:
            self.take()
            self.bars += 1
            node = self.expression(depth + 1)
            self.bars -= 1
            self.take("|")
            return Node("call", "abs", (node,))
        raise NotReadable("no value where one is expected")

    def symbol(self, name: str) -> Node:
        if self.peek() == ("op", "_"):
            self.take()
            return Node("sym", f"{name}_{self.subscript()}")
        if name in _CONSTANTS:
            return Node("const", _CONSTANTS[name])
        if name in "fgh" and self.peek() == ("op", "("):
            raise NotReadable("an unknown function")
        return Node("sym", name)

    def subscript(self) -> str:
        if self.peek() != ("op", "{"):
            return self.take()[1]
        self.take()
        parts = []
        while self.peek() != ("op", "}"):
            parts.append(self.take()[1])
        self.take()
        return "".join(parts)

    def command(self, name: str, depth: int) -> Node:
        if name in FUNCTIONS:
            return self.function(name, depth)
        if name in ("floor", "ceil"):
            return Node("call", name, (self.group("(", ")", depth),))
        if name == "cbrt":
            return Node("pow", None, (self.group("(", ")", depth), Node("div", None, (number(1), number(3)))))
        if name == "cis":
            angle = self.function_argument(depth)
            turned = Node("mul", None, (Node("const", "i"), Node("call", "sin", (angle,))))
            return Node("add", None, (Node("call", "cos", (angle,)), turned))
        if name in ("vec", "mathbf", "overrightarrow"):
            return self.vector(depth)
        if name in _BRACKETS:
            return self.whole_part(name, depth)
        if name in ("frac", "binom"):
            top, bottom = self.argument(depth), self.argument(depth)
            return Node("div" if name == "frac" else "binom", None, (top, bottom))
        if name == "pi":
            return Node("const", "pi")
        if name in _GREEK:
            return self.symbol(name)
        if name == "mathrm" and self.tokens[self.position : self.position + 3] == [
            ("op", "{"),
            ("letter", "e"),
            ("op", "}"),
        ]:
            self.position += 3
            return Node("const", "e")
        raise NotReadable("a command outside the allow-list")

    def vector(self, depth: int) -> Node:
        """\\vec a, \\mathbf{a}, \\overrightarrow{AB}: an unknown of its own, never the plain letter."""
        name = self.subscript() if self.peek() == ("op", "{") else self.take()[1]
        if not name.isalpha():
            raise NotReadable("no name of a vector")
        return self.symbol(f"vec {name}")

    def whole_part(self, name: str, depth: int) -> Node:
        """\\lfloor x \\rfloor, \\lceil x \\rceil."""
        closing, function = _BRACKETS[name]
        bars, self.bars = self.bars, 0
        node = self.expression(depth + 1)
        self.bars = bars
        if self.peek() != ("command", closing):
            raise NotReadable(f"expected {closing}")
        self.take()
        return Node("call", function, (node,))

    def argument(self, depth: int) -> Node:
        """{...}, or one digit or letter as in \\frac12."""
        if depth > MAX_DEPTH:
            raise NotReadable("too deep")
        if self.peek() == ("op", "{"):
            return self.group("{", "}", depth)
        kind, value = self.peek()
        if kind == "number" and len(value) > 1 and value.isdigit():
            self.tokens[self.position] = ("number", value[1:])
            return number(int(value[0]))
        return self.atom(depth)

    def function(self, name: str, depth: int) -> Node:
        """\\sqrt[3]{x}, \\log_2 8, \\sin^2 x, \\sin 2x, sin(x)."""
        if depth > MAX_DEPTH:
            raise NotReadable("too deep")
        if name == "sqrt":
            root = self.group("[", "]", depth) if self.peek() == ("op", "[") else number(2)
            kind, value = self.peek()
            if kind == "number" and value.isdigit():  # \\sqrt13 and √13 mean the root of 13
                self.take()
                return Node("pow", None, (number(int(value)), Node("div", None, (number(1), root))))
            return Node("pow", None, (self.argument(depth), Node("div", None, (number(1), root))))
        base = power = None
        for _ in range(2):
            if self.peek() == ("op", "_") and name == "log":
                self.take()
                base = self.argument(depth)
            elif self.peek() == ("op", "^"):
                self.take()
                power = self.exponent(depth + 1)
        inner = self.function_argument(depth)
        node = Node("call", "ln" if name in ("log", "lg") else name, (inner,))
        if name in ("log", "lg"):
            node = Node("div", None, (node, Node("call", "ln", (base if base is not None else number(10),))))
        if power is not None:
            if power == Node("neg", None, (number(1),)):
                if name not in ("sin", "cos", "tan"):
                    raise NotReadable("an inverse function or a reciprocal")
                return Node("call", f"arc{name}", (inner,))
            node = Node("pow", None, (node, power))
        return node

    def function_argument(self, depth: int) -> Node:
        if self.peek() in (("op", "("), ("op", "{"), ("op", "[")):
            opening = self.peek()[1]
            return self.group(opening, {"(": ")", "{": "}", "[": "]"}[opening], depth)
        node = self.power(depth + 1)
        while (
            self._starts_atom(self.peek())
            and not self._is_function(self.peek())
            and self.peek() not in (("op", "("), ("op", "["))
        ):
            node = _product(node, self.power(depth + 1))
        return node

    def _is_function(self, token: tuple[str, str]) -> bool:
        return token[0] in ("word", "command") and token[1] in FUNCTIONS


def _product(left: Node, right: Node) -> Node:
    parts = (*left.args, right) if left.kind == "mul" else (left, right)
    return Node("mul", None, parts)


def symbols(node: Node) -> frozenset[str]:
    if node.kind == "sym":
        return frozenset([node.value])
    return frozenset().union(*(symbols(child) for child in node.args)) if node.args else frozenset()


def substituted(node: Node, name: str, value: Node) -> Node:
    """The tree with every symbol `name` replaced."""
    if node.kind == "sym":
        return value if node.value == name else node
    return node._replace(args=tuple(substituted(child, name, value) for child in node.args)) if node.args else node


def holds_i(node: Node) -> bool:
    return node == Node("const", "i") or any(holds_i(child) for child in node.args)
