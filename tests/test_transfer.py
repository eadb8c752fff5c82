"""Starting from torchvision's weights: the stages compute what torchvision's do."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torchvision

from fercourse.errors import FercourseError
from fercourse.recipes import TrainConfig, make_config
from fercourse.runs import build_model, train_run
from fercourse.transfer import FROM_IMAGENET, start_from


def wanted(model: str = "resnet18", **changes) -> TrainConfig:
    return make_config(model, pretrained="imagenet", track="extra", **changes)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of torch's, and no way to fill it by download."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", lambda url, *_, **__: _refuse(url))
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    return tmp_path / "hub" / "checkpoints"


def _refuse(url: str) -> None:
    raise OSError(f"no way to {url}")


def put(cache: Path, name: str, model: torch.nn.Module) -> None:
    url = torchvision.models.get_model_weights(name)["IMAGENET1K_V1"].url
    torch.save(model.state_dict(), cache / url.rsplit("/", 1)[1])


@pytest.mark.parametrize("name", FROM_IMAGENET)
def test_the_stages_are_torchvisions(name: str, cache: Path) -> None:
    torch.manual_seed(0)
    theirs = torchvision.models.get_model(name).eval()
    for buffer in theirs.buffers():  # running statistics that say something
        if buffer.is_floating_point():
            buffer.uniform_(0.5, 1.5)
    put(cache, name, theirs)
    own = start_from(build_model(wanted(name)), wanted(name)).eval()
    x = torch.rand(2, 64, 12, 12)
    with torch.no_grad():
        expected = x
        for number in range(1, 5):
            expected = getattr(theirs, f"layer{number}")(expected)
        assert torch.allclose(own.stages(x), expected, rtol=1e-4, atol=1e-4)


def test_stem_and_head_stay_the_seeds(cache: Path) -> None:
    put(cache, "resnet18", torchvision.models.resnet18())
    fresh, own = build_model(wanted()), start_from(build_model(wanted()), wanted())
    for part in ("stem", "head"):
        pairs = zip(getattr(fresh, part).parameters(), getattr(own, part).parameters(), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs)
    assert not torch.equal(
        fresh.stages[0][0].residual[0].conv.weight, own.stages[0][0].residual[0].conv.weight
    )


def test_nothing_asked_for_nothing_loaded() -> None:
    model = build_model(make_config("basic_cnn"))
    assert start_from(model, make_config("basic_cnn")) is model


def test_a_network_without_such_weights_is_told() -> None:
    with pytest.raises(FercourseError, match="no ImageNet weights for basic_cnn; expected one of resnet18"):
        start_from(build_model(wanted("basic_cnn")), wanted("basic_cnn"))


def test_weights_that_do_not_fit_are_told(cache: Path) -> None:
    put(cache, "resnet18", torchvision.models.resnet18())
    config = wanted(model_options={"se_reduction": 16})
    with pytest.raises(FercourseError, match="do not fit its stages here"):
        start_from(build_model(config), config)


@pytest.mark.usefixtures("cache")
def test_without_the_internet_it_says_what_to_do(tmp_path: Path, small_faces) -> None:
    from fercourse.data import load_faces

    with pytest.raises(FercourseError, match=r"connect to the internet, or put https://.*resnet18") as told:
        train_run(wanted(epochs=1, max_steps=1), load_faces(small_faces), tmp_path / "run", progress=False)
    assert str(tmp_path) in str(told.value)


def test_a_broken_file_of_weights_is_told(cache: Path) -> None:
    put(cache, "resnet18", torchvision.models.resnet18())
    path = next(cache.iterdir())
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(FercourseError, match="cannot be loaded"):
        start_from(build_model(wanted()), wanted())


def test_outside_knowledge_is_a_track_of_its_own() -> None:
    with pytest.raises(FercourseError, match="track is 'paper'; expected 'extra'"):
        make_config("resnet18", pretrained="imagenet")
    with pytest.raises(FercourseError, match="did you mean 'imagenet'"):
        make_config("resnet18", pretrained="imagnet", track="extra")


def test_a_training_starts_from_the_weights(cache: Path, tmp_path: Path, small_faces) -> None:
    from fercourse.data import load_faces

    theirs = torchvision.models.resnet18()
    put(cache, "resnet18", theirs)
    config = wanted(epochs=1, max_steps=1, batch_size=8, lr=1e-9)
    model, _ = train_run(config, load_faces(small_faces), tmp_path / "run", progress=False)
    own = model.stages[0][0].residual[0].conv.weight
    assert torch.allclose(own.cpu(), theirs.layer1[0].conv1.weight, atol=1e-6)
