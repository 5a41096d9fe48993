"""Properties of the report: self-contained, inert whatever models wrote, honest about what is missing, small."""

from __future__ import annotations

import dataclasses
import html.parser
import io
import itertools
import json
import re

import pytest
from rich.console import Console

from posttrain.errors import RunFolderError
from posttrain.evaluate.table import print_table
from posttrain.records.reader import StageRecord, read_run, verdicts_of
from posttrain.report.figures import curve, difficulty_chart, group_means, nice_ticks
from posttrain.report.html import POLICY, render_report, write_report
from posttrain.report.sections import KIND_WORDS, lanes
from posttrain.report.text import clip, compact, escape
from posttrain.report.training import read_series
from posttrain.stages import STAGES
from tests.report.synthetic_run import build_run

HOSTILE = [
    "<script>document.title='owned'</script>",
    "</style></pre></div><img src=x onerror=alert(1)><svg onload=alert(1)>",
    "\u202egnp.exe\u2066 hidden\u0000\u001b[31m",
    '" onmouseover="alert(1)',
    "\ud800 lone surrogate",
    "<!--",
    "&lt;script&gt; &amp;#x3c;",
]
VOID = {"meta", "link", "br", "img", "input", "hr"}


class Balance(html.parser.HTMLParser):
    """Collects tags and checks that every element is closed where it should be."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.errors: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.errors.append(tag)


def parsed(page: str) -> Balance:
    parser = Balance()
    parser.feed(page)
    parser.close()
    assert not parser.errors and not parser.open
    return parser


def test_a_suite_says_beside_its_scores_what_was_found_of_it_in_training_rows(tmp_path):
    run = read_run(build_run(tmp_path / "run"))
    found = "contamination: checked against 100 rows, 12 hits removed"
    row = dataclasses.replace(
        run.stages[0].row, name="tidy", kind="clean", metrics={"verdicts": {"stem_held_out": found}}
    )
    page = render_report(
        dataclasses.replace(run, stages=(*run.stages, StageRecord(row=row, folder=None, manifest=None)))
    )
    assert page.count(f"tidy: {found}") == 1
    assert re.search(rf'<th scope="col">stem<br><small class=soft>tidy: {found}</small></th>', page)
    assert found not in render_report(run)


def test_why_an_rl_stage_ended_early_and_its_alarms_are_said(tmp_path):
    run = read_run(build_run(tmp_path / "run"))
    stem = run.stage("stem")
    told = {"ended": "guard", "published_step": 12, "steps": 30, "alarms": {"length_drift": 3}}
    row = dataclasses.replace(stem.row, metrics={**stem.row.metrics, **told})
    changed = tuple(dataclasses.replace(one, row=row) if one is stem else one for one in run.stages)
    page = render_report(dataclasses.replace(run, stages=changed))
    assert "stem: ended after step 30, as its guard suite fell; published is step 12" in page
    assert "stem: alarms: length_drift in 3 steps" in page
    assert "ended after step" not in render_report(run)


def test_the_page_holds_every_section_of_a_whole_run(tmp_path):
    page = write_report(build_run(tmp_path / "run")).read_text()
    for title in (
        "Results",
        "Timeline",
        "Training",
        "Difficulty filters",
        "Verdicts",
        "Sampled rollouts",
        "Provenance",
    ):
        assert f"<h2>{title}</h2>" in page
    assert "<b>2.7 → 68.7</b>" in page and "[59.5, 74.5]" in page and "integer_differs" in page
    assert len(page.encode()) < 1_000_000


def test_the_page_is_well_formed_and_asks_for_nothing(tmp_path):
    found = parsed(write_report(build_run(tmp_path / "run")).read_text())
    assert not {tag for tag, _ in found.tags} & {
        "script",
        "iframe",
        "object",
        "embed",
        "form",
        "img",
        "video",
        "audio",
        "base",
    }
    for _, attributes in found.tags:
        assert not any(name.startswith("on") for name in attributes)
        for name in ("src", "href"):
            address = attributes.get(name) or ""
            assert address == "data:," or not re.match(r"(?i)[a-z]+:|//", address), address
    assert any(attributes.get("content") == POLICY for tag, attributes in found.tags if tag == "meta")


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        (
            "rollouts/step-00001.jsonl",
            ['{"completions": "x"}', '{"completions": [[1], {"verdict": "good"}]}', '{"prompt": {"a": 1}}', "3"],
        ),
        (
            "metrics.jsonl",
            [
                '{"step": 1, "loss": 1e308}',
                '{"step": 2, "loss": -1e308}',
                '{"step": 1e999, "loss": 1}',
                '{"step": "a"}',
            ],
        ),
    ],
)
def test_a_stage_of_the_users_own_may_publish_rows_of_another_shape(tmp_path, name, rows):
    folder = build_run(tmp_path / "run")
    (folder / "stages" / "stem" / name).write_text("\n".join(rows) + "\n")
    assert not parsed(write_report(folder).read_text()).errors
    print_table(folder, Console(file=io.StringIO()))


def test_answers_that_nobody_judged_are_shown_and_are_no_verdicts(tmp_path):
    """As a distillation publishes them."""
    folder = build_run(tmp_path / "run", steps=2)
    (folder / "stages" / "distil" / "rollouts").mkdir()
    group = json.loads((folder / "stages" / "stem" / "rollouts" / "step-00001.jsonl").read_text().splitlines()[0])
    group["completions"] = [
        {key: value for key, value in one.items() if key != "verdict"} | {"text": "by the student"}
        for one in group["completions"]
    ]
    (folder / "stages" / "distil" / "rollouts" / "step-00001.jsonl").write_text(json.dumps(group) + "\n")
    assert [one.step for one in verdicts_of(read_run(folder)) if one.step == "distil"] == []
    assert "by the student" in write_report(folder).read_text()


def test_links_point_only_at_what_is_there(tmp_path):
    folder = build_run(tmp_path / "run")
    found = parsed(write_report(folder).read_text())
    addresses = [attributes["href"] for tag, attributes in found.tags if tag == "a"]
    assert "results.json" in addresses and "MODEL_CARD.md" not in addresses
    assert all((folder / address).exists() for address in addresses)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_of_a_model_stays_text(tmp_path, text):
    folder = build_run(tmp_path / "run", steps=2)
    for path in (folder / "stages").glob("*/rollouts/*.jsonl"):
        groups = [json.loads(line) for line in path.read_text().splitlines()]
        for group in groups:
            group["prompt"] = group["prompt_id"] = text
            for completion in group["completions"]:
                completion["text"] = text + "<think>" + text
                completion["verdict"] |= {"reason": text, "extracted": text, "outcome": text}
        path.write_text("".join(json.dumps(group) + "\n" for group in groups))
    results = json.loads((folder / "results.json").read_text())
    results["stages"][-1] |= {"status": "failed", "error": text}
    (folder / "results.json").write_text(json.dumps(results))
    clean = parsed(write_report(build_run(tmp_path / "clean", steps=2)).read_text())
    dirty = parsed(write_report(folder).read_text(encoding="utf-8"))
    assert {tag for tag, _ in dirty.tags} <= {tag for tag, _ in clean.tags} | {"p"}
    assert {name for _, attributes in dirty.tags for name in attributes} == {
        name for _, attributes in clean.tags for name in attributes
    }


def test_direction_overrides_and_controls_become_visible():
    shown = escape("\u202egnp\u0000\u200b")
    assert shown == "[U+202E]gnp[U+0000][U+200B]"
    assert escape("a\n\tb") == "a\n\tb"


def test_huge_text_is_cut_with_the_count_left_out():
    assert clip("x" * 5_000_000, 100) == "x" * 100 + '<span class="cut"> … 4,999,900 more characters</span>'


def test_a_huge_run_gives_a_small_page(tmp_path):
    folder = build_run(tmp_path / "run", steps=2)
    for name in ("stem", "code", "preference"):
        rows = [{"step": i, **{f"metric_{j}": float(i % 97) for j in range(30)}} for i in range(3000)]
        (folder / "stages" / name / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        path = folder / "stages" / name / "rollouts" / "step-00001.jsonl"
        group = json.loads(path.read_text().splitlines()[0])
        group["completions"] = [completion | {"text": "y" * 200_000} for completion in group["completions"]]
        path.write_text((json.dumps(group) + "\n") * 10)
    page = write_report(folder).read_text()
    assert len(page.encode()) < 1_000_000
    assert (
        "18 more metrics in metrics.jsonl" in page and "198,200 more characters" in page and "2 of 10 prompts" in page
    )


def test_a_run_that_failed_says_so_and_shows_the_rest(tmp_path):
    page = write_report(build_run(tmp_path / "run", failed="code")).read_text()
    assert "<b>code</b> failed: StageError: 9 % of verdicts" in page
    assert "steps have not run yet" in page and "<h2>Results</h2>" in page
    assert "<h3>preference" not in page


def test_what_a_stage_remarked_stands_at_the_top(tmp_path):
    run = build_run(tmp_path / "run")
    results = json.loads((run / "results.json").read_text())
    row = next(row for row in results["stages"] if row["name"] == "general")
    row["metrics"]["remarks"] = ["out of memory with 4 rows a forward pass: went on with <2>"]
    (run / "results.json").write_text(json.dumps(results))
    page = write_report(run).read_text()
    assert "<p>general: out of memory with 4 rows a forward pass: went on with &lt;2&gt;.</p>" in page
    assert "continues where this one ended" not in page


def test_a_run_before_its_first_evaluation_has_a_page(tmp_path):
    page = write_report(build_run(tmp_path / "run", failed="base")).read_text()
    assert "No checkpoint has been evaluated yet" in page and "No stage has published metrics yet" in page
    parsed(page)


def test_the_same_run_gives_the_same_bytes(tmp_path):
    folder = build_run(tmp_path / "run")
    first = write_report(folder).read_bytes()
    assert write_report(folder).read_bytes() == first


def test_a_folder_without_results_is_refused_and_nothing_is_written(tmp_path):
    with pytest.raises(RunFolderError):
        write_report(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_lanes_lie_end_to_end_and_add_up(tmp_path):
    run = read_run(build_run(tmp_path / "run"))
    found = lanes(run)
    whole = sum(stage.row.seconds or 0 for stage in run.stages)
    assert sum(lane.seconds or 0 for lane in found) == pytest.approx(whole)
    assert all(lane.tokens.generated for lane in found if lane.kind in ("evaluate", "filter", "grpo", "pairs"))
    for earlier, later in itertools.pairwise(found):
        assert later.start == pytest.approx(earlier.start + (earlier.seconds or 0))
    assert sum(lane.name == "evaluation of general" for lane in found) == 1


def test_numbers_that_are_not_finite_are_left_out_and_counted(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text(
        '{"step": 1, "loss": 2.0, "note": "x", "ok": true}\n{"step": 2, "loss": NaN}\n{"step": 3, "loss": '
        'Infinity}\n{"step": 4, "lo'
    )
    assert read_series(path) == ({"loss": [(1.0, 2.0)]}, 2)


def test_ticks_are_round_and_cover_the_range():
    assert nice_ticks(0.31, 0.97, 3) == [0.0, 0.5, 1.0]
    for low, high in ((0, 1e-9), (-5, -5), (3, 3.0001), (0, 12345678), (-0.2, 0.3)):
        ticks = nice_ticks(low, high, 4)
        assert ticks[0] <= low and ticks[-1] >= high and 2 <= len(ticks) <= 7


def test_a_long_curve_is_grouped_and_keeps_its_last_step():
    groups = group_means([(float(i), 1.0) for i in range(1001)], 160)
    assert len(groups) <= 160 and groups[-1][0] == 1000.0 and sum(members for _, _, members in groups) == 1001
    assert len(curve("loss", [(float(i), i % 7) for i in range(100_000)])) < 12_000


def test_a_curve_of_one_point_and_an_empty_histogram_are_drawn():
    assert "<circle" in curve("loss", [(1.0, 0.5)])
    assert "nan" not in difficulty_chart("f", [0, 0, 0], [False, False, False]).lower()


def test_the_histogram_marks_what_was_kept(tmp_path):
    page = render_report(read_run(build_run(tmp_path / "run")))
    assert re.search(r'class="bar kept"[^>]*><title>8 of 16 right: \d+ prompts, kept', page)
    assert re.search(r'class="bar"[^>]*><title>0 of 16 right: \d+ prompts, left out', page)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (0, "0"),
        (0.5, "0.5"),
        (1234, "1,234"),
        (12345, "12.3 k"),
        (1234567, "1.23 M"),
        (4.12e-4, "4.12e-4"),
    ],
)
def test_compact_numbers(value, text):
    assert compact(value) == text


def test_each_kind_of_step_has_its_words_in_the_timeline() -> None:
    assert set(KIND_WORDS) == set(STAGES)
