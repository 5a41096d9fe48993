"""Which libraries come with an extra of this package, and what to tell who lacks one. Standard library only."""

from __future__ import annotations

import shutil
import subprocess

from posttrain.errors import BackendError

FROM_EXTRAS = {
    *("torch", "transformers", "trl", "ray", "peft", "datasets", "accelerate", "safetensors", "tokenizers", "jinja2"),
    *("numpy", "psutil", "huggingface_hub", "reasoning_gym", "rensa"),
}


def has_nvidia_gpu() -> bool:
    """True when the NVIDIA driver lists at least one device."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return False
    try:
        done = subprocess.run([tool, "-L"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and "GPU " in done.stdout


def missing_backend(error: ModuleNotFoundError) -> BackendError | None:
    """The error to show a user who lacks a library of an extra, with the command that brings it; None for a module
    that no extra brings."""
    name = (error.name or "").split(".")[0]
    if name == "vllm":
        return BackendError(
            "vLLM is not installed", remedy="posttrain setup (with an NVIDIA GPU: pip install 'posttrain[gpu]')"
        )
    if name in FROM_EXTRAS:
        extra = "gpu" if has_nvidia_gpu() else "cpu"
        remedy = f"pip install 'posttrain[{extra}]', then posttrain setup"
        return BackendError(
            f"{name} is not installed: this is the bare posttrain, which plans and judges", remedy=remedy
        )
    return None
