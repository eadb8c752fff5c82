"""Judging a network part: the student's weights are set to the reference's, and both must compute the same.

Nothing is asked of names or of how layers are arranged: weights are paired by kind and shape, in the order
in which the forward pass reaches them. A dense layer and a 1x1 convolution are one kind.
"""

from __future__ import annotations

import copy
import itertools
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from fercourse.check.core import Wrong, differs, run, students_line, want_module
from fercourse.check.operations import tell, tell_shape
from fercourse.errors import one_line

Signature = tuple[str, tuple[int, ...]]
_NORMS = (nn.modules.batchnorm._BatchNorm, nn.LayerNorm, nn.GroupNorm)


@dataclass(frozen=True)
class Variant:
    """A wrong block that students build: how to build it, and what to tell them."""

    build: Callable[..., nn.Module]
    message: str


def variants(build: Callable[..., nn.Module], mistakes: dict[str, str]) -> list[Variant]:
    """Return a variant for each mistake of a builder that takes its ``kind``."""
    return [Variant(partial(build, kind=kind), text) for kind, text in mistakes.items()]


@dataclass(frozen=True)
class Trial:
    """One object to build and try: constructor arguments, and the shape of its input."""

    arguments: tuple[Any, ...]
    shape: tuple[int, ...]
    options: tuple[tuple[str, Any], ...] = ()

    @property
    def words(self) -> str:
        given = [*map(repr, self.arguments), *(f"{key}={value!r}" for key, value in self.options)]
        return f"({', '.join(given)})"

    def build(self, make: Callable[..., nn.Module]) -> nn.Module:
        return make(*self.arguments, **dict(self.options))

    def input(self, seed: int = 0) -> Tensor:
        return torch.randn(self.shape, generator=torch.Generator().manual_seed(seed))


def signatures(module: nn.Module, x: Tensor) -> dict[Signature, list[Tensor]]:
    """Return parameters and running statistics by kind and shape, in the order the forward pass reaches them.

    Shapes are without trailing ones, so that a dense layer and a 1x1 convolution agree.
    """
    order: list[nn.Module] = []

    def note(one: nn.Module, _: Any) -> None:
        if one not in order:
            order.append(one)

    hooks = [one.register_forward_pre_hook(note) for one in module.modules()]
    try:
        with torch.no_grad():
            module(x)
    finally:
        for hook in hooks:
            hook.remove()
    order += [one for one in module.modules() if one not in order]
    found: dict[Signature, list[Tensor]] = defaultdict(list)
    for one in order:
        role = "norm " if isinstance(one, _NORMS) else ""
        for name, value in [*one.named_parameters(recurse=False), *one.named_buffers(recurse=False)]:
            if name == "num_batches_tracked":
                continue
            shape = tuple(value.shape)
            while len(shape) > 2 and shape[-1] == 1:
                shape = shape[:-1]
            found[role + (name if name in ("bias", "weight") or role else "weight"), shape].append(value)
    return dict(found)


def randomise(module: nn.Module, seed: int = 1) -> None:
    """Give every weight, shift and running statistic a value of its own, so that none can hide."""
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for one in module.modules():
            for name, value in [*one.named_parameters(recurse=False), *one.named_buffers(recurse=False)]:
                if not value.dtype.is_floating_point:
                    continue
                new = torch.randn(value.shape, generator=draw)
                fan_in = max(1, value[0].numel()) if value.dim() > 1 else 1
                if "var" in name or (isinstance(one, _NORMS) and name == "weight"):
                    value.copy_(0.5 + new.abs())
                else:
                    value.copy_(new / fan_in**0.5 if value.dim() > 1 else 0.5 * new)


Order = dict[tuple[bool, tuple[int, ...]], tuple[int, ...]]


def _group(key: Signature) -> tuple[bool, tuple[int, ...]]:
    """Which tensors are paired together: the four of a batch norm by its channels, others by shape."""
    return key[0].startswith("norm"), key[1]


def orders(module: nn.Module, x: Tensor, limit: int = 48) -> Iterator[Order]:
    """Yield the other orders in which layers of the same kind and shape may be meant.

    A shortcut that is computed before the branch is reached first, and is right all the same.
    """
    counts = {_group(key): len(found) for key, found in signatures(module, x).items() if len(found) > 1}
    choices = [list(itertools.islice(itertools.permutations(range(count)), 24)) for count in counts.values()]
    every = itertools.product(*choices)
    next(every)  # the order as it is
    for chosen in itertools.islice(every, limit):
        yield dict(zip(counts, chosen, strict=True))


def transplant(source: nn.Module, target: nn.Module, x: Tensor, order: Order | None = None) -> str | None:
    """Copy the source's values into the target; return in words what does not fit, or None.

    A bias of the target for which the source has nothing is set to zero: where batch norm follows, it is
    superfluous and not wrong.
    """
    ours, theirs = signatures(source, x), signatures(target, x)
    missing, extra = [], []
    with torch.no_grad():
        for key in ours.keys() | theirs.keys():
            wanted, there = ours.get(key, []), theirs.get(key, [])
            if order and len(order.get(_group(key), ())) == len(there):
                there = [there[place] for place in order[_group(key)]]
            if key[0] == "bias" and not wanted:
                for value in there:
                    value.zero_()
                continue
            if len(wanted) > len(there):
                missing.append((key, len(wanted) - len(there)))
            elif len(there) > len(wanted):
                extra.append((key, len(there) - len(wanted)))
            for one, other in zip(wanted, there, strict=False):
                other.copy_(one.reshape(other.shape))
    _rescue(ours, theirs, missing, extra)
    if not missing and not extra:
        return None
    told = [
        f"{word} {', '.join(_named(*item) for item in _plain(items))}"
        for word, items in (("it lacks", missing), ("it has besides", extra))
        if items
    ]
    return "; ".join(told)


def _rescue(
    ours: dict[Signature, list[Tensor]],
    theirs: dict[Signature, list[Tensor]],
    missing: list[tuple[Signature, int]],
    extra: list[tuple[Signature, int]],
) -> None:
    """Pair what is the same by other words: a bias with a name of its own, a matrix the other way round."""
    for lacking in list(missing):
        (role, shape), count = lacking
        other = ("weight", shape) if role == "bias" else (role, shape[::-1])
        if (role == "bias" or len(shape) == 2) and other != lacking[0] and (other, count) in extra:
            with torch.no_grad():
                for one, there in zip(ours[lacking[0]], theirs[other], strict=False):
                    value = one.reshape(shape)
                    there.copy_((value if role == "bias" else value.T).reshape(there.shape))
            missing.remove(lacking)
            extra.remove((other, count))


def _plain(items: list[tuple[Signature, int]]) -> list[tuple[Signature, int]]:
    """Leave out what follows from the rest: a batch norm is named once, not by its four tensors."""
    chosen = [item for item in items if not item[0][0].startswith("norm ") or item[0][0] == "norm weight"]
    return sorted(chosen or items)


def _named(key: Signature, count: int) -> str:
    role, shape = key
    if role.startswith("norm"):
        text = f"a normalisation of {shape[0] if shape else 1} channels"
    elif role == "bias":
        text = f"a bias of {shape[0] if shape else 1}"
    elif len(shape) == 4:
        text = f"a {shape[2]}x{shape[3]} convolution from {shape[1]} to {shape[0]} channels"
    elif len(shape) == 2:
        text = f"a dense layer or 1x1 convolution from {shape[1]} to {shape[0]}"
    else:
        text = f"weights of shape {shape}"
    return text if count == 1 else f"{count} times {text}"


def build_answer(answer: Any, name: str, trial: Trial) -> nn.Module:
    """Return an object of the student's class, or raise `Wrong` saying why there is none."""
    want_module(answer, name)
    module = run(trial.build, answer, what=f"{name}{trial.words}")
    if not isinstance(module, nn.Module) or not hasattr(module, "_parameters"):
        raise Wrong(f"{name}{trial.words} is no nn.Module: does __init__ begin with super().__init__()?")
    return module


def forward(module: nn.Module, x: Tensor, name: str, trial: Trial) -> Tensor:
    """Return the student's output, or raise `Wrong` saying why there is none."""
    shape = tuple(x.shape)
    before = x.clone()
    out = run(module, x, what=f"{name}{trial.words}, called with an input of shape {shape},")
    if out is None:
        raise Wrong(f"The forward of {name} returns None: is a `return` missing?")
    if not isinstance(out, Tensor):
        raise Wrong(f"The forward of {name} returns {type(out).__name__}; expected one tensor.")
    if not torch.equal(before, x):
        raise Wrong(
            f"The forward of {name} changes its input (an in-place operation such as inplace=True or +=): "
            "whoever calls it finds another tensor than before."
        )
    return out


def judge_module(
    answer: Any,
    name: str,
    *,
    reference: Callable[..., nn.Module],
    trials: Sequence[Trial],
    mistakes: Sequence[Variant] = (),
    modes: Sequence[str] = ("eval", "train"),
) -> None:
    """Compare a student's class with the reference: outputs with the same weights, and gradients.

    Raises:
        Wrong: naming the mistake where the class computes what one of ``mistakes`` does, else what differs.
        NotAttempted: the stub is still there.
    """
    for number, trial in enumerate(trials):
        try:
            _judge_trial(answer, name, reference, trial, mistakes, modes)
        except Wrong as wrong:
            if not number or ("\n" not in str(wrong) and "raised" not in str(wrong)):
                raise
            raise Wrong(
                f"{wrong}\n{name}{trials[0].words} was right with an input of shape {trials[0].shape}: is a "
                "number typed in that should follow from the arguments or the input?"
            ) from wrong
    for trial in trials:
        _every_gradient(trial.build(answer), trial, name)


def _judge_trial(
    answer: Any,
    name: str,
    reference: Callable[..., nn.Module],
    trial: Trial,
    mistakes: Sequence[Variant],
    modes: Sequence[str],
) -> None:
    """Raise `Wrong` unless an object of the class does what one of the reference does."""
    student = build_answer(answer, name, trial)
    model = trial.build(reference)
    randomise(model)
    x = trial.input()
    given = f"{name}{trial.words}, for an input of shape {tuple(x.shape)}"
    student.eval()
    model.eval()
    with torch.no_grad():
        found, expected = forward(student, x, name, trial), model(x)
    same_shape = found.shape == expected.shape
    misfit = transplant(model, student, x)
    fault = None
    if not same_shape:
        fault = f"{given}, gives shape {tuple(found.shape)}; expected {tuple(expected.shape)}."
    elif misfit:
        fault = f"{given}: {misfit}."
    else:
        fault = _compare(student, model, x, modes, given)
        if fault is not None:
            for order in orders(student, x):
                transplant(model, student, x, order)
                if _agree(student, model, x) and _compare(student, model, x, modes, given) is None:
                    return
            transplant(model, student, x)
    if fault is None:
        return
    for others in (0, 2):  # other orders of the layers only where no mistake fits in the usual one
        for mistake in mistakes:
            if _is(mistake, student, trial, modes, others):
                raise Wrong(f"{mistake.message}\n{fault}")
    if misfit and not _registered(student):
        raise Wrong(
            f"{name} keeps layers where PyTorch does not find them: a list or dictionary of layers "
            f"must be an nn.ModuleList, nn.ModuleDict or nn.Sequential.\n{fault}"
        )
    told = tell(student, model, x, same_weights=not misfit)
    if told is None and not same_shape:
        told = tell_shape(found, expected, x)
    raise Wrong(f"{told}\n{fault}" if told else fault)


def _compare(one: nn.Module, other: nn.Module, x: Tensor, modes: Sequence[str], given: str) -> str | None:
    """Return in words how two modules with the same weights differ, or None."""
    one, other = _copied(one), copy.deepcopy(other)
    for mode in modes:
        one.train(mode == "train")
        other.train(mode == "train")
        inputs = [x.clone().requires_grad_() for _ in range(2)]
        outputs = []
        try:
            for module, value in zip((one, other), inputs, strict=True):
                torch.manual_seed(5)  # the same dropout in both
                outputs.append(module(value))
        except (Exception, SystemExit) as error:
            where = students_line(error)
            return f"{given}, in {mode} mode, raised {type(error).__name__}: {one_line(error)}" + (
                f"\n{where}" if where else ""
            )
        if not isinstance(outputs[0], Tensor):
            return f"{given}, in {mode} mode, returns {type(outputs[0]).__name__}; expected one tensor."
        if words := differs(outputs[0], outputs[1], rtol=1e-3, atol=1e-4):
            return f"{given}, with the reference's weights, in {mode} mode: {words}."
        pull = torch.randn(outputs[1].shape, generator=torch.Generator().manual_seed(3))
        if not outputs[0].requires_grad:
            return f"{given}: no gradient comes through (detach, .data, .item() or no_grad in forward?)."
        try:
            gradients = [
                torch.autograd.grad(out, value, pull, allow_unused=True)[0]
                for out, value in zip(outputs, inputs, strict=True)
            ]
        except RuntimeError as error:
            return f"{given}: the gradient cannot be computed: {one_line(error)}"
        if gradients[1] is not None:
            if gradients[0] is None:
                return f"{given}: no gradient reaches the input."
            if words := differs(gradients[0], gradients[1], rtol=1e-2, atol=1e-3):
                return (
                    f"{given}: right values, but another gradient of the input (detach or .data?): {words}."
                )
    return None


def _agree(one: nn.Module, other: nn.Module, x: Tensor) -> bool:
    """Whether two modules give the same in evaluation mode: a quick look before `_compare`."""
    one.eval()
    other.eval()
    with torch.no_grad():
        return differs(one(x.clone()), other(x), rtol=1e-3, atol=1e-4) is None


def _copied(module: nn.Module) -> nn.Module:
    """Return a copy where one can be made; tensors that were computed cannot be copied."""
    try:
        return copy.deepcopy(module)
    except Exception:
        return module


def _is(mistake: Variant, student: nn.Module, trial: Trial, modes: Sequence[str], others: int) -> bool:
    """Whether the student's object computes what the mistake does, weights made equal."""
    try:
        wrong = trial.build(mistake.build)
        x = trial.input()
        copied = _copied(student)
        randomise(wrong)
        wrong.eval()
        copied.eval()
        if transplant(wrong, copied, x):
            return False
        if not others:
            return _compare(copied, wrong, x, modes, "") is None
        for order in orders(copied, x, others):
            transplant(wrong, copied, x, order)
            if _agree(copied, wrong, x):
                return True
        return False
    except Exception:  # a mistake need not work with every trial
        return False


def _registered(module: nn.Module) -> bool:
    """Whether no layer hides in a plain list, tuple or dictionary."""
    for one in module.modules():
        for value in vars(one).values():
            inner = value.values() if isinstance(value, dict) else value
            if value is one._modules or not isinstance(value, (list, tuple, dict)):
                continue
            if any(isinstance(item, nn.Module) for item in inner):
                return False
    return True


def _every_gradient(module: nn.Module, trial: Trial, name: str) -> None:
    """Raise `Wrong` where a parameter has no part in the output."""
    module.train()
    x = trial.input(4).requires_grad_()
    run(lambda: module(x).square().sum().backward(), what=f"{name}{trial.words}, in train mode,")
    for key, value in module.named_parameters():
        if value.requires_grad and value.grad is None:
            raise Wrong(f"The parameter {key} of {name} has no part in its output: it would never learn.")
