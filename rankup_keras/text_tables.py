"""Tables as plain text, for terminals, logs and `print`."""

import io
from collections.abc import Collection, Sequence


def aligned(rows: Sequence[Sequence[str]], left: Collection[int] = (0,)) -> str:
    """Rows of cells in columns.

    Args:
        rows: Cells, the first row being the head.
        left: Columns that are aligned left; the others are aligned right.
    """
    # Imported late: most of what imports this module prints no table.
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for number, name in enumerate(rows[0]):
        table.add_column(name, justify="left" if number in left else "right", no_wrap=True)
    for row in rows[1:]:
        table.add_row(*row)
    text = io.StringIO()
    # Wide enough for any table, and plain whatever the terminal and the environment say.
    console = Console(
        file=text, width=100_000, color_system=None, force_jupyter=False, markup=False, emoji=False
    )
    console.print(table)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines())
