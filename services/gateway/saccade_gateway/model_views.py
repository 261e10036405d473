"""The model registry's records as users see them."""

from __future__ import annotations

import json
import mimetypes
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from saccade_core.jobs import ModelUsed, utc
from saccade_core.records.model_tables import ModelAliasChangeRow, ModelAliasRow, ModelVersionRow
from saccade_core.records.models import ModelSummary
from saccade_core.registry_views import (
    AliasItem,
    Comparison,
    Lineage,
    ModelDetail,
    ModelFile,
    ModelItem,
    VersionDetail,
    VersionItem,
    WeightsItem,
)
from saccade_core.trained import may_serve
from saccade_models.weights import RegisteredModel


def trained_item(found: ModelSummary) -> ModelItem:
    """A trained model in a list."""
    newest = found.newest
    return ModelItem.model_construct(
        name=newest.name,
        source="trained",
        family=newest.family,
        version=str(newest.version),
        versions=found.versions,
        aliases=dict(found.aliases),
        bytes=found.bytes,
        created_at=utc(newest.created_at),
        url=f"/v1/models/{newest.name}",
    )


def weights_item(model: RegisteredModel) -> ModelItem:
    """Registered weights in a list."""
    return ModelItem.model_construct(
        name=model.name,
        source="built_in",
        family=model.family,
        version=model.versions[0].version,
        versions=len(model.versions),
        aliases={},
        bytes=model.versions[0].bytes,
        created_at=None,
        url=f"/v1/models/{model.name}",
    )


def weights_detail(model: RegisteredModel) -> ModelDetail:
    """Registered weights with their versions."""
    found = [
        WeightsItem(
            version=each.version,
            sha256=each.sha256,
            bytes=each.bytes,
            licence=each.licence,
            origin=each.source,
            stand_in=each.stand_in,
        )
        for each in model.versions
    ]
    return ModelDetail(name=model.name, source="built_in", family=model.family, weights=found)


def alias_item(row: ModelAliasRow | ModelAliasChangeRow) -> AliasItem:
    """An alias, or a change of one."""
    return AliasItem.model_construct(alias=row.alias, version=row.version, changed_at=utc(row.changed_at))


def version_item(row: ModelVersionRow, aliases: Sequence[ModelAliasRow]) -> VersionItem:
    """A version; ``aliases`` are the model's."""
    return VersionItem.model_construct(**_version(row, aliases))


def version_detail(row: ModelVersionRow, aliases: Sequence[ModelAliasRow]) -> VersionDetail:
    """A version with its lineage and files."""
    files: dict[str, dict[str, Any]] = row.files or {}
    lineage = row.lineage or {}
    return VersionDetail.model_construct(
        **_version(row, aliases),
        facts=row.facts or {},
        roles=row.roles or {},
        lineage=Lineage(
            job=row.job_id,
            kind=lineage.get("kind", ""),
            data=lineage.get("data", {}),
            params=lineage.get("params", {}),
            code_version=lineage.get("code_version", ""),
            device=lineage.get("device", ""),
            models=[ModelUsed(**used) for used in lineage.get("models", [])],
        ),
        files=[
            ModelFile(
                path=path,
                media_type=media_type_of(path),
                bytes=file["bytes"],
                sha256=file["sha256"],
                url=f"{_url(row)}/files/{quote(path)}",
            )
            for path, file in sorted(files.items())
        ],
    )


def media_type_of(path: str) -> str:
    """The media type of a version's file, by its name."""
    return mimetypes.guess_type(path)[0] or "application/octet-stream"


def comparison(rows: Sequence[ModelVersionRow]) -> Comparison:
    """Versions of one model side by side."""
    lineages = [row.lineage or {} for row in rows]
    params = _side_by_side([lineage.get("params", {}) for lineage in lineages])
    data = _side_by_side([lineage.get("data", {}) for lineage in lineages])
    return Comparison.model_construct(
        name=rows[0].name,
        versions=[row.version for row in rows],
        metrics=_side_by_side([row.metrics or {} for row in rows]),
        checks=_side_by_side([row.checks or {} for row in rows]),
        params={name: values for name, values in params.items() if _differ(values)},
        data=data,
        same_data=not any(_differ(values) for values in data.values()),
        code_versions=[lineage.get("code_version", "") for lineage in lineages],
        jobs=[row.job_id for row in rows],
        created_at=[utc(row.created_at) for row in rows],
    )


def _version(row: ModelVersionRow, aliases: Sequence[ModelAliasRow]) -> dict[str, Any]:
    return {
        "version": row.version,
        "family": row.family,
        "metrics": row.metrics or {},
        "checks": row.checks or {},
        "may_serve": may_serve(row.checks or {}),
        "serving": row.serving,
        "serving_error": row.serving_error,
        "aliases": [alias.alias for alias in aliases if alias.version == row.version],
        "bytes": row.bytes,
        "sha256": row.sha256,
        "job": row.job_id,
        "created_at": utc(row.created_at),
        "url": _url(row),
    }


def _url(row: ModelVersionRow) -> str:
    return f"/v1/models/{row.name}/versions/{row.version}"


def _side_by_side(found: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    names = dict.fromkeys(name for each in found for name in each)
    return {name: [each.get(name) for each in found] for name in names}


def _differ(values: Sequence[Any]) -> bool:
    return len({json.dumps(value, sort_keys=True) for value in values}) > 1
