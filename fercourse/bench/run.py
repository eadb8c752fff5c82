"""The bench: plans the measurements, takes each in a process of its own, and gathers them into one record."""

from __future__ import annotations

import contextlib
import itertools
import math
import multiprocessing
import os
import signal
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fercourse.bench import small as small_network
from fercourse.bench.jobs import BATCH_SIZE, FEWEST, WARM_UP, Job
from fercourse.bench.loading import READERS
from fercourse.bench.page import PAGES, check_book
from fercourse.bench.summary import summarise
from fercourse.errors import FercourseError, nearest

if TYPE_CHECKING:
    import torch

    from fercourse.data.faces import Faces

MODELS = ("basic_cnn", "vgg11", "resnet18", "se_resnet34", "mobilenet_v3_small")
PARTS = ("train", "ladder", "slower", "evaluate", "load", "small")
#: On a CPU only networks below so many million multiplications climb the ladder: others take minutes a rung.
LADDER_MMACS = 100
#: A product of matrices is the same all over again: longer tells no more.
MATMUL_SECONDS = 3.0
#: Training images that the drawn faces are repeated to: as many as FER-2013 has, for the memory they take.
TRAINING_IMAGES = 28_709


@dataclass(frozen=True)
class Settings:
    """What to measure and how long: the options of `fercourse bench`."""

    models: tuple[str, ...] = MODELS
    parts: tuple[str, ...] = PARTS
    seconds: float = 3.0
    repeats: int = 3
    compile: bool = False

    def __post_init__(self) -> None:
        from fercourse.models import MODELS as KNOWN

        for name, values, known in (("Model", self.models, tuple(KNOWN)), ("Part", self.parts, PARTS)):
            for value in values:
                if value not in known:
                    raise FercourseError(
                        f"{name} {value!r} does not exist{nearest(value, known)}. There are "
                        f"{', '.join(known)}."
                    )
        if not self.models or not self.parts:
            raise FercourseError("There is nothing to measure: name at least one model and one part.")
        if not (self.seconds >= 0 and self.repeats >= 1):
            raise FercourseError(
                f"seconds is {self.seconds:g} and repeats {self.repeats}; expected seconds from 0 and at "
                "least one repeat."
            )


def million_multiplications(models: Sequence[str]) -> dict[str, float]:
    """Return each network's multiply-accumulates for one image, in millions."""
    import torch

    from fercourse.models import count_macs, create_model

    found = {}
    for name in models:
        with torch.device("meta"):
            found[name] = round(count_macs(create_model(name).eval(), torch.zeros(1, 1, 48, 48))[1] / 1e6, 1)
    return found


def plan(
    settings: Settings,
    mmacs: Mapping[str, float],
    device: torch.device,
    source: str | None = None,
    *,
    book: bool = False,
) -> list[Job]:
    """Return the measurements in their order: those that are compared stand side by side, round by round.

    Every other round runs backwards, so that a machine that grows slower favours nobody.

    Args:
        source: a fer2013.csv, for the readers; None leaves them out.
        book: whether there is a built book, whose page runs the small network too.
    """
    import torch

    from fercourse.bench.ladder import rungs
    from fercourse.device import cpu_multiplies_bf16, pick_precision
    from fercourse.models import create_model

    jobs: list[Job] = []

    def rounds(what: str, model: str, variants: Sequence[str]) -> None:
        for number in range(settings.repeats):
            ordered = variants if number % 2 == 0 else variants[::-1]
            jobs.extend(Job(what, variant, model, number) for variant in ordered)

    small = [model for model in settings.models if mmacs[model] < LADDER_MMACS]
    formats = {"fp32"}
    for model in settings.models:
        with torch.device("meta"):  # its layers are looked at, its weights are not
            precision = pick_precision(create_model(model), device)
        formats.add(precision.name)
        between: list[str] = []
        if "ladder" in settings.parts and (device.type != "cpu" or model in small):
            between = [rung.name for rung in rungs(device.type, precision)]
        slower = []
        if "slower" in settings.parts and model in (small or settings.models)[:1]:
            slower += ["no workers"]
            if device.type == "cpu":
                slower += ["one thread"] + ([] if cpu_multiplies_bf16() else ["bf16 on a CPU without it"])
            if settings.compile:
                slower += ["compiled"]
        if "slower" in settings.parts and model.startswith("mobilenet") and precision.channels_last:
            slower += ["contiguous"]
        if between or slower or "train" in settings.parts:
            rounds("train", model, ["usual", *between, "ours", *slower])
    if "evaluate" in settings.parts:
        for model in settings.models:
            rounds("evaluate", model, ["usual", "ours"])
    if "load" in settings.parts and source is not None:
        rounds("load", "", READERS)
    if "small" in settings.parts:
        for number, batch_size in itertools.product(range(settings.repeats), small_network.BATCH_SIZES):
            # The page has one face at a time.
            programs = small_network.variants(device.type) + list(PAGES if book and batch_size == 1 else ())
            ordered = programs if number % 2 == 0 else programs[::-1]
            jobs.extend(Job("small", name, "small", number, batch_size) for name in ordered)
    multiplied = settings.parts != ("small",)
    return [Job("matmul", name) for name in sorted(formats) if multiplied] + jobs


def expected_seconds(
    job: Job, settings: Settings, mmacs: Mapping[str, float], device_kind: str, flops: float
) -> float:
    """Return about how long a measurement will take, from what the device multiplies in a second."""
    if job.what == "load":
        return {"usual": 60.0, "ours": 5.0, "cached": 8.0}[job.variant]
    if job.what == "matmul":
        return settings.seconds + 2
    if job.what == "small":
        return settings.seconds + (8 if job.variant in PAGES else 4)
    # Products fill most of a large network's time; a small one spends its time on memory instead.
    passes = 3 if job.what == "train" else 1
    slowly = 8 if job.variant == "bf16 on a CPU without it" else 2 if job.variant == "one thread" else 1
    step = slowly * passes * BATCH_SIZE * (2e6 * mmacs[job.model] / (0.75 * flops) + 3e8 / flops)
    return 1.5 + max(settings.seconds + step, FEWEST * step) + WARM_UP[device_kind] * step


class Bench:
    """Takes measurements, each in a process of its own; use it as a context, which ends what still runs."""

    def __init__(
        self,
        faces: Faces,
        settings: Settings,
        device: torch.device,
        source: str | None,
        book: str | None = None,
    ) -> None:
        self.settings, self.device, self.source, self.book = settings, device, source, book
        self.folder = tempfile.TemporaryDirectory(prefix="fercourse-bench-")
        self.images = Path(self.folder.name) / "images.npz"
        images, labels = faces.train.images, faces.train.labels
        if len(images) < BATCH_SIZE or labels.min() < 0:
            raise FercourseError(
                f"{faces.source} has {len(images)} training images; the bench needs {BATCH_SIZE} with labels."
            )
        if faces.layout.startswith("synthetic"):  # which faces they are does not matter, how many does
            some = np.arange(TRAINING_IMAGES) % len(images)
            images, labels = images[some], labels[some]
        self.count = len(images)
        np.savez(self.images, images=images, labels=labels)
        # A server that has imported everything and computed nothing starts a process in no time.
        forks = "forkserver" in multiprocessing.get_all_start_methods()
        self.context: Any = multiprocessing.get_context("forkserver" if forks else "spawn")
        if forks:
            self.context.set_forkserver_preload(["fercourse.bench.worker", "fercourse.bench.usual"])

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *_: object) -> None:
        self.folder.cleanup()

    def take(self, job: Job) -> dict[str, Any]:
        """Take one measurement.

        Raises:
            FercourseError: the measurement failed, or the system ended it.
        """
        from fercourse.bench.worker import work

        arguments = {
            "images": str(self.images),
            "device": str(self.device),
            "seconds": min(self.settings.seconds, MATMUL_SECONDS if job.what == "matmul" else math.inf),
            "source": self.source,
            "book": self.book,
            "start_method": multiprocessing.get_start_method(),
        }
        receiver, sender = self.context.Pipe(duplex=False)
        process = self.context.Process(target=work, args=(sender, job, arguments))
        process.start()
        sender.close()
        try:
            result, error = receiver.recv()
            process.join(timeout=20)  # the loader's workers come to their end first
        except EOFError:
            process.join(timeout=20)
            result, error = (
                {},
                f"the system ended it (exit code {process.exitcode}), short of memory?",
            )
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError, AttributeError):
                os.killpg(process.pid, signal.SIGKILL)  # it leads a group of its own, see `work`, or is gone
            process.kill()
            process.join()
        if error is not None:
            raise FercourseError(f"Measuring {' '.join(filter(None, names(job)))} failed: {error}")
        return {**asdict(job), **result}


def names(job: Job) -> tuple[str, str, str]:
    return job.what, job.model, job.variant


def run(
    faces: Faces,
    settings: Settings,
    *,
    device: str | None = None,
    source: str | None = None,
    book: str | None = None,
    progress: bool = True,
    say: Callable[[str], object] = str,
) -> dict[str, Any]:
    """Measure and return the record of it: environment, settings, measurements, and their summary.

    Args:
        faces: where the training images come from.
        device: as `pick_device` takes it.
        source: a fer2013.csv to time the readers on; None leaves them out.
        book: folder of a built book, to time the small network in its page too; None leaves it out.
        progress: show a bar on stderr.
        say: told, before the long part begins, how long it will take.

    Raises:
        FercourseError: a model or part does not exist, a measurement failed, a book cannot be measured.
    """
    import torch
    from tqdm import tqdm

    from fercourse.device import cpu_multiplies_bf16, describe_device, pick_device
    from fercourse.environment import environment

    if book is not None:
        check_book(book)
    place = pick_device(device)
    mmacs = million_multiplications(settings.models)
    jobs = plan(settings, mmacs, place, source, book=book is not None)
    measurements = []
    with Bench(faces, settings, place, source, book) as bench:
        # The products come first: what the device multiplies tells how long the rest will take.
        flops = 1.0
        while jobs and jobs[0].what == "matmul":
            measurements.append(bench.take(jobs.pop(0)))
            flops = max(flops, measurements[-1]["flops"])
        times = [expected_seconds(job, settings, mmacs, place.type, flops) for job in jobs]
        load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
        if load > (os.cpu_count() or 1) / 2:
            say(f"This machine is busy (load {load:.1f}): the ratios will scatter. Better come back later.")
        say(f"About {sum(times) / 60:.0f} minutes for {len(jobs)} measurements on {describe_device(place)}.")
        with tqdm(
            total=round(sum(times)),
            disable=not progress,
            bar_format="{l_bar}{bar}| {elapsed}{postfix}",
        ) as bar:
            for job, seconds in zip(jobs, times, strict=True):
                bar.set_postfix_str(" ".join(filter(None, names(job))))
                measurements.append(bench.take(job))
                bar.update(seconds)
        count = bench.count
    record = {
        "format": 1,
        "environment": {
            **environment(),
            "device": describe_device(place),
            "device_kind": place.type,
            "threads": torch.get_num_threads(),
            "cpu_multiplies_bf16": cpu_multiplies_bf16(),
        },
        "settings": {**asdict(settings), "batch_size": BATCH_SIZE},
        "data": {"layout": faces.layout, "training_images": count},
        "mmacs": mmacs,
        "measurements": measurements,
    }
    return {**record, "summary": summarise(record)}
