"""What the two papers report, as they print it. Typed from the papers, here and nowhere else.

Paper 1: Li, 'Comparison and analysis of deep neural networks in facial expression recognition' (2023).
Paper 2: Gao, 'Comparison of CNN and ResNet Neural Networks on the Performance of Facial Expression
Recognition'.
Accuracies are shares between 0 and 1. See `fercourse.results` for ours beside them.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Reported:
    """A row of paper 1's Table 2.

    Attributes:
        params: parameters, printed to 0.1 million.
        train, val, test: accuracy on Training, PublicTest and PrivateTest.
        milliseconds: time for the 3,589 test images, on a machine that the paper does not name.
    """

    params: int
    train: float
    val: float
    test: float
    milliseconds: float


#: Paper 1, Table 2, in its order.
TABLE2 = {
    "vgg11": Reported(9_200_000, 0.9651, 0.6821, 0.6854, 786.7),
    "vgg13": Reported(9_400_000, 0.9862, 0.6834, 0.6923, 946.4),
    "vgg16": Reported(14_700_000, 0.9081, 0.6840, 0.6949, 1069.8),
    "vgg19": Reported(20_000_000, 0.9458, 0.6840, 0.6935, 1229.4),
    "resnet18": Reported(11_100_000, 0.9548, 0.7010, 0.7010, 1528.9),
    "resnet34": Reported(21_200_000, 0.9416, 0.6843, 0.6946, 2574.0),
    "resnet50": Reported(23_500_000, 0.8521, 0.6785, 0.6955, 5227.1),
    "se_resnet18": Reported(11_300_000, 0.9784, 0.6907, 0.7008, 1655.6),
    "se_resnet34": Reported(21_400_000, 0.9760, 0.6941, 0.7080, 2844.3),
    "se_resnet50": Reported(26_000_000, 0.9644, 0.6888, 0.7002, 6620.7),
    "mobilenet_v2": Reported(2_300_000, 0.9159, 0.6531, 0.6484, 1874.2),
    "mobilenet_v3_large": Reported(4_200_000, 0.9317, 0.6347, 0.6356, 2167.0),
    "mobilenet_v3_small": Reported(1_800_000, 0.9013, 0.6037, 0.6166, 751.9),
}

#: Paper 1, Table 1: ResNet18's accuracy on val by augmentation, named as the rows of the grid 'table1'.
TABLE1 = {
    "no augmentation": 0.6033,
    "flip alone": 0.6397,
    "flip and crop": 0.7010,
    "flip, crop and rotation": 0.6704,
    "flip, crop and erasing": 0.6932,
}

#: Paper 2: accuracy 'in the initial stage', read from its text.
EARLY = {"basic_cnn": 0.5, "resnet50v2": 0.25}

#: Paper 2: its counts, as its text and its table have them.
COUNTS = {
    "training images, text": 18_592,
    "people, text": 26_432,
    "training images, table": 28_709,
    "test images, table": 7_178,
}

#: Paper 1: how it writes the names of its networks.
NAMES = {
    "vgg11": "VGG11",
    "vgg13": "VGG13",
    "vgg16": "VGG16",
    "vgg19": "VGG19",
    "resnet18": "ResNet18",
    "resnet34": "ResNet34",
    "resnet50": "ResNet50",
    "se_resnet18": "SE-ResNet18",
    "se_resnet34": "SE-ResNet34",
    "se_resnet50": "SE-ResNet50",
    "mobilenet_v2": "MobileNetV2",
    "mobilenet_v3_large": "MobileNetV3-Large",
    "mobilenet_v3_small": "MobileNetV3-Small",
}

#: Paper 1: differences that its text states, as shares; 'about 3%' and 'around 6%' are whole points.
GAINS = {"flip": 0.03, "crop": 0.06, "se_resnet34": 0.0134, "se_resnet50": 0.0047}

#: Paper 1: its counts. Its text has 3564 where a held-out split has another number of images.
COUNTS1 = {
    "held-out images, text": 3564,
    "test images, Table 2": 3589,
    "image size, text": "48x4",
    "classes": 7,
}

#: Paper 2: 'about 3500 images', in its text.
ABOUT = {"images, text": 3500}

#: The machine on which a paper took its times, by paper; None where it does not name one.
MACHINES: dict[int, str | None] = {1: None, 2: None}

#: What four works that the papers cite reached on FER-2013, as they are cited, by their idea; see chapter 11.
CITED = {
    "SVM loss": 0.7116,
    "attention": 0.7002,
    "attention, another work": 0.7415,
    "hyperparameter search": 0.7216,
}
