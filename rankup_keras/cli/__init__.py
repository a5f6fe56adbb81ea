"""The command `rankup-keras`: everything from files to an export, without Python."""

from rankup_keras.cli import interrupts


def main(arguments: list[str] | None = None) -> int:
    """Runs the command. Returns the exit code.

    0 is success, 1 a bug in the package, 2 wrong usage or configuration, 3 data that cannot be
    read, 4 something that is missing or in the way, 5 an update that its gate refuses, 130 an
    interruption.

    Args:
        arguments: those of the command. `None` (default) takes the process's own, and with
            it the process's signals and streams.
    """
    if arguments is not None:
        return _run(arguments)
    import sys

    interrupts.install()
    code = _run(sys.argv[1:])
    if code == interrupts.INTERRUPTED:
        interrupts.leave()
    sys.stdout.flush()
    return code


def _run(arguments: list[str]) -> int:
    # Imported here, so that Ctrl-C meanwhile is dealt with as later.
    try:
        from rankup_keras.cli import commands, failures
    except BaseException:
        if not interrupts.was_pressed():
            raise
        import sys

        print("Interrupted.", file=sys.stderr)
        return interrupts.INTERRUPTED
    left = [argument for argument in arguments if argument != "--debug"]
    return failures.guarded(lambda: commands.run(left), debug="--debug" in arguments)
