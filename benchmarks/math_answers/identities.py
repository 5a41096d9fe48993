"""Generated answers with their labels: each type's golds, other ways to write them, and near misses one token off.

Shares no code with the verifier. Labels of expressions are confirmed by mpmath at random points, of numbers by
fractions, of dates by the calendar, of sets, intervals and inequalities by their members. `generate(seed)` gives the
same rows for the same seed.
"""

from __future__ import annotations

import datetime
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction

from benchmarks.math_answers.trees import Tree, equal, num, one_token_off, rewritten, sum_of, tex, var

Pair = tuple[str, str, bool]
PER_TYPE = 46  # identities, and as many near misses


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One pair. `expected`: whether the answer should be accepted."""

    type: str
    gold: str
    answer: str
    expected: bool


def generate(seed: int, per_type: int = PER_TYPE) -> list[Row]:
    """`per_type` identities and as many near misses of every type."""
    rows = []
    for name, make in TYPES.items():
        rng = random.Random(f"{seed}:{name}")
        left = {True: per_type, False: per_type}
        seen = set()
        source = (pair for _ in range(100_000) for pair in make(rng))
        while any(left.values()):
            gold, answer, expected = next(source)
            if left[expected] and (gold, answer) not in seen and gold != answer:
                seen.add((gold, answer))
                left[expected] -= 1
                rows.append(Row(type=name, gold=gold, answer=answer, expected=expected))
    return rows


# ---------------------------------------------------------------- numbers


def _grouped(n: int, comma: str) -> str:
    return f"{n:,}".replace(",", comma)


def integer(rng: random.Random) -> Iterator[Pair]:
    n = rng.choice((rng.randint(2, 999), rng.randint(1000, 10**7)))
    sign = rng.choice(("", "", "-"))
    writings = [
        f"{n}.0",
        _grouped(n, ","),
        _grouped(n, "{,}"),
        f"\\text{{{n}}}",
        f"{n}.",
        f"\\frac{{{3 * n}}}{{3}}",
        f"\\mathbf{{{n}}}",
    ]
    yield f"{sign}{n}", sign + rng.choice(writings), True
    off = str(n)
    i = rng.randrange(len(off))
    other = int(off[:i] + str((int(off[i]) + rng.randint(1, 9)) % 10) + off[i + 1 :])
    yield (
        f"{sign}{n}",
        sign + rng.choice((str(other), _grouped(other, ","), f"{n}{rng.randint(0, 9)}", f"{n}.{rng.randint(1, 9)}")),
        False,
    )


def rational(rng: random.Random) -> Iterator[Pair]:
    p, q = rng.randint(1, 60), rng.choice((2, 3, 4, 5, 7, 8, 9, 11, 12, 16, 20))
    f = Fraction(p, q)
    if f.denominator == 1:
        return
    gold = rng.choice((f"\\frac{{{f.numerator}}}{{{f.denominator}}}", f"{f.numerator}/{f.denominator}"))
    k = rng.randint(2, 5)
    writings = [
        f"\\dfrac{{{f.numerator}}}{{{f.denominator}}}",
        f"{f.numerator} / {f.denominator}",
        f"{f.numerator * k}/{f.denominator * k}",
    ]
    if f > 1:
        whole, rest = divmod(f.numerator, f.denominator)
        writings += [f"{whole}\\frac{{{rest}}}{{{f.denominator}}}", f"{whole} {rest}/{f.denominator}"]
    if 10**6 % f.denominator == 0:
        writings += [str(float(f))] * 2
    yield gold, rng.choice(writings), True
    n, d = f.numerator, f.denominator
    a, b = rng.choice(((n + 1, d), (n, d + 1), (d, n), (-n, d)))
    if b and Fraction(a, b) != f:
        yield gold, rng.choice((f"\\frac{{{a}}}{{{b}}}", f"{a}/{b}")), False


def decimal(rng: random.Random) -> Iterator[Pair]:
    digits = rng.randint(1, 4)
    n = rng.randint(1, 10 ** (digits + 2))
    f = Fraction(n, 10**digits)
    gold = f"{float(f):.{digits}f}"
    writings = [
        gold + "0",
        gold + "00",
        f"\\frac{{{f.numerator}}}{{{f.denominator}}}",
        f"{n} \\times 10^{{-{digits}}}",
        f"{n}e-{digits}",
    ]
    writings += [gold.removeprefix("0")] if gold.startswith("0") else []
    if f.denominator > 1:
        yield gold, rng.choice(writings), True
    off = Fraction(n + rng.choice((-1, 1)) * 10 ** rng.randrange(digits), 10**digits)
    if off != f and off > 0:
        yield gold, f"{float(off):.{digits}f}", False
        yield gold, f"{float(f * 10):.{digits}f}", False


def percent(rng: random.Random) -> Iterator[Pair]:
    n = rng.choice((rng.randint(1, 99), rng.randint(1, 999)))
    shown = Fraction(n, rng.choice((1, 1, 2, 4)))
    text = str(float(shown)).removesuffix(".0")
    f = shown / 100
    writings = [
        f"{text}%",
        f"{text} \\%",
        f"\\frac{{{f.numerator}}}{{{f.denominator}}}",
        str(float(f)),
        f"{text} \\text{{ percent}}",
    ]
    yield f"{text}\\%", rng.choice(writings), True
    other = shown + rng.choice((-1, 1, 10))
    if other > 0:
        yield f"{text}\\%", rng.choice((f"{float(other):g}\\%", str(float(f * 10)), f"{float(shown * 10):g}\\%")), False


_UNITS = [
    ("km", "m", 1000), ("m", "cm", 100), ("cm", "mm", 10), ("kg", "g", 1000), ("hours", "minutes", 60),
    ("minutes", "seconds", 60),
    ("L", "mL", 1000), ("ft", "inches", 12), ("days", "hours", 24),
]  # fmt: skip


def unit(rng: random.Random) -> Iterator[Pair]:
    large, small, size = rng.choice(_UNITS)
    n = Fraction(rng.randint(1, 400), rng.choice((1, 2, 4)))
    text = f"{float(n):g}"
    in_small = n * size
    pairs = [(f"{text} \\text{{ {large}}}", f"{text} {large}"), (f"{text} {large}", f"{text}\\ \\mathrm{{{large}}}")]
    if in_small.denominator == 1:
        pairs += [
            (f"{text} \\text{{ {large}}}", f"{in_small} \\text{{ {small}}}"),
            (f"{in_small} {small}", f"{text} \\text{{ {large}}}"),
        ] * 2
    yield *rng.choice(pairs), True
    off = [
        f"{text} \\text{{ {small}}}",
        f"{float(n + 1):g} \\text{{ {large}}}",
        f"{float(n * size + 1):g} \\text{{ {small}}}",
    ]
    yield f"{text} \\text{{ {large}}}", rng.choice(off), False


def currency(rng: random.Random) -> Iterator[Pair]:
    n = Fraction(rng.randint(50, 500_000), rng.choice((1, 2, 10)))
    cents = f"{float(n):.2f}"
    plain = f"{float(n):,.2f}"
    gold = rng.choice((f"\\${cents}", f"${plain}", f"\\${plain.replace(',', '{,}')}"))
    yield (
        gold,
        rng.choice((cents, f"\\${plain}", f"{cents} dollars", f"{plain} \\text{{ dollars}}", f"{cents} USD")),
        True,
    )
    off = f"{float(n + rng.choice((1, -1, 10))):.2f}"
    yield gold, rng.choice((f"\\${off}", off, f"{cents} euros", f"€{cents}", f"{cents} \\text{{ cents}}")), False


def scientific(rng: random.Random) -> Iterator[Pair]:
    m, e = Fraction(rng.randint(101, 999), 100), rng.randint(-12, 12)
    text = f"{float(m):g}"
    f = m * Fraction(10) ** e
    gold = f"{text} \\times 10^{{{e}}}"
    writings = [
        f"{text}e{e}",
        f"{text} \\cdot 10^{{{e}}}",
        f"{text}\\times10^{{{e}}}",
        f"{float(m * 10):g} \\times 10^{{{e - 1}}}",
    ]
    writings += [str(f.numerator)] if f.denominator == 1 else []
    yield gold, rng.choice(writings), True
    yield (
        gold,
        rng.choice(
            (
                f"{text} \\times 10^{{{e + rng.choice((-1, 1))}}}",
                f"{float(m + Fraction(1, 100)):g}e{e}",
                f"{text}e{-e or 3}",
            )
        ),
        False,
    )


# ---------------------------------------------------------------- expressions


def _from_tree(tree: Tree | None, rng: random.Random) -> Iterator[Pair]:
    """A tree's identities and near misses, each confirmed numerically."""
    if tree is None:
        return
    other = rewritten(tree, rng)
    if other is not None:
        yield tex(tree), tex(other), True
    off = one_token_off(other or tree, rng, tree)
    if off is not None:
        yield tex(tree), tex(off), False


def _linear(rng: random.Random, name: str) -> Tree:
    a, b = rng.randint(1, 9), rng.randint(1, 9)
    head = var(name) if a == 1 else ("mul", num(a), var(name))
    return (rng.choice(("add", "sub")), head, num(b))


def _name(rng: random.Random) -> str:
    return rng.choice("xyabnt")


def polynomial(rng: random.Random) -> Iterator[Pair]:
    x, y = rng.sample("xyabnt", 2)
    made = rng.randrange(4)
    if made == 0:
        tree: Tree = ("mul", _linear(rng, x), _linear(rng, rng.choice((x, y))))
    elif made == 1:
        tree = ("pow", _linear(rng, x), num(2))
    elif made == 2:
        tree = sum_of(
            [
                ("pow", var(x), num(rng.randint(2, 4))),
                ("mul", num(rng.randint(2, 9)), ("mul", var(x), var(y))),
                num(rng.randint(1, 9)),
            ]
        )
    else:
        tree = ("mul", num(rng.randint(2, 7)), ("add", ("pow", var(x), num(2)), _linear(rng, y)))
    yield from _from_tree(tree, rng)


def rational_function(rng: random.Random) -> Iterator[Pair]:
    x = _name(rng)
    tree: Tree = (
        "frac",
        rng.choice((_linear(rng, x), num(rng.randint(1, 9)), ("pow", var(x), num(2)))),
        _linear(rng, x),
    )
    if rng.random() < 0.4:
        tree = (rng.choice(("add", "sub", "mul")), tree, ("frac", num(rng.randint(1, 9)), _linear(rng, x)))
    yield from _from_tree(tree, rng)


def radical(rng: random.Random) -> Iterator[Pair]:
    a, b = rng.randint(2, 30), rng.randint(2, 12)
    trees: list[Tree] = [
        ("frac", ("add", num(b), ("sqrt", num(a))), num(rng.randint(2, 9))),
        ("mul", num(b), ("sqrt", num(a))),
        ("sqrt", ("frac", num(a), num(b))),
        ("frac", num(b), ("sqrt", num(a))),
        ("sqrt", ("add", ("pow", var("x"), num(2)), num(a))),
        ("sub", ("sqrt", num(a)), ("sqrt", num(b))),
    ]
    k = rng.randint(2, 6)
    yield f"{k}\\sqrt{{{a}}}", f"\\sqrt{{{k * k * a}}}", True
    yield f"\\frac{{{k}}}{{\\sqrt{{{a}}}}}", f"\\frac{{{k}\\sqrt{{{a}}}}}{{{a}}}", True
    yield f"{k}\\sqrt{{{a}}}", f"\\sqrt{{{k * k * a + 1}}}", False
    for _ in range(2):
        yield from _from_tree(rng.choice(trees), rng)


def trigonometric(rng: random.Random) -> Iterator[Pair]:
    x = rng.choice(("x", "\\theta", "t"))
    u = rng.choice((var(x), ("mul", num(rng.randint(2, 5)), var(x))))
    f = ("fn", rng.choice(("\\sin", "\\cos", "\\tan")), u)
    trees: list[Tree] = [
        f,
        (rng.choice(("add", "sub")), ("mul", num(rng.randint(2, 6)), f), num(rng.randint(1, 5))),
        ("mul", f, ("fn", "\\cos", var(x))),
        ("frac", num(rng.randint(1, 5)), ("add", num(2), f)),
    ]
    yield from _from_tree(rng.choice(trees), rng)


def exponential(rng: random.Random) -> Iterator[Pair]:
    x = _name(rng)
    a, b = rng.randint(2, 9), rng.randint(2, 9)
    trees: list[Tree] = [
        ("pow", ("const", "e"), ("add", ("mul", num(a), var(x)), num(b))),
        ("mul", num(a), ("pow", ("const", "e"), ("neg", ("mul", num(b), var(x))))),
        ("fn", "\\ln", ("mul", num(a), var(x))),
        ("fn", "\\ln", ("frac", ("add", var(x), num(a)), num(b))),
        ("sub", ("mul", var(x), ("fn", "\\ln", var(x))), var(x)),
        ("mul", num(a), ("pow", num(b), var(x))),
    ]
    yield from _from_tree(rng.choice(trees), rng)


def complex_number(rng: random.Random) -> Iterator[Pair]:
    a, b = rng.randint(-9, 9), rng.randint(2, 9)
    i: Tree = ("const", "i")
    tree = (rng.choice(("add", "sub")), num(a or 1), ("mul", num(b), i))
    if rng.random() < 0.3:
        tree = ("mul", tree, ("add", num(rng.randint(1, 4)), i))
    elif rng.random() < 0.3:
        tree = ("frac", tree, num(rng.randint(2, 7)))
    yield from _from_tree(tree, rng)


# ---------------------------------------------------------------- collections and relations


def _member(rng: random.Random) -> Tree:
    return rng.choice([
        num(rng.randint(-12, 30)),
        num(Fraction(rng.randint(1, 20), rng.choice((2, 3, 4, 5)))),
        ("mul", num(rng.randint(2, 6)), ("sqrt", num(rng.choice((2, 3, 5, 7))))),
        ("frac", ("const", "\\pi"), num(rng.randint(2, 6))),
    ])  # fmt: skip


def _same(members: list[Tree], rng: random.Random) -> list[str]:
    return [tex(rewritten(member, rng) or member) if rng.random() < 0.5 else tex(member) for member in members]


def _one_off(members: list[Tree], rng: random.Random) -> list[str] | None:
    """One member changed into a value that no member has."""
    i = rng.randrange(len(members))
    off = one_token_off(members[i], rng, members[i])
    if off is None or any(equal(off, member, rng) is not False for member in members):
        return None
    return [tex(off if j == i else member) for j, member in enumerate(members)]


def _distinct(rng: random.Random, count: int) -> list[Tree]:
    members: list[Tree] = []
    while len(members) < count:
        new = _member(rng)
        if all(equal(new, member, rng) is False for member in members):
            members.append(new)
    return members


def set_(rng: random.Random) -> Iterator[Pair]:
    members = _distinct(rng, rng.randint(2, 4))
    gold = "\\{" + ", ".join(map(tex, members)) + "\\}"
    same = _same(members, rng)
    rng.shuffle(same)
    yield (
        gold,
        rng.choice(("\\{" + ", ".join(same) + "\\}", ", ".join(same), "\\left\\{" + ",".join(same) + "\\right\\}")),
        True,
    )
    off = _one_off(members, rng)
    if off is not None:
        yield gold, "\\{" + ", ".join(off) + "\\}", False
    yield gold, "\\{" + ", ".join(map(tex, members[:-1])) + "\\}", False


def tuple_(rng: random.Random) -> Iterator[Pair]:
    members = _distinct(rng, rng.randint(2, 3))
    gold = "(" + ", ".join(map(tex, members)) + ")"
    yield gold, rng.choice(("(%s)", "\\left(%s\\right)")) % ", ".join(_same(members, rng)), True
    off = _one_off(members, rng)
    if off is not None:
        yield gold, "(" + ", ".join(off) + ")", False
    yield gold, "(" + ", ".join(map(tex, members[::-1])) + ")", False


def _ordered(rng: random.Random) -> tuple[Tree, Tree]:
    low = rng.randint(-9, 5)
    return num(Fraction(low, rng.choice((1, 2, 3)))), num(Fraction(low + rng.randint(10, 25), rng.choice((1, 2))))


def interval(rng: random.Random) -> Iterator[Pair]:
    low, high = _ordered(rng)
    first, last = rng.choice("(["), rng.choice(")]")
    gold = f"{first}{tex(low)}, {tex(high)}{last}"
    lower, upper = "<" if first == "(" else "\\le", "<" if last == ")" else "\\leq"
    a, b = _same([low, high], rng)
    yield (
        gold,
        rng.choice(
            (f"\\left{first}{a},{b}\\right{last}", f"{a} {lower} x {upper} {b}", f"x \\in {first}{a}, {b}{last}")
        ),
        True,
    )
    turned = {"(": "[", "[": "("}[first]
    off = _one_off([low, high], rng)
    yield gold, f"{turned}{tex(low)}, {tex(high)}{last}", False
    if off is not None:
        yield gold, f"{first}{off[0]}, {off[1]}{last}", False


def inequality(rng: random.Random) -> Iterator[Pair]:
    x = rng.choice("xat")
    k, n = rng.randint(1, 5), rng.randint(1, 20)
    bound = tex(num(Fraction(n, k)))
    sign = rng.choice(("<", "\\le", ">", "\\ge"))
    turned = {"<": ">", "\\le": "\\ge", ">": "<", "\\ge": "\\le"}
    strict = {"<": "\\le", "\\le": "<", ">": "\\ge", "\\ge": ">"}
    gold = f"{x} {sign} {bound}"
    bracket = {
        "<": f"(-\\infty, {bound})",
        "\\le": f"(-\\infty, {bound}]",
        ">": f"({bound}, \\infty)",
        "\\ge": f"[{bound}, \\infty)",
    }
    writings = [
        f"{bound} {turned[sign]} {x}",
        bracket[sign],
        f"{k}{x} {sign} {n}" if k > 1 else f"{x} - {n} {sign} 0",
        f"-{x} {turned[sign]} -{bound}",
    ]
    yield gold, rng.choice(writings), True
    offs = [
        f"{x} {turned[sign]} {bound}",
        f"{x} {strict[sign]} {bound}",
        f"{x} {sign} {tex(num(Fraction(n + 1, k)))}",
        bracket[turned[sign]],
    ]
    yield gold, rng.choice(offs), False


def equation(rng: random.Random) -> Iterator[Pair]:
    a, b, c = rng.randint(2, 9), rng.randint(1, 9), rng.randint(1, 9)
    gold = f"y = {a}x + {b}"
    yield (
        gold,
        rng.choice(
            (f"{a}x - y + {b} = 0", f"y - {b} = {a}x", f"{c * a}x + {c * b} = {c}y" if c > 1 else f"{a}x + {b} = y")
        ),
        True,
    )
    yield gold, rng.choice((f"y = {a}x - {b}", f"y = {a + 1}x + {b}", f"{a}x + y + {b} = 0", f"x = {a}y + {b}")), False
    circle = f"x^2 + y^2 = {b * b}"
    yield (
        circle,
        rng.choice((f"y^2 + x^2 - {b * b} = 0", f"{c}x^2 + {c}y^2 = {c * b * b}" if c > 1 else f"y^2 = {b * b} - x^2")),
        True,
    )
    yield circle, rng.choice((f"x^2 - y^2 = {b * b}", f"x^2 + y^2 = {b * b + 1}", f"x^2 + {a}y^2 = {b * b}")), False


def matrix(rng: random.Random) -> Iterator[Pair]:
    rows, columns = rng.choice(((2, 2), (2, 1), (3, 1), (2, 3)))
    cells = [_member(rng) for _ in range(rows * columns)]

    def written(texts: list[str], kind: str) -> str:
        body = " \\\\ ".join(" & ".join(texts[r * columns : (r + 1) * columns]) for r in range(rows))
        return f"\\begin{{{kind}}} {body} \\end{{{kind}}}"

    gold = written([tex(cell) for cell in cells], "pmatrix")
    yield gold, written(_same(cells, rng), rng.choice(("pmatrix", "bmatrix"))), True
    i = rng.randrange(len(cells))
    off = one_token_off(cells[i], rng, cells[i])
    if off is not None:
        yield gold, written([tex(off if j == i else cell) for j, cell in enumerate(cells)], "pmatrix"), False


# ---------------------------------------------------------------- words


def date(rng: random.Random) -> Iterator[Pair]:
    day = datetime.date(rng.randint(1600, 2090), rng.randint(1, 12), rng.randint(1, 28))
    other = day + datetime.timedelta(days=rng.choice((1, -1, 31, 365)))

    def writings(d: datetime.date) -> list[str]:
        month = f"{d:%B}"
        short = [f"{month[:3]} {d.day}, {d.year}", f"\\text{{{month} {d.day}, {d.year}}}"]
        return [
            f"{month} {d.day}, {d.year}",
            f"{d.day} {month} {d.year}",
            d.isoformat(),
            f"{month} {d.day} {d.year}",
            *short,
        ]

    gold = rng.choice(writings(day)[:3])
    yield gold, rng.choice(writings(day)), True
    yield gold, rng.choice(writings(other)), False


_WORDS = [
    "increasing", "decreasing", "ellipse", "hyperbola", "parabola", "triangle", "rectangle", "rhombus", "convex",
    "concave", "odd", "even",
    "prime", "composite", "rational", "irrational", "mercury", "venus", "oxygen", "nitrogen", "glucose", "mitochondria",
    "paris", "london",
    "monday", "tuesday", "north", "south", "acute", "obtuse", "bounded", "divergent", "convergent", "copper", "zinc",
    "photosynthesis",
    "entropy", "diode", "kinetic", "potential", "momentum",
]  # fmt: skip


def text(rng: random.Random) -> Iterator[Pair]:
    word, other = rng.sample(_WORDS, 2)
    shown = rng.choice((word, f"\\text{{{word}}}"))
    yield (
        shown,
        rng.choice(
            (
                word.capitalize(),
                f"\\text{{{word}}}",
                f"\\textbf{{{word.capitalize()}}}",
                word.upper(),
                f"{word}.",
                f"\\mathrm{{{word}}}",
            )
        ),
        True,
    )
    letters = list(word)
    i = rng.randrange(len(letters) - 1)
    letters[i], letters[i + 1] = letters[i + 1], letters[i]
    if "".join(letters) != word:
        yield shown, rng.choice((other, f"\\text{{{other}}}", "".join(letters), f"not {word}")), False


_ELEMENTS = ("H", "C", "N", "O", "S", "Na", "Cl", "K", "Fe", "Ca", "P", "Mg")


def formula(rng: random.Random) -> Iterator[Pair]:
    parts = [(element, rng.choice((1, 2, 3, 4, 6))) for element in rng.sample(_ELEMENTS, rng.randint(2, 3))]
    if all(count == 1 for _, count in parts):
        return
    underlined = "".join(e + (f"_{n}" if n > 1 else "") for e, n in parts)
    braced = "".join(e + (f"_{{{n}}}" if n > 1 else "") for e, n in parts)
    plain = "".join(e + (str(n) if n > 1 else "") for e, n in parts)
    yield underlined, rng.choice((braced, plain, f"\\mathrm{{{underlined}}}", f"\\text{{{plain}}}")), True
    i = rng.randrange(len(parts))
    changed = [(e, n + 1 if j == i else n) for j, (e, n) in enumerate(parts)]
    yield underlined, "".join(e + (f"_{n}" if n > 1 else "") for e, n in changed), False


TYPES: dict[str, Callable[[random.Random], Iterator[Pair]]] = {
    "integer": integer, "rational": rational, "decimal": decimal, "percent": percent, "unit": unit,
    "currency": currency,
    "scientific": scientific, "polynomial": polynomial, "rational function": rational_function, "radical": radical,
    "trigonometric": trigonometric, "exponential": exponential, "complex": complex_number, "set": set_, "tuple": tuple_,
    "interval": interval, "inequality": inequality, "equation": equation, "matrix": matrix, "date": date, "text": text,
    "formula": formula,
}  # fmt: skip
