"""Build a catalogue snapshot from a folder of raw figures: `python tools/build_catalog.py RAW_FOLDER SNAPSHOT_FOLDER`.

The raw folder holds `instances_slice.csv`, `cpu_families.csv`, `accelerator_specs.csv` and `burstable.csv`; the
snapshot gets `instances.csv`, `prices.csv`, `cpu_families.csv` and `accelerators.csv` in loadplan's own schema, each
row with its source and the date it was seen. The decision a reader would question: a price whose source gives no day
is dated the earliest day it may have been seen and flagged `undated`, so that it can't pass for a fresh one.
"""

import csv
import re
import sys
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path

Row = dict[str, str]

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_MONTH = re.compile(r"\d{4}-\d{2}")
_YEAR = re.compile(r"\d{4}")
# `Standard_D4als_v6` -> D, als_v6; the `l` stands for less memory per vCPU, the processor is the same.
_AZURE_SIZE = re.compile(r"Standard_([A-Z]+)\d+(\w*)")

_INSTANCE_COLUMNS = (
    "provider", "instance_type", "architecture", "n_vcpus", "memory_gib", "accelerator", "n_accelerators",
    "accelerator_memory_gb", "cpu_family", "baseline_ratio", "source", "date_seen",
)  # fmt: skip
_PRICE_COLUMNS = (
    "provider", "region", "instance_type", "purchase", "currency", "price_per_hour", "quality", "note", "source",
    "date_seen",
)  # fmt: skip
_FAMILY_COLUMNS = (
    "provider", "family", "cpu_model", "architecture", "vcpu_is", "clock_ghz", "peak_fp32_gflops_per_vcpu", "note",
    "source", "date_seen",
)  # fmt: skip
_ACCELERATOR_COLUMNS = (
    "accelerator", "architecture", "form", "memory_gb", "bandwidth_gb_per_s", "fp32_tflops", "fp16_dense_tflops",
    "int8_dense_tops", "tdp_w", "confidence", "note", "source", "date_seen",
)  # fmt: skip


def main(raw: Path, snapshot: Path, compiled_on: str) -> None:
    """Write the four files; `compiled_on` dates the figures whose source gives no date of its own."""
    snapshot.mkdir(parents=True, exist_ok=True)
    raw_instances = _read(raw / "instances_slice.csv")
    raw_families = _read(raw / "cpu_families.csv")
    baselines = {(row["provider"], row["instance_type"]): row for row in _read(raw / "burstable.csv")}
    instances = _instances(raw_instances, raw_families, baselines)
    families = [_family(row, compiled_on) for row in raw_families]
    accelerators = [_accelerator(row, compiled_on) for row in _read(raw / "accelerator_specs.csv")]
    _write(snapshot / "instances.csv", _INSTANCE_COLUMNS, instances)
    _write(snapshot / "prices.csv", _PRICE_COLUMNS, _prices(raw_instances))
    _write(snapshot / "cpu_families.csv", _FAMILY_COLUMNS, families)
    _write(snapshot / "accelerators.csv", _ACCELERATOR_COLUMNS, accelerators)


def _instances(rows: Sequence[Row], families: Sequence[Row], baselines: dict[tuple[str, str], Row]) -> list[Row]:
    by_key: dict[tuple[str, str], Row] = {}
    for row in rows:
        key = (row["provider"], row["instance_type"])
        baseline = baselines.get(key)
        # `same` in the raw figures: the price list also gives the shape.
        source = row["ondemand_source"] if row["spec_source"] == "same" else row["spec_source"]
        instance = {
            "provider": row["provider"],
            "instance_type": row["instance_type"],
            "architecture": row["arch"],
            "n_vcpus": row["vcpus"],
            "memory_gib": row["memory_gib"],
            "accelerator": row["accelerator"],
            "n_accelerators": row["accelerator_count"],
            "accelerator_memory_gb": row["accelerator_memory_gib"],  # nominal: a 24 GB card reports 22.4 GiB
            "cpu_family": _family_of(row, families),
            "baseline_ratio": baseline["baseline_ratio_per_vcpu"] if baseline else "",
            "source": f"{source}; baseline: {baseline['source']}" if baseline else source,
            "date_seen": _day(row["spec_source"]) or _earliest_day(row["ondemand_observed_at"]),
        }
        if by_key.setdefault(key, instance) != instance:  # a shape is listed once per region
            raise SystemExit(f"{key}: the regions disagree about this shape")
    return list(by_key.values())


def _prices(rows: Iterable[Row]) -> list[Row]:
    return [
        _price(row, purchase, column, source)
        for row in rows
        for purchase, column, source in (
            ("on_demand", "price_ondemand_h", "ondemand"),
            ("spot", "price_spot_h", "spot"),
        )
        if row[column]
    ]


def _price(row: Row, purchase: str, column: str, source: str) -> Row:
    observed = row[f"{source}_observed_at"]
    undated = "" if _day(observed) else f"undated: {observed}"
    return {
        "provider": row["provider"],
        "region": row["region"],
        "instance_type": row["instance_type"],
        "purchase": purchase,
        "currency": row["currency"],
        "price_per_hour": row[column],
        # A doubt about the on-demand price is a doubt about the meter, so about the spot price too.
        "quality": undated if row["quality"] == "ok" and undated else row["quality"],
        "note": row["note"],
        "source": row[f"{source}_source"],
        "date_seen": _earliest_day(observed),
    }


def _family(row: Row, compiled_on: str) -> Row:
    is_arm = "asimd" in row["isa_observed"] or "Neoverse" in row["cpu_model"]
    return {
        "provider": row["provider"],
        "family": row["family"],
        "cpu_model": row["cpu_model"],
        "architecture": "arm64" if is_arm else "x86_64",
        "vcpu_is": row["vcpu_is"],
        "clock_ghz": row["clock_ghz"],
        "peak_fp32_gflops_per_vcpu": row["peak_fp32_gflops_per_vcpu"],
        "note": row["note"],
        "source": f"clock: {row['clock_source']}; peak: clock x operations per cycle x core share",
        "date_seen": compiled_on,
    }


def _accelerator(row: Row, compiled_on: str) -> Row:
    return {
        "accelerator": row["accelerator"],
        "architecture": row["arch_sm"],
        "form": row["form"],
        "memory_gb": row["memory_gb_nominal"],
        "bandwidth_gb_per_s": row["bandwidth_gb_s"],
        "fp32_tflops": row["fp32_tflops"],
        "fp16_dense_tflops": row["fp16_dense_tflops"],
        "int8_dense_tops": row["int8_dense_tops"],
        "tdp_w": row["tdp_w"],
        "confidence": row["confidence"],
        "note": row["note"],
        "source": f"{row['source_fp16_int8_bw_tdp']}; fp32: {row['source_fp32']}",
        "date_seen": compiled_on,
    }


def _family_of(row: Row, families: Iterable[Row]) -> str:
    """The CPU family that a type belongs to by its name; empty where the figures name none."""
    prefix = _prefix(row["provider"], row["instance_type"])
    for family in families:
        names = family["family"].removesuffix(" host").split("/")
        if family["provider"] == row["provider"] and prefix in names and _same_model(row, family):
            return family["family"]
    return ""


def _prefix(provider: str, instance_type: str) -> str:
    if provider != "azure":
        return re.split(r"[.-]", instance_type)[0]
    match = _AZURE_SIZE.fullmatch(instance_type)
    if match is None:
        return instance_type
    letters, rest = match.groups()
    return letters + (rest.replace("l", "", 1) if letters == "D" else rest)


def _same_model(row: Row, family: Row) -> bool:
    """Whether a model number that was observed on the type, such as 8573C, is also the family's."""
    numbers = [word for word in row["cpu_model"].split() if any(c.isdigit() for c in word)]
    return all(number.removeprefix("Neoverse-") in family["cpu_model"] for number in numbers)


def _day(text: str) -> str:
    match = _DAY.search(text)
    return match[0] if match else ""


def _earliest_day(text: str) -> str:
    for pattern, rest in ((_DAY, ""), (_MONTH, "-01"), (_YEAR, "-01-01")):
        match = pattern.search(text)
        if match:
            return match[0] + rest
    raise SystemExit(f"{text!r} holds no date")


def _read(path: Path) -> list[Row]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _write(path: Path, columns: Sequence[str], rows: Iterable[Row]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else date.today().isoformat())
