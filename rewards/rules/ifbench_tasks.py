"""IFBench's constraints that are a task of their own (`custom:`), each a function from a text to yes or no: tables,
lists, sentences read backwards. Written anew after the published descriptions; `rewards.rules.ifbench` says more.

Countries are the members of the United Nations; capitals are sorted by the latitudes of their centres. Every scan is
linear. Knows nothing of golds.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import pairwise

from rewards.rules.sentences import sentence_words, words

_MULTIPLES = ["14", "21", "28", "35", "42", "49"]
_FIELDS = {mark: re.compile(rf'(?:"((?:[^"]|"")*)"|([^"\n{mark}]*))({mark}|\n|\Z)') for mark in ",\t"}
# Countries are parted by semicolons, the names of one by commas.
_AFRICA = """
algeria; angola; benin; botswana; burkina faso; burundi; cabo verde, cape verde; cameroon; central african republic;
chad; comoros; cote d ivoire, ivory coast; djibouti; egypt; equatorial guinea; eritrea; eswatini, swaziland; ethiopia;
gabon; gambia; ghana; guinea; guinea bissau; kenya; lesotho; liberia; libya; madagascar; malawi; mali; mauritania;
mauritius; morocco; mozambique; namibia; niger; nigeria; rwanda; sao tome and principe; senegal; seychelles; sierra
leone; somalia; south africa; south sudan; sudan; tanzania; togo; tunisia; uganda; zambia; zimbabwe; congo, republic
of the congo, congo republic of the, republic of congo, congo republic, congo brazzaville; democratic republic of the
congo, democratic republic of congo, dr congo, drc, congo kinshasa, congo democratic republic of the; western sahara,
sahrawi arab democratic republic
"""
_CAPITALS = (
    "reykjavik; helsinki; oslo; tallinn; stockholm; riga; moscow; copenhagen; vilnius; minsk; dublin; berlin; "
    "amsterdam; warsaw; london; brussels; kyiv, kiev; prague; luxembourg, luxembourg city; paris; vienna; bratislava; "
    "budapest; vaduz; chisinau, kishinev; bern, berne; ljubljana; zagreb"
)
_QUESTION = re.compile(r"Question(?:\s+\d+|\s*#\d+)?\s*[.:)-]?\s*")
_OPTION = re.compile(r"\(?([A-Ea-e])[.):]\s*\S")
_ART = re.compile(
    r"\bart|paint|sculpt|museum|movement|canvas|collage|abstract|dada|bauhaus"
    r"|(?:cub|fauv|surreal|expression|futur|modern|impression|minimal|constructiv)is",
    re.IGNORECASE,
)
_ARTICLES = frozenset(("the", "a", "an"))
# Words that are none when they are spelt backwards, so that one of them shows which way a text reads.
_FORWARD = frozenset(
    ("the", "an", "of", "is", "and", "here", "to", "this", "that", "it", "in", "as", "with", "by", "for")
)
_SMALL = _FORWARD | {"a", "was", "are", "on", "or"}  # these end no sentence and follow no article


def multiples_of_seven(text: str) -> bool:
    """14, 21, 28, 35, 42, 49 in this order and nothing else."""
    rest = re.sub(r"\band\b", "", re.sub(r"\d+", "", text))
    return re.findall(r"\d+", text) == _MULTIPLES and not rest.strip(" \t\n,;.*-•_`")


def quiz(text: str) -> bool:
    """Four blocks that begin with "Question", each longer than the one before, with options A to E and nothing behind
    them; each block names something of art."""
    blocks: list[list[str]] = []
    for line in filter(None, map(str.strip, text.split("\n"))):
        if _QUESTION.match(line):
            blocks.append([])
        elif not blocks:
            return False
        blocks[-1].append(line)
    stems = [_stem(block) for block in blocks]
    return len(stems) == 4 and None not in stems and all(a < b for a, b in pairwise(filter(None, stems)))


def _stem(block: list[str]) -> int | None:
    """The number of characters of a question; None where the block is no question with five options."""
    options = [found.group(1).upper() if (found := _OPTION.match(line)) else "" for line in block]
    stem = _QUESTION.sub("", " ".join(block[:-5]), count=1)
    right = options[-5:] == ["A", "B", "C", "D", "E"] and not any(options[:-5])
    return len(stem) if right and words(stem) and _ART.search(" ".join(block)) else None


def african_countries(text: str) -> bool:
    """The 54 countries of Africa, one a line, from Z to A. Numbers and bullets before a name count for nothing, and a
    remark in brackets behind it."""
    known = {name: row[0] for row in _rows(_AFRICA) for name in row}
    lines = [_folded(re.sub(r"^\s*(?:\d+[.)]|[-*•])\s*", "", line)) for line in text.split("\n") if line.strip()]
    found = [known.get(_without_the(line)) or known.get(_without_the(line.partition("(")[0])) for line in lines]
    wanted = set(known.values()) - {"western sahara"}
    keys = [_without_the(line) for line in lines]
    return (
        None not in found
        and len(found) == len(set(found))
        and wanted <= set(found)
        and keys == sorted(keys, reverse=True)
    )


def european_capitals(text: str) -> bool:
    """The capitals north of 45 degrees, parted by commas, from north to south."""
    given = [_without_the(_folded(part)) for part in text.strip().removesuffix(".").split(",")]
    wanted = _rows(_CAPITALS)
    return len(given) == len(wanted) and all(name in row for name, row in zip(given, wanted, strict=True))


def _rows(names: str) -> list[list[str]]:
    return [[" ".join(name.split()) for name in row.split(",")] for row in names.split(";")]


def _folded(text: str) -> str:
    """Without accents and marks, in lower case; an opening bracket stays."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    kept = "".join(c if c.isalnum() or c == "(" else "" if unicodedata.combining(c) else " " for c in plain)
    return " ".join(kept.split())


def _without_the(name: str) -> str:
    return name.replace("(", " ").strip().removeprefix("the ").replace("  ", " ")


def table(text: str, mark: str) -> list[list[tuple[str, bool]]] | None:
    """The rows of delimited text, each field with whether it stood in double quotes; None where it is malformed."""
    rows: list[list[tuple[str, bool]]] = [[]]
    text, place = text.strip("\r\n").replace("\r\n", "\n"), 0
    while found := _FIELDS[mark].match(text, place):
        quoted = found.group(1) is not None
        rows[-1].append((found.group(1).replace('""', '"') if quoted else found.group(2), quoted))
        if not found.group(3):
            return rows
        if found.group(3) == "\n":
            rows.append([])
        place = found.end()
    return None


def _data(text: str, mark: str, names: str, num_rows: int) -> list[list[tuple[str, bool]]]:
    """The rows of a table behind its header; none where it has other columns, another number of rows, or a hole."""
    rows = table(text, mark) or [[]]
    header = [value for value, _ in rows[0]]
    full = all(len(row) == len(header) and all(value.strip() for value, _ in row) for row in rows)
    return rows[1:] if header == names.split() and full and len(rows) == num_rows + 1 else []


def city_table(text: str) -> bool:
    """Seven rows parted by commas below the header."""
    return bool(_data(text, ",", "ID Country City Year Count", 7))


def table_with_special_character(text: str) -> bool:
    """14 rows parted by commas, with a field in double quotes that holds what is no letter, digit or blank."""
    rows = _data(text, ",", "ProductID Category Brand Price Stock", 14)
    return any(
        quoted and any(not c.isalnum() and not c.isspace() and c != "_" for c in value)
        for row in rows
        for value, quoted in row
    )


def quoted_table(text: str) -> bool:
    """Three rows parted by tabs, every field and the header in double quotes."""
    rows = _data(text, "\t", "StudentID Subject Grade Semester Score", 3)
    return bool(rows) and all(quoted for row in table(text, "\t") or [] for _, quoted in row)


def sentence_alphabet(text: str) -> bool:
    """26 sentences whose first words begin with a to z in order."""
    return "".join(found[0][0] for found in sentence_words(text)) == "abcdefghijklmnopqrstuvwxyz"


def words_backwards(text: str) -> bool:
    """One sentence on the bald eagle, its words in reverse order."""
    body = text.strip().strip(".!?\"'")
    return _reads_forward(" ".join(reversed(body.split())))


def letters_backwards(text: str) -> bool:
    """One sentence on the bald eagle, its letters in reverse order."""
    body = text.strip()
    return not _FORWARD & set(words(body)) and _reads_forward(body[::-1])


def _reads_forward(sentence: str) -> bool:
    """Whether a text is one line and one sentence with the bald eagle in it, in the order of English as far as small
    words show it: none of them ends it, and an article stands before none."""
    body = re.sub(r"\b([A-Za-z])\.", r"\1", sentence).strip(" .!?\"'")
    found = words(body)
    if len(found) < 4 or any(mark in body for mark in ".!?:;\n") or ("bald", "eagle") not in pairwise(found):
        return False
    return found[-1] not in _SMALL and not any(a in _ARTICLES and b in _SMALL for a, b in pairwise(found))
