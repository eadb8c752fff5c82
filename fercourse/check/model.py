"""`check_model`: the questions to ask a new network before it is trained, in one call."""

from __future__ import annotations

import contextlib
import io
import random
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from fercourse.check.probes.build import build, device_of, unregistered
from fercourse.check.probes.forward import Setting, try_batch, try_eval, try_forward
from fercourse.check.probes.graph import count_macs, quiet, try_export
from fercourse.check.probes.source import explain
from fercourse.check.probes.training import judge_gradients, judge_overfit, try_training
from fercourse.errors import FercourseError, one_line, shown

WIDTH = 76
_SIGNS = {"passed": "✔", "failed": "✘", "skipped": "○"}


@dataclass(frozen=True)
class Check:
    """One question: its name, 'passed', 'failed' or 'skipped', and a sentence."""

    name: str
    status: str
    sentence: str

    def __str__(self) -> str:
        text = f"{_SIGNS[self.status]} {self.name}: {self.sentence}"
        return textwrap.fill(text, WIDTH, subsequent_indent="  ", break_on_hyphens=False)


class _Text(str):
    """Text that a notebook shows as it is."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


@dataclass(frozen=True, repr=False)
class ModelReport:
    """What `check_model` found out about a network; a notebook shows it as text, a line a question.

    Attributes:
        name: of the class.
        checks: one `Check` a question, in a fixed order.
        parameters: numbers that the network holds; None if it was not built.
        macs: multiply-accumulates for one image; None if they could not be counted.
        layers: name, class, output shape without the batch's axis, and parameters of each top-level layer.
    """

    name: str
    checks: tuple[Check, ...]
    parameters: int | None = None
    macs: int | None = None
    layers: tuple[tuple[str, str, Any, int], ...] = ()

    @property
    def ok(self) -> bool:
        """Whether no question was answered with 'failed'."""
        return all(check.status != "failed" for check in self.checks)

    @property
    def lines(self) -> tuple[str, ...]:
        """One text a question, wrapped at 76 columns."""
        return tuple(map(str, self.checks))

    def __getitem__(self, name: str) -> Check:
        """Return a check by its name; KeyError if there is none."""
        for check in self.checks:
            if check.name == name:
                return check
        raise KeyError(name)

    def __repr__(self) -> str:
        failed = sum(check.status == "failed" for check in self.checks)
        verdict = f"{failed} to mend" if failed else "ready to train"
        return "\n".join((f"{self.name}: {verdict}", *self.lines))

    def shapes(self) -> str:
        """Return a table of the top-level layers in the order of their calls, with what each gives."""
        rows = [
            (name, kind, shape if isinstance(shape, str) else " x ".join(map(str, shape)), f"{count:,}")
            for name, kind, shape, count in self.layers
        ]
        rows = [("layer", "class", "output", "parameters"), *rows]
        widths = [max(len(row[column]) for row in rows) for column in range(4)]
        return _Text(
            "\n".join(
                "  ".join(
                    text.rjust(width) if column == 3 else text.ljust(width)
                    for column, (text, width) in enumerate(zip(row, widths, strict=True))
                )
                for row in rows
            )
        )


def check_model(
    model: Any,
    *,
    in_channels: int = 1,
    image_size: int = 48,
    num_classes: int = 7,
    export: bool = True,
    seconds: float = 8.0,
) -> ModelReport:
    """Try a network out, in seconds, before it is trained for hours.

    It must map float32 images (B, in_channels, image_size, image_size) in [0, 1], for any B, to logits
    (B, num_classes). Asked are: shapes, in both modes; parameters, and whether PyTorch sees all of them;
    multiply-accumulates (MACs) an image; whether a gradient reaches every parameter; whether one batch is
    learnt by heart (Karpathy 2019, 'A recipe for training neural networks'); whether evaluation gives the
    same answer twice, and to each image by itself; whether it exports. Nothing the network does raises here.

    Args:
        model: a class (called without arguments), a function that builds the network, or a network. The
            last is copied and not changed. Random numbers go on afterwards as if nothing had been drawn.
        in_channels: 1 for grey images, 3 for colour.
        image_size: height and width in pixels.
        num_classes: logits an image.
        export: whether to try torch.export.
        seconds: how long learning by heart may take; 0 leaves it out.

    Returns:
        The report; its ``ok`` says whether all is well.

    Raises:
        FercourseError: an argument other than ``model`` is out of range.
    """
    for what, value in (
        ("in_channels", in_channels),
        ("image_size", image_size),
        ("num_classes", num_classes),
    ):
        least = 2 if what == "num_classes" else 1
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise FercourseError(f"{what} is {shown(value)}; expected a whole number of at least {least}.")
    if not isinstance(seconds, int | float) or not seconds >= 0:
        raise FercourseError(f"seconds is {shown(seconds)}; expected a number of at least 0.")
    with _undisturbed():
        built, name, problem = build(model)
        if built is None:
            return ModelReport(name, (Check("builds", "failed", problem),))
        setting = Setting(built, in_channels, (image_size, image_size), num_classes, torch.device("cpu"))
        try:
            return _Examination(setting, name).report(export, seconds)
        except (Exception, SystemExit) as error:  # a network that cannot even be asked for its parameters
            return ModelReport(name, (Check("builds", "failed", explain(error, "the network")),))


class _Examination:
    """Asks one question after the other and collects the answers."""

    def __init__(self, setting: Setting, name: str) -> None:
        self.setting, self.name = setting, name
        self.model = setting.model
        self.found: dict[str, Check] = {}

    def note(self, name: str, good: bool | None, sentence: str) -> None:
        status = "skipped" if good is None else "passed" if good else "failed"
        self.found[name] = Check(name, status, sentence)

    def report(self, export: bool, seconds: float) -> ModelReport:
        setting = self.setting
        setting.device = device_of(self.model)
        problem, go_on = try_forward(setting)
        size = f"{setting.in_channels}, {setting.size[0]}, {setting.size[1]}"
        self.note(
            "shapes", not problem, problem or f"images (B, {size}) become logits (B, {setting.num_classes})"
        )
        parameters = self.count_parameters()
        macs = self.count(go_on)
        if go_on:
            self.train(macs, seconds)
            self.ask("eval", lambda: _answer(try_eval(setting), "the same images give the same logits twice"))
            if self.found["eval"].status == "passed":
                self.ask("batch", lambda: _answer(try_batch(setting), "each image is judged by itself alone"))
            else:
                self.note("batch", None, "not tried, because evaluation is not deterministic")
            if not export:
                self.note("export", None, "not tried, because export=False")
            elif self.found["eval"].status == "passed":
                self.ask("export", lambda: try_export(setting))
            else:
                self.note("export", None, "not tried, because evaluation is not deterministic")
        else:
            for name in ("gradient", "one batch", "eval", "batch", "export"):
                self.note(name, None, "not tried, because forward does not give logits yet")
        order = ("shapes", "parameters", "MACs", "gradient", "one batch", "eval", "batch", "export")
        checks = tuple(self.found[name] for name in order)
        return ModelReport(self.name, checks, parameters, macs, tuple(setting.layers))

    def ask(self, name: str, question: Any) -> None:
        try:
            self.note(name, *question())
        except (Exception, SystemExit) as error:
            self.note(name, False, explain(error))

    def count_parameters(self) -> int:
        lazy = nn.parameter.UninitializedParameter
        counted = [p for p in self.model.parameters() if not isinstance(p, lazy)]
        total = sum(p.numel() for p in counted)
        frozen = sum(p.numel() for p in counted if not p.requires_grad)
        missing = unregistered(self.model)
        if missing:
            begin = f"{total:,}, but not all are seen by optimizer, .to(device) and state_dict: "
            self.note("parameters", False, begin + "; ".join(missing[:3]))
        elif lines := self.setting.foreign:
            self.note(
                "parameters", False,
                f"{total:,}, but forward uses weights that are not the network's ({lines[0]}): make every "
                f"layer in "
                "__init__ and keep it as self.name",
            )  # fmt: skip
        else:
            self.note("parameters", True, f"{total:,}" + (f", {frozen:,} of them frozen" if frozen else ""))
        return total

    def count(self, go_on: bool) -> int | None:
        if not go_on:
            self.note("MACs", None, "not counted, because forward does not give logits yet")
            return None
        try:
            macs = count_macs(self.setting)
        except (Exception, SystemExit) as error:
            self.note("MACs", None, f"not counted, because torch's counter raised {one_line(error, 80)}")
            return None
        recurrent = any(isinstance(module, nn.RNNBase) for module in self.model.modules())
        left_out = ", without those of recurrent layers, which are not counted" if recurrent else ""
        self.note("MACs", True, f"{_amount(macs)} multiply-accumulates an image{left_out}")
        return macs

    def train(self, macs: int | None, seconds: float) -> None:
        wanted = [p for p in self.model.parameters() if p.numel()]
        frozen = [p for p in wanted if not p.requires_grad]
        if len(frozen) == len(wanted):
            from fercourse.check.probes.training import Training

            self.note("gradient", *judge_gradients(Training(), 0, len(frozen)))
            self.note("one batch", None, "not tried, because there is nothing to train")
            return
        found = try_training(self.setting, macs, seconds)
        self.note("gradient", *judge_gradients(found, len(wanted) - len(frozen), len(frozen)))
        if found.problem:
            self.note("one batch", None, "not tried, because a training step fails")
        elif set(found.silent.values()) >= {"none"} and len(found.silent) == len(wanted) - len(frozen):
            self.note("one batch", None, "not tried, because no gradient reaches any parameter")
        elif not seconds:
            self.note("one batch", None, "not tried, because seconds=0")
        else:
            self.note("one batch", *judge_overfit(found, self.setting.num_classes))


def _answer(problem: str, fine: str) -> tuple[bool, str]:
    return not problem, problem or fine


def _amount(count: int) -> str:
    return f"{count / 1e6:,.1f} million" if count >= 1e6 else f"{count:,}"


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Leave random numbers, output and settings of the student's program as they are found."""
    states = random.getstate(), np.random.get_state()  # noqa: NPY002 - the state that students use
    on_cuda = torch.cuda.is_initialized()
    devices = list(range(torch.cuda.device_count())) if on_cuda else []
    on_mps = torch.backends.mps.is_available()
    mps = torch.mps.get_rng_state() if on_mps else None
    with (
        torch.random.fork_rng(devices),
        torch.inference_mode(False),
        torch.enable_grad(),
        quiet(),
        contextlib.redirect_stdout(io.StringIO()),
    ):
        # Not torch.manual_seed: it would also set seeds of devices whose state is not kept here.
        torch.random.default_generator.manual_seed(0)
        try:
            yield
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])  # noqa: NPY002
            if mps is not None:
                torch.mps.set_rng_state(mps)
