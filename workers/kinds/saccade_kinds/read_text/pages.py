"""Reads a document's pages side by side, past unreadable ones, and remembers the finished ones."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from pydantic import Field, TypeAdapter, ValidationError

from saccade_core.errors import EncryptedInput, InputTooLarge, UnreadableInput
from saccade_core.kind import Context
from saccade_core.settings import ProcessSettings
from saccade_models.documents import Document, Page
from saccade_models.images import Pixels
from saccade_models.page_text import PageText, Word

PageError = UnreadableInput | InputTooLarge | EncryptedInput
#: Reads one page: number, image, dpi or None.
ReadPage = Callable[[int, Pixels, int | None], list[Word]]
#: Draws one page's words: image, text.
DrawPage = Callable[[Pixels, PageText], None]

_POLL_S = 0.2
_CHECKPOINT: TypeAdapter[PageText] = TypeAdapter(PageText)


class PageSettings(ProcessSettings):
    """How many pages of one document a worker reads at a time."""

    page_parallel: int = Field(
        default_factory=lambda: len(os.sched_getaffinity(0)),
        ge=1,
        description="Pages of one document read at the same time; by default one for each core",
    )


@dataclass(frozen=True, slots=True)
class Options:
    """``draw`` is called for every page where given; ``ignore_text_layer`` reads all by OCR."""

    read: ReadPage
    draw: DrawPage | None
    parallel: int
    ignore_text_layer: bool
    max_failure_rate: float
    field: str


@dataclass
class PageReader:
    """Use ``read_all`` once. pdfium is only called by the calling thread, the engines by others."""

    document: Document
    options: Options
    context: Context
    texts: dict[int, PageText] = field(default_factory=dict[int, PageText])
    failures: dict[int, PageError] = field(default_factory=dict[int, PageError])
    _pending: dict[Future[PageText], int] = field(default_factory=dict[Future[PageText], int])

    def read_all(self) -> None:
        """Fill ``texts`` and ``failures``; raises when too many pages fail, and Cancelled within a fraction of 1 s."""
        executor = ThreadPoolExecutor(self.options.parallel, thread_name_prefix="read-page")
        try:
            for number in range(1, len(self.document) + 1):
                self._start(executor, number)
                self._collect(until=self.options.parallel - 1)
            self._collect(until=0)
        finally:
            executor.shutdown(wait=False, cancel_futures=True)

    def _start(self, executor: ThreadPoolExecutor, number: int) -> None:
        try:
            page = self.document.page(number)
        except (UnreadableInput, InputTooLarge) as error:
            self._fail(number, error)
            return
        try:
            known = self._restore(number) or self._from_text_layer(page, number)
            if known and not self.options.draw:
                self.texts[number] = known
                return
            work = partial(_work, self.options, number, page.image(), page.dpi, known)
            self._pending[executor.submit(work)] = number
        except (UnreadableInput, InputTooLarge) as error:
            self._fail(number, error)
        finally:
            page.close()

    def _from_text_layer(self, page: Page, number: int) -> PageText | None:
        words = [] if self.options.ignore_text_layer else page.text_layer()
        return PageText(number, page.width, page.height, "text_layer", words) if words else None

    def _collect(self, until: int) -> None:
        """Take in finished pages; wait while more than ``until`` are being read."""
        while True:
            timeout = _POLL_S if len(self._pending) > until else 0
            finished, _ = wait(self._pending, timeout, FIRST_COMPLETED)
            for future in finished:
                self._finish(self._pending.pop(future), future)
            self.context.progress(len(self.texts) + len(self.failures), len(self.document), "pages")
            if len(self._pending) <= until:
                return

    def _finish(self, number: int, future: Future[PageText]) -> None:
        try:
            self.texts[number] = future.result()
        except (UnreadableInput, InputTooLarge) as error:
            self._fail(number, error)
        else:
            self._keep(self.texts[number])

    def _fail(self, number: int, error: PageError) -> None:
        self.failures[number] = error
        total = len(self.document)
        if len(self.failures) <= self.options.max_failure_rate * total:
            self.context.log(f"Page {number} could not be read: {error.message}")
            return
        if total == 1:
            error.field = error.field or self.options.field
            raise error
        raise UnreadableInput(
            f"{len(self.failures)} of {total} pages could not be read, more than max_failure_rate "
            f"{self.options.max_failure_rate:g} allows; page {number}: {error.message}",
            field=self.options.field,
        ) from error

    def _checkpoint(self, number: int) -> Path:
        return self.context.checkpoints / f"page-{number:06d}.json"

    def _keep(self, text: PageText) -> None:
        if len(self.document) > 1 and text.source == "ocr" and not self._checkpoint(text.number).exists():
            self._checkpoint(text.number).write_bytes(_CHECKPOINT.dump_json(text))
            self.context.save_checkpoint(self._checkpoint(text.number).name)

    def _restore(self, number: int) -> PageText | None:
        try:
            return _CHECKPOINT.validate_json(self._checkpoint(number).read_bytes())
        except (FileNotFoundError, ValidationError):  # never read, or its file was cut off
            return None


def _work(options: Options, number: int, image: Pixels, dpi: int | None, known: PageText | None) -> PageText:
    height, width = image.shape[:2]
    text = known or PageText(number, width, height, "ocr", options.read(number, image, dpi))
    if options.draw:
        options.draw(image, text)
    return text
