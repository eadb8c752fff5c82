"""The small network that travels with the package, by each program that can run it: images a second."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fercourse.bench.jobs import Job

if TYPE_CHECKING:
    import numpy as np
    import torch

#: How it is run -> the file of the package that is, and its number format.
VARIANTS = {
    "PyTorch": (None, "fp32"),
    "onnxruntime": ("small.onnx", "fp32"),
    "onnxruntime, 8 bits": ("small-int8.onnx", "int8"),
}
#: One picture, as a page or a camera has it; and many.
BATCH_SIZES = (1, 64)


def variants(device_kind: str) -> list[str]:
    """Return what can be measured here: onnxruntime where it is installed and the device is a CPU."""
    with_onnx = device_kind == "cpu" and importlib.util.find_spec("onnxruntime") is not None
    return [name for name, (file, _) in VARIANTS.items() if file is None or with_onnx]


def runner(job: Job, images: np.ndarray, device: torch.device) -> Callable[[int], None]:
    """Return a function that answers n batches of uint8 images (N, 48, 48), from bytes to logits."""
    import torch

    from fercourse.evaluate import predict
    from fercourse.predict import load_network, load_small

    if device.type != "cpu":
        model, on_device = load_small().to(device), torch.from_numpy(images).to(device)

        def logits(some: Any, batch_size: int) -> Any:
            return predict(model, some, batch_size=batch_size)

        pictures: Any = on_device
    else:
        file = VARIANTS[job.variant][0]
        path = None if file is None else Path(str(resources.files("fercourse"))) / "small" / file
        logits = load_network(path, threads=torch.get_num_threads()).logits
        pictures = images

    def run(steps: int) -> None:
        left = steps * job.batch_size
        while left > 0:
            logits(pictures[:left], job.batch_size)
            left -= len(pictures)

    return run
