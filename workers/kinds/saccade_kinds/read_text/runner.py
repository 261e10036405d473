"""Runs ``read_text``."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from saccade_core.kind import Context, Inputs
from saccade_kinds.read_text.contract import (
    MAX_RESULT_CHARACTERS,
    MAX_RESULT_WORDS,
    ReadTextFailedPage,
    ReadTextFields,
    ReadTextPage,
    ReadTextParams,
    ReadTextResult,
    ReadTextWord,
)
from saccade_kinds.read_text.outputs import PAGE_BREAK, Outputs
from saccade_kinds.read_text.pages import Options, PageReader, PageSettings, ReadPage
from saccade_models.documents import open_document
from saccade_models.engines import rapidocr, tesseract
from saccade_models.fields import find_fields
from saccade_models.page_text import PageText


def run(inputs: Inputs, params: ReadTextParams, context: Context) -> ReadTextResult:
    """Read the document page by page; see the contract."""
    file = inputs.one("document")
    with _engine(params, context) as (read, engine), open_document(file, dpi=params.dpi) as document:
        outputs = Outputs(document, params, context, engine)
        one_at_a_time = len(document) == 1 or params.engine == "rapidocr"
        reader = PageReader(
            document,
            Options(
                read=read,
                draw=outputs.draw if "overlay" in params.outputs else None,
                parallel=1 if one_at_a_time else PageSettings().page_parallel,
                ignore_text_layer=params.text_layer == "never",
                max_failure_rate=params.max_failure_rate,
                field=file.field,
            ),
            context,
        )
        reader.read_all()
        texts = [reader.texts[number] for number in sorted(reader.texts)]
        truncated = _is_long(texts)
        outputs.write(texts, everything=truncated)
    return ReadTextResult(
        text=PAGE_BREAK.join(text.text() for text in texts)[:MAX_RESULT_CHARACTERS],
        pages=_pages(texts),
        failed_pages=[
            ReadTextFailedPage(number=number, message=error.message)
            for number, error in sorted(reader.failures.items())
        ],
        fields=_fields(texts, params),
        word_count=sum(len(text.words) for text in texts),
        truncated=truncated,
    )


@contextmanager
def _engine(params: ReadTextParams, context: Context) -> Generator[tuple[ReadPage, str]]:
    """The reading function of the engine asked for, and its name with version."""
    if params.engine == "rapidocr":
        version = rapidocr.version()
        context.uses_model("rapidocr", version)
        yield (lambda _number, image, _dpi: rapidocr.read(image)), f"rapidocr {version}"
        return
    # The lines of a receipt are one block of full width; column finding tears prices off their names.
    receipt = params.fields == "receipt" and params.layout == "auto"
    layout = "single_block" if receipt else params.layout
    reader = tesseract.TesseractReader(context.scratch, params.languages, layout)
    context.uses_model("tesseract", tesseract.version())
    try:
        yield reader.read, f"tesseract {tesseract.version()}"
    finally:
        reader.stop()


def _pages(texts: list[PageText]) -> list[ReadTextPage]:
    left = MAX_RESULT_WORDS
    pages: list[ReadTextPage] = []
    for text in texts:
        words = text.words[:left]
        left -= len(words)
        pages.append(
            ReadTextPage(
                number=text.number,
                width=text.width,
                height=text.height,
                source=text.source,
                rotation=text.rotation(),
                words=[ReadTextWord(text=w.text, score=round(w.score, 4), box=w.box) for w in words],
            )
        )
    return pages


def _is_long(texts: list[PageText]) -> bool:
    words = sum(len(text.words) for text in texts)
    return words > MAX_RESULT_WORDS or sum(len(text.text()) for text in texts) > MAX_RESULT_CHARACTERS


def _fields(texts: list[PageText], params: ReadTextParams) -> ReadTextFields | None:
    if params.fields is None:
        return None
    found = find_fields(texts, params.fields)
    return ReadTextFields.model_validate(found, from_attributes=True)
