"""What forward does while it runs: the weights it uses, the lots it draws, where it cuts the graph."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from fercourse.check.probes.source import Line, called_from

_DROPOUTS = (
    F.dropout, F.dropout1d, F.dropout2d, F.dropout3d, F.alpha_dropout, F.feature_alpha_dropout,
    torch.dropout, torch.dropout_, torch.feature_dropout, torch.alpha_dropout,
)  # fmt: skip
_RANDOM = frozenset(
    ("rand", "randn", "randint", "randperm", "rand_like", "randn_like", "randint_like", "bernoulli",
     "bernoulli_", "normal", "normal_", "uniform_", "exponential_", "multinomial", "poisson", "rrelu",
     "gumbel_softmax")
)  # fmt: skip
#: Calls that give what is computed next no way back to the weights, and calls whose gradient is zero or none.
_CUTS = frozenset(("detach", "detach_", "item", "numpy", "tolist", "tensor", "__array__"))
_STEPS = frozenset(("argmax", "argmin", "round", "floor", "ceil", "trunc", "sign", "int", "long", "bool"))
_DATA = torch.Tensor.data


class Watch(TorchFunctionMode):
    """Sees every PyTorch function called inside ``with``, by a layer or directly.

    Args:
        model: the network whose forward runs inside.
        dropout: False lets nothing be dropped.

    After the block: ``used``, ids of the parameters that took part; ``foreign``, weights that took part and
    are not the network's, and where; ``drops`` and ``random``, where something was dropped or drawn;
    ``cuts``, what kept gradients from flowing, and where; ``first_bad``, where the first value that is not
    finite was made (looked for only if ``finite=True``).
    """

    def __init__(self, model: nn.Module, *, dropout: bool = True, finite: bool = False) -> None:
        super().__init__()
        self.own = {id(parameter) for parameter in model.parameters()}
        self.dropout, self.finite = dropout, finite
        self.used: set[int] = set()
        self.foreign: dict[int, tuple[Tensor, Line | None]] = {}  # the tensors are kept: an id is used again
        self.drops: list[Line | None] = []
        self.random: list[Line | None] = []
        self.cuts: dict[str, Line] = {}
        self.first_bad: tuple[str, Line | None] | None = None

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        tensors = list(_tensors((*args, *kwargs.values())))
        self._see_weights(tensors)
        self._see_cuts(func, name, tensors)
        if func in _DROPOUTS:
            if _active(args, kwargs):
                if not self.dropout:
                    self.drops.append(None)
                    return tensors[0]
                self.drops.append(called_from()[0])
        elif kwargs.get("dropout_p") and not self.dropout:
            self.drops.append(None)
            kwargs = {**kwargs, "dropout_p": 0.0}
        elif name in _RANDOM:
            self.random.append(called_from()[0])
        result = func(*args, **kwargs)
        if self.finite and self.first_bad is None and _bad(result) and not any(map(_bad, tensors)):
            self.first_bad = (name, called_from()[0])
        return result

    def _see_weights(self, tensors: list[Tensor]) -> None:
        for tensor in tensors:
            if id(tensor) in self.own:
                self.used.add(id(tensor))
            elif tensor.is_leaf and tensor.requires_grad and id(tensor) not in self.foreign:
                self.foreign[id(tensor)] = (tensor, called_from(2)[0])

    def _see_cuts(self, func: Any, name: str, tensors: list[Tensor]) -> None:
        what = ""
        if getattr(func, "__self__", None) is _DATA:
            what = ".data"
        elif name in _CUTS and any(tensor.requires_grad for tensor in tensors):
            what = "torch.tensor()" if name == "tensor" else f".{name}()"
        elif not torch.is_grad_enabled() and any(id(tensor) in self.own for tensor in tensors):
            what = "torch.no_grad()"
        elif name in _STEPS and any(tensor.requires_grad for tensor in tensors):
            what = f"{name}()"
        if what and what not in self.cuts:
            line, direct = called_from(2)
            if line is not None and (direct or what == "torch.no_grad()"):
                self.cuts[what] = line

    def cut(self) -> str:
        """Return the most likely reason why gradients did not flow, or an empty string."""
        order = sorted(self.cuts.items(), key=lambda item: item[0].removesuffix("()") in _STEPS)
        return f"{order[0][0]} ({order[0][1]})" if order else ""


def _tensors(values: Iterable[Any]) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)


def _active(args: Any, kwargs: Any) -> bool:
    """Whether a call of a dropout function, all of which begin (input, p, training), drops anything."""
    rate = kwargs.get("p", args[1] if len(args) > 1 else 0.5)
    return bool(kwargs.get("training", kwargs.get("train", args[2] if len(args) > 2 else True))) and rate > 0


def _bad(value: Any) -> bool:
    with torch._C.DisableTorchFunction():
        if not isinstance(value, Tensor) or not value.is_floating_point() or value.is_meta:
            return False
        return not bool(torch.isfinite(value.detach()).all())
