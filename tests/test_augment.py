"""Augmentation against torchvision, one transform at a time, and what its random numbers promise."""

from __future__ import annotations

import math

import pytest
import torch
from torchvision.transforms import RandomErasing, RandomResizedCrop
from torchvision.transforms import functional as tv

from fercourse.augment import (
    DRAWS_PER_IMAGE,
    FILLS,
    Draws,
    augment,
    crop_matrices,
    draw,
    erase,
    frame_matrices,
    resample,
    shrink,
    to_float,
)
from fercourse.augmentation import WINDOW_44, Augmentation
from fercourse.errors import FercourseError

SIZE = 48
BILINEAR = tv.InterpolationMode.BILINEAR
EVERYTHING = dict.fromkeys(("crop", "zoom", "shear", "rotation", "translation", "erasing"), 1.0)


@pytest.fixture
def noise() -> torch.Tensor:
    """Eight images of independent pixels: any misplaced sample shows."""
    return torch.rand((8, 1, SIZE, SIZE), dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def faces() -> torch.Tensor:
    return torch.randint(0, 256, (8, SIZE, SIZE), generator=torch.Generator().manual_seed(2)).to(torch.uint8)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def difference(ours: torch.Tensor, theirs: list[torch.Tensor]) -> float:
    """Greatest difference over all images, all pixels, borders included."""
    return float((ours - torch.stack(theirs)).abs().max())


def test_crop_and_resize_is_torchvisions(noise):
    boxes = [(0, 0, 48, 48), (0, 0, 34, 34), (14, 14, 34, 34), (3, 7, 40, 29), (20, 0, 28, 48), (0, 5, 48, 1),
             (47, 47, 1, 1), (1, 1, 46, 46)]  # fmt: skip
    draws = Draws(crop=torch.tensor(boxes, dtype=torch.float64))
    theirs = [
        tv.resized_crop(image, *box, [SIZE, SIZE], BILINEAR, antialias=False)
        for image, box in zip(noise, boxes, strict=True)
    ]
    for fill in FILLS:
        ours = resample(noise, frame_matrices(draws), crop_matrices(draws, SIZE), fill=fill)
        assert difference(ours, theirs) < 1e-10, fill


@pytest.mark.parametrize("side", [16, 24, 32, 40, 47])
def test_shrinking_is_torchvisions(noise, side):
    theirs = [tv.resize(image, [side, side], BILINEAR, antialias=True) for image in noise]
    assert difference(shrink(noise, side), theirs) < 1e-12
    assert shrink(noise, side).mean() == pytest.approx(float(noise.mean()), abs=0.02)  # no pixel is left out


def test_shrinking_to_its_own_size_changes_nothing(noise):
    assert shrink(noise, SIZE) is noise


def test_rotation_is_torchvisions(noise):
    angles = [0.0, 10.0, -10.0, 33.3, 90.0, 180.0, -0.5, 45.0]
    draws = Draws(angle=torch.tensor(angles, dtype=torch.float64)[:, None])
    ours = resample(noise, frame_matrices(draws), None)
    theirs = [tv.rotate(image, angle, BILINEAR) for image, angle in zip(noise, angles, strict=True)]
    assert difference(ours, theirs) < 1e-10


@pytest.mark.parametrize("transform", ["shift", "zoom", "shear", "all at once"])
def test_affine_is_torchvisions(noise, transform):
    def numbers(low: float, high: float, columns: int, seed: int) -> torch.Tensor:
        drawn = torch.rand((8, columns), dtype=torch.float64, generator=generator(seed))
        return low + (high - low) * drawn

    given = {
        "shift": numbers(-20, 20, 2, 1),
        "zoom": numbers(0.5, 2, 1, 2),
        "shear": numbers(-30, 30, 2, 3),
        "angle": numbers(-180, 180, 1, 4),
    }
    if transform != "all at once":
        given = {transform: given[transform]}
    draws = Draws(**given)
    ours = resample(noise, frame_matrices(draws), None)
    theirs = [
        tv.affine(
            image,
            angle=-float(given["angle"][k]) if "angle" in given else 0.0,
            translate=given["shift"][k].tolist() if "shift" in given else [0, 0],
            scale=float(given["zoom"][k]) if "zoom" in given else 1.0,
            shear=given["shear"][k].tolist() if "shear" in given else [0.0, 0.0],
            interpolation=BILINEAR,
        )
        for k, image in enumerate(noise)
    ]
    assert difference(ours, theirs) < 1e-10


def test_all_transforms_of_one_image_are_torchvisions_one_after_the_other():
    """On a smooth image, where resampling twice blurs little, one matrix shows what the chain shows."""
    x = torch.linspace(0, 3, SIZE, dtype=torch.float64)
    image = (torch.sin(x)[:, None] * torch.cos(2 * x) / 2 + 0.5)[None, None]
    box, angle, shift = (4, 9, 36, 30), 20.0, [5, -3]
    draws = Draws(
        crop=torch.tensor([box], dtype=torch.float64),
        flip=-torch.ones(1, 1, dtype=torch.float64),
        angle=torch.full((1, 1), angle, dtype=torch.float64),
        shift=torch.tensor([shift], dtype=torch.float64),
    )
    ours = resample(image, frame_matrices(draws), crop_matrices(draws, SIZE))
    cropped = tv.hflip(tv.resized_crop(image, *box, [SIZE, SIZE], BILINEAR, antialias=False))
    theirs = tv.affine(cropped, -angle, shift, 1.0, [0.0, 0.0], BILINEAR)
    # A misplacement by a quarter of a pixel anywhere, the edges included, would be more than this.
    assert float((ours - theirs).abs().max()) < 0.01
    assert float((ours == 0).sum()) > 50


@pytest.mark.parametrize("fill", FILLS)
def test_fill_is_grid_samples_with_a_crop_as_without(noise, fill):
    """The crop's own handling of the frame's edge, given the whole image as the crop."""
    draws = Draws(angle=torch.linspace(-90, 90, 8, dtype=torch.float64)[:, None])
    whole = torch.tensor([0, 0, SIZE, SIZE], dtype=torch.float64).repeat(8, 1)
    with_crop = resample(noise, frame_matrices(draws), crop_matrices(Draws(crop=whole), SIZE), fill=fill)
    without = resample(noise, frame_matrices(draws), None, fill=fill)
    assert float((with_crop - without).abs().max()) < 1e-10


def test_the_matrix_of_all_is_the_product_of_each_ones():
    chosen = Augmentation(**EVERYTHING, flip=1.0, shear_degrees=(20.0, 10.0))
    draws, names = draw(5, SIZE, chosen, generator=generator()), ("flip", "zoom", "shear", "angle", "shift")
    steps = [Draws(**{name: getattr(draws, name)}) for name in names]
    product = torch.eye(3).expand(5, 3, 3)
    for step in steps:
        product = product @ frame_matrices(step)
    torch.testing.assert_close(frame_matrices(draws), product, rtol=0, atol=1e-5)


def test_matrices_stay_precise_under_autocast(faces):
    chosen = Augmentation(**EVERYTHING)
    plain = augment(faces, chosen, generator=generator())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = augment(faces, chosen, generator=generator())
    assert mixed.dtype == torch.float32
    assert float((mixed - plain).abs().max()) < 1e-5


def test_nothing_switched_on_converts_exactly(faces):
    expected = torch.from_numpy(faces.numpy().astype("float32") / 255)[:, None]
    assert torch.equal(augment(faces), expected)
    assert torch.equal(augment(faces[:, None]), expected)
    assert torch.equal(to_float(faces), expected)
    assert augment(faces).dtype == torch.float32
    assert augment(faces[:0], flip=0.5, crop=0.5, rotation=0.5, erasing=0.5).shape == (0, 1, SIZE, SIZE)


def test_flip_alone_is_exact_and_by_image(faces):
    assert torch.equal(augment(faces, flip=1.0), tv.hflip(to_float(faces)))
    out, images = augment(faces, flip=0.5, generator=generator()), to_float(faces)
    flipped = [torch.equal(o, i.flip(-1)) for o, i in zip(out, images, strict=True)]
    kept = [torch.equal(o, i) for o, i in zip(out, images, strict=True)]
    assert all(f != k for f, k in zip(flipped, kept, strict=True))
    assert 0 < sum(flipped) < len(faces)


def test_erasing_is_torchvisions(faces):
    images = to_float(faces)
    draws = draw(8, SIZE, Augmentation(erasing=1.0), generator=generator(3))
    ours = erase(images, draws, 0.25)
    theirs = [
        tv.erase(image, *(int(v) for v in box), torch.tensor(0.25))
        for image, box in zip(images, draws.erase, strict=True)
    ]
    assert torch.equal(ours, torch.stack(theirs))
    assert torch.equal(augment(faces, erasing=1.0, erasing_value=0.25, generator=generator(3)), ours)


def test_two_copies_of_one_image_come_out_different():
    one = torch.randint(0, 256, (1, SIZE, SIZE), generator=generator()).to(torch.uint8).expand(16, -1, -1)
    for name in ("crop", "zoom", "shear", "rotation", "translation", "erasing"):
        out = augment(one, **{name: 1.0}, generator=generator())
        assert len(out.unique(dim=0)) > 12, name


def test_the_generator_alone_decides(faces):
    chosen = Augmentation(**EVERYTHING, flip=0.5)
    torch.manual_seed(0)
    first = augment(faces, chosen, generator=generator(7))
    after = torch.rand(1)
    torch.manual_seed(0)
    assert torch.equal(after, torch.rand(1)), "a generator was given, but the global one was used"
    assert torch.equal(augment(faces, chosen, generator=generator(7)), first)
    assert not torch.equal(augment(faces, chosen, generator=generator(8)), first)


def test_switching_a_transform_on_leaves_the_others_draws():
    everything = draw(20, SIZE, Augmentation(**EVERYTHING, flip=1.0), generator=generator(5))
    fields = {"crop": "crop", "zoom": "zoom", "shear": "shear", "rotation": "angle"}
    for option, field in (fields | {"translation": "shift", "erasing": "erase", "flip": "flip"}).items():
        source = generator(5)
        alone = draw(20, SIZE, Augmentation(**{option: 1.0}), generator=source)
        assert torch.equal(getattr(alone, field), getattr(everything, field)), option
        assert sum(value is not None for value in alone) == 1
        expected = generator(5)
        torch.rand(20, DRAWS_PER_IMAGE, generator=expected)
        assert torch.equal(source.get_state(), expected.get_state()), option


def test_a_large_batch_is_resampled_as_its_parts_are():
    """On a CPU batches are cut into chunks; the cuts must not show."""
    images = torch.rand(75, 1, SIZE, SIZE, generator=generator())
    draws = draw(75, SIZE, Augmentation(**EVERYTHING), generator=generator())
    frame, crop = frame_matrices(draws), crop_matrices(draws, SIZE)
    whole = resample(images, frame, crop)
    parts = [resample(images[k : k + 1], frame[k : k + 1], crop[k : k + 1]) for k in range(75)]
    torch.testing.assert_close(whole, torch.cat(parts), rtol=0, atol=1e-6)
    assert torch.equal(resample(images, frame, None)[40:41], resample(images[40:41], frame[40:41], None))


@pytest.mark.parametrize("name", ["flip", "crop", "zoom", "shear", "rotation", "translation", "erasing"])
def test_probabilities_are_honoured(name):
    count, p = 4000, 0.3
    draws = draw(count, SIZE, Augmentation(**{name: p}, crop_scale=(0.3, 0.6)), generator=generator(11))
    values = next(value for value in draws if value is not None)
    whole = torch.tensor([0.0, 0, SIZE, SIZE])
    neutral = {"flip": torch.ones(1), "zoom": torch.ones(1), "crop": whole}.get(name, torch.zeros(1))
    share = float((values != neutral).any(dim=1).float().mean())
    assert abs(share - p) < 4 * math.sqrt(p * (1 - p) / count)


def test_ranges_are_filled_evenly():
    """Kolmogorov-Smirnov against the uniform distribution each range promises."""
    from scipy.stats import kstest

    chosen = Augmentation(
        zoom=1.0, zoom_range=(0.7, 1.4), rotation=1.0, rotation_degrees=25.0, shear=1.0, shear_degrees=(12.0,
        6.0), translation=1.0, translation_fraction=(0.25, 0.1),
    )  # fmt: skip
    draws = draw(5000, SIZE, chosen, generator=generator(12))
    for values, low, high in (
        (draws.zoom[:, 0], 0.7, 1.4),
        (draws.angle[:, 0], -25, 25),
        (draws.shear[:, 0], -12, 12),
        (draws.shear[:, 1], -6, 6),
        (draws.shift[:, 0], -12, 12),
        (draws.shift[:, 1], -4.8, 4.8),
    ):
        assert kstest(values.double().numpy(), "uniform", args=(low, high - low)).pvalue > 1e-3


@pytest.mark.parametrize(
    ("scale", "ratio"),
    [
        ((0.5, 1.0), (3 / 4, 4 / 3)),
        ((0.08, 1.0), (3 / 4, 4 / 3)),
        ((0.9, 1.0), (0.3, 0.5)),
        ((1.0, 1.0), (2.0, 3.0)),
    ],
)
def test_crops_are_distributed_as_torchvisions(scale, ratio):
    """Same boxes as often, the fallback for boxes that never fit included (the last two)."""
    torch.manual_seed(13)
    image = torch.zeros(1, SIZE, SIZE)
    theirs = torch.tensor([RandomResizedCrop.get_params(image, scale, ratio) for _ in range(1500)])
    chosen = Augmentation(crop=1.0, crop_scale=scale, crop_ratio=ratio)
    same_distribution(draw(3000, SIZE, chosen, generator=generator(14)).crop, theirs)


@pytest.mark.parametrize(
    ("scale", "ratio"), [((0.02, 0.33), (0.3, 3.3)), ((0.3, 0.9), (0.2, 0.5)), ((0.9, 1.0), (3.0, 4.0))]
)
def test_erasures_are_distributed_as_torchvisions(scale, ratio):
    torch.manual_seed(15)
    image = torch.zeros(1, SIZE, SIZE)
    boxes = [RandomErasing.get_params(image, scale, ratio, [0.0])[:4] for _ in range(1500)]
    # Where no box fits torchvision erases nothing, which it says with the whole image as the box.
    theirs = torch.tensor([(0, 0, 0, 0) if box[2:] == (SIZE, SIZE) else box for box in boxes])
    chosen = Augmentation(erasing=1.0, erasing_scale=scale, erasing_ratio=ratio)
    same_distribution(draw(3000, SIZE, chosen, generator=generator(16)).erase, theirs)


def same_distribution(ours: torch.Tensor, theirs: torch.Tensor) -> None:
    """Two-sample Kolmogorov-Smirnov on position, sides, area and shape."""
    from scipy.stats import ks_2samp

    def features(boxes: torch.Tensor) -> list[torch.Tensor]:
        top, left, height, width = boxes.double().unbind(1)
        shape = (height + 1) / (width + 1)
        return [top, left, height, width, height * width, shape, top + height, left + width]

    for ours_of, theirs_of in zip(features(ours), features(theirs), strict=True):
        assert ks_2samp(ours_of.numpy(), theirs_of.numpy()).pvalue > 1e-3


@pytest.mark.parametrize("fill", FILLS)
def test_nothing_waits_for_the_host_or_leaves_the_device(fill):
    """With fake tensors on a GPU: no shape or branch may depend on values, no tensor may lie elsewhere."""
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves

    try:
        with FakeTensorMode():
            torch.rand((2, 2), device="cuda")[:, 1:].lt(0.5)
    except RuntimeError as error:  # older versions initialise CUDA even for fake tensors
        pytest.skip(f"this PyTorch makes no fake CUDA tensors here: {str(error).splitlines()[0]}")
    devices = set()

    class Devices(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            out = function(*args, **(kwargs or {}))
            tensors = [t for t in tree_leaves((args, kwargs, out)) if isinstance(t, torch.Tensor)]
            devices.update(t.device.type for t in tensors)
            return out

    with FakeTensorMode():
        images = torch.empty((8, SIZE, SIZE), dtype=torch.uint8, device="cuda")
        with Devices():
            out = augment(images, **EVERYTHING, flip=0.5, fill=fill)
    assert out.shape == (8, 1, SIZE, SIZE)
    assert devices == {"cuda"}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_cuda_graph_captures_it():
    source = torch.Generator(device="cuda").manual_seed(0)
    images = torch.randint(0, 256, (64, SIZE, SIZE), dtype=torch.uint8, device="cuda")
    chosen = Augmentation(**EVERYTHING, flip=0.5)
    augment(images, chosen, generator=source)
    graph = torch.cuda.CUDAGraph()
    graph.register_generator_state(source)
    with torch.cuda.graph(graph):
        out = augment(images, chosen, generator=source)
    graph.replay()
    first = out.clone()
    graph.replay()
    assert not torch.equal(first, out)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"flip": 1.2}, "flip=1.2"),
        ({"flip": -0.1}, "probability"),
        ({"crop": float("nan")}, "crop=nan"),
        ({"crop_scale": (0.9, 0.5)}, "smaller first"),
        ({"crop_scale": 0.5}, "crop_scale=0.5"),
        ({"crop_ratio": (0, 1)}, "crop_ratio"),
        ({"zoom_range": (0.8, 1.0, 1.2)}, "zoom_range"),
        ({"rotation_degrees": -5}, "rotation_degrees"),
        ({"shear_degrees": (10, 90)}, r"shear_degrees=\(10, 90\)"),
        ({"shear_degrees": "10"}, "shear_degrees='10'"),
        ({"translation_fraction": 0.2}, "translation_fraction"),
        ({"erasing_value": 128}, "grey value"),
        ({"fill": "zero"}, "did you mean 'zeros'"),
        ({"flipp": 0.5}, "did you mean 'flip'"),
    ],
)
def test_bad_options_are_named(faces, options, says):
    with pytest.raises(FercourseError, match=says):
        augment(faces, **options)


def test_bad_images_are_named(faces):
    with pytest.raises(FercourseError, match=r"torch\.float32.*uint8"):
        augment(faces.float())
    with pytest.raises(FercourseError, match="ndarray"):
        augment(faces.numpy())
    with pytest.raises(FercourseError, match=r"\(8, 3, 48, 48\)"):
        augment(faces[:, None].expand(-1, 3, -1, -1))
    with pytest.raises(FercourseError, match="squares"):
        augment(faces[:, :40], flip=0.5)
    with pytest.raises(FercourseError, match="not both"):
        augment(faces, Augmentation(), flip=0.5)
    with pytest.raises(FercourseError, match="generator is on"):
        draw(4, SIZE, Augmentation(), generator=generator(), device="meta")
    with pytest.raises(FercourseError, match="reflection"):
        resample(to_float(faces), None, None, fill="reflect")


def test_a_window_of_fixed_size_at_every_place():
    """44 of 48 pixels, as many FER networks are trained: a crop of one size, stretched over the image."""
    window = Augmentation(crop=1.0, **WINDOW_44)
    boxes = draw(4000, 48, window, generator=torch.Generator().manual_seed(0)).crop
    assert (boxes[:, 2:] == 44).all()
    corners, counts = boxes[:, :2].unique(dim=0, return_counts=True)
    assert len(corners) == 25  # 0 to 4 pixels down, 0 to 4 to the right
    assert counts.min() > 100
