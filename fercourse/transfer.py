"""Networks that start from weights trained on other images: outside knowledge, a track of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fercourse.errors import FercourseError, one_line

if TYPE_CHECKING:
    from torch import Tensor, nn

    from fercourse.recipes import TrainConfig

#: Networks whose stages torchvision has weights for.
FROM_IMAGENET = ("resnet18", "resnet34", "resnet50")


def start_from(model: nn.Module, config: TrainConfig) -> nn.Module:
    """Put the weights that the configuration's ``pretrained`` names into a new model, and return it.

    'imagenet' fills the four stages of a ResNet with those of torchvision's ``IMAGENET1K_V1`` (He et al.,
    2016). Its stem, made for large colour pictures, and its head, made for 1,000 classes, do not fit: they
    stay as the seed drew them.

    Raises:
        FercourseError: the network has no such weights, or they can be neither found nor downloaded.
    """
    if config.pretrained == "none":
        return model
    stages: Any = getattr(model, "stages", None)
    if config.model not in FROM_IMAGENET or stages is None:
        raise FercourseError(
            f"There are no ImageNet weights for {config.model}; expected one of {', '.join(FROM_IMAGENET)}."
        )
    theirs = [(key, value) for key, value in _imagenet(config.model).items() if key.startswith("layer")]
    own = stages.state_dict()
    # Both list convolution and batch norm block by block, in the order of the forward pass.
    if [value.shape for value in own.values()] != [value.shape for _, value in theirs]:
        raise FercourseError(
            f"torchvision's weights of {config.model} do not fit its stages here: leave out the options "
            f"{dict(config.model_options)}."
        )
    stages.load_state_dict({key: value for key, (_, value) in zip(own, theirs, strict=True)})
    return model


def _imagenet(name: str) -> dict[str, Tensor]:
    """Return torchvision's state dict, from torch's cache or by download."""
    from torch.hub import get_dir
    from torchvision.models import get_model_weights

    weights: Any = get_model_weights(name)["IMAGENET1K_V1"]
    try:
        return dict(weights.get_state_dict(progress=False, check_hash=True, weights_only=True))
    except Exception as error:  # what a broken network or a broken file leads to has no common class
        raise FercourseError(
            f"ImageNet's weights of {name} cannot be loaded ({one_line(error)}): connect to the internet, or "
            f"put {weights.url} into {get_dir()}/checkpoints yourself."
        ) from error
