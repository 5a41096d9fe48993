"""Every shipped kind and adapter under every check of the conformance kit, and every seeded fault under all of them.

    python benchmarks/verifier_kit.py

The tests ask each fault for its own check only, and start child processes for a few; here nothing is left out but Ray.
Exit 1 on an alarm or a miss.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rewards.kit.examine import examine
from rewards.kit.finding import failed_checks
from rewards.load import build_verifier
from rewards.services import Services
from tests.rewards.test_kit import FOREIGN, SEEDED, SHIPPED, examined, sample


def main() -> int:
    alarms = missed = 0
    for kind, (options, samples) in SHIPPED.items():
        found = failed_checks(examined({"kind": kind, "deadline_seconds": 10.0, **options}, samples, children=True))
        alarms += bool(found)
        print(f"{kind:40}{', '.join(found) or 'no alarm'}", flush=True)
    for pattern, options in FOREIGN.items():
        kind = pattern.format("tests.rewards.foreign_rewards")
        found = failed_checks(
            examined({"kind": kind, "deadline_seconds": 10.0, **options}, [sample("it is 42", "42")], children=True)
        )
        alarms += bool(found)
        print(f"{kind:60}{', '.join(found) or 'no alarm'}", flush=True)
    os.environ["FAULTY_FOLDER"] = tempfile.mkdtemp(prefix="posttrain-kit-")  # one of them leaves folders behind
    for kind, check in SEEDED.items():
        built = build_verifier({"kind": kind, "deadline_seconds": 0.5}, Services(workers=2))
        found = failed_checks(examine(built, patience_seconds=10.0)[0])
        missed += check not in found
        print(f"{kind:60}{check:14}caught by {', '.join(found) or 'NONE'}", flush=True)
    shutil.rmtree(os.environ["FAULTY_FOLDER"])
    print(
        f"{alarms} alarms on {len(SHIPPED) + len(FOREIGN)} shipped kinds and adapters; {missed} of {len(SEEDED)} "
        "seeded faults missed"
    )
    return 1 if alarms or missed else 0


if __name__ == "__main__":
    sys.exit(main())
