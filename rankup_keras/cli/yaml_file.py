"""YAML files whose values know their lines, and changes to them from the command line."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from rankup_keras.cli.problems import ConfigError, Problem

Location = tuple[str | int, ...]


class YamlFile:
    """The content of a YAML file.

    Args:
        path: the file.
        changes: assignments such as `"model.token_dim=64"`; items of a list are named by their
            number or, where they have one, their `name`.

    Raises:
        ConfigError: the file is not there or is no YAML, or a change does not fit.
    """

    def __init__(self, path: Path, changes: Sequence[str] = ()) -> None:
        self.path = path
        self._changed: dict[Location, str] = {}
        try:
            text = path.read_text(encoding="utf-8-sig")
        except FileNotFoundError:
            raise ConfigError(path, [Problem("There is no such file.")]) from None
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(path, [Problem(f"The file cannot be read: {error}.")]) from None
        try:
            content = YAML(typ="rt").load(text)
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            message = (error.problem or error.context or "no YAML").split("\n")[0].strip()
            line = None if mark is None else mark.line + 1
            raise ConfigError(path, [Problem(f"This is no valid YAML: {message}.", line)]) from None
        except YAMLError as error:
            message = str(error).splitlines()[0]
            raise ConfigError(path, [Problem(f"This is no valid YAML: {message}.")]) from None
        if not isinstance(content, CommentedMap):
            what = "empty" if content is None else f"a {type(content).__name__}"
            raise ConfigError(
                path, [Problem(f"The file must hold keys such as `data:`. It is {what}.", 1)]
            )
        self.content: Any = content
        problems = [problem for change in changes if (problem := self._change(change))]
        if problems:
            raise ConfigError(path, problems)

    def _change(self, change: str) -> Problem | None:
        where = f"--set {change}"
        name, equals, text = change.partition("=")
        keys = [key for key in name.strip().split(".") if key]
        if not equals or not keys:
            return Problem("Write it as --set model.token_dim=64.", where=where)
        try:
            value = YAML(typ="safe").load(text)
        except YAMLError:
            return Problem(f"{text!r} is no valid YAML value.", where=where)
        node, location = self.content, []
        for number, key in enumerate(keys):
            step: str | int = key
            if isinstance(node, list):
                found = _item(node, key)
                if found is None:
                    names = [item.get("name") for item in node if isinstance(item, dict)]
                    return Problem(f"There is no item {key!r} among {names}.", where=where)
                step = found
            elif not isinstance(node, dict):
                return Problem(f"{'.'.join(keys[:number])!r} has no keys.", where=where)
            location.append(step)
            if number == len(keys) - 1:
                node[step] = value
            else:
                if isinstance(node, dict) and node.get(step) is None:
                    node[step] = CommentedMap()
                node = node[step]
        self._changed[tuple(location)] = where
        return None

    def line(self, location: Location) -> int | None:
        """The line of the nearest value on the way to a location that has one."""
        node, line = self.content, 1
        for step in location:
            marks = getattr(node, "lc", None)
            try:
                if isinstance(node, CommentedSeq) and isinstance(step, int):
                    line = marks.item(step)[0] + 1  # type: ignore[union-attr]
                elif isinstance(node, CommentedMap) and step in node:
                    line = marks.key(step)[0] + 1  # type: ignore[union-attr]
                else:
                    break
                node = node[step]
            except (KeyError, IndexError, TypeError, AttributeError):
                break
        return line

    def problem(self, location: Location, message: str) -> Problem:
        """A problem at a location of this file."""
        for end in range(len(location), 0, -1):
            if location[:end] in self._changed:
                return Problem(message, where=self._changed[location[:end]])
        return Problem(message, self.line(location), _dotted(self.content, location))


def _item(items: list[Any], key: str) -> int | None:
    if key.isdigit() and int(key) < len(items):
        return int(key)
    for index, item in enumerate(items):
        if isinstance(item, dict) and item.get("name") == key:
            return index
    return None


def _dotted(content: Any, location: Location) -> str:
    parts, node = [], content
    for step in location:
        node = node[step] if _has(node, step) else None
        named = isinstance(step, int) and isinstance(node, dict) and node.get("name")
        parts.append(str(node["name"] if named else step))  # type: ignore[index]
    return ".".join(parts)


def _has(node: Any, step: Any) -> bool:
    if isinstance(node, dict):
        return step in node
    return isinstance(node, list) and isinstance(step, int) and step < len(node)


def plain(node: Any) -> Any:
    """Content of a YAML file as plain dicts, lists and scalars."""
    if isinstance(node, dict):
        return {str(key): plain(value) for key, value in node.items()}
    if isinstance(node, list):
        return [plain(item) for item in node]
    for kind in (bool, int, float, str):
        if isinstance(node, kind):
            return kind(node)
    return node
