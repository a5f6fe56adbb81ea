"""The table sets of RankUp: which token family reads which, and which fields each holds."""

from collections.abc import Mapping, Sequence

MultiEmbedding = bool | str | Mapping[str, str | Sequence[str]]


def sets_by_family(
    multi_embedding: MultiEmbedding, defaults: Mapping[str, str]
) -> dict[str, list[str]]:
    """The table sets that each family reads.

    Args:
        multi_embedding: see `RankUp`.
        defaults: for every family that reads tables, the set that it reads
            where `multi_embedding` is `True`.
    """
    if isinstance(multi_embedding, Mapping):
        given = {
            family: [sets] if isinstance(sets, str) else list(sets)
            for family, sets in multi_embedding.items()
        }
        if not set(given) <= set(defaults):
            raise ValueError(
                f"`multi_embedding` must name token families out of {tuple(defaults)}. "
                f"Received: {sorted(given)}."
            )
        if not all(given.values()):
            empty = [family for family, sets in given.items() if not sets]
            raise ValueError(f"`multi_embedding` gives no table set to {empty}.")
    elif isinstance(multi_embedding, bool) or multi_embedding == "joined":
        given = {family: [name] for family, name in defaults.items() if multi_embedding}
    else:
        raise ValueError(
            "`multi_embedding` must be a bool, 'joined', or a dict from token family to table "
            f"sets. Received: {multi_embedding!r}."
        )
    # A history and its candidate are compared, and so lie in one set.
    first = given.setdefault("sparse", [defaults["sparse"]])[:1]
    return {family: given.get(family, first) for family in defaults}


def fields_by_set(
    reads: Sequence[tuple[Sequence[str], Sequence[str] | None]],
    table_fields: Mapping[str, Sequence[str]] | None,
) -> dict[str, list[str] | None]:
    """Table set → the fields that it holds, `None` for all.

    Args:
        reads: for every family its table sets, and the fields that it reads,
            `None` for all.
        table_fields: see `RankUp`.
    """
    held: dict[str, list[str] | None] = {}
    for sets, fields in reads:
        for name in sets:
            before = held.get(name, [])
            both = None if before is None or fields is None else [*before, *fields]
            held[name] = both if both is None else list(dict.fromkeys(both))
    unknown = sorted(set(table_fields or {}) - set(held))
    if unknown:
        raise ValueError(
            f"`table_fields` must name table sets that a family reads, {sorted(held)}. "
            f"Received: {unknown}."
        )
    return {**held, **{name: list(fields) for name, fields in (table_fields or {}).items()}}
