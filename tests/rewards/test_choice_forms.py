"""`choice` on forms that blind answers brought: reasons that name other letters, a first line explained, articles,
other languages."""

from __future__ import annotations

import pytest

from rewards.types import Request
from rewards.workers.rule_table import build_rule

RULE = build_rule({"kind": "choice", "options": {}, "think": ["<think>", "</think>"]})

CHOICES = {
    "planets": ["Mercury", "Venus", "Earth", "Mars"],
    "organelles": ["mitochondrion", "nucleus", "ribosome", "Golgi apparatus"],
    "cities": ["Paris", "Lyon", "Marseille", "Nice", "None of the above"],
    "plants": [
        "The plant absorbs oxygen.",
        "The plant turns light into chemical energy.",
        "The plant loses water.",
        "The plant converts sugar.",
    ],
}
CHOSEN = [
    ("planets", "D", "D is correct because A (Mercury) is grey, B (Venus) is yellowish and C (Earth) is blue."),
    ("planets", "D", "The answer is D because A and B are too close to the sun."),
    ("planets", "D", "Marte es rojo.\n\nRespuesta final: D"),
    ("planets", "D", "La respuesta correcta es (D)."),
    ("planets", "B", "B is the answer since C has an ocean."),
    ("planets", "B", "Die richtige Antwort ist B."),
    ("planets", "B", "答案是B。"),
    ("planets", "B", "所以，答案：B"),
    ("planets", "B", "Правильный ответ: B"),
    ("planets", "B", "Venus\n\nIt is hotter than its neighbours, as its air holds the warmth of the sun."),
    ("planets", "C", "La réponse est C."),
    ("planets", "C", "A resposta é C"),
    ("planets", "C", "**Risposta corretta: C**"),
    (
        "plants",
        "B",
        (
            "**B. The plant turns light into chemical energy.**\n\nExplanation: light energy is captured by "
            "chlorophyll and stored in glucose."
        ),
    ),
    ("plants", "B", "(B)\n\nChlorophyll captures the light, and sugar is made from it in the leaves."),
    ("organelles", "C", "The ribosome"),
    ("organelles", "C", "the ribosome."),
    ("organelles", "C", "\\boxed{\\text{the ribosome}}"),
    ("organelles", "B", "the nucleus"),
    ("cities", "E", "Not A, not B, not C, not D. So it must be E."),
    ("cities", "E", "All four are in France. Therefore, it has to be E."),
]
NOT_CHOSEN = [
    ("planets", "D", "D is correct because A is also correct."),
    ("planets", "D", "D is wrong because A (Mercury) is grey."),
    ("planets", "D", "The answer is D because A or B would work as well."),
    ("planets", "D", "The answer is D, B because both are red"),
    ("planets", "D", "La respuesta no es D."),
    ("planets", "D", "Respuesta final: C"),
    ("planets", "D", "La respuesta es D o C"),
    ("planets", "D", "La respuesta es D. Wait, it is C."),
    ("planets", "B", "Die Antwort ist nicht B."),
    ("planets", "B", "答案不是B"),
    ("planets", "B", "答案是C，不是B"),
    ("planets", "B", "B. Venus\nC. Earth\nD. Mars\nThese three have air and clouds around them all the year."),
    ("planets", "B", "Venus\n\nIt is hot there. Still, the one that is asked for here must be Mars."),
    ("planets", "B", "B\n\nNo, the answer is D for the reasons given in the text above here."),
    ("planets", "A", "D is correct because A (Mercury) is grey."),
    ("planets", "C", "La réponse n'est pas C."),
    ("plants", "B", "**B. The plant turns light into chemical energy.**\n\nWait, actually it is C."),
    (
        "plants",
        "B",
        "**B. The plant turns light into chemical energy.**\n\nThat is wrong, as it is incomplete and does not hold.",
    ),
    ("plants", "C", "**B. The plant turns light into chemical energy.**\n\nExplanation: light."),
    ("organelles", "C", "The nucleus"),
    ("organelles", "C", "not the ribosome"),
    ("organelles", "C", "The ribosome or the nucleus"),
    ("organelles", "C", "ribosomal"),
    ("cities", "E", "Not A, not B, not C. So it must be D."),
    ("cities", "E", "So it cannot be E."),
    ("cities", "E", "So it must be E or D."),
    ("cities", "E", "So it must not be E."),
]


def passes(gold: str, response: str, options: list[str]) -> bool:
    return RULE.judge_group([Request(response=response, gold=gold, metadata={"options": options})])[0].passed


@pytest.mark.parametrize(("options", "gold", "response"), CHOSEN)
def test_a_choice_is_read_from_reasons_articles_first_lines_and_other_languages(
    options: str, gold: str, response: str
) -> None:
    assert passes(gold, response, CHOICES[options])


@pytest.mark.parametrize(("options", "gold", "response"), NOT_CHOSEN)
def test_a_choice_denied_doubled_or_taken_back_is_none_in_any_of_these_forms(
    options: str, gold: str, response: str
) -> None:
    assert not passes(gold, response, CHOICES[options])
