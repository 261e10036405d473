"""How models, versions and comparisons look in a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from saccade.results import cut, plain
from saccade.tables import size
from saccade_core.registry_views import Comparison, ModelDetail, ModelItem, VersionDetail, VersionItem

_FIGURES_SHOWN = 4
_ROWS_SHOWN = 50
_SHA_SHOWN = 12


def models_table(found: Sequence[ModelItem]) -> RenderableType:
    """One line for each model, trained ones first."""
    table = _table("MODEL", "SOURCE", "FAMILY", "NEWEST", "VERSIONS", "ALIASES", "SIZE", "TRAINED")
    for item in sorted(found, key=lambda item: (item.source != "trained", item.name)):
        aliases = ", ".join(f"{alias}={version}" for alias, version in item.aliases.items())
        made = _when(item.created_at) if item.created_at else ""
        cells = (item.name, item.source, item.family, item.version, str(item.versions), aliases, size(item.bytes), made)
        table.add_row(*map(Text, cells))
    return table


def model_view(found: ModelDetail) -> RenderableType:
    """One model: its aliases, their history, its versions."""
    head = Text(f"{found.name}: {found.source.replace('_', ' ')}, {found.family}")
    if found.source == "built_in":
        table = _table("VERSION", "SIZE", "SHA-256", "LICENCE", "")
        for each in found.weights:
            note = "stand-in" if each.stand_in else ""
            cells = (each.version, size(each.bytes), each.sha256[:_SHA_SHOWN], each.licence, note)
            table.add_row(*map(Text, cells))
        return Group(head, table)
    aliases = [Text(f"{a.alias} = {a.version}, since {_when(a.changed_at)}") for a in found.aliases]
    history = _table("CHANGED", "ALIAS", "TO VERSION")
    for change in found.history:
        history.add_row(*map(Text, (_when(change.changed_at), change.alias, str(change.version))))
    parts: list[RenderableType] = [head, *aliases, Text(), versions_table(found.versions)]
    if found.next_cursor is not None:
        parts.append(Text(f"older ones: saccade models versions {found.name}"))
    return Group(*parts, Text(), history) if found.history else Group(*parts)


def versions_table(found: Sequence[VersionItem]) -> RenderableType:
    """One line for each version, with the first figures that they have."""
    figures = list(dict.fromkeys(name for each in found for name in each.metrics))[:_FIGURES_SHOWN]
    table = _table("VERSION", "ALIASES", *figures, "FORMS", "SERVING", "SIZE", "TRAINED", "JOB")
    for each in found:
        cells = [
            str(each.version),
            ", ".join(each.aliases),
            *(_figure(each.metrics.get(name)) for name in figures),
            _forms(each),
            each.serving or "",
            size(each.bytes),
            _when(each.created_at),
            each.job,
        ]
        table.add_row(*map(Text, cells))
    return table


def version_view(name: str, found: VersionDetail) -> RenderableType:
    """Everything about one version."""
    facts = Table.grid(padding=(0, 2))
    aliases = f" ({', '.join(found.aliases)})" if found.aliases else ""
    facts.add_row("version", Text(f"{name}@{found.version}{aliases}"))
    facts.add_row("family", found.family)
    for figure, value in found.metrics.items():
        facts.add_row(Text(figure), _figure(value))
    for form, difference in found.checks.items():
        facts.add_row(Text(form), f"differs by {difference:.2g} from the .h5")
    if found.serving:
        facts.add_row("serving", Text(f"{found.serving} {found.serving_error or ''}".strip()))
    facts.add_row("trained", _when(found.created_at))
    facts.add_row("by", Text(f"{found.lineage.job} ({found.lineage.kind}), {found.lineage.code_version}"))
    facts.add_row("params", Text(plain(found.lineage.params)))
    for source, sha256 in found.lineage.data.items():
        facts.add_row(Text(source), f"SHA-256 {sha256}")
    for used in found.lineage.models:
        facts.add_row("from", Text(f"{used.name} {used.version}"))
    files = _table("FILE", "SIZE", "SHA-256")
    for file in found.files:
        files.add_row(*map(Text, (file.path, size(file.bytes), file.sha256[:_SHA_SHOWN])))
    return Group(facts, Text(), files)


def comparison_table(found: Comparison) -> RenderableType:
    """A column for each version: figures, checks, params that differ, data."""
    table = _table("", *(f"{found.name}@{version}" for version in found.versions))

    def add(name: str, values: Iterable[str]) -> None:
        table.add_row(*map(Text, (name, *values)))

    for metric, values in found.metrics.items():
        add(metric, map(_figure, values))
    for form, values in found.checks.items():
        add(f"{form} differs by", ("" if value is None else f"{value:.2g}" for value in values))
    for param, values in found.params.items():
        add(param, ("" if value is None else cut(plain(value)) for value in values))
    if found.same_data:
        add("data", ["the same"] * len(found.versions))
    else:
        for source, values in found.data.items():
            add(f"data: {source}", ((value or "")[:_SHA_SHOWN] for value in values))
    add("trained", map(_when, found.created_at))
    add("job", found.jobs)
    return table


def predictions_table(answer: dict[str, Any]) -> RenderableType:
    """A line for each row: the label with its score and the next best, or the value."""
    model = answer["model"]
    table = _table("ROW", "PREDICTION", "SCORE", "NEXT")
    found: list[dict[str, Any]] = answer["predictions"]
    for number, each in enumerate(found[:_ROWS_SHOWN], start=1):
        value = each.get("value")
        prediction = str(each.get("label")) if value is None else f"{value:.6g}"
        others = ", ".join(f"{top['label']} {top['score']:.3f}" for top in (each.get("top") or [])[1:3])
        score = each.get("score")
        table.add_row(*map(Text, (str(number), prediction, "" if score is None else f"{score:.3f}", others)))
    rest = len(found) - _ROWS_SHOWN
    more = [Text(f"and {rest} more: --json shows all")] if rest > 0 else []
    return Group(table, *more, Text(f"by {model['name']}@{model['version']}"))


def _table(*columns: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, no_wrap=True)
    return table


def _forms(version: VersionItem) -> str:
    if not version.checks:
        return ""
    return "agree" if version.may_serve else "not served"


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _when(at: datetime) -> str:
    return f"{at.astimezone():%Y-%m-%d %H:%M}"
