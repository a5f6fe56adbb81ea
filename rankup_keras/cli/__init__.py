"""The command `rankup-keras`: everything from files to an export, without Python."""

from rankup_keras.cli.main import main as main
