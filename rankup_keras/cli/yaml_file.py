"""YAML files whose values know their lines, and changes to them from the command line."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from rankup_keras.cli.failures import ConfigError, Problem
from rankup_keras.cli.yaml_reader import read_yaml

# More than a hundred thousand columns take.
BYTES = 1 << 26
Location = tuple[str | int, ...]


class YamlFile:
    """The content of a YAML file.

    Args:
        path: the file.
        changes: assignments such as `"model.token_dim=64"`; items of a list are named by their
            number or, where they have one, their `name`.

    Attributes:
        content: the values, as plain dicts, lists and scalars.
    """

    def __init__(self, path: Path, changes: Sequence[str] = ()) -> None:
        self.path = path
        self.content: Any
        self._changed: dict[Location, str] = {}
        try:
            if path.stat().st_size > BYTES:
                raise self._error(f"The file is larger than {BYTES:,} bytes.")
            self.content, self._lines = read_yaml(path.read_text(encoding="utf-8-sig"))
        except FileNotFoundError:
            raise self._error("There is no such file.") from None
        except (OSError, UnicodeDecodeError) as error:
            raise self._error(f"The file cannot be read: {error}.") from None
        except yaml.YAMLError as error:
            mark = problem = None
            if isinstance(error, yaml.MarkedYAMLError):
                mark, problem = error.problem_mark or error.context_mark, error.problem
            message = (problem or str(error)).splitlines()[0].strip()
            line = mark.line + 1 if mark else 0
            raise self._error(f"This is not valid YAML: {message}.", line) from None
        if not isinstance(self.content, dict):
            what = "empty" if self.content is None else f"a {type(self.content).__name__}"
            raise self._error(f"The file must hold keys such as `data:`. It is {what}.", 1)
        problems = []
        for change in changes:
            try:
                self._change(change)
            except ValueError as error:
                problems.append(Problem(f"--set {change}", str(error)))
        if problems:
            raise ConfigError(problems)

    def _error(self, message: str, line: int = 0) -> ConfigError:
        return ConfigError([Problem(f"{self.path}:{line}" if line else str(self.path), message)])

    def _change(self, change: str) -> None:
        name, equals, text = change.partition("=")
        keys = [key for key in name.strip().split(".") if key]
        if not equals or not keys:
            raise ValueError("Write it as --set model.token_dim=64.")
        try:
            value, _ = read_yaml(text)
        except yaml.YAMLError:
            raise ValueError(f"{text!r} is no valid YAML; as text it is \"'{text}'\".") from None
        node: Any = self.content
        location: list[Any] = []
        for number, key in enumerate(keys):
            if not isinstance(node, dict | list):
                raise ValueError(f"{'.'.join(keys[:number])!r} has no keys.")
            step: Any = _item(node, key) if isinstance(node, list) else key
            location.append(step)
            if number == len(keys) - 1:
                node[step] = value
            elif isinstance(node, dict) and node.get(step) is None:
                node[step] = {}
            node = node[step]
        self._changed[tuple(location)] = f"--set {change}"

    def line(self, location: Location) -> int:
        """The line of the nearest value on the way to a location that has one."""
        node, line = self.content, 1
        for step in location:
            # What was merged in from an anchor, or changed by `--set`, has none.
            known = self._lines.get(id(node), {}) if _has(node, step) else {}
            if step not in known:
                break
            node, line = node[step], known[step]
        return line

    def problem(self, location: Location, message: str) -> Problem:
        """A problem at a location of this file."""
        for end in range(len(location), 0, -1):
            if location[:end] in self._changed:
                return Problem(self._changed[location[:end]], message)
        names, node = [], self.content
        for step in location:
            node = node[step] if _has(node, step) else None
            named = isinstance(step, int) and isinstance(node, dict) and node.get("name")
            names.append(str(named or step))
        line = self.line(location)
        place = ": ".join([f"{self.path}:{line}", *filter(None, [".".join(names)])])
        return Problem(place, message, line)


def _item(items: list[Any], key: str) -> int:
    names = [item.get("name") if isinstance(item, dict) else None for item in items]
    if key.isdigit() and int(key) < len(items):
        return int(key)
    if key in names:
        return names.index(key)
    raise ValueError(f"There is no item {key!r} among {[name for name in names if name]}.")


def _has(node: Any, step: Any) -> bool:
    if isinstance(node, dict):
        return step in node
    return isinstance(node, list) and isinstance(step, int) and step < len(node)
