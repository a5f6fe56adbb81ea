"""What a run says of itself at its end: the epoch that was kept, and the report."""

import json
import operator
from typing import Any

import rankup_keras as rk
from rankup_keras.cli.project import Project


def kept_epoch(project: Project) -> int | None:
    """The epoch whose weights early stopping has kept, `None` where it has kept none."""
    stopping = project.config.training.early_stopping
    if stopping is None or not project.run.best.is_file():
        return None
    better = operator.lt if stopping.mode == "min" else operator.gt
    best, kept = None, None
    for line in project.run.metrics.read_text(encoding="utf-8").splitlines():
        values = json.loads(line)
        value = values.get(stopping.monitor)
        if value is not None and (best is None or better(value, best)):
            best, kept = value, int(values["epoch"])
    return kept


def write_report(project: Project, ranks: Any, summary: dict[str, Any]) -> None:
    """Writes the page about a run, which ends with the epoch that was kept.

    Args:
        project: what was trained.
        ranks: the `EffectiveRank` callback after training.
        summary: the run's summary, whose metrics the page begins with.
    """
    kept = summary["kept_epoch"]
    about = {
        "run": summary["run"],
        "model": f"{summary['model']}, {summary['parameters']:,} parameters",
        "rows to train on": f"{summary['rows']:,}",
        "epochs": f"{summary['epochs']}, kept: {kept}",
    }
    for part in ("validation", "test"):
        for task, values in summary.get(part, {}).items():
            shown = ", ".join(f"{name} {value:.4f}" for name, value in values.items())
            about[f"{part}: {task}"] = shown
    rk.diagnostics.report(
        [profile for profile in ranks.profiles if profile.epoch <= kept],
        project.run.report,
        title=f"{summary['model']}: run {project.run.path.name}",
        about=about,
        tokens=ranks.tokens,
    )
