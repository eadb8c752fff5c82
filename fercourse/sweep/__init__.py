"""Grids of trainings: `plan` and `pace`, then each `cell` in a process here (`local`) or `on_ray`."""

from fercourse.sweep.local import run_grid
from fercourse.sweep.plan import Cell, Plan, make_plan

__all__ = ["Cell", "Plan", "make_plan", "run_grid"]
