"""Dates with times as whole numbers."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def since_1970(array: pa.Array, unit: str) -> pa.Array:
    """Dates with times, or lists of them, as whole numbers; others as they are.

    Args:
        array: of instants, those without a zone in UTC.
        unit: `"s"`, `"ms"`, `"us"` or `"ns"`; what is smaller is cut off.
    """
    listed = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    if any(test(array.type) for test in listed) and pa.types.is_timestamp(array.type.value_type):
        lengths = pc.fill_null(pc.list_value_length(array), 0).to_numpy(zero_copy_only=False)
        offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int64())
        return pa.LargeListArray.from_arrays(offsets, since_1970(array.flatten(), unit))
    if pa.types.is_timestamp(array.type):
        return array.cast(pa.timestamp(unit, array.type.tz), safe=False).cast(pa.int64())
    return array
