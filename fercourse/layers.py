"""Layers that more than one network uses. Images are (B, C, H, W), float; H and W in pixels."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from fercourse.errors import FercourseError, nearest


class ConvNormAct(nn.Module):
    """Convolution, batch norm, activation: the brick of every network here.

    The padding keeps height and width at stride 1. The convolution has a bias unless batch norm follows,
    whose own shift makes one redundant; ``bias`` overrides that where a published network does otherwise.

    Args:
        in_channels, out_channels: channels of input and output.
        kernel_size, stride, groups: of the convolution; ``groups=in_channels`` is a depthwise one.
        norm: 'batch' (Ioffe & Szegedy, 2015) or 'none'.
        act: activation class, or None for none.
        bias: whether the convolution has a bias; None for the rule above.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel_size: int = 3,
        stride: int = 1,
        groups: int = 1,
        norm: str = "batch",
        act: type[nn.Module] | None = nn.ReLU,
        bias: bool | None = None,
    ) -> None:
        super().__init__()
        check_choice("norm", norm, ("batch", "none"))
        self.conv = nn.Conv2d(
            in_channels,
            out_channels,
            kernel_size,
            stride=stride,
            padding=kernel_size // 2,
            groups=groups,
            bias=norm == "none" if bias is None else bias,
        )
        self.norm = nn.BatchNorm2d(out_channels) if norm == "batch" else nn.Identity()
        self.act = nn.Identity() if act is None else act(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, out_channels, ceil(H / stride), ceil(W / stride))."""
        return self.act(self.norm(self.conv(x)))


class SqueezeExcite(nn.Module):
    """Squeeze-and-excitation (Hu, Shen & Sun, 2018): scale each channel by a gate computed from all of them.

    Squeeze: average over the image. Excite: two dense layers (1x1 convolutions) and a gate in [0, 1].

    Args:
        channels: channels of input and output.
        squeeze_channels: width between the two dense layers; the paper's is ``channels // 16``.
        gate: nn.Sigmoid as published, or nn.Hardsigmoid as in MobileNetV3.
    """

    def __init__(self, channels: int, *, squeeze_channels: int, gate: type[nn.Module] = nn.Sigmoid) -> None:
        super().__init__()
        self.squeeze = nn.AdaptiveAvgPool2d(1)
        self.reduce = nn.Conv2d(channels, squeeze_channels, 1)
        self.act = nn.ReLU(inplace=True)
        self.expand = nn.Conv2d(squeeze_channels, channels, 1)
        self.gate = gate()

    def gates(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) -> each channel's gate, (B, channels, 1, 1)."""
        scale = self.squeeze(x)  # (B, channels, 1, 1)
        scale = self.act(self.reduce(scale))  # (B, squeeze_channels, 1, 1)
        return self.gate(self.expand(scale))  # (B, channels, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) -> the same shape."""
        return x * self.gates(x)


class SpatialAttention(nn.Module):
    """Spatial attention of CBAM (Woo et al., 2018): scale each place by a gate of its surroundings.

    The mean and the greatest value over the channels make two pictures; one convolution turns them into one
    gate in [0, 1] a place, shared by all channels.

    Args:
        kernel_size: of the convolution, odd; the paper's is 7.
    """

    def __init__(self, kernel_size: int = 7) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, kernel_size, padding=kernel_size // 2, bias=False)
        self.gate = nn.Sigmoid()

    def gates(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> each place's gate, (B, 1, H, W)."""
        pooled = torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], dim=1)  # (B, 2, H, W)
        return self.gate(self.conv(pooled))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        return x * self.gates(x)


class InvertedResidual(nn.Module):
    """Inverted residual with a linear bottleneck (MobileNetV2: Sandler et al., 2018; V3: Howard, 2019).

    Wide in the middle, narrow at both ends: a 1x1 convolution expands, a depthwise one filters, an optional
    squeeze-and-excitation weighs the channels, and a 1x1 convolution without activation projects down. The
    input is added where shapes agree.

    Args:
        in_channels, out_channels: of the narrow ends.
        expanded_channels: width in the middle.
        kernel_size, stride: of the depthwise convolution.
        act: activation of the first two convolutions.
        squeeze_channels: squeeze width of the squeeze-and-excitation; None for none.
        expand: whether the 1x1 expansion is there; None: where it changes the width, as published.
        shortcut: 'identity' as published; 'projection' adds a 1x1 convolution with batch norm where the
            stride is 1 but the widths differ, as widely copied code for small images does.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        expanded_channels: int,
        kernel_size: int = 3,
        stride: int = 1,
        act: type[nn.Module] = nn.ReLU6,
        squeeze_channels: int | None = None,
        expand: bool | None = None,
        shortcut: str = "identity",
    ) -> None:
        super().__init__()
        check_choice("shortcut", shortcut, ("identity", "projection"))
        mid = expanded_channels
        layers: list[nn.Module] = []
        if mid != in_channels if expand is None else expand:
            layers.append(ConvNormAct(in_channels, mid, kernel_size=1, act=act))
        layers.append(ConvNormAct(mid, mid, kernel_size=kernel_size, stride=stride, groups=mid, act=act))
        if squeeze_channels is not None:
            layers.append(SqueezeExcite(mid, squeeze_channels=squeeze_channels, gate=nn.Hardsigmoid))
        layers.append(ConvNormAct(mid, out_channels, kernel_size=1, act=None))
        self.residual = nn.Sequential(*layers)
        self.shortcut: nn.Module | None = None
        if stride == 1 and in_channels == out_channels:
            self.shortcut = nn.Identity()
        elif stride == 1 and shortcut == "projection":
            self.shortcut = ConvNormAct(in_channels, out_channels, kernel_size=1, act=None)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, out_channels, ceil(H / stride), ceil(W / stride))."""
        if self.shortcut is None:
            return self.residual(x)
        return self.residual(x) + self.shortcut(x)


def pooled_head(in_channels: int, num_classes: int, *, dropout: float = 0.0) -> nn.Sequential:
    """Global average pooling (Lin, Chen & Yan, 2014), one dense layer: (B, C, H, W) -> (B, num_classes)."""
    return nn.Sequential(
        nn.AdaptiveAvgPool2d(1),  # (B, C, 1, 1)
        nn.Flatten(),  # (B, C)
        nn.Dropout(check_dropout(dropout)),
        nn.Linear(in_channels, num_classes),  # (B, num_classes)
    )


@torch.no_grad()
def init_weights(model: nn.Module) -> None:
    """Draw the starting weights of a network that has a ``head`` ending in a dense layer.

    - Convolutions: He normal (He et al., 2015), fan-out of one group, so that depthwise ones count 1 channel.
    - Hidden dense layers: He normal, fan-in. Batch norm: scale 1, shift 0. Every bias: 0.
    - The last dense layer: normal, standard deviation 0.01, so that training starts from near-equal logits.
    """
    if any(parameter.is_meta for parameter in model.parameters()):
        return  # nothing to draw where only shapes exist; trying would load torch's compiler, for seconds
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            height, width = module.kernel_size
            fan_out = module.out_channels // module.groups * height * width
            module.weight.normal_(0.0, (2.0 / fan_out) ** 0.5)
        elif isinstance(module, nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.ones_(module.weight)
        else:
            continue
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    last = model.get_submodule("head")[-1]  # type: ignore[index]
    nn.init.normal_(last.weight, 0.0, 0.01)


def set_batch_norm(model: nn.Module, *, momentum: float = 0.1, eps: float = 1e-5) -> None:
    """Set every batch norm's ``momentum`` and ``eps``.

    PyTorch's momentum is the weight of the newest batch in the running statistics; Keras's is the weight of
    the past: Keras 0.99 is PyTorch 0.01.

    Raises:
        FercourseError: the momentum is not within 0 and 1.
    """
    if not 0 < momentum <= 1:
        raise FercourseError(
            f"bn_momentum is {momentum}; expected above 0 and at most 1 (Keras's 0.99 is 0.01 in PyTorch)."
        )
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = momentum
            module.eps = eps


def check_choice(option: str, value: str | None, allowed: Iterable[str]) -> None:
    """Raise a FercourseError unless ``value`` is one of ``allowed``."""
    allowed = tuple(allowed)
    if value not in allowed:
        raise FercourseError(
            f"{option} is {value!r}; expected one of {', '.join(map(repr, allowed))}"
            f"{nearest(str(value), allowed)}."
        )


def check_dropout(dropout: float) -> float:
    """Return ``dropout``; raise a FercourseError unless it is a share below 1."""
    if not 0 <= dropout < 1:
        raise FercourseError(f"dropout is {dropout}; expected at least 0 and below 1.")
    return dropout
