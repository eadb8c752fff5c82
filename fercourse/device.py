"""Which device, number format and memory layout a training runs in."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from fercourse.errors import FercourseError

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": None}


@dataclass(frozen=True)
class Precision:
    """Number format of the forward pass ('fp32', 'bf16' or 'fp16') and memory layout; weights stay fp32."""

    name: str
    channels_last: bool

    @property
    def memory_format(self) -> torch.memory_format:
        return torch.channels_last if self.channels_last else torch.contiguous_format

    def autocast(self, device: torch.device) -> AbstractContextManager[None]:
        """Return the autocast context for this format; off for fp32."""
        dtype = DTYPES[self.name]
        return torch.autocast(device.type, dtype=dtype, enabled=dtype is not None)


def pick_device(name: str | None = None) -> torch.device:
    """Return the named device, or the best there is: CUDA, then Apple's MPS, then the CPU.

    Raises:
        FercourseError: the name is not a device of this machine.
    """
    if name is None:
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise FercourseError(
            f"Device {name!r} cannot be used on this machine: expected 'cpu', 'cuda' or 'mps', "
            "the latter two where the hardware and this build of PyTorch have them."
        ) from error
    return device


def cpu_multiplies_bf16() -> bool:
    """Whether the CPU has bf16 instructions; without them bf16 is many times slower than fp32."""
    try:
        capabilities = torch.cpu.get_capabilities()
    except AttributeError:  # before torch 2.11
        cpuinfo = Path("/proc/cpuinfo")
        flags = cpuinfo.read_text() if cpuinfo.exists() else ""
        return "avx512_bf16" in flags or "amx_bf16" in flags
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def pick_precision(model: nn.Module, device: torch.device, name: str = "auto") -> Precision:
    """Return the fastest format known for this model on this device, or the named one.

    Known, not measured at the start, so that a resumed or repeated run computes in the same format:

    - CUDA of compute capability 8 (Ampere, 2020) and later: bf16. Older, such as Colab's T4: fp16, whose
      narrow range makes `fit` scale the loss.
    - CPU with bf16 instructions: bf16, but fp32 where depthwise convolutions rule (MobileNets), which gain
      nothing from it. CPU without: fp32.
    - MPS: fp32, contiguous.

    Raises:
        FercourseError: the name is none of auto, fp32, bf16, fp16.
    """
    if name not in ("auto", *DTYPES):
        raise FercourseError(f"Precision {name!r} is unknown: expected auto, {', '.join(DTYPES)}.")
    channels_last = device.type in ("cuda", "cpu")
    if name == "auto":
        if device.type == "cuda":
            name = "bf16" if torch.cuda.get_device_capability(device)[0] >= 8 else "fp16"
        elif device.type == "cpu" and cpu_multiplies_bf16():
            depthwise = any(isinstance(m, nn.Conv2d) and m.groups > 1 for m in model.modules())
            name = "fp32" if depthwise else "bf16"
        else:
            name = "fp32"
    if device.type == "cpu" and name == "fp16":
        raise FercourseError("Precision 'fp16' does not train on a CPU: choose auto, fp32 or bf16.")
    return Precision(name, channels_last)


@contextmanager
def fastest_kernels() -> Iterator[None]:
    """Let cuDNN time its kernels once for each convolution and keep the fastest."""
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = True
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


def describe_device(device: torch.device) -> str:
    """Return a device's name for people and records, such as 'NVIDIA H200' or 'CPU (AMD EPYC, 2 threads)'."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "mps":
        return f"Apple GPU ({platform.machine()})"
    try:
        name = torch.cpu.get_capabilities().get("cpu_name")
    except AttributeError:
        name = None
    threads = torch.get_num_threads()
    return f"CPU ({name or platform.machine()}, {threads} thread{'s' if threads > 1 else ''})"
