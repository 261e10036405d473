"""What both protocols do: predict with a version, tell of versions, and change which are served."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from saccade_model_server.batching import Batcher
from saccade_model_server.configs import read_configs
from saccade_model_server.errors import invalid
from saccade_model_server.saved_model import SavedModel, Signature
from saccade_model_server.servables import Servables, Version, Wanted
from saccade_model_server.settings import ModelServerSettings
from saccade_model_server.tensors import Array

#: Numbers of rows that a version is run with before it is available.
_WARM_ROWS = (1, 8, 32)


@dataclass(frozen=True, slots=True)
class Answer:
    """Outputs by name, and which version and signature gave them; ``batched``: their first dimension is the rows'."""

    version: int
    signature: str
    outputs: Mapping[str, Array]
    batched: bool


class Served:
    """A loaded version, and the batches of its signatures."""

    def __init__(self, model: SavedModel, executor: ThreadPoolExecutor, settings: ModelServerSettings) -> None:
        self.model = model
        self._batchers = {name: Batcher(each, executor, settings) for name, each in model.signatures.items()}

    async def run(self, signature: Signature, inputs: Mapping[str, Array], rows: int) -> dict[str, Array]:
        """The outputs for inputs that the signature has checked."""
        return await self._batchers[signature.name].run(inputs, rows)


class Service:
    """One model server; used from one event loop."""

    def __init__(self, settings: ModelServerSettings) -> None:
        self._settings = settings
        self._executor = ThreadPoolExecutor(settings.num_batch_threads, thread_name_prefix="batch")
        self.servables: Servables[Served] = Servables(self._load, settings.num_load_threads)

    async def predict(
        self, wanted: Wanted, signature_name: str, inputs: Mapping[str, Array], only: Sequence[str] = ()
    ) -> Answer:
        """Run a signature; ``only`` names the outputs that are wanted. Raises ServingError."""
        with self.servables.use(wanted) as (version, served):
            signature = served.model.signature(signature_name)
            unknown = sorted(set(only) - set(signature.outputs))
            if unknown:
                raise invalid(
                    f"output tensor alias not found in signature: {unknown[0]} "
                    f"Outputs expected to be in the set {{{','.join(signature.outputs)}}}."
                )
            rows = signature.check(wanted.name, inputs)
            outputs = await served.run(signature, inputs, rows)
        kept = {name: array for name, array in outputs.items() if not only or name in only}
        return Answer(version, signature.name, kept, signature.batched)

    def definitions(self, wanted: Wanted) -> tuple[int, Mapping[str, Any]]:
        """A version's number and its SignatureDef messages. Raises ServingError."""
        with self.servables.use(wanted) as (version, served):
            return version, served.model.definitions

    def inputs_of(self, wanted: Wanted, signature_name: str) -> Signature:
        """The signature that a request is for. Raises ServingError."""
        with self.servables.use(wanted) as (_, served):
            return served.model.signature(signature_name)

    def statuses(self, wanted: Wanted) -> list[Version[Served]]:
        """The versions of a model. Raises ServingError."""
        return self.servables.statuses(wanted)

    async def reload(self, message: Any) -> None:
        """Serve what a ModelServerConfig says. Raises ServingError."""
        await self.servables.reload(read_configs(message, self._settings.models_dir))

    def close(self) -> None:
        """Wait for the runs under way, and run no more."""
        self._executor.shutdown(cancel_futures=True)

    def _load(self, folder: Path) -> Served:
        model = SavedModel(folder)
        model.warm_up(tuple(size for size in _WARM_ROWS if size <= self._settings.max_batch_size))
        return Served(model, self._executor, self._settings)
