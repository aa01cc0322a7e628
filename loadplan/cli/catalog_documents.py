"""What the commands on the catalogue say: lines for a person, one object for a machine."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import date
from pathlib import Path

from loadplan.catalog.changes import PriceChange
from loadplan.catalog.instance_type import CpuFamily, InstanceType
from loadplan.catalog.price import Catalog, Offer
from loadplan.catalog.price_list import Finding, PriceList
from loadplan.catalog.staleness import age_days, age_limits, oldest_price_date
from loadplan.cli.figures import figure, record

Document = Mapping[str, object]


def list_lines(catalog: Catalog, offers: Sequence[Offer]) -> list[str]:
    """A header with the oldest price, and a line for each offer."""
    return [
        f"catalogue {catalog.version}: {len(offers):,} offers, oldest price {oldest_price_date(offers) or 'none'}",
        *(
            f"{offer.name:<60} {offer.usd_per_hour:>10f} USD/h  {offer.price_date}  {offer.layer}  {offer.quality}  "
            f"{offer.source}"
            for offer in offers
        ),
    ]


def list_document(catalog: Catalog, offers: Sequence[Offer]) -> Document:
    """The same for a machine."""
    oldest = oldest_price_date(offers)
    return {
        "schema": "loadplan.catalog/1",
        "version": catalog.version,
        **figure("oldest_price_date", None if oldest is None else oldest.isoformat(), "there is no offer"),
        "offers": [_offer(offer) for offer in offers],
    }


def show_lines(catalog: Catalog, offers: Sequence[Offer], as_of: date) -> list[str]:
    """One machine: what it has, and what it costs where."""
    own = offers[0].instance_type
    vcpus = {"core": " (each a core)", "thread": " (each a thread of a core)", None: ""}[own.vcpu_is]
    lines = [
        f"{offers[0].type_name}: catalogue {catalog.version}, oldest price {oldest_price_date(offers)}",
        f"  vCPUs       {own.n_vcpus}{vcpus}, {own.architecture}",
        f"  memory      {own.memory_gib:g} GiB",
    ]
    if own.usable_vcpus is not None and own.usable_memory_gib is not None:
        lines.append(f"  for pods    {own.usable_vcpus:g} vCPUs, {own.usable_memory_gib:g} GiB")
    if own.accelerator is not None:
        memory = "" if own.accelerator_memory_gb is None else f" of {own.accelerator_memory_gb:g} GB"
        lines.append(f"  accelerator {own.n_accelerators:g} x {own.accelerator}{memory}")
    if own.baseline_ratio is not None:
        surplus = own.surplus_usd_per_vcpu_hour
        price = "" if surplus is None else f", above it {surplus} USD a vCPU-hour"
        lines.append(f"  burstable   {100 * own.baseline_ratio:g} % of each vCPU is always there{price}")
    family = own.cpu_family
    lines.append(f"  processor   {'not known' if family is None else f'{family.cpu_model}, {family.clock_ghz:g} GHz'}")
    lines.append(f"  source      {own.source}{'' if own.seen is None else f', seen {own.seen}'}")
    return [*lines, *(_price_line(offer, as_of) for offer in offers)]


def show_document(offers: Sequence[Offer], as_of: date) -> Document:
    """The same for a machine."""
    own = offers[0].instance_type
    surplus = own.surplus_usd_per_vcpu_hour
    return {
        "schema": "loadplan.catalog-show/1",
        "instance_type": {
            **_dated(own),
            **figure(
                "surplus_usd_per_vcpu_hour", None if surplus is None else str(surplus), "not burstable, or not known"
            ),
            "cpu_family": None if own.cpu_family is None else _dated(own.cpu_family),
        },
        "offers": [
            {
                **_offer(offer),
                "age_days": age_days(offer, as_of),
                "warn_after_days": age_limits(offer).warn_after_days,
                "refuse_after_days": age_limits(offer).refuse_after_days,
            }
            for offer in offers
        ],
    }


def _dated(found: InstanceType | CpuFamily) -> Document:
    """With its day as text."""
    return {**record(found, _ABSENT), "seen": None if found.seen is None else found.seen.isoformat()}


_ABSENT = {
    "baseline_ratio": "it is not burstable",
    "accelerator_memory_gb": "it has none, or its source doesn't tell",
    **dict.fromkeys(("usable_vcpus", "usable_memory_gib"), "nobody looked what is left for pods"),
    "peak_int8_gops_per_vcpu": "no instructions for it, or nothing is known of them",
    "memory_gb_per_s_per_vcpu": "not known",
}


def diff_lines(changes: Sequence[PriceChange]) -> list[str]:
    """One line for each offer that came, went, or has another price."""
    return [_change_line(change) for change in changes] or ["no price differs"]


def diff_document(changes: Sequence[PriceChange]) -> Document:
    """The same for a machine."""
    return {
        "schema": "loadplan.catalog-diff/1",
        "changes": [
            {
                "name": change.name,
                **_price("before_usd_per_hour", change.before, "it is new"),
                **_price("after_usd_per_hour", change.after, "it is gone"),
                **figure(
                    "change_ratio",
                    None if change.change_ratio is None else float(change.change_ratio),
                    "it is new, gone, or had cost nothing",
                ),
            }
            for change in changes
        ],
    }


def finding_lines(findings: Iterable[Finding]) -> list[str]:
    """One line for each finding, errors first."""
    order = ("error", "flagged", "left out")
    ranked = sorted(findings, key=lambda finding: order.index(finding.severity))
    return [
        f"{finding.severity:<9} {'' if finding.n_rows == 1 else f'{finding.n_rows:,} rows: '}{finding.what} "
        f"({'' if finding.n_rows == 1 else 'first in '}{finding.where})"
        for finding in ranked
    ]


def validate_document(findings: Iterable[Finding], n_offers: int) -> Document:
    """The same for a machine."""
    said = [asdict(finding) for finding in findings]
    return {
        "schema": "loadplan.catalog-validate/1",
        "passed": all(one["severity"] != "error" for one in said),
        "n_usable": n_offers,
        "findings": said,
    }


def import_lines(listed: PriceList, path: Path) -> list[str]:
    """What was kept, where, and what was not."""
    oldest = min(row.date_seen for row in listed.rows)
    return [f"{len(listed.rows):,} prices kept, the oldest of {oldest}: {path}", *finding_lines(listed.findings)]


def import_document(command: str, listed: PriceList, path: Path) -> dict[str, object]:
    """The same for a machine."""
    return {
        "schema": f"loadplan.catalog-{command}/1",
        "file": str(path),
        "n_kept": len(listed.rows),
        "oldest_price_date": min(row.date_seen for row in listed.rows).isoformat(),
        "findings": [asdict(finding) for finding in listed.findings],
    }


def _price(name: str, offer: Offer | None, why: str) -> Mapping[str, object]:
    return figure(name, None if offer is None else f"{offer.usd_per_hour:f}", why)


def _offer(offer: Offer) -> dict[str, object]:
    return {
        "name": offer.name,
        "usd_per_hour": f"{offer.usd_per_hour:f}",
        "price_date": offer.price_date.isoformat(),
        "quality": offer.quality,
        "source": offer.source,
        "layer": offer.layer,
    }


def _price_line(offer: Offer, as_of: date) -> str:
    age, limits = age_days(offer, as_of), age_limits(offer)
    word = "too old for a budget" if age > limits.refuse_after_days else "old" if age > limits.warn_after_days else ""
    doubt = "" if offer.quality == "ok" else f"; doubtful: {offer.quality}"
    return (
        f"  {offer.region}/{offer.purchase}: {offer.usd_per_hour:f} USD an hour, seen {offer.price_date} "
        f"({age} days{f', {word}' if word else ''}), {offer.layer}, {offer.source}{doubt}"
    )


def _change_line(change: PriceChange) -> str:
    if change.before is None:
        return f"new     {change.name}  {'' if change.after is None else f'{change.after.usd_per_hour:f}'} USD/h"
    if change.after is None:
        return f"gone    {change.name}  {change.before.usd_per_hour:f} USD/h"
    ratio = change.change_ratio
    rise = "" if ratio is None else f"  {100 * ratio:+.1f} %"
    return f"changed {change.name}  {change.before.usd_per_hour:f} to {change.after.usd_per_hour:f} USD/h{rise}"
