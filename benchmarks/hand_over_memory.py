"""Main memory that a hand-over of weights takes, as multiples of the model in the engine's dtype: eight engines on this
machine, each reading one tensor at a time as vLLM does. Prints Markdown.

    python benchmarks/hand_over_memory.py [--engines 8] [--megabytes 512]

Rows: shared memory that all engines read (what trainers do), and one message for each engine (what they did before).
Measured is the largest fall of the machine's available memory while the engines take the weights, the trainer's own
float32 weights aside; the engines are stand-ins that keep nothing.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

DTYPE = "bfloat16"


class Reader:
    """Takes weights as an engine does, and keeps none."""

    def update_from(self, path: str, version: str) -> float:
        """From memory that the trainer shares."""
        from posttrain.rollout.shared_weights import WeightsAt

        return _read(WeightsAt(path).items())

    def update_weights(self, weights: Mapping[str, Any], version: str) -> float:
        """From the message itself."""
        return _read(weights.items())


def _read(tensors: Iterable[tuple[str, Any]]) -> float:
    return sum(float(tensor.float().abs().max()) for _, tensor in tensors)


def available() -> int:
    """Bytes."""
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    raise SystemExit("no MemAvailable in /proc/meminfo")


def largest_fall(work: Callable[[], Any]) -> tuple[int, float]:
    """(bytes, seconds) of the work."""
    before, least, over = available(), [available()], threading.Event()

    def watch() -> None:
        while not over.is_set():
            least[0] = min(least[0], available())
            time.sleep(0.01)

    watcher = threading.Thread(target=watch)
    watcher.start()
    start = time.monotonic()
    work()
    seconds = time.monotonic() - start
    over.set()
    watcher.join()
    return before - least[0], seconds


def main() -> None:
    """Both ways in one run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engines", type=int, default=8)
    parser.add_argument("--megabytes", type=int, default=512, help="of the model in the engine's dtype")
    options = parser.parse_args()
    import ray
    import torch

    from posttrain.machine.cluster import ActorSpec, Cluster, first_failure
    from posttrain.rollout.shared_weights import WeightMemory

    size = options.megabytes * 2**20
    # Room for a message to each engine: else Ray would put them on the disk.
    ray.init(
        address="local", object_store_memory=2 * options.engines * size, include_dashboard=False, log_to_driver=False
    )
    rows, width = 64, 4096
    count = max(1, size // 2 // (rows * width))
    model = {f"layer.{number}": torch.randn(rows, width) for number in range(count)}
    size = count * rows * width * 2
    with tempfile.TemporaryDirectory() as logs:
        cluster = Cluster(address="local", placement_timeout_seconds=120, logs=Path(logs))
        names = [f"reader-{number}" for number in range(options.engines)]
        readers = cluster.start_group([ActorSpec(name=name, target=Reader, kwargs={}) for name in names])
        small = {"warm": torch.ones(2)}
        first_failure([reader.submit("update_weights", small, "warm") for reader in readers])
        memory = WeightMemory()

        def shared() -> None:
            path = memory.filled(model, dict, DTYPE).path
            first_failure([reader.submit("update_from", path, "step") for reader in readers])

        def messages() -> None:
            weights = {name: tensor.to(torch.bfloat16) for name, tensor in model.items()}
            first_failure([reader.submit("update_weights", weights, "step") for reader in readers])

        print(f"| {options.engines} engines, {size / 2**20:.0f} MiB in {DTYPE} | memory, multiples of the model | s |")
        print("| --- | ---: | ---: |")
        for label, work in (("shared memory", shared), ("one message an engine", messages)):
            fall, seconds = largest_fall(work)
            print(f"| {label} | {fall / size:.2f} | {seconds:.1f} |", flush=True)
            time.sleep(3.0)  # for what the first left to be given back
        cluster.close()
    ray.shutdown()


if __name__ == "__main__":
    main()
