"""What opening an HDF5 file would read besides itself, and what it would allocate."""

from __future__ import annotations

from typing import Any

MAX_OBJECTS = 200_000
MAX_RATIO = 1000
_BUILTIN_FILTERS = range(1, 7)
"""deflate, shuffle, fletcher32, szip, nbit, scale-offset; others load plugins (HDF5 registry)."""


def findings(file: Any) -> list[str]:
    """Links out of an open `h5py.File`, external or virtual storage, and datasets that lie in size.

    Reads no data.
    """
    import h5py

    found: list[str] = []
    seen = {h5py.h5o.get_info(file["/"].id).addr}
    stack = [file["/"]]
    while stack:
        group = stack.pop()
        for name in group:
            where = f"{group.name.rstrip('/')}/{name}"
            link = group.get(name, getlink=True)
            if not isinstance(link, h5py.HardLink):
                kind = "an external" if isinstance(link, h5py.ExternalLink) else "a soft"
                found.append(f"{where} is {kind} link")
                continue
            item = group[name]
            address = h5py.h5o.get_info(item.id).addr
            if address in seen:
                continue
            seen.add(address)
            if len(seen) > MAX_OBJECTS:
                return [*found, f"the file has more than {MAX_OBJECTS} objects"]
            if isinstance(item, h5py.Group):
                stack.append(item)
            elif isinstance(item, h5py.Dataset):
                found.extend(f"{where} {reason}" for reason in _dataset(item))
    return found


def _dataset(dataset: Any) -> list[str]:
    reasons = []
    properties = dataset.id.get_create_plist()
    if properties.get_external_count():
        reasons.append("keeps its data in another file (external storage)")
    if dataset.is_virtual:
        reasons.append("takes its data from other files (virtual dataset)")
    filters = [properties.get_filter(at)[0] for at in range(properties.get_nfilters())]
    reasons += [f"needs the filter plugin {f}" for f in filters if f not in _BUILTIN_FILTERS]
    stored = dataset.id.get_storage_size()
    if dataset.nbytes > MAX_RATIO * stored + 2**20:
        reasons.append(f"claims {dataset.nbytes} bytes and stores {stored}")
    return reasons
