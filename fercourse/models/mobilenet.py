"""MobileNetV2 (Sandler et al., 2018) and MobileNetV3 (Howard et al., 2019), for 48x48 faces as in paper 1.

Paper 1 sets the first stride to 1 and the last convolution of stride 2 to stride 1, so that 48x48 faces end
as 6x6 features. The block is `fercourse.layers.InvertedResidual`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor, nn

from fercourse.errors import FercourseError
from fercourse.layers import (
    ConvNormAct,
    InvertedResidual,
    check_dropout,
    init_weights,
    pooled_head,
    set_batch_norm,
)


class V2Stage(NamedTuple):
    """A row of the V2 paper's Table 2."""

    expansion: int
    out_channels: int
    depth: int
    stride: int


class V3Block(NamedTuple):
    """A row of the V3 paper's Tables 1 and 2."""

    kernel_size: int
    expanded_channels: int
    out_channels: int
    squeeze: bool
    act: type[nn.Module]
    stride: int


MOBILENET_V2 = (
    V2Stage(1, 16, 1, 1),
    V2Stage(6, 24, 2, 2),
    V2Stage(6, 32, 3, 2),
    V2Stage(6, 64, 4, 2),
    V2Stage(6, 96, 3, 1),
    V2Stage(6, 160, 3, 2),
    V2Stage(6, 320, 1, 1),
)

RE, HS = nn.ReLU, nn.Hardswish  # the paper's abbreviations

MOBILENET_V3_LARGE = (
    V3Block(3, 16, 16, False, RE, 1),
    V3Block(3, 64, 24, False, RE, 2),
    V3Block(3, 72, 24, False, RE, 1),
    V3Block(5, 72, 40, True, RE, 2),
    V3Block(5, 120, 40, True, RE, 1),
    V3Block(5, 120, 40, True, RE, 1),
    V3Block(3, 240, 80, False, HS, 2),
    V3Block(3, 200, 80, False, HS, 1),
    V3Block(3, 184, 80, False, HS, 1),
    V3Block(3, 184, 80, False, HS, 1),
    V3Block(3, 480, 112, True, HS, 1),
    V3Block(3, 672, 112, True, HS, 1),
    V3Block(5, 672, 160, True, HS, 2),
    V3Block(5, 960, 160, True, HS, 1),
    V3Block(5, 960, 160, True, HS, 1),
)

MOBILENET_V3_SMALL = (
    V3Block(3, 16, 16, True, RE, 2),
    V3Block(3, 72, 24, False, RE, 2),
    V3Block(3, 88, 24, False, RE, 1),
    V3Block(5, 96, 40, True, HS, 2),
    V3Block(5, 240, 40, True, HS, 1),
    V3Block(5, 240, 40, True, HS, 1),
    V3Block(5, 120, 48, True, HS, 1),
    V3Block(5, 144, 48, True, HS, 1),
    V3Block(5, 288, 96, True, HS, 2),
    V3Block(5, 576, 96, True, HS, 1),
    V3Block(5, 576, 96, True, HS, 1),
)


def strides_with_last(strides: Sequence[int], last_stride: int) -> list[int]:
    """Return ``strides`` with ``last_stride`` in the place of the last 2."""
    check_stride("last_stride", last_stride)
    strides = list(strides)
    strides[len(strides) - 1 - strides[::-1].index(2)] = last_stride
    return strides


def check_stride(option: str, stride: int) -> int:
    """Return ``stride``; raise a FercourseError unless it is 1 or 2."""
    if stride not in (1, 2):
        raise FercourseError(f"{option} is {stride!r}; expected 1 or 2.")
    return stride


def divisible(channels: float, divisor: int = 8) -> int:
    """Round to a multiple of 8, never by more than a tenth down: the rule of the papers' own code."""
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded if rounded >= 0.9 * channels else rounded + divisor


def check_width_mult(width_mult: float) -> float:
    """Return ``width_mult``; raise a FercourseError unless it is above 0."""
    if not width_mult > 0:
        raise FercourseError(f"width_mult is {width_mult}; expected above 0.")
    return width_mult


class MobileNetV2(nn.Module):
    """Stem, seven stages of inverted residuals, a 1x1 convolution to 1280 channels, pooling, one dense layer.

    Weights start as `fercourse.layers.init_weights` says.

    Args:
        table: the stages, such as `MOBILENET_V2`.
        num_classes: logits an image.
        in_channels: 1 for grey images, 3 for colour.
        stem_stride: of the first convolution: 1 as in paper 1, 2 as first published.
        last_stride: of the last stage whose stride is 2 in the table: 1 as in paper 1, 2 as first published.
        width_mult: multiplies every width (the last one only where above 1), rounded to multiples of 8.
        shortcut: 'identity' as published; 'projection' adds a 1x1 convolution with batch norm as the shortcut
            of stride-1 blocks whose widths differ. It brings the parameters to the 2.3m of paper 1's table.
        expand_first: whether the first block, of expansion 1, has a 1x1 expansion too, as widely copied code
            has and the V2 paper's own code has not.
        dropout: share of the classifier's inputs dropped.
        bn_momentum: of batch norm.

    Raises:
        FercourseError: an option is out of range.
    """

    def __init__(
        self,
        *,
        table: Sequence[V2Stage],
        num_classes: int = 7,
        in_channels: int = 1,
        stem_stride: int = 1,
        last_stride: int = 1,
        width_mult: float = 1.0,
        shortcut: str = "identity",
        expand_first: bool = False,
        dropout: float = 0.2,
        bn_momentum: float = 0.1,
    ) -> None:
        super().__init__()
        check_stride("stem_stride", stem_stride)
        channels = divisible(32 * check_width_mult(width_mult))
        last_channels = divisible(1280 * max(1.0, width_mult))
        self.stem = ConvNormAct(in_channels, channels, stride=stem_stride, act=nn.ReLU6)  # (B, 32, 48, 48)
        stages: list[nn.Module] = []
        strides = strides_with_last([stage.stride for stage in table], last_stride)
        for stage, stage_stride in zip(table, strides, strict=True):
            blocks: list[nn.Module] = []
            out_channels = divisible(stage.out_channels * width_mult)
            for number in range(stage.depth):
                blocks.append(
                    InvertedResidual(
                        channels,
                        out_channels,
                        expanded_channels=channels * stage.expansion,
                        stride=stage_stride if number == 0 else 1,
                        expand=stage.expansion > 1 or expand_first,
                        shortcut=shortcut,
                    )
                )
                channels = out_channels
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.Sequential(*stages)
        self.last = ConvNormAct(channels, last_channels, kernel_size=1, act=nn.ReLU6)
        self.head = pooled_head(last_channels, num_classes, dropout=dropout)
        init_weights(self)
        set_batch_norm(self, momentum=bn_momentum)

    def forward_features(self, x: Tensor) -> Tensor:
        """(B, in_channels, 48, 48) -> (B, 1280, 6, 6)."""
        x = self.stem(x)  # (B, 32, 48, 48)
        x = self.stages(x)  # (B, 320, 6, 6)
        return self.last(x)  # (B, 1280, 6, 6)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, 48, 48) -> logits (B, num_classes)."""
        return self.head(self.forward_features(x))


class MobileNetV3(nn.Module):
    """Stem, inverted residuals with squeeze-and-excitation and hard-swish, pooling, two dense layers.

    The first dense layer stands after the pooling: the V3 paper's 'efficient last stage'.
    Weights start as `fercourse.layers.init_weights` says; batch norm has the paper's momentum (0.99 there,
    0.01 in PyTorch) and epsilon (0.001).

    Args:
        table: the blocks, such as `MOBILENET_V3_LARGE`.
        dense_width: of the dense layer before the classifier.
        num_classes: logits an image.
        in_channels: 1 for grey images, 3 for colour.
        stem_stride: of the first convolution: 1 as in paper 1, 2 as first published.
        last_stride: of the last block whose stride is 2 in the table: 1 as in paper 1, 2 as first published.
        width_mult: multiplies every width, rounded to multiples of 8.
        se_reduction: expanded channels divided by it make the squeeze width, rounded to a multiple of 8.
        dropout: share of the classifier's inputs dropped.
        bn_momentum: of batch norm.

    Raises:
        FercourseError: an option is out of range.
    """

    def __init__(
        self,
        *,
        table: Sequence[V3Block],
        dense_width: int,
        num_classes: int = 7,
        in_channels: int = 1,
        stem_stride: int = 1,
        last_stride: int = 1,
        width_mult: float = 1.0,
        se_reduction: int = 4,
        dropout: float = 0.2,
        bn_momentum: float = 0.01,
    ) -> None:
        super().__init__()
        check_stride("stem_stride", stem_stride)
        channels = divisible(16 * check_width_mult(width_mult))
        if not isinstance(se_reduction, int) or se_reduction < 1:
            raise FercourseError(f"se_reduction is {se_reduction!r}; expected a whole number of at least 1.")
        self.stem = ConvNormAct(in_channels, channels, stride=stem_stride, act=nn.Hardswish)
        blocks: list[nn.Module] = []
        strides = strides_with_last([row.stride for row in table], last_stride)
        for row, stride in zip(table, strides, strict=True):
            expanded_channels = divisible(row.expanded_channels * width_mult)
            out_channels = divisible(row.out_channels * width_mult)
            blocks.append(
                InvertedResidual(
                    channels,
                    out_channels,
                    expanded_channels=expanded_channels,
                    kernel_size=row.kernel_size,
                    stride=stride,
                    act=row.act,
                    squeeze_channels=divisible(expanded_channels // se_reduction) if row.squeeze else None,
                )
            )
            channels = out_channels
        self.blocks = nn.Sequential(*blocks)
        dense_width = divisible(dense_width * width_mult)
        self.last = ConvNormAct(channels, 6 * channels, kernel_size=1, act=nn.Hardswish)
        self.head = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),  # (B, 960), Small: (B, 576)
            nn.Linear(6 * channels, dense_width),
            nn.Hardswish(inplace=True),  # (B, dense_width)
            nn.Dropout(check_dropout(dropout)),
            nn.Linear(dense_width, num_classes),  # (B, num_classes)
        )
        init_weights(self)
        set_batch_norm(self, momentum=bn_momentum, eps=1e-3)

    def forward_features(self, x: Tensor) -> Tensor:
        """(B, in_channels, 48, 48) -> (B, 960, 6, 6); (B, 576, 6, 6) from Small."""
        x = self.stem(x)  # (B, 16, 48, 48)
        x = self.blocks(x)  # (B, 160, 6, 6); Small: (B, 96, 6, 6)
        return self.last(x)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, 48, 48) -> logits (B, num_classes)."""
        return self.head(self.forward_features(x))


def mobilenet_v2(**options) -> MobileNetV2:
    """MobileNetV2, width 1.0."""
    return MobileNetV2(table=MOBILENET_V2, **options)


def mobilenet_v3_large(**options) -> MobileNetV3:
    """MobileNetV3-Large, width 1.0."""
    return MobileNetV3(table=MOBILENET_V3_LARGE, dense_width=1280, **options)


def mobilenet_v3_small(**options) -> MobileNetV3:
    """MobileNetV3-Small, width 1.0."""
    return MobileNetV3(table=MOBILENET_V3_SMALL, dense_width=1024, **options)
