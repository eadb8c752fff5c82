"""Answers to the exercises of chapter 2, Preprocessing and imbalance."""

# ruff: noqa
# mypy: ignore-errors

import copy
import math
import random

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from answers import Answers

ANSWERS = Answers()
right, wrong = ANSWERS.is_right, ANSWERS.is_wrong


# standardise ------------------------------------------------------------------------------------------------


@right("standardise")
def standardise_helper(train, val, test):
    scaled = [split.float() / 255 for split in (train, val, test)]
    m, s = scaled[0].mean(), scaled[0].std()
    return tuple((x - m) / s for x in scaled)


@right("standardise")
def standardise_numpy(train, val, test):
    a, b, c = (np.asarray(x) / 255 for x in (train, val, test))
    return (a - a.mean()) / a.std(), (b - a.mean()) / a.std(), (c - a.mean()) / a.std()


@right("standardise")
def standardise_without_255(train, val, test):
    train, val, test = train.double(), val.double(), test.double()
    mean = train.sum() / train.numel()
    var = ((train - mean) ** 2).mean()
    return [(x - mean) / var.sqrt() for x in (train, val, test)]


@right("standardise")
def standardise_dictionary(train, val, test):
    std, mean = torch.std_mean(train.div(255))
    return {name: x.div(255).sub(mean).div(std) for name, x in dict(train=train, val=val, test=test).items()}


def _std(*lines, name="standardise"):
    """Return the function of these lines, as somebody types it."""
    space = {"torch": torch, "np": np, "F": F}
    exec("\n".join(["def standardise(train, val, test):", *("    " + line for line in lines)]), space)
    return space["standardise"]


FLOATS = "train, val, test = train.float() / 255, val.float() / 255, test.float() / 255"
STATS = "m, s = train.mean(), train.std()"
OUT = "return (train - m) / s, (val - m) / s, (test - m) / s"

wrong("standardise", "its own mean")(
    _std(FLOATS, "return [(x - x.mean()) / x.std() for x in (train, val, test)]")
)
wrong("standardise", "all three splits")(
    _std(FLOATS, "a = torch.cat([train, val, test])", "m, s = a.mean(), a.std()", OUT)
)
wrong("standardise", "train and val together")(
    _std(FLOATS, "a = torch.cat([train, val])", "m, s = a.mean(), a.std()", OUT)
)
wrong("standardise", "not standardised")(_std(FLOATS, "return train, val, test"))
wrong("standardise", "division by the standard deviation is missing")(
    _std(FLOATS, STATS, "return train - m, val - m, test - m")
)
wrong("standardise", "mean is not subtracted")(_std(FLOATS, STATS, "return train / s, val / s, test / s"))
wrong("standardise", "variance")(_std(FLOATS, "m, s = train.mean(), train.var()", OUT))
wrong("standardise", "brackets")(_std(FLOATS, STATS, "return train - m / s, val - m / s, test - m / s"))
wrong("standardise", "for each pixel")(_std(FLOATS, "m, s = train.mean(0), train.std(0)", OUT))
wrong("standardise", "for each image")(
    _std(
        FLOATS,
        "return [(x - x.mean((1, 2), keepdim=True)) / x.std((1, 2), keepdim=True) for x in (train, val, test)]",
    )
)
wrong("standardise", "whole numbers")(_std("m, s = train.mean(), train.std()", OUT))
wrong("standardise", "0 to 255, but mean and deviation are those of pixels from 0 to 1")(
    _std("m, s = (train / 255).mean(), (train / 255).std()", OUT)
)
wrong("standardise", "0 to 1, but mean and deviation are those of pixels from 0 to 255")(
    _std("m, s = train.float().mean(), train.float().std()", FLOATS, OUT)
)
wrong("standardise", "typed in")(_std(FLOATS, "m, s = 0.5077, 0.2550", OUT))
wrong("standardise", "typed in")(_std(FLOATS, "m, s = 0.5, 0.5", OUT))
wrong("standardise", "three splits|return train, val and test")(_std(FLOATS, STATS, "return (train - m) / s"))
wrong("standardise", "in this order")(
    _std(FLOATS, STATS, "return (val - m) / s, (train - m) / s, (test - m) / s")
)
wrong("standardise", "multiplies")(
    _std(FLOATS, STATS, "return (train - m) * s, (val - m) * s, (test - m) * s")
)
wrong("standardise", "NaN|whole-number")(
    _std(
        "train, val, test = train // 255 * 0, val // 255, test // 255",
        "train, val, test = train.float(), val.float(), test.float()",
        STATS,
        OUT,
    )
)
wrong("standardise", "Only train")(_std(FLOATS, STATS, "return (train - m) / s, val, test"))
wrong("standardise", "least and greatest")(_std(FLOATS, "m, s = train.min(), train.max() - train.min()", OUT))
wrong("standardise", "return")(_std(FLOATS, STATS, "result = (train - m) / s, (val - m) / s, (test - m) / s"))
wrong("standardise", "changes its shape|shape")(
    _std(
        FLOATS,
        STATS,
        "return ((train - m) / s).unsqueeze(1), ((val - m) / s).unsqueeze(1), ((test - m) / s).unsqueeze(1)",
    )
)


# soft_cross_entropy -----------------------------------------------------------------------------------------


@right("soft_cross_entropy")
def soft_logsumexp(logits, targets):
    log_probs = logits - logits.logsumexp(dim=1, keepdim=True)
    return -(targets * log_probs).sum(dim=1).mean()


@right("soft_cross_entropy")
def soft_by_hand(logits, targets):
    shifted = logits - logits.max(1, keepdim=True).values
    normaliser = torch.log(torch.exp(shifted).sum(1))
    losses = normaliser - (targets * shifted).sum(1)
    return losses.sum() / len(losses)


@right("soft_cross_entropy")
def soft_loop(logits, targets):
    total = 0
    for z, t in zip(logits, targets):
        total = total - torch.dot(t, F.log_softmax(z, dim=0))
    return total / len(logits)


@wrong("soft_cross_entropy", "to write it")
def soft_builtin(logits, targets):
    return F.cross_entropy(logits, targets)


def _soft(line):
    return eval(f"lambda logits, targets: {line}", {"torch": torch, "F": F, "np": np, "math": math})


wrong("soft_cross_entropy", "summed over the batch")(_soft("-(targets * logits.log_softmax(1)).sum()"))
wrong("soft_cross_entropy", "mean over images and classes")(
    _soft("-(targets * logits.log_softmax(1)).mean()")
)
wrong("soft_cross_entropy", "minus|sign")(_soft("(targets * logits.log_softmax(1)).sum(1).mean()"))
wrong("soft_cross_entropy", "softmax is missing")(_soft("-(targets * logits).sum(1).mean()"))
wrong("soft_cross_entropy", "logarithm is missing")(_soft("-(targets * logits.softmax(1)).sum(1).mean()"))
wrong("soft_cross_entropy", r"dim 0")(_soft("-(targets * logits.log_softmax(0)).sum(1).mean()"))
wrong("soft_cross_entropy", "twice")(_soft("F.cross_entropy(logits.softmax(1), targets)"))
wrong("soft_cross_entropy", "greatest target")(_soft("F.cross_entropy(logits, targets.argmax(1))"))
wrong("soft_cross_entropy", "NaN|overflow")(_soft("-(targets * logits.softmax(1).log()).sum(1).mean()"))
wrong("soft_cross_entropy", "overflow")(
    _soft("-(targets * (logits.exp() / logits.exp().sum(1, keepdim=True)).log()).sum(1).mean()")
)
wrong("soft_cross_entropy", "no gradient comes back")(
    _soft("-(targets * logits.log_softmax(1)).sum(1).mean().item()")
)
wrong("soft_cross_entropy", "Kullback")(
    _soft("F.kl_div(logits.log_softmax(1), targets, reduction='batchmean')")
)
wrong("soft_cross_entropy", "binary")(_soft("F.binary_cross_entropy_with_logits(logits, targets)"))
wrong("soft_cross_entropy", "exchanged")(_soft("-(logits.softmax(1) * (targets + 1e-9).log()).sum(1).mean()"))
wrong("soft_cross_entropy", "squared error")(_soft("F.mse_loss(logits.softmax(1), targets)"))
wrong("soft_cross_entropy", "their mean is missing|values where one number")(
    _soft("-(targets * logits.log_softmax(1)).sum(1)")
)
wrong("soft_cross_entropy", "base 2")(_soft("-(targets * logits.log_softmax(1)).sum(1).mean() / math.log(2)"))
wrong("soft_cross_entropy", "through a softmax")(_soft("F.cross_entropy(logits, targets.softmax(1))"))
wrong("soft_cross_entropy", "no gradient comes back")(
    _soft("torch.tensor(-(targets * logits.log_softmax(1)).sum(1).mean().item())")
)
wrong("soft_cross_entropy", "add up|sum of the exp|dim 1")(
    _soft("-(targets * (logits - logits.flatten().logsumexp(0))).sum(1).mean()")
)
wrong("soft_cross_entropy", "sigmoid")(_soft("-(targets * F.logsigmoid(logits)).sum(1).mean()"))


# start_at_prior ---------------------------------------------------------------------------------------------


@right("start_at_prior")
def prior_no_grad(model, counts, weights=None):
    share = counts.float() if weights is None else counts * weights
    share = share / share.sum()
    with torch.no_grad():
        model.head[-1].bias.copy_(share.log())


@right("start_at_prior")
def prior_data(model, counts, weights=None):
    if weights is None:
        weights = torch.ones(len(counts))
    model.head[-1].bias.data = torch.log(weights * counts)
    return model


@right("start_at_prior")
def prior_new_parameter(model, counts, weights=None):
    n = np.array(counts, dtype=np.float32)
    if weights is not None:
        n = n * weights.numpy()
    layer = [m for m in model.modules() if isinstance(m, nn.Linear)][-1]
    layer.bias = nn.Parameter(torch.tensor(np.log(n / n.sum()), dtype=torch.float32))


@right("start_at_prior")
def prior_one_by_one(model, counts, weights=None):
    with torch.no_grad():
        for k in range(len(counts)):
            w = 1.0 if weights is None else weights[k].item()
            model.head[-1].bias[k] = math.log(counts[k].item() * w)


def _prior(
    line,
    share="counts * (1 if weights is None else weights) / (counts * (1 if weights is None else weights)).sum()",
):
    def start_at_prior(model, counts, weights=None):
        space = {
            "torch": torch,
            "nn": nn,
            "copy": copy,
            "math": math,
            "F": F,
            "model": model,
            "counts": counts,
            "weights": weights,
        }
        exec(f"share = {share}\nbias = model.head[-1].bias\nwith torch.no_grad():\n    {line}", space)

    return start_at_prior


wrong("start_at_prior", "weights are not used")(_prior("bias.copy_((counts / counts.sum()).log())"))
wrong("start_at_prior", "shares themselves")(_prior("bias.copy_(share)"))
wrong("start_at_prior", "holds the counts")(_prior("bias.copy_(counts)"))
wrong("start_at_prior", "sign")(_prior("bias.copy_(-share.log())"))
wrong("start_at_prior", "divided by the weights")(
    _prior("bias.copy_((counts / (1 if weights is None else weights)).log())")
)
wrong("start_at_prior", "base 10")(_prior("bias.copy_(share.log10())"))
wrong("start_at_prior", r"log\(1 \+")(_prior("bias.copy_(torch.log1p(share))"))
wrong("start_at_prior", "sigmoid")(_prior("bias.copy_((share / (1 - share)).log())"))
wrong("start_at_prior", "as it was")(_prior("bias = share.log()"))
wrong("start_at_prior", "as it was")(
    _prior("model = copy.deepcopy(model); model.head[-1].bias.copy_(share.log())")
)
wrong("start_at_prior", "another layer has changed")(
    _prior("model.head[1].bias.copy_(share.log()[:1].expand(5))")
)
wrong("start_at_prior", "added to the bias")(_prior("bias.add_(share.log())"))
wrong("start_at_prior", "set to zero as well")(
    _prior("bias.copy_(share.log()); model.head[-1].weight.zero_()")
)
wrong("start_at_prior", "must stay an nn.Parameter")(_prior("model.head[-1].bias = share.log()"))
wrong("start_at_prior", "the weights of the last layer have changed|weights of the last layer")(
    _prior("model.head[-1] = nn.Linear(5, len(counts)); model.head[-1].bias.copy_(share.log())")
)
wrong("start_at_prior", "no longer learns")(_prior("bias.copy_(share.log()); bias.requires_grad_(False)"))
wrong("start_at_prior", "dtype|no longer runs")(
    _prior("model.head[-1].bias = nn.Parameter(share.double().log())")
)
wrong("start_at_prior", "shares back|softmax")(_prior("bias.copy_(share.log().softmax(0))"))
wrong("start_at_prior", "added to the logarithm")(
    _prior("bias.copy_((counts / counts.sum()).log() + (1 if weights is None else weights))")
)
wrong("start_at_prior", "inverse frequencies|one over")(
    _prior("bias.copy_(counts.sum() / (len(counts) * counts))")
)
wrong("start_at_prior", "in place|no_grad")(
    lambda model, counts, weights=None: model.head[-1].bias.copy_(counts.float().log())
)
wrong("start_at_prior", "same bias")(_prior("bias.zero_()"))


# weighted_step ----------------------------------------------------------------------------------------------


@right("weighted_step")
def step_builtin(model, images, labels, counts, lr):
    weight = counts.sum() / (len(counts) * counts)
    loss = F.cross_entropy(model(images), labels, weight=weight)
    model.zero_grad()
    loss.backward()
    with torch.no_grad():
        for p in model.parameters():
            p -= lr * p.grad
    return loss.item()


@right("weighted_step")
def step_by_hand(model, images, labels, counts, lr):
    for p in model.parameters():
        p.grad = None
    w = (1.0 / counts)[labels]
    losses = -model(images).log_softmax(1)[torch.arange(len(labels)), labels]
    loss = (w * losses).sum() / w.sum()
    loss.backward()
    for p in model.parameters():
        p.data.add_(p.grad, alpha=-lr)
    return float(loss)


@right("weighted_step")
def step_sgd(model, images, labels, counts, lr):
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    criterion = nn.CrossEntropyLoss(weight=1000 / counts.float())
    optimizer.zero_grad()
    loss = criterion(model(images), labels)
    loss.backward()
    optimizer.step()
    return loss.detach()


@right("weighted_step")
def step_autograd(model, images, labels, counts, lr):
    parameters = list(model.parameters())
    weight = (1 / counts.float()) / (1 / counts.float()).max()
    loss = F.nll_loss(F.log_softmax(model(images), 1), labels, weight=weight)
    with torch.no_grad():
        for p, g in zip(parameters, torch.autograd.grad(loss, parameters)):
            p.copy_(p - lr * g)
    return loss.item()


def _step(
    weight="counts.sum() / (len(counts) * counts)",
    loss="F.cross_entropy(model(images), labels, weight=weight)",
    clear="model.zero_grad()",
    back="loss.backward()",
    move="p -= lr * p.grad",
    end="return loss.item()",
    which="model.parameters()",
):
    space = {"torch": torch, "nn": nn, "F": F}
    lines = [
        "def weighted_step(model, images, labels, counts, lr):",
        f"    weight = {weight}",
        f"    {clear}",
        f"    loss = {loss}",
        f"    {back}",
        "    with torch.no_grad():",
        f"        for p in {which}:",
        f"            {move}",
        f"    {end}",
    ]
    exec("\n".join(lines), space)
    return space["weighted_step"]


right("weighted_step")(_step())
wrong("weighted_step", "not weighted")(_step(loss="F.cross_entropy(model(images), labels)"))
wrong("weighted_step", "weights are the counts")(_step(weight="counts.float()"))
wrong("weighted_step", "weights are the counts")(_step(weight="counts / counts.sum()"))
wrong("weighted_step", "in this batch")(
    _step(weight="1 / torch.bincount(labels, minlength=len(counts)).clamp(min=1)")
)
wrong("weighted_step", "root of the counts")(_step(weight="counts.float().rsqrt()"))
wrong("weighted_step", "divide by the sum of their weights")(
    _step(loss="(weight[labels] * F.cross_entropy(model(images), labels, reduction='none')).mean()")
)
wrong("weighted_step", "summed")(
    _step(loss="F.cross_entropy(model(images), labels, weight=weight, reduction='sum')")
)
wrong("weighted_step", "zero_grad|earlier batch")(_step(clear="pass"))
wrong("weighted_step", "between backward and step|nothing to go by|as they were")(
    _step(clear="pass", back="loss.backward(); model.zero_grad(set_to_none=False)")
)
wrong("weighted_step", "softmax before")(
    _step(loss="F.cross_entropy(model(images).softmax(1), labels, weight=weight)")
)
wrong("weighted_step", "up the slope")(_step(move="p += lr * p.grad"))
wrong("weighted_step", "learning rate is not used")(_step(move="p -= p.grad"))
wrong("weighted_step", "in place|Nothing moves")(_step(move="p = p - lr * p.grad"))
wrong("weighted_step", "NoneType|backward")(_step(back="pass"))
wrong("weighted_step", "loss is not returned|returns nothing|return loss")(_step(end="pass"))
wrong("weighted_step", "loss after it")(
    _step(end="return F.cross_entropy(model(images), labels, weight=weight).item()")
)
wrong("weighted_step", "one minus the share")(_step(weight="1 - counts / counts.sum()"))
wrong("weighted_step", "in place|no_grad")(
    lambda model, images, labels, counts, lr: [
        F.cross_entropy(model(images), labels, weight=1 / counts).backward(),
        [p.sub_(lr * p.grad) for p in model.parameters()],
    ]
)
wrong("weighted_step", "only biases|biases")(_step(which="[p for p in model.parameters() if p.ndim > 1]"))
wrong("weighted_step", "without weights")(_step(end="return F.cross_entropy(model(images), labels).item()"))
wrong("weighted_step", "softmax")(_step(weight="(counts.sum() / (len(counts) * counts)).softmax(0)"))
wrong("weighted_step", "frequent classes then count even more")(
    _step(
        loss="(F.cross_entropy(model(images), labels, reduction='none') / weight[labels]).sum() / (1 / weight[labels]).sum()"
    )
)
wrong("weighted_step", "number of images")(_step(end="return loss.item() * len(images)"))
wrong("weighted_step", "returned loss is the one without weights|without weights")(
    _step(end="return plain.item()", back="plain = F.cross_entropy(model(images), labels); loss.backward()")
)


# forward_matrix ---------------------------------------------------------------------------------------------


@right("forward_matrix")
def matrix_five(size, flip, degrees, right, down):
    c = (size - 1) / 2
    a = math.radians(degrees)

    def shift(x, y):
        return torch.tensor([[1, 0, x], [0, 1, y], [0, 0, 1]], dtype=torch.float64)

    mirror = torch.diag(torch.tensor([-1.0 if flip else 1.0, 1.0, 1.0], dtype=torch.float64))
    turn = torch.tensor(
        [[math.cos(a), math.sin(a), 0], [-math.sin(a), math.cos(a), 0], [0, 0, 1]], dtype=torch.float64
    )
    return shift(right, down) @ shift(c, c) @ turn @ mirror @ shift(-c, -c)


@right("forward_matrix")
def matrix_direct(size, flip, degrees, right, down):
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    f = -1 if flip else 1
    m = (size - 1) / 2
    linear = np.array([[f * c, s], [-f * s, c]])
    offset = np.array([m + right, m + down]) - linear @ np.array([m, m])
    return np.vstack([np.column_stack([linear, offset]), [0, 0, 1]])


@right("forward_matrix")
def matrix_list(size, flip, degrees, right, down):
    def mul(a, b):
        return [[sum(a[i][k] * b[k][j] for k in range(3)) for j in range(3)] for i in range(3)]

    m = (size - 1) / 2
    result = [[1, 0, -m], [0, 1, -m], [0, 0, 1]]
    if flip:
        result = mul([[-1, 0, 0], [0, 1, 0], [0, 0, 1]], result)
    t = degrees / 180 * math.pi
    result = mul([[math.cos(t), math.sin(t), 0], [-math.sin(t), math.cos(t), 0], [0, 0, 1]], result)
    return mul([[1, 0, m + right], [0, 1, m + down], [0, 0, 1]], result)


@right("forward_matrix")
def matrix_corner_flip(size, flip, degrees, right, down):
    M = torch.eye(3)
    if flip:
        M[0, 0], M[0, 2] = -1, size - 1
    theta = torch.deg2rad(torch.tensor(float(degrees)))
    c = (size - 1) / 2
    R = torch.eye(3)
    R[0, 0] = R[1, 1] = theta.cos()
    R[0, 1], R[1, 0] = theta.sin(), -theta.sin()
    R[0, 2] = c - c * theta.cos() - c * theta.sin()
    R[1, 2] = c + c * theta.sin() - c * theta.cos()
    T = torch.eye(3)
    T[:2, 2] = torch.tensor([right, down], dtype=torch.float32)
    return T @ R @ M


def _matrix(product, centre="(size - 1) / 2", angle="math.radians(degrees)", turn="[[c, s, 0], [-s, c, 0], [0, 0, 1]]",
            mirror="[[-1 if flip else 1, 0, 0], [0, 1, 0], [0, 0, 1]]", shift="[[1, 0, right], [0, 1, down], [0, 0, 1]]", end="M"):  # fmt: skip
    def forward_matrix(size, flip, degrees, right, down):
        space = {
            "math": math,
            "np": np,
            "size": size,
            "flip": flip,
            "degrees": degrees,
            "right": right,
            "down": down,
        }
        lines = [
            f"m = {centre}", f"a = {angle}", "c, s = math.cos(a), math.sin(a)", f"R = np.array({turn})",
            f"F = np.array({mirror})", f"T = np.array({shift})", "A = np.array([[1, 0, -m], [0, 1, -m], [0, 0, 1]])",
            "B = np.array([[1, 0, m], [0, 1, m], [0, 0, 1]])", f"M = {product}", f"M = {end}",
        ]  # fmt: skip
        exec("\n".join(lines), space)
        return space["M"]

    return forward_matrix


right("forward_matrix")(_matrix("T @ B @ R @ F @ A"))
wrong("forward_matrix", "clockwise")(_matrix("T @ B @ R @ F @ A", turn="[[c, -s, 0], [s, c, 0], [0, 0, 1]]"))
wrong("forward_matrix", "radians")(_matrix("T @ B @ R @ F @ A", angle="degrees"))
wrong("forward_matrix", "about the corner")(_matrix("T @ R @ F"))
wrong("forward_matrix", "size / 2")(_matrix("T @ B @ R @ F @ A", centre="size / 2"))
wrong("forward_matrix", "whole pixel")(_matrix("T @ B @ R @ F @ A", centre="(size - 1) // 2"))
wrong("forward_matrix", "turned first")(_matrix("T @ B @ F @ R @ A"))
wrong("forward_matrix", "order is reversed|move last")(_matrix("B @ F @ R @ A @ T"))
wrong("forward_matrix", "before it is turned")(_matrix("B @ R @ A @ T @ B @ F @ A"))
wrong("forward_matrix", "top and bottom")(
    _matrix("T @ B @ R @ F @ A", mirror="[[1, 0, 0], [0, -1 if flip else 1, 0], [0, 0, 1]]")
)
wrong("forward_matrix", "mirroring is missing")(_matrix("T @ B @ R @ A"))
wrong("forward_matrix", "when flip is False as well")(
    _matrix("T @ B @ R @ F @ A", mirror="[[-1, 0, 0], [0, 1, 0], [0, 0, 1]]")
)
wrong("forward_matrix", "exchanged")(
    _matrix("T @ B @ R @ F @ A", shift="[[1, 0, down], [0, 1, right], [0, 0, 1]]")
)
wrong("forward_matrix", "up instead of down")(
    _matrix("T @ B @ R @ F @ A", shift="[[1, 0, right], [0, 1, -down], [0, 0, 1]]")
)
wrong("forward_matrix", "inverse")(_matrix("T @ B @ R @ F @ A", end="np.linalg.inv(M)"))
wrong("forward_matrix", "transposed|last column")(_matrix("T @ B @ R @ F @ A", end="M.T"))
wrong("forward_matrix", "last row")(_matrix("T @ B @ R @ F @ A", end="M[:2]"))
wrong("forward_matrix", "other way round")(_matrix("T @ A @ R @ F @ B"))
wrong("forward_matrix", "shift is missing")(_matrix("B @ R @ F @ A"))
wrong("forward_matrix", "mirrored about the corner")(_matrix("T @ B @ R @ A @ F"))
wrong("forward_matrix", "batch of one")(_matrix("T @ B @ R @ F @ A", end="M[None]"))
wrong("forward_matrix", "clockwise.*And.*radians|radians.*And.*clockwise")(
    _matrix("T @ B @ R @ F @ A", turn="[[c, -s, 0], [s, c, 0], [0, 0, 1]]", angle="degrees")
)
wrong("forward_matrix", "whole numbers")(_matrix("T @ B @ R @ F @ A", end="M.astype(int)"))


# RandomErase ------------------------------------------------------------------------------------------------


def _erase(*forward, start=("self.p, self.side = probability, side",), arguments="probability, side"):
    """Return the class of these lines, as somebody types it."""
    space = {"nn": nn, "F": F, "torch": torch, "random": random, "np": np}
    lines = [
        "class RandomErase(nn.Module):", f"    def __init__(self, {arguments}):", "        super().__init__()",
        *("        " + line for line in start), "    def forward(self, x):", *("        " + line for line in forward),
    ]  # fmt: skip
    exec("\n".join(lines), space)
    return space["RandomErase"]


EVAL = ("if not self.training:", "    return x")
SIZES = "B, C, H, W = x.shape"


def _loop(lot="torch.rand(()) < self.p", top="torch.randint(0, H - self.side + 1, ())", left="torch.randint(0, W - self.side + 1, ())",
          put="x[i, :, t : t + self.side, l : l + self.side] = 0", copied="x = x.clone()", off=EVAL, end="return x", before="pass"):  # fmt: skip
    return _erase(
        *off, SIZES, copied, before, "for i in range(B):", f"    if {lot}:", f"        t, l = {top}, {left}", f"        {put}", end
    )  # fmt: skip


right("RandomErase")(_loop())
right("RandomErase")(
    _loop(
        lot="random.random() < self.p",
        top="random.randint(0, H - self.side)",
        left="random.randrange(W - self.side + 1)",
    )
)
right("RandomErase")(
    _erase(
        "if self.training:",
        "    " + SIZES,
        "    top = torch.randint(H - self.side + 1, (B, 1, 1, 1))",
        "    left = torch.randint(W - self.side + 1, (B, 1, 1, 1))",
        "    rows = torch.arange(H).view(1, 1, H, 1)",
        "    cols = torch.arange(W).view(1, 1, 1, W)",
        "    inside = (rows >= top) & (rows < top + self.side) & (cols >= left) & (cols < left + self.side)",
        "    chosen = torch.rand(B, 1, 1, 1) < self.p",
        "    x = x.masked_fill(inside & chosen, 0.0)",
        "return x",
    )
)
right("RandomErase")(
    _erase(
        *EVAL, SIZES, "mask = torch.ones(B, 1, H, W)", "for m in mask:",
        "    if torch.bernoulli(torch.tensor(self.p)):",
        "        t = int(torch.rand(1) * (H - self.side + 1))",
        "        l = int(torch.rand(1) * (W - self.side + 1))",
        "        m[:, t : t + self.side, l : l + self.side] = 0", "return x * mask",
    )
)  # fmt: skip

wrong("RandomErase", "evaluation mode")(_loop(off=("pass",)))
wrong("RandomErase", "changes its input")(_loop(copied="pass"))
wrong("RandomErase", "probability of erasing")(_loop(lot="torch.rand(()) > self.p"))
wrong("RandomErase", "in every image")(_loop(lot="True"))
wrong("RandomErase", "far edge|randint")(
    _loop(top="torch.randint(0, H - self.side, ())", left="torch.randint(0, W - self.side, ())")
)
wrong("RandomErase", "cut off at the edge")(
    _loop(top="torch.randint(0, H, ())", left="torch.randint(0, W, ())")
)
wrong("RandomErase", "same place")(
    _loop(
        before="T, L = torch.randint(0, H - self.side + 1, ()), torch.randint(0, W - self.side + 1, ())",
        top="T",
        left="L",
    )
)
wrong("RandomErase", "not one for the batch")(_loop(before="lot = torch.rand(()) < self.p", lot="lot"))
wrong("RandomErase", "single pixels|does not erase a square")(
    _erase(*EVAL, "return x * (torch.rand_like(x[:, :1]) > self.p).float()")
)
wrong("RandomErase", "dropout")(_erase(*EVAL, "return F.dropout(x, self.p)"))
wrong("RandomErase", "one channel")(_loop(put="x[i, 0, t : t + self.side, l : l + self.side] = 0"))
wrong("RandomErase", "band")(_loop(put="x[i, :, t : t + self.side] = 0"))
wrong("RandomErase", "expected 3 by 3")(
    _loop(put="x[i, :, t : t + self.side - 1, l : l + self.side - 1] = 0")
)
wrong("RandomErase", "0 is asked for")(_loop(put="x[i, :, t : t + self.side, l : l + self.side] = 1"))
wrong("RandomErase", "erases nothing")(_loop(put="y = x[i, :, t : t + self.side, l : l + self.side] * 0"))
wrong("RandomErase", "returns None")(_loop(end="pass"))
wrong("RandomErase", "erases at|left|cut off|far edge")(
    _loop(top="torch.randint(0, W - self.side + 1, ())", left="torch.randint(0, H - self.side + 1, ())")
)
wrong("RandomErase", "diagonal")(_loop(top="torch.randint(0, min(H, W) - self.side + 1, ())", left="t") if False else _erase(
    *EVAL, SIZES, "x = x.clone()", "for i in range(B):", "    if torch.rand(()) < self.p:",
    "        u = torch.rand(())", "        t, l = int(u * (H - self.side + 1)), int(u * (W - self.side + 1))",
    "        x[i, :, t : t + self.side, l : l + self.side] = 0", "return x",
))  # fmt: skip
wrong("RandomErase", "top = 0|at top")(_loop(top="0"))
right("RandomErase")(_loop(copied="x = x.detach().clone()"))
wrong("RandomErase", "whole images")(_loop(put="x[i] = 0"))
wrong("RandomErase", "same (squares|images) each time.*seed|same squares")(
    _erase(
        *EVAL, SIZES, "torch.manual_seed(0)", "x = x.clone()", "for i in range(B):", "    if torch.rand(()) < self.p:",
        "        t, l = torch.randint(0, H - self.side + 1, ()), torch.randint(0, W - self.side + 1, ())",
        "        x[i, :, t : t + self.side, l : l + self.side] = 0", "return x",
    )
)  # fmt: skip
wrong("RandomErase", "expected about")(_loop(lot="torch.rand(()) < self.p / 2"))
wrong("RandomErase", "expected|0 is asked")(
    _loop(put="x[i, :, t : t + self.side, l : l + self.side] = x[i].mean()")
)

wrong("RandomErase", "inside the loop")(
    _loop(put="x[i, :, t : t + self.side, l : l + self.side] = 0; return x")
)
wrong("RandomErase", "same images each time")(_loop(lot="i < self.p * B"))
wrong("RandomErase", "the other way round")(
    _loop(put="m = torch.zeros(H, W); m[t : t + self.side, l : l + self.side] = 1; x[i] *= m")
)
wrong("RandomErase", "all channels")(_loop(put="x[i, t : t + self.side, l : l + self.side] = 0"))
wrong("weighted_step", "times as long")(
    _step(
        weight="len(labels) / (len(counts) * counts)",
        loss="(weight[labels] * F.cross_entropy(model(images), labels, reduction='none')).mean()",
    )
)
wrong("weighted_step", "without weights")(
    _step(weight="1 / counts", loss="F.cross_entropy(model(images), labels) * weight[labels].mean()")
)
wrong("weighted_step", "whatever the size")(_step(move="p -= lr * p.grad.sign()"))
wrong("weighted_step", "multiply the logits")(
    _step(weight="1 / counts", loss="F.cross_entropy(model(images) * weight, labels)")
)
wrong("weighted_step", "weight for each class")(
    _step(loss="F.cross_entropy(model(images), labels, weight=weight[labels])")
)
wrong("standardise", "overwritten")(
    _std(
        FLOATS,
        "train = (train - train.mean()) / train.std()",
        "val = (val - train.mean()) / train.std()",
        "test = (test - train.mean()) / train.std()",
        "return train, val, test",
    )
)
wrong("standardise", "three splits' means")(
    _std(
        FLOATS,
        "m = (train.mean() + val.mean() + test.mean()) / 3",
        "s = (train.std() + val.std() + test.std()) / 3",
        OUT,
    )
)
wrong("soft_cross_entropy", "binary")(
    _soft(
        "-(targets * logits.softmax(1).log() + (1 - targets) * (1 - logits.softmax(1)).log()).sum(1).mean()"
    )
)
wrong("soft_cross_entropy", "matrix product")(_soft("-(targets @ logits.log_softmax(1).T).mean()"))
wrong("start_at_prior", "by itself")(_prior("bias.copy_((counts * weights).log())", share="0"))
wrong("start_at_prior", "added to the counts")(
    _prior("bias.copy_((counts + (0 if weights is None else weights)).log())")
)


# Tried by a second reader ------------------------------------------------------------------------------------

wrong("standardise", "brackets")(
    lambda train, val, test: [
        x.float() - train.float().mean() / train.float().std() for x in (train, val, test)
    ]
)
wrong("standardise", "bytes")(
    lambda train, val, test: [
        (x - train.float().mean().to(torch.uint8)).float() / train.float().std() for x in (train, val, test)
    ]
)


@right("standardise")
def standardise_batch_norm(train, val, test):
    mean, var = train.float().mean().view(1), train.float().var().view(1)
    return [F.batch_norm(x.float().unsqueeze(1), mean, var, eps=0.0).squeeze(1) for x in (train, val, test)]


right("soft_cross_entropy")(
    lambda logits, targets: -(targets.to(logits.dtype) @ logits.log_softmax(-1).T).diagonal().mean()
)
right("soft_cross_entropy")(lambda logits, targets: (logits.logsumexp(1) - (targets * logits).sum(1)).mean())
wrong("soft_cross_entropy", "to write it")(_soft("F.cross_entropy(logits, targets)"))
wrong("soft_cross_entropy", "to write it")(_soft("torch.nn.CrossEntropyLoss()(logits, targets)"))
wrong("soft_cross_entropy", "added to the share")(
    _soft("-(targets * (logits.softmax(1) + 1e-8).log()).sum(1).mean()")
)
wrong("soft_cross_entropy", "clamped")(
    _soft("-(targets * logits.softmax(1).clamp(min=1e-7).log()).sum(1).mean()")
)


@right("start_at_prior")
def prior_of_the_package(model, counts, weights=None):
    from fercourse.train import set_log_prior

    set_log_prior(model, (counts if weights is None else counts * weights).numpy())


@wrong("start_at_prior", "logarithm is missing")
def prior_of_greatest(model, counts, weights=None):
    size = counts if weights is None else counts * weights
    model.head[-1].bias.data.copy_(size / size.max())


wrong("start_at_prior", "log_softmax")(
    lambda model, counts, weights=None: model.head[-1].bias.data.copy_(F.log_softmax(counts.float(), 0))
)
wrong("weighted_step", "whole numbers")(_step(weight="(counts.sum() // counts).float()"))
wrong("weighted_step", "multiply the logits")(
    _step(loss="F.cross_entropy(model(images) * counts.sum() / (len(counts) * counts), labels)")
)
wrong("weighted_step", "weight decay")(_step(move="p -= lr * (p.grad + 0.01 * p)"))


def _turned_about(there, back, mirror=None, times=torch.matmul, half=None):
    """The matrix of five steps, with places for mistakes."""

    def forward_matrix(size, flip, degrees, right, down):
        c = (size - 1) / 2 if half is None else half(size)
        shift = lambda x, y: torch.tensor([[1.0, 0, x], [0, 1, y], [0, 0, 1]])
        cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
        turn = torch.tensor([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]])
        sign = torch.diag(torch.tensor([-1.0 if flip else 1.0, 1, 1]))
        parts = [shift(there * c, there * c), sign, turn, shift(back * c, back * c), shift(right, down)]
        if mirror:
            parts = [mirror(size) if flip else torch.eye(3), parts[0], *parts[2:]]
        whole = parts[0]
        for part in parts[1:]:
            whole = times(part, whole)
        return whole

    return forward_matrix


right("forward_matrix")(_turned_about(-1, 1))
wrong("forward_matrix", "never back")(_turned_about(-1, 0))
wrong("forward_matrix", "never moved to")(_turned_about(0, 1))
wrong("forward_matrix", "element by element")(_turned_about(-1, 1, times=torch.mul))
wrong("forward_matrix", "size // 2")(_turned_about(-1, 1, half=lambda size: size // 2))
wrong("forward_matrix", "size - 1 - x")(
    _turned_about(-1, 1, mirror=lambda size: torch.tensor([[-1.0, 0, size], [0, 1, 0], [0, 0, 1]]))
)


@wrong("forward_matrix", "units of grid_sample")
def matrix_of_grid_sample(size, flip, degrees, right, down):
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    f = -1 if flip else 1
    return torch.tensor([[f * cos, sin, 2 * right / size], [-f * sin, cos, 2 * down / size], [0, 0, 1]])


@wrong("RandomErase", "left out")
class EraseDropsOthers(nn.Module):
    def __init__(self, probability, side):
        super().__init__()
        self.probability, self.side = probability, side

    def forward(self, x):
        if not self.training:
            return x
        out = []
        for image in x.clone():
            if torch.rand(()) < self.probability:
                top = torch.randint(0, x.shape[2] - self.side + 1, ())
                left = torch.randint(0, x.shape[3] - self.side + 1, ())
                image[:, top : top + self.side, left : left + self.side] = 0
                out.append(image)
        return torch.stack(out)
