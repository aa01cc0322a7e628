"""YAML whose values say why: mappings with a comment behind each number that the plan decided."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

Node = Any  # mappings, lists and scalars, as ruamel takes them


def noted(values: Mapping[str, Node], comments: Mapping[str, str]) -> Node:
    """A mapping with a comment behind some of its scalar values."""
    from ruamel.yaml.comments import CommentedMap

    mapping = CommentedMap(values)
    for key, comment in comments.items():
        # A line break would end the comment, and what follows would be read.
        mapping.yaml_add_eol_comment(" ".join(comment.split()), key)
    return mapping


def yaml_text(documents: Sequence[Node], *, heading: str) -> str:
    """Documents one after the other, under a heading of comment lines."""
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.default_flow_style = False
    yaml.width = 200
    yaml.indent(mapping=2, sequence=4, offset=2)
    text = io.StringIO()
    for i, document in enumerate(documents):
        if i:
            text.write("---\n")
        yaml.dump(document, text)
    return "".join(f"# {line}\n" for line in heading.splitlines()) + text.getvalue()
