"""Answers to the exercises of chapter 13, The clinic."""

# ruff: noqa
# mypy: ignore-errors

import copy
import random
import re
from collections import Counter, defaultdict
from functools import partial
from pathlib import Path

import numpy as np
import sklearn.metrics
import torch
from sklearn.model_selection import train_test_split
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from answers import Answers, written_function, written_module
from fercourse.data import EMOTIONS

ANSWERS = Answers()
right, wrong = ANSWERS.is_right, ANSWERS.is_wrong

SPACE = dict(np=np, torch=torch, nn=nn, F=F, copy=copy, random=random, re=re, Counter=Counter, defaultdict=defaultdict,
             Path=Path, metrics=sklearn.metrics, train_test_split=train_test_split, DataLoader=DataLoader,
             TensorDataset=TensorDataset, EMOTIONS=EMOTIONS)  # fmt: skip
_function, _module = partial(written_function, SPACE), partial(written_module, SPACE)

# diagnose ---------------------------------------------------------------------------------------------------

ALL = {
    "A": ("micro-F1", 2),
    "B": ("alphabetical class order", 4),
    "C": ("val and test swapped", 1),
    "D": ("last batch dropped", 3),
    "E": ("pixels scaled twice", 4),
    "F": ("random flip at evaluation", 3),
    "G": ("model chosen on test", 1),
    "H": ("leaked duplicates", 2),
}


def told(**changes):
    table = {**ALL, **changes}
    table = {key: value for key, value in table.items() if value is not None}
    return lambda patient: table[patient]


right("diagnose")(told())


@right("diagnose")
def diagnose(patient):
    names = {
        "A": "Micro-F1 ",
        "B": "alphabetical  class order",
        "C": "Val and test swapped",
        "D": "last batch dropped",
    }
    names |= {"E": "pixels scaled twice", "F": "random flip at evaluation", "G": "model chosen on test"}
    return [names.get(patient, "leaked duplicates"), "24134312"["ABCDEFGH".index(patient)]]


@right("diagnose")
def diagnose(patient):
    if patient == "A":
        return "micro-F1", 2.0
    if patient == "B":
        return "alphabetical class order", np.int64(4)
    return ALL[patient]


wrong("diagnose", r"Patient A.*(micro|equal|agree)")(told(A=("model chosen on test", 2)))
wrong("diagnose", "spread alike")(told(B=("labels out of step", 4)))
wrong("diagnose", "bear the name")(told(C=("model chosen on test", 2)))
wrong("diagnose", "would still be counted once")(told(D=("model left in train mode", 1)))
wrong("diagnose", "pixels would look")(told(E=("labels out of step", 2)))
wrong("diagnose", "symmetrical faces")(told(F=("model left in train mode", 2)))
wrong("diagnose", "only the kept one is above")(told(G=("leaked duplicates", 2)))
wrong("diagnose", "a point or two, not tens")(told(H=("model chosen on test", 1)))
wrong("diagnose", "Patient C.*would show in this")(told(C=("softmax before the loss", 2)))
wrong("diagnose", "finding 1 .*does not decide.*labels out of step")(told(E=("pixels scaled twice", 1)))
wrong("diagnose", "finding 2 .*does not decide.*train mode")(told(F=("random flip at evaluation", 2)))
wrong("diagnose", "finding 1 .*does not decide.*train mode")(told(D=("last batch dropped", 1)))
wrong("diagnose", "finding 3 .*does not decide.*luck")(told(C=("val and test swapped", 3)))
wrong("diagnose", "no diagnosis of patient H")(told(H=None))
wrong("diagnose", "among the twelve")(told(A=("micro F1", 2)))
wrong("diagnose", "among the twelve")(told(B=("class order", 2)))
wrong("diagnose", "swapped: first the mistake")(lambda p: ALL[p][::-1])
wrong("diagnose", "returns one text")(lambda p: ALL[p][0])
wrong("diagnose", "from 1 to 4")(told(A=("micro-F1", 0)))
wrong("diagnose", "from 1 to 4")(told(A=("micro-F1", "the second")))
wrong("diagnose", "same diagnosis")(lambda p: ("micro-F1", 2))
wrong("diagnose", "return diagnoses")(ALL)
wrong("diagnose", "None")(lambda p: print(ALL[p]))
wrong("diagnose", "one argument")(lambda: ALL)
wrong("diagnose", "dictionary")(lambda p: ALL)
wrong("diagnose", "two values")(lambda p: (ALL[p][0], ALL[p][1], "because"))

# macro_f1 ---------------------------------------------------------------------------------------------------


def f1(*lines):
    return _function("macro_f1(labels, preds)", *lines)


right("macro_f1")(f1("return metrics.f1_score(labels, preds, average='macro', zero_division=0)"))
right("macro_f1")(
    f1(
        "classes = sorted(set(labels.tolist()) | set(preds.tolist()))",
        "out = []",
        "for c in classes:",
        "    tp = sum(1 for l, p in zip(labels, preds) if l == c and p == c)",
        "    fp = sum(1 for l, p in zip(labels, preds) if l != c and p == c)",
        "    fn = sum(1 for l, p in zip(labels, preds) if l == c and p != c)",
        "    precision = tp / (tp + fp) if tp + fp else 0",
        "    recall = tp / (tp + fn) if tp + fn else 0",
        "    out.append(2 * precision * recall / (precision + recall) if precision + recall else 0)",
        "return sum(out) / len(out)",
    )
)
right("macro_f1")(
    f1(
        "m = torch.zeros(7, 7)",
        "for l, p in zip(labels, preds): m[l, p] += 1",
        "below = m.sum(0) + m.sum(1)",
        "return (2 * m.diag() / below)[below > 0].mean()",
    )
)
right("macro_f1")(
    f1(
        "n, m = np.bincount(labels, minlength=7), np.bincount(preds, minlength=7)",
        "h = np.bincount(labels[labels == preds], minlength=7)",
        "seen = (n + m) > 0",
        "return np.mean(2 * h[seen] / (n + m)[seen])",
    )
)
M = ["m = metrics.confusion_matrix(labels, preds, labels=range(7)).astype(float)", "h, n, k = np.diag(m), m.sum(1), m.sum(0)"]  # fmt: skip
wrong("macro_f1", "accuracy")(f1("return metrics.f1_score(labels, preds, average='micro')"))
wrong("macro_f1", "accuracy")(f1("return (labels == preds).mean()"))
wrong("macro_f1", "weighted by how many")(f1("return metrics.f1_score(labels, preds, average='weighted')"))
wrong("macro_f1", "always over seven")(
    f1("return metrics.f1_score(labels, preds, average='macro', labels=range(7), zero_division=0)")
)
wrong("macro_f1", "left out")(f1("return metrics.f1_score(labels, preds, average='macro', labels=np.unique(labels))"))  # fmt: skip
wrong("macro_f1", "never predicted has an F1 of 0")(
    f1("return metrics.f1_score(labels, preds, average='macro', labels=np.unique(preds))")
)
wrong("macro_f1", "balanced accuracy")(f1("return metrics.recall_score(labels, preds, average='macro', zero_division=0)"))  # fmt: skip
wrong("macro_f1", "balanced accuracy")(f1("return metrics.balanced_accuracy_score(labels, preds)"))
wrong("macro_f1", "mean precision")(f1("return metrics.precision_score(labels, preds, average='macro', zero_division=0)"))  # fmt: skip
wrong("macro_f1", "mean precision and the mean recall")(
    f1(
        "p = metrics.precision_score(labels, preds, average='macro', zero_division=0)",
        "r = metrics.recall_score(labels, preds, average='macro', zero_division=0)",
        "return 2 * p * r / (p + r) if p + r else 0.0",
    )
)
wrong("macro_f1", "NaN")(f1(*M, "return (2 * h / (n + k)).mean()"))
wrong("macro_f1", "NaN")(f1(*M, "p, r = h / k, h / n", "return (2 * p * r / (p + r)).mean()"))
wrong("macro_f1", "skipped|left out")(f1(*M, "p, r = h / k, h / n", "return np.nanmean(2 * p * r / (p + r))"))
wrong("macro_f1", "F1 of each class")(f1("return metrics.f1_score(labels, preds, average=None)"))
wrong("macro_f1", "Jaccard")(
    f1("return metrics.jaccard_score(labels, preds, average='macro', zero_division=0)")
)
wrong("macro_f1", "factor 2")(f1(*M, "s = (n + k) > 0", "return (h[s] / (n + k)[s]).mean()"))
wrong("macro_f1", "per cent")(f1("return 100 * metrics.f1_score(labels, preds, average='macro')"))
wrong("macro_f1", "added up")(f1("return sum(metrics.f1_score(labels, preds, average=None))"))
wrong("macro_f1", "median")(f1("return np.median(metrics.f1_score(labels, preds, average=None))"))
wrong("macro_f1", "plain mean")(
    f1(
        *M,
        "s = (n + k) > 0",
        "p, r = h / np.maximum(k, 1), h / np.maximum(n, 1)",
        "return ((p + r) / 2)[s].mean()",
    )
)
wrong("macro_f1", "multiclass|binary|average")(f1("return metrics.f1_score(labels, preds)"))
wrong("macro_f1", "None|return")(f1("print(metrics.f1_score(labels, preds, average='macro'))"))
wrong("macro_f1", "rounded")(f1("return round(metrics.f1_score(labels, preds, average='macro'), 2)"))
wrong("macro_f1", "labelled and predicted")(
    f1("both = np.intersect1d(labels, preds)", "if not len(both): return 0.0",
       "return metrics.f1_score(labels, preds, average='macro', labels=both)")
)  # fmt: skip

# to_emotions ------------------------------------------------------------------------------------------------


def emotions(*lines):
    return _function("to_emotions(labels, folders)", *lines)


right("to_emotions")(emotions("return np.array([EMOTIONS.index(folders[k]) for k in labels], dtype=int)"))
right("to_emotions")(emotions("return [EMOTIONS.index(folders[k]) for k in labels]"))
right("to_emotions")(
    emotions(
        "result = np.empty_like(labels)",
        "for k, name in enumerate(folders):",
        "    result[labels == k] = EMOTIONS.index(name)",
        "return result",
    )
)
right("to_emotions")(
    emotions(
        "where = {name: place for place, name in enumerate(EMOTIONS)}",
        "table = torch.tensor([where[name] for name in folders])",
        "return table[torch.as_tensor(labels)]",
    )
)
right("to_emotions")(emotions("return list(map(lambda k: list(EMOTIONS).index(folders[int(k)]), labels))"))
wrong("to_emotions", "as they went in")(emotions("return labels"))
wrong("to_emotions", "taken for granted")(emotions("return np.array([0, 1, 2, 3, 6, 4, 5])[labels]"))
wrong("to_emotions", "taken for granted|way back")(
    emotions(
        "order = sorted(EMOTIONS)", "return np.array([EMOTIONS.index(order[k]) for k in labels], dtype=int)"
    )
)
wrong("to_emotions", "are sorted first")(
    emotions(
        "folders = sorted(folders)",
        "return np.array([EMOTIONS.index(folders[k]) for k in labels], dtype=int)",
    )
)
wrong("to_emotions", "way back|out of range|not in list|bounds")(
    emotions("return np.array([folders.index(EMOTIONS[k]) for k in labels], dtype=int)")
)
wrong("to_emotions", "way back")(
    emotions("return np.argsort([EMOTIONS.index(name) for name in folders])[labels]")
)
wrong("to_emotions", "replaced again")(
    emotions(
        "result = labels.copy()",
        "for k, name in enumerate(folders):",
        "    result[result == k] = EMOTIONS.index(name)",
        "return result",
    )
)
wrong("to_emotions", "changes its argument")(
    emotions(
        "for k, name in enumerate(folders):",
        "    labels[labels == k] = EMOTIONS.index(name)",
        "return labels",
    )
)
wrong("to_emotions", "names")(emotions("return np.array([folders[k] for k in labels])"))
wrong("to_emotions", "names|text|string")(emotions("return [folders[k] for k in labels]"))
wrong("to_emotions", "Two classes are exchanged")(
    emotions("return np.where(labels == 4, 6, np.where(labels == 6, 4, labels))")
)
wrong("to_emotions", "apply it")(emotions("return np.array([EMOTIONS.index(name) for name in folders])"))
wrong("to_emotions", "one-hot")(emotions("return np.eye(7)[[EMOTIONS.index(folders[k]) for k in labels]]"))
wrong("to_emotions", "sorted")(emotions("return np.sort([EMOTIONS.index(folders[k]) for k in labels])"))
wrong("to_emotions", "counted from 0")(
    emotions("return np.array([EMOTIONS.index(folders[k]) for k in labels]) + 1")
)
wrong("to_emotions", "return|None")(emotions("table = [EMOTIONS.index(name) for name in folders]"))
wrong("to_emotions", "alphabetical")(
    emotions("return np.array([sorted(EMOTIONS).index(folders[k]) for k in labels], dtype=int)")
)

right("to_emotions")(
    emotions(
        "places = {name: k for k, name in enumerate(EMOTIONS)}",
        "return np.vectorize(lambda k: places[folders[k]])(labels)",
    )
)

# splits -----------------------------------------------------------------------------------------------------


def parts(*lines):
    return _function("splits(paths)", *lines)


right("splits")(
    parts(
        "out = {'train': [], 'val': [], 'test': []}",
        "for path in paths:",
        "    name = path.rsplit('/', 1)[-1]",
        "    if name.startswith('Training'): out['train'].append(path)",
        "    elif name.startswith('PublicTest'): out['val'].append(path)",
        "    elif name.startswith('PrivateTest'): out['test'].append(path)",
        "return out",
    )
)
right("splits")(
    parts(
        "def of(word):",
        "    return [p for p in paths if Path(p).name.startswith(word + '_')]",
        "return dict(train=of('Training'), val=of('PublicTest'), test=of('PrivateTest'))",
    )
)
right("splits")(
    parts(
        "out = defaultdict(list, train=[], val=[], test=[])",
        "names = {'Training': 'train', 'PublicTest': 'val', 'PrivateTest': 'test'}",
        "for p in map(Path, paths):",
        "    found = re.match(r'(Training|PublicTest|PrivateTest)_\\d+', p.name)",
        "    if found: out[names[found[1]]].append(p)",
        "return out",
    )
)
START = ["out = {'train': [], 'val': [], 'test': []}", "for path in paths:", "    name = path.split('/')[-1]"]
wrong("splits", "swapped")(
    parts(
        *START,
        "    if name.startswith('Training'): out['train'].append(path)",
        "    elif name.startswith('PublicTest'): out['test'].append(path)",
        "    elif name.startswith('PrivateTest'): out['val'].append(path)",
        "return out",
    )
)
wrong("splits", "folder decides|only the file's name")(
    parts(
        *START,
        "    if '/train/' in path: out['train'].append(path)",
        "    elif '/test/' in path: out['test'].append(path)",
        "return out",
    )
)
wrong("splits", "whole path|misleading")(
    parts(
        *START,
        "    if 'Training' in path: out['train'].append(path)",
        "    elif 'PublicTest' in path: out['val'].append(path)",
        "    elif 'PrivateTest' in path: out['test'].append(path)",
        "return out",
    )
)
wrong("splits", "misleading|own name says|whole path")(
    parts(
        *START,
        "    if 'train' in path: out['train'].append(path)",
        "    elif 'Public' in path: out['val'].append(path)",
        "    else: out['test'].append(path)",
        "return out",
    )
)
wrong("splits", "no image|leave them out|leave it out")(
    parts(
        *START,
        "    if name.startswith('Training'): out['train'].append(path)",
        "    elif name.startswith('PublicTest'): out['val'].append(path)",
        "    else: out['test'].append(path)",
        "return out",
    )
)
wrong("splits", "halves")(
    parts(
        "train = [p for p in paths if '/train/' in p]",
        "held = [p for p in paths if '/test/' in p]",
        "return {'train': train, 'val': held[:len(held) // 2], 'test': held[len(held) // 2:]}",
    )
)
wrong("splits", "merged")(
    parts(
        *START,
        "    if name.startswith('Training'): out['train'].append(path)",
        "    elif 'Test_' in name: out['test'].append(path)",
        "return out",
    )
)
wrong("splits", "keys are the data set's")(
    parts(
        "out = {'Training': [], 'PublicTest': [], 'PrivateTest': []}",
        "for path in paths:",
        "    usage = path.split('/')[-1].split('_')[0]",
        "    if usage in out: out[usage].append(path)",
        "return out",
    )
)
wrong("splits", "key.*missing|all three")(
    parts(
        "out = {}",
        "roles = {'Training': 'train', 'PublicTest': 'val', 'PrivateTest': 'test'}",
        "for path in paths:",
        "    usage = path.split('/')[-1].split('_')[0]",
        "    if usage in roles: out.setdefault(roles[usage], []).append(path)",
        "return out",
    )
)
wrong("splits", "KeyError")(
    parts(
        *START,
        "    out[{'Training': 'train', 'PublicTest': 'val', 'PrivateTest': 'test'}[name.split('_')[0]]].append(path)",
        "return out",
    )
)
wrong("splits", "files' names")(
    parts(
        *START,
        "    if name.startswith('Training'): out['train'].append(name)",
        "    elif name.startswith('PublicTest'): out['val'].append(name)",
        "    elif name.startswith('PrivateTest'): out['test'].append(name)",
        "return out",
    )
)
GOOD = "return {s: [p for p in {0} if p.split('/')[-1].startswith(u + '_')] for s, u in (('train', 'Training'), ('val', 'PublicTest'), ('test', 'PrivateTest'))}"
wrong("splits", "sorted|order")(parts(GOOD.replace("{0}", "sorted(paths)")))
wrong("splits", "set has no order")(
    parts(
        "return {s: {p for p in paths if p.split('/')[-1].startswith(u)} for s, u in (('train', 'Training'), ('val', 'PublicTest'), ('test', 'PrivateTest'))}"
    )
)
wrong("splits", "counts")(
    parts(
        "return {s: sum(p.split('/')[-1].startswith(u) for p in paths) for s, u in (('train', 'Training'), ('val', 'PublicTest'), ('test', 'PrivateTest'))}"
    )
)
wrong("splits", "three lists")(
    parts(
        "return tuple([p for p in paths if p.split('/')[-1].startswith(u)] for u in ('Training', 'PublicTest', 'PrivateTest'))"
    )
)
wrong("splits", "looked up on the disk")(
    parts("return {'train': list(Path('archive/train').glob('*/*.jpg')), 'val': [], 'test': []}")
)
wrong("splits", "return|None")(parts(*START, "    out['train'].append(path)"))

wrong("splits", "anywhere in the file's own name")(
    parts(
        *START,
        "    if 'Training' in name: out['train'].append(path)",
        "    elif 'PublicTest' in name: out['val'].append(path)",
        "    elif 'PrivateTest' in name: out['test'].append(path)",
        "return out",
    )
)

# accuracy_of ------------------------------------------------------------------------------------------------


def measured(*lines):
    return _function("accuracy_of(model, images, labels, batch_size)", *lines)


right("accuracy_of")(
    measured(
        "mode = model.training",
        "model.eval()",
        "loader = DataLoader(TensorDataset(images, labels), batch_size=batch_size, shuffle=True)",
        "correct = total = 0",
        "with torch.inference_mode():",
        "    for x, y in loader:",
        "        correct += (model(x).argmax(-1) == y).sum()",
        "        total += len(y)",
        "model.train(mode)",
        "return correct / total",
    )
)
right("accuracy_of")(
    measured(
        "was = model.training",
        "try:",
        "    model.eval()",
        "    with torch.no_grad():",
        "        preds = torch.cat([model(x).argmax(1) for x in images.split(batch_size)])",
        "    return (preds == labels).float().mean().item()",
        "finally:",
        "    model.train(was)",
    )
)
right("accuracy_of")(
    measured(
        "was = model.training",
        "model.train(False)",
        "score, n = 0.0, len(images)",
        "for i in range(0, n, batch_size):",
        "    x, y = images[i:i + batch_size], labels[i:i + batch_size]",
        "    with torch.no_grad(): out = model(x)",
        "    score += (out.argmax(1) == y).double().mean() * len(y) / n",
        "if was: model.train()",
        "return np.float32(score)",
    )
)
E_ = ["was = model.training", "model.eval()"]
L_ = "loader = DataLoader(TensorDataset(images, labels), batch_size, {0})"
END = ["model.train(was)"]
wrong("accuracy_of", "dropped")(
    measured(*E_, L_.replace("{0}", "drop_last=True"), "c = n = 0", "with torch.no_grad():", "    for x, y in loader:",
             "        c += (model(x).argmax(1) == y).sum().item(); n += len(y)", *END, "return c / n")
)  # fmt: skip
wrong("accuracy_of", "dropped")(
    measured(*E_, "c = 0", "with torch.no_grad():", "    for i in range(len(images) // batch_size):",
             "        s = slice(i * batch_size, (i + 1) * batch_size)", "        c += (model(images[s]).argmax(1) == labels[s]).sum().item()", *END, "return c / len(images)")
)  # fmt: skip
MEANS = ["out = []", "with torch.no_grad():", "    for x, y in loader: out.append((model(x).argmax(1) == y).double().mean())"]  # fmt: skip
wrong("accuracy_of", "plain mean of the batches")(measured(*E_, L_.replace("{0}", ""), *MEANS, *END, "return torch.stack(out).mean()"))  # fmt: skip
wrong("accuracy_of", "plain mean of the batches|weighted by batch_size")(
    measured(
        *E_,
        L_.replace("{0}", ""),
        *MEANS,
        *END,
        "return sum(o * batch_size for o in out) / (batch_size * len(out))",
    )
)
wrong("accuracy_of", "batch_size.*own length|weighted by batch_size")(
    measured(
        *E_, L_.replace("{0}", ""), *MEANS, *END, "return sum(o * batch_size for o in out) / len(images)"
    )
)
wrong("accuracy_of", "batches times batch_size")(
    measured(
        *E_,
        L_.replace("{0}", ""),
        "c = 0",
        "with torch.no_grad():",
        "    for x, y in loader: c += (model(x).argmax(1) == y).sum().item()",
        *END,
        "return c / (len(loader) * batch_size)",
    )
)
wrong("accuracy_of", "train mode")(
    measured(
        L_.replace("{0}", ""),
        "c = 0",
        "with torch.no_grad():",
        "    for x, y in loader: c += (model(x).argmax(1) == y).sum().item()",
        "return c / len(images)",
    )
)
wrong("accuracy_of", "left in eval mode")(
    measured(
        "model.eval()",
        L_.replace("{0}", ""),
        "c = 0",
        "with torch.no_grad():",
        "    for x, y in loader: c += (model(x).argmax(1) == y).sum().item()",
        "return c / len(images)",
    )
)
wrong("accuracy_of", "left in train mode")(
    measured(
        "model.eval()",
        L_.replace("{0}", ""),
        "c = 0",
        "with torch.no_grad():",
        "    for x, y in loader: c += (model(x).argmax(1) == y).sum().item()",
        "model.train()",
        "return c / len(images)",
    )
)
wrong("accuracy_of", "Gradients are on")(
    measured(
        *E_,
        L_.replace("{0}", ""),
        "c = 0",
        "for x, y in loader: c += (model(x).argmax(1) == y).sum().item()",
        *END,
        "return c / len(images)",
    )
)
wrong("accuracy_of", "may not fit into memory")(
    measured(
        *E_,
        "with torch.no_grad(): out = model(images).argmax(1)",
        *END,
        "return (out == labels).float().mean().item()",
    )
)
wrong("accuracy_of", "filled up|count twice")(
    measured(*E_, "c = 0", "with torch.no_grad():", "    for i in range(0, len(images), batch_size):",
             "        s = torch.arange(i, i + batch_size) % len(images)", "        c += (model(images[s]).argmax(1) == labels[s]).sum().item()", *END, "return c / len(images)")
)  # fmt: skip
wrong("accuracy_of", "first batch")(
    measured(
        *E_,
        L_.replace("{0}", ""),
        "with torch.no_grad():",
        "    for x, y in loader:",
        "        acc = (model(x).argmax(1) == y).float().mean().item()",
        "        model.train(was)",
        "        return acc",
    )
)
wrong("accuracy_of", "last batch alone")(
    measured(
        *E_,
        L_.replace("{0}", ""),
        "with torch.no_grad():",
        "    for x, y in loader:",
        "        acc = (model(x).argmax(1) == y).float().mean().item()",
        "model.train(was)",
        "return acc",
    )
)
wrong("accuracy_of", "number of hits")(
    measured(
        *E_,
        L_.replace("{0}", ""),
        "c = 0",
        "with torch.no_grad():",
        "    for x, y in loader: c += (model(x).argmax(1) == y).sum().item()",
        *END,
        "return c",
    )
)
wrong("accuracy_of", "per cent")(
    measured(
        *E_,
        L_.replace("{0}", ""),
        "c = 0",
        "with torch.no_grad():",
        "    for x, y in loader: c += (model(x).argmax(1) == y).sum().item()",
        *END,
        "return 100 * c / len(images)",
    )
)
wrong("accuracy_of", "several values")(measured(*E_, L_.replace("{0}", ""), *MEANS, *END, "return out"))
wrong("accuracy_of", "rounded")(
    measured(
        *E_,
        L_.replace("{0}", ""),
        "c = 0",
        "with torch.no_grad():",
        "    for x, y in loader: c += (model(x).argmax(1) == y).sum().item()",
        *END,
        "return round(c / len(images), 2)",
    )
)
wrong("accuracy_of", "one image|batches")(
    measured(
        *E_,
        "with torch.no_grad(): c = sum((model(x).argmax() == y).item() for x, y in zip(images, labels))",
        *END,
        "return c / len(images)",
    )
)
wrong("accuracy_of", "no batch at all|never asked|dropped")(
    measured(
        *E_,
        "out = []",
        "with torch.no_grad():",
        "    for i in range(0, len(images) - batch_size + 1, batch_size): out.append((model(images[i:i + batch_size]).argmax(1) == labels[i:i + batch_size]).float())",
        *END,
        "return torch.cat(out).mean()",
    )
)

# InputLayer -------------------------------------------------------------------------------------------------

KEEP = ["self.mean, self.std = mean, std"]


def layer(*forward, start=KEEP):
    return _module("InputLayer", "mean, std", start, forward)


right("InputLayer")(
    layer(
        "scale = 1 / 255 if not x.is_floating_point() else 1.0",
        "return ((x.to(torch.float32) * scale - self.mean) / self.std)[:, None]",
    )
)
right("InputLayer")(
    layer(
        "if x.dtype is torch.uint8:",
        "    x = x.float().div(255)",
        "x = x.float().unsqueeze(1)",
        "return (x - self.mean) / self.std",
        start=[
            "self.register_buffer('mean', torch.tensor(mean))",
            "self.register_buffer('std', torch.tensor(std))",
        ],
    )
)


@right("InputLayer")
class Normalised(nn.Module):
    def __init__(self, mean, std):
        super().__init__()
        self.norm = nn.BatchNorm2d(1, eps=0, affine=False)
        self.norm.running_mean.fill_(mean)
        self.norm.running_var.fill_(std**2)

    def forward(self, images):
        divide = {torch.uint8: 255.0}.get(images.dtype, 1.0)
        return F.batch_norm(
            (images / divide).float()[:, None], self.norm.running_mean, self.norm.running_var, eps=0
        )


OUT = "return ((x - self.mean) / self.std).unsqueeze(1)"
wrong("InputLayer", "scaled twice|come scaled already")(layer("x = x.float() / 255", OUT))
wrong("InputLayer", "not divided by 255")(layer("x = x.float()", OUT))
wrong("InputLayer", "greatest value decides")(layer("x = x.float()", "if x.max() > 1: x = x / 255", OUT))
wrong("InputLayer", "greatest value decides")(
    layer("x = x.float()", "x = x / 255 if x.max() > 1.5 else x", OUT)
)
wrong("InputLayer", "mean of the pixels decides")(layer("x = x.float()", "if x.mean() > 1: x = x / 255", OUT))
wrong("InputLayer", "beside it|greatest value of the batch|not finite")(layer("x = x.float() / x.max()", OUT))
wrong("InputLayer", "wrong kind")(layer("x = x.float() if x.dtype == torch.uint8 else x / 255", OUT))
wrong("InputLayer", "not normalised")(layer("if x.dtype == torch.uint8: x = x / 255", "return x.float().unsqueeze(1)"))  # fmt: skip
BY = "if x.dtype == torch.uint8: x = x / 255"
wrong("InputLayer", "channel axis is missing")(layer(BY, "return ((x - self.mean) / self.std).float()"))
wrong("InputLayer", "channel axis stands last")(
    layer(BY, "return ((x - self.mean) / self.std).float().unsqueeze(-1)")
)
wrong("InputLayer", "axis stands first")(layer(BY, "return ((x - self.mean) / self.std).float()[None]"))
wrong("InputLayer", "float32")(layer(BY, OUT))
wrong("InputLayer", "multiplies by std")(
    layer(BY, "return ((x.float() - self.mean) * self.std).unsqueeze(1)")
)
wrong("InputLayer", "std is not used")(layer(BY, "return (x.float() - self.mean).unsqueeze(1)"))
wrong("InputLayer", "typed in")(layer(BY, "return ((x.float() - 0.5) / 0.5).unsqueeze(1)"))
wrong("InputLayer", "own mean and spread")(layer(BY, "x = x.float()", "return ((x - x.mean()) / x.std()).unsqueeze(1)"))  # fmt: skip
wrong("InputLayer", "by 255, not by 256")(
    layer("if x.dtype == torch.uint8: x = x / 256", "x = x.float()", OUT)
)
wrong("InputLayer", "divided by 255 twice")(layer(BY, "x = x.float() / 255", OUT))
wrong("InputLayer", "changes its argument|in place")(layer(BY, "x = x.float() if x.dtype != torch.float32 else x", "x -= self.mean", "x /= self.std", "return x.unsqueeze(1)"))  # fmt: skip
wrong("InputLayer", "in place")(layer("if x.dtype == torch.uint8: x /= 255", "x = x.float()", OUT))
wrong("InputLayer", "whole numbers|not divided|uint8")(layer("if x.dtype == torch.uint8: x = x // 255", "x = x.float()", OUT))  # fmt: skip
wrong("InputLayer", "floats come out as they went in")(layer("if x.dtype == torch.uint8: x = (x / 255 - self.mean) / self.std", "return x.float().unsqueeze(1)"))  # fmt: skip
wrong("InputLayer", "before dividing by 255")(layer("x = (x.float() - self.mean) / self.std if x.dtype != torch.uint8 else (x.float() - self.mean) / 255 / self.std", "return x.unsqueeze(1)"))  # fmt: skip
wrong("InputLayer", "exchanged")(layer(BY, "x = x.float()", "return ((x - self.std) / self.mean if self.mean else x / 0).unsqueeze(1)"))  # fmt: skip
wrong("InputLayer", "object")(Normalised(0.5, 0.5))
wrong("InputLayer", "mean")(layer(BY, "x = x.float()", OUT, start=["pass"]))

wrong("InputLayer", "brackets are missing")(
    layer(BY, "return (x.float() - self.mean / self.std).unsqueeze(1)")
)

# FlipInTraining ---------------------------------------------------------------------------------------------

NET = ["self.network = network"]


def flipper(*forward, start=NET):
    return _module("FlipInTraining", "network", start, forward)


right("FlipInTraining")(
    flipper(
        "if not self.training: return self.network(x)",
        "turned = x.clone()",
        "chosen = torch.rand(x.shape[0]) < 0.5",
        "turned[chosen] = x[chosen].flip(dims=(3,))",
        "return self.network(turned)",
    )
)
right("FlipInTraining")(
    flipper(
        "if self.training:",
        "    x = torch.stack([i.flip(-1) if random.random() < 0.5 else i for i in x])",
        "return self.net(x)",
        start=["self.net = network"],
    )
)
right("FlipInTraining")(
    flipper(
        "chosen = torch.randint(0, 2, (len(x), 1, 1, 1)).float() * self.training",
        "return self.body[0](torch.where(chosen.bool(), torch.fliplr(x.transpose(1, 3)).transpose(1, 3) if False else x.flip(3), x))",
        start=["self.body = nn.Sequential(network)"],
    )
)
COIN = "flip = torch.rand(len(x), 1, 1, 1) < 0.5"
TURN = "x = torch.where(flip, x.flip(-1), x)"
ASK = "return self.network(x)"
wrong("FlipInTraining", "still flips images: ask self.training")(flipper(COIN, TURN, ASK))
wrong("FlipInTraining", "sets the seed")(flipper("torch.manual_seed(0)", COIN, TURN, ASK))
wrong("FlipInTraining", "sets the seed")(
    flipper("if not self.training: torch.manual_seed(0)", COIN, TURN, ASK)
)
wrong("FlipInTraining", "average of random answers")(
    flipper(
        "def once(x):",
        "    flip = torch.rand(len(x), 1, 1, 1) < 0.5",
        "    return self.network(torch.where(flip, x.flip(-1), x))",
        "if self.training: return once(x)",
        "return torch.stack([once(x) for _ in range(10)]).mean(0)",
    )
)
wrong("FlipInTraining", "test-time augmentation")(
    flipper("if not self.training: return (self.network(x) + self.network(x.flip(-1))) / 2", COIN, TURN, ASK)
)
wrong("FlipInTraining", "every image is flipped, each time")(
    flipper(
        "if self.training:",
        "    flip = torch.rand(len(x), 1, 1, 1) < 0.5",
        "else:",
        "    flip = torch.ones(len(x), 1, 1, 1, dtype=bool)",
        TURN,
        ASK,
    )
)
wrong("FlipInTraining", "augmentation is gone")(flipper(ASK))
wrong("FlipInTraining", "gradients")(
    flipper("if torch.is_grad_enabled():", "    " + COIN, "    " + TURN, ASK)
)
wrong("FlipInTraining", "as a whole or not")(
    flipper("if self.training and torch.rand(()) < 0.5: x = x.flip(-1)", ASK)
)
wrong("FlipInTraining", "upside down")(flipper("if self.training:", "    " + COIN, "    x = torch.where(flip, x.flip(-2), x)", ASK))  # fmt: skip
wrong("FlipInTraining", "every image is flipped: each")(flipper("if self.training: x = x.flip(-1)", ASK))
wrong("FlipInTraining", "in place")(flipper("if self.training:", "    chosen = torch.rand(len(x)) < 0.5", "    x[chosen] = x[chosen].flip(-1)", ASK))  # fmt: skip
wrong(
    "FlipInTraining",
    "at random, now all|still flips images: ask self.training|nothing is flipped|back in eval",
)(flipper("if self.mode:", "    " + COIN, "    " + TURN, ASK, start=[*NET, "self.mode = self.training"]))
wrong("FlipInTraining", "augmentation is gone")(flipper("if not self.training:", "    " + COIN, "    x = torch.where(flip, x, x)", ASK))  # fmt: skip
wrong("FlipInTraining", "still flips images")(
    flipper("if not self.training:", "    " + COIN, "    " + TURN, ASK)
)
wrong("FlipInTraining", "not among the module's")(flipper("if self.training:", "    " + COIN, "    " + TURN, "return self.networks[0](x)", start=["self.networks = [network]"]))  # fmt: skip
wrong("FlipInTraining", "fixed seed|same places")(
    flipper(
        "if self.training:",
        "    g = torch.Generator().manual_seed(0)",
        "    flip = torch.rand(len(x), 1, 1, 1, generator=g) < 0.5",
        "    " + TURN,
        ASK,
    )
)
wrong("FlipInTraining", "25%|one half is asked|2.%")(flipper("if self.training:", "    flip = torch.rand(len(x), 1, 1, 1) < 0.25", "    " + TURN, ASK))  # fmt: skip
wrong("FlipInTraining", "no gradient")(flipper("if self.training:", "    " + COIN, "    " + TURN, "with torch.no_grad():", "    return self.network(x)"))  # fmt: skip
wrong("FlipInTraining", "None|return")(
    flipper("if self.training:", "    " + COIN, "    " + TURN, "self.network(x)")
)
wrong("FlipInTraining", "axis of the batch|otherwise than")(flipper("if self.training: x = x.flip(0)", ASK))
wrong("FlipInTraining", "mode is another")(flipper("self.eval()", ASK))
wrong("FlipInTraining", "changed")(flipper("if self.training:", "    " + COIN, "    " + TURN, "return self.network(x).softmax(1)"))  # fmt: skip

wrong("FlipInTraining", "exactly half")(
    flipper(
        "if self.training:",
        "    some, x = torch.randperm(len(x))[: len(x) // 2], x.clone()",
        "    x[some] = x[some].flip(-1)",
        "return self.network(x)",
    )
)
wrong("FlipInTraining", "transpose")(
    flipper(
        "if self.training: x = torch.where(torch.rand(len(x), 1, 1, 1) < 0.5, x.transpose(-1, -2), x)",
        "return self.network(x)",
    )
)

# fit --------------------------------------------------------------------------------------------------------


def fitted(*lines):
    return _function("fit(model, train_one_epoch, accuracy, epochs)", *lines)


right("fit")(
    fitted(
        "history, states = [], []",
        "for _ in range(epochs):",
        "    train_one_epoch(model)",
        "    history.append(accuracy(model, 'val'))",
        "    states.append(copy.deepcopy(model.state_dict()))",
        "best = int(np.argmax(history))",
        "model.load_state_dict(states[best])",
        "return best + 1, accuracy(model, 'test')",
    )
)
right("fit")(
    fitted(
        "best = None",
        "for epoch in range(epochs):",
        "    train_one_epoch(model)",
        "    val = accuracy(model, 'val')",
        "    if best is None or val > best[0]:",
        "        best = (val, epoch + 1)",
        "        torch.save(model.state_dict(), 'best.pt')",
        "model.load_state_dict(torch.load('best.pt'))",
        "return [best[1], accuracy(model, 'test')]",
    )
)
right("fit")(
    fitted(
        "top, at, kept = -float('inf'), 0, None",
        "for epoch in range(1, 1 + epochs):",
        "    train_one_epoch(model)",
        "    accuracy(model, 'train')",
        "    now = accuracy(model, 'val')",
        "    if now > top: top, at, kept = now, epoch, copy.deepcopy(model)",
        "model.load_state_dict(kept.state_dict())",
        "return torch.tensor(at), torch.tensor(accuracy(model, 'test'))",
    )
)


def loop(
    ask="val",
    compare=">",
    state="copy.deepcopy(model.state_dict())",
    start="-1.0",
    first="1",
    last="epochs + 1",
    end=(),
):
    return fitted(
        f"best, best_epoch, kept = {start}, 0, None",
        f"for epoch in range({first}, {last}):",
        "    train_one_epoch(model)",
        f"    share = accuracy(model, '{ask}')",
        f"    if share {compare} best: best, best_epoch, kept = share, epoch, {state}",
        *(end or ("model.load_state_dict(kept)", "return best_epoch, accuracy(model, 'test')")),
    )


right("fit")(loop())
wrong("fit", "chosen by test")(
    loop(ask="test", end=("model.load_state_dict(kept)", "return best_epoch, best"))
)
wrong("fit", "chosen by test|best on test")(loop(ask="test"))
wrong("fit", "chosen by train")(loop(ask="train"))
wrong("fit", "weights of the last epoch")(loop(state="model.state_dict()"))
wrong("fit", "weights of the last epoch")(loop(state="dict(model.state_dict())"))
wrong("fit", "weights of the last epoch")(loop(end=("return best_epoch, accuracy(model, 'test')",)))
wrong("fit", "later one is kept")(loop(compare=">="))
wrong("fit", "counted from 1")(loop(first="0", last="epochs"))
wrong("fit", "on val")(
    loop(end=("model.load_state_dict(kept)", "accuracy(model, 'test')", "return best_epoch, best"))
)
wrong("fit", "Test is never asked")(loop(end=("model.load_state_dict(kept)", "return best_epoch, best")))
wrong("fit", "no epoch was kept")(loop(start="0.0"))
wrong("fit", "lowest")(loop(compare="<", start="2.0"))
wrong("fit", "swapped")(
    loop(end=("model.load_state_dict(kept)", "return accuracy(model, 'test'), best_epoch"))
)
wrong("fit", "two values")(loop(end=("model.load_state_dict(kept)", "return accuracy(model, 'test')")))
wrong("fit", "last epoch")(fitted("for epoch in range(epochs): train_one_epoch(model)", "accuracy(model, 'val')", "return epochs, accuracy(model, 'test')"))  # fmt: skip
wrong("fit", "asked [0-9]+ times")(
    fitted(
        "best, e, kept, report = -1, 0, None, 0",
        "for epoch in range(1, epochs + 1):",
        "    train_one_epoch(model)",
        "    val, test = accuracy(model, 'val'), accuracy(model, 'test')",
        "    if val > best: best, e, kept, report = val, epoch, copy.deepcopy(model.state_dict()), test",
        "model.load_state_dict(kept)",
        "return e, report",
    )
)
wrong("fit", "left with the weights of epoch")(
    loop(state="copy.deepcopy(model)", end=("return best_epoch, accuracy(kept, 'test')",))
)
wrong("fit", "running statistics")(
    loop(
        state="[p.detach().clone() for p in model.parameters()]",
        end=(
            "with torch.no_grad():",
            "    for p, k in zip(model.parameters(), kept): p.copy_(k)",
            "return best_epoch, accuracy(model, 'test')",
        ),
    )
)
wrong("fit", "untrained model")(
    fitted(
        "best, e, kept = accuracy(model, 'val'), 0, copy.deepcopy(model.state_dict())",
        "for epoch in range(1, epochs + 1):",
        "    train_one_epoch(model)",
        "    share = accuracy(model, 'val')",
        "    if share > best: best, e, kept = share, epoch, copy.deepcopy(model.state_dict())",
        "model.load_state_dict(kept)",
        "return e, accuracy(model, 'test')",
    )
)
wrong("fit", "before the epoch's training")(
    fitted(
        "best, e, kept = -1, 0, None",
        "for epoch in range(1, epochs + 1):",
        "    share = accuracy(model, 'val')",
        "    if share > best: best, e, kept = share, epoch, copy.deepcopy(model.state_dict())",
        "    train_one_epoch(model)",
        "model.load_state_dict(kept)",
        "return e, accuracy(model, 'test')",
    )
)
wrong("fit", "0 of|of [0-9] epochs")(
    fitted("train_one_epoch(model)", "accuracy(model, 'val')", "return 1, accuracy(model, 'test')")
)
wrong("fit", "`break` stand|first epoch after which")(
    fitted(
        "best, e = -1, 0",
        "for epoch in range(1, epochs + 1):",
        "    train_one_epoch(model)",
        "    share = accuracy(model, 'val')",
        "    if share <= best: break",
        "    best, e, kept = share, epoch, copy.deepcopy(model.state_dict())",
        "model.load_state_dict(kept)",
        "return e, accuracy(model, 'test')",
    )
)
wrong("fit", "splits are called")(loop(ask="validation"))
wrong("fit", "None")(loop(end=("model.load_state_dict(kept)", "accuracy(model, 'test')")))
wrong("fit", "per cent")(
    loop(end=("model.load_state_dict(kept)", "return best_epoch, 100 * accuracy(model, 'test')"))
)

wrong("fit", "range\\(1, epochs\\)")(loop(last="epochs"))
wrong("fit", "begin below 0")(
    loop(
        start="0.0",
        end=("if kept: model.load_state_dict(kept)", "return best_epoch, accuracy(model, 'test')"),
    )
)
wrong("fit", "Nothing is trained")(
    fitted(
        "shares = [accuracy(model, 'val') for _ in range(epochs)]",
        "return int(np.argmax(shares)) + 1, accuracy(model, 'test')",
    )
)

# split_then_augment -----------------------------------------------------------------------------------------


def dealt(*lines):
    return _function("split_then_augment(images, labels, share, seed)", *lines)


@right("split_then_augment")
def split_then_augment(images, labels, share, seed):
    groups = defaultdict(list)
    for i, image in enumerate(images):
        groups[min(image.tobytes(), np.fliplr(image).tobytes())].append(i)
    keys = sorted(groups)
    random.Random(seed).shuffle(keys)
    cut = round(share * len(keys))
    test = [i for key in keys[:cut] for i in groups[key]]
    train = [i for key in keys[cut:] for i in groups[key]]
    x, y = [], []
    for i in train:
        x += [images[i], images[i][:, ::-1]]
        y += [labels[i], labels[i]]
    return np.array(x), np.array(y), images[test], labels[test]


@right("split_then_augment")
def split_then_augment(images, labels, share, seed):
    from sklearn.model_selection import GroupShuffleSplit

    both = [{i.tobytes(), i[:, ::-1].tobytes()} for i in images]
    number, group = {}, []
    for pair in both:
        group.append(number.setdefault(frozenset(pair), len(number)))
    cut = GroupShuffleSplit(1, test_size=share, random_state=seed)
    train, test = next(cut.split(images, labels, group))
    flipped = np.flip(images[train], axis=2)
    return (np.vstack([images[train], flipped]), np.hstack([labels[train]] * 2), images[test], labels[test])


@right("split_then_augment")
def split_then_augment(images, labels, share, seed):
    x, y = torch.as_tensor(images), torch.as_tensor(labels)
    n = len(x)
    same = (x[:, None] == x[None]).flatten(2).all(2) | (x[:, None] == x.flip(-1)[None]).flatten(2).all(2)
    first = same.int().argmax(1)
    heads = first.unique()
    heads = heads[torch.randperm(len(heads), generator=torch.Generator().manual_seed(seed))]
    chosen = heads[: int(share * len(heads)) or 1]
    test = torch.isin(first, chosen)
    return torch.cat([x[~test], x[~test].flip(-1)]), torch.cat([y[~test], y[~test]]), x[test], y[test]


@right("split_then_augment")
def split_then_augment(images, labels, share, seed):
    """Single images are dealt out, then whatever has a version in test goes over to test, up to the share."""
    rng = np.random.default_rng(seed)
    key = [max(i.tobytes(), i[:, ::-1].tobytes()) for i in images]
    inside, test = set(), []
    for i in rng.permutation(len(images)):
        if len([j for j in range(len(images)) if key[j] in inside]) < share * len(images):
            inside.add(key[i])
    test = [j for j in range(len(images)) if key[j] in inside]
    train = [j for j in range(len(images)) if key[j] not in inside]
    return (
        [im for j in train for im in (images[j], images[j][:, ::-1])],
        [labels[j] for j in train for _ in "ab"],
        [images[j] for j in test],
        [labels[j] for j in test],
    )


KEYS = "key = np.array([hash(min(i.tobytes(), i[:, ::-1].tobytes())) for i in images])"
DEAL = [
    "rng = np.random.default_rng({seed})",
    "names = rng.permutation(np.unique(key))",
    "test = np.isin(key, names[:max(1, round(share * len(names)))])",
]
DEALT = [line.replace("{seed}", "seed") for line in DEAL]
BOTH = (
    "x = np.concatenate([images[~test], images[~test][:, :, ::-1]]); y = np.concatenate([labels[~test]] * 2)"
)
GIVE = "return x, y, images[test], labels[test]"
right("split_then_augment")(dealt(KEYS, *DEALT, BOTH, GIVE))
SINGLE = ["order = np.random.default_rng(seed).permutation(len(images))", "test = np.isin(np.arange(len(images)), order[:round(share * len(images))])"]  # fmt: skip
wrong("split_then_augment", "augmented before it is split")(
    dealt(
        "x = np.concatenate([images, images[:, :, ::-1]])",
        "y = np.concatenate([labels, labels])",
        "a, b, c, d = train_test_split(x, y, test_size=share, random_state=seed)",
        "return a, c, b, d",
    )
)
wrong("split_then_augment", "Copies are torn apart")(dealt(*SINGLE, BOTH, GIVE))
wrong("split_then_augment", "Mirror images are torn apart")(
    dealt("key = np.array([hash(i.tobytes()) for i in images])", *DEALT, BOTH, GIVE)
)
wrong("split_then_augment", "not augmented")(dealt(KEYS, *DEALT, "x, y = images[~test], labels[~test]", GIVE))
wrong("split_then_augment", "Test is augmented too")(
    dealt(
        KEYS,
        *DEALT,
        BOTH,
        "return x, y, np.concatenate([images[test], images[test][:, :, ::-1]]), np.concatenate([labels[test]] * 2)",
    )
)
wrong("split_then_augment", "Images are lost|removed")(
    dealt(
        *SINGLE,
        KEYS,
        "keep = ~test & ~np.isin(key, key[test])",
        "x = np.concatenate([images[keep], images[keep][:, :, ::-1]]); y = np.concatenate([labels[keep]] * 2)",
        GIVE,
    )
)
wrong("split_then_augment", "lost|removed|missing")(
    dealt(
        KEYS,
        "_, first = np.unique(key, return_index=True)",
        "images, labels, key = images[first], labels[first], key[first]",
        *DEALT,
        BOTH,
        GIVE,
    )
)
wrong("split_then_augment", "torn apart|removed within train|augmented before")(
    dealt(*SINGLE, "train = np.flatnonzero(~test)", "_, first = np.unique([images[i].tobytes() for i in train], return_index=True)", "train = train[first]",
          "return np.concatenate([images[train], images[train][:, :, ::-1]]), np.concatenate([labels[train]] * 2), images[test], labels[test]")
)  # fmt: skip
wrong("split_then_augment", "removed within train")(
    dealt(KEYS, *DEALT, "train = np.flatnonzero(~test)", "_, first = np.unique(key[train], return_index=True)", "train = train[first]",
          "return np.concatenate([images[train], images[train][:, :, ::-1]]), np.concatenate([labels[train]] * 2), images[test], labels[test]")
)  # fmt: skip
wrong("split_then_augment", "seed")(dealt(KEYS, *[line.replace("{seed}", "0") for line in DEAL], BOTH, GIVE))
wrong("split_then_augment", "same seed")(
    dealt(KEYS, *[line.replace("{seed}", "") for line in DEAL], BOTH, GIVE)
)
wrong("split_then_augment", "order of train_test_split|images")(
    dealt(KEYS, *DEALT, BOTH, "return x, images[test], y, labels[test]")
)
wrong("split_then_augment", "labels of others")(
    dealt(KEYS, *DEALT, BOTH, "y = np.repeat(labels[~test], 2)", GIVE)
)
wrong("split_then_augment", "labels of others|in place")(
    dealt(KEYS, *DEALT, BOTH, "return x, y, images[test], np.sort(labels[test])[::-1]")
)
wrong("split_then_augment", "upside down")(
    dealt(
        KEYS,
        *DEALT,
        "x = np.concatenate([images[~test], images[~test][:, ::-1]]); y = np.concatenate([labels[~test]] * 2)",
        GIVE,
    )
)
wrong("split_then_augment", "about 25%|are asked for")(dealt(KEYS, *DEALT, "test = ~test", BOTH, GIVE))
wrong("split_then_augment", "two or three classes|seed")(
    dealt(
        KEYS,
        "names = list(dict.fromkeys(key.tolist()))[::-1]",
        "test = np.isin(key, names[:round(share * len(names))])",
        BOTH,
        GIVE,
    )
)
wrong("split_then_augment", "in place")(
    dealt(
        "rng = np.random.default_rng(seed)",
        "order = rng.permutation(len(images))",
        "images[:] = images[order]; labels[:] = labels[order]",
        KEYS,
        *DEALT,
        BOTH,
        GIVE,
    )
)
wrong("split_then_augment", "unhashable|bytes")(
    dealt(
        "groups = {}",
        "for i, image in enumerate(images): groups.setdefault(image, []).append(i)",
        "return groups",
    )
)
wrong("split_then_augment", "indices|shape")(dealt(KEYS, *DEALT, "return np.flatnonzero(~test), labels[~test], np.flatnonzero(test), labels[test]"))  # fmt: skip
wrong("split_then_augment", "changed|another kind")(dealt("images = images / 255", KEYS, *DEALT, BOTH, GIVE))
wrong("split_then_augment", "either the image or its mirror|mirror image")(
    dealt(KEYS, *DEALT, "x, y = images[~test].copy(), labels[~test]", "x[::2] = x[::2, :, ::-1]", GIVE)
)
