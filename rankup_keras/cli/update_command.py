"""The command `rankup-keras update`: a day's rows, and the next version to serve."""

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from rankup_keras.cli import failures
from rankup_keras.cli.failures import RunError
from rankup_keras.cli.output import Output
from rankup_keras.cli.startup import load_tensorflow


def update(
    run: Annotated[Path, typer.Argument(help="A run's folder, or its YAML.", show_default=False)],
    data: Annotated[
        list[str],
        typer.Option(help="Files of the day's rows: file, folder or pattern; repeatable."),
    ],
    day: Annotated[
        str | None,
        typer.Option(help="Number of the day, or 2024-01-31. Default: the one after the last."),
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change a value: --set update.gate.auc=0.01. Repeatable."),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Results and errors only.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The result as JSON.")] = False,
) -> None:
    """Go on with a day's rows; export the next version if it is no worse than the served one."""
    folder, config = (run, run / "config.yaml") if run.is_dir() else (None, run)
    if not config.is_file():
        raise RunError(
            f"{run} is no run that can be updated: there is no {config.name}. Train first: "
            "rankup-keras train ads.yaml"
        )
    from rankup_keras.cli.checks import check_schema

    check_schema(config, changes)
    load_tensorflow()
    from rankup_keras.cli import updating
    from rankup_keras.cli.project import Project

    out = Output(quiet, as_json)
    begun = time.perf_counter()
    found = updating.update(Project(config, changes, folder, out), data, day)
    rows = [
        {"task": task, "rows": rows, **values}
        for rows, by_task in (("ahead", found["ahead"]), *found["held"].items())
        for task, values in by_task.items()
    ]
    out.result({**found, "seconds": round(time.perf_counter() - begun, 1)}, _text(found), rows)
    if found["refused"]:
        raise typer.Exit(failures.REFUSED)


def _text(found: dict[str, Any]) -> str:
    lines = [
        f"{name}: " + ", ".join(f"{number:,} {what}" for what, number in change.items())
        for name, change in found["vocabularies"].items()
    ]
    if found["refused"]:
        lines += [f"Refused: {reason}" for reason in found["refused"]]
        lines.append(
            "The run and the version served stay as they are, without this day's rows. Accept it "
            "with other thresholds, --set update.gate.auc=null, or train on this day's rows with "
            "those of the next."
        )
    else:
        lines.append(f"Day {found['day']}: exported {found['export']}")
    return "\n".join(lines)
