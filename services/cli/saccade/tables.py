"""How jobs, kinds and results look in a terminal."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from saccade.problems import SaccadeApiError
from saccade.results import MOST_ROWS, cut, more, plain, result_view, short
from saccade.watching import remedy
from saccade_core.jobs import Job, JobProblem, JobState
from saccade_core.kind import Kind

_STYLES = {
    JobState.SUCCEEDED: "green",
    JobState.FAILED: "red",
    JobState.CANCELLED: "yellow",
    JobState.RUNNING: "cyan",
}
_MOST_LINKS = 4


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
    that were skipped, each with the reason and the command that helps."""
    table = Table(title="Demo: one job of each kind", title_justify="left", title_style="bold")
    table.add_column("kind", no_wrap=True)
    table.add_column("state", no_wrap=True)
    table.add_column("seconds", justify="right", no_wrap=True)
    table.add_column("result")
    for job in jobs:
        took = (job.finished_at - job.created_at).total_seconds() if job.finished_at else None
        what = job.error.message if job.error else short(job.result or {})
        table.add_row(job.kind, state_text(job.state), "" if took is None else f"{took:.2f}", Text(what))
    for kind, reason in skipped.items():
        table.add_row(kind, Text("skipped", style="yellow"), "", Text(reason))
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
    if hint := remedy(job.progress.stage, job.pool):
        facts.add_row("", Text(hint))
    facts.add_row("created", f"{_ago(job.created_at)} ago")
    if job.queue_s is not None:
        facts.add_row("waited", _seconds(job.queue_s))
    if job.run_s is not None:
        facts.add_row("ran", f"{_seconds(job.run_s)}, attempt {job.attempts} of {job.max_attempts}")
    if job.provenance and job.provenance.models:
        facts.add_row("models", Text(", ".join(f"{m.name} {m.version}" for m in job.provenance.models)))
    facts.add_row("inputs", Text(plain(job.inputs)))
    facts.add_row("params", Text(plain(job.params)))
    parts: list[RenderableType] = [facts]
    if job.error:
        parts.append(problem_text(job.error))
    if job.result is not None:
        parts += [Text("result", style="bold"), Padding(result_view(job.result), (0, 0, 0, 2))]
    if job.artifacts:
        parts.append(Text("artefacts", style="bold"))
        parts += [
            Text(f"  {a.name}  {size(a.bytes)}  {url}{a.url}", no_wrap=True, overflow="ignore")
            for a in job.artifacts[:MOST_ROWS]
        ]
        parts += more(len(job.artifacts), MOST_ROWS)
    return Group(*parts)


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
        + (f" (received {cut(json.dumps(e.received))})" if e.received is not None else "")
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


def _ago(when: datetime) -> str:
    return _seconds(max(0.0, (datetime.now(UTC) - when).total_seconds()))


def _seconds(value: float | None) -> str:
    if value is None:
        return ""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if value >= 2 * length:
            return f"{value / length:.0f} {unit}"
    return f"{value:.1f} s" if value < 60 else f"{value:.0f} s"
