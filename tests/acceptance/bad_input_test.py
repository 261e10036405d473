"""Hostile and odd input over HTTP: each has a clear answer, or works."""

from __future__ import annotations

import io
import struct
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fpdf
import httpx
import pypdfium2
import pytest
from PIL import Image

from saccade_core.jobs import Job, JobState
from saccade_models.video_testing import no_frames, numbered_clip, with_damage
from servers.stack import Stack

pytestmark = pytest.mark.stack

GROW: dict[str, Any] = {"operations": [{"op": "resize", "percent": 50}]}


def _ended(stack: Stack, path: Path, kind: str, name: str, **params: Any) -> Job:
    job = stack.client.submit(kind, {name: stack.client.upload(path).id}, params)
    return stack.client.wait(job.id, timeout_s=90)


def _failure(job: Job) -> tuple[str, str, str | None]:
    """Code, message and field of a job that failed at the first attempt, because another could not help."""
    assert job.state is JobState.FAILED and job.error is not None
    assert job.attempts == 1 and not job.error.retryable
    return job.error.code, job.error.message, job.error.field


def _picture(**save: Any) -> bytes:
    stream = io.BytesIO()
    picture = Image.effect_noise((160, 90), 80).convert("RGB")
    picture.save(stream, **save)
    return stream.getvalue()


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _giant_png() -> bytes:
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    rows = zlib.compress(b"\0" * 100_000)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", rows) + _chunk(b"IEND", b"")


def test_not_an_image_is_refused_at_once(stack: Stack, tmp_path: Path) -> None:
    text = tmp_path / "holiday.jpg"
    text.write_text("I am a text that calls itself a picture.")
    with httpx.Client(base_url=stack.url) as http:
        file = http.post("/v1/files", files={"file": ("holiday.jpg", text.read_bytes(), "image/jpeg")}).json()
        answer = http.post("/v1/jobs", json={"kind": "edit_image", "inputs": {"image": file["id"]}, "params": GROW})
    assert answer.status_code == 415
    assert answer.headers["content-type"].startswith("application/problem+json")
    [problem] = answer.json()["errors"]
    assert problem["field"] == "inputs.image" and problem["received"] == "text/plain"


@pytest.mark.parametrize(
    ("name", "data", "code", "words"),
    [
        ("cut.jpg", lambda: _picture(format="JPEG")[:-1500], "unreadable_input", "cut.jpg"),
        ("giant.png", _giant_png, "input_too_large", "60000"),
        (
            "moving.gif",
            lambda: _picture(format="GIF", save_all=True, append_images=[Image.new("RGB", (160, 90), "red")]),
            "unreadable_input",
            "2 frames",
        ),
    ],
)
def test_bad_images_fail_with_the_reason(
    stack: Stack, tmp_path: Path, name: str, data: Callable[[], bytes], code: str, words: str
) -> None:
    path = tmp_path / name
    path.write_bytes(data())
    found, message, field = _failure(_ended(stack, path, "edit_image", "image", **GROW))
    assert (found, field) == (code, "inputs.image")
    assert words in message.replace(",", "")


@pytest.mark.parametrize(
    ("mode", "suffix", "channels"), [("CMYK", "jpg", 3), ("I;16", "png", 1), ("RGBA", "png", 4), ("P", "png", 3)]
)
def test_unusual_images_work(stack: Stack, tmp_path: Path, mode: str, suffix: str, channels: int) -> None:
    path = tmp_path / f"picture.{suffix}"
    Image.new(mode, (160, 90)).save(path)
    job = _ended(stack, path, "edit_image", "image", **GROW)
    assert job.state is JobState.SUCCEEDED, job.error
    assert job.result == {"width": 80, "height": 45, "channels": channels}


def test_a_rotated_photo_is_upright(stack: Stack, tmp_path: Path) -> None:
    """A red corner, stored with the EXIF note that the camera was turned, is found where a person sees it."""
    upright = Image.effect_noise((120, 200), 60).convert("RGB")
    upright.paste((255, 0, 0), (80, 10, 110, 40))
    template = tmp_path / "template.png"
    upright.crop((76, 6, 114, 44)).save(template)
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to see it upright
    photo = tmp_path / "photo.jpg"
    upright.transpose(Image.Transpose.ROTATE_90).save(photo, exif=exif, quality=98, subsampling=0)
    inputs = {"image": stack.client.upload(photo).id, "template": stack.client.upload(template).id}
    job = stack.client.wait(stack.client.submit("match_template", inputs, {"threshold": 0.7}).id, timeout_s=60)
    assert job.result is not None, job.error
    assert job.result["matches"][0]["box"] == pytest.approx([76, 6, 114, 44], abs=1)


def _pdf(pages: int, password: str | None = None) -> bytes:
    document = fpdf.FPDF()
    if password:
        document.set_encryption(owner_password="owner", user_password=password)
    for _ in range(pages):
        document.add_page(format=(50, 50))
    return bytes(document.output())


@pytest.mark.parametrize(
    ("data", "code", "words"),
    [
        (lambda: _pdf(1, "secret"), "encrypted_input", "password"),
        (lambda: b"%PDF-1.7\n" + b"broken " * 50, "unreadable_input", "PDF"),
        (lambda: _pdf(10_000), "input_too_large", "10000"),
    ],
    ids=["encrypted", "broken", "10,000 pages"],
)
def test_bad_pdfs_fail_with_the_reason(
    stack: Stack, tmp_path: Path, data: Callable[[], bytes], code: str, words: str
) -> None:
    path = tmp_path / "document.pdf"
    path.write_bytes(data())
    found, message, field = _failure(_ended(stack, path, "read_text", "document"))
    assert (found, field) == (code, "inputs.document")
    assert words in message.replace(",", "")


def test_the_pdf_of_10_000_pages_has_them() -> None:
    """The test above refuses it for its pages, not for being broken."""
    assert len(pypdfium2.PdfDocument(_pdf(10_000))) == 10_000


def _ffmpeg(path: Path, *options: str) -> Path:
    subprocess.run(["ffmpeg", "-loglevel", "error", "-y", *options, str(path)], check=True)
    return path


def test_a_video_without_frames_fails_with_the_reason(stack: Stack, tmp_path: Path) -> None:
    path = no_frames(tmp_path / "empty.mp4")
    code, message, field = _failure(_ended(stack, path, "extract_frames", "video"))
    assert (code, field) == ("unreadable_input", "inputs.video")
    assert "frame" in message


def test_a_video_with_a_broken_middle_gives_the_rest_and_names_the_gap(stack: Stack, tmp_path: Path) -> None:
    path = with_damage(numbered_clip(tmp_path / "whole.mp4", 120), tmp_path / "broken.mp4", 0.45, 0.5)
    job = _ended(stack, path, "extract_frames", "video", every_n=1)
    assert job.state is JobState.SUCCEEDED and job.result is not None, job.error
    assert job.result["gaps"]
    indices = [frame["index"] for frame in job.result["frames"]]
    assert indices[0] == 0 and indices[-1] == 119 and len(indices) < 120


def test_odd_sizes_and_a_changing_rate_work(stack: Stack, tmp_path: Path) -> None:
    path = _ffmpeg(
        tmp_path / "odd.mkv",
        *("-f", "lavfi", "-i", "testsrc=size=161x91:rate=30:duration=2"),
        *("-vf", "select='lt(n,20)+not(mod(n,3))'", "-fps_mode", "vfr", "-c:v", "ffv1"),
    )
    job = _ended(stack, path, "edit_video", "video", operations=[{"op": "grayscale"}])
    assert job.state is JobState.SUCCEEDED and job.result is not None, job.error
    video = job.result["video"]
    assert (video["width"], video["height"]) == (162, 92)
    assert video["duration_s"] == pytest.approx(2.0, abs=0.15)


@pytest.mark.parametrize(
    ("change", "status", "code", "field"),
    [
        ({"kind": "read_minds"}, 422, "unknown_kind", "kind"),
        ({"params": {"operations": [], "colour": 1}}, 422, "invalid_request", "params"),
        ({"params": {"operations": "blur"}}, 422, "invalid_request", "params.operations"),
        ({"inputs": {"image": "file_00000000000000000000000000"}}, 422, "unknown_reference", "inputs.image"),
        ({"inputs": {"image": 5}}, 422, "invalid_request", "inputs.image"),
        ({"max_attempts": 0}, 422, "invalid_request", "max_attempts"),
    ],
)
def test_bad_requests_name_field_value_and_rule(
    stack: Stack, tmp_path: Path, change: dict[str, Any], status: int, code: str, field: str
) -> None:
    picture = tmp_path / "a.png"
    picture.write_bytes(_picture(format="PNG"))
    file = stack.client.upload(picture).id
    body = {"kind": "edit_image", "inputs": {"image": file}, "params": GROW, **change}
    answer = httpx.post(f"{stack.url}/v1/jobs", json=body)
    assert answer.status_code == status, answer.text
    problem = answer.json()
    assert (problem["status"], problem["code"]) == (status, code)
    assert any(error["field"].startswith(field) and error["message"] for error in problem["errors"]), problem
    assert all("received" in error for error in problem["errors"])
