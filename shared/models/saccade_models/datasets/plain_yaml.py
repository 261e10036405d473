"""YAML from outside, without what lets a few bytes stand for millions of values: aliases, merge keys, tags."""

from __future__ import annotations

from typing import Any, cast

import yaml


class NotPlain(yaml.MarkedYAMLError):
    """YAML that uses more of the language than is read; ``problem`` says what, ``problem_mark`` where."""


class _PlainLoader(yaml.SafeLoader):
    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event: Any = self.peek_event()
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            raise NotPlain(
                problem="has an anchor or an alias (& or *): write out what it stands for",
                problem_mark=event.start_mark,
            )
        if getattr(event, "tag", None) is not None:
            raise NotPlain(problem="has a tag (!), which is not read", problem_mark=event.start_mark)
        return super().compose_node(parent, index)

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        for key, _ in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                raise NotPlain(
                    problem="has a merge key (<<): write out what it stands for", problem_mark=key.start_mark
                )
        super().flatten_mapping(node)


def read_mapping(data: bytes) -> tuple[dict[str, Any], dict[str, int]] | None:
    """A mapping's values, and the line of each key, from 1; None where the document is no mapping.

    Raises NotPlain, or what PyYAML raises: YAMLError, ValueError, OverflowError, RecursionError.
    """
    loader = _PlainLoader(data)
    try:
        tree = loader.get_single_node()
        if not isinstance(tree, yaml.MappingNode):
            return None
        values: Any = loader.construct_document(tree)
    finally:
        loader.dispose()
    lines = {str(key.value): int(key.start_mark.line) + 1 for key, _ in tree.value}
    return {str(key): value for key, value in cast("dict[Any, Any]", values).items()}, lines
