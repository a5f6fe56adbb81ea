"""Which source files have no test file at the mirrored path: `python -m tests.mirror`.

`rankup_keras/layers/mixers/residual.py` is tested by `tests/layers/mixers/test_residual.py`.
"""

import ast
import pathlib
import sys

ROOT = pathlib.Path(__file__).parents[1]
PACKAGE = ROOT / "rankup_keras"

# Source file → where it is tested instead, and why there.
EXPLAINED: dict[str, tuple[str, str]] = {
    "distribution/tpu/compiler.py": (
        "tests/distribution/tpu/test_ahead_of_time.py",
        "a program that runs in a process of its own, for `tpu_check`",
    ),
    "layers/embeddings/placement.py": (
        "tests/distribution/tpu/test_tpu_tables.py",
        "only a strategy that passes for a TPU's shows where tables are placed",
    ),
}


def has_behaviour(source: pathlib.Path) -> bool:
    """Whether a file defines a function or a class that does something."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return any(isinstance(node, kinds) for node in ast.walk(ast.parse(source.read_text())))


def test_file_of(source: pathlib.Path) -> pathlib.Path:
    """Where the tests of a source file are expected."""
    inside = source.relative_to(PACKAGE)
    return ROOT / "tests" / inside.with_name(f"test_{inside.stem.lstrip('_')}.py")


def without_tests() -> list[str]:
    """Source files with behaviour and without a test file, explained or not."""
    return [
        str(source.relative_to(PACKAGE))
        for source in sorted(PACKAGE.rglob("*.py"))
        if has_behaviour(source) and not test_file_of(source).exists()
    ]


def main() -> int:
    """Prints the source files without tests; exit status 1 if one of them is not explained."""
    missing = without_tests()
    for name in missing:
        print(f"{name}: {' '.join(EXPLAINED.get(name, ['NOT EXPLAINED']))}")
    return int(any(name not in EXPLAINED for name in missing))


if __name__ == "__main__":
    sys.exit(main())
