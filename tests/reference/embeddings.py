"""NumPy form of the lookup: one table and one row at a time, straight from the definitions."""

import numpy as np


def by_value(table, ids, hashes):
    """What every value's row is: the mean of its rows, whose ids stand a field's length apart."""
    length = len(ids) // hashes
    return np.stack(
        [np.mean([table[ids[i + h * length]] for h in range(hashes)], 0) for i in range(length)]
    )


def bag(rows, ids, weights, combiner):
    """One bag's vector: padding (id 0) counts for nothing, an empty bag is zero."""
    total = np.zeros(rows.shape[1])
    weight_sum = square_sum = 0.0
    for row, i, w in zip(rows, ids, weights, strict=True):
        if i == 0:
            continue
        total += w * row
        weight_sum += w
        square_sum += w * w
    if combiner == "sum" or square_sum == 0:
        return total
    return total / (weight_sum if combiner == "mean" else np.sqrt(square_sum))


def field_embedding(tables, fields, table_sets, ids, weights=None):
    """`tables[set][name]` → the dict that `FieldEmbedding` returns."""
    out = {}
    for name, members in table_sets.items():
        pooled = []
        for field in fields:
            if members is not None and field.name not in members:
                continue
            table = tables[name][field.table]
            slots = field.length * field.hashes
            every = ids[:, field.start : field.start + slots]
            values = np.stack([by_value(table, row, field.hashes) for row in every])
            own = every[:, : field.length]
            if field.kind == "single":
                pooled.append(values[:, 0])
            elif field.kind == "sequence":
                out[f"{name}/{field.name}"] = values * (own > 0)[:, :, None]
            else:
                w = np.ones(own.shape)
                if field.weight_start is not None:
                    w = weights[:, field.weight_start : field.weight_start + field.length]
                rows = zip(values, own, w, strict=True)
                pooled.append(np.stack([bag(v, i, x, field.combiner) for v, i, x in rows]))
        if pooled:
            out[name] = np.concatenate(pooled, axis=1)
    return out
