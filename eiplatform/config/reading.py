"""YAML and models, strictly: every mistake is one clear message."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from eiplatform.earlier import RENAMED
from eiplatform.errors import ConfigError, suggest
from eiplatform.untrusted import DEEPEST, LARGEST, read_text

__all__ = ["parse_assignment", "parse_model", "read_yaml", "read_yaml_list"]

Model = TypeVar("Model", bound=BaseModel)
MOST_TEXT, MOST_NODES, LONGEST_NUMBER = 2**22, 100_000, 64
"""Characters of a YAML text, values in it (with aliases written out), and characters of a number."""


def parse_model(model: type[Model], data: Any, *, where: str) -> Model:
    """Check nested dictionaries against any pydantic model of the platform.

    Parameters
    ----------
    model : type of pydantic.BaseModel
        E.g. :class:`Config` or :class:`~eiplatform.recording.spec.RecordingSpec`.
    data : dict
    where : str
        Named in errors.

    Raises
    ------
    ConfigError
        One line: the dotted key, what is wrong, what is valid.
    """
    try:
        # Through JSON: a list is a tuple there, while "3", 3.0 and true remain what they are.
        return model.model_validate_json(json.dumps(data, default=str))
    except ValidationError as error:
        raise _translate(error, model, where) from None


def parse_assignment(text: str, *, where: str) -> tuple[str, Any]:
    """Split ``key=value`` and read the value as YAML.

    Examples
    --------
    >>> parse_assignment("scale=0.1", where="--set")
    ('scale', 0.1)
    """
    key, equals, value = text.partition("=")
    if not equals or not all(key.strip().split(".")):
        raise ConfigError(f"'{text}' is not an override", where=where, valid="key=value")
    return key.strip(), _yaml(value, f"{where}: {key.strip()}")


class _StrictLoader(yaml.SafeLoader):
    """YAML without duplicate keys, in which ``1e-3`` is a number, and no larger than a person writes it.

    A text of some hundred bytes can stand for gigabytes: aliases of aliases, lists in lists, long numbers.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = self._nodes = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self._depth, self._nodes = self._depth + 1, self._nodes + 1
        if self._depth > DEEPEST:
            raise yaml.YAMLError(f"it is nested more than {DEEPEST} times")
        if self._nodes > MOST_NODES:
            raise yaml.YAMLError(f"it holds more than {MOST_NODES} values")
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def get_single_node(self) -> yaml.Node | None:
        node = super().get_single_node()
        if node is not None:
            _written_out(node, {}, set())
        return node

    def construct_scalar(self, node: yaml.ScalarNode | yaml.MappingNode) -> Any:
        value = super().construct_scalar(node)
        if len(value) > LONGEST_NUMBER and node.tag.rpartition(":")[2] in ("int", "float"):
            raise yaml.YAMLError(f"the number {value[:LONGEST_NUMBER]}.. is too long")
        return value

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        value: int = super().construct_yaml_int(node)
        if abs(value) >= LARGEST:
            raise yaml.YAMLError(f"the number {value} is too large")
        return value

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            name = self.construct_object(key, deep=True)
            if not isinstance(name, str):
                raise yaml.YAMLError(f"the key {name!r} is not text")
            if name in seen:
                raise yaml.YAMLError(f"the key '{name}' occurs twice")
            seen.add(name)
        return super().construct_mapping(node, deep)


_StrictLoader.add_constructor("tag:yaml.org,2002:int", _StrictLoader.construct_yaml_int)
_StrictLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"),
    list("-+.0123456789"),
)


def _written_out(node: yaml.Node, known: dict[yaml.Node, int], around: set[yaml.Node]) -> int:
    """Return how many values a node holds with all aliases written out; raise if there are too many."""
    if node in around:
        raise yaml.YAMLError("an alias holds itself")
    if node not in known:
        inner = node.value if isinstance(node, yaml.SequenceNode) else ()
        inner = [part for pair in node.value for part in pair] if isinstance(node, yaml.MappingNode) else inner
        known[node] = 1 + sum(_written_out(part, known, around | {node}) for part in inner)
    if known[node] > MOST_NODES:
        raise yaml.YAMLError(f"its aliases stand for more than {MOST_NODES} values")
    return known[node]


def _yaml(text: str, where: str) -> Any:
    if len(text) > MOST_TEXT:
        raise ConfigError(f"longer than {MOST_TEXT} characters", where=where)
    try:
        return yaml.load(text, _StrictLoader)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        # PyYAML raises all of these about values that do not fit their tags
        raise ConfigError(f"this is not YAML: {' '.join(str(error).split())[:300]}", where=where) from None


def read_yaml(path: Path | str) -> dict[str, Any]:
    """Read a YAML file of keys, strictly: no key twice, no key that is not text.

    Raises
    ------
    ConfigError
        If the file is missing or holds something else.
    """
    data = _yaml(read_text(Path(path), ConfigError, MOST_TEXT), str(path))
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise ConfigError("the file holds no keys", where=str(path), valid="key: value")
    return data


def read_yaml_list(path: Path | str) -> list[Any]:
    """Read a YAML file that holds a list, as strictly as :func:`read_yaml`.

    Raises
    ------
    ConfigError
        If the file is missing, or holds something else or nothing.
    """
    data = _yaml(read_text(Path(path), ConfigError, MOST_TEXT), str(path))
    if not isinstance(data, list) or not data:
        raise ConfigError("the file holds no list", where=str(path), valid="- key: value")
    return data


def _translate(error: ValidationError, model: type[BaseModel], where: str) -> ConfigError:
    """Say in one line what pydantic found first, and how much more there is."""
    found = sorted(error.errors(include_url=False), key=lambda item: item["type"] != "extra_forbidden")
    first = found[0]
    location = first["loc"]
    place = _place(model, location)
    at = f"{where}: {'.'.join(map(str, place))}" if place else where
    more = len({_place(model, item["loc"]) for item in found}) - 1
    remedy = f"{more} more mistake{'s follow' if more > 1 else ' follows'}" if more else None
    if first["type"] == "extra_forbidden":
        keys = list(_model_at(model, location[:-1]).model_fields)
        if new := RENAMED.get(tuple(map(str, location))):
            return ConfigError(f"the key '{location[-1]}' is called '{new}' now", where=at, remedy=f"write {new}")
        return ConfigError(
            f"unknown key '{location[-1]}'{suggest(str(location[-1]), keys)}", where=at, valid=keys, remedy=remedy
        )
    value = first["input"]
    if first["type"] == "literal_error":
        options = [str(option) for option in _options_at(model, location)]
        return ConfigError(
            f"'{value}' is not possible{suggest(str(value), options)}", where=at, valid=options, remedy=remedy
        )
    if first["type"] in ("model_type", "model_attributes_type"):
        return ConfigError(
            f"{value!r} stands where keys are needed", where=at, valid=list(_model_at(model, location).model_fields)
        )
    if first["type"] == "value_error":
        return ConfigError(first["msg"].removeprefix("Value error, "), where=at, remedy=remedy)
    message = first["msg"].removeprefix("Input ").replace("should be", "must be")
    return ConfigError(f"{value!r} is not possible, it {message}", where=at, remedy=remedy)


def _place(model: type[BaseModel], location: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """Return a location up to the first field that has one of several types, which pydantic names behind it."""
    inner: Any = model
    for number, part in enumerate(location, 1):
        fields = inner.model_fields if isinstance(inner, type) and issubclass(inner, BaseModel) else {}
        if str(part) not in fields:
            continue
        inner = fields[str(part)].annotation
        if get_origin(inner) in (Union, UnionType):
            types = [member for member in get_args(inner) if member is not NoneType]
            if len(types) > 1:
                return location[:number]
            inner = types[0]
    return location


def _model_at(model: type[BaseModel], location: tuple[int | str, ...]) -> type[BaseModel]:
    for key in location:
        annotation = model.model_fields[str(key)].annotation
        assert isinstance(annotation, type) and issubclass(annotation, BaseModel)
        model = annotation
    return model


def _options_at(model: type[BaseModel], location: tuple[int | str, ...]) -> tuple[Any, ...]:
    names = [part for part in location if isinstance(part, str)]
    annotation = _model_at(model, tuple(names[:-1])).model_fields[names[-1]].annotation
    if isinstance(location[-1], int):  # an item of a list
        annotation = get_args(annotation)[0]
    return get_args(annotation)
