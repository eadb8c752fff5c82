"""How fast training is, beside the loop that most FER repositories have, measured in the same run."""

from __future__ import annotations
