"""Answers to the exercises of chapter 1, The data set."""

# ruff: noqa
# mypy: ignore-errors

import hashlib
import math
import os
import re
from collections import Counter
from fractions import Fraction
from functools import partial
from pathlib import Path, PurePath

import numpy as np
import pandas as pd
import torch
from torch import nn

from answers import Answers

ANSWERS = Answers()
right, wrong = ANSWERS.is_right, ANSWERS.is_wrong


# split_of ---------------------------------------------------------------------------------------------------


@right("split_of")
def by_regular_expression(name):
    found = re.search(r"(?:^|/)(Training|PublicTest|PrivateTest)_[^/]*$", name)
    if found is None:
        raise ValueError(f"Cannot tell the split of {name!r}.")
    return dict(Training="train", PublicTest="val", PrivateTest="test")[found.group(1)]


@right("split_of")
def by_ifs(path):
    base = os.path.basename(path)
    if base.startswith("Training"):
        return "train"
    elif base.startswith("PublicTest"):
        return "val"
    elif base.startswith("PrivateTest"):
        return "test"
    raise ValueError("no split in the name of the file " + base)


@right("split_of")
def by_match(name: str) -> str:
    match name.rsplit("/", 1)[-1].partition("_")[0]:
        case "Training":
            return "train"
        case "PublicTest":
            return "val"
        case "PrivateTest":
            return "test"
        case other:
            raise ValueError(f"unknown prefix {other} in {name}")


@right("split_of")
def by_lookup(name):
    try:
        return {"Training": "train", "PublicTest": "val", "PrivateTest": "test"}[
            PurePath(name).stem.split("_")[0]
        ]
    except KeyError:
        raise ValueError(f"{name} is none of ours") from None


class _SplitOf:
    splits = (("Training_", "train"), ("PublicTest_", "val"), ("PrivateTest_", "test"))

    def __call__(self, name):
        base = name[name.rfind("/") + 1 :]
        for prefix, split in self.splits:
            if base.startswith(prefix):
                return split
        raise ValueError("the name %s does not tell" % name)


right("split_of")(_SplitOf())


@right("split_of")
def with_an_error_of_its_own(name):
    class UnknownSplit(ValueError):
        pass

    words = [w for w in ("Training", "PublicTest", "PrivateTest") if Path(name).name.startswith(w)]
    if len(words) != 1:
        raise UnknownSplit(Path(name).name, "does not begin with a known prefix")
    return ["train", "val", "test"][["Training", "PublicTest", "PrivateTest"].index(words[0])]


@wrong("split_of", "folder does(?: not|n't) tell|first folder")
def first_folder(name):
    return name.split("/")[0]


@wrong("split_of", "folder does not tell")
def by_folder_with_ifs(name):
    if name.startswith("train/"):
        return "train"
    elif name.startswith("test/"):
        return "test"
    raise ValueError(f"{name} does not tell")


@wrong("split_of", "swapped")
def swapped(name):
    prefix = Path(name).name.split("_")[0]
    splits = {"Training": "train", "PublicTest": "test", "PrivateTest": "val"}
    if prefix not in splits:
        raise ValueError(f"{name} is unknown")
    return splits[prefix]


@wrong("split_of", "PublicTest is not the test split")
def both_are_test(name):
    base = Path(name).name
    if base.startswith("Training"):
        return "train"
    if "Test" in base:
        return "test"
    raise ValueError(name)


@wrong("split_of", "returns None|`return`")
def prints(name):
    prefix = Path(name).name.split("_")[0]
    print({"Training": "train", "PublicTest": "val", "PrivateTest": "test"}[prefix])


@wrong("split_of", "returns None.*raise ValueError")
def get_without_refusal(name):
    return {"Training": "train", "PublicTest": "val", "PrivateTest": "test"}.get(
        Path(name).name.split("_")[0]
    )


@wrong("split_of", "KeyError")
def key_error(name):
    return {"Training": "train", "PublicTest": "val", "PrivateTest": "test"}[Path(name).name.split("_")[0]]


@wrong("split_of", "does not tell its split, but split_of says 'test'")
def otherwise_test(name):
    base = name.split("/")[-1]
    if base.startswith("Training"):
        return "train"
    elif base.startswith("PublicTest"):
        return "val"
    else:
        return "test"


@wrong("split_of", "holds the name|names the file")
def says_nothing(name):
    splits = {"Training": "train", "PublicTest": "val", "PrivateTest": "test"}
    if name.split("/")[-1].split("_")[0] not in splits:
        raise ValueError("unknown split")
    return splits[name.split("/")[-1].split("_")[0]]


@wrong("split_of", "folder may hold such a word")
def anywhere_in_the_path(name):
    if "Training" in name:
        return "train"
    if "PublicTest" in name:
        return "val"
    if "PrivateTest" in name:
        return "test"
    raise ValueError(f"{name}: no split")


@wrong("split_of", "course's are train, val and test|train, val and test")
def file_s_own_word(name):
    prefix = name.split("/")[-1].split("_")[0]
    if prefix not in ("Training", "PublicTest", "PrivateTest"):
        raise ValueError(f"bad name {name}")
    return prefix


@wrong("split_of", "the whole path|folder.*file's name|last slash|slash")
def forgets_the_folders(name):
    prefix = name.split("_")[0]
    splits = {"Training": "train", "PublicTest": "val", "PrivateTest": "test"}
    if prefix not in splits:
        raise ValueError(f"{name} begins with none of them")
    return splits[prefix]


@wrong("split_of", "'val'|called val|val")
def long_word(name):
    prefix = Path(name).name.split("_")[0]
    splits = {"Training": "train", "PublicTest": "validation", "PrivateTest": "test"}
    if prefix not in splits:
        raise ValueError(f"{name} begins with none of them")
    return splits[prefix]


@wrong("split_of", "returns the error|raise")
def returns_the_error(name):
    prefix = Path(name).name.split("_")[0]
    splits = {"Training": "train", "PublicTest": "val", "PrivateTest": "test"}
    if prefix not in splits:
        return ValueError(f"{name} begins with none of them")
    return splits[prefix]


@wrong("split_of", "NameError.*path[\\s\\S]*in line \\d+ of misspelt")
def misspelt(name):
    prefix = Path(path).name.split("_")[0]
    return {"Training": "train"}[prefix]


# lazy_accuracies --------------------------------------------------------------------------------------------


@right("lazy_accuracies")
def lazy_numpy(train_counts, test_counts):
    train, test = np.asarray(train_counts, float), np.asarray(test_counts, float)
    k = np.argmax(train)
    return np.array([test[k] / test.sum(), np.dot(train, test) / (train.sum() * test.sum()), 1 / train.size])


@right("lazy_accuracies")
def lazy_loops(train_counts, test_counts):
    best = max(range(len(train_counts)), key=lambda i: train_counts[i])
    a = test_counts[best] / sum(test_counts)
    b = 0
    for p, q in zip(train_counts, test_counts):
        b += p / sum(train_counts) * q / sum(test_counts)
    recalls = [1.0 if i == best else 0.0 for i in range(len(test_counts))]
    return [a, b, sum(recalls) / len(recalls)]


@right("lazy_accuracies")
def lazy_torch(train_counts, test_counts):
    p = torch.as_tensor(train_counts).float()
    q = torch.as_tensor(test_counts).float()
    p, q = p / p.sum(), q / q.sum()
    recall = torch.zeros(len(p))
    recall[p.argmax()] = 1
    return q[p.argmax()], p @ q, recall.mean()


@right("lazy_accuracies")
def lazy_pandas(train_counts, test_counts):
    table = pd.DataFrame({"p": train_counts, "q": test_counts})
    table = table / table.sum()
    return table.q[table.p.idxmax()], (table.p * table.q).sum(), 1 / len(table)


@right("lazy_accuracies")
def lazy_fractions(train_counts, test_counts):
    train, test = [int(n) for n in train_counts], [int(n) for n in test_counts]
    best = train.index(max(train))
    always = Fraction(test[best], sum(test))
    chance = sum(Fraction(a * b, sum(train) * sum(test)) for a, b in zip(train, test))
    return float(always), float(chance), 1 / len(train)


@right("lazy_accuracies")
def lazy_dictionary(train_counts, test_counts):
    best = int(np.argmax(train_counts))
    labels = np.repeat(np.arange(len(test_counts)), test_counts)
    preds = np.full(len(labels), best)
    prior = train_counts / np.sum(train_counts)
    balanced = np.mean([(preds[labels == k] == k).mean() for k in range(len(test_counts))])
    return {"always": (labels == preds).mean(), "random": prior[labels].mean(), "balanced": balanced}


@wrong("lazy_accuracies", "per cent")
def lazy_per_cent(train_counts, test_counts):
    p = 100 * train_counts / train_counts.sum()
    q = 100 * test_counts / test_counts.sum()
    return q[p.argmax()], (p * q).sum() / 100, 100 / len(p)


@wrong("lazy_accuracies", "chosen on train")
def lazy_leak(train_counts, test_counts):
    p = train_counts / train_counts.sum()
    q = test_counts / test_counts.sum()
    return q.max(), (p * q).sum(), 1 / len(p)


@wrong("lazy_accuracies", "measured on train")
def lazy_on_train(train_counts, test_counts):
    p = train_counts / train_counts.sum()
    q = test_counts / test_counts.sum()
    return p.max(), (p * q).sum(), 1 / 7 if len(p) == 7 else 1 / len(p)


@wrong("lazy_accuracies", "with the frequencies of test|of train")
def lazy_squares_train(train_counts, test_counts):
    p = train_counts / train_counts.sum()
    q = test_counts / test_counts.sum()
    return q[p.argmax()], np.sum(p**2), 1 / len(p)


@wrong("lazy_accuracies", "equally often")
def lazy_uniform(train_counts, test_counts):
    q = test_counts / test_counts.sum()
    return q[train_counts.argmax()], 1 / len(q), 1 / len(q)


@wrong("lazy_accuracies", "mean of the (seven )?recalls")
def lazy_balanced_same(train_counts, test_counts):
    p = train_counts / train_counts.sum()
    q = test_counts / test_counts.sum()
    return q[p.argmax()], (p * q).sum(), q[p.argmax()]


@wrong("lazy_accuracies", "seven|number of classes|len")
def lazy_always_seven(train_counts, test_counts):
    p = train_counts / train_counts.sum()
    q = test_counts / test_counts.sum()
    return q[p.argmax()], (p * q).sum(), 1 / 7


@wrong("lazy_accuracies", "sum")
def lazy_no_sum(train_counts, test_counts):
    p = train_counts / train_counts.sum()
    q = test_counts / test_counts.sum()
    return q[p.argmax()], p * q, 1 / len(p)


@wrong("lazy_accuracies", "counts|shares|divide")
def lazy_counts(train_counts, test_counts):
    best = train_counts.argmax()
    return test_counts[best], (train_counts * test_counts).sum(), 1 / len(test_counts)


@wrong("lazy_accuracies", "three")
def lazy_two_values(train_counts, test_counts):
    p = train_counts / train_counts.sum()
    q = test_counts / test_counts.sum()
    return q[p.argmax()], (p * q).sum()


@wrong("lazy_accuracies", "return")
def lazy_prints(train_counts, test_counts):
    p = train_counts / train_counts.sum()
    q = test_counts / test_counts.sum()
    print(q[p.argmax()], (p * q).sum(), 1 / len(p))


@wrong("lazy_accuracies", "mean|summed|sum")
def lazy_mean_of_products(train_counts, test_counts):
    p = train_counts / train_counts.sum()
    q = test_counts / test_counts.sum()
    return q[p.argmax()], (p * q).mean(), 1 / len(p)


@wrong("lazy_accuracies", "class's number")
def lazy_index(train_counts, test_counts):
    p = train_counts / train_counts.sum()
    q = test_counts / test_counts.sum()
    return p.argmax(), (p * q).sum(), 1 / len(p)


@wrong("lazy_accuracies", "order|swapped")
def lazy_other_order(train_counts, test_counts):
    p = train_counts / train_counts.sum()
    q = test_counts / test_counts.sum()
    return (p * q).sum(), q[p.argmax()], 1 / len(p)


@wrong("lazy_accuracies", "divide[sd]? by|number of test images|sum of train|its own")
def lazy_wrong_total(train_counts, test_counts):
    total = train_counts.sum()
    best = train_counts.argmax()
    p, q = train_counts / total, test_counts / total
    return q[best], (p * q).sum(), 1 / len(p)


@wrong("lazy_accuracies", "rounded")
def lazy_rounded(train_counts, test_counts):
    p = train_counts / train_counts.sum()
    q = test_counts / test_counts.sum()
    return round(float(q[p.argmax()]), 2), round(float((p * q).sum()), 2), round(1 / len(p), 2)


# images_needed ----------------------------------------------------------------------------------------------


@right("images_needed")
def needed_search(a, b, errors=2.0):
    n = 1
    while abs(a - b) < errors * math.sqrt(a * (1 - a) / n + b * (1 - b) / n) * (1 - 1e-12):
        n += 1
    return n


@right("images_needed")
def needed_numpy(a, b, errors=2.0):
    p = np.array([a, b])
    return int(np.ceil((p * (1 - p)).sum() / ((b - a) / errors) ** 2))


@right("images_needed")
def needed_float_ceil(a: float, b: float, errors: float = 2.0):
    return np.ceil(errors**2 * (a - a**2 + b - b**2) / (a - b) ** 2)


@right("images_needed")
def needed_torch(a, b, errors=2.0):
    p = torch.tensor([a, b], dtype=torch.float64)
    return torch.ceil((p * (1 - p)).sum() * errors**2 / (p[1] - p[0]) ** 2)


@right("images_needed")
def needed_exact(a, b, errors=2.0):
    a, b, z = (Fraction(str(v)) for v in (a, b, errors))
    n = (a * (1 - a) + b * (1 - b)) * z * z / (a - b) ** 2
    return -(-n.numerator // n.denominator)


@wrong("images_needed", "one set only")
def needed_one_set(a, b, errors=2.0):
    return math.ceil(a * (1 - a) * errors**2 / (b - a) ** 2)


@wrong("images_needed", "squared")
def needed_not_squared(a, b, errors=2.0):
    return math.ceil((a * (1 - a) + b * (1 - b)) / abs(b - a) * errors)


@wrong("images_needed", "number of standard errors is not used")
def needed_without_errors(a, b, errors=2.0):
    return math.ceil((a * (1 - a) + b * (1 - b)) / (b - a) ** 2)


@wrong("images_needed", "must be squared too")
def needed_errors_once(a, b, errors=2.0):
    return math.ceil(errors * (a * (1 - a) + b * (1 - b)) / (b - a) ** 2)


@wrong("images_needed", "round up|whole")
def needed_float(a, b, errors=2.0):
    return (a * (1 - a) + b * (1 - b)) * (errors / (b - a)) ** 2


@wrong("images_needed", "round up")
def needed_floor(a, b, errors=2.0):
    return int((a * (1 - a) + b * (1 - b)) * (errors / (b - a)) ** 2)


@wrong("images_needed", "half")
def needed_both_sets(a, b, errors=2.0):
    return math.ceil(2 * (a * (1 - a) + b * (1 - b)) * (errors / (b - a)) ** 2)


@wrong("images_needed", "standard errors do not add up")
def needed_errors_added(a, b, errors=2.0):
    spread = math.sqrt(a * (1 - a)) + math.sqrt(b * (1 - b))
    return math.ceil((errors * spread / (b - a)) ** 2)


@wrong("images_needed", "\\(1 - p\\)")
def needed_without_rest(a, b, errors=2.0):
    return math.ceil((a + b) * (errors / (b - a)) ** 2)


@wrong("images_needed", "return")
def needed_prints(a, b, errors=2.0):
    print(math.ceil((a * (1 - a) + b * (1 - b)) * (errors / (b - a)) ** 2))


@wrong("images_needed", "subtracted|minus|add up")
def needed_difference_of_variances(a, b, errors=2.0):
    return math.ceil(abs(a * (1 - a) - b * (1 - b)) * (errors / (b - a)) ** 2)


@wrong("images_needed", "mean of the two|average|half")
def needed_mean_variance(a, b, errors=2.0):
    p = (a + b) / 2
    return math.ceil(p * (1 - p) * (errors / (b - a)) ** 2)


@wrong("images_needed", "negative|larger|abs")
def needed_sign(a, b, errors=2.0):
    se = (b - a) / errors
    n = 1
    while math.sqrt((a * (1 - a) + b * (1 - b)) / n) > se and n < 10**6:
        n += 1
    return n


@wrong("images_needed", "errors.*argument|2|default|takes")
def needed_always_two(a, b):
    return math.ceil((a * (1 - a) + b * (1 - b)) * (2 / (b - a)) ** 2)


@wrong("images_needed", "always 2|given|not used")
def needed_two_whatever(a, b, errors=2.0):
    return math.ceil((a * (1 - a) + b * (1 - b)) * (2.0 / (b - a)) ** 2)


@wrong("images_needed", "multipl|divide|inverted|upside")
def needed_inverted(a, b, errors=2.0):
    return math.ceil((a * (1 - a) + b * (1 - b)) * ((b - a) / errors) ** 2)


# count_twins ------------------------------------------------------------------------------------------------


@right("count_twins")
def twins_hash(a, b):
    hashes = {hashlib.md5(np.ascontiguousarray(x)).hexdigest() for x in a}
    return len([x for x in b if hashlib.md5(np.ascontiguousarray(x)).hexdigest() in hashes])


@right("count_twins")
def twins_unique(a, b):
    rows = np.concatenate([a, b]).reshape(len(a) + len(b), -1)
    _, inverse = np.unique(rows, axis=0, return_inverse=True)
    inverse = inverse.ravel()
    return np.isin(inverse[len(a) :], inverse[: len(a)]).sum()


@right("count_twins")
def twins_each_with_each(a, b):
    count = 0
    for image in b:
        for other in a:
            if np.array_equal(image, other):
                count += 1
                break
    return count


@right("count_twins")
def twins_pandas(a, b):
    one = pd.Series([bytes(image) for image in a], dtype=object)
    other = pd.Series([bytes(image) for image in b], dtype=object)
    return int(other.isin(one).sum())


@right("count_twins")
def twins_tuples(a, b):
    known = set(map(lambda image: tuple(image.ravel().tolist()), a))
    return sum(1 for image in b if tuple(image.ravel().tolist()) in known)


@right("count_twins")
def twins_broadcast(a, b):
    if len(a) == 0:
        return 0
    return int(sum((a == image).all(axis=(1, 2)).any() for image in b))


@right("count_twins")
def twins_counter(a, b):
    inside = Counter(x.tobytes() for x in b)
    return sum(inside[key] for key in {x.tobytes() for x in a})


@right("count_twins")
def twins_void(a, b):
    view = lambda x: (
        np.ascontiguousarray(x).reshape(len(x), 48 * 48).view(np.dtype((np.void, 48 * 48))).ravel()
    )
    return torch.tensor(np.isin(view(b), view(a))).sum()


@wrong("count_twins", "different pictures")
def twins_intersection(a, b):
    return len({x.tobytes() for x in a} & {x.tobytes() for x in b})


@wrong("count_twins", "counts pairs|pairs")
def twins_pairs(a, b):
    count = 0
    for x in b:
        for y in a:
            if (x == y).all():
                count += 1
    return count


@wrong("count_twins", "images of a that stand in b")
def twins_swapped(a, b):
    seen = {x.tobytes() for x in b}
    return sum(x.tobytes() in seen for x in a)


@wrong("count_twins", "sum of pixels")
def twins_sum(a, b):
    sums = {x.sum() for x in a}
    return sum(x.sum() in sums for x in b)


@wrong("count_twins", "single pixel")
def twins_in(a, b):
    return sum(x in a for x in b)


@wrong("count_twins", "unhashable|TypeError")
def twins_set_of_arrays(a, b):
    return len(set(a) & set(b))


@wrong("count_twins", "at the same place")
def twins_same_place(a, b):
    n = min(len(a), len(b))
    return int((a[:n] == b[:n]).all(axis=(1, 2)).sum())


@wrong("count_twins", "return")
def twins_prints(a, b):
    seen = {x.tobytes() for x in a}
    print(sum(x.tobytes() in seen for x in b))


@wrong("count_twins", "list|count|number")
def twins_mask(a, b):
    seen = {x.tobytes() for x in a}
    return [x.tobytes() in seen for x in b]


@wrong("count_twins", "share|number of images|count")
def twins_share(a, b):
    seen = {x.tobytes() for x in a}
    return sum(x.tobytes() in seen for x in b) / len(b)


@wrong("count_twins", "pixels")
def twins_pixels(a, b):
    count = 0
    for x in b:
        for y in a:
            count += int((x == y).sum())
    return count


@wrong("count_twins", "not in a|are not|rest")
def twins_others(a, b):
    seen = {x.tobytes() for x in a}
    return sum(x.tobytes() not in seen for x in b)


@wrong("count_twins", "copies within|both")
def twins_surplus(a, b):
    both = [x.tobytes() for x in a] + [x.tobytes() for x in b]
    return len(both) - len(set(both))


@wrong("count_twins", "place in memory|id")
def twins_identity(a, b):
    seen = {id(x) for x in a}
    return sum(id(x) in seen for x in list(b)) * 0


@wrong("count_twins", "first|row|part of")
def twins_first_pixels(a, b):
    seen = {tuple(x[0]) for x in a}
    return sum(tuple(x[0]) in seen for x in b)


@wrong("count_twins", "AxisError|axis|dimension|IndexError|ValueError")
def twins_wrong_axis(a, b):
    return int(sum((a == image).all(axis=(1, 2, 3)).any() for image in b))


@wrong("count_twins", "stops|first|return.*loop|inside")
def twins_returns_early(a, b):
    count = 0
    seen = {x.tobytes() for x in a}
    for image in b:
        if image.tobytes() in seen:
            count += 1
        return count
    return 0


# ScalePixels ------------------------------------------------------------------------------------------------


@right("ScalePixels")
class ScaleOneBuffer(nn.Module):
    def __init__(self, mean, std):
        super().__init__()
        self.register_buffer("stats", torch.tensor([mean, std], dtype=torch.float32))

    def forward(self, images):
        mean, std = self.stats
        return ((images.to(torch.float32) / 255.0 - mean) / std)[:, None]


@right("ScalePixels")
class ScaleNormalise(nn.Module):
    def __init__(self, mean, std):
        super().__init__()
        self.register_buffer("mean", torch.full((1, 1, 1, 1), mean))
        self.register_buffer("inverse", torch.full((1, 1, 1, 1), 1 / std))

    def forward(self, x):
        b, h, w = x.shape
        return x.reshape(b, 1, h, w).float().div(255).sub(self.mean).mul(self.inverse)


@right("ScalePixels")
class ScaleBatchNorm(nn.Module):
    def __init__(self, mean, std):
        super().__init__()
        self.norm = nn.BatchNorm2d(1, eps=0.0, affine=False).eval()
        self.norm.running_mean.fill_(mean * 255)
        self.norm.running_var.fill_((std * 255) ** 2)

    def train(self, mode=True):
        return self

    def forward(self, x):
        return self.norm(x[:, None].float())


@right("ScalePixels")
class ScaleFrozenParameters(nn.Module):
    """Parameters that are not trained travel too, and the optimiser leaves them alone."""

    def __init__(self, mean, std):
        super().__init__()
        self.mean = nn.Parameter(torch.tensor(mean), requires_grad=False)
        self.std = nn.Parameter(torch.tensor(std), requires_grad=False)

    def forward(self, x):
        return torch.unsqueeze((x / 255 - self.mean) / self.std, 1)


@right("ScalePixels")
class ScaleDouble(nn.Module):
    def __init__(self, mean, std):
        super(ScaleDouble, self).__init__()
        self.register_buffer("mean", torch.as_tensor(mean, dtype=torch.float64))
        self.register_buffer("std", torch.as_tensor(std, dtype=torch.float64))

    def forward(self, x):
        x = x.double() / 255
        x -= self.mean
        x /= self.std
        return torch.stack([x], dim=1).float()


def _scale(body, **parts):
    """Return a class whose forward is ``body``, with both numbers in buffers."""

    def __init__(self, mean, std):
        nn.Module.__init__(self)
        self.register_buffer("mean", torch.tensor(mean))
        self.register_buffer("std", torch.tensor(std))

    return type("ScalePixels", (nn.Module,), {"__init__": __init__, "forward": body, **parts})


wrong("ScalePixels", "divide by 255")(_scale(lambda self, x: (x.unsqueeze(1).float() - self.mean) / self.std))
wrong("ScalePixels", "nothing is divided by the standard deviation")(
    _scale(lambda self, x: x.unsqueeze(1).float() / 255 - self.mean)
)
wrong("ScalePixels", "brackets")(_scale(lambda self, x: x[:, None] / 255 - self.mean / self.std))
wrong("ScalePixels", "brackets")(_scale(lambda self, x: x[:, None] / 255 / self.std - self.mean))
wrong("ScalePixels", "channel")(_scale(lambda self, x: (x.float() / 255 - self.mean) / self.std))
wrong("ScalePixels", "channel comes second")(
    _scale(lambda self, x: ((x.float() / 255 - self.mean) / self.std)[None])
)
wrong("ScalePixels", "channel comes second|last")(
    _scale(lambda self, x: ((x.float() / 255 - self.mean) / self.std)[..., None])
)
wrong("ScalePixels", "mean and std are not used|not used")(
    _scale(lambda self, x: x.unsqueeze(1).float() / 255)
)
wrong("ScalePixels", "own mean and std")(
    _scale(lambda self, x: ((x.float() / 255 - (x / 255).mean()) / (x / 255).std()).unsqueeze(1))
)
wrong("ScalePixels", "returns None")(_scale(lambda self, x: None))
wrong("ScalePixels", "multipl")(_scale(lambda self, x: (x.unsqueeze(1) / 255 - self.mean) * self.std))
wrong("ScalePixels", "float64|float32")(
    _scale(lambda self, x: (x.unsqueeze(1).double() / 255 - self.mean) / self.std)
)
wrong("ScalePixels", "256")(_scale(lambda self, x: (x.unsqueeze(1).float() / 256 - self.mean) / self.std))
wrong("ScalePixels", "three channels|3 channels|one channel|repeat")(
    _scale(lambda self, x: ((x.float() / 255 - self.mean) / self.std).unsqueeze(1).repeat(1, 3, 1, 1))
)
wrong("ScalePixels", "plus|add|sign|subtract")(
    _scale(lambda self, x: (x.unsqueeze(1) / 255 + self.mean) / self.std)
)
wrong("ScalePixels", "order|swapped|subtracted from")(
    _scale(lambda self, x: (self.mean - x.unsqueeze(1) / 255) / self.std)
)
wrong("ScalePixels", "swapped")(_scale(lambda self, x: (x.unsqueeze(1) / 255 - self.std) / self.mean))
wrong("ScalePixels", "divid|//|whole")(_scale(lambda self, x: (x.unsqueeze(1) // 255 - self.mean) / self.std))
wrong("ScalePixels", "0.5077|typed|given|argument")(
    _scale(lambda self, x: (x.unsqueeze(1) / 255 - 0.5077) / 0.255)
)


@wrong("ScalePixels", "plain attributes")
class ScaleAttributes(nn.Module):
    def __init__(self, mean, std):
        super().__init__()
        self.mean, self.std = mean, std

    def forward(self, x):
        return (x.unsqueeze(1).float() / 255 - self.mean) / self.std


@wrong("ScalePixels", "would be trained")
class ScaleParameters(nn.Module):
    def __init__(self, mean, std):
        super().__init__()
        self.mean = nn.Parameter(torch.tensor(mean))
        self.std = nn.Parameter(torch.tensor(std))

    def forward(self, x):
        return (x.unsqueeze(1).float() / 255 - self.mean) / self.std


@wrong("ScalePixels", "only one")
class ScaleHalfABuffer(nn.Module):
    def __init__(self, mean, std):
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean))
        self.std = std

    def forward(self, x):
        return (x.unsqueeze(1).float() / 255 - self.mean) / self.std


@wrong("ScalePixels", "super\\(\\).__init__|before Module.__init__")
class ScaleWithoutSuper(nn.Module):
    def __init__(self, mean, std):
        self.register_buffer("mean", torch.tensor(mean))
        self.register_buffer("std", torch.tensor(std))

    def forward(self, x):
        return (x.unsqueeze(1).float() / 255 - self.mean) / self.std


@wrong("ScalePixels", "not derived from nn.Module")
class ScaleNoModule:
    def __init__(self, mean, std):
        self.mean, self.std = mean, std

    def __call__(self, x):
        return (x.unsqueeze(1).float() / 255 - self.mean) / self.std


@wrong("ScalePixels", "persistent|state_dict")
class ScaleNotPersistent(nn.Module):
    def __init__(self, mean, std):
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean), persistent=False)
        self.register_buffer("std", torch.tensor(std), persistent=False)

    def forward(self, x):
        return (x.unsqueeze(1).float() / 255 - self.mean) / self.std


@wrong("ScalePixels", "changes its input")
class ScaleInPlace(nn.Module):
    def __init__(self, mean, std):
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean))
        self.register_buffer("std", torch.tensor(std))

    def forward(self, x):
        x.div_(255, rounding_mode="floor")
        return (x.unsqueeze(1).float() - self.mean) / self.std


@wrong("ScalePixels", "name .?mean.? is not defined")
class ScaleForgotSelf(nn.Module):
    def __init__(self, mean, std):
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean))
        self.register_buffer("std", torch.tensor(std))

    def forward(self, x):
        return (x.unsqueeze(1).float() / 255 - mean) / std


@wrong("ScalePixels", "not used|own numbers|state_dict|buffers are")
class ScaleBuffersUnused(nn.Module):
    """The buffers are there for show: what forward uses would not travel."""

    def __init__(self, mean, std):
        super().__init__()
        self.register_buffer("mean_", torch.tensor(0.0))
        self.register_buffer("std_", torch.tensor(1.0))
        self.mean, self.std = mean, std

    def forward(self, x):
        return (x.unsqueeze(1).float() / 255 - self.mean) / self.std


# PriorOnly --------------------------------------------------------------------------------------------------


@right("PriorOnly")
class PriorRepeat(nn.Module):
    def __init__(self, counts):
        super().__init__()
        self.bias = nn.Parameter(torch.log_softmax(torch.log(counts.float()), dim=0))

    def forward(self, x):
        return self.bias[None].repeat(x.shape[0], 1)


@right("PriorOnly")
class PriorLogCounts(nn.Module):
    """Logits may be shifted: the logarithm of the counts has the same softmax."""

    def __init__(self, counts):
        super().__init__()
        self.logits = nn.Parameter(counts.double().log().float().reshape(1, -1))

    def forward(self, x):
        return torch.cat([self.logits] * x.size(0))


@right("PriorOnly")
class PriorLinear(nn.Module):
    """The bias of a dense layer whose input is nothing."""

    def __init__(self, counts):
        super().__init__()
        self.dense = nn.Linear(0, len(counts))
        with torch.no_grad():
            self.dense.bias.copy_((counts / counts.sum()).log())

    def forward(self, x):
        return self.dense(x.new_zeros(x.shape[0], 0))


@right("PriorOnly")
class PriorOuter(nn.Module):
    def __init__(self, counts):
        super().__init__()
        self.register_parameter(
            "prior", nn.Parameter(torch.tensor(np.log(counts.numpy() / counts.sum().item())))
        )

    def forward(self, x):
        return torch.einsum("b,k->bk", torch.ones(len(x), dtype=self.prior.dtype), self.prior).float()


@right("PriorOnly")
class PriorBroadcast(nn.Module):
    def __init__(self, counts):
        super().__init__()
        self.logits = nn.Parameter((counts / counts.sum()).log())

    def forward(self, x):
        return torch.zeros(len(x), 7) + self.logits


@right("PriorOnly")
class PriorEmbedding(nn.Module):
    def __init__(self, counts):
        super().__init__()
        self.table = nn.Embedding.from_pretrained((counts / counts.sum()).log()[None], freeze=False)

    def forward(self, x):
        return self.table(torch.zeros(len(x), dtype=torch.long, device=x.device))


def _prior(start, body=lambda self, x: self.logits.expand(len(x), -1), make=nn.Parameter):
    """Return a class with these logits and this forward."""

    def __init__(self, counts):
        nn.Module.__init__(self)
        self.logits = make(start(counts))

    return type("PriorOnly", (nn.Module,), {"__init__": __init__, "forward": body})


def _log_prior(counts):
    return (counts / counts.sum()).log()


wrong("PriorOnly", "frequencies themselves")(_prior(lambda counts: counts / counts.sum()))
wrong("PriorOnly", "counts")(_prior(lambda counts: counts.float()))
wrong("PriorOnly", "all alike")(_prior(lambda counts: torch.zeros(7)))
wrong("PriorOnly", "sign")(_prior(lambda counts: -(counts / counts.sum()).log()))
wrong("PriorOnly", "base 10")(_prior(lambda counts: (counts / counts.sum()).log10()))
wrong("PriorOnly", "random|torch.randn|logarithm of the frequencies")(_prior(lambda counts: torch.randn(7)))
wrong("PriorOnly", "after a softmax|softmax in|softmax")(
    _prior(_log_prior, lambda self, x: self.logits.expand(len(x), -1).softmax(1))
)
wrong("PriorOnly", "7 for each image")(_prior(_log_prior, lambda self, x: self.logits))
wrong("PriorOnly", "a row for each image")(_prior(_log_prior, lambda self, x: self.logits[None]))
wrong("PriorOnly", "nothing to train")(_prior(_log_prior, make=lambda x: x))
wrong("PriorOnly", "returns None")(_prior(_log_prior, lambda self, x: None))
wrong("PriorOnly", "no gradient")(_prior(_log_prior, lambda self, x: self.logits.detach().expand(len(x), -1)))
wrong("PriorOnly", "transposed|\\(7, 4\\)|second|first")(
    _prior(_log_prior, lambda self, x: self.logits[:, None].expand(-1, len(x)))
)
wrong("PriorOnly", "every pixel|one axis|dimension|each image")(
    _prior(_log_prior, lambda self, x: self.logits.view(1, 7, 1, 1).expand(len(x), 7, 48, 48))
)
wrong("PriorOnly", "logarithm|softmax")(_prior(lambda counts: (counts / counts.sum()).softmax(0)))
wrong("PriorOnly", "requires_grad|not trained|frozen|no gradient")(
    _prior(_log_prior, make=lambda x: nn.Parameter(x, requires_grad=False))
)
wrong("PriorOnly", "buffer|parameter|nothing to train")(
    type(
        "PriorOnly",
        (nn.Module,),
        {
            "__init__": lambda self, counts: (
                (
                    nn.Module.__init__(self),
                    self.register_buffer("logits", _log_prior(counts)),
                )
                and None
            ),
            "forward": lambda self, x: self.logits.expand(len(x), -1),
        },
    )
)
wrong("PriorOnly", "Only Tensors of floating point|float|dtype|integer")(_prior(lambda counts: counts))
wrong("PriorOnly", "size|batch|2 images|4 images")(
    _prior(_log_prior, lambda self, x: self.logits.expand(4, -1))
)
wrong("PriorOnly", "mean|maximum|divide|sum")(_prior(lambda counts: (counts / counts.max()).exp()))


@wrong("PriorOnly", "ignore the pixels|image to image")
class PriorLooks(nn.Module):
    def __init__(self, counts):
        super().__init__()
        self.dense = nn.Linear(48 * 48, 7)
        with torch.no_grad():
            self.dense.bias.copy_(_log_prior(counts))

    def forward(self, x):
        return self.dense(x.flatten(1))


@wrong("PriorOnly", "share|made once|only parameter|weights")
class PriorZeroWeights(nn.Module):
    """Its weights start at zero, but they would learn to look."""

    def __init__(self, counts):
        super().__init__()
        self.dense = nn.Linear(48 * 48, 7)
        nn.init.zeros_(self.dense.weight)
        with torch.no_grad():
            self.dense.bias.copy_(_log_prior(counts))

    def forward(self, x):
        return self.dense(x.flatten(1))


@wrong("PriorOnly", "in forward|__init__|nothing to train")
class PriorMadeInForward(nn.Module):
    def __init__(self, counts):
        super().__init__()
        self.counts = counts

    def forward(self, x):
        logits = nn.Parameter((self.counts / self.counts.sum()).log())
        return logits.expand(len(x), -1)


@wrong("PriorOnly", "nothing to train|__init__")
class PriorShared(nn.Module):
    logits = nn.Parameter(_log_prior(torch.tensor([3995, 436, 4097, 7215, 4830, 3171, 4965])))

    def __init__(self, counts):
        super().__init__()

    def forward(self, x):
        return self.logits.expand(len(x), -1)
