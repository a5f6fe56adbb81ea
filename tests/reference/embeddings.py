"""NumPy form of the lookup: one table and one row at a time, straight from the definitions."""

import numpy as np


def field_rows(table, ids):
    """Rows of one table, (length, width)."""
    return np.stack([table[i] for i in ids])


def bag(table, ids, weights, combiner):
    """One bag's vector: padding (id 0) counts for nothing, an empty bag is zero."""
    total = np.zeros(table.shape[1])
    weight_sum = square_sum = 0.0
    for i, w in zip(ids, weights, strict=True):
        if i == 0:
            continue
        total += w * table[i]
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
            own = ids[:, field.start : field.start + field.length]
            if field.kind == "single":
                pooled.append(np.stack([table[row[0]] for row in own]))
            elif field.kind == "sequence":
                rows = [field_rows(table, row) * (row > 0)[:, None] for row in own]
                out[f"{name}/{field.name}"] = np.stack(rows)
            else:
                w = np.ones(own.shape)
                if field.weight_start is not None:
                    w = weights[:, field.weight_start : field.weight_start + field.length]
                pairs = zip(own, w, strict=True)
                pooled.append(np.stack([bag(table, i, x, field.combiner) for i, x in pairs]))
        if pooled:
            out[name] = np.concatenate(pooled, axis=1)
    return out
