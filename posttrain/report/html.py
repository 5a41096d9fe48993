"""The report of a run: one HTML file that opens offline, holds no script and asks for nothing over a network.

    posttrain report runs/demo

Made from results.json, manifests and published files alone, so the same run gives the same bytes, and a run that broke
off gives the page of what it has. Knows nothing of how a section is written (sections.py, training.py) or how a run is
read (records/reader.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from posttrain.errors import RecipeError
from posttrain.evaluate.table import build_table
from posttrain.recipe.load import load_resolved
from posttrain.recipe.schema import Recipe
from posttrain.records.reader import Run, read_run
from posttrain.records.run_files import RECIPE
from posttrain.report import sections, training
from posttrain.report.data_stages import data_stages
from posttrain.report.style import CSS
from posttrain.report.text import escape
from posttrain.store.atomic import write_bytes

# No script, no connection, no frame, no form: even markup that slipped through could neither run nor call out.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
LINKS = (
    ("model", "model"),
    ("model card", "MODEL_CARD.md"),
    ("results.json", "results.json"),
    ("recipe.json", "recipe.json"),
    ("stages", "stages"),
    ("logs", "logs"),
)


def write_report(run_dir: Path) -> Path:
    """Write `run_dir`/report.html (replaced whole) and return its path. RunFolderError when the folder holds no
    readable results.json."""
    path = run_dir / "report.html"
    write_bytes(path, render_report(read_run(run_dir)).encode("utf-8"), point="report.html", durable=False)
    return path


def _remarks(run: Run) -> list[str]:
    """What stages said of themselves beside their numbers, such as of memory that ran out or of a gate."""
    found = ((stage.name, stage.row.metrics.get("remarks")) for stage in run.stages)
    said = [f"{name}: {remark}" for name, told in found if isinstance(told, list) for remark in told]
    return said + [f"{stage.name}: {line}" for stage in run.stages for line in _end_of(stage.row.metrics)]


def _end_of(metrics: Mapping[str, Any]) -> list[str]:
    """Why an RL stage ended before its last step, and the alarms that it raised."""
    said = []
    if metrics.get("ended") in ("plateau", "guard"):
        why = "its reward no longer rose" if metrics["ended"] == "plateau" else "its guard suite fell"
        said.append(f"ended after step {metrics['steps']}, as {why}; published is step {metrics['published_step']}")
    alarms = metrics.get("alarms")
    if isinstance(alarms, dict) and alarms:
        said.append("alarms: " + ", ".join(f"{name} in {count} steps" for name, count in sorted(alarms.items())))
    return said


def _contamination(run: Run, recipe: Recipe | None) -> dict[str, list[str]]:
    """Suite -> what each clean stage found when it held its rows against the suite."""
    found: dict[str, list[str]] = {}
    for suite, rules in recipe.evaluate.suites.items() if recipe is not None else ():
        for stage in run.stages:
            verdicts = stage.row.metrics.get("verdicts") if stage.row.kind == "clean" else None
            if isinstance(verdicts, dict) and rules.data in verdicts:
                found.setdefault(suite, []).append(f"{stage.name}: {verdicts[rules.data]}")
    return found


def render_report(run: Run) -> str:
    """The page as text; nothing is written."""
    table = build_table(run)
    recipe, notes = _read_recipe(run.folder)
    links = [(label, name) for label, name in LINKS if (run.folder / name).exists()]
    body = "\n".join(
        (
            sections.head(run, table, recipe, links),
            sections.notice(run, (*run.notes, *notes, *_remarks(run))),
            sections.score_section(table, _contamination(run, recipe)),
            sections.timeline(run),
            training.curves(run),
            data_stages(run),
            training.filters(run),
            training.verdicts(table.verdicts),
            training.rollouts(run, recipe.chat.think if recipe is not None else ()),
            training.provenance(run),
        )
    )
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>{escape(run.name)}: posttrain report</title>
<style>{CSS}</style>
</head>
<body>
<main>
{body}
<footer>Written by posttrain from this run's published files.</footer>
</main>
</body>
</html>
"""


def _read_recipe(folder: Path) -> tuple[Recipe | None, tuple[str, ...]]:
    """The recipe of the run, and what to say where its file is there and cannot be read as one."""
    try:
        return load_resolved((folder / RECIPE).read_text(encoding="utf-8")), ()
    except FileNotFoundError:
        return None, ()
    except (OSError, UnicodeError, RecipeError) as error:
        return None, (f"{RECIPE} cannot be read: {str(error).splitlines()[0]}",)
