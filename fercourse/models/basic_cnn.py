"""The basic CNN of paper 2: the smallest network of the course, and the first one to read."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from fercourse.errors import FercourseError
from fercourse.layers import ConvNormAct, check_dropout, init_weights, set_batch_norm

#: Output channels of the four blocks, each of which halves height and width.
WIDTHS = (32, 64, 128, 256)


class BasicCNN(nn.Module):
    """Blocks of convolution, batch norm, ReLU and max-pooling, then dense layers (Gao, 'basic CNN').

    The paper gives the kind and order of the layers, but neither widths nor dropout rates: `WIDTHS`,
    dense width and rates are this project's choice. Weights start as `fercourse.layers.init_weights` says.

    Args:
        num_classes: logits an image.
        in_channels: 1 for grey images, 3 for colour.
        widths: output channels of the blocks.
        dense_width: width of the hidden dense layer.
        dropout: share of the hidden dense layer's outputs dropped; half of it after every block.
        bn_momentum: of batch norm; the paper's Keras default (0.99 there) is 0.01 here.
        image_size: height and width in pixels; the dense layers are built for it.

    Raises:
        FercourseError: an option is out of range.
    """

    def __init__(
        self,
        *,
        num_classes: int = 7,
        in_channels: int = 1,
        widths: Sequence[int] = WIDTHS,
        dense_width: int = 256,
        dropout: float = 0.4,
        bn_momentum: float = 0.1,
        image_size: int = 48,
    ) -> None:
        super().__init__()
        check_dropout(dropout)
        if not widths or image_size < 2 ** len(widths):
            raise FercourseError(
                f"image_size is {image_size} and widths are {tuple(widths)}; expected one width or more, "
                "and an image that can be halved once for each."
            )
        blocks: list[nn.Module] = []
        for out_channels in widths:
            blocks.append(
                nn.Sequential(
                    ConvNormAct(in_channels, out_channels),
                    nn.MaxPool2d(2),
                    nn.Dropout(dropout / 2),
                )
            )
            in_channels = out_channels
        self.blocks = nn.Sequential(*blocks)
        side = image_size // 2 ** len(widths)
        self.head = nn.Sequential(
            nn.Flatten(),  # (B, 256 * 3 * 3)
            nn.Linear(in_channels * side * side, dense_width),
            nn.ReLU(inplace=True),  # (B, dense_width)
            nn.Dropout(dropout),
            nn.Linear(dense_width, num_classes),  # (B, num_classes)
        )
        init_weights(self)
        set_batch_norm(self, momentum=bn_momentum)

    def forward_features(self, x: Tensor) -> Tensor:
        """(B, in_channels, 48, 48) -> (B, 256, 3, 3)."""
        return self.blocks(x)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, 48, 48) -> logits (B, num_classes)."""
        return self.head(self.forward_features(x))


def basic_cnn(**options) -> BasicCNN:
    """Paper 2's basic CNN: 4 convolutions, 2 dense layers."""
    return BasicCNN(**options)
