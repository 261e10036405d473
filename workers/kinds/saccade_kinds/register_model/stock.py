"""The configuration of a Keras model from outside: it may name stock classes only, and of those only harmless ones."""

from __future__ import annotations

import json
from typing import Any

from saccade_core.errors import UnreadableInput
from saccade_core.kind import InputFile
from saccade_kinds.register_model.opening import refuse

MAX_CONFIG = 16 << 20
_MAX_NODES = 1_000_000


def _in_ranks(*names: str) -> set[str]:
    return {f"{name}{rank}D" for name in names for rank in (1, 2, 3)}


#: Left out of Keras' own: what runs given code (Lambda), loads other files (TFSMLayer, TorchModuleWrapper, the
#: look-ups and vocabularies), wraps other frameworks, or does not work on float32 rows and pictures.
_LAYERS = {
    *("Activation", "Add", "AlphaDropout", "Average", "BatchNormalization", "CenterCrop", "Concatenate", "Dense"),
    *("DepthwiseConv1D", "DepthwiseConv2D", "Dot", "Dropout", "ELU", "Flatten", "GaussianDropout", "GaussianNoise"),
    *("GroupNormalization", "Identity", "InputLayer", "LayerNormalization", "LeakyReLU", "Maximum", "Minimum"),
    *("Multiply", "Normalization", "PReLU", "Permute", "RMSNormalization", "ReLU", "RepeatVector", "Rescaling"),
    *("Reshape", "Resizing", "SeparableConv1D", "SeparableConv2D", "Softmax", "Subtract", "UnitNormalization"),
    *("RandomBrightness", "RandomContrast", "RandomCrop", "RandomFlip", "RandomRotation", "RandomTranslation"),
    "RandomZoom",
    *_in_ranks("AveragePooling", "Conv", "Cropping", "GlobalAveragePooling", "GlobalMaxPooling", "MaxPooling"),
    *_in_ranks("SpatialDropout", "UpSampling", "ZeroPadding"),
    *("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"),
}
_MODELS = {"Functional", "Model", "Sequential"}
_PARTS = {
    *("Constant", "GlorotNormal", "GlorotUniform", "HeNormal", "HeUniform", "LecunNormal", "LecunUniform", "Ones"),
    *("Orthogonal", "RandomNormal", "RandomUniform", "TruncatedNormal", "VarianceScaling", "Zeros"),
    *("L1", "L2", "L1L2", "OrthogonalRegularizer", "MaxNorm", "MinMaxNorm", "NonNeg", "UnitNorm"),
    *("DTypePolicy", "Policy", "__keras_tensor__"),
}
_STOCK = _LAYERS | _MODELS | _PARTS
_MODULES = {
    *("keras", "keras.layers", "keras.models", "keras.initializers", "keras.regularizers", "keras.constraints"),
    *("keras.dtype_policies", "keras.mixed_precision", "keras.src.models.functional", "keras.src.models.sequential"),
    *("keras.src.engine.functional", "keras.src.engine.sequential", "keras.engine.functional"),
}


def check_config(text: str | bytes, file: InputFile) -> None:
    """Raise UntrustedModel where the configuration names anything but stock classes, and UnreadableInput where it is
    no JSON. How the model was compiled does not count: it is not loaded."""
    try:
        config = json.loads(text) if len(text) <= MAX_CONFIG else None
    except (ValueError, RecursionError):
        config = None
    if not isinstance(config, dict):
        raise UnreadableInput("The model's configuration cannot be read.", field=file.field, received=file.name)
    if config.get("class_name") not in _MODELS:
        refuse(file, f"it is no functional or sequential model but {_shown(config.get('class_name'))}")
    config.pop("compile_config", None)
    waiting: list[Any] = [config]
    seen = 0
    while waiting:
        node = waiting.pop()
        seen += 1
        if seen > _MAX_NODES:
            refuse(file, "its configuration is too long")
        if isinstance(node, dict):
            _check_object(node, file)
            waiting += node.values()
        elif isinstance(node, list):
            waiting += node


def _check_object(node: dict[str, Any], file: InputFile) -> None:
    if "class_name" not in node:
        return
    name, module, registered = node["class_name"], node.get("module"), node.get("registered_name")
    if not isinstance(name, str) or name not in _STOCK:
        refuse(file, f"it has {_shown(name)}, and only stock Keras layers that run no code of their own are loaded")
    if module is not None and module not in _MODULES:
        refuse(file, f"its {name} comes from the module {_shown(module)}, which is not Keras'")
    if registered not in {None, name}:
        refuse(file, f"its {name} asks for the registered object {_shown(registered)}")


def _shown(value: Any) -> str:
    return repr(value)[:80]
