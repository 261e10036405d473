"""Files on the command line find their inputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pytest

from saccade.references import assign, is_reference, resolve
from saccade_core.kind import Input, Kind, Params
from saccade_core.kind import Result as KindResult
from saccade_kinds import registry

IMAGE = Input(("image",), "A picture")
KIND = Kind(
    name="compare",
    pool="cpu",
    summary="",
    inputs={
        "image": IMAGE,
        "mask": Input(("image",), "Where to look", required=False),
        "others": Input(("image",), "More", many=True, required=False),
    },
    params=Params,
    result=KindResult,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://example.org/a.png", True),
        ("s3://bucket/a.png", True),
        ("data:image/png;base64,AA==", True),
        ("file_01J", True),
        ("job_01J/frames/1.jpg", True),
        ("./file_01J", False),
        ("file_01J.png", False),
        ("job_01J", False),
        ("a.png", False),
    ],
)
def test_references(text: str, expected: bool) -> None:
    assert is_reference(text) is expected


@pytest.mark.parametrize(
    ("files", "named", "expected"),
    [
        (["file_1"], [], {"image": ["file_1"]}),
        (["file_1", "file_2"], [], {"image": ["file_1"], "mask": ["file_2"]}),
        (
            ["file_1", "file_2", "file_3", "file_4"],
            [],
            {"image": ["file_1"], "mask": ["file_2"], "others": ["file_3", "file_4"]},
        ),
        (["file_1", "file_3"], ["mask=file_2"], {"mask": ["file_2"], "image": ["file_1"], "others": ["file_3"]}),
        (["file_1"], ["others=file_2", "others=file_3"], {"others": ["file_2", "file_3"], "image": ["file_1"]}),
    ],
)
def test_files_go_to_inputs_in_order(files: list[str], named: list[str], expected: dict[str, Any]) -> None:
    assert assign(KIND, files, named) == expected


@pytest.mark.parametrize(
    ("files", "named", "message"),
    [
        ([], [], "also needs: image"),
        (["no-such-file.png"], [], "no-such-file.png is not a file here"),
        (["file_1"], ["masks=file_2"], "not NAME=FILE with a name of: image, mask, others"),
        (["file_1"], ["mask=file_2", "mask=file_3"], "mask takes one file, not 2"),
    ],
)
def test_what_does_not_fit_is_refused(files: list[str], named: list[str], message: str) -> None:
    with pytest.raises(click.UsageError, match=message):
        assign(KIND, files, named)


def test_local_files_are_uploaded_and_references_left(tmp_path: Path) -> None:
    local = tmp_path / "a.png"
    local.write_bytes(b"x")
    uploaded: list[Path] = []

    def upload(path: Path) -> str:
        uploaded.append(path)
        return "file_9"

    inputs = resolve(KIND, assign(KIND, [str(local), "file_2", "file_3"], []), upload)
    assert inputs == {"image": "file_9", "mask": "file_2", "others": ["file_3"]}
    assert uploaded == [local]


def test_an_optional_input_is_passed_over_for_a_file_that_it_does_not_take() -> None:
    kind = registry.get("predict")
    assert assign(kind, ["https://a/new.csv"], []) == {"table": ["https://a/new.csv"]}
    assert assign(kind, ["https://a/1.png", "https://a/2.png"], []) == {
        "images": ["https://a/1.png", "https://a/2.png"]
    }
    assert assign(kind, ["file_1"], []) == {"table": ["file_1"]}
