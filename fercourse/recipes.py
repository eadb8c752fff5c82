"""Named recipes, with reasons for what the papers leave open."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from fercourse.augmentation import WINDOW_44, Augmentation
from fercourse.config import (  # noqa: F401 - to be found here
    LATER,
    TrainConfig,
    checked_augment,
    config_from_dict,
    known_keys,
)
from fercourse.errors import FercourseError, nearest, shown

# Paper 1 gives the transforms and their probability, 0.5, but no ranges.
_PAPER1_AUGMENT = Augmentation(
    flip=0.5,
    crop=0.5,
    # torchvision's default lower bound, 0.08, leaves 14x14 pixels of a 48x48 face: often no feature at all.
    # Half the area keeps eyes or mouth. The ablation compares 0.08, 0.5 and 0.8.
    crop_scale=(0.5, 1.0),
    crop_ratio=(3 / 4, 4 / 3),  # torchvision's default
    # Off in the recipe, but used by the rows of Table 1 that add them: +-10 degrees is the common choice for
    # faces that were registered beforehand; erasing keeps torchvision's ranges (those of its paper, Zhong et
    # al. 2020, go up to 0.4 of the area).
    rotation_degrees=10.0,
    erasing_scale=(0.02, 0.33),
    erasing_ratio=(0.3, 3.3),
)

#: What carries a network beyond the papers, from FER-2013's labels alone. None of the published leads is a
#: clean measurement; the grid `ingredients` is one.
_STRONG: dict[str, Any] = {
    "track": "strong",
    # Khaireddin & Chen (2021) compare optimisers on a VGG: SGD with Nesterov momentum is best. The public
    # VGG19 trainings use SGD too, with decay 5e-4. They begin at 0.01 and hold it long; a cosine needs no
    # milestones and spends half its time below half of its start, so it may start higher: 0.05, as is common
    # for VGG with batch norm on small images.
    "optimizer": "sgd",
    "lr": 0.05,
    "momentum": 0.9,
    "weight_decay": 5e-4,
    "schedule": "cosine",
    "batch_size": 128,
    # The leads train for 250 to 300 epochs at lower rates.
    "epochs": 200,
    # Accuracy is the aim, and rare classes weigh little in it: no class weights.
    "class_weights": False,
    "bias_init": False,
    # About a third of the labels contradict FER+'s majority: none deserves a probability of 1.
    "label_smoothing": 0.1,
    "mixup": 0.2,  # of the range that its paper recommends for images, 0.1 to 0.4
    # An average over about 1,000 steps, 4 epochs: at the end of a cosine it adds little, before it much.
    "ema": 0.999,
    "augment": Augmentation(
        # Shifts, zoom and rotation each for half of the images: Khaireddin & Chen's ranges.
        flip=0.5,
        translation=0.5,
        translation_fraction=(0.2, 0.2),
        zoom=0.5,
        zoom_range=(0.8, 1.2),
        rotation=0.5,
        rotation_degrees=10.0,
        # A window of 44 pixels at one of 25 places, as the VGG19 trainings have it; ten-crop at test is the
        # same window at five of them.
        crop=1.0,
        **WINDOW_44,
        erasing=0.5,  # with torchvision's ranges
    ),
}

#: Not a paper's: the best accuracy we know for a short budget. One-cycle reaches its result at a known
#: step, however few there are.
_QUICK: dict[str, Any] = {
    "track": "strong",
    "epochs": 10,
    "optimizer": "adamw",
    "lr": 2e-3,
    "weight_decay": 0.05,
    "schedule": "one_cycle",
    "label_smoothing": 0.1,
    "augment": Augmentation(
        flip=0.5,
        rotation=1.0,
        rotation_degrees=10.0,
        translation=1.0,
        translation_fraction=(0.1, 0.1),
        zoom=1.0,
        zoom_range=(0.85, 1.15),
    ),
}

#: Not a paper's: many epochs in a processor's time. Most of them see small images, as Howard's entry to
#: Stanford's DAWNBench did (fast.ai, 2018) and EfficientNetV2 does (Tan & Le, 2021): an image of 24 pixels
#: a side has a quarter of a whole one's. The last epochs, with the lowest learning rates, see whole ones, as
#: test does.
_GROWING: dict[str, Any] = {
    **_QUICK,
    "epochs": 60,
    # Larger batches suit small images: a processor's time a step is no longer all convolution. The rate grows
    # by about the square root.
    "batch_size": 128,
    "lr": 3e-3,
    "sizes": ((0.25, 24), (0.65, 32), (0.85, 40)),
    # Six times as many epochs as `quick` can learn more by heart: wider zoom, and erasing for some.
    "augment": dataclasses.replace(_QUICK["augment"], zoom_range=(0.8, 1.2), erasing=0.25),
}

#: Named recipes: what differs from `TrainConfig`'s defaults, each open choice with its reason.
RECIPES: dict[str, dict[str, Any]] = {
    # Li 2023, section 3: all defaults of TrainConfig are its values.
    "paper1": {
        "class_weights": True,
        "bias_init": True,
        "augment": _PAPER1_AUGMENT,
    },
    # Gao: gives the transforms and the shifts of up to 20 %, but no optimiser, learning rate, batch size or
    # other ranges. Adam at 1e-3 and batches of 32 are Keras's defaults, which fit its Keras-style pipeline;
    # Keras's generators draw every transform for every image, but flip half of them, and fill with the
    # nearest pixel. Rotation, shear and zoom of 10 degrees, 10 degrees and 20 % are the ranges most FER
    # tutorials in that style use. The schedule is constant: none is mentioned. Batch norm has PyTorch's
    # momentum in the basic CNN and Keras's slower one (0.99 there, 0.01 here) in ResNet50V2; each with the
    # other's is a row of its own.
    "paper2": {
        "epochs": 50,
        "batch_size": 32,
        "lr": 1e-3,
        "schedule": "constant",
        "augment": Augmentation(
            flip=0.5,
            rotation=1.0,
            rotation_degrees=10.0,
            translation=1.0,
            translation_fraction=(0.2, 0.2),
            shear=1.0,
            shear_degrees=10.0,
            zoom=1.0,
            zoom_range=(0.8, 1.2),
            fill="border",
        ),
    },
    "quick": _QUICK,
    # Twice as long: what two slow cores train in about an hour, for the network that travels along.
    "quick20": {**_QUICK, "epochs": 20},
    "growing": _GROWING,
    "strong": _STRONG,
    # The same in paper 1's time: what `ingredients` takes apart, one by one.
    "strong50": {**_STRONG, "epochs": 50},
    # Seconds on a laptop: shows that everything runs. Its accuracies mean nothing.
    "smoke": {
        "epochs": 2,
        "max_steps": 60,
        "lr": 1e-3,
        "class_weights": True,
        "bias_init": True,
        "augment": Augmentation(flip=0.5),
    },
}


def make_config(model: str, recipe: str = "paper1", **changes: Any) -> TrainConfig:
    """Return the recipe's configuration for a model, with the given values changed.

    ``augment`` may be an `Augmentation` or a mapping of the values to change in the recipe's own.

    Raises:
        FercourseError: the recipe or a key does not exist (the nearest is named), or a value is wrong.
    """
    if not isinstance(recipe, str) or recipe not in RECIPES:
        raise FercourseError(
            f"Recipe {shown(recipe)} does not exist{nearest(shown(recipe), RECIPES)}. "
            f"The recipes are {', '.join(RECIPES)}."
        )
    values = {**RECIPES[recipe], "model": model, "recipe": recipe}
    augment = changes.pop("augment", None)
    known_keys(changes, TrainConfig, "configuration")
    values.update(changes)
    if isinstance(augment, Mapping):
        usual = values.get("augment", Augmentation())
        values["augment"] = dataclasses.replace(usual, **checked_augment(augment))
    elif augment is not None:
        values["augment"] = augment
    return TrainConfig(**values)
