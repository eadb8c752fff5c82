"""ResNet (He et al., 2016), its plain control, and SE-ResNet (Hu et al., 2018), for 48x48 faces.

Each network is a column of the ResNet paper's Table 1: a block and how many of it in each of four stages.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from fercourse.errors import FercourseError
from fercourse.layers import (
    ConvNormAct,
    SqueezeExcite,
    check_choice,
    init_weights,
    pooled_head,
    set_batch_norm,
)

#: Width of the 3x3 convolutions in each stage; a stage's first block halves the image, but for the first.
WIDTHS = (64, 128, 256, 512)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut, the block of ResNet-18 and -34; options as in `ResNet`."""

    expansion = 1

    def __init__(
        self,
        in_channels: int,
        width: int,
        *,
        stride: int = 1,
        shortcut: bool = True,
        se_reduction: int | None = None,
        se_position: str = "standard",
        stride_in: str = "3x3",  # noqa: ARG002 - both convolutions are 3x3 here
    ) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            ConvNormAct(in_channels, width, stride=stride),  # (B, width, H / stride, W / stride)
            ConvNormAct(width, width, act=None),
        )
        self.se = squeeze_excite(width, se_reduction)
        self.se_position = se_position
        self.shortcut = make_shortcut(in_channels, width, stride) if shortcut else None
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, width, ceil(H / stride), ceil(W / stride))."""
        return join(self, x)


class Bottleneck(nn.Module):
    """1x1 down, 3x3, 1x1 up to four times the width, and a shortcut: the block of ResNet-50."""

    expansion = 4

    def __init__(
        self,
        in_channels: int,
        width: int,
        *,
        stride: int = 1,
        shortcut: bool = True,
        se_reduction: int | None = None,
        se_position: str = "standard",
        stride_in: str = "3x3",
    ) -> None:
        super().__init__()
        out_channels = width * self.expansion
        first, second = (stride, 1) if stride_in == "1x1" else (1, stride)
        self.residual = nn.Sequential(
            ConvNormAct(in_channels, width, kernel_size=1, stride=first),
            ConvNormAct(width, width, stride=second),  # (B, width, H / stride, W / stride)
            ConvNormAct(width, out_channels, kernel_size=1, act=None),  # (B, 4 * width, ...)
        )
        self.se = squeeze_excite(out_channels, se_reduction)
        self.se_position = se_position
        self.shortcut = make_shortcut(in_channels, out_channels, stride) if shortcut else None
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, 4 * width, ceil(H / stride), ceil(W / stride))."""
        return join(self, x)


def squeeze_excite(channels: int, reduction: int | None) -> nn.Module:
    """Return the squeeze-and-excitation of a block, or nothing (an identity) where ``reduction`` is None."""
    if reduction is None:
        return nn.Identity()
    return SqueezeExcite(channels, squeeze_channels=channels // reduction)


def make_shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Module:
    """Return the identity, or a 1x1 convolution with batch norm where shapes differ (option B)."""
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    return ConvNormAct(in_channels, out_channels, kernel_size=1, stride=stride, act=None)


def join(block: BasicBlock | Bottleneck, x: Tensor) -> Tensor:
    """Return relu(SE(residual(x)) + shortcut(x)), or SE(relu(residual(x) + shortcut(x))) for 'post'."""
    out = block.residual(x)
    if block.se_position == "standard":
        out = block.se(out)
    if block.shortcut is not None:
        out = out + block.shortcut(x)
    out = block.act(out)
    return block.se(out) if block.se_position == "post" else out


class ResNet(nn.Module):
    """Stem, four stages of residual blocks, global average pooling, one dense layer.

    For 48x48 images paper 1's stem is one 3x3 convolution at stride 1, without max-pool.
    Weights start as `fercourse.layers.init_weights` says.

    Args:
        block: `BasicBlock` or `Bottleneck`.
        depths: blocks in each stage.
        shortcut: False for the plain network, the control of the degradation experiment.
        num_classes: logits an image.
        in_channels: 1 for grey images, 3 for colour.
        stem: '3x3', or '7x7' as first published: 7x7 at stride 2 and a 3x3 max-pool at stride 2.
        stride_in: which convolution of a bottleneck strides: '3x3' (torchvision's) or '1x1' (the paper's).
        se_reduction: channels divided by it make the squeeze width of squeeze-and-excitation; None for none.
        se_position: 'standard', on the residual branch before the sum, or 'post', after the sum and its ReLU
            (names from Hu et al., section 6.4; paper 1 says 'after the residual blocks').
        dropout: share of the classifier's inputs dropped.
        bn_momentum: of batch norm.

    Raises:
        FercourseError: an option is out of range.
    """

    def __init__(
        self,
        *,
        block: type[BasicBlock] | type[Bottleneck],
        depths: Sequence[int],
        shortcut: bool,
        num_classes: int = 7,
        in_channels: int = 1,
        stem: str = "3x3",
        stride_in: str = "3x3",
        se_reduction: int | None = None,
        se_position: str = "standard",
        dropout: float = 0.0,
        bn_momentum: float = 0.1,
    ) -> None:
        super().__init__()
        check_choice("stem", stem, ("3x3", "7x7"))
        check_choice("stride_in", stride_in, ("3x3", "1x1"))
        check_choice("se_position", se_position, ("standard", "post"))
        if se_reduction is not None and not 1 <= se_reduction <= WIDTHS[0]:
            raise FercourseError(f"se_reduction is {se_reduction}; expected 1 to {WIDTHS[0]}, or None.")
        channels = WIDTHS[0]
        if stem == "3x3":
            self.stem = nn.Sequential(ConvNormAct(in_channels, channels))  # (B, 64, 48, 48)
        else:
            self.stem = nn.Sequential(
                ConvNormAct(in_channels, channels, kernel_size=7, stride=2),  # (B, 64, H / 2, W / 2)
                nn.MaxPool2d(3, stride=2, padding=1),  # (B, 64, H / 4, W / 4)
            )
        stages: list[nn.Module] = []
        for width, depth, stage_stride in zip(WIDTHS, depths, (1, 2, 2, 2), strict=True):
            blocks: list[nn.Module] = []
            for number in range(depth):
                blocks.append(
                    block(
                        channels,
                        width,
                        stride=stage_stride if number == 0 else 1,
                        shortcut=shortcut,
                        se_reduction=se_reduction,
                        se_position=se_position,
                        stride_in=stride_in,
                    )
                )
                channels = width * block.expansion
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.Sequential(*stages)
        self.head = pooled_head(channels, num_classes, dropout=dropout)
        init_weights(self)
        set_batch_norm(self, momentum=bn_momentum)

    def forward_features(self, x: Tensor) -> Tensor:
        """(B, in_channels, 48, 48) -> (B, 512, 6, 6); (B, 2048, 6, 6) with bottlenecks."""
        x = self.stem(x)  # (B, 64, 48, 48)
        return self.stages(x)  # 48 -> 48, 24, 12, 6 pixels

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, 48, 48) -> logits (B, num_classes)."""
        return self.head(self.forward_features(x))


def resnet18(**options) -> ResNet:
    """ResNet-18: 2, 2, 2, 2 basic blocks."""
    return ResNet(block=BasicBlock, depths=(2, 2, 2, 2), shortcut=True, **options)


def resnet34(**options) -> ResNet:
    """ResNet-34: 3, 4, 6, 3 basic blocks."""
    return ResNet(block=BasicBlock, depths=(3, 4, 6, 3), shortcut=True, **options)


def resnet50(**options) -> ResNet:
    """ResNet-50: 3, 4, 6, 3 bottlenecks."""
    return ResNet(block=Bottleneck, depths=(3, 4, 6, 3), shortcut=True, **options)


def plain18(**options) -> ResNet:
    """ResNet-18 without its shortcuts."""
    return ResNet(block=BasicBlock, depths=(2, 2, 2, 2), shortcut=False, **options)


def plain34(**options) -> ResNet:
    """ResNet-34 without its shortcuts: deeper than plain18 and harder to train, the degradation problem."""
    return ResNet(block=BasicBlock, depths=(3, 4, 6, 3), shortcut=False, **options)


def se_resnet18(*, se_reduction: int = 16, **options) -> ResNet:
    """ResNet-18 with squeeze-and-excitation in every block."""
    return resnet18(se_reduction=se_reduction, **options)


def se_resnet34(*, se_reduction: int = 16, **options) -> ResNet:
    """ResNet-34 with squeeze-and-excitation in every block."""
    return resnet34(se_reduction=se_reduction, **options)


def se_resnet50(*, se_reduction: int = 16, **options) -> ResNet:
    """ResNet-50 with squeeze-and-excitation in every block."""
    return resnet50(se_reduction=se_reduction, **options)
