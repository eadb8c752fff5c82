"""Explanations: equal to captum's, and honest about modes, shapes and maps that say nothing."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from fercourse.errors import FercourseError
from fercourse.explain import WithMaps, grad_cam, input_gradients, inside, occlusion
from fercourse.layers import ConvNormAct, pooled_head
from fercourse.models import create_model


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    body = nn.Sequential(ConvNormAct(1, 8, stride=2), ConvNormAct(8, 12))
    model = nn.Sequential(body, pooled_head(12, 7, dropout=0.5))
    model(torch.randn(16, 1, 20, 24))  # running statistics of their own
    return model.eval()


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randn(5, 1, 20, 24, generator=torch.Generator().manual_seed(1))


TARGETS = torch.tensor([3, 0, 6, 3, 1])


@pytest.mark.parametrize("layer", ["0.1", "0.1.conv", "0.1.norm", "0.0"])
def test_grad_cam_is_captums(network: nn.Module, images: torch.Tensor, layer: str) -> None:
    attr = pytest.importorskip("captum.attr")
    ours = grad_cam(network, images, TARGETS, network.get_submodule(layer))
    for one in network.modules():
        if isinstance(one, nn.ReLU):
            one.inplace = False  # captum would see what the in-place ReLU made of the maps
    found = attr.LayerGradCam(network, network.get_submodule(layer)).attribute(
        images, target=TARGETS, relu_attributions=True
    )
    found = attr.LayerAttribution.interpolate(found, images.shape[2:], "bilinear")
    torch.testing.assert_close(ours, found[:, 0].detach(), atol=1e-5, rtol=1e-4)
    assert ours.shape == (5, 20, 24)
    assert ours.min() >= 0


@pytest.mark.parametrize(("size", "stride", "fill"), [(8, 4, 0.0), (6, 5, 0.3), (5, 5, -1.0), (3, 2, 0.0)])
def test_occlusion_is_captums(
    network: nn.Module, images: torch.Tensor, size: int, stride: int, fill: float
) -> None:
    attr = pytest.importorskip("captum.attr")
    ours = occlusion(network, images, TARGETS, size=size, stride=stride, fill=fill)
    found = attr.Occlusion(network).attribute(
        images, (1, size, size), strides=(1, stride, stride), baselines=fill, target=TARGETS
    )
    torch.testing.assert_close(ours, found[:, 0], atol=1e-5, rtol=1e-4)


def test_gradients_are_captums(network: nn.Module, images: torch.Tensor) -> None:
    attr = pytest.importorskip("captum.attr")
    found = attr.Saliency(network).attribute(images, target=TARGETS)
    torch.testing.assert_close(input_gradients(network, images, TARGETS), found[:, 0])


@pytest.mark.parametrize("method", ["cam", "occlusion", "gradient"])
def test_a_network_is_looked_at_in_evaluation_mode_and_left_as_it_was(
    network: nn.Module, images: torch.Tensor, method: str
) -> None:
    methods = {
        "cam": lambda: grad_cam(network, images, TARGETS, network[0][1]),
        "occlusion": lambda: occlusion(network, images, TARGETS),
        "gradient": lambda: input_gradients(network, images, TARGETS),
    }
    expected = methods[method]()
    network.train()
    network[0][0].norm.eval()  # frozen, as in fine-tuning
    for value in network.parameters():
        value.requires_grad_(False)
    with torch.no_grad():
        torch.testing.assert_close(methods[method](), expected)
    assert network.training
    assert network[0][1].norm.training
    assert not network[0][0].norm.training
    assert not network[0][1]._forward_hooks
    assert all(value.grad is None for value in network.parameters())
    assert not expected.requires_grad


def test_each_map_is_its_own_images(network: nn.Module, images: torch.Tensor) -> None:
    together = grad_cam(network, images, TARGETS, network[0][1])
    for place in range(len(images)):
        one = slice(place, place + 1)
        alone = grad_cam(network, images[one], TARGETS[one], network[0][1])
        torch.testing.assert_close(alone, together[one], atol=1e-6, rtol=1e-4)


def test_the_score_of_a_map() -> None:
    maps = torch.zeros(5, 4, 4)
    masks = torch.zeros(5, 4, 4, dtype=torch.bool)
    masks[:4, :2, :2] = True  # a quarter
    maps[0] = 1.0  # knows nothing
    maps[1, :2, :2] = 2.0  # all inside
    maps[2, 2:, 2:] = 1.0  # all outside
    maps[2, 0, 0] = -5.0  # counts as none
    maps[4] = 1.0  # an empty mask; the fourth map is zero
    assert inside(maps, masks)[:3].tolist() == [1.0, 4.0, 0.0]
    assert inside(maps, masks)[3:].isnan().all()


def test_what_does_not_fit_is_refused(network: nn.Module, images: torch.Tensor) -> None:
    with pytest.raises(FercourseError, match="expected 5 classes, one an image"):
        input_gradients(network, images, TARGETS[:3])
    with pytest.raises(FercourseError, match="gives maps"):
        grad_cam(network, images, TARGETS, network[1][1])
    with pytest.raises(FercourseError, match="no gaps"):
        occlusion(network, images, TARGETS, size=4, stride=5)


@pytest.fixture
def small() -> nn.Module:
    torch.manual_seed(0)
    model = create_model("small_vgg")
    nn.init.normal_(model.head[-1].bias)
    model(torch.rand(16, 1, 48, 48))  # running statistics of their own
    return model.eval()


@torch.no_grad()
def test_class_activation_maps_add_up_to_the_logits(small: nn.Module) -> None:
    images = torch.rand(3, 1, 48, 48, generator=torch.Generator().manual_seed(2))
    logits, maps = WithMaps(small)(images)
    torch.testing.assert_close(logits, small(images), atol=1e-5, rtol=1e-5)
    assert maps.shape == (3, 7, 6, 6)
    torch.testing.assert_close(maps.mean((2, 3)) + small.head[-1].bias, logits, atol=1e-5, rtol=1e-5)
    # By hand, at one place of one image: the weighted sum of the channels there.
    features = small.forward_features(images)
    torch.testing.assert_close(maps[1, :, 4, 2], small.head[-1].weight @ features[1, :, 4, 2])


def test_maps_need_a_pooled_head() -> None:
    with pytest.raises(FercourseError, match=r"this one has .*Linear, Hardswish, Linear"):
        WithMaps(create_model("mobilenet_v3_small"))
    with pytest.raises(FercourseError, match="this one has none"):
        WithMaps(nn.Linear(2, 7))
    with pytest.raises(FercourseError, match="global average pooling"):
        WithMaps(create_model("vgg11", original_head=True))
