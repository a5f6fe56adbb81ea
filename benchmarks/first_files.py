"""Strangers' files from `init` to `predict`: what is guessed of each, and whether it goes through.

    python -m benchmarks.first_files
    python -m benchmarks.first_files --data <folder of public files> --sources 'leak.csv' ...

Ten files that are made up here, each with something that newcomers' files have, and others that are
given. `init`, `train`, `evaluate`, `export` and `predict` run one after the other, with no change
of the YAML; the table says what `init` took the columns for, and the AUC on the test rows.
"""

import argparse
import contextlib
import io
import json
import pathlib
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from rankup_keras.cli import main as command

ROWS = 4000


def clicks(rng: np.random.Generator, rows: int = ROWS) -> pd.DataFrame:
    """Clicks that depend on user, ad and price."""
    user, ad = rng.zipf(1.3, rows) % 300, rng.integers(0, 60, rows)
    price = np.round(rng.lognormal(1, 0.7, rows), 2)
    score = rng.normal(size=300)[user] + rng.normal(size=60)[ad] - 0.3 * np.log(price)
    click = (rng.random(rows) < 1 / (1 + np.exp(1 - score))).astype(int)
    when = pd.Timestamp("2024-03-01") + pd.to_timedelta(np.sort(rng.integers(0, 10**6, rows)), "s")
    names = {"user_id": [f"u{v}" for v in user], "ad_id": [f"a{v}" for v in ad]}
    return pd.DataFrame({**names, "price": price, "event_time": when, "click": click})


def plain(path: pathlib.Path, frame: pd.DataFrame) -> pathlib.Path:
    frame.to_csv(path.with_suffix(".csv"), index=False)
    return path.with_suffix(".csv")


def index(path: pathlib.Path, frame: pd.DataFrame) -> pathlib.Path:
    frame.to_csv(path.with_suffix(".csv"))
    return path.with_suffix(".csv")


def german(path: pathlib.Path, frame: pd.DataFrame) -> pathlib.Path:
    frame = frame.rename(columns={"user_id": "Kündigt an", "price": "Preis in €"})
    frame["click"] = np.where(frame["click"] > 0, "yes", "no")
    frame["ad_id"] = "Straße " + frame["ad_id"]
    path = path.with_suffix(".csv")
    frame.to_csv(path, index=False, sep=";", decimal=",", encoding="cp1252")
    return path


def headless(path: pathlib.Path, frame: pd.DataFrame) -> pathlib.Path:
    first = ["click", *(name for name in frame if name != "click")]
    frame[first].to_csv(path.with_suffix(".tsv"), index=False, header=False, sep="\t")
    return path.with_suffix(".tsv")


def ratings(path: pathlib.Path, frame: pd.DataFrame) -> pathlib.Path:
    stars = 1 + 2 * frame["click"] + np.arange(len(frame)) % 3
    frame = frame.drop(columns=["click", "price"]).assign(rating=stars)
    frame["event_time"] = frame["event_time"].astype("int64") // 10**6
    return plain(path, frame)


def events(path: pathlib.Path, frame: pd.DataFrame) -> pathlib.Path:
    past: dict[str, list[tuple[str, pd.Timestamp]]] = {}
    columns: dict[str, list[list]] = {"seen_ads": [], "seen_times": []}
    for user, ad, when in zip(frame["user_id"], frame["ad_id"], frame["event_time"], strict=True):
        own = past.setdefault(user, [])
        columns["seen_ads"].append([item for item, _ in own[-20:]])
        columns["seen_times"].append([int(time.timestamp()) for _, time in own[-20:]])
        own.append((ad, when))
    path = path.with_suffix(".parquet")
    frame.assign(**columns).to_parquet(path)
    return path


def numbers(path: pathlib.Path, frame: pd.DataFrame) -> pathlib.Path:
    rng = np.random.default_rng(1)
    wide = {f"f{i}": rng.normal(size=len(frame)) + frame["click"] * (i < 3) for i in range(20)}
    return plain(path, pd.DataFrame({"label": frame["click"], **wide}))


def sorted_parts(path: pathlib.Path, frame: pd.DataFrame) -> pathlib.Path:
    part = np.repeat(["train", "valid", "test"], [len(frame) - 800, 400, 400])
    return plain(path, frame.assign(part=part))


def two_tasks(path: pathlib.Path, frame: pd.DataFrame) -> pathlib.Path:
    bought = np.where(frame["click"] > 0, np.arange(len(frame)) % 3 == 0, np.nan)
    path = path.with_suffix(".parquet")
    frame.assign(purchase=bought).to_parquet(path)
    return path


def thousand_columns(path: pathlib.Path, frame: pd.DataFrame) -> pathlib.Path:
    rng = np.random.default_rng(1)
    more = {f"x{i}": [f"v{v}" for v in rng.integers(0, 9, len(frame))] for i in range(200)}
    path = path.with_suffix(".parquet")
    pd.concat([frame, pd.DataFrame(more)], axis=1).to_parquet(path)
    return path


MADE_UP: dict[str, Callable[[pathlib.Path, pd.DataFrame], pathlib.Path]] = {
    "comma, header, times as text": plain,
    "index column of pandas": index,
    "semicolons, decimal commas, cp1252, yes/no": german,
    "tabs, no header, label first": headless,
    "ratings 1 to 5, milliseconds": ratings,
    "aligned lists of items and times": events,
    "numbers alone": numbers,
    "sorted by a split column": sorted_parts,
    "a second label, missing without the first": two_tasks,
    "200 more columns": thousand_columns,
}


def walk(path: pathlib.Path, folder: pathlib.Path, options: Sequence[str]) -> dict[str, str]:
    """What the five commands make of a file."""
    config, scores = folder / "config.yaml", folder / "scores.parquet"
    steps = {
        "init": ["init", path, *options, "-o", config],
        "train": ["train", config, "--run", folder / "run"],
        "evaluate": ["evaluate", config, "--run", folder / "run"],
        "export": ["export", config, "--run", folder / "run"],
        "predict": ["predict", config, "--run", folder / "run", "-o", scores],
    }
    found: dict[str, str] = {}
    for step, arguments in steps.items():
        out, errors = io.StringIO(), io.StringIO()
        machine = [] if step in ("export", "predict") else ["--json"]
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
            code = command([*map(str, arguments), "--quiet", *machine])
        if code:
            lines = (errors.getvalue() or out.getvalue()).strip().splitlines()
            return {**found, "ends at": f"{step}: {lines[-1] if lines else code}"}
        if step == "init":
            kinds = Counter(json.loads(out.getvalue())["columns"].values())
            found["guessed"] = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
        if step == "evaluate":
            tasks = json.loads(out.getvalue())["test"]
            found["AUC"] = ", ".join(f"{task} {v['auc']:.3f}" for task, v in tasks.items())
    return {**found, "ends at": "scores"}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--data", type=pathlib.Path, default=pathlib.Path())
    parser.add_argument("--sources", nargs="*", default=[], help="files of --data, perhaps x:label")
    options = parser.parse_args(arguments)
    failed = 0
    print("| file | columns, as `init` takes them | AUC on test rows | ends at |", flush=True)
    print("|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as name:
        todo: list[tuple[str, pathlib.Path, list[str]]] = []
        for number, (title, write) in enumerate(MADE_UP.items()):
            frame = clicks(np.random.default_rng(number))
            todo.append((title, write(pathlib.Path(name, f"file{number}"), frame), []))
        for source in options.sources:
            file, _, label = source.partition(":")
            todo.append((file, options.data / file, ["--label", label] if label else []))
        for number, (title, path, more) in enumerate(todo):
            folder = pathlib.Path(name, str(number))
            folder.mkdir()
            found = walk(path, folder, more)
            failed += found["ends at"] != "scores"
            cells = (title, found.get("guessed", ""), found.get("AUC", ""), found["ends at"])
            print(f"| {' | '.join(cells)} |", flush=True)
    return int(failed > 0)


if __name__ == "__main__":
    raise SystemExit(main())
