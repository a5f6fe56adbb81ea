"""How a text file is written."""

import codecs
import dataclasses
from collections import Counter
from collections.abc import Sequence


@dataclasses.dataclass(frozen=True)
class CsvOptions:
    r"""How CSV and TSV files are written.

    Args:
        delimiter: what separates columns, one character or more. Defaults to a
            comma, in TSV files to a tab.
        header: whether the first line of every file names the columns.
            Defaults to `True`.
        columns: names of the columns, for files without a header.
        quote: the character around values that hold a delimiter, or `None`.
            Defaults to `'"'`, in TSV files to `None`.
        multiline: whether quoted values may hold line breaks. Defaults to
            `False`, so that a quote left open is found on its line.
        encoding: defaults to `"utf-8"`.
        list_separator: what separates the values of a list. Defaults to `"|"`.
        decimal: the mark before the decimals of numbers, `"."` (default) or `","`.

    Example:

    ```python
    import rankup_keras as rk

    features = rk.FeatureSet([rk.Categorical("item"), rk.Numeric("price")])
    options = rk.data.CsvOptions(delimiter=";", header=False, columns=["item", "price", "click"])
    files = rk.data.Files("semicolons.csv", features, ["click"], csv=options)
    columns, labels = next(iter(files.dataset(batch_size=4)))
    ```

    Raises:
        ValueError: no header and no names, or another decimal mark.
    """

    delimiter: str | None = None
    header: bool = True
    columns: Sequence[str] | None = None
    quote: str | None = "auto"
    multiline: bool = False
    encoding: str = "utf-8"
    list_separator: str = "|"
    decimal: str = "."

    def __post_init__(self) -> None:
        if not self.header and not self.columns:
            raise ValueError("Without a header, `columns` must name the columns in their order.")
        try:
            codecs.lookup(self.encoding)
        except LookupError:
            raise ValueError(
                "`encoding` must be one that Python knows, such as 'utf-8' or 'cp1252'. "
                f"Received: encoding={self.encoding!r}."
            ) from None
        if self.decimal not in (".", ","):
            raise ValueError(f"`decimal` must be '.' or ','. Received: {self.decimal!r}.")
        if self.columns is not None and len(set(self.columns)) < len(self.columns):
            counts = Counter(self.columns)
            duplicates = sorted(name for name, count in counts.items() if count > 1)
            raise ValueError(f"`columns` must be different. Duplicates: {duplicates}.")

    def for_format(self, name: str) -> "CsvOptions":
        """With the defaults of the format filled in."""
        tabs = name == "tsv"
        delimiter = self.delimiter or ("\t" if tabs else ",")
        quote = (None if tabs else '"') if self.quote == "auto" else self.quote
        return dataclasses.replace(self, delimiter=delimiter, quote=quote)
