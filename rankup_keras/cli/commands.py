"""The command `rankup-keras`: its subcommands and their options."""

import functools
import inspect
import socket
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import rankup_keras as rk
from rankup_keras import durable
from rankup_keras.cli import failures, serving_commands, update_command
from rankup_keras.cli.failures import RunError
from rankup_keras.cli.output import Output
from rankup_keras.cli.startup import load_tensorflow

if TYPE_CHECKING:
    from rankup_keras.cli.project import Project

app = typer.Typer(
    name="rankup-keras",
    help="Ranking models from files to a served export, described in one YAML file.",
    epilog="Start with: rankup-keras init clicks.parquet; rankup-keras train clicks.yaml",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress: results and errors only.")]
AsJson = Annotated[bool, typer.Option("--json", help="The result as one JSON object on stdout.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")]


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"rankup-keras {rk.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=_show_version, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    pass


def _open_project(
    config: Annotated[Path, typer.Argument(help="The YAML file.", show_default=False)],
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change a value: --set model.token_dim=64. May be repeated."),
    ] = None,
    run: Annotated[
        Path | None, typer.Option("--run", help="The run folder. Default: runs/<name of the YAML>.")
    ] = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> "Project":
    from rankup_keras.cli.project import Project

    return Project(config, changes, run, Output(quiet, as_json))


def _command(name: str, *examples: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Adds a subcommand with examples of its arguments."""
    lines = "  |  ".join(f"rankup-keras {name} {arguments}" for arguments in examples)
    return app.command(name, epilog=f"Examples:  {lines}")


def _on_project(*examples: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Adds a subcommand on a configuration, with the options that all of these have.

    TensorFlow is loaded when the subcommand runs, since its help does not need it.
    """
    shared = inspect.signature(_open_project).parameters

    def add(function: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(function)
        def run(**given: Any) -> None:
            # Most of what is wrong with a file is found at once, before TensorFlow is loaded.
            from rankup_keras.cli.checks import check_schema

            check_schema(given["config"], given["changes"])
            load_tensorflow()
            project = _open_project(**{name: given.pop(name) for name in shared})
            function(project, **given)

        own = list(inspect.signature(function).parameters.values())[1:]
        config, *options = shared.values()
        # `inspect` reads it, and types know no such attribute of functions.
        run.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [p.replace(kind=p.KEYWORD_ONLY) for p in (config, *own, *options)]
        )
        run.__annotations__ = {}
        return _command(function.__name__.replace("_", "-"), *examples)(run)

    return add


@_command(
    "init",
    "clicks.parquet",
    "'logs/*.csv.gz' --label click -o ads.yaml",
    "day0.tsv --no-header --columns label,I1,C1",
)
def init(
    paths: Annotated[list[str], typer.Argument(help="File, folder or pattern.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="YAML to write.")] = None,
    label: Annotated[
        list[str] | None,
        typer.Option(help="A label: a column, or column>=4, column=yes. May be repeated."),
    ] = None,
    file_format: Annotated[str | None, typer.Option("--format", help="parquet, csv, …")] = None,
    delimiter: Annotated[str | None, typer.Option(help="Of text files.")] = None,
    header: Annotated[
        bool | None, typer.Option(help="Whether text files have a header. Default: seen by itself.")
    ] = None,
    columns: Annotated[str | None, typer.Option(help="Names, where no header has them.")] = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Write a commented starter YAML from a data file's columns."""
    load_tensorflow()
    from rankup_keras.cli.checks import load
    from rankup_keras.cli.column_roles import read_columns
    from rankup_keras.cli.starter import default_path, starter, summary

    csv: dict[str, Any] = {}
    if delimiter is not None:
        csv["delimiter"] = delimiter.encode().decode("unicode_escape")
    if header is not None:
        csv["header"] = header
    if columns is not None:
        csv["columns"] = [name.strip() for name in columns.split(",")]
        csv.setdefault("header", False)
    path = output or default_path(paths[0])
    if path.exists() and not overwrite:
        raise RunError(f"{path} exists. Name another file with --output, or use --overwrite.")
    durable.check_writable(path.parent)
    out = Output(quiet, as_json)
    out.say(f"Reading {', '.join(paths)} to see what its columns are")
    found = read_columns(paths, file_format, csv, label or [])
    durable.write_text(path, starter(paths, found))
    load(path)
    out.result(
        {"config": str(path), "columns": {c.name: c.role for c in found.columns}},
        summary(path, found),
    )


@_on_project(
    "ads.yaml",
    "ads.yaml --set model.token_dim=64 --set training.epochs=3 --run runs/wide",
    "ads.yaml --resume",
    "ads.yaml --resume --data-changed --set data.train=day2.parquet --set training.epochs=2",
)
def train(
    project: "Project",
    resume: Annotated[bool, typer.Option(help="Resume exactly, from the last checkpoint.")] = False,
    overwrite: Overwrite = False,
    data_changed: Annotated[
        bool,
        typer.Option(
            "--data-changed",
            help="With --resume: go on with other data and the vocabularies learned.",
        ),
    ] = False,
) -> None:
    """Train a model and leave a run folder: model, metrics, rank log, report."""
    from rankup_keras.cli import training

    summary = training.train(project, resume, overwrite, data_changed)
    project.out.result(summary, rows=_metric_rows(summary))
    project.out.say(f"Done in {summary['seconds']} s. Everything is in {project.run.path}")


def _metric_rows(parts: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"rows": part, "task": task, **values}
        for part in ("train", "validation", "test")
        for task, values in parts.get(part, {}).items()
    ]


@_on_project("ads.yaml", "ads.yaml --part validation --json")
def evaluate(
    project: "Project",
    part: Annotated[
        str, typer.Option("--part", "--on", help="train, validation or test.")
    ] = "test",
) -> None:
    """Exact metrics of a trained model: AUC, log loss, NE, calibration, GAUC."""
    from rankup_keras.cli import training

    found = training.evaluate(project, project.run.load_model(), part)
    if not found.rows:
        raise RunError(f"There is no row for {part!r}.")
    metrics = {part: found.metrics}
    project.out.result({"rows": found.rows, **metrics}, rows=_metric_rows(metrics))


@_on_project(
    "ads.yaml -o scores.parquet --keep user_id", "ads.yaml --input 'new/*.parquet' -o scores.csv"
)
def predict(
    project: "Project",
    output: Annotated[Path, typer.Option("--output", "-o", help="A .parquet or .csv file.")],
    inputs: Annotated[
        list[str] | None,
        typer.Option("--input", "-i", help="Files of rows. Default: those of the configuration."),
    ] = None,
    part: Annotated[str, typer.Option(help="train, validation or test.")] = "test",
    keep: Annotated[list[str] | None, typer.Option(help="A column to carry over.")] = None,
    spreadsheet_safe: Annotated[
        bool,
        typer.Option(help="Prefix a ' to text in CSV that a spreadsheet would run as a formula."),
    ] = True,
    overwrite: Overwrite = False,
) -> None:
    """Score rows with a trained model."""
    from rankup_keras.cli.scoring import check_output, write_predictions

    check_output(output, overwrite)
    model, keep = project.run.load_model(), keep or []
    if inputs:
        files = project.inputs(inputs, model.features, keep)
    else:
        files = project.files(part, model.features, keep)
    rows, escaped = write_predictions(
        model, files, output, keep, project.scoring_batch, spreadsheet_safe
    )
    if escaped:
        project.out.say(
            f"{escaped:,} values that a spreadsheet would run were given a ' in front; "
            "--no-spreadsheet-safe leaves them as they are"
        )
    project.out.result(
        {
            "rows": rows,
            "output": str(output),
            "bad_rows": project.bad_rows.count,
            "escaped": escaped,
        },
        f"Scored {rows:,} rows{'' if inputs else f' for {part}'} into {output}",
    )


@_on_project("ads.yaml", "ads.yaml --output saved_models/ads")
def export(
    project: "Project",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Base path.")] = None,
) -> None:
    """Write a checked SavedModel version for TensorFlow Serving, with warm-up records."""
    durable.check_writable(output or project.export_path)
    model, settings = project.run.load_model(), project.config.export
    metrics: dict[str, float] = {}
    for row in _metric_rows(project.run.read_summary()):
        head = f"{row.pop('rows')}_{row.pop('task')}"
        known = {name: value for name, value in row.items() if value is not None}
        metrics.update({f"{head}_{name}": value for name, value in known.items()})
    path = rk.export(
        model,
        output or project.export_path,
        warmup=project.sample(model.features, settings.warmup_rows).map(lambda row, *_: row),
        signatures=settings.signatures,
        batch_sizes=settings.batch_sizes,
        device=settings.device,
        metrics=metrics,
    )
    project.out.result({"export": str(path)}, f"Exported to {path}, checked against the model.")


@_on_project("ads.yaml --port 8500", "ads.yaml --clients 64 --latency-ms 10 --write serving")
def serve(
    project: "Project",
    path: Annotated[Path | None, typer.Option(help="Base path of the export.")] = None,
    port: Annotated[int, typer.Option(help="gRPC port.")] = 8500,
    rest_port: Annotated[int, typer.Option(help="REST port, of the real server.")] = 8501,
    clients: Annotated[int, typer.Option(help="Calls at the same time.", min=1)] = 32,
    latency_ms: Annotated[float, typer.Option(help="What a call should take.", min=0.1)] = 20.0,
    write: Annotated[
        Path | None, typer.Option(help="Only write the server's files, into this folder.")
    ] = None,
) -> None:
    """Serve the newest export until interrupted."""
    from rankup_keras.serving.server.serve import serve as serve_export

    base = path or project.export_path
    if not rk.serving.versions(base):
        raise RunError(f"There is no export in {base}. Run `rankup-keras export` first.")
    if write is not None:
        config = rk.serving.ServerConfig(
            base, clients=clients, latency_ms=latency_ms, grpc_port=port, rest_port=rest_port
        )
        names = sorted(config.files(config.write(write)))
        project.out.result({"files": names}, f"Wrote {', '.join(names)} into {write}")
        return
    _check_free(port)
    status = serve_export(
        base, grpc_port=port, rest_port=rest_port, clients=clients, latency_ms=latency_ms
    )
    if status:
        raise typer.Exit(failures.RUN)


def _check_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            message = f"Port {port} is taken by another program. Name another one with --port."
            raise RunError(message) from None


_command("update", "runs/ads --data today/", "runs/ads --data 'logs/day=18/*' --day 18")(
    update_command.update
)
_command("promote", "serving --label stable=4 --label canary=5", "serving --label stable=3")(
    serving_commands.promote
)
_command(
    "bench-serving",
    "localhost:8500 --model ads --clients 32",
    "localhost:8500 --model ads --rate 200 --requests 5000",
)(serving_commands.bench_serving)


@_on_project("ads.yaml --rows 2048")
def profile(
    project: "Project",
    rows: Annotated[int, typer.Option(help="Rows to measure on.")] = 512,
) -> None:
    """Effective rank of every layer of a trained model."""
    model = project.run.load_model()
    found = rk.diagnostics.rank_profile(model, project.sample(model.features, rows))
    layers = {
        name: {"effective_rank": ranks.mean, "share_of_ceiling": ranks.normalized}
        for name, ranks in found.layers.items()
    }
    shown = [{"layer": name, **values} for name, values in layers.items()]
    project.out.result({"layers": layers}, rows=shown)


@_on_project("ads.yaml", "ads.yaml --chip v6e:2x2 --batch-size 8192")
def tpu_check(
    project: "Project",
    chip: Annotated[str, typer.Option(help="Kind and number of chips.")] = "v5e:2x2",
    batch_size: Annotated[
        int | None, typer.Option(help="Rows per chip. Default: training.batch_size.", min=1)
    ] = None,
    float32: Annotated[bool, typer.Option("--float32", help="Not in mixed_bfloat16.")] = False,
) -> None:
    """Compile the training step for a TPU, without one: does it fit, what bounds it."""
    from rankup_keras.cli.planning import check_for_tpu

    report, text = check_for_tpu(project, chip, batch_size, float32)
    project.out.result(report, text)
    if not report["fits"]:
        raise typer.Exit(failures.RUN)


@_on_project("ads.yaml --set model.token_dim=256")
def plan(project: "Project") -> None:
    """Rows, steps, parameters and operations of a run, before it is started."""
    from rankup_keras.cli import planning

    project.out.result(*planning.plan(project))


def run(arguments: list[str]) -> int:
    """Runs a subcommand. Returns the exit code; errors are those of the subcommand."""
    result = app(arguments, prog_name="rankup-keras", standalone_mode=False)
    return result if isinstance(result, int) else 0
