"""Peak memory of a process, of its data loader's workers, and of the GPU."""

from __future__ import annotations

import multiprocessing
import sys
from pathlib import Path

import torch

MIB = 2**20


def peak_mib() -> float:
    """Return this process's peak resident memory in MiB; not a number where Python cannot tell (Windows)."""
    try:
        import resource
    except ImportError:
        return float("nan")
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / MIB


class Memory:
    """Peak memory of a measurement: call `read_workers` while the workers are there, then `peak`."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.workers_mib = device, 0.0

    def read_workers(self) -> None:
        """Add up what the workers hold for themselves, beyond the pages that they share with this process."""
        own = 0
        for child in multiprocessing.active_children():
            try:
                lines = Path(f"/proc/{child.pid}/smaps_rollup").read_text().splitlines()
            except OSError:  # no such file on this system: workers then count nothing
                continue
            own += sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))
        self.workers_mib = own / 1024

    def peak(self) -> dict[str, float | None]:
        """Return the peak in MiB: ``host_mib``, of it ``workers_mib``, and on CUDA ``device_mib``."""
        host = peak_mib() + self.workers_mib
        on_cuda = self.device.type == "cuda"
        return {
            "host_mib": None if host != host else round(host, 1),
            "workers_mib": round(self.workers_mib, 1),
            "device_mib": torch.cuda.max_memory_allocated(self.device) / MIB if on_cuda else None,
        }
