"""A SavedModel in memory: its signatures, and calls of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from saccade_model_server.errors import Code, ServingError, invalid
from saccade_model_server.tensors import Array

DEFAULT_SIGNATURE = "serving_default"
_NAMES_SHOWN, _NAME_CHARACTERS = 20, 80
_TAG = "serve"
_INIT_OP = "__saved_model_init_op"


@dataclass(frozen=True, slots=True)
class Spec:
    """One input: its type, and its shape with None where any size will do."""

    dtype: Any
    shape: tuple[int | None, ...]

    def check(self, name: str, array: Array) -> None:
        """Raises ServingError unless ``array`` is such an input."""
        self.check_head(name, tf.string if array.dtype == object else tf.as_dtype(array.dtype), array.shape)

    def check_head(self, name: str, dtype: Any, shape: tuple[int, ...]) -> None:
        """Raises ServingError unless an input of this type (a tf.DType) and shape is such."""
        if dtype != self.dtype:
            raise invalid(f"Expected input {name} of type {self.dtype.name}; got {dtype.name}")
        fits = len(shape) == len(self.shape) and all(
            size is None or size == given for size, given in zip(self.shape, shape, strict=True)
        )
        if not fits:
            wanted = [-1 if size is None else size for size in self.shape]
            raise invalid(f"Expected input {name} of shape {wanted}; got {list(shape)}")


class Signature:
    """One function of a model. ``batched``: rows of several requests may go through it together."""

    def __init__(self, name: str, function: Any) -> None:
        self.name = name
        self._function = function
        specs: Mapping[str, Any] = function.structured_input_signature[1]
        self.inputs = {key: Spec(spec.dtype, _sizes(spec.shape)) for key, spec in specs.items()}
        self.outputs: list[str] = sorted(function.structured_outputs)
        shapes = [spec.shape for spec in self.inputs.values()]
        shapes += [_sizes(tensor.shape) for tensor in function.structured_outputs.values()]
        self.batched = bool(self.inputs) and all(len(shape) > 0 and shape[0] is None for shape in shapes)

    def check(self, model: str, inputs: Mapping[str, Array]) -> int:
        """How many rows the inputs have, 0 where the signature is not batched. Raises ServingError unless they are
        what it takes."""
        self.check_names(model, inputs)
        for key, spec in self.inputs.items():
            spec.check(key, inputs[key])
        if not self.batched:
            return 0
        rows = {array.shape[0] for array in inputs.values()}
        if len(rows) != 1:
            raise invalid(f"Inputs have different numbers of rows: {sorted(rows)}")
        return rows.pop()

    def check_names(self, model: str, names: Iterable[str]) -> None:
        """Raises ServingError unless these are the names of the inputs."""
        given = set(names)
        extra, missing = given - self.inputs.keys(), self.inputs.keys() - given
        if extra or missing:
            shown = [name[:_NAME_CHARACTERS] for name in sorted(extra)[:_NAMES_SHOWN]]
            raise invalid(
                f"Request inputs do not match required inputs for model `{model}`. "
                f"Send extra: {{{','.join(shown)}}}. Missing but required: {{{','.join(sorted(missing))}}}."
            )

    def __call__(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Run it, in the calling thread. Raises ServingError where TensorFlow does not take the values."""
        try:
            found = self._function(**{key: tf.constant(array) for key, array in inputs.items()})
            return {key: np.asarray(tensor.numpy()) for key, tensor in found.items()}
        except (tf.errors.OpError, ValueError, TypeError) as error:
            text = error.message if isinstance(error, tf.errors.OpError) else str(error)
            raise invalid(str(text).splitlines()[0][:300]) from error

    def zeros(self, rows: int) -> dict[str, Array] | None:
        """Inputs to warm up with; None where sizes other than the batch's are free, or there are texts."""
        shapes = {key: (rows, *spec.shape[1:]) for key, spec in self.inputs.items()}
        if not self.batched or any(None in shape for shape in shapes.values()):
            return None
        if any(spec.dtype == tf.string for spec in self.inputs.values()):
            return None
        return {
            key: np.zeros([int(size or 0) for size in shape], self.inputs[key].dtype.as_numpy_dtype)
            for key, shape in shapes.items()
        }


class SavedModel:
    """One version's SavedModel. Loading runs what is in it: only folders that are trusted."""

    def __init__(self, folder: Path) -> None:
        """Load ``folder``. Raises ServingError."""
        try:
            self._definitions = _definitions(folder)
            self._root: Any = tf.saved_model.load(str(folder), tags=[_TAG])  # holds the variables
            functions: Mapping[str, Any] = self._root.signatures
        except Exception as error:
            text = str(error).replace(str(folder), "(folder)").splitlines()
            raise ServingError(Code.INTERNAL, f"The SavedModel cannot be loaded: {''.join(text[:1])[:300]}") from error
        self._signatures = {name: Signature(name, function) for name, function in functions.items()}

    @property
    def definitions(self) -> Any:
        """SignatureDef messages by the signatures' names."""
        return self._definitions

    @property
    def signatures(self) -> Mapping[str, Signature]:
        """The functions by name."""
        return self._signatures

    def signature(self, name: str) -> Signature:
        """The function called ``name``, the default one for an empty name. Raises ServingError."""
        wanted = name or DEFAULT_SIGNATURE
        if wanted not in self._signatures:
            raise ServingError(Code.FAILED_PRECONDITION, f'Serving signature key "{wanted}" not found.')
        return self._signatures[wanted]

    def warm_up(self, sizes: tuple[int, ...]) -> None:
        """Run each signature on zeros once with each number of rows: the first call of each is slow."""
        for signature in self._signatures.values():
            for rows in sizes:
                zeros = signature.zeros(rows)
                if zeros is not None:
                    signature(zeros)


def _definitions(folder: Path) -> Mapping[str, Any]:
    generated: Any = saved_model_pb2  # has no types
    message = generated.SavedModel()
    message.ParseFromString((folder / "saved_model.pb").read_bytes())
    graphs = [graph for graph in message.meta_graphs if _TAG in graph.meta_info_def.tags]
    if not graphs:
        raise ValueError("there is no graph with the tag 'serve'")
    return {name: each for name, each in graphs[0].signature_def.items() if name != _INIT_OP}


def _sizes(shape: Any) -> tuple[int | None, ...]:
    return tuple(shape.as_list()) if shape.rank is not None else ()
