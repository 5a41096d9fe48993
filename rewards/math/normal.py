"""One spelling for what looks alike: Unicode to ASCII and LaTeX, spacing and size commands away. Reject what a reader
cannot see."""

from __future__ import annotations

import re
import unicodedata

_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁽⁾ⁿ", "0123456789+-()n")
_SUPERSCRIPT_RUN = re.compile(r"[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁽⁾ⁿ]+")
_SUBSCRIPT_RUN = re.compile(r"[₀-₉]+")
_VULGAR = re.compile(r"[¼-¾⅐-⅞]")
_SYMBOLS = str.maketrans({
    "−": "-", "﹣": "-", "－": "-", "×": "\\times ", "·": "\\cdot ", "⋅": "\\cdot ", "∙": "\\cdot ", "÷": "/", "∕": "/",
    "⁄": "/",
    "√": "\\sqrt ", "π": "\\pi ", "∞": "\\infty ", "≤": "\\le ", "≥": "\\ge ", "≠": "\\ne ", "°": "^\\circ ",
    "∪": "\\cup ", "∩": "\\cap ",
    "±": "\\pm ", "∈": "\\in ", "θ": "\\theta ", "α": "\\alpha ", "β": "\\beta ", "λ": "\\lambda ", "’": "'", "“": '"',
    "”": '"',
    "∅": "\\emptyset ", "ℝ": "\\mathbb{R}", "φ": "\\phi ", "⌊": "\\lfloor ", "⌋": "\\rfloor ", "⌈": "\\lceil ",
    "⌉": "\\rceil ",
    "∛": "\\sqrt[3] ", "∜": "\\sqrt[4] ", "→": "\\to ", "⟶": "\\to ", "⇌": "\\rightleftharpoons ", "≡": "\\equiv ",
    "≈": "\\approx ",
    "∖": "\\setminus ", "γ": "\\gamma ", "δ": "\\delta ", "ε": "\\epsilon ", "ρ": "\\rho ", "σ": "\\sigma ",
    "τ": "\\tau ", "ω": "\\omega ",
    "∶": ":", "△": "\\triangle ", "∠": "\\angle ", "ℤ": "\\mathbb{Z}", "⟨": "(", "⟩": ")",
    "–": "-", "‒": "-", "′": "'", "″": "''", "∧": "\\land ", "∨": "\\lor ", "¬": "\\lnot ", "⊕": "\\oplus ",
    "↔": "\\leftrightarrow ",
    "⇔": "\\leftrightarrow ", "⇒": "\\Rightarrow ", "∴": "\\therefore ", "∇": "\\nabla ", "∂": "\\partial ",
    "∑": "\\sum ", "∏": "\\prod ",
    "∫": "\\int ", "μ": "\\mu ", "µ": "\\mu ", "η": "\\eta ", "κ": "\\kappa ", "ψ": "\\psi ", "Δ": "\\Delta ",
    "∉": "\\notin ", "∣": "|",
})  # fmt: skip
_SPACING = re.compile(
    r"\\[!]|\\(?:left|right|big|Big|bigg|Bigg|bigl|bigr|displaystyle|textstyle"
    r"|limits|nolimits|tiny|small|normalsize|[lL]arge|LARGE|[hH]uge|boldmath)(?![A-Za-z])|"
    r"\\(?:text)?color ?\{ ?[A-Za-z]{1,20} ?\}"
)
_DEGREES = re.compile(r"\^ ?\{ ?\\circ ?\}")
_THIN = re.compile(r"(?<=\d)(?:\\[,;:]|\{,\}|\{\\,\})(?=\d{3})")
_SPACES = re.compile(r"(?<!\\)\\[,;: ]|\\quad(?![A-Za-z])|\\qquad(?![A-Za-z])|~|\s+")
_RENAMED = re.compile(
    r"\\(dfrac|tfrac|cfrac|leq|geq|neq|leqslant|geqslant|lbrace|rbrace|degree|mbox|operatorname|varnothing|langle|"
    r"rangle|pounds|euro"
    r"|dbinom|tbinom|lvert|rvert|vert|cr|rightarrow|longrightarrow|bm|boldsymbol|tg|ctg|arctg|cosec|infin|"
    r"textdollar)(?![A-Za-z])\*?"
)
_DOTS = re.compile(r"\\[lc]dots(?![A-Za-z])|(?<=[+,]) ?\.\.\.(?= ?[+,])")
_NEGATION = re.compile(r"(?<![\w{})~\\$.,;:])~(?=[A-Za-z(])")  # ~p is no blank before p
_FUNCTION = re.compile(
    r"\\(?:operatorname|mathrm|text) ?\{ ?(arc(?:sin|cos|tan|tg)|sinh|cosh|tanh|sin|cos|tan|cot|sec|csc|tg|ctg|ln|"
    r"log|exp|cis|gcd) ?\}"
)
# Dollars around a part of an answer: "$x = 2$, $y = -1$". One before a blank, or with a digit behind its partner, is
# money.
_INLINE = re.compile(r"(?<!\\)\$(?![\s\d,.]+(?: [a-z]|\Z))(?!\s)([^$]{1,300}?)(?<![\s\\])\$(?!\d)")
_BUILDER = re.compile(
    r"\{ ?(?:[A-Za-z]|\([A-Za-z], ?[A-Za-z]\))(?: ?\\in ?\\mathbb ?\{?[A-Z]\}?)? ?(?:\||:)[^{}]{1,300}\}\Z"
)
_ANGLED = re.compile(r"<([^<>=|]{1,200},[^<>=|]{1,200})>\Z")
_NEW_NAMES = {
    "dfrac": "\\frac", "tfrac": "\\frac", "cfrac": "\\frac", "leq": "\\le", "geq": "\\ge", "neq": "\\ne",
    "leqslant": "\\le",
    "geqslant": "\\ge", "lbrace": "\\{", "rbrace": "\\}", "degree": "^\\circ", "mbox": "\\text",
    "operatorname": "\\mathrm",
    "varnothing": "\\emptyset", "langle": "(", "rangle": ")", "pounds": "£", "euro": "€",
    "dbinom": "\\binom", "tbinom": "\\binom", "lvert": "|", "rvert": "|", "vert": "|", "cr": "\\\\",
    "rightarrow": "\\to", "longrightarrow": "\\to", "bm": "\\mathbf", "boldsymbol": "\\mathbf", "tg": "\\tan",
    "ctg": "\\cot",
    "arctg": "\\arctan", "cosec": "\\csc", "infin": "\\infty", "textdollar": "\\$",
}  # fmt: skip


def normalise(text: str) -> str | None:
    """ASCII with LaTeX commands, single spaces; None where the text holds characters that are not shown or reorder
    it."""
    if not text.isascii():
        plain = _plain(text)
        if plain is None:
            return None
        text = plain
    if "\\" in text or "{,}" in text:
        text = _THIN.sub(",", text)
        text = _SPACING.sub("", text)
        text = _DEGREES.sub(r"^\\circ", text)
        text = _DOTS.sub(r"\\dots", text) if "dots" in text or "..." in text else text
        text = _FUNCTION.sub(r"\\\1 ", text) if "{" in text else text
        text = text.replace("\\mathcal{O}", "O").replace("\\mathcal O", "O") if "\\mathcal" in text else text
        text = _RENAMED.sub(lambda m: _NEW_NAMES[m.group(1)], text)
    if "~" in text:
        text = _NEGATION.sub(r"\\lnot ", text)
    text = _SPACES.sub(" ", text).strip()
    if text[-1:] in "\\}>" or "$" in text:
        text = _unframed(text)
    return text


def _unframed(text: str) -> str:
    """Frames with another spelling: `$a$ and $b$`, {x | x > 0} without backslashes, the vector <1, 2>, a backslash left
    of `\\ `."""
    if text.count("$") > 1:
        text = _INLINE.sub(r"\1", text)
    if text.endswith("\\") and not text.endswith("\\\\"):
        text = text[:-1].rstrip()
    if _BUILDER.match(text):
        return f"\\{{{text[1:-1]}\\}}"
    vector = _ANGLED.match(text)
    return f"({vector[1]})" if vector else text


def _plain(text: str) -> str | None:
    if any(unicodedata.category(c) in ("Cf", "Co", "Cn", "Cs", "Mn", "Me") for c in text):
        return None
    text = _SUPERSCRIPT_RUN.sub(lambda m: "^{" + m.group(0).translate(_SUPERSCRIPTS) + "}", text)
    text = _SUBSCRIPT_RUN.sub(lambda m: "_{" + unicodedata.normalize("NFKC", m.group(0)) + "}", text)
    text = _VULGAR.sub(lambda m: " " + unicodedata.normalize("NFKC", m.group(0)), text)
    text = unicodedata.normalize("NFKC", text.translate(_SYMBOLS))
    return "".join(str(unicodedata.decimal(c)) if not c.isascii() and c.isdecimal() else c for c in text)
