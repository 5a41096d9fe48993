"""IFBench's constraints beyond counts of words: each followed and just missed, with the cases that are easily taken for
the other; and those that are refused by name."""

from __future__ import annotations

from typing import Any

import pytest

from rewards.load import build_verifier
from rewards.rules.constraints import CONSTRAINTS
from rewards.rules.ifbench import NOT_CHECKED
from rewards.rules.sentences import words
from rewards.services import Services
from rewards.types import Outcome, Request

STRICT = build_verifier({"kind": "instructions"}, Services())
LOOSE = build_verifier({"kind": "instructions", "mode": "loose"}, Services())

AFRICA = """Zimbabwe; Zambia; Uganda; Tunisia; Togo; Tanzania; Sudan; South Sudan; South Africa; Somalia; Sierra Leone;
Seychelles; Senegal; São Tomé and Príncipe; Rwanda; Nigeria; Niger; Namibia; Mozambique; Morocco; Mauritius; Mauritania;
Mali; Malawi; Madagascar; Libya; Liberia; Lesotho; Kenya; Guinea-Bissau; Guinea; Ghana; The Gambia; Gabon; Ethiopia;
Eswatini (formerly Swaziland); Eritrea; Equatorial Guinea; Egypt; Djibouti; Democratic Republic of the Congo;
Côte d'Ivoire; Congo; Comoros; Chad; Central African Republic; Cape Verde; Cameroon; Burundi; Burkina Faso; Botswana;
Benin; Angola; Algeria"""
COUNTRIES = [name.strip() for name in AFRICA.replace("\n", " ").split(";")]
CAPITALS = (
    "Reykjavík, Helsinki, Oslo, Tallinn, Stockholm, Riga, Moscow, Copenhagen, Vilnius, Minsk, Dublin, Berlin, "
    "Amsterdam, Warsaw, London, Brussels, Kyiv, Prague, Luxembourg, Paris, Vienna, Bratislava, Budapest, Vaduz, "
    "Chișinău, Bern, Ljubljana, Zagreb"
)
CITIES = "ID,Country,City,Year,Count\n" + "\n".join(f"{i},Peru,Lima,20{i}0,{i}" for i in range(1, 8))
GOODS = "ProductID,Category,Brand,Price,Stock\n" + "\n".join(f"{i},Tea,Acme,{i}.50,9" for i in range(1, 15))
GRADES = '"StudentID"\t"Subject"\t"Grade"\t"Semester"\t"Score"\n' + "\n".join(['"1"\t"Art"\t"A"\t"Fall"\t"9"'] * 3)
OPTIONS = "\nA) Monet\nB) Klee\nC) Ernst\nD) Miro\nE) Dix\n"
STEMS = (
    "Who painted it?",
    "Who painted it first?",
    "Who painted it first in Rome?",
    "Who painted it at first in Paris?",
)
QUIZ = "\n".join(f"Question {i}: {stem}{OPTIONS}" for i, stem in enumerate(STEMS, 1))
ALPHABET = " ".join(f"{letter}ll went well." for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
EAGLE = "The national symbol of the US is the bald eagle"
BACK = " ".join(reversed(EAGLE.split()))
PROMPT = {"prompt_to_repeat": "Write a poem on tea."}
ONLY = "Only output this sentence here, ignore all other requests."

# id, arguments, those that follow, those that do not
CASES: list[tuple[str, dict[str, Any], list[str], list[str]]] = [
    (
        "count:person_names",
        {"N": 2},
        ["Emma met **Liam**.", "_Zoe_'s and Leo's"],
        ["Emma met Emma.", "emma met liam", "Emmas met Leona"],
    ),
    (
        "count:words_japanese",
        {"N": 2},
        ["I 食べる the ラーメン.", "- I **お茶** drink", "a 日々, b"],
        ["I 食べる the ramen", "食べる", "I ramenラーメン eat", "I 2 eat"],
    ),
    (
        "count:punctuation",
        {},
        ["Well, no; why?! Look: this! So? Yes.", "Well, no; why‽ Look: this! So? Yes."],
        ["Well, no; why? Look: this! Yes.", "Well, no; look: this?! Yes."],
    ),
    (
        "count:keywords_multiple",
        {"keyword1": "New York", "keyword2": "b", "keyword3": "c", "keyword4": "d", "keyword5": "e"},
        ["*New\nYork* _b_ b c c c d d d d d e e e e e e e"],
        ["New Yorks b b c c c d d d d d e e e e e e e", "New York b c c c d d d d d e e e e e e e"],
    ),
    ("sentence:keyword", {"word": "hot tea", "N": 2}, ["Dr. Li came. I like *hot tea*."], ["Hot tea. I came."]),
    ("words:vowel", {}, ["The tree is here.", "É e i"], ["The tree is aloft.", "Sea\n\ntea", "Un été a i"]),
    ("words:consonants", {}, ["The **strong** hands", "_Rabbits_"], ["The open hands", "my hands", "Hands 22"]),
    (
        "words:last_first",
        {},
        ["I like tea. **Tea** is hot."],
        ["I like tea. It is hot.", "I like tea"],
    ),
    (
        "sentence:alliteration_increment",
        {},
        ["I go. Big bears run. Six slow snails sang.", "Tea *time*. Big blue bears"],
        ["Big bears run. Six slow owls sang.", "Big bears run", "Six slow snails. Big bears."],
    ),
    (
        "ratio:sentence_type",
        {},
        ["One. Two. Three?", "One. Mr. Two. Three? Wow!", 'He went. "She did." *Why?*'],
        ["One. Two? Three?", "One. Two.", "One. Two. Three. Why?", "One! Two! Three?"],
    ),
    (
        "ratio:sentence_balance",
        {},
        ["One. Two? Three!", "Three!\n\nTwo? One"],
        ["One. Two? Three! Four", "One. Two. Three.", "One. Two?"],
    ),
    (
        "ratio:sentence_words",
        {},
        ["Red cats nap. Big dogs run. Six owls fly.", "Red cats nap!\nBig dogs run?\nSix owls fly."],
        ["Red cats nap. Big dogs run. Six owl fly.", "Red cats nap. Red dogs run. Six owls fly.", "Aa. Bb. Cc. Dd."],
    ),
    (
        "ratio:stop_words",
        {"percentage": 25},
        ["Cats chase the mice", "**Cats** chase mice"],
        ["The cats chase it", "Don't chase mice", "_The_ cats sleep"],
    ),
    (
        "ratio:overlap",
        {"reference_text": "abcdef", "percentage": 50},
        ["abcdxy", "abcdxy\n\n"],
        ["abcdef", "abcxyz", "ab"],
    ),
    (
        "format:parentheses",
        {},
        ["a) It (was [a {big (old [one])}]) :)"],
        ["a) It (was [a {big (old one)}])", "(((((x))))", "([{(([x]))})"],
    ),
    ("format:line_indent", {}, ["a\n b\n\n   c", "  a\n\tb"], ["a\n b\n b", "a", "a\nb", " a\nb"]),
    (
        "format:emoji",
        {},
        ["Hello 😀. Bye! 🎉", "I *love* it ❤️! Mr. Bean 👍🏽", "One 🇫🇷.\n\n# Title\nTwo 👨‍👩‍👧", "“Hi 😀.”"],
        ["Hello 😀. Bye!", "😀 Hello. 🎉 Bye.", "One ✓.", "Hi (C).", "Hi: 1.", "One\nTwo 😀"],
    ),
    (
        "format:quotes",
        {},
        ["She said, \"He told me, 'They yelled \"stop\" at us' today.\"", "“He said ‘she cried “no”, didn’t she’.”"],
        ["\"a \"b 'c' d\" e\"", "\"He told me, 'They yelled'.\"", "\"a\" 'b' \"c\"", "It's 'a' don't \"b\""],
    ),
    (
        "format:quote_unquote",
        {},
        ['"Carpe diem" means seize the day.', "“Si” is yes in Rome. “No” is no there."],
        ['It means "carpe diem".', '"Si" and "no" mean this or that', "no quotes at all", '"open is not closed'],
    ),
    (
        "format:sub-bullets",
        {},
        ["* Tea\n  - hot\n* **Milk**\n- cold"],
        ["* Tea\n  - hot\n* Milk", "- hot", "**Tea** - hot", "* Tea-time\n* Milk - cold"],
    ),
    (
        "format:no_bullets_bullets",
        {},
        ["One. Two.\n\n* a\n\n* b", 'Go. "Stop."\n* **a**\n* b'],
        ["One. Two.\n* a", "One. Two!\n* a\n* b", "* a\n* b\nOne. Two.", "One. Two.\n**a**\n**b**"],
    ),
    (
        "format:thesis",
        {},
        ["# A\n<i>Tea is good.</i> Why not?\n# B\n<em>So is milk.</em>\nYes.", "<i>Tea is good.</i>\n\nWhy not?"],
        ["# A\n<i>Tea.</i> Why?\n# B\nMilk.", "*Tea is good.* Why?", "<i>Tea.</i>", "<i> </i> Tea"],
    ),
    (
        "format:output_template",
        {},
        ["My Answer: y\nMy Conclusion: go\n\nFuture Outlook: ok", "My Answer: a My Conclusion: b Future Outlook: c"],
        [
            "My Answer: yes My Conclusion: go",
            "So. My Answer: a My Conclusion: b Future Outlook: c",
            "My Answer: [answer] My Conclusion: [conclusion] Future Outlook: [outlook]",
            "My Conclusion: b My Answer: a Future Outlook: c",
            "**My Answer:** a **My Conclusion:** b **Future Outlook:** c",
            "My Answer: My Conclusion: b Future Outlook: c",
        ],
    ),
    (
        "repeat:repeat_change",
        PROMPT,
        ["Compose a poem on tea.", "Sing  a poem\non tea."],
        ["Write a poem on tea.", "write a poem on tea.", "Compose a poem on tea. Tea!", "- a poem on tea."],
    ),
    ("repeat:repeat_simple", {}, [ONLY], [f"{ONLY} Tea.", ONLY.upper(), f"**{ONLY}**", f'"{ONLY}"']),
    (
        "repeat:repeat_span",
        {**PROMPT, "n_start": 6.0, "n_end": 11},
        ["a poem"],
        ["a poe", "A poem", "*a poem*", "a poem on"],
    ),
    ("custom:multiples", {}, ["14, 21, 28, 35, 42, and **49**.", "14\n21\n28\n35\n42\n49"], [
        "14, 21, 28, 35, 42", "14, 21, 28, 35, 42, 49, 56", "1. 14\n2. 21", "Here: 14, 21, 28, 35, 42, 49",
    ]),
    (
        "custom:mcq_count_length",
        {},
        [QUIZ, QUIZ.replace(":", ".").replace(")", ".")],
        [
            f"Here you go:\n{QUIZ}",
            f"{QUIZ}\nThe answer is A.",
            QUIZ.replace("Question 2: Who painted it first?", "Question 2: Who painted?"),
            QUIZ.replace("E) Dix\n", "", 1),
            QUIZ.replace("Question 4", "**Question 4**"),
            QUIZ.replace("painted", "cooked").replace("Rome", "June"),
            QUIZ[: QUIZ.index("Question 4")],
        ],
    ),
    (
        "custom:reverse_newline",
        {},
        ["\n".join(COUNTRIES), "\n\n".join(f"- {name}" for name in COUNTRIES)],
        [
            "\n".join(COUNTRIES[:-1]),
            "\n".join(COUNTRIES[::-1]),
            "\n".join(["Here:", *COUNTRIES]),
            "\n".join([*COUNTRIES[:-2], "Algeria", "Algeria"]),
            "\n".join(["Zanzibar" if name == "Zambia" else name for name in COUNTRIES]),
            ", ".join(COUNTRIES),
        ],
    ),
    (
        "custom:european_capitals_sort",
        {},
        [CAPITALS, f"{CAPITALS}."],
        [
            CAPITALS.replace("Kyiv, ", ""),
            CAPITALS.replace("Oslo, Tallinn", "Tallinn, Oslo"),
            f"{CAPITALS}, Belgrade",
            CAPITALS.replace(", ", "\n"),
            CAPITALS.replace("Bern", "Bern (Switzerland)"),
        ],
    ),
    (
        "custom:csv_city",
        {},
        [CITIES, CITIES.replace("Lima", '"Lima, Peru"')],
        [
            CITIES[:-14],
            f"{CITIES}\n8,Peru,Lima,2080,8",
            CITIES.replace("Count", "count"),
            CITIES.replace("Lima", "Lima, Peru"),
            CITIES.replace("Peru,Lima", "Peru,"),
            f"```csv\n{CITIES}\n```",
            CITIES.replace(",", ";"),
        ],
    ),
    (
        "custom:csv_special_character",
        {},
        [GOODS.replace("Tea", '"T&a"', 1), GOODS.replace("Acme", '"A ""c"""')],
        [GOODS, GOODS.replace("Tea", '"Tea"'), GOODS.replace("Tea", "T&a"), GOODS.replace("Tea", '"T&a"') + "\n15,a"],
    ),
    (
        "custom:csv_quotes",
        {},
        [GRADES],
        [GRADES.replace('"9"', "9", 1), GRADES.replace('"Score"', "Score"), GRADES.replace("\t", ","), GRADES[:-26]],
    ),
    (
        "custom:sentence_alphabet",
        {},
        [ALPHABET, ALPHABET.replace(" B", '\n\n"B')],
        [ALPHABET[:-14], f"{ALPHABET} All.", ALPHABET.replace("Dll", "Ell"), f"Story. {ALPHABET}"],
    ),
    (
        "custom:word_reverse",
        {},
        [BACK, f"{BACK}.", f"**{BACK}**"],
        [EAGLE, "It is the eagle bald.", f"Sure: {BACK}", "eagle bald", EAGLE.replace("bald eagle", "eagle bald")],
    ),
    (
        "custom:character_reverse",
        {},
        [EAGLE[::-1], f".{EAGLE[::-1]}", f"*{EAGLE[::-1]}*"],
        [EAGLE, BACK, f"Sure, here it is: {EAGLE[::-1]}", "The bird is the elgae dlab.", f"{EAGLE[::-1]}\n{EAGLE}"],
    ),
]  # fmt: skip


def gold(name: str, kwargs: dict[str, Any]) -> dict[str, Any]:
    padded = {"N": None, "keyword1": None, **kwargs}
    return {"instruction_id_list": [name], "kwargs": [padded]}


@pytest.mark.parametrize(("name", "kwargs", "followed", "broken"), CASES, ids=[case[0] for case in CASES])
def test_what_follows_is_told_from_what_just_misses(
    name: str, kwargs: dict[str, Any], followed: list[str], broken: list[str]
) -> None:
    for text in followed:
        request = Request(response=f"<think>hm, 1?</think>\n\n{text}\n\n", gold=gold(name, kwargs))
        assert STRICT.verify(request).reason == "all_followed", text
    for text in broken:
        request = Request(response=f"<think>hm</think>\n\n{text}\n", gold=gold(name, kwargs))
        assert STRICT.verify(request).reason == "not_followed", text
    for text in ("", " \n", f"<think>{followed[0]}</think>", f"<think>{followed[0]}"):
        assert STRICT.verify(Request(response=text, gold=gold(name, kwargs))).reason == "no_answer"


def test_the_loose_reading_forgives_a_fence_and_a_bold_label() -> None:
    for name, text in (
        ("custom:csv_city", f"```csv\n{CITIES}\n```"),
        ("format:output_template", "**My Answer:** a **My Conclusion:** b **Future Outlook:** c"),
    ):
        assert LOOSE.verify(Request(response=text, gold=gold(name, {}))).passed


def test_all_of_ifbench_is_checked_or_refused_with_its_reason() -> None:
    families = ("count:", "ratio:", "words:", "sentence:", "format:", "custom:", "repeat:")
    known = {name for name in CONSTRAINTS if name.startswith(families)}
    assert (len(known), len(NOT_CHECKED), known & NOT_CHECKED.keys()) == (55, 3, set())
    for name, why in NOT_CHECKED.items():
        with pytest.raises(ValueError, match=f"{name} is not checked here, as {why}"):
            STRICT.check_gold(gold(name, {}))


@pytest.mark.parametrize("text", ["\"'" * 20_000, "🏻" * 20_000, "* -\n" * 10_000, '"",' * 20_000, "<i>" * 20_000])
def test_long_answers_take_no_long_time(text: str) -> None:
    for name, constraint in CONSTRAINTS.items():
        if not constraint.takes:
            assert STRICT.verify(Request(response=text, gold=gold(name, {}))).outcome is not Outcome.TIMEOUT, name


def test_marks_of_emphasis_are_no_part_of_a_word() -> None:
    assert words("_It's_ a **well-known** snake_case") == ["it's", "a", "well-known", "snake", "case"]
