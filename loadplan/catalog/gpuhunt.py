"""Price lists of gpuhunt's catalogue: a CSV file for each provider, a row for each type, place and way to buy it.

Its columns: instance_name, location, price, cpu, memory, gpu_count, gpu_name, gpu_memory, spot, and in newer lists
gpu_vendor, cpu_arch and flags. The decision a reader would question: a row with a flag is left out, since it is sold
under terms that an hour's price doesn't tell, such as a reservation by the calendar.
"""

import re
from collections.abc import Iterator
from decimal import Decimal
from importlib.resources.abc import Traversable

from loadplan.catalog.csv_rows import CsvRow, cell_error, decimal_in, float_if_told, place_of, read_rows
from loadplan.catalog.price_list import PriceList, Unusable, sieve
from loadplan.catalog.price_rows import PriceRow, Shape
from loadplan.catalog.skypilot import Origin, price_in

COLUMNS = ("instance_name", "location", "price", "cpu", "memory", "gpu_count", "gpu_name", "gpu_memory", "spot")

# What loadplan calls the providers that gpuhunt names differently.
PROVIDERS = {"lambdalabs": "lambda"}

_GCP_ZONE = re.compile(r"-[a-z]$")
_ARCHITECTURES = {"x86": "x86_64", "x86_64": "x86_64", "arm": "arm64", "arm64": "arm64"}


def read_gpuhunt(path: Traversable, origin: Origin) -> PriceList:
    """The prices of one provider's file.

    Raises:
        InputError: when the file is of another shape, or a cell holds no number where there must be one.
    """
    return sieve(found for row in read_rows(path, COLUMNS) for found in _of_row(row, origin))


def _of_row(row: CsvRow, origin: Origin) -> Iterator[PriceRow | Unusable]:
    cells = row.cells
    if not cells["instance_name"] or not cells["cpu"] or not cells["memory"]:
        yield Unusable(reason="a GPU or TPU without a machine", where=place_of(row))
        return
    if cells.get("flags", "") not in {"", "[]"}:
        yield Unusable(reason="sold under terms of its own (flags)", where=place_of(row))
        return
    if not cells["price"]:
        yield Unusable(reason="no price", where=place_of(row))
        return
    region = cells["location"] or "any"
    yield PriceRow(
        provider=origin.provider,
        region=_GCP_ZONE.sub("", region) if origin.provider == "gcp" else region,
        instance_type=cells["instance_name"],
        purchase="spot" if _is_true(row) else "on_demand",
        currency="USD",
        usd_per_unit=Decimal(1),
        price_per_hour=price_in(row, "price"),
        quality="ok",
        note="",
        source=origin.source,
        date_seen=origin.seen,
        shape=_shape(row),
        where=place_of(row),
    )


def _is_true(row: CsvRow) -> bool:
    match row.cells["spot"].lower():
        case "true":
            return True
        case "false":
            return False
        case other:
            raise cell_error(row, "spot", f"{other!r} is neither True nor False", "name the right file")


def _shape(row: CsvRow) -> Shape:
    n_gpus = row.cells["gpu_count"]
    accelerator = (row.cells["gpu_name"] or None) if n_gpus not in {"", "0"} else None
    return Shape(
        architecture=_ARCHITECTURES.get(row.cells.get("cpu_arch", "").lower()),
        n_vcpus=max(1, int(decimal_in(row, "cpu"))),
        memory_gib=float(decimal_in(row, "memory")),
        accelerator=accelerator,
        n_accelerators=float(decimal_in(row, "gpu_count")) if accelerator else 0.0,
        accelerator_memory_gb=float_if_told(row, "gpu_memory") if accelerator else None,
    )
