"""Checkpoints: whole, ours and unchanged, or refused with a clear sentence."""

from __future__ import annotations

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from fercourse.checkpoint import load_checkpoint, save_checkpoint
from fercourse.errors import FercourseError

TENSORS = {
    "weights": torch.arange(12.0).reshape(3, 4),
    "half": torch.ones(3, dtype=torch.bfloat16),
    "step": torch.tensor(7),
    "empty": torch.zeros(0, 3),
}
FACTS = {"epoch": 3, "lr": 0.1, "history": [{"loss": 1 / 3}], "none": None}


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "last.safetensors"
    save_checkpoint(path, TENSORS, FACTS)
    return path


def test_round_trip_is_exact(saved):
    tensors, facts = load_checkpoint(saved)
    assert facts == FACTS
    assert tensors.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert tensors[name].dtype == tensor.dtype
        assert torch.equal(tensors[name], tensor)


def test_tied_weights_can_be_saved(tmp_path):
    shared = torch.ones(4)
    save_checkpoint(tmp_path / "tied.safetensors", {"a": shared, "b": shared, "c": shared[:2]}, {})
    tensors, _ = load_checkpoint(tmp_path / "tied.safetensors")
    assert torch.equal(tensors["b"], shared)


def test_an_absent_file(tmp_path):
    with pytest.raises(FercourseError, match="There is no checkpoint"):
        load_checkpoint(tmp_path / "last.safetensors")


@pytest.mark.parametrize("share", [0, 0.01, 0.3, 0.9, 0.999])
def test_a_truncated_file(saved, share):
    content = saved.read_bytes()
    saved.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(FercourseError, match="cut short or not a safetensors file"):
        load_checkpoint(saved)


def test_a_foreign_safetensors_file(tmp_path):
    save_file({"weight": torch.ones(2)}, tmp_path / "other.safetensors")
    with pytest.raises(FercourseError, match="not a checkpoint of fercourse"):
        load_checkpoint(tmp_path / "other.safetensors")


def test_a_pickle_is_not_even_read(tmp_path):
    torch.save({"weight": torch.ones(2)}, tmp_path / "last.safetensors")
    with pytest.raises(FercourseError, match="not a safetensors file"):
        load_checkpoint(tmp_path / "last.safetensors")


def test_a_changed_weight_and_a_changed_fact(saved):
    content = saved.read_bytes()
    for old, new in (
        (torch.tensor(5.0).numpy().tobytes(), torch.tensor(6.0).numpy().tobytes()),
        (b'\\"epoch\\": 3', b'\\"epoch\\": 4'),
    ):
        assert content.count(old) == 1
        saved.write_bytes(content.replace(old, new))
        with pytest.raises(FercourseError, match="was changed after it was written"):
            load_checkpoint(saved)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_damage_is_refused_clearly(saved, data):
    """Flip, insert or remove bytes anywhere: the same content comes back, or one clear error."""
    content = bytearray(saved.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    kind = data.draw(st.sampled_from(["flip", "insert", "remove"]))
    if kind == "flip":
        content[place] ^= data.draw(st.integers(1, 255))
    elif kind == "insert":
        content[place:place] = data.draw(st.binary(min_size=1, max_size=9))
    else:
        del content[place : place + data.draw(st.integers(1, 9))]
    damaged = saved.with_name("damaged.safetensors")
    damaged.write_bytes(content)
    try:
        tensors, facts = load_checkpoint(damaged)
    except FercourseError as error:
        assert str(damaged) in str(error)
    else:
        assert facts == FACTS
        assert all(torch.equal(tensors[name], tensor) for name, tensor in TENSORS.items())
