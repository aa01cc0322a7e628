"""What prices of the same kind say about each other: which ones can't be right, and which are doubtful.

Pure. The decision a reader would question: only types without accelerator are held to the median per vCPU, since on a
GPU host the vCPUs are not what is paid for; and a median of fewer than three prices says nothing.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from itertools import pairwise
from statistics import median

from loadplan.catalog.price import Offer
from loadplan.catalog.series import series_of

# Within a family all sizes cost about the same per vCPU; in the shipped snapshot none that is right is outside.
_LEAST_OF_MEDIAN, _MOST_OF_MEDIAN = Decimal("0.6"), Decimal("1.7")
_N_FOR_A_MEDIAN = 3

# Whole regions. A name that goes on behind the number is a local or a wavelength zone: us-west-2-lax-1.
_AWS_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d+")
_GCP_REGION = re.compile(r"[a-z]+-[a-z]+\d+")


def is_local_zone(provider: str, region: str) -> bool:
    """Whether a place is a small zone beside a region: other types, other prices, and no spares to move to."""
    match provider:
        case "aws":
            return _AWS_REGION.fullmatch(region) is None
        case "gcp":
            return _GCP_REGION.fullmatch(region) is None
        case _:
            return False


def without_false_spot(offers: Iterable[Offer]) -> tuple[Offer, ...]:
    """Without the spot prices that equal on demand: a list repeats the price where there is no spot market."""
    known = {offer.name: offer for offer in offers}
    return tuple(offer for offer in known.values() if not _is_repeated(offer, known.get(_on_demand_name(offer))))


def doubts_of(offers: Iterable[Offer]) -> dict[str, str]:
    """What is doubtful about which offer, by its name; spot prices are only held against on demand.

    Rules: spot at most on demand; price per vCPU within 0.6 to 1.7 of the median of the family in its region; the price
    grows with the size. Where two sizes stand the wrong way round and neither is far from the median, both are doubted.
    """
    offers = tuple(offers)
    known = {offer.name: offer for offer in offers}
    doubts: dict[str, str] = {}
    for alike in _families(offers):
        doubts.update(_far_from_median(alike))
        for name, doubt in _wrong_way_round(alike, doubts):
            doubts.setdefault(name, doubt)
    for offer in offers:
        on_demand = known.get(_on_demand_name(offer))
        if on_demand is not None and offer.usd_per_hour > on_demand.usd_per_hour:
            doubts[offer.name] = f"spot above the on-demand price {on_demand.usd_per_hour}"
    return doubts


def _families(offers: Iterable[Offer]) -> Iterable[Sequence[Offer]]:
    """Sizes of one machine, sold the same way in the same place; burstable types are paid by their baseline."""
    families: dict[tuple[str, ...], list[Offer]] = defaultdict(list)
    for offer in offers:
        own = offer.instance_type
        if own.baseline_ratio is None and offer.purchase in ("on_demand", "commit_1y", "commit_3y"):
            series = series_of(own.provider, own.name)
            families[own.provider, offer.region, offer.purchase, series, own.accelerator or ""].append(offer)
    return families.values()


def _far_from_median(alike: Sequence[Offer]) -> Iterator[tuple[str, str]]:
    if len(alike) < _N_FOR_A_MEDIAN or alike[0].instance_type.accelerator is not None:
        return
    prices = [offer.usd_per_hour / offer.instance_type.n_vcpus for offer in alike]
    middle = median(prices)
    for offer, price in zip(alike, prices, strict=True):
        if not _LEAST_OF_MEDIAN <= price / middle <= _MOST_OF_MEDIAN:
            yield offer.name, f"anomaly: {price / middle:.2f}x family median per vCPU"


def _wrong_way_round(alike: Sequence[Offer], doubts: dict[str, str]) -> Iterator[tuple[str, str]]:
    ordered = sorted(alike, key=_size)
    for smaller, larger in pairwise(ordered):
        if _size(smaller) == _size(larger) or smaller.usd_per_hour < larger.usd_per_hour:
            continue
        if smaller.name in doubts or larger.name in doubts:  # the median has said which of the two it is
            continue
        names = f"{smaller.instance_type.name} costs no less than {larger.instance_type.name}"
        yield smaller.name, f"anomaly: {names}"
        yield larger.name, f"anomaly: {names}"


def _size(offer: Offer) -> tuple[float, float, float]:
    own = offer.instance_type
    return own.n_accelerators, float(own.n_vcpus), own.memory_gib


def _on_demand_name(offer: Offer) -> str:
    """The on-demand offer that a spot offer is held against; of all others none."""
    return offer.name.removesuffix("spot") + "on_demand" if offer.purchase == "spot" else ""


def _is_repeated(offer: Offer, on_demand: Offer | None) -> bool:
    return on_demand is not None and offer.usd_per_hour == on_demand.usd_per_hour
