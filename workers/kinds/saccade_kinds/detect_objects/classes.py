"""Which of a model's classes were asked for."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from saccade_core.errors import InvalidParams
from saccade_models.detectors import classes_of


def chosen_classes(labels: Sequence[str], asked: Sequence[str] | None) -> frozenset[int] | None:
    """The class ids of the labels ``asked`` for, None for all; raises InvalidParams, naming like ones, for a label
    that the model does not know."""
    if asked is None:
        return None
    known = classes_of(labels)
    for place, label in enumerate(asked):
        if label not in known.values():
            raise _unknown(place, label, list(known.values()))
    return frozenset(number for number, label in known.items() if label in asked)


def _unknown(place: int, label: str, known: list[str]) -> InvalidParams:
    close = get_close_matches(label.lower(), known, n=3) or [k for k in known if k in label.lower()]
    meant = f"did you mean {', '.join(map(repr, close))}?" if close else f"it knows {', '.join(known)}."
    return InvalidParams(
        f"The model knows no class {label!r}; {meant}", field=f"params.classes[{place}]", received=label
    )
