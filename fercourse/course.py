"""What a notebook begins with: where it runs, how much time it may take, which faces it works on.

The first cell of every chapter calls `start`, which prints all of it and returns a `Session`. The same
notebook then runs in seconds a cell on any laptop ('smoke'), with a short recipe on a GPU such as Colab's T4
('quick'), or as the papers trained ('full').
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import platform
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fercourse.errors import FercourseError, nearest, one_line, shown

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from torch import nn

    from fercourse.data.faces import Faces
    from fercourse.recipes import TrainConfig

#: The variable of the environment that sets the budget where a notebook says 'auto'.
VARIABLE = "FERCOURSE_BUDGET"
#: Set where a notebook is run for the book or compared by nbval: widgets then leave their place to pictures.
STATIC = "FERCOURSE_STATIC"
#: Train, val and test faces that smoke draws; the first of the preset 'standard'.
SMOKE_SIZES = (700, 210, 700)
#: Multiply-accumulates that a smoke training may take in one pass forward over its images.
SMOKE_MACS = 8.0e9
SMOKE_BATCH = 4

BUDGETS = {
    "smoke": "drawn faces, on the processor, seconds a training",
    "quick": "the recipe `quick`, made for minutes a training on a GPU",
    "full": "the papers' own settings; each training says how long it takes",
}


def on_colab() -> bool:
    """Whether this is Google Colab."""
    return "COLAB_RELEASE_TAG" in os.environ


def start(budget: str = "auto", *, drive: bool = False) -> Session:
    """Print versions, device, time budget and data, and return the session of this notebook.

    In Colab, what the package needs and Colab lacks is installed first, and nothing else is touched.

    Args:
        budget: 'smoke', 'quick' or 'full'; 'auto' takes the environment's FERCOURSE_BUDGET, else 'quick'
            where there is a CUDA GPU and 'smoke' where there is none.
        drive: in Colab, keep trainings on Google Drive, where they outlive the machine (asks you to log in).

    Raises:
        FercourseError: the budget is none of these, or Drive is asked for outside Colab.
    """
    if on_colab():
        install_missing()
    # What Apple's GPU cannot compute goes to the processor; read when PyTorch is first imported.
    os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")
    import torch

    chosen = os.environ.get(VARIABLE, "auto") if budget == "auto" else budget
    if chosen == "auto":
        chosen = "quick" if torch.cuda.is_available() else "smoke"
    if chosen not in BUDGETS:
        raise FercourseError(
            f"The budget is {shown(chosen)}; expected auto, {', '.join(BUDGETS)}"
            f"{nearest(shown(chosen), BUDGETS)}."
        )
    session = Session(chosen, folder=_folder(drive))
    print(
        f"fercourse {metadata.version('fercourse')}, Python {platform.python_version()}, "
        f"PyTorch {torch.__version__}"
    )
    print(f"Device: {session.device_name}")
    print(f"Budget {chosen}: {BUDGETS[chosen]}.")
    if on_colab() and not torch.cuda.is_available():
        print(
            "The GPU is off. To train here, choose a GPU (T4) under Runtime > Change runtime type, then run "
            "this cell again."
        )
    print(f"Data: {session.data_line}")
    return session


def install_missing(run: Callable[..., Any] = subprocess.run) -> list[str]:
    """Install what the package needs and this Python lacks, leaving alone whatever is there; return it.

    Raises:
        FercourseError: pip failed.
    """
    missing = []
    for line in metadata.requires("fercourse") or []:
        name, _, marker = line.partition(";")
        found = re.match(r"[A-Za-z0-9._-]+", name)
        if "extra ==" in marker or found is None:
            continue
        try:
            metadata.version(found[0])
        except metadata.PackageNotFoundError:
            missing.append(name.strip())
    if missing:
        done = run([sys.executable, "-m", "pip", "install", "--quiet", *missing], check=False)
        if done.returncode:
            raise FercourseError(f"Could not install {', '.join(missing)}: run pip install with them.")
        importlib.invalidate_caches()
    return missing


def _folder(drive: bool) -> Path:
    """Return where trainings are kept."""
    if not drive:
        return Path("runs")
    if not on_colab():
        raise FercourseError("drive=True is for Colab only: trainings are kept in the folder runs/ here.")
    colab = importlib.import_module("google.colab.drive")
    colab.mount("/content/drive")
    return Path("/content/drive/MyDrive/fercourse")


class Session:
    """Device, budget and faces of a notebook, and trainings that fit them."""

    def __init__(self, budget: str, *, folder: Path = Path("runs")) -> None:
        from fercourse.device import describe_device, pick_device

        self.budget = budget
        self.folder = folder
        self.device: torch.device = pick_device("cpu" if self.smoke else None)
        self.device_name = describe_device(self.device)

    @property
    def smoke(self) -> bool:
        """Whether only seconds may be spent, on drawn faces."""
        return self.budget == "smoke"

    @cached_property
    def faces(self) -> Faces:
        """The faces to work on: drawn in smoke, else FER-2013 where a copy is found or can be fetched."""
        if self.smoke:
            from fercourse.data.synthetic import synthetic_faces

            return synthetic_faces(sizes=SMOKE_SIZES)
        from fercourse.data import load_faces

        return load_faces()

    @property
    def data_line(self) -> str:
        """What the faces are, in a line."""
        faces = self.faces
        count = sum(map(len, faces))
        if faces.layout == "synthetic":
            return f"{count:,} drawn faces; accuracies on them say nothing about FER-2013."
        from fercourse.data import audit

        return f"{faces.source}, {count:,} images; verdict: {audit(faces).verdict}"

    def config(self, model: str, *, recipe: str | None = None, **changes: Any) -> TrainConfig:
        """Return the configuration of a training of a named network within the budget.

        In smoke: one epoch of few steps. Quick: the recipe `quick`. Full: the recipe of the network's paper.

        Args:
            model: a name in `fercourse.models.MODELS`.
            recipe: another recipe, a name in `fercourse.recipes.RECIPES`; not kept in smoke.
            changes: values of `TrainConfig` to change; not kept in smoke are epochs, max_steps, batch_size.
        """
        from fercourse.recipes import make_config

        if self.smoke:
            for name in ("epochs", "max_steps", "batch_size"):
                changes.pop(name, None)
            # A handful of faces may lack a class, which has neither a weight nor a prior then.
            few = {"class_weights": False, "bias_init": False, **changes}
            return make_config(model, "smoke", epochs=1, max_steps=None, batch_size=SMOKE_BATCH, **few)
        paper2 = model in ("basic_cnn", "resnet50v2")
        usual = "quick" if self.budget == "quick" else ("paper2" if paper2 else "paper1")
        return make_config(model, recipe or usual, **changes)

    def train(
        self, model: str | nn.Module, *, name: str | None = None, **changes: Any
    ) -> tuple[nn.Module, pd.DataFrame]:
        """Train within the budget, having said how long it takes; return the best epoch's network.

        A training of a named network, or one that is given a name, is kept in a folder and goes on from
        there: after a disconnect, run the cell again.

        Args:
            model: a name in `fercourse.models.MODELS`, or a network of your own, (B, 1, 48, 48) -> (B, 7).
            name: the folder's name within `folder`; None: network, recipe and every change of it, as in the
                names of records, or no folder for a network of your own.
            changes: as for `config`, its recipe among them.

        Returns:
            The network in evaluation mode on the session's device, and a row an epoch.
        """
        import pandas as pd

        from fercourse.records import record_name
        from fercourse.runs import train_run
        from fercourse.train import fit

        own = not isinstance(model, str)
        config = self.config("basic_cnn" if own else str(model), **changes)
        network = model if not isinstance(model, str) else None
        faces = self.faces
        if self.smoke:
            size = self._smoke_size(network, config)
            faces = replace(faces, train=faces.train.subset(slice(size)), val=faces.val.subset(slice(size)))
            print(f"Smoke: {size} drawn faces, once, in seconds; its accuracy means nothing.")
        else:
            print(self.estimate(config, network))
        shown_bar = not self.smoke
        if self.smoke or (own and name is None):
            from fercourse.runs import build_model

            network = build_model(config) if network is None else network
            result = fit(network, faces.train, faces.val, config, device=self.device, progress=shown_bar)
        else:
            usual = record_name(config.to_dict(), faces.layout, self.device.type)
            folder = self.folder / (name or usual)
            if (folder / "history.csv").exists():
                print(f"{folder} holds this training, or a part of it: going on from there.")
            if network is None:
                network, result = train_run(
                    config, faces, folder, resume=True, device=str(self.device), progress=shown_bar
                )
            else:
                result = fit(
                    network, faces.train, faces.val, config,
                    out=folder, resume=True, device=self.device, progress=shown_bar,
                )  # fmt: skip
        history = pd.DataFrame(result.history).set_index("epoch")
        if self.smoke:  # times differ from run to run, and the book's pages must not
            history = history.drop(columns="seconds")
        return network.eval(), history

    def estimate(self, config: TrainConfig, network: nn.Module | None = None) -> str:
        """Say how long a training takes on this device, measured by a few of its steps."""
        from fercourse.sweep.pace import measure_pace

        count = int(len(self.faces.train) * config.train_fraction)
        text = f"{config.epochs} epochs of {count:,} images on {self.device_name}"
        if network is not None:
            return f"{text}, a network of your own: the bar below says how long it takes."
        try:
            seconds = measure_pace(config, self.device) * config.work() * count
        except Exception as error:  # an estimate must not keep anybody from training
            return f"{text}; how long it takes could not be measured ({one_line(error)})."
        return f"{text}: about {in_words(seconds)}. Stop it at any time; run the cell again to go on."

    def _smoke_size(self, network: nn.Module | None, config: TrainConfig) -> int:
        """Return how many images a smoke training takes: few for large networks, a multiple of a batch."""
        if network is None:
            import torch

            from fercourse.models import count_macs, create_model

            with torch.device("meta"):
                shapes = create_model(config.model)
                weights = sum(value.numel() for value in shapes.parameters())
                # Small batches are slow where there are many weights to step.
                macs = count_macs(shapes, torch.zeros(1, 1, 48, 48))[1] + 20 * weights
        else:
            # Unknown, and guessed from the number of weights.
            macs = 1000 * sum(value.numel() for value in network.parameters())
        batches = int(SMOKE_MACS / max(macs, 1.0)) // SMOKE_BATCH
        return SMOKE_BATCH * min(max(1, batches), 50)


def in_words(seconds: float) -> str:
    """Return a time as people say it: '40 seconds', '5 minutes', '1.5 hours'."""
    if seconds < 90:
        return f"{max(1, round(seconds))} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"


def explore(function: Callable[..., Any], **controls: Any) -> None:
    """Show sliders and menus that call a function, where the notebook is alive; else say what they do.

    Args:
        function: draws or prints for the values of the controls.
        controls: as for `ipywidgets.interact`: (low, high) or (low, high, step), a list of choices, a bool.
    """
    names = ", ".join(name.replace("_", " ") for name in controls)
    if os.environ.get(STATIC):
        print(f"Here, in a notebook that is running, you can move: {names}.")
        return
    try:
        import ipywidgets
    except ImportError:
        print(f"With ipywidgets installed, you could move here: {names}.")
        return
    ipywidgets.interact(function, **controls)
