"""VGG (Simonyan & Zisserman, 2015), for 48x48 faces as paper 1 adapts it, and the project's small strong VGG.

Each network is a column of the paper's Table 1: a tuple of stages, a stage a tuple of the output channels of
its 3x3 convolutions. Max-pooling halves the image after every stage.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from fercourse.layers import ConvNormAct, check_dropout, init_weights, pooled_head, set_batch_norm

# fmt: off
VGG11 = ((64,),    (128,),     (256, 256),           (512, 512),           (512, 512))  # configuration A
VGG13 = ((64, 64), (128, 128), (256, 256),           (512, 512),           (512, 512))  # configuration B
VGG16 = ((64, 64), (128, 128), (256, 256, 256),      (512, 512, 512),      (512, 512, 512))  # configuration D
VGG19 = ((64, 64), (128, 128), (256, 256, 256, 256), (512, 512, 512, 512), (512, 512, 512, 512))  # E
SMALL_VGG = ((32, 32), (64, 64),  (128, 128),           (256, 256))  # 1.17 M parameters, ours
# fmt: on


class VGG(nn.Module):
    """Stages of 3x3 convolutions, max-pooling between them, and a dense head.

    Paper 1 puts global average pooling in the place of the last max-pool and leaves out the two dense layers
    of 4096; it does not say whether batch norm is used, and its parameter counts fit both.
    Weights start as `fercourse.layers.init_weights` says.

    Args:
        table: the stages, such as `VGG16`.
        num_classes: logits an image.
        in_channels: 1 for grey images, 3 for colour.
        norm: 'batch', or 'none' as first published. The convolutions keep their biases either way.
        dropout: share of the head's inputs dropped (of the outputs of its hidden layers with
            ``original_head``, where the first paper has 0.5).
        bn_momentum: of batch norm.
        original_head: True for the first paper's: the last max-pool, then 7x7 values a channel, two dense
            layers of 4096 and the classifier.

    Raises:
        FercourseError: an option is out of range.
    """

    def __init__(
        self,
        *,
        table: Sequence[Sequence[int]],
        num_classes: int = 7,
        in_channels: int = 1,
        norm: str = "batch",
        dropout: float = 0.0,
        bn_momentum: float = 0.1,
        original_head: bool = False,
    ) -> None:
        super().__init__()
        check_dropout(dropout)
        stages: list[nn.Module] = []
        for number, widths in enumerate(table, start=1):
            layers: list[nn.Module] = []
            for out_channels in widths:
                layers.append(ConvNormAct(in_channels, out_channels, norm=norm, bias=True))
                in_channels = out_channels
            if number < len(table) or original_head:
                layers.append(nn.MaxPool2d(2))
            stages.append(nn.Sequential(*layers))
        self.stages = nn.Sequential(*stages)
        if original_head:
            self.head = nn.Sequential(
                nn.AdaptiveAvgPool2d(7),  # (B, 512, 7, 7)
                nn.Flatten(),  # (B, 512 * 7 * 7)
                nn.Linear(in_channels * 7 * 7, 4096),
                nn.ReLU(inplace=True),
                nn.Dropout(dropout),
                nn.Linear(4096, 4096),
                nn.ReLU(inplace=True),
                nn.Dropout(dropout),
                nn.Linear(4096, num_classes),  # (B, num_classes)
            )
        else:
            self.head = pooled_head(in_channels, num_classes, dropout=dropout)
        init_weights(self)
        set_batch_norm(self, momentum=bn_momentum)

    def forward_features(self, x: Tensor) -> Tensor:
        """(B, in_channels, 48, 48) -> (B, 512, 3, 3); (B, 256, 6, 6) from `small_vgg`."""
        return self.stages(x)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, 48, 48) -> logits (B, num_classes)."""
        return self.head(self.forward_features(x))


def vgg11(**options) -> VGG:
    """VGG-11: 8 convolutions here, 11 layers with the three dense ones it was named for."""
    return VGG(table=VGG11, **options)


def vgg13(**options) -> VGG:
    """VGG-13: 10 convolutions."""
    return VGG(table=VGG13, **options)


def vgg16(**options) -> VGG:
    """VGG-16: 13 convolutions."""
    return VGG(table=VGG16, **options)


def vgg19(**options) -> VGG:
    """VGG-19: 16 convolutions."""
    return VGG(table=VGG19, **options)


def small_vgg(*, dropout: float = 0.25, **options) -> VGG:
    """The project's small strong network: 8 convolutions, under 1.2 million parameters.

    Four stages of half VGG-13's widths, batch norm, dropout and global average pooling: small enough to
    train on a laptop's processor.
    """
    return VGG(table=SMALL_VGG, dropout=dropout, **options)
