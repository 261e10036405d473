"""``/v1/models``: trained models, their versions, files and aliases; and the registered weights beside them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from saccade_core.errors import InvalidRequest, NotFound, NotServable, UnknownModel
from saccade_core.records import model_aliases, model_removal, models, removals
from saccade_core.records.model_tables import ModelAliasRow, ModelVersionRow
from saccade_core.registry_views import AliasItem, Comparison, ModelDetail, ModelItem, VersionDetail
from saccade_core.trained import (
    MAX_DIFFERENCE,
    MOST_VERSION,
    SERVED_FAMILIES,
    AliasName,
    Wanted,
    may_serve,
    read_wanted,
)
from saccade_gateway.access import SECURITY, Reader, Submitter
from saccade_gateway.downloads import Content, send
from saccade_gateway.model_views import (
    alias_item,
    comparison,
    media_type_of,
    trained_item,
    version_detail,
    version_item,
    weights_detail,
    weights_item,
)
from saccade_gateway.routes.jobs import json_only
from saccade_gateway.state import Gateway, Here, in_thread
from saccade_models import weights

router = APIRouter(prefix="/v1/models", tags=["models"], dependencies=SECURITY)

_MOST_COMPARED = 20
#: A version that an alias will stand for is loaded first, within this time.
_LOAD_S = 60.0

Name = Annotated[str, Path(description="The model's name", examples=["churn"])]
Version = Annotated[str, Path(description="The version's number, or an alias", examples=["3"])]
Alias = Annotated[AliasName, Path(examples=["production"])]
Limit = Annotated[int, Query(ge=1, le=1000)]


class ModelPage(BaseModel):
    """Models by name; ``next_cursor`` is null on the last page."""

    items: list[ModelItem]
    next_cursor: str | None


class AliasChange(BaseModel):
    """What an alias is to stand for."""

    model_config = ConfigDict(extra="forbid")

    version: int = Field(ge=1, le=MOST_VERSION, examples=[3])


@router.get("")
async def list_models(
    here: Here,
    caller: Reader,
    limit: Limit = 100,
    cursor: Annotated[str, Query(max_length=200, description="next_cursor of a page")] = "",
) -> ModelPage:
    """The models that the project has trained and the registered weights, told apart by ``source``, by name."""
    found = await in_thread(models.list_models, here.db, caller.project, after=cursor, limit=limit + 1)
    built_in = [weights_item(model) for name, model in weights.models().items() if name > cursor]
    items = sorted([*map(trained_item, found), *built_in], key=lambda item: item.name)
    page = items[:limit]
    return ModelPage(items=page, next_cursor=page[-1].name if len(items) > limit else None)


@router.get("/{name}")
async def get_model(
    *,
    name: Name,
    here: Here,
    caller: Reader,
    limit: Limit = 100,
    cursor: Annotated[int | None, Query(ge=1, le=MOST_VERSION, description="next_cursor of a page")] = None,
) -> ModelDetail:
    """One model: its versions, aliases and the aliases' latest changes; or the versions of registered weights."""
    if name in weights.models():
        return weights_detail(weights.models()[name])
    return await in_thread(_detail, here, caller.project, name, cursor, limit)


@router.get("/{name}/compare")
async def compare_versions(
    *,
    name: Name,
    here: Here,
    caller: Reader,
    versions: Annotated[str, Query(max_length=300, description="Numbers or aliases", examples=["1,2"])],
) -> Comparison:
    """Versions side by side: metrics, checks, the params that differ, and what data they came from."""
    texts = versions.split(",")
    if not 2 <= len(texts) <= _MOST_COMPARED:
        raise InvalidRequest(f"Compare 2 to {_MOST_COMPARED} versions.", field="versions", received=versions)
    wanted = [_wanted(name, text.strip()) for text in texts]
    return comparison(await in_thread(models.find_all, here.db, caller.project, wanted))


@router.get("/{name}/versions/{version}")
async def get_version(name: Name, version: Version, here: Here, caller: Reader) -> VersionDetail:
    """One version: metrics, checks, what it came from, and its files."""
    row = await in_thread(models.find, here.db, caller.project, _wanted(name, version))
    return version_detail(row, await in_thread(model_aliases.list_aliases, here.db, caller.project, name))


@router.delete("/{name}/versions/{version}", status_code=204)
async def delete_version(
    name: Name, version: Annotated[int, Path(ge=1, le=MOST_VERSION)], here: Here, caller: Submitter
) -> None:
    """Delete a version and its files; 409 while an alias stands for it or an unfinished job uses it. Its number is not
    given again."""
    keys = await in_thread(model_removal.delete_version, here.db, caller.project, name, version)
    await in_thread(here.remove_bytes, lambda: removals.carry_out(here.db, here.blobs, keys))


@router.head("/{name}/versions/{version}/files/{path:path}", include_in_schema=False)
@router.get("/{name}/versions/{version}/files/{path:path}", response_class=Response)
async def get_file(
    *, name: Name, version: Version, path: str, request: Request, here: Here, caller: Reader
) -> Response:
    """A file of a version (``model.h5``); Range is supported. Answers 307 where the object store serves it itself."""
    row = await in_thread(models.find, here.db, caller.project, _wanted(name, version))
    file = (row.files or {}).get(path)
    if file is None:
        raise NotFound(f"{name}@{row.version} has no file {path[:200]!r}.", field="path", received=path[:200])
    shown = f"{name}-{row.version}-{path.rpartition('/')[2]}"
    return await send(request, here, Content(file["key"], shown, media_type_of(path), file["bytes"], file["sha256"]))


@router.put("/{name}/aliases/{alias}")
async def set_alias(
    *,
    name: Name,
    alias: Alias,
    here: Here,
    caller: Submitter,
    _: Annotated[None, Depends(json_only)],
    body: AliasChange,
) -> AliasItem:
    """Let the alias stand for a version from now on. Where a model server is set up, it has loaded the version before
    this is answered. 409 for a version that may not be served: its SavedModel's outputs differ from its ``.h5``'s."""
    row = await in_thread(models.find, here.db, caller.project, Wanted(name, version=body.version))
    return await _switch(here, row, lambda: model_aliases.set_alias(here.db, caller.project, name, alias, body.version))


@router.post("/{name}/aliases/{alias}/rollback")
async def roll_back(name: Name, alias: Alias, here: Here, caller: Submitter) -> AliasItem:
    """Set the alias back to the version that it stood for before, if that is still there."""
    to = await in_thread(model_aliases.previous_version, here.db, caller.project, name, alias)
    row = await in_thread(models.find, here.db, caller.project, Wanted(name, version=to))
    return await _switch(here, row, lambda: model_aliases.roll_back(here.db, caller.project, name, alias, to))


@router.delete("/{name}/aliases/{alias}", status_code=204)
async def delete_alias(name: Name, alias: Alias, here: Here, caller: Submitter) -> None:
    """Remove an alias; the version stays."""
    await in_thread(model_aliases.remove_alias, here.db, caller.project, name, alias)


@router.delete("/{name}", status_code=204)
async def delete_model(name: Name, here: Here, caller: Submitter) -> None:
    """Delete a model with all versions, files and aliases; 409 while an unfinished job uses or trains it."""
    keys = await in_thread(model_removal.delete_model, here.db, caller.project, name)
    await in_thread(here.remove_bytes, lambda: removals.carry_out(here.db, here.blobs, keys))


async def _switch(here: Gateway, row: ModelVersionRow, change: Callable[[], ModelAliasRow]) -> AliasItem:
    """Change what an alias stands for, once the version can be served."""
    if row.family in SERVED_FAMILIES:
        _require_servable(row)
        await here.serving.wait_available(row, _LOAD_S)
    return alias_item(await in_thread(change))


def _require_servable(row: ModelVersionRow) -> None:
    if not may_serve(row.checks or {}):
        found = (row.checks or {}).get("saved_model")
        why = "is not there, or was not compared" if found is None else f"differs by {found:.3g}"
        raise NotServable(
            f"An alias is for versions whose SavedModel gives what their .h5 gives, within {MAX_DIFFERENCE:g}; that of "
            f"{row.name}@{row.version} {why}.",
            field="version",
            received=row.version,
        )


def _detail(here: Gateway, project: str, name: str, cursor: int | None, limit: int) -> ModelDetail:
    summary = models.get_model(here.db, project, name)
    aliases = model_aliases.list_aliases(here.db, project, name)
    history = model_aliases.alias_history(here.db, project, name)
    found: Sequence[ModelVersionRow] = models.list_versions(here.db, project, name, before=cursor, limit=limit + 1)
    return ModelDetail.model_construct(
        name=name,
        source="trained",
        family=summary.newest.family,
        aliases=[alias_item(alias) for alias in aliases],
        history=[alias_item(change) for change in history],
        versions=[version_item(row, aliases) for row in found[:limit]],
        next_cursor=found[limit - 1].version if len(found) > limit else None,
        weights=[],
    )


def _wanted(name: str, version: str) -> Wanted:
    wanted = read_wanted(f"{name}@{version}")
    if wanted is None:
        raise UnknownModel(f"There is no model {name[:80]!r} of version {version[:80]!r}.", field="name", received=name)
    return wanted
