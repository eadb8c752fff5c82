"""A network as a graph of operations: its multiply-accumulates, and whether it can be exported."""

from __future__ import annotations

import contextlib
import inspect
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from fercourse.check.probes.forward import Setting, _same
from fercourse.check.probes.source import raised_at
from fercourse.errors import one_line
from fercourse.evaluate.cost import measure_macs


def count_macs(setting: Setting) -> int:
    """Return the multiply-accumulates for one image; see `fercourse.evaluate.cost.measure_macs`."""
    return measure_macs(setting.model.eval(), setting.images(2))


def try_export(setting: Setting) -> tuple[bool, str]:
    """Export with torch.export for any number of images; run the result and compare.

    This graph is what torch.onnx, and so `fercourse export`, translates; the translation itself is left out,
    because it takes several times as long as all other questions together.
    """
    model = setting.model.eval()
    example, other = setting.images(3), setting.images(5, seed=4)
    try:
        with quiet():
            program = _capture(model, example)
    except Exception as error:  # torch.export's errors have no common base
        return False, _why_not(model, example, error)
    with torch.no_grad():
        expected = model(other)
        try:
            found = program.module()(other)
        except Exception as error:
            return False, f"the exported graph fails on another batch: {one_line(error, 160)}"
    if found.shape != expected.shape or not _same(expected, found):
        return False, (
            "the exported graph gives other logits for other images: forward takes a number from the first "
            "ones and keeps it, or changes what it keeps"
        )
    return True, "torch.export gives a graph for any number of images, with the same logits"


def _capture(model: nn.Module, example: torch.Tensor, *, any_batch: bool = True) -> Any:
    """Return the exported program. As torch.onnx does, Python is run first and read (strict) if that fails.

    Reading keeps len(x) open, for one, which running turns into a number.
    """
    first: Exception | None = None
    for strict in (False, True) if any_batch else (False,):
        # A copy each time: the tensor itself is marked with the size that may vary.
        sizes: Any = ({0: torch.export.Dim.DYNAMIC},) if any_batch else None
        if sizes and any(
            p.kind is p.VAR_POSITIONAL for p in inspect.signature(model.forward).parameters.values()
        ):
            sizes = (sizes,)  # forward(self, *images)
        try:
            with torch.no_grad():
                return torch.export.export(model, (example.clone(),), dynamic_shapes=sizes, strict=strict)
        except Exception as error:
            first = first or error
            if not _about_sizes(error):
                break
    assert first is not None
    raise first


def _about_sizes(error: Exception) -> bool:
    signs = ("pecializ", "inferred to be a constant", "Constraints violated")
    return any(sign in str(error) for sign in signs)


def _why_not(model: nn.Module, example: torch.Tensor, error: Exception) -> str:
    at = raised_at(error)
    where = f" ({at})" if at else ""
    text = str(error)
    if "data-dependent" in text or "DataDependent" in type(error).__name__:
        return (
            f"forward decides by values that only running it gives{where}: `if` on a tensor, .item(), a "
            f"mask's size. A graph has one path; use torch.where, or no decision"
        )
    if _about_sizes(error):
        try:
            with quiet():
                _capture(model, example, any_batch=False)
        except Exception as second:
            error, text = second, str(second)
        else:
            return (
                "it exports for a fixed number of images only: forward makes a plain number of the batch's "
                "size, or loops over the images; let PyTorch work on the whole batch, with x.shape[0] or -1"
            )
    if "numpy" in text or "FakeTensor" in text or "fake tensor" in text.lower():
        return f"forward leaves PyTorch (numpy, PIL, a list of numbers){where}: stay with tensors"
    return f"torch.export raised {type(error).__name__}{where}: {one_line(text, 160)}"


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep warnings and log lines from the student's notebook."""
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
