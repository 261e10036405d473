"""Galleries over HTTP: making, listing, pictures, and removals with their receipts."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import httpx
import pytest

from saccade_core.blobs import Blobs
from saccade_core.errors import StorageFailed
from saccade_core.ids import new_id
from saccade_core.records import galleries, leases
from saccade_core.records.galleries import NewFace, picture_prefix
from saccade_gateway.testing import Serve, Served, image_request

PHOTO = b"\xff\xd8" + b"photo" * 100


def enrol(gateway: Served, api: httpx.Client, person: str, files: Sequence[str], gallery: str = "staff") -> list[str]:
    """What a worker does in a job that enrols: a face for each file; the faces' ids."""
    request = image_request()
    request["inputs"] = {"image": files[0]}
    job = gateway.claim(api.post("/v1/jobs", json=request).json()["id"])
    row = galleries.ensure_gallery(gateway.db, job.project, gallery)
    faces: list[NewFace] = []
    for file in files:
        face_id = new_id("face")
        prefix = picture_prefix(row.id, face_id)
        for name in ("crop", "photo"):
            gateway.app.state.gateway.blobs.put_bytes(f"{prefix}{name}.jpg", PHOTO, "image/jpeg")
        faces.append(
            NewFace(
                id=face_id,
                person=person,
                model="network@1",
                embedding=struct.pack("<2f", 0.6, 0.8),
                quality={"sharpness": 2.5},
                crop_key=f"{prefix}crop.jpg",
                photo_key=f"{prefix}photo.jpg",
                source=f"inputs.image={file}",
                source_sha256="0" * 64,
                file_id=file,
            )
        )
    leases.succeed(
        gateway.db,
        job.id,
        job.token,
        result={},
        artifacts=[],
        provenance={},
        progress={},
        also=lambda session: galleries.add_faces(session, row.id, job.id, faces),
    )
    return [face.id for face in faces]


def upload(api: httpx.Client) -> str:
    return api.post("/v1/files", files={"file": ("a.png", b"\x89PNG\r\n\x1a\n0", "image/png")}).json()["id"]


def keys(gateway: Served) -> list[str]:
    return sorted(stat.key for stat in gateway.app.state.gateway.blobs.list())


def test_a_gallery_is_made_once_and_listed(api: httpx.Client) -> None:
    made = api.post("/v1/galleries", json={"name": "staff"})
    assert (made.status_code, made.headers["location"]) == (201, "/v1/galleries/staff")
    expected = {"name": "staff", "people": 0, "faces": 0, "model": None, "dimensions": None, "revision": 0}
    assert expected.items() <= made.json().items()
    again = api.post("/v1/galleries", json={"name": "staff"})
    assert (again.status_code, again.json()["code"]) == (409, "conflict")
    api.post("/v1/galleries", json={"name": "visitors"})
    page = api.get("/v1/galleries", params={"limit": 1}).json()
    assert ([item["name"] for item in page["items"]], page["next_cursor"]) == (["staff"], "staff")
    rest = api.get("/v1/galleries", params={"cursor": page["next_cursor"]}).json()
    assert ([item["name"] for item in rest["items"]], rest["next_cursor"]) == (["visitors"], None)
    assert api.get("/v1/galleries/staff").json() == made.json()


@pytest.mark.parametrize("body", [{}, {"name": "a/b"}, {"name": ""}, {"name": 1}, {"name": "a", "more": 1}])
def test_a_name_that_is_none_is_refused(shared_api: httpx.Client, body: dict[str, Any]) -> None:
    answer = shared_api.post("/v1/galleries", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("DELETE", ""),
        ("GET", "/people"),
        ("GET", "/people/Ann"),
        ("DELETE", "/people/Ann"),
        ("DELETE", "/faces/face_1"),
        ("GET", "/faces/face_1/crop"),
    ],
)
def test_a_gallery_that_is_not_there(shared_api: httpx.Client, method: str, path: str) -> None:
    answer = shared_api.request(method, f"/v1/galleries/none{path}")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert answer.headers["content-type"] == "application/problem+json"


def test_people_and_their_faces_are_told(gateway: Served, api: httpx.Client) -> None:
    file = upload(api)
    [face] = enrol(gateway, api, "Zoë O'Neil 100%", [file])
    enrol(gateway, api, "Ann", [file, file])
    assert api.get("/v1/galleries/staff").json()["people"] == 2
    first = api.get("/v1/galleries/staff/people", params={"limit": 1}).json()
    assert [(p["name"], p["faces"]) for p in first["items"]] == [("Ann", 2)]
    [zoe] = api.get("/v1/galleries/staff/people", params={"cursor": first["next_cursor"]}).json()["items"]
    person = api.get(zoe["url"]).json()
    [told] = person["faces"]
    assert (person["gallery"], person["name"], told["id"]) == ("staff", "Zoë O'Neil 100%", face)
    assert (told["quality"], told["source"], told["source_sha256"]) == (
        {"sharpness": 2.5},
        f"inputs.image={file}",
        "0" * 64,
    )
    assert told["job"].startswith("job_")
    for url in (told["crop_url"], told["photo_url"]):
        picture = api.get(url)
        assert (picture.status_code, picture.content, picture.headers["content-type"]) == (200, PHOTO, "image/jpeg")
        part = api.get(url, headers={"Range": "bytes=2-6"})
        assert (part.status_code, part.content) == (206, b"photo")
        assert api.get(url, headers={"If-None-Match": picture.headers["etag"]}).status_code == 304
        assert api.head(url).headers["content-length"] == str(len(PHOTO))
    assert api.get(f"/v1/galleries/staff/faces/{face}/secret").status_code == 422
    assert api.get("/v1/galleries/staff/people/Nobody").status_code == 404


def test_a_person_is_deleted_with_a_receipt(gateway: Served, api: httpx.Client) -> None:
    own, shared = upload(api), upload(api)
    faces = enrol(gateway, api, "Ann", [own, shared])
    enrol(gateway, api, "Ben", [shared])
    answer = api.delete("/v1/galleries/staff/people/Ann")
    receipt = answer.json()
    assert answer.status_code == 200
    assert receipt["removed"] == {"faces": 2, "embeddings": 2, "crops": 2, "photos": 2, "files": [own]}
    assert (receipt["gallery"], receipt["person"], receipt["revision"]) == ("staff", "Ann", 3)
    assert {"what": shared, "why": "another enrolled face was found in it"} in receipt["kept"]
    assert receipt["at"].endswith("Z")
    assert not any(face in key or own in key for key in keys(gateway) for face in faces)
    assert api.get(f"/v1/files/{own}").status_code == 404
    assert api.get(f"/v1/files/{shared}").status_code == 200
    assert api.get("/v1/galleries/staff/people/Ann").status_code == 404
    assert api.get(f"/v1/galleries/staff/faces/{faces[0]}/crop").status_code == 404
    assert api.delete("/v1/galleries/staff/people/Ann").status_code == 404


def test_a_face_and_a_gallery_are_deleted(gateway: Served, api: httpx.Client) -> None:
    first, _ = enrol(gateway, api, "Ann", [upload(api), upload(api)])
    receipt = api.delete(f"/v1/galleries/staff/faces/{first}").json()
    assert (receipt["person"], receipt["removed"]["faces"]) == ("Ann", 1)
    receipt = api.delete("/v1/galleries/staff").json()
    assert (receipt["person"], receipt["removed"]["faces"], len(receipt["removed"]["files"])) == (None, 1, 1)
    assert keys(gateway) == []
    assert api.get("/v1/galleries").json() == {"items": [], "next_cursor": None}


def test_a_receipt_does_not_tell_of_bytes_that_are_still_there(
    gateway: Served, api: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    enrol(gateway, api, "Ann", [upload(api)])

    def away(*_: object) -> None:
        raise StorageFailed("away")

    monkeypatch.setattr(Blobs, "delete_prefix", away)
    receipt = api.delete("/v1/galleries/staff/people/Ann").json()
    assert receipt["removed"] == {"faces": 1, "embeddings": 1, "crops": 0, "photos": 0, "files": []}
    assert "the object store did not answer" in receipt["kept"][0]["why"]


def test_roles_and_projects(serve: Serve) -> None:
    with serve() as gateway:
        clients = {role: gateway.client(gateway.key(role)) for role in ("read", "submit")}
        stranger = gateway.client(gateway.key("admin", "other"))
        with clients["read"] as reader, clients["submit"] as submitter, stranger:
            assert reader.post("/v1/galleries", json={"name": "staff"}).status_code == 403
            assert submitter.post("/v1/galleries", json={"name": "staff"}).status_code == 201
            [face] = enrol(gateway, submitter, "Ann", [upload(submitter)])
            assert reader.get(f"/v1/galleries/staff/faces/{face}/crop").status_code == 200
            for path in ("", "/people/Ann", f"/faces/{face}"):
                assert reader.delete(f"/v1/galleries/staff{path}").status_code == 403
                assert stranger.delete(f"/v1/galleries/staff{path}").status_code == 404
            assert stranger.get(f"/v1/galleries/staff/faces/{face}/crop").status_code == 404
            assert stranger.get("/v1/galleries").json()["items"] == []
            assert submitter.delete("/v1/galleries/staff/people/Ann").status_code == 200
