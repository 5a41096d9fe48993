"""The attack corpus: whole, fair (each row fools a naive control, an honest failure does not), and held off, by a
sample of it here.

The whole corpus runs by `posttrain sandbox attack`.
"""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from posttrain.cli.sandbox_proof import complaints, table
from sandbox.attacks.attack import Attack, exhausting_rows, function_rows, script_rows
from sandbox.attacks.control import FOOLED, control_word, has_namespaces
from sandbox.attacks.corpus import GROUPS
from sandbox.attacks.siege import Result, besiege, reason_not_run
from sandbox.judge import Judge
from sandbox.program_json import parse_program
from sandbox.types import Level, Outcome
from tests.sandbox.test_command import posttrain
from tests.sandbox.worlds import SENTENCE, need_namespaces

EVERY = [attack for attacks in GROUPS.values() for attack in attacks]
# A few of each group and form; each costs a process or three.
SAMPLE = {
    "early_exit": ("sys_exit/check", "exit_handler_exits/split", "libc_exit/call"),
    "equality": ("equal_to_everything/assert", "strips_to_everything/check", "nan_for_a_number/stdin"),
    "patching": ("patch_the_comparison/call", "patch_isclose/split", "start_up_file_for_the_next_test/stdin"),
    "reading": ("expected_on_the_stack/call", "tests_in_the_script_folder/stdin", "left_in_a_closed_folder/stdin"),
    "forging": (
        "marker_printed/call",
        "verdict_on_every_descriptor/check",
        "result_file/split",
        "answer_behind_the_output/checker",
    ),
    "exhausting": ("flood_of_errors/call", "one_big_file/stdin"),
    "escaping": ("kill_the_parent/stdin", "tcp_to_a_local_service/call", "new_user_namespace/check"),
}
CHOSEN = [
    (group, next(one for one in GROUPS[group] if one.row["id"] == name))
    for group, names in SAMPLE.items()
    for name in names
]


def test_the_corpus_has_its_size_and_every_row_can_be_read() -> None:
    names = [attack.row["id"] for attack in EVERY]
    assert len(names) == len(set(names))
    assert len({attack.name for attack in EVERY}) >= 86
    assert len({attack.program for attack in EVERY}) >= 86
    assert {attack.form for attack in EVERY} == {"stdin", "call", "assert", "split", "check", "checker", "pytest"}
    for attack in EVERY:
        parse_program(json.loads(json.dumps(attack.row)))


@pytest.mark.parametrize(("group", "attack"), CHOSEN, ids=[attack.row["id"] for _, attack in CHOSEN])
def test_a_row_fools_the_naive_control(group: str, attack: Attack) -> None:
    seen = control_word(attack)
    if not has_namespaces() and seen.startswith("not shown"):
        pytest.skip(
            "the control needs throw-away namespaces for this row; remedy: apt-get install bubblewrap, as a user "
            "who may use it"
        )
    assert seen == FOOLED


def test_an_honest_failure_fools_no_control() -> None:
    wrong = function_rows("wrong", "def f(x): return 0")
    for fools in ("status", "marker", "score", "pipe", "file"):
        assert control_word(replace(wrong[0], fools=fools)) != FOOLED
    assert all(
        control_word(one) != FOOLED
        for one in (*wrong[1:], *script_rows("wrong", "print(0)"), *script_rows("wrong", "print(0)", fools="status"))
    )


def test_a_right_program_passes_every_control() -> None:
    right = function_rows("right", "def f(x): return 9731")
    for fools in ("status", "marker", "score", "pipe", "file"):
        assert control_word(replace(right[0], fools=fools)) == FOOLED


@pytest.mark.parametrize("backend", ["namespaces", "local"])
def test_no_attack_of_the_sample_passes_or_stays(backend: str) -> None:
    if backend == "namespaces":
        need_namespaces()
    with Judge(backend, "none", SENTENCE, slots=1, cpu_scale=1.0) as judge:
        results = [result for group, attack in CHOSEN for result in besiege(judge, group, (attack,), [FOOLED])]
    assert [line for result in results for line in complaints(result)] == []
    ran = [result for result in results if result.outcome]
    assert len(ran) == (
        len(CHOSEN) if backend == "namespaces" else len([1 for _, one in CHOSEN if not reason_not_run(one, Level.NONE)])
    )
    assert all(result.counts and result.score == 0.0 for result in ran)


def test_what_is_left_behind_is_seen_and_named() -> None:
    """Without isolation nobody wipes what was written outside the box's folder: the probe looks where it may."""
    need_namespaces()
    with Judge("namespaces", "none", SENTENCE, slots=1) as judge:
        seen = [result for result in besiege(judge, "g", script_rows("clean", "print(1)"), [FOOLED])]
    assert seen[0].left == ()
    left = replace(seen[0], left=("file ./mark", "process 7"))
    assert complaints(left) == ["LEFT BEHIND g clean/stdin: file ./mark; process 7"]


def test_a_pass_is_a_false_pass_and_a_fault_hurts() -> None:
    base = Result(group="g", name="n", form="call", counts=True, outcome="pass", trust="full", score=1.0)
    assert complaints(base) == ["FALSE PASS g n/call"]
    assert complaints(replace(base, trust="low")) == []
    assert complaints(replace(base, outcome="fault", score=None))[0].startswith("JUDGE HURT g n/call")
    rows = table([base, replace(base, outcome="", counts=False, why="exhausts resources or signals other processes")])
    assert rows[1].split()[:7] == ["g", "1", "2", "1", "1", "1", "0"]
    assert rows[-1].startswith("not run (1 rows), exhausts resources")


def test_without_isolation_harmful_rows_are_never_run() -> None:
    harmful = exhausting_rows("harm", "pass", Outcome.CPU_LIMIT, {})
    assert all(reason_not_run(one, Level.NONE) and not reason_not_run(one, Level.NAMESPACES) for one in harmful)
    assert all(reason_not_run(one, Level.NONE) for one in GROUPS["exhausting"])
    signals = [one for one in GROUPS["escaping"] if "kill" in one.name or "parent" in one.name]
    assert signals and all(reason_not_run(one, Level.NONE) for one in signals)


def test_the_command_lists_what_it_does_not_run_and_has_no_way_round_it() -> None:
    done = posttrain("attack", "--backend", "local", "--allow-unsafe", "--group", "exhausting")
    assert done.returncode == 0, done.stderr
    text = done.stdout.decode()
    assert "exhausts resources or signals other processes: big_file_without_writing" in text
    programs, rows = len({one.name for one in GROUPS["exhausting"]}), len(GROUPS["exhausting"])
    assert text.splitlines()[1].split()[:5] == ["exhausting", str(programs), str(rows), str(rows), "0"]
    assert b"UNSAFE" in done.stderr
    assert posttrain("attack", "--backend", "local").returncode == 69
    assert posttrain("attack", "--group", "nonsense").returncode == 2
