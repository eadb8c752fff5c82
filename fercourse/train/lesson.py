"""Knowledge distillation in a training step (Hinton, Vinyals & Dean, 2015).

The teachers see what the student sees, the same augmented picture in the same step: a teacher that is asked
once for each clean picture of the training set, which it knows by heart, has little more to say than the
label (Beyer et al., 2022).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fercourse.device import Precision
from fercourse.regularise import taught_loss


class Teachers(nn.Module):
    """One network or several, asked as one: the mean of their shares, softened by a temperature.

    Args:
        members: networks that map (B, 1, 48, 48) to (B, 7); they learn nothing any more.
        temperature: what the logits are divided by before the softmax, above 0.
    """

    def __init__(self, members: Sequence[nn.Module], temperature: float) -> None:
        super().__init__()
        self.members, self.temperature = nn.ModuleList(members), temperature
        self.eval().requires_grad_(requires_grad=False)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits, float32 (B, 7), whose softmax at the temperature is the mean of the members'."""
        softened = [(member(images).float() / self.temperature).log_softmax(1) for member in self.members]
        # In logarithms throughout: a share of nothing would be a logit of minus infinity.
        return self.temperature * (torch.stack(softened).logsumexp(0) - math.log(len(self.members)))

    def digest(self) -> str:
        """Return a SHA-256 (hex) of all weights: a training belongs to its teachers."""
        digest = hashlib.sha256()
        for name, tensor in self.state_dict().items():
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().data)
        return digest.hexdigest()


@dataclass(frozen=True)
class Lesson:
    """What a training step needs to be taught.

    Attributes:
        teachers: on the device, in the memory format of the training.
        share: the part of the loss that is the teachers', above 0 and up to 1.
    """

    teachers: Teachers
    share: float

    def loss(self, logits: Tensor, images: Tensor, own: Tensor, precision: Precision) -> Tensor:
        """Return the loss of a step: the teachers' part for what was seen, and the rest of the own loss.

        Args:
            logits: the student's, (B, 7).
            images: what the student saw, (B, 1, 48, 48).
            own: the loss by the labels, a scalar.
            precision: that of the training.
        """
        with torch.no_grad(), precision.autocast(images.device):
            taught = self.teachers(images)
        temperature = self.teachers.temperature
        return self.share * taught_loss(logits.float(), taught, temperature) + (1 - self.share) * own
