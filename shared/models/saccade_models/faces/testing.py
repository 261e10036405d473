"""Galleries and clusters of faces for tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from saccade_core.kind import GalleryFiles

#: What the registered embedding network is called in a gallery.
MODEL = "mobilefacenet@1"


def unit(rows: ArrayLike) -> NDArray[np.float32]:
    """Rows at unit length, float32."""
    values = np.asarray(rows, dtype=np.float32)
    return values / np.linalg.norm(values, axis=-1, keepdims=True)


def people(
    count: int, photos: int, *, dimensions: int = 128, spread: float = 0.7, seed: int = 0
) -> tuple[NDArray[np.float32], NDArray[np.uint32]]:
    """Embeddings and owners of ``count`` invented people with ``photos`` each, row after row; two photos of one are
    about ``1 / (1 + spread ** 2)`` similar."""
    random = np.random.default_rng(seed)
    centers = unit(random.standard_normal((count, dimensions)))
    noise = unit(random.standard_normal((count, photos, dimensions))) * spread
    rows = unit((centers[:, None] + noise).reshape(-1, dimensions))
    return rows, np.repeat(np.arange(count, dtype=np.uint32), photos)


def gallery(
    folder: Path, faces: Mapping[str, Sequence[ArrayLike]], *, model: str = MODEL, dimensions: int = 128
) -> GalleryFiles:
    """A gallery's files in ``folder``, as a worker would bring them: embeddings by person."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [np.asarray(row, dtype=np.float32) for found in faces.values() for row in found]
    owners = [number for number, found in enumerate(faces.values()) for _ in found]
    embeddings, owned, names = folder / "embeddings", folder / "owners", folder / "faces"
    embeddings.write_bytes(np.asarray(rows, dtype=np.float32).tobytes())
    owned.write_bytes(np.asarray(owners, dtype=np.uint32).tobytes())
    names.write_text("".join(f"face_{number}\n" for number in range(len(rows))), "utf-8")
    return GalleryFiles(
        id="gallery_1",
        name="test",
        revision=1,
        model=model if rows else "",
        dimensions=dimensions if rows else 0,
        embeddings=embeddings,
        owners=owned,
        people=list(faces),
        faces=names,
    )
