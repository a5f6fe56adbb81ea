"""Tables and plots of `benchmarks.rank_dynamics`."""

import itertools
import pathlib
import statistics
from collections.abc import Callable, Iterable, Sequence

from benchmarks.study import Run

VIEWS = {
    "sample": ("rank", "ceiling", "effective rank of a sample's tokens"),
    "token": ("token_rank", "token_ceiling", "effective rank of a token over samples"),
}


def share(ranks: dict[str, float], view: str = "sample") -> float:
    """A rank over its ceiling: the normalized effective rank."""
    rank, ceiling, _ = VIEWS[view]
    return ranks[rank] / ranks[ceiling]


def tables(runs: Sequence[Run]) -> str:
    """One Markdown table per data set: where the rank ends, and what mixers and FFNs did to it."""
    heads = ["model", "blocks", "seeds", "test AUC", "tokens", "last block", "of T", "untrained"]
    heads += ["over samples", "mixers", "FFNs"]
    lines = []
    for dataset in dict.fromkeys(run["dataset"] for run in runs):
        lines += [f"### {dataset}", ""]
        lines += [f"| {' | '.join(heads)} |", "|---|" + "---:|" * (len(heads) - 1)]
        for (name, depth), group in _groups(run for run in runs if run["dataset"] == dataset):
            last = [list(run["trained"].values())[-1] for run in group]
            cells = [
                name,
                str(depth),
                str(len(group)),
                _spread([run["auc"] for run in group], 4),
                _spread([share(next(iter(run["trained"].values()))) for run in group]),
                _spread([share(ranks) for ranks in last]),
                _spread([ranks["rank"] for ranks in last], 2),
                _spread([share(list(run["untrained"].values())[-1]) for run in group]),
                _spread([share(ranks, "token") for ranks in last]),
                *(
                    " ".join(f"{value:+.2f}" for value in _changes(group, part))
                    for part in ("_mixer", "_ffn")
                ),
            ]
            lines.append(f"| {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


def _changes(group: Sequence[Run], part: str) -> list[float]:
    """What the first, middle and last layer of a kind did to the rank, averaged over seeds."""
    changes: list[list[float]] = []
    for run in group:
        names = list(run["trained"])
        own = [
            run["trained"][name]["rank"] - run["trained"][before]["rank"]
            for before, name in itertools.pairwise(names)
            if name.endswith(part)
        ]
        changes.append([own[0], own[len(own) // 2], own[-1]] if len(own) > 2 else own)
    return [statistics.fmean(values) for values in zip(*changes, strict=True)]


def _groups(runs: Iterable[Run]) -> list[tuple[tuple[str, int], list[Run]]]:
    groups: dict[tuple[str, int], list[Run]] = {}
    for run in runs:
        groups.setdefault((run["model"], run["depth"]), []).append(run)
    return list(groups.items())


def _spread(values: Sequence[float], digits: int = 3) -> str:
    mean = f"{statistics.fmean(values):.{digits}f}"
    return mean if len(values) == 1 else f"{mean} ± {statistics.stdev(values):.{digits}f}"


def draw(runs: Sequence[Run], folder: pathlib.Path) -> None:
    """One picture per data set and view: rank along the layers, one panel per model."""
    folder.mkdir(parents=True, exist_ok=True)
    for dataset in dict.fromkeys(run["dataset"] for run in runs):
        own = [run for run in runs if run["dataset"] == dataset]
        models = [m for m in dict.fromkeys(run["model"] for run in own) if _depths(own, m) > 1]
        if models:
            for view in VIEWS:
                _panels(own, models, view, folder / f"rank_{dataset}_{view}.png")
        deepest = max(run["depth"] for run in own)
        parts = [run for run in own if run["depth"] == deepest and "rankup" in run["model"]]
        if len({run["model"] for run in parts}) > 1:
            _components(parts, folder / f"rank_{dataset}_components.png")


def _depths(runs: Sequence[Run], model: str) -> int:
    return len({run["depth"] for run in runs if run["model"] == model})


def _panels(runs: Sequence[Run], models: Sequence[str], view: str, path: pathlib.Path) -> None:
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(
        1, len(models), figsize=(3.4 * len(models), 3.2), sharey=True, squeeze=False
    )
    for axis, model in zip(axes[0], models, strict=True):
        groups = _groups(run for run in runs if run["model"] == model)
        for (_, depth), group in groups:
            color = f"C{[2, 4, 8].index(depth) if depth in (2, 4, 8) else 3}"
            for moment, style in (("trained", "-"), ("untrained", ":")):
                line = _line(group, lambda run, m=moment: run[m], view)
                axis.plot(
                    line,
                    style,
                    color=color,
                    marker="o" if moment == "trained" else None,
                    markersize=3,
                    label=f"{depth} blocks" if moment == "trained" else None,
                )
        axis.set_title(model, fontsize=10)
        axis.set_xlabel("layer: tokens, then mixer and FFN in turn")
        axis.grid(alpha=0.3)
    axes[0][0].set_ylabel(
        f"{VIEWS[view][2]}\n(share of its ceiling; dotted: untrained)", fontsize=8
    )
    axes[0][-1].legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _components(runs: Sequence[Run], path: pathlib.Path) -> None:
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(7, 3.6))
    for (model, _), group in _groups(runs):
        line = _line(group, lambda run: run["trained"], "sample")
        wide = 2.4 if model == "rankup" else 1.2
        axis.plot(line, marker="o", markersize=3, linewidth=wide, label=model)
    axis.set_xlabel("layer: tokens, then mixer and FFN in turn")
    axis.set_ylabel("effective rank, share of its ceiling")
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _line(
    group: Sequence[Run], profile: Callable[[Run], dict[str, dict[str, float]]], view: str
) -> list[float]:
    rows = [[share(ranks, view) for ranks in profile(run).values()] for run in group]
    return [statistics.fmean(values) for values in zip(*rows, strict=True)]
