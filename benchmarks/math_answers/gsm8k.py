"""Real problems as labelled answers: the gold in several renderings, and golds that are slightly off. Nobody here wrote
the problems.

HELD_BACK renderings and the last 100 problems of the file were not looked at while the rules were written.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

PATH = Path(__file__).resolve().parents[2] / "tests" / "data" / "rows" / "gsm8k_test_500.jsonl"
HELD_BACK = ("heading", "bold_in_prose", "display_then_prose")
HELD_BACK_PROBLEMS = 100


def problems(path: Path = PATH) -> list[tuple[str, str, str]]:
    """(question, worked solution, gold) of each line."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [(row["question"], row["answer"], row["answer"].rpartition("####")[2].strip()) for row in rows]


def renderings(solution: str, gold: str) -> Iterator[tuple[str, str]]:
    """(name, answer) for each way a model writes `gold`."""
    plain = gold.replace(",", "")
    commas = f"{int(plain):,}" if "." not in plain else plain
    yield "box", f"<think>{solution}</think>So the answer is $\\boxed{{{plain}}}$."
    yield "bold", f"She ends up with\n\n**{plain}**"
    yield "sentence", f"First 12 + 7 = 19. Then more. The answer is {plain}."
    yield "final_line", f"We compute 3 * 4 = 12.\n\nFinal Answer: {commas}"
    yield "units", f"We compute 3 * 4 = 12. The answer is {plain} apples per day."
    yield "boxed_units", f"\\[\\boxed{{{plain}\\text{{ apples}}}}\\]"
    yield "dollars", f"The total is \\boxed{{\\${commas}}}"
    yield "decimals", f"Answer: {plain}.00" if "." not in plain else f"Answer: {plain}0"
    yield "latex_commas", f"\\boxed{{{commas.replace(',', '{,}')}}}"
    yield "equation", f"\\boxed{{x = {plain}}}"
    yield "self_correction", f"\\boxed{{{int(float(plain)) + 3}}} Wait, that is wrong. \\boxed{{{plain}}}"
    yield "bare", plain
    yield "worked", solution.replace("####", "So the final answer is")
    yield "hashes", solution
    yield "heading", f"### Solution\n\n3 * 4 = 12, then 12 - 5 = 7.\n\n### Answer\n\n{commas} marbles"
    yield "bold_in_prose", f"Adding 3 and 4 gives 7.\n\nTherefore, the total comes to **\\${commas}** in the end."
    yield "display_then_prose", f"$$\n3 \\times 4 = 12\n$$\n\nAfter the last step, we are left with ${plain}$ in total."


def other_golds(question: str, gold: str) -> Iterator[str]:
    """Golds close to the true one in value or in writing, none equal to it."""
    plain = gold.replace(",", "")
    whole = int(float(plain))
    yield str(whole + 1)
    yield str(whole - 1)
    yield str(whole * 10) if whole else "10"
    yield str(-whole) if whole else "-1"
    yield f"{plain}.5" if "." not in plain else f"{plain}5"
    yield f"1{plain}"
    yield f"{whole}/3" if whole else "1/3"
    if "percent" not in question.lower():
        yield f"{plain}%" if whole else "3%"
