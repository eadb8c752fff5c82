"""A run is a folder: what was asked for, where it ran, its checkpoint and log."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fercourse.errors import FercourseError
from fercourse.files import write_text

if TYPE_CHECKING:
    from torch import nn

    from fercourse.data.faces import Faces
    from fercourse.recipes import TrainConfig
    from fercourse.train import Fit

RUN = "run.json"
LIBRARIES = ("torch", "torchvision", "numpy", "scikit-learn", "scipy", "pillow")


def commit() -> str:
    """Return the commit the package runs from, with '+changes' where its files differ, or 'unknown'.

    A checkout is asked through git; an installation from a git address remembers its commit.
    """
    package = Path(__file__).parent

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(package), *arguments], capture_output=True, text=True, check=True, timeout=20
        ).stdout.strip()

    try:
        if git("ls-files", "__init__.py"):  # else the checkout is somebody else's, around our installation
            changed = git("status", "--porcelain", "--untracked-files=no", ".")
            return git("rev-parse", "HEAD") + ("+changes" if changed else "")
    except (OSError, subprocess.SubprocessError):
        pass
    try:
        source = json.loads(metadata.distribution("fercourse").read_text("direct_url.json") or "{}")
    except (metadata.PackageNotFoundError, ValueError):
        source = {}
    return source.get("vcs_info", {}).get("commit_id", "unknown")


def environment() -> dict[str, Any]:
    """Return what a result depends on beside its configuration: versions, commit, Python, system."""
    versions = {}
    for name in ("fercourse", *LIBRARIES):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = None
    return {
        "commit": commit(),
        "python": platform.python_version(),
        "system": platform.system(),
        "versions": versions,
    }


def build_model(config: TrainConfig) -> nn.Module:
    """Return the configured network with the weights that its seed draws."""
    import torch

    from fercourse.models import create_model

    torch.manual_seed(config.seed)
    return create_model(config.model, **config.model_options)


def train_run(
    config: TrainConfig,
    faces: Faces,
    out: str | os.PathLike[str],
    *,
    resume: bool = False,
    device: str | None = None,
    progress: bool = True,
    tensorboard: bool = False,
) -> tuple[nn.Module, Fit]:
    """Train a configuration on a data set into a folder; return the best epoch's model and the history.

    The folder gets ``run.json`` (configuration, environment, data), the checkpoints and logs of
    `fercourse.train.fit`.

    Raises:
        FercourseError: the folder cannot be written or holds another run, and whatever `fit` raises.
    """
    import torch

    from fercourse.train import fit

    folder = Path(out)
    asked = {
        "config": config.to_dict(),
        "data": {
            "layout": faces.layout,
            "fingerprint": faces.fingerprint,
            "sizes": {split.split: len(split) for split in faces},
        },
    }
    path = folder / RUN
    if path.exists():
        before = read_run(folder)
        if not resume:
            raise FercourseError(
                f"{folder} already holds a run of {before['config']['model']}: resume it (--resume), or name "
                "another folder."
            )
        for name in asked:
            if before[name] != asked[name]:
                raise FercourseError(
                    f"{folder} holds a run with another {name}: resume with the same, or name another folder."
                )
    else:
        started = {"environment": environment(), "threads": torch.get_num_threads()}
        write_text(path, json.dumps({**asked, **started}, indent=1) + "\n")
    model = build_model(config)
    result = fit(
        model,
        faces.train,
        faces.val,
        config,
        out=folder,
        resume=resume,
        device=device,
        progress=progress,
        tensorboard=tensorboard,
    )
    return model, result


def read_run(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """Return a run folder's ``run.json``.

    Raises:
        FercourseError: the folder holds no run, or the file is damaged.
    """
    path = Path(folder) / RUN
    try:
        run = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise FercourseError(
            f"{folder} holds no run ({RUN} is missing): name a folder that `fercourse train --out` wrote."
        ) from error
    except (OSError, ValueError) as error:
        raise FercourseError(f"{path} cannot be read ({error}): restore it or train again.") from error
    if not isinstance(run, dict) or not {"config", "data", "environment"} <= run.keys():
        raise FercourseError(f"{path} is not a run of fercourse: expected config, data and environment.")
    return run
