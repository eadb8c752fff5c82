"""The session that a notebook begins with: budget, device, data, trainings that fit, and controls."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import nn

from fercourse import course, data
from fercourse.course import Session, explore, in_words, install_missing, start
from fercourse.data.synthetic import synthetic_faces
from fercourse.errors import FercourseError


@pytest.fixture(scope="module")
def session() -> Session:
    return Session("smoke")


@pytest.fixture
def colab(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLAB_RELEASE_TAG", "release-colab_20260801")


def no_data(*_: object, **__: object) -> None:
    raise AssertionError("smoke looked for data")


def test_smoke_draws_its_faces_and_looks_for_no_data(monkeypatch, capsys) -> None:
    monkeypatch.setattr(data, "load_faces", no_data)
    monkeypatch.setenv("FERCOURSE_DATA", "/no/such/file.csv")
    session = start("smoke")
    assert session.faces.layout == "synthetic"
    assert session.device.type == "cpu"
    out = capsys.readouterr().out
    assert "Budget smoke" in out
    assert f"PyTorch {torch.__version__}" in out
    assert "1,610 drawn faces" in out


@pytest.mark.parametrize(("gpu", "budget"), [(False, "smoke"), (True, "quick")])
def test_auto_suits_the_machine(monkeypatch, gpu: bool, budget: str) -> None:
    monkeypatch.delenv(course.VARIABLE)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    monkeypatch.setattr("fercourse.device.pick_device", lambda _: torch.device("cpu"))
    monkeypatch.setattr(Session, "faces", synthetic_faces(sizes=(7, 7, 7)))
    assert start().budget == budget


def test_the_environment_sets_the_budget_and_the_notebook_overrules_it(monkeypatch) -> None:
    monkeypatch.setattr(Session, "faces", synthetic_faces(sizes=(7, 7, 7)))
    monkeypatch.setenv(course.VARIABLE, "full")
    assert start("auto").budget == "full"
    assert start("quick").budget == "quick"


@pytest.mark.parametrize("budget", ["fast", "", "Smoke"])
def test_an_unknown_budget_is_one_sentence(budget: str) -> None:
    with pytest.raises(FercourseError, match="expected auto, smoke, quick, full"):
        start(budget)


def test_the_real_data_are_named_with_their_verdict(real_data: Path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("FERCOURSE_DATA", str(real_data / "fer2013.npz"))
    start("quick")
    assert "35,887 images; verdict: official" in capsys.readouterr().out


@pytest.mark.usefixtures("colab")
def test_without_a_gpu_colab_is_told_where_to_switch_it_on(monkeypatch, capsys) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(course, "install_missing", list)
    start("smoke")
    assert "Runtime > Change runtime type" in capsys.readouterr().out


def test_only_what_is_missing_is_installed(monkeypatch) -> None:
    asked: list[list[str]] = []

    def pip(command: list[str], check: bool) -> subprocess.CompletedProcess[str]:
        assert not check
        asked.append(command)
        return subprocess.CompletedProcess(command, 0)

    assert install_missing(pip) == []
    assert asked == []
    needs = ["torch>=2.6", "no-such-package>=1.0", 'onnx>=1.17; extra == "export"']
    monkeypatch.setattr(course.metadata, "requires", lambda _: needs)
    assert install_missing(pip) == ["no-such-package>=1.0"]
    assert asked == [[sys.executable, "-m", "pip", "install", "--quiet", "no-such-package>=1.0"]]


def test_a_failed_installation_is_one_sentence(monkeypatch) -> None:
    monkeypatch.setattr(course.metadata, "requires", lambda _: ["no-such-package"])
    with pytest.raises(FercourseError, match="no-such-package"):
        install_missing(lambda command, **_: subprocess.CompletedProcess(command, 1))


@pytest.mark.usefixtures("colab")
def test_drive_is_asked_for_in_colab_only(monkeypatch) -> None:
    mounted = []
    drive = ModuleType("google.colab.drive")
    drive.mount = mounted.append  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "google.colab.drive", drive)
    assert course._folder(True) == Path("/content/drive/MyDrive/fercourse")
    assert mounted == ["/content/drive"]
    assert course._folder(False) == Path("runs")
    monkeypatch.delenv("COLAB_RELEASE_TAG")
    with pytest.raises(FercourseError, match="Colab only"):
        course._folder(True)


# Trainings -------------------------------------------------------------------------------------------------


def test_budgets_choose_recipes() -> None:
    quick, full = Session("quick"), Session("full")
    assert quick.config("resnet18").recipe == "quick"
    assert full.config("resnet18").recipe == "paper1"
    assert full.config("basic_cnn").recipe == full.config("resnet50v2").recipe == "paper2"
    assert quick.config("vgg11", epochs=3, seed=2).epochs == 3
    assert quick.config("basic_cnn", recipe="paper2", epochs=3).recipe == "paper2"
    assert Session("smoke").config("basic_cnn", recipe="paper2", epochs=3).recipe == "smoke"
    smoke = Session("smoke").config("vgg11", epochs=3, seed=2)
    assert (smoke.epochs, smoke.seed, smoke.recipe) == (1, 2, "smoke")


def test_smoke_takes_fewer_faces_for_larger_networks(session: Session) -> None:
    sizes = {
        name: session._smoke_size(None, session.config(name)) for name in ("basic_cnn", "vgg11", "resnet50")
    }
    assert sizes["basic_cnn"] > sizes["vgg11"] >= sizes["resnet50"] == course.SMOKE_BATCH


def test_a_smoke_training_runs_and_keeps_no_folder(session: Session, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    network, history = session.train("basic_cnn")
    assert not network.training
    assert list(history.columns) == ["lr", "train_loss", "train_accuracy", "val_loss", "val_accuracy"]
    assert history["train_loss"].between(0, 4).all()
    assert "its accuracy means nothing" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


def test_a_network_of_ones_own_trains(session: Session) -> None:
    own = nn.Sequential(nn.Flatten(), nn.Linear(48 * 48, 7))
    before = own[1].weight.detach().clone()
    network, _ = session.train(own)
    assert network is own
    assert not torch.equal(before, own[1].weight)


@pytest.fixture
def quick(tmp_path: Path) -> Session:
    """A quick session on a few drawn faces, on the CPU."""
    session = Session("quick", folder=tmp_path / "runs")
    session.device, session.device_name = torch.device("cpu"), "a processor"
    session.faces = synthetic_faces(sizes=(70, 21, 21))
    return session


def test_a_training_says_how_long_it_takes_and_goes_on(quick: Session, capsys) -> None:
    _, first = quick.train("basic_cnn", epochs=2)
    said = capsys.readouterr().out
    assert "2 epochs of 70 images on a processor: about" in said
    _, again = quick.train("basic_cnn", epochs=2)
    assert "going on from there" in capsys.readouterr().out
    np.testing.assert_array_equal(first.to_numpy(), again.to_numpy())  # seconds too: nothing was trained anew


def test_another_training_of_the_same_network_has_a_folder_of_its_own(quick: Session, capsys) -> None:
    quick.train("basic_cnn", epochs=1)
    quick.train("basic_cnn", epochs=1, recipe="paper2", model_options={"bn_momentum": 0.01})
    assert "going on from there" not in capsys.readouterr().out
    assert len(list(quick.folder.iterdir())) == 2


def test_a_named_network_of_ones_own_goes_on_too(quick: Session, capsys) -> None:
    def own() -> nn.Module:
        torch.manual_seed(1)
        return nn.Sequential(nn.Flatten(), nn.Linear(48 * 48, 7))

    _, first = quick.train(own(), name="mine", epochs=1)
    _, again = quick.train(own(), name="mine", epochs=1)
    assert "going on from there" in capsys.readouterr().out
    np.testing.assert_array_equal(first.to_numpy(), again.to_numpy())


def test_an_estimate_counts_small_images_for_less(quick: Session, monkeypatch) -> None:
    monkeypatch.setattr("fercourse.sweep.pace.measure_pace", lambda *_: 60 / len(quick.faces.train))
    whole = quick.config("small_vgg", epochs=4)
    assert "about 4 minutes" in quick.estimate(whole)
    assert "about 2 minutes" in quick.estimate(dataclasses.replace(whole, sizes=[[0.75, 24]]))


def test_an_estimate_that_fails_does_not_keep_anybody_from_training(quick: Session, monkeypatch) -> None:
    def fail(*_: object) -> float:
        raise RuntimeError("no clock")

    monkeypatch.setattr("fercourse.sweep.pace.measure_pace", fail)
    assert "could not be measured (no clock)" in quick.estimate(quick.config("basic_cnn"))


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.1, "1 seconds"),
        (40.2, "40 seconds"),
        (290, "5 minutes"),
        (5400, "1.5 hours"),
        (36000, "10.0 hours"),
    ],
)
def test_times_are_said_as_people_say_them(seconds: float, words: str) -> None:
    assert in_words(seconds) == words


# Controls --------------------------------------------------------------------------------------------------


def test_for_the_book_a_control_is_a_sentence(capsys) -> None:
    explore(lambda **_: pytest.fail("called"), kernel=["a", "b"], person=(0, 3))
    assert "you can move: kernel, person" in capsys.readouterr().out


def test_in_a_live_notebook_a_control_calls_its_function(monkeypatch) -> None:
    monkeypatch.delenv(course.STATIC)
    seen: list[tuple[int, str]] = []
    shown: list[object] = []
    monkeypatch.setattr("ipywidgets.widgets.interaction.display", lambda *things: shown.extend(things))
    explore(lambda depth, kind: seen.append((depth, kind)), depth=(0, 10), kind=["plain", "residual"])
    (box,) = [thing for thing in shown if hasattr(thing, "children")]
    slider, menu = box.children[:2]
    slider.value = 9
    menu.value = "residual"
    assert seen[-1] == (9, "residual")
    assert len(seen) >= 3


def test_without_ipywidgets_a_control_is_a_sentence(monkeypatch, capsys) -> None:
    monkeypatch.delenv(course.STATIC)
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    explore(lambda **_: pytest.fail("called"), depth=(0, 3))
    assert "With ipywidgets installed" in capsys.readouterr().out
