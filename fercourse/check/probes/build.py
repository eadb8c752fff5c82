"""From what the student passes to a network that may be tried out, and what it fails to register."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from fercourse.check.probes.source import explain
from fercourse.errors import one_line, shown

#: What PyTorch itself keeps in a module's __dict__.
_INTERNAL = frozenset(nn.Module().__dict__)
#: Layers without weights that must still be told apart in training and evaluation.
_MODES = (nn.modules.dropout._DropoutNd, nn.modules.batchnorm._NormBase)


def build(subject: Any) -> tuple[nn.Module | None, str, str]:
    """Return a network that may be changed, its name, and what is wrong instead (one of them empty)."""
    if isinstance(subject, nn.Module):
        if hidden := _shadowed(subject):
            return None, type(subject).__name__, hidden
        subject = getattr(subject, "_orig_mod", subject)  # as it was before torch.compile
        if isinstance(subject, nn.DataParallel | nn.parallel.DistributedDataParallel):
            subject = subject.module
        if isinstance(subject, torch.jit.ScriptModule):
            return None, type(subject).__name__, (
                "a TorchScript module cannot be looked into: pass the network that it was made from"
            )  # fmt: skip
        name = type(subject).__name__
        try:
            return _copy(subject), name, ""
        except Exception as error:  # whatever an object's own copying raises
            return None, name, (
                f"the object cannot be copied ({one_line(error, 100)}), and the check must not change "
                "yours: pass the class or a function that builds it"
            )  # fmt: skip
    name = getattr(subject, "__name__", type(subject).__name__)
    if isinstance(subject, type) and not issubclass(subject, nn.Module):
        return None, name, f"the class does not inherit from nn.Module: write class {name}(nn.Module)"
    if not callable(subject):
        return (
            None,
            name,
            f"{_no_network(subject)}; expected a class, a function that builds a network, or one",
        )
    if needed := _needed(subject):
        values = ", ".join(f"{argument}=..." for argument in needed)
        return None, name, (
            f"{name} cannot be called without arguments: it needs {' and '.join(needed)}. Give them "
            f"defaults, or pass an object: check_model({name}({values}))"
        )  # fmt: skip
    what = f"{name}.__init__" if isinstance(subject, type) else f"{name}()"
    try:
        model = subject()
    except (Exception, SystemExit) as error:
        return None, name, explain(error, what)
    if not isinstance(model, nn.Module):
        return None, name, f"{name}() returned {_no_network(model)}"
    if hidden := _shadowed(model):
        return None, name, hidden
    if not isinstance(subject, type):
        name = type(model).__name__ if name == "<lambda>" else name
        try:
            model = _copy(model)  # the function may hand out a network of the student's
        except Exception as error:
            return None, name, f"the network that {name}() returns cannot be copied: {one_line(error, 100)}"
    return model, name, ""


def _shadowed(model: nn.Module) -> str:
    """Return which attribute hides a method of nn.Module, such as ``self.train = True``, if one does."""
    for module in nn.Module.modules(model):
        for name, value in vars(module).items():
            if not name.startswith("_") and callable(getattr(nn.Module, name, None)) and not callable(value):
                return f"self.{name} = ... hides the method {name}() of every nn.Module: use another name"
    return ""


def _no_network(value: Any) -> str:
    if value is None:
        return "None, not a network: is a `return` or an assignment missing?"
    if isinstance(value, str):
        return f"the text {shown(value, 30)}, not a network: pass the class itself, not its name"
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)}, not a network: pass the network, not what it returns"
    return f"{shown(value, 40)}, a {type(value).__name__}, not a network"


def _needed(function: Callable[..., Any]) -> list[str]:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return []
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [p.name for p in parameters if p.default is p.empty and p.kind not in kinds]


def _copy(model: nn.Module) -> nn.Module:
    """Return a deep copy; activations that the network has kept are copied without their graph."""
    memo: dict[int, Any] = {}
    for module in model.modules():
        for _, value in _inside(vars(module)):
            if isinstance(value, Tensor) and not value.is_leaf:
                memo[id(value)] = value.detach().clone()
    copied = copy.deepcopy(model, memo)
    copied.zero_grad(set_to_none=True)
    return copied


def unregistered(model: nn.Module) -> list[str]:
    """Return, in words, every place where the network keeps layers or weights that PyTorch does not see."""
    modules = {id(module) for module in model.modules()}
    parameters = {id(parameter) for parameter in model.parameters()}
    found: dict[str, str] = {}
    for prefix, module in model.named_modules():
        attributes = {key: value for key, value in vars(module).items() if key not in _INTERNAL}
        for base in type(module).__mro__:
            if base.__module__.partition(".")[0] not in ("torch", "builtins"):
                attributes.update(vars(base))
        for key, value in _inside(attributes):
            place = f"{prefix}.{key}" if prefix else key
            if isinstance(value, nn.Module) and id(value) not in modules:
                if any(p.requires_grad for p in value.parameters()):
                    kind = "nn.ModuleDict" if isinstance(attributes[key], dict) else "nn.ModuleList"
                    where = f"a plain {type(attributes[key]).__name__}"
                    if isinstance(attributes[key], nn.Module):
                        where, kind = "an attribute of the class", "self. in __init__"
                    found[place] = f"the layers of {place} are kept in {where}: use {kind}"
                elif any(isinstance(layer, _MODES) for layer in value.modules()):
                    found[place] = (
                        f"{place} holds a {type(value).__name__} that train() and eval() do not reach: use "
                        "nn.ModuleList"
                    )
            elif isinstance(value, Tensor) and _learns(value) and id(value) not in parameters:
                found[place] = _raw(place, attributes[key])
    return list(found.values())


def _learns(tensor: Tensor) -> bool:
    return tensor.requires_grad and tensor.is_leaf


def _raw(place: str, holder: Any) -> str:
    if isinstance(holder, Tensor):
        return f"{place} is a tensor that requires a gradient but no nn.Parameter: wrap it in one"
    kind = "nn.ParameterDict" if isinstance(holder, dict) else "nn.ParameterList"
    return f"the weights of {place} are kept in a plain {type(holder).__name__}: use {kind}"


def _inside(attributes: Any, depth: int = 4) -> Iterator[tuple[str, Any]]:
    """Yield (attribute, value) for every tensor and module in attributes and in containers there."""
    for key, value in list(attributes.items()):
        yield from ((key, inner) for inner in _leaves(value, depth))


def _leaves(value: Any, depth: int) -> Iterator[Any]:
    if isinstance(value, Tensor | nn.Module):
        yield value
    elif depth and isinstance(value, list | tuple | set | frozenset | dict):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _leaves(inner, depth - 1)


def device_of(model: nn.Module) -> torch.device:
    """Return where the network's weights lie; the CPU if it has none."""
    for tensor in (*model.parameters(), *model.buffers()):
        return tensor.device
    return torch.device("cpu")
