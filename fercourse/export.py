"""A trained network as one ONNX file, checked against PyTorch before it gets its name."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fercourse.errors import FercourseError
from fercourse.files import atomic_path

if TYPE_CHECKING:
    from torch import nn

#: Name, dtype and shape of what goes in and what comes out; N is any number of images.
INPUT, OUTPUT, MAPS = "images", "logits", "maps"
#: How far a logit may be from PyTorch's, as a share of the largest logit of the batch. Folded batch norm and
#: another order of sums move the last digits of a float32; a wrong layer or weight moves the second.
TOLERANCE = 1e-4
#: Numbers of images the file is tried with: one, an odd few, and a training batch.
BATCHES = (1, 3, 64)
#: What the export needs beside PyTorch; the extra `export` of the package brings it.
PACKAGES = ("onnx", "onnxscript", "onnxruntime")


def export_onnx(
    run: str | os.PathLike[str], path: str | os.PathLike[str], *, maps: bool = False
) -> dict[str, Any]:
    """Write the best weights of a run folder as an ONNX model, after comparing it with PyTorch.

    The model's input ``images`` is float32 (N, 1, 48, 48) in [0, 1], its output ``logits`` float32 (N, 7) in
    the order of `fercourse.data.EMOTIONS`. The weights lie in the file itself, batch norm is folded into the
    convolutions, and the file's metadata say what it is (see `describe`); it holds no path of this machine.
    With the same versions of the libraries the same weights give the same bytes.

    Args:
        maps: also give the class activation maps as a second output, see `fercourse.explain.WithMaps`.

    Returns:
        ``path``, ``bytes``, ``name``, ``opset``, ``max_difference`` (the greatest absolute difference of a
        logit from PyTorch's), ``max_logit``, ``tolerance``, ``images`` (how many were compared) and
        ``metadata``.

    Raises:
        FercourseError: the folder holds no run or a damaged one; onnx, onnxscript or onnxruntime is missing;
            the file cannot be written; the exporter fails, or its network answers differently; maps are asked
            of a network without a pooled head. Whatever stood at the path then still does.
    """
    from fercourse.explain import WithMaps
    from fercourse.runs import load_best, read_run

    _need_packages()
    target = Path(path)
    if target.is_dir():
        raise FercourseError(
            f"{target} is a folder; name the file to write, such as {target / 'model.onnx'}."
        )
    asked = read_run(run)
    model, facts = load_best(run)
    try:
        metadata = describe(asked, facts)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise FercourseError(
            f"{Path(run) / 'run.json'} or the checkpoint beside it lacks what an export tells of a run "
            f"({type(error).__name__}: {error}): restore the folder or train again."
        ) from error
    if maps:
        model = WithMaps(model)
        metadata["maps"] = f"{MAPS}: float32 (N, 7, h, w); their means over places, plus a bias, are logits"
    with atomic_path(target) as temporary:
        proto = to_onnx(model, metadata)
        temporary.write_bytes(proto.SerializeToString(deterministic=True))
        compared = compare_with_torch(temporary, model, str(target))
        size = temporary.stat().st_size
    return {
        "path": str(target),
        "bytes": size,
        "name": metadata["name"],
        "opset": next(entry.version for entry in proto.opset_import if not entry.domain),
        **compared,
        "metadata": metadata,
    }


def describe(run: Mapping[str, Any], facts: Mapping[str, Any]) -> dict[str, str]:
    """Return what the file's metadata say, from a run's ``run.json`` and its best checkpoint's facts.

    ``name`` is the run's name as a record has it: it says 'shortened', 'cpu' or 'synthetic' where that is so.
    """
    from fercourse.data.faces import EMOTIONS
    from fercourse.records import record_name

    config, data, environment = run["config"], run["data"], run["environment"]
    return {
        "name": record_name(config, data["layout"], environment["device_kind"]),
        "model": config["model"],
        "recipe": config["recipe"],
        "seed": str(config["seed"]),
        "config": json.dumps(config, sort_keys=True),
        "epoch": f"{facts['epoch']} of {config['epochs']}",
        "val_accuracy": f"{facts['val_accuracy']:.6f}",
        "data": data["layout"],
        "data_fingerprint": data["fingerprint"],
        "commit": environment["commit"],
        "classes": ",".join(EMOTIONS),
        "input": f"{INPUT}: float32 (N, 1, 48, 48), grey values from 0 (black) to 1 (white)",
        "output": f"{OUTPUT}: float32 (N, 7), in the order of classes; softmax gives probabilities",
    }


def to_onnx(model: nn.Module, metadata: Mapping[str, str]) -> Any:
    """Return an `onnx.ModelProto` of a network in evaluation mode on the CPU, with these metadata.

    A `fercourse.explain.WithMaps` has the output ``maps`` beside ``logits``.

    Raises:
        FercourseError: neither of PyTorch's exporters can translate it.
    """
    import onnx

    import fercourse

    reasons = []
    for exporter in (_by_graph_capture, _by_tracing):
        try:
            with _quiet():
                proto = exporter(model)
                onnx.checker.check_model(proto, full_check=True)
            break
        except Exception as error:  # whatever the exporter, which changes with every release, raises
            reasons.append(_first(error))
    else:
        raise FercourseError(
            f"PyTorch's exporter cannot translate this network ({'; '.join(reasons)}): use versions of "
            "torch, onnx and onnxscript of about the same age, such as those of requirements.txt."
        )
    # The exporter writes down where in the source each node comes from, with the paths of this machine.
    clear_notes(proto)
    _keep_zero_padding(proto.graph)
    proto.graph.name = metadata.get("model", "fercourse")
    proto.domain = "fercourse"
    proto.doc_string = f"fercourse {fercourse.__version__}: {metadata.get('name', '')}"
    onnx.helper.set_model_props(proto, dict(metadata))
    return proto


def compare_with_torch(path: Path, model: nn.Module, shown: str) -> dict[str, Any]:
    """Run an ONNX file with onnxruntime and the network with PyTorch on noise and on drawn faces.

    Returns:
        ``max_difference``, ``max_logit``, ``tolerance`` and ``images``, as `export_onnx` explains.

    Raises:
        FercourseError: onnxruntime cannot run the file, or an answer is not PyTorch's; ``shown`` names it.
    """
    import torch

    from fercourse.data.synthetic import synthetic_faces

    most = max(BATCHES)
    images = np.random.default_rng(0).random((most, 1, 48, 48), dtype=np.float32)
    images[::2, 0] = synthetic_faces(sizes=(most // 2, 0, 0)).train.images.astype(np.float32) / 255
    batches = [images[:size] for size in BATCHES] + [images[1:2]]  # the last is noise alone
    session = _session(path, shown)
    differences, largest = [], 0.0
    for batch in batches:
        with torch.inference_mode():
            answers = _answers(model, torch.from_numpy(batch))
        try:
            given = session.run(_outputs(model), {INPUT: batch})
        except Exception as error:  # its exceptions have no common base
            raise FercourseError(
                f"{shown} was not written: onnxruntime cannot run {len(batch)} images ({_first(error)})."
            ) from error
        for name, found, expected in zip(_outputs(model), given, answers, strict=True):
            fits = found.shape == expected.shape and found.dtype == expected.dtype
            difference = float(np.abs(found - expected).max()) if fits else np.inf
            if not difference <= TOLERANCE * np.abs(expected).max():  # not a number is no agreement either
                raise FercourseError(
                    f"{shown} was not written: on {len(batch)} images its {name} differ from PyTorch's by "
                    f"{difference:.2g}, more than {TOLERANCE:g} of the largest; try other versions of "
                    "torch, onnxscript and onnxruntime, such as those of requirements.txt."
                )
            if name == OUTPUT:
                differences.append(difference)
                largest = max(largest, float(np.abs(expected).max()))
    return {
        "max_difference": max(differences),
        "max_logit": largest,
        "tolerance": TOLERANCE,
        "images": sum(map(len, batches)),
    }


def _outputs(model: nn.Module) -> list[str]:
    from fercourse.explain import WithMaps

    return [OUTPUT, MAPS] if isinstance(model, WithMaps) else [OUTPUT]


def _answers(model: nn.Module, images: Any) -> list[np.ndarray]:
    from fercourse.explain import WithMaps

    if not isinstance(model, WithMaps):
        return [model(images).numpy()]
    return [model.model(images).numpy(), model(images)[1].numpy()]  # logits of the network as it was


def _first(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def _need_packages() -> None:
    missing = []
    for name in PACKAGES:
        try:
            importlib.import_module(name)
        except ImportError:
            missing.append(name)
    if missing:
        raise FercourseError(
            f"The export needs {', '.join(missing)}, which cannot be imported here: "
            f"pip install {' '.join(PACKAGES)} (the package's extra 'export')."
        )


def _session(path: Path, shown: str) -> Any:
    import onnxruntime
    import torch

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    options.intra_op_num_threads = torch.get_num_threads()  # by itself it pins them: containers forbid it
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exceptions have no common base
        raise FercourseError(
            f"{shown} was not written: onnxruntime cannot load it ({_first(error)})."
        ) from error


def _example() -> Any:
    import torch

    # Two images: a dimension of one would be taken for a constant.
    return torch.rand(2, 1, 48, 48, generator=torch.Generator().manual_seed(0))


def _by_graph_capture(model: nn.Module) -> Any:
    """The exporter built on torch.export, the default since PyTorch 2.9."""
    import torch

    program = torch.onnx.export(
        model,
        (_example(),),
        dynamo=True,
        verbose=False,
        input_names=[INPUT],
        output_names=_outputs(model),
        dynamic_shapes=({0: torch.export.Dim("batch")},),
    )
    assert program is not None
    return program.model_proto


def _by_tracing(model: nn.Module) -> Any:
    """The older exporter: the newer one of PyTorch 2.6 writes what recent versions of protobuf refuse."""
    import onnx
    import torch

    file = io.BytesIO()
    torch.onnx.export(
        model,
        (_example(),),
        file,  # type: ignore[arg-type]
        dynamo=False,
        input_names=[INPUT],
        output_names=_outputs(model),
        dynamic_axes={name: {0: "batch"} for name in (INPUT, *_outputs(model))},
    )
    return onnx.load_from_string(file.getvalue())


def _keep_zero_padding(graph: Any) -> None:
    """Keep onnxruntime from merging a padding with zeros into the max-pool behind it.

    Seen in its releases 1.20 to 1.31 (the pass is called Pad_Fusion): the merged pool pads as max-pools do,
    with minus infinity, and the border is wrong wherever inputs are negative, as in the stem of resnet50v2.
    Padding with anything but zero is left alone: the least positive number will do.
    """
    import onnx
    from onnx.numpy_helper import from_array, to_array

    known = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].type == onnx.AttributeProto.TENSOR:
            known[node.output[0]] = node.attribute[0].t
    pads = {node.output[0]: node for node in graph.node if node.op_type == "Pad"}
    least = from_array(np.array(np.finfo(np.float32).tiny, np.float32), "least_positive")
    for pool in graph.node:
        pad = pads.get(pool.input[0]) if pool.op_type == "MaxPool" else None
        value = pad.input[2] if pad and len(pad.input) > 2 else ""
        if pad is None or (value and (value not in known or to_array(known[value]).any())):
            continue
        inputs = [*pad.input[:2], least.name, *pad.input[3:]]
        del pad.input[:]
        pad.input.extend(inputs)
        if least.name not in known:
            graph.initializer.append(least)
            known[least.name] = least
    used = {name for node in graph.node for name in node.input}
    for tensor in [tensor for tensor in graph.initializer if tensor.name not in used]:
        graph.initializer.remove(tensor)


def clear_notes(message: Any) -> None:
    """Empty metadata_props and doc_string of a protobuf message and of every message in it."""
    for field, value in message.ListFields():
        if field.name in ("metadata_props", "doc_string"):
            message.ClearField(field.name)
        elif field.type == field.TYPE_MESSAGE:
            several = not hasattr(value, "ListFields")
            for part in value if several else (value,):
                clear_notes(part)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep what the exporter says of its steps, its warnings and its log from the user's terminal."""
    level = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
