"""A search as files: its trials as a table, and what the model's card says of it."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from saccade_kinds.search_hyperparameters.contract import (
    MeasuredOn,
    SearchHyperparametersResult,
    SearchHyperparametersTrial,
)
from saccade_models.formats.cells import cell
from saccade_models.search.rounds import Search, Trial
from saccade_models.search.space import Choices, Domain

CARD = "model-card.md"
_REASON = {
    "trials": "all trials were run",
    "time_budget": "the time budget was used up",
    "nothing_left": "every choice was tried",
}
#: What the figures of the training's card are worth, by the part they were measured on.
_MEASURED: dict[MeasuredOn | None, str] = {
    "test": "The figures above, on the test part, took no part in the choice.",
    "valid": "No test part was kept: the figures above are on the validation part too, which chose this trial, and are "
    "too good for the same reason.",
    "train": "No test part was kept: the figures above are on rows that were learnt, and are too good.",
    None: "Whether the figures above are on data that took no part in the choice, the training does not say.",
}


def write_trials(path: Path, search: Search, done: Sequence[Trial], rows: Sequence[SearchHyperparametersTrial]) -> None:
    """A row for each trial."""
    names = sorted(search.space)
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["trial", "round", *names, "value", "best_so_far", "epochs_run", "seconds", "error"])
        for n, row in enumerate(rows):
            best = search.best(done[: n + 1])
            varied = [cell(_shown(row.params[name])) for name in names]
            found = [row.value, best.value if best else None, row.epochs_run, row.seconds]
            table.writerow([row.trial, row.round, *varied, *found, cell(row.error or "")])


def add_to_card(path: Path, space: Mapping[str, Domain], result: SearchHyperparametersResult) -> None:
    """Add to the card of the best trial's training how it was found."""
    best = result.best
    rows = [
        f"| {_code(name)} | {_code(_domain(domain))} | {_code(_shown(best.params[name]))}"
        f" | {result.importance.get(name, 0.0):.0%} |"
        for name, domain in sorted(space.items())
    ]
    rounds = f"{result.rounds} round{'s' if result.rounds > 1 else ''}"
    failed = f" {result.failed} of them failed." if result.failed else ""
    text = (
        f"\n## Search\n\nTrial {best.trial} of {len(result.trials)}, in {rounds}; it ended because "
        f"{_REASON[result.stopped_by]}.{failed} Trials were compared by {result.metric} (validation part, best epoch), "
        f"and this one had {best.value:.4g}: as the best of many, that figure is better than the model is. "
        f"{_MEASURED[result.measured_on]}\n\n"
        "| parameter | searched | chosen | importance |\n|---|---|---|---|\n" + "\n".join(rows) + "\n"
    )
    if not result.importance:
        text = (
            text.replace(" | importance |", " |").replace("|---|---|---|---|", "|---|---|---|").replace(" | 0% |", " |")
        )
    with path.open("a", encoding="utf-8") as file:
        file.write(text)


def _domain(domain: Domain) -> str:
    if isinstance(domain, Choices):
        return ", ".join(_shown(choice) for choice in domain.choices)
    how = ", by orders of magnitude" if domain.log else f", in steps of {domain.step:g}" if domain.step else ""
    return f"{domain.low:g} to {domain.high:g}{how}"


def _shown(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else value if isinstance(value, str) else json.dumps(value)


def _code(words: str) -> str:
    """As it is, never as Markdown."""
    plain = "".join(c if c.isprintable() and c not in "`|" else " " for c in words)[:200]
    return f"`{plain or ' '}`"
