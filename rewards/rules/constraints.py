"""The 25 checkable constraints of IFEval (arXiv 2311.07911, table 1), each a function from a text to yes, no, or None
where it cannot tell; and the table of all that are known, IFBench's (`rewards.rules.ifbench` and its neighbours) among
them.

Written anew after the paper's definitions: ids and keyword arguments are those of its data, so its rows work as they
are. Three deliberate differences: keywords are literal text, never patterns; sentences are counted by punctuation and a
list of abbreviations instead of a downloaded model; languages are told by `rewards.prose.languages`. Every scan is
linear. Knows nothing of golds, thinking or verdicts.
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from rewards.prose.languages import guess, language_code
from rewards.rules import ifbench, ifbench_forms, ifbench_tasks
from rewards.rules.sentences import split_sentences

RELATIONS: dict[str, Callable[[int, int], bool]] = {
    "less than": operator.lt,
    "at least": operator.ge,
    "at most": operator.le,
    "more than": operator.gt,
    "exactly": operator.eq,
    "around": lambda count, wanted: abs(count - wanted) <= max(round(0.1 * wanted), 1),  # RLVR-IFeval's
}
_WORD = re.compile(r"\w+")
_CAPITAL_TOKEN = re.compile(r"[^\W_]+(?:[-'’.&][^\W_]+)*")
_PLACEHOLDER = re.compile(r"\[[^\[\]\n]*\]")
_HIGHLIGHT = re.compile(r"\*[^\n*]*\*")
_BOLD = re.compile(r"\*\*[^\n*]*\*\*")
_STARS = re.compile(r"\s?\*\*\*\s?")
_POSTSCRIPTS = {"P.S.": re.compile(r"p\.\s?s\."), "P.P.S": re.compile(r"p\.\s?p\.\s?s")}


def _existence(text: str, keywords: list[str]) -> bool:
    lowered = text.lower()
    return all(keyword.lower() in lowered for keyword in keywords)


def _frequency(text: str, keyword: str, frequency: int, relation: str) -> bool:
    return RELATIONS[relation](text.lower().count(keyword.lower()), frequency)


def _has_none_of(text: str, forbidden_words: list[str]) -> bool:
    """None of the words as a whole word."""
    lowered = text.lower()
    return not any(re.search(rf"(?<!\w){re.escape(word.lower())}(?!\w)", lowered) for word in forbidden_words)


def _letter_frequency(text: str, letter: str, let_frequency: int, let_relation: str) -> bool:
    return RELATIONS[let_relation](text.lower().count(letter.lower()), let_frequency)


def _language(text: str, language: str) -> bool | None:
    found = guess(text).code
    return None if found is None else found == language_code(language)


def _sentences(text: str, num_sentences: int, relation: str) -> bool:
    return RELATIONS[relation](len(split_sentences(text)), num_sentences)


def _paragraphs(text: str, num_paragraphs: int) -> bool:
    """Parted by ***; an empty part in the middle is a fault."""
    parts = [part.strip() for part in _STARS.split(text)]
    return all(parts[1:-1]) and sum(map(bool, parts)) == num_paragraphs


def _words(text: str, num_words: int, relation: str) -> bool:
    return RELATIONS[relation](len(_WORD.findall(text)), num_words)


def _first_word(text: str, num_paragraphs: int, nth_paragraph: int, first_word: str) -> bool:
    """Paragraphs parted by empty lines, however many: so many, and the nth begins with the word."""
    parts = [part for part in map(str.strip, re.split(r"\n[ \t]*\n", text)) if part]
    if len(parts) != num_paragraphs or not 1 <= nth_paragraph <= len(parts):
        return False
    word = parts[nth_paragraph - 1].split(maxsplit=1)[0].lstrip("'\"").lower()
    return re.split(r"[.,?!'\"]", word, maxsplit=1)[0] == first_word.lower()


def _placeholders(text: str, num_placeholders: int) -> bool:
    return len(_PLACEHOLDER.findall(text)) >= num_placeholders


def _postscript(text: str, postscript_marker: str) -> bool:
    pattern = _POSTSCRIPTS.get(postscript_marker.strip())
    return bool(pattern.search(text.lower())) if pattern else postscript_marker.strip().lower() in text.lower()


def _bullets(text: str, num_bullets: int) -> bool:
    lines = [line.lstrip() for line in text.splitlines()]
    return (
        sum(line.startswith("-") or (line.startswith("*") and not line.startswith("**")) for line in lines)
        == num_bullets
    )


def _one_of_three_answers(text: str) -> bool:
    return any(f"My answer is {word}." in text for word in ("yes", "no", "maybe"))


def _highlights(text: str, num_highlights: int) -> bool:
    single = sum(bool(match.strip("*").strip()) for match in _HIGHLIGHT.findall(text))
    return single + sum(bool(match.strip("*").strip()) for match in _BOLD.findall(text)) >= num_highlights


def _sections(text: str, section_spliter: str, num_sections: int) -> bool:
    return len(re.findall(re.escape(section_spliter.strip()) + r"\s?\d", text)) >= num_sections


def _json(text: str) -> bool:
    body = text.strip()
    if body.startswith("```"):
        body = body[3:].removesuffix("```").strip()
        body = body[4:] if body[:4].lower() == "json" else body
    try:
        json.loads(body, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return False
    return True


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON value")


def _one_of(text: str, options: list[str]) -> bool:
    """Exactly one of the options stands in the answer."""
    return sum(option.lower() in text.lower() for option in options) == 1


def _title(text: str) -> bool:
    """A line with << >> around something."""
    for line in text.splitlines():
        start, end = line.find("<<"), line.rfind(">>")
        if 0 <= start < end and line[start:end].strip("<> \t"):
            return True
    return False


def _two_responses(text: str) -> bool:
    """Two different answers parted by six asterisks."""
    parts = [part.strip() for part in text.split("******")]
    kept = [part for part in parts if part]
    return all(parts[1:-1]) and len(kept) == 2 and kept[0] != kept[1]


def _repeats(text: str, prompt_to_repeat: str) -> bool:
    return text.strip().lower().startswith(prompt_to_repeat.strip().lower())


def _ends(text: str, end_phrase: str) -> bool:
    return text.strip().strip('"').lower().endswith(end_phrase.strip().lower())


def _in_quotation_marks(text: str) -> bool:
    body = text.strip()
    return len(body) > 1 and body[0] == body[-1] == '"'


def _capital_words(text: str, capital_frequency: int, capital_relation: str) -> bool:
    return RELATIONS[capital_relation](
        sum(token.isupper() for token in _CAPITAL_TOKEN.findall(text)), capital_frequency
    )


def _english(text: str) -> bool | None:
    found = guess(text).code
    return None if found is None else found == "en"


def _capital(text: str) -> bool | None:
    return _english(text) if text.isupper() else False


def _lowercase(text: str) -> bool | None:
    return _english(text) if text.islower() else False


def _no_comma(text: str) -> bool:
    return "," not in text


@dataclass(frozen=True, kw_only=True, slots=True)
class Constraint:
    """check(text, **arguments) -> bool or None; takes: argument -> count, text, texts, letter, relation or language.
    All are required."""

    check: Callable[..., bool | None]
    takes: dict[str, str] = field(default_factory=dict)


def _constraint(check: Callable[..., bool | None], **takes: str) -> Constraint:
    return Constraint(check=check, takes=takes)


CONSTRAINTS: dict[str, Constraint] = {
    "keywords:existence": _constraint(_existence, keywords="texts"),
    "keywords:frequency": _constraint(_frequency, keyword="text", frequency="count", relation="relation"),
    "keywords:forbidden_words": _constraint(_has_none_of, forbidden_words="texts"),
    "keywords:letter_frequency": _constraint(
        _letter_frequency, letter="letter", let_frequency="count", let_relation="relation"
    ),
    "language:response_language": _constraint(_language, language="language"),
    "length_constraints:number_sentences": _constraint(_sentences, num_sentences="count", relation="relation"),
    "length_constraints:number_paragraphs": _constraint(_paragraphs, num_paragraphs="count"),
    "length_constraints:number_words": _constraint(_words, num_words="count", relation="relation"),
    "length_constraints:nth_paragraph_first_word": _constraint(
        _first_word, num_paragraphs="count", nth_paragraph="count", first_word="text"
    ),
    "detectable_content:number_placeholders": _constraint(_placeholders, num_placeholders="count"),
    "detectable_content:postscript": _constraint(_postscript, postscript_marker="text"),
    "detectable_format:number_bullet_lists": _constraint(_bullets, num_bullets="count"),
    "detectable_format:constrained_response": _constraint(_one_of_three_answers),
    "detectable_format:number_highlighted_sections": _constraint(_highlights, num_highlights="count"),
    "detectable_format:multiple_sections": _constraint(_sections, section_spliter="text", num_sections="count"),
    "detectable_format:json_format": _constraint(_json),
    "detectable_format:title": _constraint(_title),
    "combination:two_responses": _constraint(_two_responses),
    "combination:repeat_prompt": _constraint(_repeats, prompt_to_repeat="text"),
    "startend:end_checker": _constraint(_ends, end_phrase="text"),
    "startend:quotation": _constraint(_in_quotation_marks),
    "change_case:capital_word_frequency": _constraint(
        _capital_words, capital_frequency="count", capital_relation="relation"
    ),
    "change_case:english_capital": _constraint(_capital),
    "change_case:english_lowercase": _constraint(_lowercase),
    "punctuation:no_comma": _constraint(_no_comma),
    "keywords:word_frequency": _constraint(ifbench.word_once, word="text", frequency="count"),
    "detectable_format:one_of": _constraint(_one_of, options="texts"),
    "count:word_count_range": _constraint(ifbench.word_range, min_words="count", max_words="count"),
    "count:unique_word_count": _constraint(ifbench.unique_words, N="count"),
    "count:numbers": _constraint(ifbench.numbers, N="count"),
    "count:conjunctions": _constraint(ifbench.conjunctions, small_n="count"),
    "count:pronouns": _constraint(ifbench.pronouns, N="count"),
    "count:punctuation": _constraint(ifbench.every_mark),
    "count:keywords_multiple": _constraint(
        ifbench.keywords_multiple, keyword1="text", keyword2="text", keyword3="text", keyword4="text", keyword5="text"
    ),
    "words:alphabet": _constraint(ifbench.alphabet),
    "words:palindrome": _constraint(ifbench.palindromes),
    "words:repeats": _constraint(ifbench.repeats, small_n="count"),
    "words:no_consecutive": _constraint(ifbench.no_consecutive),
    "words:last_first": _constraint(ifbench.last_first),
    "words:paragraph_last_first": _constraint(ifbench.paragraph_last_first),
    "words:prime_lengths": _constraint(ifbench.prime_lengths),
    "words:words_position": _constraint(ifbench.second_and_last_but_one, keyword="text"),
    "words:keywords_specific_position": _constraint(ifbench.word_at, keyword="text", n="count", m="count"),
    "sentence:keyword": _constraint(ifbench.keyword_in_sentence, word="text", N="count"),
    "sentence:increment": _constraint(ifbench.increment, small_n="count"),
    "format:parentheses": _constraint(ifbench_forms.nested_brackets),
    "format:newline": _constraint(ifbench_forms.word_a_line),
    "format:no_whitespace": _constraint(ifbench_forms.no_whitespace),
    "format:title_case": _constraint(ifbench_forms.title_case),
    "format:options": _constraint(ifbench_forms.one_option, options="text"),
    "format:list": _constraint(ifbench_forms.separated_list, sep="text"),
    "count:person_names": _constraint(ifbench.person_names, N="count"),
    "count:words_japanese": _constraint(ifbench.nth_word_japanese, N="count"),
    "words:vowel": _constraint(ifbench.three_vowels),
    "words:consonants": _constraint(ifbench.consonant_clusters),
    "sentence:alliteration_increment": _constraint(ifbench.alliteration),
    "ratio:sentence_type": _constraint(ifbench.two_statements_a_question),
    "ratio:sentence_balance": _constraint(ifbench.balanced_sentences),
    "ratio:sentence_words": _constraint(ifbench.three_even_sentences),
    "ratio:stop_words": _constraint(ifbench.stop_words, percentage="count"),
    "ratio:overlap": _constraint(ifbench.trigram_overlap, reference_text="text", percentage="count"),
    "format:line_indent": _constraint(ifbench_forms.indented_stairs),
    "format:emoji": _constraint(ifbench_forms.emoji_ends),
    "format:quotes": _constraint(ifbench_forms.nested_quotes),
    "format:quote_unquote": _constraint(ifbench_forms.explained_quotes),
    "format:sub-bullets": _constraint(ifbench_forms.sub_bullets),
    "format:no_bullets_bullets": _constraint(ifbench_forms.sentences_then_bullets),
    "format:thesis": _constraint(ifbench_forms.thesis_in_italics),
    "format:output_template": _constraint(ifbench_forms.answer_template),
    "repeat:repeat_change": _constraint(ifbench_forms.repeat_changed, prompt_to_repeat="text"),
    "repeat:repeat_simple": _constraint(ifbench_forms.repeat_simple),
    "repeat:repeat_span": _constraint(
        ifbench_forms.repeat_span, prompt_to_repeat="text", n_start="count", n_end="count"
    ),
    "custom:multiples": _constraint(ifbench_tasks.multiples_of_seven),
    "custom:mcq_count_length": _constraint(ifbench_tasks.quiz),
    "custom:reverse_newline": _constraint(ifbench_tasks.african_countries),
    "custom:european_capitals_sort": _constraint(ifbench_tasks.european_capitals),
    "custom:csv_city": _constraint(ifbench_tasks.city_table),
    "custom:csv_special_character": _constraint(ifbench_tasks.table_with_special_character),
    "custom:csv_quotes": _constraint(ifbench_tasks.quoted_table),
    "custom:sentence_alphabet": _constraint(ifbench_tasks.sentence_alphabet),
    "custom:word_reverse": _constraint(ifbench_tasks.words_backwards),
    "custom:character_reverse": _constraint(ifbench_tasks.letters_backwards),
}
