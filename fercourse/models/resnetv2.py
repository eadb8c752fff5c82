"""ResNet50V2 (He et al., 2016b) as Keras builds it, the large network of paper 2.

'V2' puts batch norm and ReLU before each convolution, so that the shortcuts carry the sum through untouched.
Keras differs from the paper: a stage strides in its last block, not in its first, and the last convolution of
a block and its shortcut's have biases.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from fercourse.layers import init_weights, pooled_head, set_batch_norm

#: (width of the 3x3 convolutions, blocks, stride of the last block) of each stage.
RESNET50V2 = ((64, 3, 2), (128, 4, 2), (256, 6, 2), (512, 3, 1))


class PreActBottleneck(nn.Module):
    """Batch norm, ReLU, then 1x1 down, 3x3, 1x1 up to four times the width, and a shortcut.

    Args:
        in_channels: channels of the input; 4 * width without ``projection``.
        width: of the 3x3 convolution.
        stride: of the 3x3 convolution, and of the shortcut.
        projection: whether the shortcut is a 1x1 convolution, as in the first block of a stage.
    """

    expansion = 4

    def __init__(self, in_channels: int, width: int, *, stride: int = 1, projection: bool = False) -> None:
        super().__init__()
        out_channels = width * self.expansion
        self.preact = nn.Sequential(nn.BatchNorm2d(in_channels), nn.ReLU(inplace=False))
        self.projection = nn.Conv2d(in_channels, out_channels, 1, stride=stride) if projection else None
        # A strided identity keeps every second pixel of every second row.
        self.skip = nn.MaxPool2d(1, stride=stride) if stride > 1 else nn.Identity()
        self.residual = nn.Sequential(
            nn.Conv2d(in_channels, width, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),  # (B, width, H, W)
            nn.Conv2d(width, width, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),  # (B, width, H / stride, W / stride)
            nn.Conv2d(width, out_channels, 1),  # (B, 4 * width, H / stride, W / stride)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, 4 * width, ceil(H / stride), ceil(W / stride))."""
        out = self.preact(x)
        shortcut = self.skip(x) if self.projection is None else self.projection(out)
        return shortcut + self.residual(out)


class ResNetV2(nn.Module):
    """7x7 stem and max-pool, four stages of pre-activation bottlenecks, batch norm and ReLU, one dense layer.

    Paper 2 gives 48x48 faces to the network made for 224x224: they end as 2x2 features.
    Weights start as `fercourse.layers.init_weights` says; batch norm has Keras's momentum (0.99 there,
    0.01 in PyTorch) and epsilon.

    Args:
        table: the stages, such as `RESNET50V2`.
        num_classes: logits an image.
        in_channels: 1 for grey images, 3 for colour.
        dropout: share of the classifier's inputs dropped.
        bn_momentum: of batch norm.

    Raises:
        FercourseError: an option is out of range.
    """

    def __init__(
        self,
        *,
        table: Sequence[tuple[int, int, int]],
        num_classes: int = 7,
        in_channels: int = 1,
        dropout: float = 0.0,
        bn_momentum: float = 0.01,
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, 64, 7, stride=2, padding=3),  # (B, 64, 24, 24)
            nn.ZeroPad2d(
                1
            ),  # Keras pads with zeros, and here inputs may be negative: MaxPool2d's would differ
            nn.MaxPool2d(3, stride=2),  # (B, 64, 12, 12)
        )
        channels = 64
        stages: list[nn.Module] = []
        for width, depth, last_stride in table:
            blocks: list[nn.Module] = []
            for number in range(depth):
                stride = last_stride if number == depth - 1 else 1
                blocks.append(PreActBottleneck(channels, width, stride=stride, projection=number == 0))
                channels = width * PreActBottleneck.expansion
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.Sequential(*stages)
        self.postact = nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(inplace=True))
        self.head = pooled_head(channels, num_classes, dropout=dropout)
        init_weights(self)
        set_batch_norm(self, momentum=bn_momentum, eps=1.001e-5)

    def forward_features(self, x: Tensor) -> Tensor:
        """(B, in_channels, 48, 48) -> (B, 2048, 2, 2)."""
        x = self.stem(x)  # (B, 64, 12, 12)
        x = self.stages(x)  # 12 -> 6, 3, 2, 2 pixels
        return self.postact(x)  # (B, 2048, 2, 2)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, 48, 48) -> logits (B, num_classes)."""
        return self.head(self.forward_features(x))


def resnet50v2(**options) -> ResNetV2:
    """ResNet50V2 as in keras.applications: 3, 4, 6, 3 pre-activation bottlenecks."""
    return ResNetV2(table=RESNET50V2, **options)
