"""What every kind of job must keep, whoever wrote it: its sample, through the real stack, and its refusals."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from pydantic import ValidationError

from saccade.problems import SaccadeApiError
from saccade_core.errors import InputError, JobError
from saccade_core.jobs import Job, JobState
from saccade_core.kind import Kind, Params
from saccade_kinds import registry
from servers.stack import Stack

pytestmark = pytest.mark.stack

KINDS = list(registry.kinds())
INPUT_ERRORS = {cls.code for cls in [InputError, *InputError.__subclasses__()]}


def _inputs(stack: Stack, kind: str) -> dict[str, Any]:
    """The sample's files, uploaded: a reference, or a list of them, by input name."""
    return _uploaded(stack, registry.sample(kind))


def _uploaded(stack: Stack, sample: registry.Sample) -> dict[str, Any]:
    declared = registry.get(sample.kind).inputs
    sent = {n: [stack.client.upload(f).id for f in files] for n, files in sample.files.items()}
    return {name: ids if declared[name].many else ids[0] for name, ids in sent.items()}


def _finished(stack: Stack, sample: registry.Sample) -> Job:
    job = stack.client.submit(sample.kind, _uploaded(stack, sample), sample.params)
    return stack.client.wait(job.id, timeout_s=120)


@pytest.fixture(scope="module")
def done(stack: Stack) -> Callable[[str], Job]:
    """The finished job of a kind's sample, after those that it needs; each is run once."""
    jobs: dict[str, Job] = {}

    def run(kind: str) -> Job:
        if kind not in jobs:
            for earlier in registry.sample(kind).before:
                assert _finished(stack, earlier).state is JobState.SUCCEEDED
            jobs[kind] = _finished(stack, registry.sample(kind))
        return jobs[kind]

    return run


@pytest.mark.parametrize("kind", KINDS)
def test_sample_params_survive_a_round_trip(kind: str) -> None:
    model = registry.get(kind).params
    params = model.model_validate(registry.sample(kind).params)
    assert model.model_validate_json(params.model_dump_json()) == params


@pytest.mark.parametrize("kind", KINDS)
def test_params_that_have_no_default_are_asked_for(kind: str) -> None:
    model = registry.get(kind).params
    required = {name for name, field in model.model_fields.items() if field.is_required()}
    assert _complaints(model, {}) == {("missing", name) for name in required}
    assert required <= set(registry.sample(kind).params)


def _complaints(model: type[Params], given: dict[str, Any]) -> set[tuple[str | int, ...]]:
    try:
        model.model_validate(given)
    except ValidationError as error:
        return {(told["type"], *told["loc"]) for told in error.errors()}
    return set()


@pytest.mark.parametrize("kind", [name for name in KINDS if registry.get(name).parts])
def test_a_kind_with_parts_can_plan_run_and_join_them(kind: str) -> None:
    runner = registry.load_parts_runner(kind)
    assert callable(runner.plan) and callable(runner.run_part) and callable(runner.join)


@pytest.mark.parametrize("kind", KINDS)
def test_sample_succeeds_with_a_valid_result(kind: str, done: Callable[[str], Job]) -> None:
    job = done(kind)
    assert job.state is JobState.SUCCEEDED, job.error
    result = registry.get(kind).result.model_validate(job.result)
    assert json.loads(result.model_dump_json()) == job.result
    assert job.attempts == 1
    assert job.progress.fraction == 1.0
    assert job.run_s is not None and job.queue_s is not None


@pytest.mark.parametrize("kind", KINDS)
def test_artefacts_are_declared_whole_and_openable(
    kind: str, done: Callable[[str], Job], stack: Stack, tmp_path: Path
) -> None:
    job = done(kind)
    assert job.artifacts
    patterns = [a.name for a in registry.get(kind).artifacts]
    for artifact in job.artifacts:
        assert any(fnmatch(artifact.name, pattern) for pattern in patterns), artifact.name
        data = stack.client.download(job.id, artifact.name, tmp_path / artifact.name).read_bytes()
        assert len(data) == artifact.bytes
        assert hashlib.sha256(data).hexdigest() == artifact.sha256
        if artifact.name.endswith((".h5", ".pt", ".onnx")):
            _open_network(artifact.name, data)
        else:
            _open(artifact.media_type, data)


def _open_network(name: str, data: bytes) -> None:
    """Look whether the bytes are a network of the form that the name says; the kinds' own tests load and run them."""
    match Path(name).suffix:
        case ".h5":
            assert data.startswith(b"\x89HDF\r\n\x1a\n")
        case ".pt":
            _open("application/zip", data)
        case _:
            import onnx

            onnx.checker.check_model(onnx.load_from_string(data))


def _open(media_type: str, data: bytes) -> None:
    """Read the bytes as what they are said to be; any fault raises."""
    match media_type.split("/"):
        case ["image", _]:
            Image.open(io.BytesIO(data)).load()
        case ["video", _]:
            import av

            with av.open(io.BytesIO(data), "r") as container:
                assert sum(1 for _ in container.decode(video=0)) > 0
        case ["application", "pdf"]:
            import pypdfium2

            assert len(pypdfium2.PdfDocument(data)) > 0
        case ["text", "csv"]:
            import csv

            rows = list(csv.reader(io.StringIO(data.decode("utf-8")), strict=True))
            assert len({len(row) for row in rows}) == 1
        case ["text", _]:
            assert data.decode("utf-8").strip()
        case ["application", "json"]:
            json.loads(data)
        case ["application", "x-ndjson"]:
            lines = data.decode("utf-8").splitlines()
            assert lines and all(isinstance(json.loads(line), dict) for line in lines)
        case ["application", "zip"]:
            import zipfile

            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                assert archive.namelist() and archive.testzip() is None
        case _:
            pytest.fail(f"an artefact of type {media_type}: teach this test to open it")


@pytest.mark.parametrize("kind", KINDS)
def test_provenance_names_the_inputs_and_the_code(kind: str, done: Callable[[str], Job]) -> None:
    provenance = done(kind).provenance
    assert provenance is not None
    files = [path for paths in registry.sample(kind).files.values() for path in paths]
    assert sorted(provenance.input_sha256.values()) == sorted(
        hashlib.sha256(path.read_bytes()).hexdigest() for path in files
    )
    assert kind in provenance.code_version
    assert len(provenance.params_digest) == 64
    assert provenance.models, "a runner says which engine it used"


@pytest.mark.parametrize("kind", KINDS)
def test_events_tell_the_way(kind: str, done: Callable[[str], Job], stack: Stack) -> None:
    events = list(stack.client.events(done(kind).id, last_event_id="0"))
    fractions = [e.data["fraction"] for e in events if e.type == "progress"]
    assert fractions and fractions[-1] <= 1.0
    assert {"state", "progress", "artifact", "done"} <= {e.type for e in events}
    assert events[-1].type == "done"


@pytest.mark.parametrize("kind", KINDS)
def test_the_catalogue_shows_it(kind: str, stack: Stack) -> None:
    shown = stack.client.get(f"/v1/kinds/{kind}")
    declared: Kind = registry.get(kind)
    assert shown["name"] == kind
    assert shown["params"] == declared.params.model_json_schema()
    assert set(shown["inputs"]["properties"] if "properties" in shown["inputs"] else shown["inputs"]) == set(
        declared.inputs
    )


def _refusal(stack: Stack, kind: str, inputs: dict[str, Any], params: dict[str, Any]) -> SaccadeApiError:
    with pytest.raises(SaccadeApiError) as caught:
        stack.client.submit(kind, inputs, params)
    return caught.value


@pytest.mark.parametrize("kind", KINDS)
def test_unknown_and_wrong_parameters_are_refused(kind: str, stack: Stack) -> None:
    inputs = _inputs(stack, kind)
    unknown = _refusal(stack, kind, inputs, {**registry.sample(kind).params, "no_such_parameter": 1})
    assert unknown.status == 422
    assert unknown.errors[0].field == "params.no_such_parameter"
    for name, schema in registry.get(kind).params.model_json_schema()["properties"].items():
        value = 17 if schema.get("type") == "object" else {"not": ["of", "this", "type"]}
        wrong = _refusal(stack, kind, inputs, {name: value})
        assert wrong.status == 422
        assert any(str(e.field).startswith(f"params.{name}") for e in wrong.errors), wrong.errors


@pytest.mark.parametrize("kind", KINDS)
def test_missing_and_unknown_inputs_are_refused(kind: str, stack: Stack) -> None:
    params = dict(registry.sample(kind).params)
    for name, declared in registry.get(kind).inputs.items():
        inputs = _inputs(stack, kind)
        stranger = "file_00000000000000000000000000"
        gone = _refusal(stack, kind, {**inputs, name: [stranger] if declared.many else stranger}, params)
        assert (gone.status, gone.code) == (422, "unknown_reference")
        if declared.required:
            del inputs[name]
            missing = _refusal(stack, kind, inputs, params)
            assert missing.status == 422
            assert any(str(e.field).startswith(f"inputs.{name}") for e in missing.errors), missing.errors


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_of_another_type_is_refused(kind: str, stack: Stack, tmp_path: Path) -> None:
    readme, dot = tmp_path / "readme.txt", tmp_path / "dot.png"
    readme.write_text("This is neither a picture nor a film.\n" * 20)
    Image.new("L", (1, 1)).save(dot)
    references = {"text/plain": stack.client.upload(readme).id, "image/png": stack.client.upload(dot).id}
    for name, declared in registry.get(kind).inputs.items():
        reference = next(found for media_type, found in references.items() if not declared.takes(media_type))
        inputs = {**_inputs(stack, kind), name: [reference] if declared.many else reference}
        refused = _refusal(stack, kind, inputs, dict(registry.sample(kind).params))
        assert (refused.status, refused.code) == (415, "unsupported_media_type")
        assert str(refused.errors[0].field).startswith(f"inputs.{name}")


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_of_the_right_head_and_no_body_fails_clearly(
    kind: str, done: Callable[[str], Job], stack: Stack, tmp_path: Path
) -> None:
    done(kind)  # so that what the sample needs is there
    for name, files in registry.sample(kind).files.items():
        broken = tmp_path / files[0].name
        broken.write_bytes(files[0].read_bytes()[:64] + b"\0" * 64)
        reference = stack.client.upload(broken).id
        declared = registry.get(kind).inputs[name]
        inputs = {**_inputs(stack, kind), name: [reference] if declared.many else reference}
        job = stack.client.submit(kind, inputs, registry.sample(kind).params)
        ended = stack.client.wait(job.id, timeout_s=60)
        assert ended.state is JobState.FAILED
        assert ended.error is not None
        assert ended.error.code in INPUT_ERRORS, ended.error
        assert ended.error.field is not None and name in ended.error.field
        assert ended.attempts == 1
        assert str(stack.data_dir) not in ended.error.message


@pytest.mark.parametrize("kind", KINDS)
def test_cancel_ends_a_job_that_waits(kind: str, stack: Stack) -> None:
    later = "2100-01-01T00:00:00Z"
    job = stack.client.submit(kind, _inputs(stack, kind), registry.sample(kind).params, run_at=later)
    assert job.state is JobState.WAITING
    assert stack.client.cancel(job.id).state is JobState.CANCELLED
    assert stack.client.job(job.id).artifacts == []


@pytest.mark.parametrize("kind", KINDS)
def test_cancel_of_a_job_under_way_leaves_it_in_one_final_state(kind: str, stack: Stack) -> None:
    job = stack.client.submit(kind, _inputs(stack, kind), registry.sample(kind).params)
    stack.client.cancel(job.id)
    ended = stack.client.wait(job.id, timeout_s=10)
    assert ended.state in (JobState.CANCELLED, JobState.SUCCEEDED)
    assert bool(ended.result) == (ended.state is JobState.SUCCEEDED)


def test_error_codes_of_jobs_are_unique() -> None:
    codes = [cls.code for cls in [*InputError.__subclasses__(), *JobError.__subclasses__()]]
    assert len(codes) == len(set(codes))
