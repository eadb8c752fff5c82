"""Where a network's answer comes from: Grad-CAM, occlusion, input gradients, and a score of such maps.

Every function takes a network in any mode and leaves it as it found it; it is looked at in evaluation mode,
where each image is answered by itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fercourse.errors import FercourseError


def grad_cam(model: nn.Module, images: Tensor, targets: Tensor, layer: nn.Module) -> Tensor:
    """Return where a layer's maps speak for the targets (Grad-CAM: Selvaraju et al., 2017).

    Each channel's map is weighted by the mean of the target logit's gradient over the map; the sum, without
    its negative part, is brought to the images' size (bilinear).

    Args:
        images: (B, C, H, W).
        targets: int (B,), the class to explain for each image.
        layer: a layer of the model whose output is (B, channels, h, w).

    Returns:
        (B, H, W), zero or more.

    Raises:
        FercourseError: targets do not fit the images, or the layer gives no maps.
    """
    kept: list[Tensor] = []

    def keep(_: nn.Module, __: object, output: Tensor) -> Tensor:
        kept.append(output)
        return output.clone()  # an in-place ReLU behind the layer then changes the copy

    with _looked_at(model), torch.enable_grad():
        hook = layer.register_forward_hook(keep)
        try:
            score = _score(model, images.detach().clone().requires_grad_(), targets)
        finally:
            hook.remove()
        if len(kept) != 1 or kept[0].dim() != 4:
            shapes = ", ".join(str(tuple(one.shape)) for one in kept) or "nothing"
            raise FercourseError(
                f"Grad-CAM needs a layer that gives maps (B, C, h, w) once; it gave {shapes}."
            )
        (gradient,) = torch.autograd.grad(score.sum(), kept[0])
    weights = gradient.mean((2, 3), keepdim=True)
    cam = (weights * kept[0].detach()).sum(1, keepdim=True).relu()
    return F.interpolate(cam, size=images.shape[2:], mode="bilinear", align_corners=False)[:, 0]


def input_gradients(model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
    """Return how strongly each pixel moves the target's logit: |gradient|, summed over channels, (B, H, W).

    Source: Simonyan, Vedaldi and Zisserman, "Deep Inside Convolutional Networks" (2013).

    Raises:
        FercourseError: targets do not fit the images.
    """
    with _looked_at(model), torch.enable_grad():
        x = images.detach().clone().requires_grad_()
        (gradient,) = torch.autograd.grad(_score(model, x, targets).sum(), x)
    return gradient.abs().sum(1)


@torch.no_grad()
def occlusion(
    model: nn.Module, images: Tensor, targets: Tensor, *, size: int = 8, stride: int = 4, fill: float = 0.0
) -> Tensor:
    """Return how far the target's logit falls when a square is covered (Zeiler and Fergus, 2014).

    Args:
        images: (B, C, H, W).
        targets: int (B,), the class to explain for each image.
        size, stride: side of the square, and how far it moves; one that reaches beyond the edge is cut off.
        fill: what covers it, in the images' own units.

    Returns:
        (B, H, W): at each pixel the mean fall over the squares that cover it; negative where covering helps.

    Raises:
        FercourseError: size or stride is below 1, or targets do not fit the images.
    """
    if size < 1 or stride < 1 or stride > size:
        raise FercourseError(
            f"The square has side {size} and moves by {stride}; expected 1 or more, and no gaps between."
        )
    batch, _, height, width = images.shape
    falls, covers = images.new_zeros(batch, height, width), images.new_zeros(height, width)
    with _looked_at(model):
        whole = _score(model, images, targets)
        for top in _starts(height, size, stride):
            for left in _starts(width, size, stride):
                square = (slice(top, top + size), slice(left, left + size))
                covered = images.clone()
                covered[:, :, square[0], square[1]] = fill
                falls[:, square[0], square[1]] += (whole - _score(model, covered, targets))[:, None, None]
                covers[square] += 1
    return falls / covers


def inside(maps: Tensor, masks: Tensor) -> Tensor:
    """Return a score of each map: its share of relevance inside the mask over the mask's share of the area.

    1 is what a map without knowledge gets; above 1, the map points into the mask. Negative relevance counts
    as none.

    Args:
        maps: (B, H, W), as the functions above return them.
        masks: bool (B, H, W).

    Returns:
        (B,); NaN where the mask is empty or the map is zero everywhere.
    """
    maps, masks = maps.clamp(min=0), masks.to(maps.dtype)
    relevance = (maps * masks).sum((1, 2)) / maps.sum((1, 2))
    # 0 / 0 is NaN; an empty mask makes 0 / 0 too, for no relevance is inside it.
    return relevance / masks.mean((1, 2))


def _starts(length: int, size: int, stride: int) -> range:
    """Return where squares begin so that they cover the whole length, the last one perhaps cut off."""
    return range(0, max(length - size, 0) + stride, stride)


class WithMaps(nn.Module):
    """A network with a pooled head that also returns where it sees each class.

    Class activation maps (Zhou et al., 2016). The head takes each channel's mean over all places, then a
    weighted sum for each class. Both are linear, so the order may be swapped: the weighted sum at each place
    is that class's map, and ``logits == maps.mean((2, 3)) + bias``. So a map tells how much every place adds
    to a logit, without gradients.

    Args:
        model: a network of `fercourse.models`; its weights are used, not copied.

    Raises:
        FercourseError: the head is not global average pooling and one dense layer.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        parts = [part for part in getattr(model, "head", ()) if not isinstance(part, nn.Dropout)]
        kinds = [type(part) for part in parts]
        if kinds != [nn.AdaptiveAvgPool2d, nn.Flatten, nn.Linear] or parts[0].output_size not in (1, (1, 1)):
            names = ", ".join(kind.__name__ for kind in kinds) or "none"
            raise FercourseError(
                "Class activation maps need a head of global average pooling and one dense layer; this one "
                f"has {names}. Use a network with a pooled head, or Grad-CAM."
            )
        self.model = model
        self.train(model.training)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, H, W) -> logits (B, classes) and maps (B, classes, h, w) of the features' size."""
        dense = self.model.head[-1]  # type: ignore[index]
        features = self.model.forward_features(x)  # type: ignore[operator]
        maps = F.conv2d(features, dense.weight[:, :, None, None])
        return maps.mean((2, 3)) + dense.bias, maps


def _score(model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
    """Return each image's logit of its target, (B,)."""
    if targets.shape != images.shape[:1] or targets.is_floating_point():
        raise FercourseError(
            f"Targets are {targets.dtype} of shape {tuple(targets.shape)}; expected {len(images)} classes, "
            "one an image."
        )
    return model(images).gather(1, targets[:, None].long())[:, 0]


@contextmanager
def _looked_at(model: nn.Module) -> Iterator[None]:
    """Put the model into evaluation mode, and each of its layers back into its own."""
    modes = [(one, one.training) for one in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for one, training in modes:
            one.training = training
