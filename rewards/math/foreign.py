"""Small words of German, French, Spanish, Italian, Portuguese and Chinese answers in English: what joins values, what
names an answer, what denies a value, days, months, yes and no. Everything else stays as it is written.

Words are only read where nothing else is meant by them: `y` between two values, `nicht` before one.
"""

from __future__ import annotations

import re
from collections.abc import Callable

_VALUE = r"[-−]?(?:[\d$√({]|\\[({a-zA-Z])"  # how a value begins
_NAMED = r"[A-Za-z](?:_\w)? ?(?:[=<>≤≥]|\\[lg]e)"
_AND, _OR = ("und", "et", "y", "e"), ("oder", "ou", "o")
JOINING = (*_AND, *_OR)
_JOINS = re.compile(rf"(?<=[\d%)}}$°\]']),? (und|oder|et|ou|y|e|o) (?={_VALUE}|{_NAMED})")
_DENIES = re.compile(
    rf"\b(?:(?:ist |sind )?nicht|n'est pas|pas|no (?:es|son)|non [èe]|não é) (?={_VALUE})", re.IGNORECASE
)
_IS = re.compile(
    r"(?<=[^\W\d]) (?:(beträgt|ist|es|est|vaut|è|é|mide|vale)|(sind|betragen|sont|sono|son|são|miden|valen))(?: "
    r"etwa| rund| environ)?"
    rf"(?= {_VALUE})"
)
_ANSWER = re.compile(
    r"\b(?:(?:die|la|a) )?(?:antwort|lösung|respuesta|réponse|risposta|resposta|ответ)(?: final[ea]?)?"
    r"(?: (?:ist|lautet|es|est|è|é))?"
    rf"(?= ?:| ?\*{{0,2}}{_VALUE}| ?\*\*)",
    re.IGNORECASE,
)
# Each with the words of which a text must hold one: most texts hold none, and are done with one look. The cue stands
# before its verb alone, which would leave "Antwort is 5".
_EUROPEAN: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str], frozenset[str]], ...] = (
    (_JOINS, lambda m: " and " if m[1] in _AND else " or ", frozenset((*_AND, *_OR))),
    (_DENIES, lambda m: "is not ", frozenset(("nicht", "pas", "no", "No", "non", "Non", "não"))),
    (_ANSWER, lambda m: "The answer is", frozenset(
        f"{word}{end}"
        for name in ("antwort", "lösung", "respuesta", "réponse", "risposta", "resposta", "ответ")
        for word in (name, name.capitalize(), f"**{name.capitalize()}")
        for end in ("", ":", ":**", "**:")
    )),
    (_IS, lambda m: " is" if m[1] else " are", frozenset((
        "beträgt", "ist", "es", "est", "vaut", "è", "é", "mide", "vale", "sind", "betragen", "sont", "sono", "son",
        "são", "miden", "valen",
    ))),
)  # fmt: skip
_CHINESE = (
    (re.compile(r"(?:最终)?答案[是为]?[:：]? ?"), " The answer is "),
    (re.compile(r"(?:所以|因此|于是|从而)[,，]? ?"), " Therefore "),
    (re.compile(rf"(?:不是|不等于) ?(?={_VALUE})"), " is not "),
    (re.compile(rf"(?<=\w)[为是] ?(?={_VALUE})"), " is "),
    (re.compile(rf"(?<=[\d%)}}$°\]]) ?[和与及] ?(?={_VALUE})"), " and "),
    (re.compile(rf"(?<=[\d%)}}$°\]]) ?或者? ?(?={_VALUE}|{_NAMED})"), " or "),
    (re.compile(rf"(?<=[\d%)}}$°\]]) ?、 ?(?={_VALUE})"), ", "),
)
_IDEOGRAPH = re.compile(r"[、一-鿿]")

# An English phrase and what says the same; nothing that is another word elsewhere: no "mars", no "no", no "die".
PHRASES = (
    ("monday", "montag", "lundi", "lunes", "lunedì", "segunda-feira", "星期一", "周一"),
    ("tuesday", "dienstag", "mardi", "martes", "martedì", "terça-feira", "星期二", "周二"),
    ("wednesday", "mittwoch", "mercredi", "miércoles", "mercoledì", "quarta-feira", "星期三", "周三"),
    ("thursday", "donnerstag", "jeudi", "jueves", "giovedì", "quinta-feira", "星期四", "周四"),
    ("friday", "freitag", "vendredi", "viernes", "venerdì", "sexta-feira", "星期五", "周五"),
    ("saturday", "samstag", "sonnabend", "samedi", "sábado", "sabato", "星期六", "周六"),
    ("sunday", "sonntag", "dimanche", "domingo", "domenica", "星期日", "星期天", "周日"),
    ("january", "januar", "jänner", "janvier", "enero", "gennaio", "janeiro", "一月", "1月"),
    ("february", "februar", "février", "febrero", "febbraio", "fevereiro", "二月", "2月"),
    ("march", "märz", "marzo", "março", "三月", "3月"),
    ("april", "avril", "abril", "aprile", "四月", "4月"),
    ("may", "mayo", "maggio", "maio", "五月", "5月"),
    ("june", "juni", "juin", "junio", "giugno", "junho", "六月", "6月"),
    ("july", "juli", "juillet", "julio", "luglio", "julho", "七月", "7月"),
    ("august", "août", "agosto", "八月", "8月"),
    ("september", "septembre", "septiembre", "settembre", "setembro", "九月", "9月"),
    ("october", "oktober", "octobre", "octubre", "ottobre", "outubro", "十月", "10月"),
    ("november", "novembre", "noviembre", "novembro", "十一月", "11月"),
    ("december", "dezember", "décembre", "diciembre", "dicembre", "dezembro", "十二月", "12月"),
    ("yes", "ja", "oui", "sí", "sì", "sim", "是", "是的"),
    ("no", "nein", "non", "não", "否", "不是", "不"),
    ("true", "wahr", "richtig", "vrai", "verdadero", "vero", "verdadeiro", "正确", "对", "真"),
    ("false", "falsch", "faux", "falso", "错误", "错", "假"),
    (
        "none",
        "keine",
        "keiner",
        "keines",
        "aucun",
        "aucune",
        "ninguno",
        "ninguna",
        "nessuno",
        "nessuna",
        "nenhum",
        "nenhuma",
    ),
)
_NO_SOLUTION = re.compile(
    r"(?:(?:es gibt|die gleichung hat|sie hat) )?keine (?P<de>reelle |ganzzahlige |reellen |"
    r"ganzzahligen )?lösung(?:en)?"
    r"|(?:(?:il n'y a|l'équation n'a|elle n'a) )?(?:aucune|pas de) solutions?(?P<fr> réelles?| entières?)?"
    r"|(?:(?:la ecuación )?no (?:tiene|hay)|sin) soluci(?:ón|ones)(?P<es> reales| enteras?| real)?"
    r"|(?:(?:l'equazione )?non (?:ha|ci sono) soluzioni|nessuna soluzione)(?P<it> reali| reale| intere| intera)?"
    r"|(?:(?:a equação )?não (?:tem|há)|sem) solu(?:ção|ções)(?P<pt> reais| real| inteiras?)?"
    r"|(?:该|此|这个|原)?(?:方程组?|不等式)?(?:没有|无)(?P<zh>整数|实数|实)?解"
)
_SAID = re.compile(
    r"\A(?:(?:c'est|(?:es|das|heute) ist|ist|es|est|è|é|am|ce sera|será|sarà) (?:(?:un|ein|le|el|also) )?|"
    r"那天是|这天是|"
    r"是(?=\w))"
)
_MEANS = {word: english for english, *words in PHRASES for word in words}
_POLAR = re.compile(r"(ja|nein|oui|non|sí|sì|sim|não|是的?|否|不是|不)[,，.:：] ?(?=.)", re.IGNORECASE)


def in_english(text: str) -> str:
    """`2 y 3` as "2 and 3", "Die Antwort ist 5" as "The answer is 5", "nicht 5" as "is not 5"; other text as it is."""
    words = text.split()
    if words and (polar := _POLAR.match(text) if words[0][-1] in ",.:，：" and len(words[0]) < 6 else None) is not None:
        text = f"{_MEANS[polar[1].casefold()]}, {text[polar.end() :]}"
    for pattern, english, hints in _EUROPEAN:
        if not hints.isdisjoint(words):
            text = pattern.sub(english, text)
    if not text.isascii() and _IDEOGRAPH.search(text):
        for chinese, said in _CHINESE:
            text = chinese.sub(said, text)
    return text


def english_phrase(text: str) -> str | None:
    """The English of a day, a month, yes, no or "no solution" in another language; None for anything else."""
    if len(text) > 60:
        return None
    text = text.casefold().strip(" .!¡。")
    text = _SAID.sub("", text)
    found = _MEANS.get(text)
    if found is not None:
        return found
    none = _NO_SOLUTION.fullmatch(text)
    if none is None:
        return None
    which = next((group.strip() for group in none.groups() if group), "")
    return "no solution" if not which else "no real solution" if which[0] in "r实" else "no integer solution"
