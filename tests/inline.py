"""What a chapter defines inline, to teach it, and how two modules are compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

import notebooks

CHAPTERS = Path(__file__).parents[1] / "chapters"


def inline(stem: str) -> dict[str, Any]:
    """Run a chapter's imports and the cells that it marks as definitions of its own; return their names."""
    names: dict[str, Any] = {}
    for cell in notebooks.jupytext.read(CHAPTERS / f"{stem}.py", fmt="py:percent").cells:
        imports = cell.source.startswith(("import ", "from ")) and "use_style" in cell.source
        if imports or "inline" in cell.metadata.get("tags", []):
            exec(compile(cell.source, stem, "exec"), names)
    return names


def inline_names() -> dict[str, set[str]]:
    """Return the names that each chapter defines inline, by the chapter's file name without its ending."""
    found: dict[str, set[str]] = {}
    for path in sorted(CHAPTERS.glob("[0-9]*.py")):
        for cell in notebooks.jupytext.read(path, fmt="py:percent").cells:
            if "inline" in cell.metadata.get("tags", []):
                found.setdefault(path.stem, set()).update(notebooks.bound_names(cell.source))
    return found


def assert_same(ours: nn.Module, packaged: nn.Module, x: torch.Tensor) -> None:
    """Same weights by the same names, same outputs and gradients, in evaluation and in training."""
    ours.load_state_dict(packaged.state_dict())
    for mode in (False, True):
        results = []
        for module in (ours.train(mode), packaged.train(mode)):
            torch.manual_seed(3)  # the same dropout
            module.zero_grad()
            inputs = x.clone().requires_grad_()
            out = module(inputs)
            out.square().sum().backward()
            results.append((out.detach(), inputs.grad))
        for one, other in zip(*results, strict=True):
            torch.testing.assert_close(one, other)
    for name, value in packaged.state_dict().items():  # running statistics too
        torch.testing.assert_close(ours.state_dict()[name], value)


def faces(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(5)
    images = torch.randint(0, 256, (count, 48, 48), dtype=torch.uint8, generator=draw)
    return images, torch.randint(0, 7, (count,), generator=draw)
