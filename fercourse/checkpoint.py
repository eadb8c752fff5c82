"""Files of tensors that are whole, ours and unchanged, or refused.

The format is safetensors: it holds tensors and text, and reading it cannot run code, unlike a pickle.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from fercourse.errors import FercourseError, one_line, shown
from fercourse.files import atomic_path

FORMAT = "fercourse-checkpoint-1"


def _digest(tensors: Mapping[str, torch.Tensor], meta: str) -> str:
    digest = hashlib.sha256(meta.encode())
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name}:{tensor.dtype}:{tuple(tensor.shape)};".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def save_checkpoint(
    path: str | os.PathLike[str], tensors: Mapping[str, torch.Tensor], meta: Mapping[str, Any]
) -> None:
    """Write named tensors and JSON-able facts to one file, atomically, with a SHA-256 over both.

    Raises:
        FercourseError: the file cannot be written.
    """
    # Copies: safetensors refuses tensors that share memory, such as tied weights.
    stored = {name: t.detach().to("cpu", copy=True).contiguous() for name, t in tensors.items()}
    text = json.dumps(dict(meta))
    with atomic_path(path) as temporary:
        try:
            save_file(
                stored, temporary, metadata={"format": FORMAT, "meta": text, "sha256": _digest(stored, text)}
            )
        except SafetensorError as error:  # it wraps the operating system's 'No space left on device'
            raise OSError(str(error)) from error


def load_checkpoint(path: str | os.PathLike[str]) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Return the tensors (on the CPU) and facts of a file that `save_checkpoint` wrote.

    Raises:
        FercourseError: the file is absent, cut short, not a checkpoint of fercourse, or was changed.
    """
    if not os.path.isfile(path):
        raise FercourseError(
            f"There is no checkpoint {os.fspath(path)}: train first, or name another folder."
        )
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except (SafetensorError, OSError, ValueError) as error:
        raise FercourseError(
            f"{os.fspath(path)} is cut short or not a safetensors file ({one_line(error)}): delete it and "
            "train again, or restore it from a copy."
        ) from error
    if metadata.get("format") != FORMAT:
        raise FercourseError(
            f"{os.fspath(path)} is a safetensors file, but not a checkpoint of fercourse "
            f"(format {metadata.get('format')!r}, expected {FORMAT!r})."
        )
    text = metadata.get("meta", "")
    if metadata.get("sha256") != _digest(tensors, text):
        raise FercourseError(
            f"{os.fspath(path)} was changed after it was written (its SHA-256 does not match): "
            "restore it from a copy or train again."
        )
    try:
        facts = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FercourseError(f"The facts in {os.fspath(path)} cannot be read ({one_line(error)}).") from error
    if not isinstance(facts, dict):
        raise FercourseError(f"{os.fspath(path)} holds {shown(facts)}; expected facts by name.")
    return tensors, facts
