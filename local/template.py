"""Reads template.yaml: YAML with CloudFormation's short tags, as the plain objects that JSON would give."""

from __future__ import annotations

from pathlib import Path

import yaml

# Tags whose long form does not begin with `Fn::`.
PLAIN_TAGS = {"Ref", "Condition"}


class _Loader(yaml.SafeLoader):
    """A loader that knows `!Ref` and its kin, and leaves dates (policy versions) as text."""


def _short_tag(loader: _Loader, suffix: str, node: yaml.Node) -> dict:
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in PLAIN_TAGS else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _short_tag)
_Loader.add_constructor("tag:yaml.org,2002:timestamp", yaml.SafeLoader.construct_yaml_str)


def load(path: Path) -> dict:
    """The template at `path`."""
    return yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)


def resources(template: dict, kind: str) -> dict[str, dict]:
    """The template's resources of type `kind`, by logical id."""
    return {name: body for name, body in template["Resources"].items() if body["Type"] == kind}


def binary_of(function: dict) -> str:
    """The cargo binary that an `AWS::Serverless::Function` runs."""
    return function["Metadata"]["BuildProperties"]["Binary"]
