"""The layers that networks share."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from fercourse.errors import FercourseError
from fercourse.layers import (
    ConvNormAct,
    InvertedResidual,
    SqueezeExcite,
    init_weights,
    pooled_head,
    set_batch_norm,
)


def randomise_norms(module: nn.Module) -> None:
    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.weight.uniform_(0.5, 1.5)
                part.bias.normal_()
                part.running_mean.normal_()
                part.running_var.uniform_(0.5, 1.5)


@pytest.mark.parametrize("kernel_size", [1, 3, 5, 7])
@pytest.mark.parametrize("stride", [1, 2])
def test_conv_norm_act_keeps_the_image_at_stride_1_and_halves_it_at_2(kernel_size, stride):
    out = ConvNormAct(4, 6, kernel_size=kernel_size, stride=stride)(torch.randn(2, 4, 13, 12))
    assert out.shape == (2, 6, -(-13 // stride), -(-12 // stride))
    assert out.min() >= 0


def test_conv_norm_act_is_convolution_then_norm_then_activation():
    torch.manual_seed(0)
    layer = ConvNormAct(4, 6).eval()
    randomise_norms(layer)
    x = torch.randn(2, 4, 9, 9)
    norm = layer.norm
    expected = F.conv2d(x, layer.conv.weight, padding=1)
    expected = F.batch_norm(expected, norm.running_mean, norm.running_var, norm.weight, norm.bias)
    torch.testing.assert_close(layer(x), F.relu(expected))
    assert (ConvNormAct(4, 6, act=None).eval()(x) < 0).any()


def test_conv_norm_act_has_a_bias_unless_batch_norm_follows():
    assert ConvNormAct(1, 2).conv.bias is None
    assert ConvNormAct(1, 2, norm="none").conv.bias is not None
    assert ConvNormAct(1, 2, bias=True).conv.bias is not None
    assert ConvNormAct(1, 2, norm="none", bias=False).conv.bias is None
    assert not any(isinstance(part, nn.BatchNorm2d) for part in ConvNormAct(1, 2, norm="none").modules())
    with pytest.raises(FercourseError, match="norm is 'group'; expected one of 'batch', 'none'"):
        ConvNormAct(1, 2, norm="group")


@pytest.mark.parametrize("gate", [nn.Sigmoid, nn.Hardsigmoid])
def test_squeeze_excite_is_torchvisions(gate):
    ops = pytest.importorskip("torchvision.ops")
    torch.manual_seed(0)
    ours, theirs = (
        SqueezeExcite(16, squeeze_channels=4, gate=gate),
        ops.SqueezeExcitation(16, 4, scale_activation=gate),
    )
    ours.load_state_dict(dict(zip(ours.state_dict(), theirs.state_dict().values(), strict=True)))
    x = torch.randn(3, 16, 5, 7)
    torch.testing.assert_close(ours(x), theirs(x))


def test_squeeze_excite_scales_whole_channels_by_less_than_one():
    torch.manual_seed(0)
    scale = SqueezeExcite(8, squeeze_channels=2)(x := torch.randn(2, 8, 6, 6)) / x
    torch.testing.assert_close(scale, scale.mean((2, 3), keepdim=True).expand_as(scale))
    assert 0 < scale.min() < scale.max() < 1


@pytest.mark.parametrize(("in_channels", "out_channels", "stride"), [(8, 8, 1), (8, 12, 1), (8, 8, 2)])
def test_inverted_residual_is_torchvisions(in_channels, out_channels, stride):
    mobilenet = pytest.importorskip("torchvision.models.mobilenetv2")
    torch.manual_seed(0)
    theirs = mobilenet.InvertedResidual(in_channels, out_channels, stride, 6).eval()
    randomise_norms(theirs)
    ours = InvertedResidual(
        in_channels, out_channels, expanded_channels=6 * in_channels, stride=stride
    ).eval()
    ours.load_state_dict(dict(zip(ours.state_dict(), theirs.state_dict().values(), strict=True)))
    x = torch.randn(2, in_channels, 11, 11)
    torch.testing.assert_close(ours(x), theirs(x))


def test_inverted_residual_expands_where_the_width_changes():
    assert len(InvertedResidual(8, 8, expanded_channels=8).residual) == 2
    assert len(InvertedResidual(8, 8, expanded_channels=8, expand=True).residual) == 3
    assert len(InvertedResidual(8, 8, expanded_channels=16).residual) == 3
    assert len(InvertedResidual(8, 8, expanded_channels=16, squeeze_channels=4).residual) == 4


def test_inverted_residual_shortcuts():
    def shortcut(*args, **options):
        return InvertedResidual(*args, expanded_channels=16, **options).shortcut

    assert isinstance(shortcut(8, 8), nn.Identity)
    assert shortcut(8, 12) is None
    assert shortcut(8, 8, stride=2, shortcut="projection") is None
    assert isinstance(shortcut(8, 8, shortcut="projection"), nn.Identity)
    assert isinstance(shortcut(8, 12, shortcut="projection"), ConvNormAct)
    block = InvertedResidual(8, 12, expanded_channels=16, shortcut="projection").eval()
    x = torch.randn(1, 8, 5, 5)
    torch.testing.assert_close(block(x), block.residual(x) + block.shortcut(x))


def test_pooled_head_averages_over_the_image():
    head = pooled_head(6, 3).eval()
    x = torch.randn(2, 6, 4, 5)
    torch.testing.assert_close(head(x), head[-1](x.mean((2, 3))))
    with pytest.raises(FercourseError, match=r"dropout is 1\.5"):
        pooled_head(6, 3, dropout=1.5)


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(32, 64, 3)
        self.depthwise = nn.Conv2d(512, 512, 5, groups=512)
        self.norm = nn.BatchNorm2d(64)
        self.head = nn.Sequential(nn.Linear(300, 400), nn.ReLU(), nn.Linear(400, 70))


def test_init_weights_draws_he_normal_and_a_small_last_layer():
    torch.manual_seed(0)
    network = Network()
    nn.init.constant_(network.norm.bias, 3.0)
    init_weights(network)
    for weight, std in [
        (network.conv.weight, (2 / (64 * 9)) ** 0.5),
        (network.depthwise.weight, (2 / 25) ** 0.5),
        (network.head[0].weight, (2 / 300) ** 0.5),
        (network.head[2].weight, 0.01),
    ]:
        assert weight.std().item() == pytest.approx(std, rel=0.05)
        assert abs(weight.mean().item()) < std / 10
    for key, value in network.named_parameters():
        if key.endswith("bias"):
            assert torch.count_nonzero(value) == 0, key
    assert (network.norm.weight == 1).all()


def test_init_weights_keeps_the_signal_of_a_deep_stack():
    torch.manual_seed(0)
    layers = [ConvNormAct(64, 64, norm="none") for _ in range(15)]
    network = nn.Sequential()
    network.features = nn.Sequential(*layers)
    network.head = pooled_head(64, 7)
    init_weights(network)
    with torch.inference_mode():
        x = torch.randn(2, 64, 16, 16)
        out = network.features(x)
    assert 0.03 < out.std() / x.std() < 30  # without He's rule it is 1e-6 or less


def test_set_batch_norm():
    network = Network()
    set_batch_norm(network, momentum=0.01, eps=1e-3)
    assert (network.norm.momentum, network.norm.eps) == (0.01, 1e-3)
    for momentum in (0.0, 1.1, -0.1):
        with pytest.raises(FercourseError, match="bn_momentum"):
            set_batch_norm(network, momentum=momentum)
