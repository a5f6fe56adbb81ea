"""The command `rankup-keras`: everything from files to an export, without Python."""

from rankup_keras.cli.commands import main as main
