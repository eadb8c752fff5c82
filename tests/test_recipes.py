"""Recipes: every value checked, every key known."""

from __future__ import annotations

import dataclasses
import json
import math

import pytest

from fercourse.augmentation import Augmentation
from fercourse.errors import FercourseError
from fercourse.experiments import experiment, record_name
from fercourse.recipes import LATER, RECIPES, TrainConfig, config_from_dict, make_config


def test_paper1_is_the_paper():
    """Li 2023, section 3."""
    config = make_config("resnet18")
    assert (config.optimizer, config.lr, config.batch_size, config.epochs) == ("adam", 3e-4, 64, 50)
    assert (config.schedule, config.factor, config.patience) == ("plateau", 0.1, 4)
    assert config.class_weights
    assert config.bias_init
    assert (config.augment.flip, config.augment.crop) == (0.5, 0.5)
    off = (config.augment.rotation, config.augment.translation, config.augment.shear, config.augment.zoom)
    assert set(off) == {0.0}
    assert config.augment.erasing == 0


def test_paper2_moves_every_image_by_up_to_a_fifth():
    augment = make_config("basic_cnn", "paper2").augment
    assert augment.translation_fraction == (0.2, 0.2)
    assert augment.flip == 0.5
    assert (augment.rotation, augment.translation, augment.shear, augment.zoom) == (1, 1, 1, 1)


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_survives_json(recipe):
    config = make_config("basic_cnn", recipe, seed=3, model_options={"dropout": 0.1})
    assert config_from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"lr": -1}, r"lr is -1; expected a number above 0"),
        ({"lr": 0}, r"lr is 0; expected a number above 0"),
        ({"lr": math.nan}, r"lr is nan"),
        ({"lr": "fast"}, r"lr is 'fast'; expected a number"),
        ({"epochs": 2.5}, r"epochs is 2\.5; expected a whole number"),
        ({"epochs": True}, r"epochs is True"),
        ({"batch_size": 0}, r"batch_size is 0; expected a whole number from 1"),
        ({"label_smoothing": 1.0}, r"label_smoothing is 1\.0"),
        ({"seed": -1}, r"seed is -1"),
        ({"train_fraction": 0}, r"train_fraction is 0"),
        ({"max_steps": 0}, r"max_steps is 0"),
        ({"optimizer": "adma"}, r"optimizer is 'adma'.*did you mean 'adam'"),
        ({"schedule": "step"}, r"schedule is 'step'; expected plateau"),
        ({"track": "papre"}, r"did you mean 'paper'"),
        ({"precision": "int8"}, r"precision is 'int8'"),
        ({"class_weights": 1}, r"class_weights is 1; expected true or false"),
        ({"learning_rate": 0.1}, r"no value 'learning_rate'"),
        ({"epoch": 3}, r"no value 'epoch' \(did you mean 'epochs'\?\)\. It has"),
        ({"mixup": -0.1}, r"mixup is -0\.1"),
        ({"ema": 1}, r"ema is 1; expected a number from 0 to"),
        ({"fit_on": "val"}, r"fit_on is 'val'; expected train, train\+val"),
        ({"fit_on": "train+val"}, r"schedule is 'plateau'; expected one that does not look at val"),
        ({"soft_labels": "votes"}, r"soft_labels is 'votes'; expected none, ferplus"),
        ({"soft_labels": "ferplus"}, r"track is 'paper'; expected 'extra'"),
        ({"teacher": "../runs/best"}, r"teacher is '\.\./runs/best'; expected 'none', or names of runs"),
        ({"teacher": "one+"}, r"teacher is 'one\+'"),
        ({"teacher": None}, r"teacher is None"),
        ({"teacher_share": 0}, r"teacher_share is 0; expected a number above 0 to 1"),
        ({"teacher_temperature": 0}, r"teacher_temperature is 0"),
        ({"sizes": 32}, r"sizes is 32; expected pairs of a share of the epochs"),
        ({"sizes": [0.5, 32]}, r"sizes is \[0\.5, 32\]; expected pairs"),
        ({"sizes": [[0.5, 48]]}, r"pixels a side, 16 to 47, both rising"),
        ({"sizes": [[0.5, 15]]}, r"pixels a side, 16 to 47"),
        ({"sizes": [[1.0, 32]]}, r"above 0 and below 1"),
        ({"sizes": [[math.nan, 32]]}, r"sizes is \[\[nan, 32\]\]"),
        ({"sizes": [[0.5, 32.0]]}, r"sizes is"),
        ({"sizes": [[0.5, 40], [0.7, 32]]}, r"both rising from pair to pair"),
        ({"sizes": [[0.5, 32], [0.5, 40]]}, r"both rising from pair to pair"),
        ({"augment": {"flips": 1}}, r"no value 'flips' \(did you mean 'flip'\?\)\. It has"),
        ({"augment": {"flip": 1.2}}, r"flip=1\.2"),
        ({"augment": 3}, r"augment is 3"),
        ({"model_options": 3}, r"model_options is 3"),
    ],
)
def test_wrong_values_are_named(changes, said):
    with pytest.raises(FercourseError, match=said):
        make_config("basic_cnn", "paper1", **changes)


def test_images_grow_with_the_epochs():
    config = make_config("small_vgg", "quick", epochs=10, sizes=[[0.2, 24], [0.75, 32]])
    assert [config.side(epoch) for epoch in range(10)] == [24] * 2 + [32] * 5 + [48] * 3
    assert config.work() == pytest.approx((2 * 24**2 + 5 * 32**2 + 3 * 48**2) / 48**2)
    assert config.work(6) == pytest.approx((32**2 + 3 * 48**2) / 48**2)
    # 0.29 * 100 is a little less than 29 in floats.
    assert make_config("small_vgg", epochs=100, sizes=[[0.29, 24]]).side(28) == 24
    plain = make_config("small_vgg")
    assert ({plain.side(epoch) for epoch in range(50)}, plain.work(), plain.work(20)) == ({48}, 50, 30)
    # The last epoch is whole, however few there are: what is kept has seen what test shows.
    for epochs in range(1, 30):
        assert make_config("small_vgg", epochs=epochs, sizes=[[0.999, 47]]).side(epochs - 1) == 48


def test_a_record_of_growing_images_says_so_in_its_name():
    config = make_config("small_vgg", "quick", sizes=[[0.25, 24], [0.5, 32]]).to_dict()
    assert record_name(config, "fer2013.csv", "cuda") == "small_vgg-quick-sizes=0.25_24_0.5_32-seed0"
    off = make_config("small_vgg", "growing", sizes=[]).to_dict()
    assert experiment(off) == {"sizes": []}
    assert experiment(make_config("small_vgg", "growing").to_dict()) == {}


def test_unknown_model_and_recipe_name_the_nearest():
    with pytest.raises(FercourseError, match="did you mean 'resnet18'"):
        make_config("resnt18")
    with pytest.raises(FercourseError, match="did you mean 'paper1'"):
        make_config("resnet18", "papr1")


def test_unknown_keys_in_stored_configurations_fail():
    stored = make_config("basic_cnn").to_dict()
    with pytest.raises(FercourseError, match="no value 'lrr'"):
        config_from_dict({**stored, "lrr": 1})
    with pytest.raises(FercourseError, match="no model"):
        config_from_dict({})


def test_augmentation_changes_keep_the_recipes_other_values():
    augment = make_config("basic_cnn", "paper2", augment={"flip": 0.0}).augment
    assert augment == Augmentation(**{**RECIPES["paper2"]["augment"].__dict__, "flip": 0.0})


def test_what_came_later_changes_no_older_configuration():
    """A record, a run folder and a checkpoint from before are still those of the same configuration."""
    defaults = {item.name: item.default for item in dataclasses.fields(TrainConfig)}
    assert {name: defaults[name] for name in LATER} == dict(LATER)
    plain = make_config("resnet18").to_dict()
    assert not set(plain) & set(LATER)
    assert record_name(plain, "fer2013.csv", "cuda") == "resnet18-paper1-seed0"
    changed = make_config("resnet18", mixup=0.2, ema=0.999).to_dict()
    assert record_name(changed, "fer2013.csv", "cuda") == "resnet18-paper1-mixup=0.2-ema=0.999-seed0"
    both = make_config("resnet18", "quick", fit_on="train+val").to_dict()
    assert record_name(both, "fer2013.csv", "cuda") == "resnet18-quick-fit_on=train_val-seed0"


def test_switching_off_what_a_recipe_has_makes_another_experiment(monkeypatch):
    monkeypatch.setitem(RECIPES, "mixing", {"mixup": 0.2})
    assert experiment(make_config("resnet18", "mixing").to_dict()) == {}
    off = make_config("resnet18", "mixing", mixup=0.0).to_dict()
    assert experiment(off) == {"mixup": 0.0}
    assert config_from_dict(off).mixup == 0
