"""How jobs, kinds and results look in a terminal."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, cast

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from saccade.problems import SaccadeApiError
from saccade_core.jobs import Job, JobProblem, JobState
from saccade_core.kind import Kind

_STYLES = {
    JobState.SUCCEEDED: "green",
    JobState.FAILED: "red",
    JobState.CANCELLED: "yellow",
    JobState.RUNNING: "cyan",
}
_MOST_ROWS = 20
_MOST_LINES = 30
_MOST_LINKS = 4
_SHORT = 60


def state_text(state: JobState) -> Text:
    """A state in its colour."""
    return Text(state.value, style=_STYLES.get(state, ""))


def jobs_table(jobs: Iterable[Job]) -> Table:
    """One line for each job; its id is never shortened."""
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("JOB", no_wrap=True, min_width=30)
    table.add_column("KIND", no_wrap=True)
    table.add_column("STATE", no_wrap=True, min_width=9)
    table.add_column("AGE", no_wrap=True, justify="right", min_width=6)
    table.add_column("RUN", no_wrap=True, justify="right", min_width=6)
    table.add_column("STAGE", overflow="fold")
    for job in jobs:
        stage = "" if job.state.final else f"{job.progress.fraction:.0%} {job.progress.stage}".strip()
        note = job.error.code if job.error else stage
        table.add_row(job.id, job.kind, state_text(job.state), _ago(job.created_at), _seconds(job.run_s), Text(note))
    return table


def kinds_table(kinds: Iterable[Kind]) -> Table:
    """One line for each kind of job."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("KIND", "INPUTS", "WHAT IT DOES"):
        table.add_column(name)
    for kind in kinds:
        inputs = ", ".join(f"{n}..." if i.many else n for n, i in kind.inputs.items())
        table.add_row(kind.name, Text(inputs), Text(kind.summary))
    return table


def demo_table(jobs: Iterable[Job], skipped: Mapping[str, str]) -> Table:
    """One line for each demo job: kind, state, seconds from request to end, the result in short; then the kinds
    that were skipped, each with the command that gets the model it needs."""
    table = Table(title="Demo: one job of each kind", title_justify="left", title_style="bold")
    table.add_column("kind", no_wrap=True)
    table.add_column("state", no_wrap=True)
    table.add_column("seconds", justify="right", no_wrap=True)
    table.add_column("result")
    for job in jobs:
        took = (job.finished_at - job.created_at).total_seconds() if job.finished_at else None
        what = job.error.message if job.error else short(job.result or {})
        table.add_row(job.kind, state_text(job.state), "" if took is None else f"{took:.2f}", Text(what))
    for kind, command in skipped.items():
        table.add_row(kind, Text("skipped", style="yellow"), "", Text(f"a model is not here: {command}"))
    return table


def links(job: Job, url: str) -> list[str]:
    """Addresses of the job and of its artefacts, the list's address instead of very many."""
    shown = [f"{url}{artifact.url}" for artifact in job.artifacts[:_MOST_LINKS]]
    if len(job.artifacts) > _MOST_LINKS:
        shown[-1] = f"{url}{job.links.artifacts} ({len(job.artifacts)} artefacts)"
    return [f"{url}{job.links.self}", *shown]


def job_view(job: Job, url: str) -> RenderableType:
    """Everything about one job."""
    facts = Table.grid(padding=(0, 2))
    facts.add_row("job", job.id)
    facts.add_row("kind", job.kind)
    facts.add_row("state", state_text(job.state))
    if not job.state.final:
        facts.add_row("progress", Text(f"{job.progress.fraction:.0%} {job.progress.stage}"))
    facts.add_row("created", f"{_ago(job.created_at)} ago")
    if job.queue_s is not None:
        facts.add_row("waited", _seconds(job.queue_s))
    if job.run_s is not None:
        facts.add_row("ran", f"{_seconds(job.run_s)}, attempt {job.attempts} of {job.max_attempts}")
    if job.provenance and job.provenance.models:
        facts.add_row("models", Text(", ".join(f"{m.name} {m.version}" for m in job.provenance.models)))
    facts.add_row("inputs", Text(_plain(job.inputs)))
    facts.add_row("params", Text(_plain(job.params)))
    parts: list[RenderableType] = [facts]
    if job.error:
        parts.append(problem_text(job.error))
    if job.result is not None:
        parts += [Text("result", style="bold"), Padding(result_view(job.result), (0, 0, 0, 2))]
    if job.artifacts:
        parts.append(Text("artefacts", style="bold"))
        parts += [
            Text(f"  {a.name}  {size(a.bytes)}  {url}{a.url}", no_wrap=True, overflow="ignore")
            for a in job.artifacts[:_MOST_ROWS]
        ]
        parts += _more(len(job.artifacts), _MOST_ROWS)
    return Group(*parts)


def result_view(result: Mapping[str, Any]) -> RenderableType:
    """A result: plain fields in a line each, texts as they are, lists of objects as tables."""
    parts: list[RenderableType] = []
    for name, value in result.items():
        if isinstance(value, str) and "\n" in value.strip():
            lines = value.strip().splitlines()
            parts += [Text(f"{name}:"), Padding(Text("\n".join(lines[:_MOST_LINES])), (0, 0, 0, 2))]
            parts += _more(len(lines), _MOST_LINES, "lines")
        elif isinstance(value, list) and value and all(isinstance(item, dict) for item in cast("list[Any]", value)):
            parts += [Text(f"{name}:"), *_rows(cast("list[dict[str, Any]]", value))]
        else:
            parts.append(Text(f"{name}: {_pairs(value) if isinstance(value, dict) else _plain(value)}"))
    return Group(*parts)


def short(result: Mapping[str, Any]) -> str:
    """A result in one line: plain values as they are, lists by their length."""
    words: list[str] = []
    for name, value in result.items():
        if isinstance(value, list):
            words.append(f"{len(cast('list[Any]', value))} {name}")
        elif isinstance(value, dict):
            words.append(f"{name} ({_cut(_pairs(value))})" if value else "")
        elif value is not None and value is not False and value != "":
            words.append(f"{name} {_cut(' '.join(_plain(value).split()))}")
    return ", ".join(word for word in words if word)


def problem_text(error: JobProblem) -> Text:
    """Why a job failed, and whether it helps to try again."""
    where = f" ({error.field})" if error.field else ""
    hint = "\nTrying again may help: saccade retry JOB" if error.retryable else ""
    return Text.assemble((f"{error.code}{where}: ", "bold red"), error.message, hint)


class LastingConsole(Console):
    """A console whose reader may leave (``saccade up | head``): what is said after that is said to nobody."""

    def on_broken_pipe(self) -> None:
        self.quiet = True


def api_error_text(error: SaccadeApiError) -> str:
    """A problem document in lines."""
    fields = [
        f"  {e.field}"
        + (f": {e.message}" if e.message != error.message else "")
        + (f" (received {_cut(json.dumps(e.received))})" if e.received is not None else "")
        for e in error.errors
    ]
    return "\n".join([f"{error.code} ({error.status}): {error.message}", *fields])


def size(number: int) -> str:
    """Bytes for people."""
    value = float(number)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"


def print_json(console: Console, value: Any) -> None:
    """JSON for programs: no colours, no wrapping."""
    console.print(json.dumps(value, indent=2, ensure_ascii=False), markup=False, highlight=False, soft_wrap=True)


def _rows(items: list[dict[str, Any]]) -> list[RenderableType]:
    names = list(dict.fromkeys(name for item in items[:_MOST_ROWS] for name in item))
    table = Table(box=None, header_style="dim", pad_edge=False)
    for name in names:
        table.add_column(name, overflow="fold")
    for item in items[:_MOST_ROWS]:
        table.add_row(*(Text(_cell(item.get(name))) for name in names))
    return [Padding(table, (0, 0, 0, 2)), *_more(len(items), _MOST_ROWS)]


def _more(count: int, shown: int, what: str = "") -> list[RenderableType]:
    return [Text(f"  ... and {count - shown} more {what}".rstrip(), style="dim")] if count > shown else []


def _plain(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, float):
        return str(round(value, 3))
    if isinstance(value, list) and all(isinstance(v, int | float | str) for v in cast("list[Any]", value)):
        return ", ".join(_plain(v) for v in cast("list[Any]", value)) or "none"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _cell(value: Any) -> str:
    if isinstance(value, list) and any(isinstance(item, dict) for item in cast("list[Any]", value)):
        return f"{len(cast('list[Any]', value))} of them"
    return "" if value is None else _cut(_plain(value))


def _pairs(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} {_plain(value)}" for name, value in values.items() if value is not None) or "none"


def _cut(text: str) -> str:
    return text if len(text) <= _SHORT else f"{text[: _SHORT - 3]}..."


def _ago(when: datetime) -> str:
    return _seconds(max(0.0, (datetime.now(UTC) - when).total_seconds()))


def _seconds(value: float | None) -> str:
    if value is None:
        return ""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if value >= 2 * length:
            return f"{value / length:.0f} {unit}"
    return f"{value:.1f} s" if value < 60 else f"{value:.0f} s"
