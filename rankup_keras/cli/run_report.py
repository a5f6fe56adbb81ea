"""What a run says of itself at its end: the epoch that was kept, and the report."""

import json
import operator
from pathlib import Path
from typing import Any

import rankup_keras as rk
from rankup_keras.cli.project import Project
from rankup_keras.diagnostics.token_sources import token_sources


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


def write_report(
    project: Project, ranks: Any, summary: dict[str, Any], calibration: dict[str, Any] | None = None
) -> None:
    """Writes the page about a run, which ends with the epoch that was kept.

    Args:
        project: what was trained.
        ranks: the `EffectiveRank` callback after training.
        summary: the run's summary, whose metrics the page begins with.
        calibration: each task's `Reliability`, on the rows for test, or else for validation.
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
        calibration=calibration,
    )


def write_day_report(
    project: Project,
    path: Path,
    line: dict[str, Any],
    profile: Any,
    model: Any,
    calibration: dict[str, Any],
) -> None:
    """Writes the page about a day's version, on the rows that were held out.

    Args:
        project: the run.
        path: the file.
        line: the day's line of the series.
        profile: the model's `RankProfile`.
        model: the model as it was trained.
        calibration: each task's `Reliability`.
    """
    about = {
        "run": str(project.run.path),
        "day": str(line["day"]),
        "rows": ", ".join(f"{rows:,} to {part}" for part, rows in line["rows"].items()),
        "compared with": line["compared_with"],
    }
    for which, tasks in line["held"].items():
        for task, values in tasks.items():
            shown = (f"{name} {value:.4f}" for name, value in values.items() if value is not None)
            about[f"{which}: {task}"] = ", ".join(shown)
    rk.diagnostics.report(
        [profile],
        path,
        title=f"{model.name}: run {project.run.path.name}, day {line['day']}",
        about=about,
        tokens=token_sources(model),
        calibration=calibration,
    )
