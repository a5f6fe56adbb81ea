"""The command `rankup-keras`."""

import functools
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

import rankup_keras as rk
from rankup_keras.cli import failures
from rankup_keras.cli.output import Output
from rankup_keras.cli.problems import RunError
from rankup_keras.cli.startup import load_tensorflow

app = typer.Typer(
    name="rankup-keras",
    help="Ranking models from files to a served export, described in one YAML file.",
    epilog="Start with: rankup-keras init clicks.parquet; rankup-keras train clicks.yaml",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)

ConfigPath = Annotated[Path, typer.Argument(help="The YAML file.", show_default=False)]
Changes = Annotated[
    list[str] | None,
    typer.Option("--set", help="Change a value: --set model.token_dim=64. May be repeated."),
]
RunFolder = Annotated[
    Path | None, typer.Option("--run", help="The run folder. Default: runs/<name of the YAML>.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, errors only.")]
AsJson = Annotated[bool, typer.Option("--json", help="The result as one JSON object on stdout.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")]


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"rankup-keras {rk.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_show_version, help="Show it.")
    ] = False,
) -> None:
    pass


def _command(**settings: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Adds a command, which loads TensorFlow as it runs: none of that is needed for its help."""

    def add(function: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(function)
        def run(*arguments: Any, **named: Any) -> None:
            load_tensorflow()
            function(*arguments, **named)

        return app.command(**settings)(run)

    return add


@_command(
    epilog="Examples:  rankup-keras init clicks.parquet  |  rankup-keras init 'logs/*.csv.gz' "
    "--label click -o ads.yaml  |  rankup-keras init day0.tsv --no-header --columns label,I1,C1"
)
def init(
    paths: Annotated[list[str], typer.Argument(help="File, folder or pattern.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="YAML to write.")] = None,
    label: Annotated[list[str] | None, typer.Option(help="A label column; repeatable.")] = None,
    file_format: Annotated[str | None, typer.Option("--format", help="parquet, csv, …")] = None,
    delimiter: Annotated[str | None, typer.Option(help="Of text files.")] = None,
    header: Annotated[bool, typer.Option(help="Whether text files have a header.")] = True,
    columns: Annotated[str | None, typer.Option(help="Names, where no header has them.")] = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Write a commented starter YAML from a data file's columns."""
    from rankup_keras.cli import look as looking
    from rankup_keras.cli.check import load
    from rankup_keras.cli.run_files import write_text
    from rankup_keras.cli.starter import starter
    from rankup_keras.data.csv_options import CsvOptions

    out = Output(quiet, as_json)
    given: dict[str, Any] = {}
    if delimiter is not None:
        given["delimiter"] = delimiter.encode().decode("unicode_escape")
    if not header:
        given["header"] = False
    if columns is not None:
        given["columns"] = [name.strip() for name in columns.split(",")]
    path = output or looking.default_name(paths)
    if path.exists() and not overwrite:
        raise RunError(f"{path} exists. Name another file with --output, or use --overwrite.")
    found, rows, kind = looking.look(paths, file_format, CsvOptions(**given), label or [])
    write_text(path, starter(paths, found, rows, kind, given))
    load(path)
    roles = {c.name: c.role for c in found}
    out.result(
        {"config": str(path), "columns": roles},
        f"Wrote {path}. Look it over, then: rankup-keras train {path}",
    )


@_command(
    epilog="Examples:  rankup-keras train ads.yaml  |  rankup-keras train ads.yaml --set "
    "model.token_dim=64 --set training.epochs=3 --run runs/wide  |  rankup-keras train ads.yaml "
    "--resume"
)
def train(
    config: ConfigPath,
    changes: Changes = None,
    run: RunFolder = None,
    resume: Annotated[bool, typer.Option(help="Go on from the last checkpoint, exactly.")] = False,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Train a model and leave a run folder: model, metrics, rank log, report."""
    from rankup_keras.cli import build
    from rankup_keras.cli.check import load
    from rankup_keras.cli.training import Training

    out = Output(quiet, as_json)
    checked, file = load(config, changes)
    folder = build.run_folder(checked, file, run)
    summary = Training(checked, file, out).run(folder, resume, overwrite)
    out.result(summary)
    out.table(_metric_rows(summary))
    out.say(f"Done in {summary['seconds']} s. Everything is in {folder}")


def _metric_rows(parts: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"rows": part, "task": task, **values}
        for part in ("train", "validation", "test")
        for task, values in parts.get(part, {}).items()
    ]


@_command(
    epilog="Examples:  rankup-keras evaluate ads.yaml  |  rankup-keras evaluate ads.yaml --on "
    "validation --json"
)
def evaluate(
    config: ConfigPath,
    on: Annotated[str, typer.Option(help="train, validation or test.")] = "test",
    changes: Changes = None,
    run: RunFolder = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Exact metrics of a trained model: AUC, log loss, NE, calibration, GAUC."""
    from rankup_keras.cli import build
    from rankup_keras.cli.check import load
    from rankup_keras.cli.run_files import RunFiles
    from rankup_keras.cli.training import evaluate_part

    out = Output(quiet, as_json)
    checked, file = load(config, changes)
    model = RunFiles(build.run_folder(checked, file, run)).load_model()
    rows, found = evaluate_part(checked, file, model, build.part_name(on))
    if not rows:
        raise RunError(f"There is no row for {on!r}.")
    out.result({"rows": rows, on: found})
    out.table(_metric_rows({on: found}))


@_command(
    epilog="Examples:  rankup-keras predict ads.yaml --output scores.parquet --keep user_id  |  "
    "rankup-keras predict ads.yaml --input 'new/*.parquet' --output scores.csv"
)
def predict(
    config: ConfigPath,
    output: Annotated[Path, typer.Option("--output", "-o", help="A .parquet or .csv file.")],
    inputs: Annotated[
        list[str] | None, typer.Option("--input", "-i", help="Rows. Default: those for test.")
    ] = None,
    keep: Annotated[list[str] | None, typer.Option(help="A column to carry over.")] = None,
    changes: Changes = None,
    run: RunFolder = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Score rows with a trained model."""
    from rankup_keras.cli import build
    from rankup_keras.cli.check import load
    from rankup_keras.cli.predicting import write_predictions
    from rankup_keras.cli.run_files import RunFiles
    from rankup_keras.data.bad_rows import BadRows
    from rankup_keras.data.csv_options import CsvOptions
    from rankup_keras.data.files import Files
    from rankup_keras.data.paths import guess_format, resolve_paths

    out = Output(quiet, as_json)
    checked, file = load(config, changes)
    model = RunFiles(build.run_folder(checked, file, run)).load_model()
    bad = BadRows(checked.data.bad_rows.policy, checked.data.bad_rows.limit)
    keep = keep or []
    if inputs:
        options = CsvOptions(**checked.data.csv.model_dump())
        known = all(guess_format(path) for path in resolve_paths(inputs))
        files = Files(
            inputs,
            model.features,
            format=None if known else checked.data.format,
            csv=options,
            bad_rows=bad,
            extra=keep,
        )
    else:
        files = build.open_files(checked, file, model.features, "test", bad, keep)
    size = max(checked.training.batch_size, 4096)
    rows = write_predictions(model, files, output, keep, size, overwrite)
    out.result(
        {"rows": rows, "output": str(output), "bad_rows": bad.count},
        f"Scored {rows:,} rows into {output}",
    )


@_command(
    epilog="Examples:  rankup-keras export ads.yaml  |  rankup-keras export ads.yaml --output "
    "saved_models/ads"
)
def export(
    config: ConfigPath,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Base path.")] = None,
    changes: Changes = None,
    run: RunFolder = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Write a checked SavedModel version for TensorFlow Serving, with warm-up records."""
    from rankup_keras.cli import build
    from rankup_keras.cli.check import load
    from rankup_keras.cli.run_files import RunFiles

    out = Output(quiet, as_json)
    checked, file = load(config, changes)
    files = RunFiles(build.run_folder(checked, file, run))
    model = files.load_model()
    settings = checked.export
    base = output or (Path(settings.path) if settings.path else files.export)
    part = "validation" if build.has_part(checked, "validation") else "train"
    rows = build.open_files(checked, file, model.features, part).dataset(settings.warmup_rows)
    metrics: dict[str, float] = {}
    if files.summary.is_file():
        summary = json.loads(files.summary.read_text(encoding="utf-8"))
        for row in _metric_rows(summary):
            head = f"{row.pop('rows')}_{row.pop('task')}"
            metrics.update({f"{head}_{name}": value for name, value in row.items()})
    path = rk.export(
        model,
        base,
        warmup=rows.map(lambda columns, *_: columns).take(1),
        signatures=settings.signatures,
        batch_sizes=settings.batch_sizes,
        metrics=metrics,
    )
    out.result({"export": str(path)}, f"Exported to {path}, checked against the model.")


@_command(epilog="Example:  rankup-keras serve ads.yaml --port 8500")
def serve(
    config: ConfigPath,
    path: Annotated[Path | None, typer.Option(help="Base path of the export.")] = None,
    port: Annotated[int, typer.Option(help="gRPC port.")] = 8500,
    rest_port: Annotated[int, typer.Option(help="REST port, of the real server.")] = 8501,
    changes: Changes = None,
    run: RunFolder = None,
) -> None:
    """Serve the newest export until interrupted."""
    from rankup_keras.cli import build
    from rankup_keras.cli.check import load
    from rankup_keras.cli.run_files import RunFiles
    from rankup_keras.serving.server.serve import serve as serve_export

    checked, file = load(config, changes)
    configured = Path(checked.export.path) if checked.export.path else None
    base = path or configured or RunFiles(build.run_folder(checked, file, run)).export
    if not rk.serving.versions(base):
        raise RunError(f"There is no export in {base}. Run `rankup-keras export` first.")
    status = serve_export(base, grpc_port=port, rest_port=rest_port)
    if status:
        raise typer.Exit(failures.RUN)


@_command(epilog="Example:  rankup-keras profile ads.yaml --rows 2048")
def profile(
    config: ConfigPath,
    rows: Annotated[int, typer.Option(help="Rows to measure on.")] = 512,
    changes: Changes = None,
    run: RunFolder = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Effective rank of every layer of a trained model."""
    from rankup_keras.cli import build
    from rankup_keras.cli.check import load
    from rankup_keras.cli.run_files import RunFiles

    out = Output(quiet, as_json)
    checked, file = load(config, changes)
    model = RunFiles(build.run_folder(checked, file, run)).load_model()
    part = "validation" if build.has_part(checked, "validation") else "train"
    data = build.open_files(checked, file, model.features, part).dataset(rows).take(1)
    found = rk.diagnostics.rank_profile(model, data)
    layers = {
        name: {"effective_rank": ranks.mean, "share_of_ceiling": ranks.normalized}
        for name, ranks in found.layers.items()
    }
    out.result({"layers": layers})
    out.table([{"layer": name, **values} for name, values in layers.items()])


@_command(
    name="tpu-check",
    epilog="Examples:  rankup-keras tpu-check ads.yaml  |  rankup-keras tpu-check ads.yaml "
    "--chip v6e:2x2 --batch-size 8192",
)
def tpu_check(
    config: ConfigPath,
    chip: Annotated[str, typer.Option(help="Kind and number of chips.")] = "v5e:2x2",
    batch_size: Annotated[
        int | None, typer.Option(help="Rows a chip. Default: training.batch_size.", min=1)
    ] = None,
    float32: Annotated[bool, typer.Option("--float32", help="Not in mixed_bfloat16.")] = False,
    changes: Changes = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Compile the training step for a TPU, without one: does it fit, what bounds it."""
    from rankup_keras.cli.check import load
    from rankup_keras.cli.planning import check_for_tpu

    out = Output(quiet, as_json)
    checked, file = load(config, changes)
    report = check_for_tpu(checked, file, out, chip, batch_size, float32)
    out.result(report, report.pop("text"))
    if not report["fits"]:
        raise typer.Exit(failures.RUN)


@_command(epilog="Example:  rankup-keras plan ads.yaml --set model.token_dim=256")
def plan(
    config: ConfigPath,
    changes: Changes = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Rows, steps, parameters and operations of a run, before it is started."""
    from rankup_keras.cli.check import load
    from rankup_keras.cli.planning import make_plan

    out = Output(quiet, as_json)
    checked, file = load(config, changes)
    content, text = make_plan(checked, file, out)
    out.result(content, text)


def main(arguments: list[str] | None = None) -> int:
    """Runs the command. Returns the exit code.

    0 is success, 1 a fault of the package, 2 wrong usage or configuration, 3 data that cannot be
    read, 4 something that is missing or in the way, 130 an interruption.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    given = [argument for argument in given if argument != "--debug"]

    def action() -> int:
        result = app(given, prog_name="rankup-keras", standalone_mode=False)
        return result if isinstance(result, int) else 0

    return failures.guarded(action, debug)
