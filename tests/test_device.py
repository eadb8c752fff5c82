"""Devices and number formats: known by the hardware, refused where they cannot work."""

from __future__ import annotations

import pytest
import torch

from fercourse import device as devices
from fercourse.device import Precision, describe_device, pick_device, pick_precision
from fercourse.errors import FercourseError
from fercourse.models import create_model

CPU = torch.device("cpu")


@pytest.fixture
def bf16_cpu(monkeypatch):
    monkeypatch.setattr(devices, "cpu_multiplies_bf16", lambda: True)


def test_a_cpu_without_bf16_instructions_stays_in_fp32(monkeypatch):
    monkeypatch.setattr(devices, "cpu_multiplies_bf16", lambda: False)
    assert pick_precision(create_model("small_vgg"), CPU) == Precision("fp32", channels_last=True)


@pytest.mark.usefixtures("bf16_cpu")
def test_depthwise_networks_gain_nothing_from_bf16_on_a_cpu():
    assert pick_precision(create_model("small_vgg"), CPU).name == "bf16"
    assert pick_precision(create_model("mobilenet_v2"), CPU).name == "fp32"


@pytest.mark.parametrize(("capability", "name"), [((7, 5), "fp16"), ((8, 0), "bf16"), ((9, 0), "bf16")])
def test_cuda_by_generation(monkeypatch, capability, name):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    assert pick_precision(create_model("basic_cnn"), torch.device("cuda")).name == name


def test_mps_is_fp32_and_contiguous():
    assert pick_precision(create_model("basic_cnn"), torch.device("mps")) == Precision("fp32", False)


def test_what_cannot_work_is_refused():
    with pytest.raises(FercourseError, match="'fp16' does not train on a CPU"):
        pick_precision(create_model("basic_cnn"), CPU, "fp16")
    with pytest.raises(FercourseError, match="'int8' is unknown"):
        pick_precision(create_model("basic_cnn"), CPU, "int8")
    with pytest.raises(FercourseError, match="'abacus' cannot be used"):
        pick_device("abacus")


@pytest.mark.parametrize("name", ["cuda:99", "mps"])
def test_absent_hardware_is_refused(name):
    if (name == "mps" and torch.backends.mps.is_available()) or torch.cuda.device_count() > 99:
        pytest.skip("this machine has it")
    with pytest.raises(FercourseError, match="cannot be used on this machine"):
        pick_device(name)


def test_descriptions_name_the_hardware():
    assert describe_device(CPU).startswith("CPU (")
    before = torch.get_num_threads()
    try:
        for count, told in ((1, ", 1 thread)"), (2, ", 2 threads)")):
            torch.set_num_threads(count)
            assert describe_device(CPU).endswith(told)
    finally:
        torch.set_num_threads(before)
