"""`clean_file`: what is removed, what is kept byte for byte, what the report says, and that a kill leaves nothing
half-written."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from posttrain.cli import main
from posttrain.errors import DataError, InputError, StageError
from posttrain.factory import clean
from posttrain.factory.clean import clean_file
from posttrain.factory.examine import CleanOptions

PROSE = (
    "The ferry to the northern islands leaves twice a day in summer and once a week in winter, when storms close the "
    "harbour and the mail is brought by a small plane that lands on the beach at low tide."
)
OTHER = (
    "Bakers in the old quarter begin their work long before dawn, knead the dough by hand and fire the ovens with "
    "beech wood, so that the first loaves are ready when the trams start to run."
)
QUESTION = (
    "A gardener plants 48 tulips in rows of 6 and then adds 15 roses along the fence. How many plants stand in the "
    "garden when 7 of the roses have died?"
)


def cleaned(
    folder: Path,
    rows: list[dict[str, Any]],
    suite: list[dict[str, Any]] | None = None,
    options: CleanOptions | None = None,
    processes: int = 1,
) -> tuple[dict[int, tuple[str, Any]], dict[int, str], dict[str, Any]]:
    """(removed: row -> rule, of; suspects: row -> rule; the report)."""
    against = []
    for name, lines in (("rows", rows), ("suite", suite)):
        if lines is not None:
            text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
            (folder / f"{name}.jsonl").write_text(text, "utf-8")
    if suite is not None:
        against.append(folder / "suite.jsonl")
    out, report = folder / "kept.jsonl", folder / "report.json"
    found = clean_file(folder / "rows.jsonl", against, out=out, report=report, options=options, processes=processes)
    shown = json.loads(report.read_text("utf-8"))
    removed = {entry["row"]: (entry["rule"], entry["of"]) for entry in shown["removed"]}
    assert found.kept == found.rows - len(removed) == len(out.read_bytes().splitlines())
    return removed, {entry["row"]: entry["rule"] for entry in shown["suspects"]}, shown


def test_exact_and_near_duplicates_name_the_row_that_stays(tmp_path: Path) -> None:
    near = PROSE.replace("storms", "gales").replace("small", "little").upper()
    rows = [{"id": "a", "text": PROSE}, {"text": OTHER}, {"id": "b", "text": PROSE}, {"text": near}]
    removed, _, _ = cleaned(tmp_path, rows)
    assert removed == {3: ("exact_duplicate", 1), 4: ("near_duplicate", 1)}


def test_kept_rows_are_the_same_bytes_in_the_same_order(tmp_path: Path) -> None:
    lines = [
        b'{ "text":\t"' + PROSE.encode() + b'"}\r\n',
        b"\n",
        b'{"text": "' + PROSE.encode() + b'"}\n',
        '{"text": "\\u00e9t\\u00e9 é 中文", "n": 1.0}\n'.encode(),
        b'{"text": "' + OTHER.encode() + b'"}',
    ]
    (tmp_path / "rows.jsonl").write_bytes(b"".join(lines))
    clean_file(tmp_path / "rows.jsonl", [], out=tmp_path / "kept.jsonl", report=tmp_path / "report.json")
    assert (tmp_path / "kept.jsonl").read_bytes() == lines[0] + lines[3] + lines[4]
    # Blank lines hold no row, and count in the numbers of rows, as they do where data is read.
    assert json.loads((tmp_path / "report.json").read_text())["removed"] == [
        {"row": 3, "rule": "exact_duplicate", "of": 1}
    ]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Tom has 89 coins and loses 76. How many now?", "Tom has 12 coins and loses 5. How many now?"),
        ("What is 17 + 25?", "What is 17 - 25?"),
        ("What is 25 - 17?", "What is 17 - 25?"),
        (QUESTION, QUESTION.replace("48", "42")),
        ("Which city is the capital of France, please?", "Which city is the capital of Spain, please?"),
    ],
)
def test_another_problem_of_the_same_template_stays(tmp_path: Path, first: str, second: str) -> None:
    removed, _, _ = cleaned(tmp_path, [{"prompt": first, "gold": ""}, {"prompt": second, "gold": ""}])
    assert removed == {}


def test_rows_with_shared_boilerplate_around_other_texts_stay(tmp_path: Path) -> None:
    tasks = ["apples", "bridges", "candles", "deserts", "engines", "feathers", "glaciers", "harbours"]
    rows = [{"prompt": f"{PROSE} {OTHER} Now explain, please: {task} in {task}land?"} for task in tasks]
    removed, _, report = cleaned(tmp_path, rows)
    assert removed == {}
    assert any("share a passage" in note for note in report["notes"])


@pytest.mark.parametrize(
    "text",
    [
        QUESTION,
        QUESTION.upper(),
        QUESTION.replace(" ", "  \n"),
        QUESTION.replace("gardener", "gard ener").replace("tulips", "tu lips").replace("along", "al ong"),
        QUESTION.replace(" ", "\u00a0").replace(".", "。"),
        f"Here is one from my homework.\n{QUESTION} Thank you!",
    ],
)
def test_a_question_of_a_suite_is_found_however_it_is_written(tmp_path: Path, text: str) -> None:
    rows = [
        {"text": OTHER},
        {"messages": [{"role": "user", "content": text}, {"role": "assistant", "content": "56"}]},
    ]
    removed, _, report = cleaned(tmp_path, rows, [{"prompt": QUESTION, "gold": "56"}])
    suite = tmp_path / "suite.jsonl"
    assert removed == {2: ("contamination", f"{suite}:1")}
    assert report["verdicts"] == {str(suite): "contamination: checked against 1 rows, 1 hits removed"}


def test_a_question_of_two_suites_is_a_hit_of_both(tmp_path: Path) -> None:
    suites = [tmp_path / "one.jsonl", tmp_path / "two.jsonl"]
    for suite in suites:
        suite.write_text(json.dumps({"prompt": QUESTION, "gold": "56"}) + "\n")
    rows = tmp_path / "rows.jsonl"
    rows.write_text(json.dumps({"text": QUESTION}) + "\n")
    found = clean_file(rows, suites, out=tmp_path / "kept.jsonl", report=tmp_path / "report.json")
    assert set(found.verdicts.values()) == {"contamination: checked against 1 rows, 1 hits removed"}
    assert list(found.verdicts) == [str(suite) for suite in suites]


def test_rows_without_words_are_no_duplicates_of_each_other(tmp_path: Path) -> None:
    rows = [{"text": "!!!"}, {"text": "🙂"}, {"text": "🙂"}]
    removed, _, _ = cleaned(tmp_path, rows, options=CleanOptions(min_words=0))
    assert removed == {3: ("exact_duplicate", 2)}


def test_the_command_prints_figures_and_refuses_an_unknown_rule(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text((json.dumps({"text": PROSE}) + "\n") * 2)
    command = ["data", "clean", str(rows), "--out", str(tmp_path / "k"), "--report", str(tmp_path / "r")]
    assert main([*command, "--skip", "near"]) == 2
    assert "--skip: no rule 'near'" in capsys.readouterr().err
    assert main([*command, "--language", "English"]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == ["  exact_duplicate: 1 removed"]


def test_a_worker_that_dies_is_an_error_and_not_a_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clean, "PORTION_BYTES", 10)
    monkeypatch.setattr(clean, "start_worker", die)
    (tmp_path / "rows.jsonl").write_text('{"text": "a b c"}\n' * 4)
    with pytest.raises(StageError, match="a worker process died"):
        clean_file(tmp_path / "rows.jsonl", [], out=tmp_path / "k", report=tmp_path / "r", processes=2)


def die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_long_answer_of_a_suite_is_found_and_a_short_one_is_not_looked_for(tmp_path: Path) -> None:
    suite = [{"prompt": "Describe the bakers.", "gold": OTHER}, {"prompt": QUESTION, "gold": "56"}]
    rows = [{"prompt": "Go on.", "completion": f"Well. {OTHER}"}, {"prompt": "What is 50 + 6?", "completion": "56"}]
    removed, _, _ = cleaned(tmp_path, rows, suite)
    assert {row: rule for row, (rule, _) in removed.items()} == {1: "contamination"}


def test_a_short_question_is_found_as_a_whole_turn_or_line_only(tmp_path: Path) -> None:
    rows = [
        {"prompt": "what is  17 + 25 ?"},
        {"prompt": "Solve:\nWhat is 17 + 25?\nBriefly."},
        {"prompt": "What is 17 + 26?"},
        {"prompt": "Everyone knows what is 17 + 25 when they have learned to add numbers at school."},
    ]
    removed, _, _ = cleaned(tmp_path, rows, [{"prompt": "What is 17 + 25?", "gold": "42"}])
    assert sorted(removed) == [1, 2]


def test_other_numbers_in_a_question_of_a_suite_are_reported_and_removed_only_when_asked(tmp_path: Path) -> None:
    rows = [{"prompt": QUESTION.replace("48", "54").replace("15", "21")}]
    removed, suspects, _ = cleaned(tmp_path, rows, [{"prompt": QUESTION, "gold": "56"}])
    assert (removed, suspects) == ({}, {1: "numbers_changed"})
    rows.append({"text": PROSE})
    removed, _, _ = cleaned(
        tmp_path, rows, [{"prompt": QUESTION, "gold": "56"}], CleanOptions(remove_numbers_changed=True)
    )
    assert removed == {1: ("numbers_changed", f"{tmp_path / 'suite.jsonl'}:1")}


def test_a_phrase_that_a_suite_shares_with_a_row_is_reported_and_stays(tmp_path: Path) -> None:
    phrase = "Once upon a time in a land far away there lived a little girl who loved to read."
    rows = [{"text": f"{phrase} {PROSE}"}]
    removed, suspects, _ = cleaned(tmp_path, rows, [{"prompt": f"{phrase} {QUESTION}", "gold": "56"}])
    assert (removed, suspects) == ({}, {1: "overlap"})


def test_the_words_of_a_suites_template_contaminate_nothing(tmp_path: Path) -> None:
    frame = "Read the passage below with care and choose the one answer that the passage itself supports best of all: "
    suite = [{"prompt": frame + task, "gold": "A"} for task in (PROSE, OTHER, QUESTION, PROSE[::-1], OTHER[::-1])]
    removed, suspects, _ = cleaned(tmp_path, [{"prompt": frame + "Frogs sing at night."}], suite)
    assert (removed, suspects) == ({}, {})


def test_bounds_and_languages(tmp_path: Path) -> None:
    loop = " ".join(["and so the king went home to his old castle again"] * 30)
    german = "Der Zug fährt heute nicht, weil es auf der Strecke zu viel Schnee gibt und die Weichen vereist sind."
    rows = [{"text": PROSE}, {"text": "  "}, {"text": loop}, {"text": german}, {"text": "0 1 " * 300}]
    options = CleanOptions(languages=("en",), max_words=500)
    removed, _, _ = cleaned(tmp_path, rows, options=options)
    assert removed == {
        2: ("length", "short"),
        3: ("repetition", "repeated"),
        4: ("language", "de"),
        5: ("length", "long"),
    }


def test_a_report_shows_nothing_of_a_secret(tmp_path: Path) -> None:
    key = "ghp_" + "aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC1dE3fG5"
    removed, _, report = cleaned(tmp_path, [{"text": f"{PROSE} token {key}"}, {"text": OTHER}])
    assert removed == {1: ("secret", "github_token")}
    assert report["samples"] == {"secret": [{"row": 1, "of": "github_token"}]}


def test_the_result_does_not_depend_on_processes_and_portions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"text": f"{PROSE if number % 3 else OTHER} Page {number % 40} of the book."} for number in range(300)]
    suite = [{"prompt": QUESTION, "gold": "56"}]
    rows[77] = {"prompt": QUESTION}
    one = cleaned(tmp_path, rows, suite)
    monkeypatch.setattr(clean, "PORTION_BYTES", 1000)
    assert cleaned(tmp_path, rows, suite, processes=2) == one
    assert one[0][78][0] == "contamination" and len(one[0]) > 200


def test_a_skipped_rule_removes_nothing(tmp_path: Path) -> None:
    rows = [{"text": PROSE}, {"text": PROSE}]
    options = CleanOptions(skip=frozenset({"exact_duplicate", "near_duplicate"}))
    assert cleaned(tmp_path, rows, options=options)[0] == {}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b'{"text": "a"}\n{"text": \n', "not JSON"),
        (b'{"text": "a"}\n[1]\n', "expected a JSON object"),
        (b'{"text": "a"}\n{"text": "\xff"}\n', "not UTF-8"),
    ],
)
@pytest.mark.parametrize("processes", [1, 2])
def test_a_malformed_row_is_an_error_with_its_number_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, says: str, processes: int
) -> None:
    monkeypatch.setattr(clean, "PORTION_BYTES", 4)
    (tmp_path / "rows.jsonl").write_bytes(content)
    with pytest.raises(DataError, match=says) as caught:
        clean_file(tmp_path / "rows.jsonl", [], out=tmp_path / "k", report=tmp_path / "r", processes=processes)
    assert str(caught.value.where).endswith("rows.jsonl:2")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rows.jsonl"]


def test_outputs_never_overwrite_what_is_read(tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"text": "a"}\n')
    for out, report in ((rows, tmp_path / "r"), (tmp_path / "k", rows), (tmp_path / "k", tmp_path / "k")):
        with pytest.raises(InputError, match="read or written already"):
            clean_file(rows, [], out=out, report=report)
    assert rows.read_text() == '{"text": "a"}\n'


@pytest.mark.parametrize("point", ["clean.before_write:1", "clean.before_rename:1", "clean.before_rename:2"])
def test_a_kill_leaves_each_file_whole_or_absent(tmp_path: Path, point: str) -> None:
    (tmp_path / "rows.jsonl").write_text(json.dumps({"text": PROSE}) + "\n")
    for name in ("kept.jsonl", "report.json"):
        (tmp_path / name).write_text("old\n")
    code = (
        "import sys; from pathlib import Path; from posttrain.factory.clean import clean_file; "
        "home = Path(sys.argv[1]); "
        "clean_file(home / 'rows.jsonl', [], out=home / 'kept.jsonl', report=home / 'report.json', processes=1)"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    killed = subprocess.run(command, env={**os.environ, "POSTTRAIN_FAILPOINT": point}, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert (tmp_path / "kept.jsonl").read_text() == "old\n"
    if point != "clean.before_rename:2":
        assert (tmp_path / "report.json").read_text() == "old\n"
    subprocess.run(command, check=True)
    assert (tmp_path / "kept.jsonl").read_bytes() == (tmp_path / "rows.jsonl").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept.jsonl", "report.json", "rows.jsonl"]
