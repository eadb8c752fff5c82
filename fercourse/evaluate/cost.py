"""What a network costs for an image, whatever it is made of."""

from __future__ import annotations

import torch
from torch import nn


def measure_macs(network: nn.Module, images: torch.Tensor) -> int:
    """Return the multiply-accumulates for one image in convolutions, dense layers and matrix products.

    Half of what torch's FlopCounterMode counts. It sees functions too, where `fercourse.models.count_macs`,
    for the course's own networks, looks at layers; on those both agree. The network is run once, in the mode
    it is in.

    Args:
        images: (B, C, H, W), float, on the network's device.
    """
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    # Fused attention is not counted. With gradients on, attention layers do not take their fused path either.
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH), torch.enable_grad():
        network(images)
    return round(counter.get_total_flops() / 2 / len(images))
