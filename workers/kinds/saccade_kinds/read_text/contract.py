"""``read_text``: parameters and result."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from saccade_core.kind import Artifact, Input, Kind, Params, Result

#: Above these, the result holds the beginning, and ``text.txt`` and ``words.csv`` hold everything.
MAX_RESULT_WORDS = 20_000
MAX_RESULT_CHARACTERS = 500_000

ReadTextOutput = Literal["text", "searchable_pdf", "hocr", "words_csv", "overlay"]


class ReadTextParams(Params):
    """How a document is read and what is made of it."""

    engine: Literal["tesseract", "rapidocr"] = Field(
        default="tesseract",
        description="tesseract: fast, many languages. rapidocr: three times as slow, better on photos and receipts; "
        "reads Latin script and Chinese, and knows no columns",
    )
    languages: list[Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z_]{1,30}$")]] = Field(
        default=["eng"],
        min_length=1,
        max_length=8,
        description="Tesseract's language codes (eng, deu, fra ...), the main one first; rapidocr does not need them",
    )
    dpi: int = Field(
        default=200,
        ge=50,
        le=600,
        description="Resolution at which PDF pages are drawn, and in whose pixels their boxes are; "
        "pictures keep their own pixels",
    )
    layout: Literal[
        "auto",
        "auto_rotate",
        "single_column",
        "vertical_block",
        "single_block",
        "single_line",
        "single_word",
        "sparse",
        "sparse_rotate",
        "raw_line",
    ] = Field(
        default="auto",
        description="What tesseract expects on a page; the two with rotate also read pages that lie on a side or "
        "upside down",
    )
    text_layer: Literal["auto", "never"] = Field(
        default="auto",
        description="auto: a PDF page's own text is taken where it has one. never: every page is read by OCR",
    )
    fields: Literal["invoice", "receipt"] | None = Field(
        default=None, description="Find the fields of an invoice or receipt (date, total, company ...)"
    )
    outputs: list[ReadTextOutput] = Field(
        default=["text", "searchable_pdf", "hocr", "words_csv", "overlay"],
        max_length=5,
        description="Artefacts to make",
    )
    max_failure_rate: float = Field(
        default=0.5,
        ge=0.0,
        le=1.0,
        description="Share of pages that may be unreadable before the job fails; they are listed in failed_pages",
    )


class ReadTextWord(Result):
    """A word and its box ``[x1, y1, x2, y2]`` in pixels of the page."""

    text: str
    score: float = Field(ge=0, le=1, description="1.0 for words of a text layer")
    box: tuple[int, int, int, int]


class ReadTextPage(Result):
    """A page that was read, its words in reading order."""

    number: int = Field(ge=1)
    width: int = Field(description="Pixels")
    height: int = Field(description="Pixels")
    source: Literal["ocr", "text_layer"]
    rotation: Literal[0, 90, 180, 270] = Field(description="Degrees by which the text is turned clockwise on the page")
    words: list[ReadTextWord]


class ReadTextFailedPage(Result):
    """A page that could not be read."""

    number: int = Field(ge=1)
    message: str


class ReadTextFields(Result):
    """What an invoice or a receipt says; null where it was not found. Dates are ISO 8601 (2025-12-31)."""

    issuer: str | None = Field(default=None, description="The company or shop")
    address: str | None = Field(default=None, description="The shop's address (receipts)")
    date: str | None = None
    date_due: str | None = None
    invoice_number: str | None = Field(default=None, description="Else the number of the receipt or document")
    currency: str | None = Field(default=None, description="ISO 4217 code")
    total: float | None = Field(default=None, description="Amount to pay, with tax")
    amount_untaxed: float | None = None
    amount_tax: float | None = None
    vat: str | None = Field(default=None, description="The issuer's tax number, without blanks")


class ReadTextResult(Result):
    """Text and words; of long documents the beginning (``truncated``), with everything in the artefacts."""

    text: str = Field(description=f"All pages, parted by a form feed; at most {MAX_RESULT_CHARACTERS:,} characters")
    pages: list[ReadTextPage] = Field(description=f"At most {MAX_RESULT_WORDS:,} words over all pages")
    failed_pages: list[ReadTextFailedPage]
    fields: ReadTextFields | None
    word_count: int = Field(description="Words on all pages")
    truncated: bool = Field(description="Whether text or words were cut; text.txt and words.csv then hold all")


KIND = Kind(
    name="read_text",
    pool="cpu",
    summary="Read the text of a picture, PDF or multi-page TIFF",
    inputs={
        "document": Input(
            accepts=("image", "application/pdf"),
            description="A picture (JPEG, PNG, WebP, BMP, GIF), a TIFF or a PDF, up to 2,000 pages",
        )
    },
    params=ReadTextParams,
    result=ReadTextResult,
    artifacts=(
        Artifact("text.txt", "The text of all pages, parted by form feeds"),
        Artifact("words.csv", "Every word with page, paragraph, line, score and box, an apostrophe before a formula"),
        Artifact("page-*.hocr", "A page's words with their layout, as hOCR"),
        Artifact("searchable.pdf", "The pages as they were, with their text to select and search"),
        Artifact("overlay*.png", "A page with its words framed: overlay.png, of several pages overlay-1.png ..."),
    ),
    time_limit_s=4 * 3600.0,
)
