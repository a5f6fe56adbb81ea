"""What happens to a project in production, one function each; they raise `AssertionError`."""

import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import pyarrow.compute as pc
import pyarrow.parquet as pq

from rankup_keras import durable
from rankup_keras.serving import load_session, version_path, versions
from tests.chaos.world import mounted
from tests.helpers.days import outcome


def kills_of_training(world, count):
    """SIGKILL at random moments; each time it is gone on with, until it ends as if never killed."""
    killed = number = 0
    while killed < count:
        run = f"killed_{number}"
        number += 1
        for _ in range(50):
            code, text = world.run(world.resume(run), world.moment())
            if code == 0:
                break
            assert code == -signal.SIGKILL, text
            killed += 1
        else:
            world.check(world.resume(run))
        world.check_whole(run)
        shutil.rmtree(world.folder / run)
    return f"{killed} kills over {number} runs, all equal to the undisturbed one in every bit"


def kills_of_learning(world, count):
    """What features learn is kept whole or not at all."""
    cache = world.folder / "cache"
    arguments = ["plan", "--json", "--set", f"data.cache={cache}"]
    wanted = world.check(arguments)
    for _ in range(count):
        shutil.rmtree(cache, ignore_errors=True)
        world.run(arguments, world.moment(1.5))
        for kept in cache.glob("[!.]*"):
            assert durable.find_damage(kept) is None, kept
        assert world.check(arguments) == wanted
    return f"{count} kills, no half of what was learned"


def kills_of_exports(world, count):
    """Every version is whole; servers look at nothing else."""
    base = world.folder / "exports"
    arguments = ["export", "--run", "whole", "--output", base, "--quiet"]
    world.check(arguments)
    for _ in range(count):
        world.run(arguments, world.moment(4.0))
    world.check(arguments)
    for version in versions(base):
        with load_session(base / str(version)) as session:
            scores = session.run({"user": ["u1"], "item": ["i1"], "price": [1.0]})
            assert scores["click"].shape[0] == 1
    left = [p.name for p in base.iterdir() if not p.name.isdigit() and p.name[0] != "."]
    assert not left, left
    return f"{count} kills, {len(versions(base))} versions, all of them whole"


def kills_of_updates(world, count):
    """Until an update is decided the run is yesterday's; run again it ends as if never killed."""
    run, rows = world.folder / "updated", pq.read_table(world.folder / "rows.parquet")
    users = pc.binary_join_element_wise("new_", rows["user"], "")
    pq.write_table(rows.set_column(0, "user", users), world.folder / "day1.parquet")
    arguments = ["update", run, "--data", "day1.parquet", "--quiet"]
    arguments += [f"--set=update.gate.{name}=null" for name in ("auc", "ne", "calibration")]
    arguments += ["--set=update.gate.latency=null", "--set=update.calibrate=platt"]

    def fresh():
        shutil.rmtree(run, ignore_errors=True)
        shutil.copytree(world.folder / "whole", run)
        world.check(["export", "--run", run, "--quiet"])

    fresh()
    begun = time.monotonic()
    world.check(arguments)
    seconds, whole = time.monotonic() - begun, outcome(run)
    killed = number = 0
    while killed < count:
        number += 1
        fresh()
        yesterday = (run / "model.keras").read_bytes()
        for _ in range(50):
            code, text = world.run(arguments, world.moment(1.1 * seconds))
            if code == 0:
                break
            assert code == -signal.SIGKILL, text
            killed += 1
            decided = (run / "update").is_dir() or (run / "days.jsonl").exists()
            assert decided or (run / "model.keras").read_bytes() == yesterday
            with load_session(version_path(run / "export" / run.name)) as session:
                session.run({"user": ["u1"], "item": ["i1"], "price": [1.0]})
        else:
            world.check(arguments)
        assert outcome(run) == whole
    return f"{count} kills over {number} updates, all equal to the undisturbed one in every bit"


def full_disks(world, count):
    """A training in a file system that fills up says so, and goes on when there is room."""
    for number in range(count):
        size = world.random.randrange(8, 640)
        with mounted(world.folder / "full", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs") as place:
            if place is None:
                return "left out: mounting takes root"
            run = f"full/run_{number}"
            code, text = world.run(["train", "--run", run, "--quiet"])
            assert code == 0 or (code == 4 and "No space left" in text), text
            assert "bytes are free" in text or code == 0, text
            subprocess.run(["mount", "-o", "remount,size=50m", str(place)], check=True)
            if code:
                world.check(world.resume(run))
            world.check_whole(run)
    return f"{count} disks of random sizes"


def read_only(world, count):
    """Where nothing can be written a command says so before it reads the data."""
    with mounted(world.folder / "ro", "-t", "tmpfs", "-o", "ro", "tmpfs") as place:
        if place is None:
            return "left out: mounting takes root"
        for arguments in (
            ["train", "--run", "ro/run"],
            ["train", "--run", "other", "--set", "data.cache=ro/cache"],
            ["predict", "--run", "whole", "-o", "ro/x.csv"],
            ["export", "--run", "whole", "-o", "ro/x"],
        ):
            text = world.check(arguments, 4, "Read-only file system")
            assert "Reading" not in text, text
    return "4 commands"


def two_jobs(world, count):
    """The second training in a folder is refused, and the first is not disturbed."""
    for number in range(count):
        run = f"shared_{number}"
        first, _ = world.start(["train", "--run", run, "--quiet"])
        while not (world.folder / run / "training.owner.json").exists():
            assert first.is_alive()
            time.sleep(0.01)
        while first.is_alive() and not (world.folder / run / "model.keras").exists():
            option = world.random.choice(["--resume", "--overwrite"])
            code, text = world.run(["train", "--run", run, option, "--quiet"])
            if code == 0:
                break  # the first one had ended
            assert code == 4, text
            assert f"process {first.pid} on" in text, text
        first.join()
        assert first.exitcode == 0
        world.check_whole(run)
    return f"{count} pairs"


def changed_data(world, count):
    """A file that is written while it is trained on stops the training, and nothing is lost."""
    rows = world.folder / "rows.parquet"
    before, stat = rows.read_bytes(), rows.stat()
    stopped = 0
    for number in range(count):
        process, output = world.start(["train", "--run", f"changed_{number}", "--quiet"])
        process.join(world.moment())
        rows.write_bytes(before)  # the same, at another time
        process.join()
        text = output.read_text(errors="replace")
        assert "Traceback" not in text, text
        if process.exitcode:
            assert process.exitcode == 3, text
            assert "has changed since it was first read" in text, text
            stopped += 1
            if (world.folder / f"changed_{number}/checkpoints").is_dir():
                arguments = ["train", "--run", f"changed_{number}", "--resume", "--quiet"]
                if list((world.folder / f"changed_{number}/checkpoints").glob("checkpoint-*")):
                    world.check(arguments, 4, "was trained on other data", "--data-changed")
        os.utime(rows, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        world.check([*world.resume(f"changed_{number}")])
        world.check_whole(f"changed_{number}")
    return f"{count} changes, {stopped} of them while it trained"


def damaged_caches(world, count):
    """What was learned and lost some bytes since is learned anew."""
    cache = world.folder / "damaged"
    arguments = ["plan", "--json", "--set", f"data.cache={cache}"]
    wanted = world.check(arguments)
    for _ in range(count):
        path = world.random.choice(sorted(path for path in cache.rglob("*") if path.is_file()))
        content = path.read_bytes()
        path.write_bytes(content[: world.random.randrange(len(content))])
        found = world.check(arguments)
        assert found[found.index("{") :] == wanted[wanted.index("{") :], found
    return f"{count} files cut"


def interruptions(world, count):
    """Ctrl-C at any moment: one word, exit code 130, and the run can be gone on with."""
    stopped = 0
    for number in range(count):
        run = f"interrupted_{number}"
        code, text = world.run(world.resume(run), world.moment(), signal.SIGINT)
        assert code in (0, 130), text
        assert code == 0 or text.strip().endswith("Interrupted."), text
        stopped += code == 130
        if code:
            world.check(world.resume(run))
        world.check_whole(run)
    return f"{count} of them, {stopped} before the end"


def closed_pipes(world, count):
    """`train | head -1` trains to its end."""
    root = pathlib.Path(__file__).parents[2]
    command = f"{sys.executable} -m rankup_keras.cli train ads.yaml --run piped 2>&1 | head -1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        cwd=world.folder, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(root)},
    )  # fmt: skip
    assert done.returncode == 0, done
    assert len(done.stdout.splitlines()) == 1, done.stdout
    world.check_whole("piped")
    return "1 pipe"
