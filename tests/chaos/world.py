"""A folder with a small project, and commands in processes that can be killed."""

import contextlib
import multiprocessing
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

from tests.helpers.runs import results, write_project

# Its children have TensorFlow imported already: a kill falls into the work, not into imports.
_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["keras", "rankup_keras.cli.updating", "rankup_keras.serving"])


def _command(folder, arguments, output):
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.chdir(folder)
    sys.argv = ["rankup-keras", *arguments]
    from rankup_keras.cli import main

    sys.exit(main())


class World:
    """Runs commands on one project; `random` decides when they are killed."""

    def __init__(self, folder, random, say):
        self.folder, self.random, self.say = pathlib.Path(folder), random, say
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
        write_project(self.folder)
        begun = time.monotonic()
        self.check(["train", "--run", "whole", "--quiet"])
        self.seconds = time.monotonic() - begun  # of a whole training
        self.whole = results(self.folder / "whole")

    def start(self, arguments):
        """A command in a process of its own, and the file that it writes to."""
        output = self.folder / f"output_{time.monotonic_ns()}.txt"
        config = [] if arguments[0] == "update" else ["ads.yaml"]
        whole = [arguments[0], *config, *map(str, arguments[1:])]
        process = _PROCESSES.Process(target=_command, args=(str(self.folder), whole, str(output)))
        process.start()
        return process, output

    def run(self, arguments, after=None, number=signal.SIGKILL):
        """The exit code and the output of a command, signalled `after` seconds."""
        process, output = self.start(arguments)
        process.join(after)
        if process.is_alive() and after is not None:
            os.kill(process.pid, number)
        process.join(120)
        assert process.exitcode is not None, f"{arguments} hangs"
        text = output.read_text(errors="replace")
        output.unlink()
        assert "Traceback" not in text, text
        assert "bug in rankup-keras" not in text, text
        return process.exitcode, text

    def check(self, arguments, code=0, *words):
        """Runs a command that must end with a code and say some words."""
        found, text = self.run(arguments)
        assert found == code, f"{arguments} ended with {found}, not {code}: {text}"
        for word in words:
            assert word in text, f"{arguments} does not say {word!r}: {text}"
        return text

    def resume(self, run):
        """Goes on with a run, or begins it if it was killed before it was one."""
        begun = (self.folder / run / "config.yaml").exists()
        return ["train", "--run", run, "--quiet", *(["--resume"] if begun else [])]

    def check_whole(self, run):
        """A run must have ended as the one that was never disturbed, in every bit."""
        found = results(self.folder / run)
        for name, value in self.whole.items():
            assert found[name] == value, f"{name} of {run} differ from those of an undisturbed run"

    def moment(self, most=None):
        """A random time within a training, in seconds."""
        return self.random.uniform(0, most or 1.1 * self.seconds)


@contextlib.contextmanager
def mounted(place, *arguments):
    """A mount for as long as it is needed; `None` where this user or system may not mount."""
    place.mkdir(exist_ok=True)
    command = ["mount", *arguments, str(place)]
    allowed = hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("mount")
    if not allowed or subprocess.run(command, capture_output=True, check=False).returncode:
        yield None
        return
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)
