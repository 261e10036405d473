"""The model card: what was learnt from what, how well, and how to use it, as Markdown for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from saccade_core.trained import TrainedRef
from saccade_models.training.baseline import Baseline
from saccade_models.training.params import EpochRow, Finding, StoppedBy, TrainingParams
from saccade_models.training.scores import Scores

#: Classes whose own figures are told; of more, the ``report``'s other files have them.
MOST_CLASSES = 30
_STOPPED: Mapping[StoppedBy, str] = {
    "epochs": "all epochs were run",
    "patience": "no better epoch for `patience` epochs",
    "time_budget": "the time budget was used up",
    "diverged": "the loss was no number any more",
}


@dataclass(frozen=True, slots=True)
class Card:
    """What a card tells. ``rows`` counts each part's; ``checks`` are ``TrainedModel.checks``; ``measured_on`` is the
    part that ``scores`` and ``baseline`` are of. ``inputs`` says in a sentence what the network takes."""

    model: TrainedRef
    task: str
    what: str
    dataset: str
    dataset_sha256: str
    inputs: str
    rows: Mapping[str, int]
    parameters: int
    params: TrainingParams
    history: Sequence[EpochRow]
    best_epoch: int
    stopped_by: StoppedBy
    measured_on: str
    scores: Scores
    baseline: Baseline
    findings: Sequence[Finding]
    checks: Mapping[str, float] = field(default_factory=dict[str, float])
    notes: Sequence[str] = ()


def write_card(path: Path, card: Card) -> None:
    """Write the card; names from outside are shown as they are, never as Markdown."""
    parts = [_head(card), _data(card), _figures(card), _classes(card), _course(card), _settings(card), _use(card)]
    path.write_text("\n\n".join(p for p in parts if p) + "\n", encoding="utf-8")


def _head(card: Card) -> str:
    kind = {"binary": "two classes", "multiclass": "several classes", "regression": "a number"}[card.task]
    return (
        f"# {card.model.name}, version {card.model.version}\n\n{card.what} It predicts {kind}, and has"
        f" {card.parameters:,} parameters. {card.inputs}".rstrip()
    )


def _data(card: Card) -> str:
    names = {"train": "training", "valid": "validation", "test": "test"}
    lines = [f"| {names.get(part, part)} | {count:,} |" for part, count in card.rows.items()]
    notes = "".join(f"\n- {_safe(n)}" for n in card.notes)
    table = "\n".join(["| part | rows |", "|---|---|", *lines])
    digest = f", sha256 `{card.dataset_sha256}`" if card.dataset_sha256 else ""
    return f"## Data\n\n{_safe(card.dataset)}{digest}.\n\n{table}" + (f"\n{notes}" if notes else "")


def _figures(card: Card) -> str:
    seen = " (nothing was kept apart: these rows were trained on)" if card.measured_on == "train" else ""
    linear = card.baseline.linear or {}
    rows = [
        f"| {name} | {value:.4g} | {_number(linear.get(name))} | {_number(card.baseline.blind.get(name))} |"
        for name, value in card.scores.metrics.items()
    ]
    notes = "".join(f"\n- {_safe(n)}" for n in [*card.scores.notes, *card.baseline.notes])
    blind = "mean" if card.task == "regression" else "most frequent class"
    table = "\n".join([f"| | network | linear model | {blind} |", "|---|---|---|---|", *rows])
    part = {"train": "training", "valid": "validation", "test": "test"}.get(card.measured_on, card.measured_on)
    return f"## Figures on the {part} part{seen}\n\n{table}" + (f"\n{notes}" if notes else "")


def _classes(card: Card) -> str:
    found = card.scores.classes[:MOST_CLASSES]
    if not found:
        return ""
    rows = [
        f"| {_safe(c.label)} | {c.rows} | {_number(c.precision)} | {_number(c.recall)} | {_number(c.f1)} |"
        for c in found
    ]
    hidden = len(card.scores.classes) - len(found)
    more = f"\n\n{hidden} more classes are not told here." if hidden else ""
    return "\n".join(["| class | rows | precision | recall | F1 |", "|---|---|---|---|---|", *rows]) + more


def _course(card: Card) -> str:
    told = "\n".join(f"- {f.text}" for f in card.findings)
    seconds = sum(r.seconds for r in card.history)
    return (
        f"## Training\n\n{len(card.history)} epochs in {seconds:.1f} s; the best was {card.best_epoch}; it ended"
        f" because {_STOPPED[card.stopped_by]}.\n\n{told}"
    )


def _settings(card: Card) -> str:
    rows = [f"| {name} | {_safe(str(value))} |" for name, value in card.params.model_dump(mode="json").items()]
    return "\n".join(["| parameter | value |", "|---|---|", *rows])


def _use(card: Card) -> str:
    checks = "\n".join(f"| {name} | {value:.2g} |" for name, value in card.checks.items())
    table = (
        f"Largest difference of each form's outputs from the `.h5`'s on held-out rows:\n\n| form | difference |\n"
        f"|---|---|\n{checks}\n\n"
        if checks
        else ""
    )
    return (
        f"## Use\n\n{table}```python\nimport keras\n\nmodel = keras.models.load_model('model.h5', compile=False)\n"
        "outputs = model.predict(inputs)\n```\n\n"
        "`preprocess.json` says how raw inputs become the network's; `POST /v1/models/"
        f"{card.model.name}/predict` does both."
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _safe(words: str) -> str:
    """On one line, with every character that Markdown or HTML could take for its own behind a backslash."""
    line = " ".join("".join(c if c.isprintable() else " " for c in words).split())[:300]
    return "".join(f"\\{c}" if c in "\\`*_{}[]<>#|!$~" else c for c in line)
