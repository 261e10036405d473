"""Flags are made from a kind's parameters, and give back exactly what was asked for."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

import click
import pytest
from click.testing import CliRunner, Result
from pydantic import BaseModel, Field

from saccade.flags import chosen, flags
from saccade_core.kind import Params
from saccade_kinds import registry


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Step(BaseModel):
    op: str
    by: float = 1.0


class EverythingParams(Params):
    count: int = Field(default=5, ge=1, le=9, description="How many of them.")
    score: float | None = Field(default=None, gt=0)
    keep_all: bool = True
    colour: Colour = Colour.RED
    engine: Literal["fast", "slow"] = "fast"
    title: str = ""
    languages: list[str] = Field(default=["eng"])
    sizes: list[int] = Field(default=[])
    steps: list[Step] = Field(default=[])
    box: tuple[float, float, float, float] | None = None
    kernel: list[list[float]] = Field(default=[])
    extra: dict[str, Any] = Field(default={})
    mesh: Literal["face_mesh", "full_body"] = "full_body"
    meshes: list[Literal["face_mesh", "full_body"]] = Field(default=[])
    every: int | Literal["all"] = 1
    url: str = ""


def given(*args: str) -> Any:
    """What a command with these flags sends as parameters."""
    result = _invoke(EverythingParams, *args)
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


def _hyphens(text: str) -> str:
    return text.replace("_", "-")


def _invoke(params: type[Params], *args: str) -> Result:
    own = flags(params)

    def callback(**values: Any) -> None:
        click.echo(json.dumps(chosen(own, values)))

    settings: dict[str, Any] = {"token_normalize_func": _hyphens}
    command = click.Command("c", callback=callback, params=[flag.option for flag in own], context_settings=settings)
    return CliRunner().invoke(command, list(args))


def test_only_what_was_given_is_sent() -> None:
    assert given() == {}


@pytest.mark.parametrize(
    ("args", "params"),
    [
        (["--count", "3"], {"count": 3}),
        (["--score", "0.5"], {"score": 0.5}),
        (["--keep-all"], {"keep_all": True}),
        (["--no-keep-all"], {"keep_all": False}),
        (["--colour", "blue"], {"colour": "blue"}),
        (["--engine", "slow"], {"engine": "slow"}),
        (["--title", "12"], {"title": "12"}),
        (["--languages", "eng", "--languages", "deu"], {"languages": ["eng", "deu"]}),
        (["--languages", "eng, deu", "--languages", "fra"], {"languages": ["eng", "deu", "fra"]}),
        (["--languages", '["a, b"]'], {"languages": ["a, b"]}),
        (["--sizes", "1", "--sizes", "2"], {"sizes": [1, 2]}),
        (["--sizes", "1,2"], {"sizes": [1, 2]}),
        (["--meshes", "face_mesh,full-body"], {"meshes": ["face_mesh", "full_body"]}),
        (["--mesh", "face-mesh"], {"mesh": "face_mesh"}),
        (["--steps", '{"op": "a"}', "--steps", '[{"op": "b"}]'], {"steps": [{"op": "a"}, {"op": "b"}]}),
        (["--box", "[1, 2, 3, 4]"], {"box": [1, 2, 3, 4]}),
        (["--kernel", "[[1, 0], [0, 1]]"], {"kernel": [[1, 0], [0, 1]]}),
        (["--extra", '{"a": null}'], {"extra": {"a": None}}),
        (["--every", '"all"'], {"every": "all"}),
        (["--param-url", "x"], {"url": "x"}),
    ],
)
def test_each_type_of_parameter(args: list[str], params: dict[str, Any]) -> None:
    assert given(*args) == params
    EverythingParams.model_validate(params)


def test_json_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "steps.json"
    file.write_text('[{"op": "a", "by": 2}]')
    assert given("--steps", f"@{file}") == {"steps": [{"op": "a", "by": 2}]}


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--count", "10"], "not in the range 1<=x<=9"),
        (["--score", "0"], "not in the range x>0"),
        (["--engine", "warp"], "'warp' is not one of 'fast', 'slow'"),
        (["--mesh", "hand"], "'hand' is not one of 'face_mesh', 'full_body'"),
        (["--meshes", "face_mesh,hand"], "Repeat the option for several, or part them by commas"),
        (["--steps", "{op: a}"], "is not JSON"),
        (["--extra", "@/no/such/file"], "is not JSON"),
    ],
)
def test_wrong_values_are_named(args: list[str], message: str) -> None:
    result = _invoke(EverythingParams, *args)
    assert result.exit_code == 2
    assert message in result.output


def test_help_says_meaning_default_and_range() -> None:
    text = " ".join(_invoke(EverythingParams, "--help").output.split())
    assert "How many of them. [default: 5] [1<=x<=9]" in text
    assert "--keep-all / --no-keep-all" in text
    assert "--mesh [face_mesh|full_body]" in text
    assert "repeat the option for several, or part them by commas" in text
    assert 'repeat the option for several; each like {"op": "..."}' in text
    assert "like [1, 1, 1, 1]" in text


@pytest.mark.parametrize("name", list(registry.kinds()))
def test_every_kind_has_a_flag_for_every_parameter(name: str) -> None:
    params = registry.get(name).params
    assert [flag.name for flag in flags(params)] == list(params.model_fields)
    assert _invoke(params, "--help").exit_code == 0
