"""The tables of `benchmarks.scale`, from its runs."""

import statistics
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.study import Run


def report(runs: Sequence[Run]) -> str:
    """All tables as Markdown; excess in thousandths of a nat, ± over seeds."""
    if not runs:
        return "No runs yet.\n"
    runs, losers = _at_chosen_rates(runs)
    main = [run for run in runs if _data(run) == _data(runs[0])]
    wide = [run for run in main if run["depth"] == 4]
    deep = [run for run in main if run["size"] == 4]
    bayes, rows = main[0]["bayes"], main[0]["rows"]
    lines = [
        f"Bayes: log loss {bayes['log_loss']:.4f}, AUC {bayes['auc']:.4f}; {rows:,} rows.",
        "",
        *_table("excess by size, 4 blocks", wide, "size", _excess),
        *_table("AUC below Bayes by size", wide, "size", lambda run: 1e3 * run["auc_gap"]),
        *_table("rank of a sample's tokens after the last block", wide, "size", _rank("sample")),
        *_table("rank of a token over samples after the last block", wide, "size", _rank("token")),
        *_table("excess by depth, size 4", deep, "depth", _excess),
        *_table("rank of a token over samples by depth, size 4", deep, "depth", _rank("token")),
        *_by_rows(wide),
        *_predicted(main),
        *_components([run for run in runs if run not in main]),
        *_rates(runs, losers),
    ]
    return "\n".join(lines) + "\n"


def _data(run: Run) -> tuple[int, int]:
    return run["rank"], run["fields"]


def _at_chosen_rates(runs: Sequence[Run]) -> tuple[list[Run], list[Run]]:
    """The runs at a model's best rates by validation rows, and the others."""
    chosen: dict[str, int] = {}
    for run in sorted(runs, key=lambda run: run["valid_excess"], reverse=True):
        if not run["seed"] and (run["size"], run["depth"]) == (4, 4):
            chosen[run["model"]] = run["rate"]
    good = [run for run in runs if run["rate"] == chosen.get(run["model"], run["rate"])]
    return good, [run for run in runs if run not in good]


def _rates(runs: Sequence[Run], losers: Sequence[Run]) -> list[str]:
    """What choosing the rates was worth."""
    lines = ["### excess on validation rows by learning rates, size 4", ""]
    for run in (run for run in losers if run["size"] == 4):
        same = ("model", "size", "depth", "seed", "rank", "fields")
        for best in runs:
            if all(best[key] == run[key] for key in same):
                lines.append(
                    f"- {run['model']}: {1e3 * best['valid_excess']:.2f} at rates "
                    f"{best['rate']}, {1e3 * run['valid_excess']:.2f} at {run['rate']}"
                )
    return [*lines, ""]


def _excess(run: Run) -> float:
    return 1e3 * run["excess"]


def _rank(view: str) -> Callable[[Run], float | None]:
    return lambda run: run["ranks"] and run["ranks"][view]


def _cell(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return "–"
    digits = 3 if max(map(abs, known)) < 2 else 2
    spread = f" ± {statistics.stdev(known):.{digits}f}" if len(known) > 1 else ""
    return f"{statistics.fmean(known):.{digits}f}{spread}"


def _rows(
    title: str, head: str, names: Sequence[Any], columns: Sequence[Any], cell: Callable[..., str]
) -> list[str]:
    lines = [f"### {title}", "", f"| {head} | " + " | ".join(map(str, columns)) + " |"]
    lines.append("|---|" + "---:|" * len(columns))
    for name in names:
        lines.append(f"| {name} | " + " | ".join(cell(name, column) for column in columns) + " |")
    return [*lines, ""]


def _table(
    title: str, runs: Sequence[Run], by: str, value: Callable[[Run], float | None]
) -> list[str]:
    columns = sorted({run[by] for run in runs})
    names = list(dict.fromkeys(run["model"] for run in runs))

    def cell(name: str, column: int) -> str:
        return _cell([value(r) for r in runs if r["model"] == name and r[by] == column])

    return _rows(title, f"model \\ {by}", names, columns, cell)


def _by_rows(runs: Sequence[Run]) -> list[str]:
    """At the largest size, the excess on the way."""
    largest = max(run["size"] for run in runs)
    own = [run for run in runs if run["size"] == largest]
    columns = [point["rows"] for point in own[0]["path"]]
    names = list(dict.fromkeys(run["model"] for run in own))

    def cell(name: str, rows: int) -> str:
        points = [p for r in own if r["model"] == name for p in r["path"] if p["rows"] == rows]
        return _cell([1e3 * point["excess"] for point in points])

    return _rows(f"excess by rows, size {largest}", "model \\ rows", names, columns, cell)


def _predicted(runs: Sequence[Run]) -> list[str]:
    """Whether ranks go with the excess: Spearman's correlation over all runs that have both."""
    from scipy.stats import spearmanr

    lines = ["### does the rank predict the excess", ""]
    own = [run for run in runs if run["ranks"]]
    for size in sorted({run["size"] for run in own}):
        some = [run for run in own if run["size"] == size]
        if len(some) < 4:
            continue
        found = []
        for view in ("sample", "token"):
            ranks = [run["ranks"][view] for run in some]
            found.append(f"{view} {spearmanr(ranks, list(map(_excess, some)))[0]:+.2f}")
        lines.append(f"- size {size}, {len(some)} runs, Spearman's correlation: {', '.join(found)}")
    return [*lines, ""]


def _components(runs: Sequence[Run]) -> list[str]:
    """RankUp's components by rank and number of fields, where they were run."""
    if not runs:
        return []
    columns = list(dict.fromkeys(map(_data, runs)))
    names = list(dict.fromkeys(run["model"] for run in runs))

    def cell(name: str, column: tuple[int, int]) -> str:
        some = [run for run in runs if run["model"] == name and _data(run) == column]
        return _cell(list(map(_excess, some)))

    return _rows("excess by (rank, fields), size 4", "model", names, columns, cell)
