"""Files that are made to harm: each is refused with its reason, and nothing of it runs."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import onnx
import pytest
from keras import layers as stock
from onnx import TensorProto, helper

from saccade_core.errors import InputError, InputTooLarge, UnreadableInput, UntrustedModel
from saccade_core.testing import LocalContext, inputs_of
from saccade_kinds.register_model.contract import RegisterModelParams
from saccade_kinds.register_model.runner import run
from saccade_models.networks.build import weightless

SAMPLE = Path(__file__).parent / "sample" / "flowers.h5"


def refused(path: Path, folder: Path) -> InputError:
    """The error with which the file is refused, without anything registered or written beside it."""
    context = LocalContext(folder / "run")
    with pytest.raises(InputError) as caught:
        run(inputs_of(model=path), RegisterModelParams(name="m"), context)
    assert not context.registered and not list(context.artifacts.iterdir())
    assert caught.value.field == "model" and str(folder) not in caught.value.message
    return caught.value


def lambda_model(marker: Path) -> keras.Model:
    """A network that writes ``marker`` when it is built from its configuration."""
    inputs = keras.Input((2,))
    target = str(marker)
    # pyright knows no types of a lambda's arguments; its code is what Keras keeps in the file.
    write: Callable[[Any], Any] = lambda x: (open(target, "w").close(), x)[1]  # noqa: E731, PTH123  one expression
    return keras.Model(inputs, stock.Lambda(write)(inputs))


@pytest.mark.parametrize("suffix", ["h5", "keras"])
def test_code_in_a_lambda_layer_does_not_run(suffix: str, tmp_path: Path) -> None:
    marker, path = tmp_path / "executed", tmp_path / f"model.{suffix}"
    lambda_model(marker).save(path)
    marker.unlink()
    error = refused(path, tmp_path)
    assert isinstance(error, UntrustedModel) and "'Lambda'" in error.message
    assert not marker.exists()
    keras.models.load_model(path, safe_mode=False, compile=False)
    assert marker.exists()  # the file is as hostile as it should be


class Harm:
    """Unpickled, it writes a file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self.marker,)


@pytest.mark.parametrize("name", ["best.pt", "model.h5", "model.keras", "model.onnx", "model.pkl", "model.bin"])
def test_pickles_are_not_read(name: str, tmp_path: Path) -> None:
    marker, path = tmp_path / "executed", tmp_path / name
    path.write_bytes(pickle.dumps(Harm(marker)))
    error = refused(path, tmp_path)
    assert isinstance(error, UntrustedModel) and "pickles are loaded only from our own training" in error.message
    assert not marker.exists()
    pickle.loads(path.read_bytes())  # noqa: S301  our own, to see that it is one
    assert marker.exists()


def test_a_torch_file_called_keras_is_a_pickle(tmp_path: Path) -> None:
    path = zipped(tmp_path / "model.keras", {"archive/data.pkl": pickle.dumps(Harm(tmp_path / "executed"))})
    assert "it is a pickle" in refused(path, tmp_path).message
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    ("name", "data"),
    [("model.h5", b"text"), ("model.keras", b"\x89HDF\r\n\x1a\n"), ("model.onnx", b"PK\x03\x04"), ("model.txt", b"")],
)
def test_names_and_bytes_must_agree(name: str, data: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(data)
    error = refused(tmp_path / name, tmp_path)
    assert isinstance(error, UntrustedModel) and error.received == name


def zipped(path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def parts(tmp_path: Path) -> dict[str, bytes]:
    """The members of a .keras file that is all right."""
    keras.models.load_model(SAMPLE, compile=False).save(tmp_path / "good.keras")  # pyright: ignore[reportOptionalMemberAccess, reportAttributeAccessIssue, reportFunctionMemberAccess]  Keras' types
    with zipfile.ZipFile(tmp_path / "good.keras") as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_paths_out_of_the_archive(tmp_path: Path) -> None:
    path = zipped(tmp_path / "m.keras", {**parts(tmp_path), "../../evil.txt": b"x"})
    assert "leads out of its folder" in refused(path, tmp_path).message


def test_a_zip_bomb(tmp_path: Path) -> None:
    members = {**parts(tmp_path), "model.weights.h5": bytes(64 << 20)}
    path = zipped(tmp_path / "m.keras", members, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 1 << 20
    error = refused(path, tmp_path)
    assert isinstance(error, InputTooLarge) and "times its size" in error.message


def test_other_files_in_the_archive(tmp_path: Path) -> None:
    path = zipped(tmp_path / "m.keras", {**parts(tmp_path), "assets/vocabulary.txt": b"x"})
    assert "'assets/vocabulary.txt'" in refused(path, tmp_path).message
    incomplete = {name: data for name, data in parts(tmp_path).items() if name != "config.json"}
    assert "config.json" in refused(zipped(tmp_path / "n.keras", incomplete), tmp_path / "2").message


def changed(tmp_path: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """A .keras file whose configuration was changed."""
    members = parts(tmp_path)
    config = json.loads(members["config.json"])
    change(config)
    return zipped(tmp_path / "changed.keras", {**members, "config.json": json.dumps(config).encode()})


def layer_of(config: dict[str, Any]) -> dict[str, Any]:
    return config["config"]["layers"][1]


CONFIGS: list[tuple[Callable[[dict[str, Any]], object], str]] = [
    (lambda c: layer_of(c).update(class_name="TFSMLayer"), "'TFSMLayer'"),
    (lambda c: layer_of(c).update(class_name="StringLookup"), "'StringLookup'"),
    (lambda c: layer_of(c).update(module="os"), "the module 'os'"),
    (lambda c: layer_of(c).update(module="keras.utils"), "the module 'keras.utils'"),
    (lambda c: layer_of(c).update(registered_name="evil>Dense"), "'evil>Dense'"),
    (lambda c: layer_of(c).update(class_name=["Dense"]), "['Dense']"),
    (lambda c: c.update(class_name="Dense"), "no functional or sequential model"),
    (
        lambda c: layer_of(c)["config"].update(
            activation={"class_name": "function", "config": "get_file", "module": "keras.utils"}
        ),
        "'function'",
    ),
    (
        lambda c: layer_of(c)["config"].update(
            activation={"class_name": "__lambda__", "config": {"value": "4wAAAAAA"}}
        ),
        "'__lambda__'",
    ),
]


@pytest.mark.parametrize(("change", "reason"), CONFIGS)
def test_configurations_name_stock_classes_only(
    change: Callable[[dict[str, Any]], object], reason: str, tmp_path: Path
) -> None:
    error = refused(changed(tmp_path, change), tmp_path)
    assert isinstance(error, UntrustedModel) and reason in error.message


@pytest.mark.parametrize("text", [b"[" * 100_000, b"no json", b"[]", b'{"class_name": "Functional"}'])
def test_configurations_that_are_none(text: bytes, tmp_path: Path) -> None:
    path = zipped(tmp_path / "m.keras", {**parts(tmp_path), "config.json": text})
    assert isinstance(refused(path, tmp_path), UnreadableInput)


def test_a_network_that_would_take_all_memory(tmp_path: Path) -> None:
    def huge(config: dict[str, Any]) -> None:
        for layer in config["config"]["layers"][1:]:
            layer["config"]["units"] = 1_000_000
            layer.pop("build_config", None)

    error = refused(changed(tmp_path, huge), tmp_path)
    assert isinstance(error, InputTooLarge | UnreadableInput)
    with weightless():
        inputs = keras.Input((64, 64, 1))
        wide = stock.Flatten()(stock.GlobalAveragePooling2D()(stock.UpSampling2D(200)(inputs)))
        keras.Model(inputs, wide).save(tmp_path / "wide.keras")
    error = refused(tmp_path / "wide.keras", tmp_path / "2")
    assert isinstance(error, InputTooLarge) and "50,000,000 values" in error.message


def bad_hdf5(tmp_path: Path, change: Callable[[h5py.File, Path], object]) -> Path:
    path = tmp_path / "bad.h5"
    path.write_bytes(SAMPLE.read_bytes())
    with h5py.File(path, "r+") as opened:
        change(opened, tmp_path)
    return path


def _virtual(opened: h5py.File, folder: Path) -> None:
    layout = h5py.VirtualLayout(shape=(4,), dtype="f4")
    layout[:] = h5py.VirtualSource(str(folder / "secret.h5"), "x", shape=(4,))
    opened.create_virtual_dataset("bad", layout)


STRUCTURES: list[tuple[Callable[[h5py.File, Path], object], str]] = [
    (lambda f, p: f.update({"bad": h5py.ExternalLink(str(p / "secret.h5"), "/")}), "link to another place"),
    (lambda f, _: f.update({"bad": h5py.SoftLink("/model_weights")}), "link to another place"),
    (lambda f, p: f.create_dataset("bad", (8,), "u1", external=[(str(p / "secret"), 0, 8)]), "in another file"),
    (_virtual, "in another file"),
    (lambda f, _: f.create_dataset("bad", data=[b"text"]), "holds no numbers"),
    (lambda f, _: f.update({"bad": np.dtype("f4")}), "holds no numbers"),
    (lambda f, _: f.create_dataset("bad", (1 << 20, 1 << 20), "f4", chunks=(1024, 1024)), "at most 1024 MiB"),
    (lambda f, _: f.create_dataset("bad", (1 << 24,), "f4", compression="gzip"), "200 times its file"),
    (lambda f, _: f.create_dataset("bad", (64,), "f4", scaleoffset=2), "compressed in another way"),
    (lambda f, _: f.create_group("/".join("a" * 40)), "folders in folders"),
    (lambda f, _: f.attrs.__delitem__("model_config"), "weights without a network"),
    (lambda f, _: f.attrs.__setitem__("model_config", "x"), "cannot be read"),
]


@pytest.mark.parametrize(("change", "reason"), STRUCTURES)
def test_hdf5_files_stay_within_themselves(
    change: Callable[[h5py.File, Path], object], reason: str, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_bytes(b"12345678")
    assert reason in refused(bad_hdf5(tmp_path, change), tmp_path).message


def test_damaged_hdf5(tmp_path: Path) -> None:
    for count in (100, 5000, 12_000):
        (tmp_path / "cut.h5").write_bytes(SAMPLE.read_bytes()[:count])
        assert isinstance(refused(tmp_path / "cut.h5", tmp_path / str(count)), UnreadableInput)


def onnx_file(path: Path, change: Callable[[onnx.ModelProto], object]) -> Path:
    weights = helper.make_tensor("w", TensorProto.FLOAT, [2, 2], [1.0, 2.0, 3.0, 4.0])
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])],
        [weights],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    change(model)
    path.write_bytes(model.SerializeToString())
    return path


def _external(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[0]
    tensor.ClearField("float_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")


def _domain(model: onnx.ModelProto) -> None:
    model.opset_import.append(helper.make_opsetid("evil", 1))
    model.graph.node[0].domain = "evil"


def _branch(model: onnx.ModelProto) -> None:
    body = helper.make_graph([], "body", [], [])
    model.graph.node.append(helper.make_node("If", ["y"], ["z"], then_branch=body, else_branch=body))


def _function(model: onnx.ModelProto) -> None:
    model.functions.append(
        helper.make_function("", "F", ["a"], ["b"], [helper.make_node("Relu", ["a"], ["b"])], model.opset_import)
    )


def _huge(model: onnx.ModelProto) -> None:
    shape = helper.make_tensor("shape", TensorProto.INT64, [2], [100_000, 100_000])
    model.graph.initializer.append(shape)
    model.graph.node.append(helper.make_node("ConstantOfShape", ["shape"], ["huge"]))


GRAPHS: list[tuple[Callable[[onnx.ModelProto], object], str]] = [
    (_external, "in another file"),
    (_domain, "'evil'"),
    (_branch, "control flow"),
    (_function, "functions"),
    (_huge, "50,000,000 values"),
    (lambda m: m.graph.initializer[0].dims.__setitem__(0, 3), "breaks ONNX's rules"),
    (lambda m: m.graph.node[0].input.__setitem__(0, "nothing"), "breaks ONNX's rules"),
    (lambda m: m.graph.input.append(helper.make_tensor_value_info("b", TensorProto.FLOAT, [1])), "one input"),
]


@pytest.mark.parametrize(("change", "reason"), GRAPHS)
def test_onnx_files_are_whole_and_standard(
    change: Callable[[onnx.ModelProto], object], reason: str, tmp_path: Path
) -> None:
    assert reason in refused(onnx_file(tmp_path / "m.onnx", change), tmp_path).message


def test_bytes_that_are_no_onnx(tmp_path: Path) -> None:
    for number, data in enumerate((b"", b"hello world, this is text", bytes(range(256)), io.BytesIO().getvalue())):
        (tmp_path / "m.onnx").write_bytes(data)
        assert isinstance(refused(tmp_path / "m.onnx", tmp_path / str(number)), UnreadableInput)
