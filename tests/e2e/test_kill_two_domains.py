"""Kill -9 at twenty random moments of a two-domain RL stage with two trainers and two engines, each time one process of
those that the run has: no prompt is skipped, none comes twice, and what is published is what an undisturbed run
publishes."""

from __future__ import annotations

import json
import random
import subprocess
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest

from tests.e2e.test_kill_training import World, actors_below, check_equal
from tests.run.driving import published

pytestmark = [pytest.mark.ray, pytest.mark.long]

KILLS = 20
STEPS = 48
RECIPE = f"""\
schema: 1
name: killed
seed: 3
base: {{path: base}}
chat: {{template: chatml_think, stop: ["<|im_end|>"]}}
engine: {{backend: hf, context_tokens: 96}}
cluster: {{trainers: 2, engines: 2}}
verifiers:
  parity: {{kind: "parity_of_length:parity", on_truncated: judge}}
  brief: {{kind: format, on_truncated: judge}}
data:
  questions: {{source: jsonl, path: questions.jsonl, card: card.md}}
  others: {{source: jsonl, path: others.jsonl, card: card.md}}
stages:
  - {{kind: grpo, name: rl, prompts: {{questions: 0.5, others: 0.5}}, verifier: {{questions: parity, others: brief}},
     filter: null, group: 4, prompts_per_step: 4, micro_batch_size: 4, steps: {STEPS}, save_every: 1, max_tokens: 12,
     mask_truncated: false, learning_rate: 1e-3}}
evaluate: {{after: never}}
"""


def highest_step(world: World, place: str) -> int:
    names = (world.store(place) / "work").glob("grpo-*/attempt-*/rollouts/step-*.jsonl")
    return max((int(path.name[5:10]) for path in names), default=0)


def asked(files: dict[str, bytes]) -> dict[int, Counter[str]]:
    """Step -> prompts that it asked. Each step's answers are of its own policy."""
    found: dict[int, Counter[str]] = {}
    for name, text in files.items():
        if "/rollouts/step-" not in name:
            continue
        step = int(Path(name).name[5:10])
        groups = [json.loads(line) for line in text.splitlines()]
        found.setdefault(step, Counter()).update(f"{group['source']}/{group['prompt_id']}" for group in groups)
        assert {group["policy_version"] for group in groups} == {f"rl@{step - 1}"}, name
        assert {len(group["completions"]) for group in groups} == {4}, name
    return found


@pytest.mark.timeout(5400)
def test_killed_at_twenty_random_moments_no_prompt_is_skipped_or_doubled(tmp_path: Path) -> None:
    world = World(tmp_path, RECIPE)
    rows = [{"prompt": f"before {n}?", "gold": str(n - 1)} for n in range(6)]
    (tmp_path / "others.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    code, output = world.run("good")
    assert code == 0, output
    expected = published(world.store("good"))
    victims: Counter[str] = Counter()
    process: subprocess.Popen[str] | None = None
    ends: Counter[int] = Counter()
    for _ in range(KILLS):
        before, began = highest_step(world, "bad"), time.monotonic()
        while process is None or highest_step(world, "bad") <= before:
            if process is None or process.poll() is not None:
                if process is not None:
                    said = process.communicate()[0]
                    assert process.returncode == 1 and "Traceback" not in said, said
                    ends[1] += 1
                process = world.start("bad")
            assert time.monotonic() - began < 300, "no further step within five minutes"
            time.sleep(0.02)
        time.sleep(random.uniform(0.0, 1.0))
        victim = random.choice([psutil.Process(process.pid), *actors_below(process.pid)])
        victims["driver" if victim.pid == process.pid else "actor"] += 1
        victim.kill()
        if victim.pid == process.pid:
            process.communicate()
            ends[process.returncode] += 1
            process = None
    if process is not None:
        process.communicate()
    code, output = world.run("bad")
    assert code == 0, output
    found = published(world.store("bad"))
    wanted = asked(expected)
    assert sorted(wanted) == list(range(1, STEPS + 1)) and {counts.total() for counts in wanted.values()} == {4}
    assert asked(found) == wanted
    check_equal(found, expected)
    print(f"{KILLS} kills ({dict(victims)}), attempts that ended {dict(ends)}: the same bytes")
