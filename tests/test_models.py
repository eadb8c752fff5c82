"""Every network of `MODELS`, as `create_model` builds it; what holds for one holds for all."""

from __future__ import annotations

import inspect
import json

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from fercourse.errors import FercourseError
from fercourse.models import MODELS, create_model, model_options, model_table
from fercourse.models.mobilenet import MOBILENET_V2, MobileNetV2

#: Millions of parameters and of multiply-accumulates an image, worked out from the papers' tables.
MILLION_PARAMS = {
    "vgg11": 9.228,
    "vgg13": 9.413,
    "vgg16": 14.726,
    "vgg19": 20.038,
    "resnet18": 11.171,
    "resnet34": 21.279,
    "resnet50": 23.514,
    "se_resnet18": 11.260,
    "se_resnet34": 21.441,
    "se_resnet50": 26.045,
    "mobilenet_v2": 2.232,
    "mobilenet_v3_large": 4.211,
    "mobilenet_v3_small": 1.525,
}
MILLION_MACS = {"resnet18": 1247, "resnet34": 2606, "resnet50": 2917}


def faces(batch: int, channels: int = 1) -> torch.Tensor:
    return torch.randn(batch, channels, 48, 48, generator=torch.Generator().manual_seed(0))


def meta_model(name: str, **options) -> nn.Module:
    """Build a network without drawing its weights."""
    with torch.device("meta"):
        return create_model(name, **options)


def param_count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.fixture(scope="module", params=list(MODELS))
def name(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def model(name: str) -> nn.Module:
    """One network for all tests of its name: drawing 200 million weights takes seconds."""
    torch.manual_seed(0)
    return create_model(name)


@pytest.fixture(scope="module")
def table() -> dict[str, dict]:
    return {row["name"]: row for row in model_table()}


def test_every_model_of_the_course_is_there():
    assert set(MODELS) == set(MILLION_PARAMS) | {"basic_cnn", "small_vgg", "plain18", "plain34", "resnet50v2"}


def test_head_of_features_is_forward_and_eval_is_deterministic(model):
    model.eval()
    with torch.inference_mode():
        logits = model(faces(2))
        features = model.forward_features(faces(2))
        assert logits.shape == (2, 7)
        assert features.ndim == 4
        assert torch.equal(model.head(features), logits)
        one = model(faces(2)[:1])
    torch.testing.assert_close(one, logits[:1], rtol=1e-4, atol=1e-5)
    assert not torch.equal(logits[0], logits[1])


def test_last_dense_layer_is_the_end_of_head(model):
    last = model.head[-1]
    assert isinstance(last, nn.Linear)
    assert last.out_features == 7
    assert torch.count_nonzero(last.bias) == 0
    before = last.bias.detach().clone()
    model.eval()
    with torch.inference_mode():
        logits = model(faces(1))
        last.bias += 1.0  # where training writes the log prior
        shifted = model(faces(1))
        last.bias.copy_(before)
    torch.testing.assert_close(shifted, logits + 1.0)


def test_gradient_reaches_every_parameter(model):
    model.train()
    torch.manual_seed(0)
    state = {key: value.clone() for key, value in model.state_dict().items()}
    F.cross_entropy(model(faces(2)), torch.tensor([0, 3])).backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None, key
        assert torch.isfinite(parameter.grad).all(), key
        if parameter.ndim > 1:  # the gradient of a bias before batch norm is zero, but for rounding
            assert torch.count_nonzero(parameter.grad), key
    changed = {key for key, value in model.state_dict().items() if not torch.equal(value, state[key])}
    assert all(key.rpartition(".")[2].startswith(("running_", "num_batches")) for key in changed)
    model.load_state_dict(state)
    model.zero_grad(set_to_none=True)


def test_channels_last_and_bfloat16_agree_with_the_usual_layout(model):
    model.eval()
    images = faces(2).to(memory_format=torch.channels_last)
    with torch.no_grad():
        logits = model(faces(2))
        model.to(memory_format=torch.channels_last)
        channels_last = model(images)
        with torch.autocast("cpu", torch.bfloat16):
            rounded = model(images[:1])  # one: processors without bfloat16 take ten times as long
        model.to(memory_format=torch.contiguous_format)
    spread = logits.std().item()
    torch.testing.assert_close(channels_last, logits, rtol=1e-3, atol=1e-3 * spread)
    assert rounded.dtype == torch.bfloat16
    assert (rounded.float() - logits[:1]).abs().max() < 0.5 * spread


def test_state_dict_round_trip(name, model):
    model.eval()
    copy = meta_model(name).eval()
    copy.load_state_dict(model.state_dict(), assign=True)
    with torch.inference_mode():
        assert torch.equal(copy(faces(1)), model(faces(1)))


def test_seed_decides_the_weights(name, model):
    torch.manual_seed(0)
    again = create_model(name).state_dict()
    for key, value in model.state_dict().items():
        assert torch.equal(again[key], value), key
    torch.manual_seed(1)
    assert not torch.equal(create_model(name).head[-1].weight, model.head[-1].weight)


def test_colour_images_and_other_classes(name):
    model = meta_model(name, num_classes=5, in_channels=3).to_empty(device="cpu").eval()
    with torch.inference_mode():
        for tensor in model.state_dict().values():
            tensor.fill_(0.01 if tensor.ndim else 0)
        logits = model(faces(2, channels=3))
    assert logits.shape == (2, 5)
    assert torch.isfinite(logits).all()


def test_constructors_take_keywords_only(name):
    with torch.device("meta"):
        network = type(create_model(name))
    for parameter in list(inspect.signature(network).parameters.values()):
        assert parameter.kind is inspect.Parameter.KEYWORD_ONLY, parameter.name


def test_every_option_is_accepted_and_bn_momentum_arrives(name):
    options = model_options(name)
    assert {"dropout", "bn_momentum"} <= set(options)
    assert not {"num_classes", "in_channels"} & set(options)
    default, spelled_out = meta_model(name), meta_model(name, **options)
    assert str(default) == str(spelled_out)
    changed = meta_model(name, bn_momentum=0.03, dropout=0.125)
    momenta = {module.momentum for module in changed.modules() if isinstance(module, nn.BatchNorm2d)}
    assert momenta == {0.03}
    assert 0.125 in {module.p for module in changed.modules() if isinstance(module, nn.Dropout)}


# --- sizes -------------------------------------------------------------------------------------------------


def test_parameter_counts(table):
    for name, millions in MILLION_PARAMS.items():
        assert round(table[name]["params"] / 1e6, 3) == millions, name
    assert table["small_vgg"]["params"] <= 1_200_000
    plain = {"vgg11": 9.223, "vgg13": 9.407, "vgg16": 14.717, "vgg19": 20.027}
    for name, millions in plain.items():
        without_norm = param_count(meta_model(name, norm="none"))
        assert round(without_norm / 1e6, 3) == millions, name
        assert 5_000 < table[name]["params"] - without_norm < 11_100, name


def test_parameter_counts_of_mobilenet_v2_with_projection_shortcuts():
    assert round(param_count(meta_model("mobilenet_v2", shortcut="projection")) / 1e6, 3) == 2.307
    # The widely copied network for CIFAR-10, down to its strides: the likeliest source of the paper's 2.3m.
    strides = (1, 1, 2, 2, 1, 2, 1)
    stages = [row._replace(stride=stride) for row, stride in zip(MOBILENET_V2, strides, strict=True)]
    with torch.device("meta"):
        copied = MobileNetV2(table=stages, last_stride=2, shortcut="projection", expand_first=True)
    assert param_count(copied) == 2_292_503


def test_paper_params_agree_or_a_note_says_why_not(table):
    papers = {name: row["paper_params"] for name, row in table.items() if row["paper_params"] is not None}
    assert set(papers) == set(MILLION_PARAMS)
    for name, paper_params in papers.items():
        printed = paper_params // 100_000
        params = table[name]["params"] / 100_000
        agrees = printed in (int(params), round(params))  # the paper cuts some figures off and rounds others
        assert agrees == (table[name]["note"] is None), name
    assert "unexplained" in table["mobilenet_v3_small"]["note"]


def test_multiply_accumulates(table):
    for name, millions in MILLION_MACS.items():
        assert round(table[name]["mmacs"]) == millions, name


def test_multiply_accumulates_are_half_of_what_torch_counts(name, table):
    model = meta_model(name).eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(torch.empty(1, 1, 48, 48, device="meta"))
    assert table[name]["mmacs"] == round(counter.get_total_flops() / 2e6, 1)


def test_table_describes_the_networks(table, name, model):
    row = table[name]
    with torch.inference_mode():
        assert row["feature_size"] == list(model.eval().forward_features(faces(1)).shape[1:])
    assert row["params"] == param_count(model)
    assert row["input_size"] == [1, 48, 48]
    expected = {
        "resnet50v2": "7x7 conv, 64, stride 2, max-pool",
        "basic_cnn": "3x3 conv, 32, stride 1",
        "small_vgg": "3x3 conv, 32, stride 1",
        "mobilenet_v2": "3x3 conv, 32, stride 1",
        "mobilenet_v3_large": "3x3 conv, 16, stride 1",
        "mobilenet_v3_small": "3x3 conv, 16, stride 1",
    }
    assert row["stem"] == expected.get(name, "3x3 conv, 64, stride 1")


def test_table_is_plain_data(table):
    assert list(table) == list(MODELS)
    keys = {"name", "params", "paper_params", "mmacs", "stem", "input_size", "family", "paper"}
    for row in json.loads(json.dumps(list(table.values()))):
        assert keys <= set(row)


# --- options -----------------------------------------------------------------------------------------------


def test_plain_is_resnet_without_shortcuts():
    for plain, residual in (("plain18", "resnet18"), ("plain34", "resnet34")):
        ours = list(meta_model(plain).state_dict())
        theirs = [key for key in meta_model(residual).state_dict() if ".shortcut." not in key]
        assert ours == theirs
    # With every residual branch at zero, a residual network still passes its input on; a plain one does not.
    torch.manual_seed(0)
    for name, passes in (("resnet18", True), ("plain18", False)):
        model = create_model(name).eval()
        with torch.inference_mode():
            for module in model.stages.modules():
                if hasattr(module, "residual"):
                    module.residual[-1].norm.weight.zero_()
            features = model.forward_features(faces(2))
        assert bool(torch.count_nonzero(features)) is passes


def test_se_position_changes_the_logits_and_not_the_parameters():
    torch.manual_seed(0)
    standard = create_model("se_resnet18").eval()
    post = meta_model("se_resnet18", se_position="post").eval()
    post.load_state_dict(standard.state_dict(), assign=True)
    with torch.inference_mode():
        assert not torch.allclose(standard(faces(1)), post(faces(1)))
        block = post.stages[0][0]
        x = torch.randn(1, 64, 12, 12)
        torch.testing.assert_close(block(x), block.se(F.relu(block.residual(x) + x)))
        block = standard.stages[0][0]
        torch.testing.assert_close(block(x), F.relu(block.se(block.residual(x)) + x))


def test_se_reduction_sets_the_squeeze_width():
    assert meta_model("se_resnet34", se_reduction=8).stages[3][0].se.reduce.out_channels == 64
    assert meta_model("se_resnet34").stages[3][0].se.reduce.out_channels == 32
    assert str(meta_model("resnet18", se_reduction=16)) == str(meta_model("se_resnet18"))
    assert meta_model("mobilenet_v3_large", se_reduction=8).blocks[13].residual[2].reduce.out_channels == 120


def test_resnet50v2_strides_at_the_end_of_a_stage():
    model = meta_model("resnet50v2")
    strides = [[block.residual[3].stride[0] for block in stage] for stage in model.stages]
    assert strides == [[1, 1, 2], [1, 1, 1, 2], [1, 1, 1, 1, 1, 2], [1, 1, 1]]
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    assert {(norm.eps, norm.momentum) for norm in norms} == {(1.001e-5, 0.01)}


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("resnet81", {}, "did you mean 'resnet18'?"),
        ("efficientnet", {}, "the models are basic_cnn, small_vgg"),
        ("vgg11", {"norn": "none"}, "did you mean 'norm'?"),
        ("vgg11", {"se_reduction": 4}, "its options are norm, dropout, bn_momentum, original_head"),
        ("plain18", {"shortcut": True}, "plain18 has no option 'shortcut'"),
        ("resnet18", {"depths": (1, 1, 1, 1)}, "resnet18 has no option 'depths'"),
        ("vgg11", {"norm": "bacth"}, "did you mean 'batch'?"),
        ("resnet18", {"stem": "5x5"}, "expected one of '3x3', '7x7'"),
        ("resnet18", {"se_position": "before"}, "'standard', 'post'"),
        ("resnet50", {"stride_in": "5x5"}, "'3x3', '1x1'"),
        ("se_resnet18", {"se_reduction": 0}, "se_reduction is 0"),
        ("se_resnet18", {"se_reduction": 65}, "expected 1 to 64"),
        ("mobilenet_v3_small", {"se_reduction": 0}, "se_reduction is 0"),
        ("mobilenet_v2", {"shortcut": "none"}, "'identity', 'projection'"),
        ("mobilenet_v2", {"last_stride": 3}, "last_stride is 3"),
        ("mobilenet_v2", {"stem_stride": 0}, "stem_stride is 0"),
        ("mobilenet_v2", {"width_mult": 0}, "width_mult is 0"),
        ("basic_cnn", {"dropout": 1.0}, "dropout is 1.0"),
        ("small_vgg", {"dropout": -0.1}, "dropout is -0.1"),
        ("resnet18", {"bn_momentum": 0.0}, "bn_momentum is 0.0"),
        ("resnet18", {"bn_momentum": 1.5}, "bn_momentum is 1.5"),
        ("basic_cnn", {"image_size": 8}, "image_size is 8"),
        ("basic_cnn", {"widths": ()}, "widths"),
        ("resnet18", {"num_classes": 0}, "num_classes is 0"),
        ("resnet18", {"in_channels": 1.5}, "in_channels is 1.5"),
    ],
)
def test_mistakes_are_named(name, options, said):
    with pytest.raises(FercourseError) as caught:
        meta_model(name, **options)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
