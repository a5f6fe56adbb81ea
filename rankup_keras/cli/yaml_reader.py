"""YAML 1.2 as values that know their lines, bounded before anything is expanded."""

import dataclasses
import re
from typing import Any

import yaml

# Deeper nesting than any configuration has, and more values than repetition by aliases makes.
DEPTH = 50
REPEATED = 100_000
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG = "tag:yaml.org,2002:"
# The core schema of YAML 1.2, in which `no`, `on` and 1:30 are text; and 1_000 for 1000.
_CORE = {
    "null": re.compile(r"(?:~|null|Null|NULL|)$"),
    "bool": re.compile(r"(?:true|True|TRUE|false|False|FALSE)$"),
    "int": re.compile(r"[-+]?[0-9]+(?:_[0-9]+)*$|0o[0-7]+$|0x[0-9a-fA-F]+$"),
    "float": re.compile(
        r"[-+]?(?:\.[0-9]+|[0-9][0-9_]*(?:\.[0-9_]*)?)(?:[eE][-+]?[0-9]+)?$"
        r"|[-+]?\.(?:inf|Inf|INF)$|\.(?:nan|NaN|NAN)$"
    ),
}
Lines = dict[int, dict[Any, int]]


def read_yaml(text: str) -> tuple[Any, Lines]:
    """The value of a text, and by the `id` of every dict and list the lines of its items.

    Raises:
        yaml.YAMLError: it is no YAML; or is nested too deeply, repeats too much by aliases, holds
            itself, has a key twice, or a tag of another language's objects.
    """
    reader = _Reader()
    for event in yaml.parse(text, Loader=_LOADER):
        reader.take(event)
    return reader.content, reader.lines


def dump_yaml(content: Any) -> str:
    """A text that `read_yaml`, and readers of YAML 1.1, read as the same value."""
    text: str = yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True)
    return text


class _Dumper(yaml.SafeDumper):
    """Quotes what either version would not take for text, and repeats in place of aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: _Dumper, value: str) -> Any:
    # YAML folds these line breaks to spaces or newlines in every style but this one.
    style = '"' if re.search("[\x85\u2028\u2029]", value) else None
    return dumper.represent_scalar(f"{_TAG}str", value, style)


_Dumper.add_representer(str, _text)
for _name, _pattern in _CORE.items():
    _Dumper.add_implicit_resolver(_TAG + _name, _pattern, None)


@dataclasses.dataclass
class _Frame:
    """A list or dict that is being read."""

    event: Any
    value: Any
    lines: dict[Any, int] = dataclasses.field(default_factory=dict)
    size: int = 1
    key: Any = None
    has_key: bool = False
    merges: bool = False  # the key is `<<`
    merged: list[Any] = dataclasses.field(default_factory=list)


class _Reader:
    """Makes values of a parser's events, without recursion."""

    def __init__(self) -> None:
        self.content: Any = None
        self.lines: Lines = {}
        self._frames: list[_Frame] = []
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._open: set[str] = set()
        self._repeated = 0
        self._documents = 0

    def take(self, event: Any) -> None:
        if isinstance(event, yaml.ScalarEvent):
            value = _scalar(event)
            if event.anchor is not None:
                self._anchors[event.anchor] = value, 1
            self._place(value, 1, event)
        elif isinstance(event, yaml.AliasEvent):
            self._alias(event)
        elif isinstance(event, yaml.CollectionStartEvent):
            if event.tag not in (None, "!", f"{_TAG}map", f"{_TAG}seq"):
                raise _error(event, f"the tag {event.tag!r} is not allowed here")
            if len(self._frames) >= DEPTH:
                raise _error(event, f"it is nested more than {DEPTH} levels deep")
            is_map = isinstance(event, yaml.MappingStartEvent)
            self._frames.append(_Frame(event, {} if is_map else []))
            if event.anchor is not None:
                self._open.add(event.anchor)
        elif isinstance(event, yaml.CollectionEndEvent):
            self._close(self._frames.pop())
        elif isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                raise _error(event, "it holds more than one document")

    def _alias(self, event: Any) -> None:
        if event.anchor in self._open:
            raise _error(event, f"the alias *{event.anchor} refers to what it stands in")
        if event.anchor not in self._anchors:
            raise _error(event, f"the alias *{event.anchor} has no anchor before it")
        value, size = self._anchors[event.anchor]
        self._repeated += size
        if self._repeated > REPEATED:
            raise _error(event, f"aliases repeat more than {REPEATED:,} values")
        self._place(value, size, event)

    def _close(self, frame: _Frame) -> None:
        for source in frame.merged:
            for key, value in source.items():
                frame.value.setdefault(key, value)
        anchor = frame.event.anchor
        if anchor is not None:
            self._anchors[anchor] = frame.value, frame.size
            self._open.discard(anchor)
        self.lines[id(frame.value)] = frame.lines
        self._place(frame.value, frame.size, frame.event)

    def _place(self, value: Any, size: int, event: Any) -> None:
        if not self._frames:
            self.content = value
            return
        frame = self._frames[-1]
        frame.size += size
        line = event.start_mark.line + 1
        if isinstance(frame.value, list):
            frame.lines[len(frame.value)] = line
            frame.value.append(value)
        elif not frame.has_key:
            if isinstance(value, dict | list):
                raise _error(event, "a key must be a single value")
            if value in frame.lines:
                raise _error(event, f"the key {value!r} is given twice")
            frame.key, frame.has_key = value, True
            frame.merges = (
                value == "<<" and isinstance(event, yaml.ScalarEvent) and event.implicit[0]
            )
            if not frame.merges:
                frame.lines[value] = line
        else:
            frame.has_key = False
            if not frame.merges:
                frame.value[frame.key] = value
                return
            sources = value if isinstance(value, list) else [value]
            if not all(isinstance(source, dict) for source in sources):
                raise _error(event, "`<<` takes keys, or a list of them")
            frame.merged += sources


def _scalar(event: Any) -> Any:
    tag, text = event.tag, event.value
    if tag is not None and not tag.startswith(_TAG) and tag != "!":
        raise _error(event, f"the tag {tag!r} is not allowed here")
    if tag in ("!", f"{_TAG}str") or (tag is None and not event.implicit[0]):
        return text
    name = next((name for name, pattern in _CORE.items() if pattern.match(text)), "str")
    if tag is not None and tag != _TAG + name and (tag, name) != (f"{_TAG}float", "int"):
        raise _error(event, f"{text[:40]!r} is no {tag.removeprefix(_TAG)}")
    try:
        if (name == "int" and tag is None) or tag == f"{_TAG}int":
            return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
    except ValueError:  # beyond Python's limit of digits
        raise _error(event, "the number has too many digits") from None
    if name in ("int", "float"):
        return float(re.sub(r"_|\.(?=[iInN])", "", text))
    if name == "bool":
        return text.lower() == "true"
    return None if name == "null" else text


def _error(event: Any, problem: str) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)
