"""The loop that most FER repositories have, written down to be measured against. Nothing else uses it."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

# The augmentation of recipe paper1.
train_transform = transforms.Compose(
    [
        transforms.RandomHorizontalFlip(p=0.5),
        transforms.RandomApply(
            [transforms.RandomResizedCrop(48, scale=(0.5, 1.0), ratio=(3 / 4, 4 / 3))], p=0.5
        ),
        transforms.ToTensor(),
    ]
)
test_transform = transforms.ToTensor()


class FerDataset(Dataset):
    """Images, uint8 (N, 48, 48), and labels, int64 (N,), handed out one by one as PIL images, transformed."""

    def __init__(self, images: np.ndarray, labels: np.ndarray, transform) -> None:
        self.images, self.labels, self.transform = images, labels, transform

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int):
        image = Image.fromarray(self.images[index])
        return self.transform(image), int(self.labels[index])


def make_train_loader(images: np.ndarray, labels: np.ndarray, num_workers: int = 2) -> DataLoader:
    dataset = FerDataset(images, labels, train_transform)
    return DataLoader(dataset, batch_size=64, shuffle=True, num_workers=num_workers)


def make_test_loader(images: np.ndarray, labels: np.ndarray, num_workers: int = 2) -> DataLoader:
    dataset = FerDataset(images, labels, test_transform)
    return DataLoader(dataset, batch_size=64, num_workers=num_workers)


def make_optimizer(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.Adam(model.parameters(), lr=3e-4)


def train(model: nn.Module, loader, criterion, optimizer, device) -> tuple[float, float]:
    """Train on what the loader gives, once; return mean loss and accuracy."""
    model.train()
    total_loss, hits, count = 0.0, 0, 0
    for images, labels in loader:
        images, labels = images.to(device), labels.to(device)
        optimizer.zero_grad()
        logits = model(images)
        loss = criterion(logits, labels)
        loss.backward()
        optimizer.step()
        total_loss += loss.item() * len(labels)
        hits += (logits.argmax(1) == labels).sum().item()
        count += len(labels)
    return total_loss / count, hits / count


def evaluate(model: nn.Module, loader, criterion, device) -> tuple[float, float]:
    """Return mean loss and accuracy over what the loader gives."""
    model.eval()
    total_loss, hits, count = 0.0, 0, 0
    with torch.no_grad():
        for images, labels in loader:
            images, labels = images.to(device), labels.to(device)
            logits = model(images)
            total_loss += criterion(logits, labels).item() * len(labels)
            hits += (logits.argmax(1) == labels).sum().item()
            count += len(labels)
    return total_loss / count, hits / count
