"""YAML in, over the file that its `base` names, `key=value` on top, a resolved copy out.

A key that does not exist is refused with the nearest spelling, a key written twice is refused, and
nothing is converted silently (`no`, `1e-3`, `010` and other YAML traps become errors that name the
key).
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import ValidationError

from ..errors import UsageError, nearest
from .run import Settings

_EXPONENT = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+", re.ASCII)
_CONVERTED = re.compile(r"[-+]?0[\dbx_]|[-+]?\d+:|\d{4}-", re.ASCII)


def load(path: Path, overrides: Sequence[str] = ()) -> Settings:
    """Settings of a YAML file with `key.sub=value` overrides; `UsageError` names a wrong key.

    Where the file has a `base`, the path of another beside it, it holds only what differs from
    that: groups are merged, a single value or a list takes the other's place.
    """
    layers = _layers(path)
    values: dict[str, Any] = {}
    for _, layer in reversed(layers):
        for key, value in layer.items():
            if isinstance(value, dict) and isinstance(below := values.get(key), dict):
                value = {**below, **value}
            values[key] = value
    given = [_override(values, override) for override in overrides]
    return resolve(values, " over ".join(str(file) for file, _ in layers), given)


def read(path: Path) -> dict[str, Any]:
    """The plain values of a YAML file, before any key is looked at."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"could not read the settings {path} ({error}): check the path") from error
    values = _parse(text, str(path))
    if not isinstance(values, dict):
        raise UsageError(f"{path} must hold settings as 'key: value' lines")
    return values


def resolve(values: Mapping[str, Any], origin: str, given: Sequence[str] = ()) -> Settings:
    """`Settings` of nested plain values; the `UsageError` names where a wrong one comes from.

    That is the command line for the keys that were `given` there, and `origin` for the others.
    """
    try:
        return Settings.model_validate_json(json.dumps(values))
    except ValidationError as error:
        raise UsageError(_explain(error, origin, given)) from error
    except (TypeError, ValueError) as error:  # a set, bytes, an alias inside its own anchor
        raise UsageError(f"{origin}: a value cannot be read ({error})") from error


def dump(settings: Settings) -> str:
    """The resolved settings as YAML, every option written out."""
    return yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False)


class _PlainLoader(yaml.SafeLoader):
    """`SafeLoader` that takes nothing for something else without a word."""

    def resolve(self, kind: Any, value: Any, implicit: Any) -> Any:
        """Dates, and octal, hexadecimal or base-60 numbers, stay text; strict types refuse it."""
        if kind is yaml.ScalarNode and _CONVERTED.match(value):
            return self.DEFAULT_SCALAR_TAG
        return super().resolve(kind, value, implicit)  # type: ignore[no-untyped-call]

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Refuse a key written twice (PyYAML keeps the last one)."""
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                line = key_node.start_mark.line + 1
                raise yaml.YAMLError(f"the key '{key}' is written twice, again on line {line}")
            seen.add(key)
        return super().construct_mapping(node, deep)


def _parse(text: str, origin: str) -> Any:
    try:
        return yaml.load(text, Loader=_PlainLoader)  # noqa: S506 - derives from SafeLoader
    except Exception as error:  # PyYAML lets the ValueError, KeyError, … of a bad scalar through
        raise UsageError(f"{origin} is not valid YAML: {' '.join(str(error).split())}") from error


def _layers(path: Path) -> list[tuple[Path, dict[str, Any]]]:
    """A file, then its base, then the base of that, …"""
    layers = [(path, read(path))]
    while "base" in layers[-1][1]:
        file, values = layers[-1]
        base = values.pop("base")
        if not isinstance(base, str):
            raise UsageError(f"{file}: 'base' must be the path of another configuration beside it")
        below = file.parent / base
        if below.resolve() in [above.resolve() for above, _ in layers]:
            raise UsageError(f"{file}: its 'base' {base} leads back to itself: take it out")
        layers.append((below, read(below)))
    return layers


def _override(values: dict[str, Any], override: str) -> str:
    """Put the value of `key=value` in its place; returns the key."""
    key, separator, text = override.partition("=")
    if not separator or not key:
        raise UsageError(
            f"'{override}' is not of the form key=value, for example training.epochs=5"
        )
    *groups, last = key.split(".")
    target = values
    for group in groups:
        target = target.setdefault(group, {})
        if not isinstance(target, dict):
            raise UsageError(f"'{key}': there are no options below '{group}'")
    target[last] = _number(_parse(text, f"'{override}'"))
    return key


def _number(value: Any) -> Any:
    """YAML 1.1 reads `1e-3` as text; on the command line the intention is plain."""
    return float(value) if isinstance(value, str) and _EXPONENT.fullmatch(value) else value


def _explain(error: ValidationError, origin: str, given: Sequence[str]) -> str:
    problems = error.errors()
    unknown = [problem for problem in problems if problem["type"] == "extra_forbidden"]
    problem = (unknown or problems)[0]  # a misspelt key is why another one is missing
    where = ".".join(str(part) for part in problem["loc"])
    source = _source(where, origin, given)
    if unknown:
        *groups, key = problem["loc"]
        return f"{source}: unknown setting '{where}'{nearest(str(key), _options_at(groups))}"
    if problem["type"] == "combination":
        return f"{source}: {problem['msg']}"
    if problem["type"] == "missing":
        return f"{source}: '{where}' must be given"
    text = problem["input"]
    hint = " (YAML wants 1.0e-3)" if isinstance(text, str) and _EXPONENT.fullmatch(text) else ""
    return f"{source}: '{where}' = {text!r} is refused: {problem['msg']}{hint}"


def _source(where: str, origin: str, given: Sequence[str]) -> str:
    """Who said what is wrong at `where`; a combination, which is nowhere, may be of both."""
    if not where:
        return f"{origin} and the command line" if given else origin
    inside = any(f"{where}.".startswith(f"{key}.") or key.startswith(f"{where}.") for key in given)
    return "the command line" if inside else origin


def _options_at(groups: Sequence[int | str]) -> list[str]:
    model: Any = Settings
    for group in groups:
        if isinstance(group, int):
            continue  # an index into a list of blocks
        annotation = model.model_fields[group].annotation
        model = next((a for a in get_args(annotation) if isinstance(a, type)), annotation)
    return list(model.model_fields)
