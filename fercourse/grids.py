"""Which trainings make a table of a paper, the most informative first."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fercourse.augmentation import WINDOW_44
from fercourse.errors import FercourseError, nearest
from fercourse.experiments import experiment
from fercourse.recipes import TrainConfig, make_config


@dataclass(frozen=True)
class Row:
    """One row of a table: a network, a recipe, what is changed in it, and what the row shows.

    ``tta`` names the test-time augmentations by which it is evaluated, a record each.
    """

    model: str
    recipe: str
    shows: str
    changes: Mapping[str, Any] | None = None
    tta: tuple[str, ...] = ("none",)

    @functools.cached_property
    def experiment(self) -> dict[str, Any]:
        """What the row changes in its recipe, flat (see `fercourse.experiments.experiment`)."""
        return experiment(make_config(self.model, self.recipe, **(self.changes or {})).to_dict())


def _table1() -> list[Row]:
    """Paper 1's augmentation ablation, ResNet18; its best row is Table 2's."""
    return [
        Row("resnet18", "paper1", "flip and crop: the paper's choice"),
        Row("resnet18", "paper1", "no augmentation", {"augment": {"flip": 0.0, "crop": 0.0}}),
        Row("resnet18", "paper1", "flip alone", {"augment": {"crop": 0.0}}),
        Row("resnet18", "paper1", "flip, crop and rotation", {"augment": {"rotation": 0.5}}),
        Row("resnet18", "paper1", "flip, crop and erasing", {"augment": {"erasing": 0.5}}),
    ]


def _table2() -> list[Row]:
    """Paper 1's comparison. The first four decide its claims: residual learning and squeeze-and-excitation
    help; the rest follow from the cheap to the dear."""
    models = {
        "resnet18": "residual learning, against VGG16",
        "vgg16": "the best of the VGG networks",
        "se_resnet34": "the paper's best",
        "resnet34": "without squeeze-and-excitation",
        "mobilenet_v3_small": "the lightest",
        "vgg11": "the shallowest VGG",
        "se_resnet18": "squeeze-and-excitation, which gains nothing here in the paper",
        "mobilenet_v2": "inverted residuals",
        "mobilenet_v3_large": "inverted residuals with squeeze-and-excitation",
        "vgg13": "depth of VGG",
        "vgg19": "the deepest VGG",
        "resnet50": "bottlenecks",
        "se_resnet50": "bottlenecks with squeeze-and-excitation",
    }
    return [Row(model, "paper1", shows) for model, shows in models.items()]


def _paper2() -> list[Row]:
    """Paper 2's pair, each as its library has it, then each with the other's batch norm momentum: Keras's
    slow one (0.99 there, 0.01 here) may explain the early 0.25, as evaluation uses its running statistics."""
    return [
        Row("basic_cnn", "paper2", "the basic CNN, batch norm momentum as in PyTorch"),
        Row("resnet50v2", "paper2", "ResNet50V2, batch norm momentum as in Keras"),
        Row(
            "basic_cnn",
            "paper2",
            "the basic CNN, batch norm momentum as in Keras",
            {"model_options": {"bn_momentum": 0.01}},
        ),
        Row(
            "resnet50v2",
            "paper2",
            "ResNet50V2, batch norm momentum as in PyTorch",
            {"model_options": {"bn_momentum": 0.1}},
        ),
    ]


def _controls() -> list[Row]:
    """ResNets without their shortcuts: what Table 2 would need for its sentence on residual learning."""
    return [
        Row("plain18", "paper1", "ResNet18 without shortcuts"),
        Row("plain34", "paper1", "ResNet34 without shortcuts"),
    ]


def _readings() -> list[Row]:
    """The other reading of 'SE blocks are placed after the residual blocks': after the sum, not before it."""
    post = {"model_options": {"se_position": "post"}}
    return [
        Row(
            f"se_resnet{depth}", "paper1", f"SE-ResNet{depth} with squeeze-and-excitation after the sum", post
        )
        for depth in (34, 18, 50)
    ]


def _ablations() -> list[Row]:
    """What the papers leave open, tried both ways with one seed each; judged on val alone."""
    return [
        Row("resnet18", "paper1", "as settled in the recipe"),
        Row("resnet18", "paper1", "torchvision's crops", {"augment": {"crop_scale": (0.08, 1.0)}}),
        Row("resnet18", "paper1", "mild crops", {"augment": {"crop_scale": (0.8, 1.0)}}),
        *(
            Row(
                "resnet18",
                "paper1",
                f"flip, crop and rotation by up to {degrees:g} degrees",
                {"augment": {"rotation": 0.5, **({} if degrees == 10 else {"rotation_degrees": degrees})}},
            )
            for degrees in (10.0, 5.0, 20.0, 45.0)
        ),
        *(
            Row(
                "resnet18",
                "paper1",
                f"flip, crop and erasing of up to {most:.0%} of the area",
                {"augment": {"erasing": 0.5, **({} if most == 0.33 else {"erasing_scale": (0.02, most)})}},
            )
            for most in (0.33, 0.1, 0.2)
        ),
        Row("resnet18", "paper1", "no class weights", {"class_weights": False}),
        Row("resnet18", "paper1", "no initial bias", {"bias_init": False}),
        Row("resnet18", "paper1", "neither", {"class_weights": False, "bias_init": False}),
        Row("vgg16", "paper1", "VGG with batch norm, as settled"),
        Row("vgg16", "paper1", "VGG without batch norm", {"model_options": {"norm": "none"}}),
        Row("vgg16", "paper1", "VGG with dropout", {"model_options": {"dropout": 0.5}}),
        Row("mobilenet_v2", "paper1", "MobileNetV2 as published"),
        Row(
            "mobilenet_v2",
            "paper1",
            "with projection shortcuts",
            {"model_options": {"shortcut": "projection"}},
        ),
    ]


def _scarce() -> list[Row]:
    """A part of the training images, without and with paper 1's augmentation, and from ImageNet's weights;
    judged on val alone."""
    ways: dict[str, dict[str, Any]] = {
        "flip and crop": {},
        "no augmentation": {"augment": {"flip": 0.0, "crop": 0.0}},
        # Outside knowledge: a track of its own.
        "flip and crop, from ImageNet's weights": {"pretrained": "imagenet", "track": "extra"},
    }
    return [
        Row(
            "resnet18",
            "paper1",
            f"{share:.0%} of the labels, {way}",
            {**({} if share == 1 else {"train_fraction": share}), **changes},
        )
        for share in (1.0, 0.1, 0.3)
        for way, changes in ways.items()
    ]


#: The ingredients of the recipe strong, by name: what adds it to paper 1's recipe, and what takes it out of
#: strong again. Augmentations and dropout have the ranges and shares of both recipes.
INGREDIENTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "SGD with momentum and a cosine": (
        {"optimizer": "sgd", "lr": 0.05, "weight_decay": 5e-4, "schedule": "cosine", "batch_size": 128},
        {"optimizer": "adam", "lr": 3e-4, "weight_decay": 0.0, "schedule": "plateau", "batch_size": 64},
    ),
    "no class weights": (
        {"class_weights": False, "bias_init": False},
        {"class_weights": True, "bias_init": True},
    ),
    "shifts, zoom and rotation": (
        {"augment": {"translation": 0.5, "zoom": 0.5, "rotation": 0.5}},
        {"augment": {"translation": 0.0, "zoom": 0.0, "rotation": 0.0}},
    ),
    "a window of 44 pixels": (
        {"augment": {"crop": 1.0, **WINDOW_44}},
        {"augment": {"crop": 0.5, "crop_scale": (0.5, 1.0), "crop_ratio": (3 / 4, 4 / 3)}},
    ),
    "erasing": ({"augment": {"erasing": 0.5}}, {"augment": {"erasing": 0.0}}),
    "label smoothing": ({"label_smoothing": 0.1}, {"label_smoothing": 0.0}),
    "mixup": ({"mixup": 0.2}, {"mixup": 0.0}),
    "averaged weights": ({"ema": 0.999}, {"ema": 0.0}),
    # The network has dropout of its own: the base switches it off.
    "dropout": ({"model_options": {}}, {"model_options": {"dropout": 0.0}}),
}
#: The ingredient that no training needs: the same networks, evaluated with ten crops.
TEN_CROP = "ten crops at test time"
BASE, FULL = "paper 1's recipe", "all ingredients"  # what the rows of ingredients begin and end with
_BOTH_VIEWS = ("none", "ten-crop")


def _ingredients() -> list[Row]:
    """Each ingredient of the recipe strong alone, and left out; judged on val alone."""
    base = {"model_options": {"dropout": 0.0}}
    return [
        Row("small_vgg", "paper1", BASE, base, tta=_BOTH_VIEWS),
        Row("small_vgg", "strong50", FULL, tta=_BOTH_VIEWS),
        *(
            Row("small_vgg", "paper1", f"with {name}", {**base, **add})
            for name, (add, _) in INGREDIENTS.items()
        ),
        *(
            Row("small_vgg", "strong50", f"without {name}", without)
            for name, (_, without) in INGREDIENTS.items()
        ),
    ]


def _strong() -> list[Row]:
    """The recipe strong at full length: on train, and on train and val together with the same epochs.

    VGG19, because the best published numbers that can be traced are VGGs', with its first paper's dropout;
    SE-ResNet34, paper 1's best: there only the recipe differs; and the small network of every reader.
    """
    networks: dict[str, tuple[str, dict[str, Any]]] = {
        "vgg19": ("VGG19", {"model_options": {"dropout": 0.5}}),
        "se_resnet34": ("paper 1's best network", {}),
        "small_vgg": ("the small network", {}),
    }
    return [
        Row(model, "strong", f"{shows}{told}", {**options, **fit}, tta=_BOTH_VIEWS)
        for told, fit in (("", {}), (", on train and val", {"fit_on": "train+val"}))
        for model, (shows, options) in networks.items()
    ]


def _laptop() -> list[Row]:
    """What a processor trains in an hour or two: the network whose files travel with the package."""
    shown: dict[str, Any] = {"shows": "the small network on a processor", "tta": _BOTH_VIEWS}
    return [Row("small_vgg", recipe, **shown) for recipe in ("quick20", "growing")]


def _extra() -> list[Row]:
    """FER+ votes as soft labels: outside knowledge, a track of its own."""
    votes = {"soft_labels": "ferplus", "track": "extra"}
    return [
        Row("small_vgg", "strong", "the small network on FER+ votes", votes),
        Row("vgg19", "strong", "VGG19 on FER+ votes", {**votes, "model_options": {"dropout": 0.5}}),
    ]


def _distilled() -> list[Row]:
    """The small network, taught by two large ones, whose runs of the grid `strong` must be finished."""
    return [Row("small_vgg", "strong", "the small network, taught", {"teacher": "strong"}, tta=_BOTH_VIEWS)]


def _smoke() -> list[Row]:
    """Three short trainings: show how a grid works. Their accuracies mean nothing."""
    return [
        Row("basic_cnn", "smoke", "runs"),
        Row("basic_cnn", "smoke", "runs, with another number", {"lr": 3e-3}),
        Row("mobilenet_v3_small", "smoke", "runs, another network"),
    ]


def _all() -> list[Row]:
    """Every training that a table or a claim of the book waits for."""
    return [row for name in ALL for row in GRIDS[name]()]


#: What 'all' consists of, in its order, and which of it keeps to one seed: what the papers leave open.
ALL = (
    "table2",
    "table1",
    "paper2",
    "controls",
    "readings",
    "ingredients",
    "strong",
    "laptop",
    "extra",
    "distilled",
    "ablations",
    "scarce",
)
ONE_SEED = ("ablations", "scarce")

#: The grids by name.
GRIDS: dict[str, Callable[[], list[Row]]] = {
    "table2": _table2,
    "table1": _table1,
    "paper2": _paper2,
    "controls": _controls,
    "readings": _readings,
    "ablations": _ablations,
    "scarce": _scarce,
    "ingredients": _ingredients,
    "strong": _strong,
    "laptop": _laptop,
    "extra": _extra,
    "distilled": _distilled,
    "all": _all,
    "smoke": _smoke,
}


def evaluations(config: TrainConfig) -> tuple[str, ...]:
    """Return the test-time augmentations by which a training is evaluated, 'none' first.

    They are those of the grids' row that it is by, also where a trial changes more of it.
    """
    rows = [row for name in GRIDS if name != "all" for row in GRIDS[name]()]
    rows = [row for row in rows if (row.model, row.recipe) == (config.model, config.recipe)]
    changes = experiment(config.to_dict())
    same = [row for row in rows if row.experiment.items() <= changes.items()]
    most = max((len(row.experiment) for row in same), default=0)
    asked = {tta for row in same if len(row.experiment) == most for tta in row.tta}
    return ("none", *sorted(asked - {"none"}))


def grid(name: str, seeds: int = 1, changes: Mapping[str, Any] | None = None) -> list[TrainConfig]:
    """Return a grid's configurations, every row with seed 0 first, then every row with seed 1, and so on.

    A whole table with one seed says more than one row with all its seeds.

    Args:
        name: a key of `GRIDS`.
        seeds: trainings of each row, with seeds 0, 1, ...; in 'all', the grids of `ONE_SEED` keep to seed 0.
        changes: changed in every row, as in `make_config`; for trials.

    Raises:
        FercourseError: no such grid, seeds that are no whole number from 1 up, a wrong change.
    """
    if name not in GRIDS:
        raise FercourseError(
            f"Grid {name!r} does not exist{nearest(name, GRIDS)}. The grids are {', '.join(GRIDS)}."
        )
    if isinstance(seeds, bool) or not isinstance(seeds, int) or seeds < 1:
        raise FercourseError(f"seeds is {seeds!r}; expected a whole number from 1 up.")
    configs = []
    parts = ALL if name == "all" else (name,)
    for seed in range(seeds):
        asked = [part for part in parts if seed == 0 or name != "all" or part not in ONE_SEED]
        for row in (row for part in asked for row in GRIDS[part]()):
            own, common = dict(row.changes or {}), dict(changes or {})
            for key in ("augment", "model_options"):
                if key in own and isinstance(common.get(key), Mapping):
                    common[key] = {**own[key], **common[key]}
            config = make_config(row.model, row.recipe, **{**own, **common, "seed": seed})
            if config not in configs:  # a change for all may make two rows one
                configs.append(config)
    return configs
