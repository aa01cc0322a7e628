"""The commands on the catalogue: look at it, hold lists of prices against its rules, and lay them over it."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from loadplan.cli import console
from loadplan.cli.options import AsOfOption, DebugOption, JsonOption, parse_date
from loadplan.errors import InputError

if TYPE_CHECKING:
    from loadplan.catalog.price import Catalog
    from loadplan.catalog.price_list import PriceList

catalog_app = typer.Typer(name="catalog", help="Hardware and prices.", no_args_is_help=True)

ProviderOption = Annotated[str | None, typer.Option("--provider", help="Only this provider, such as aws.")]
RegionOption = Annotated[str | None, typer.Option("--region", help="Only this region.")]
NameArgument = Annotated[
    str, typer.Argument(metavar="NAME", help="provider/type, or an offer provider/region/type/purchase.")
]
ListArgument = Annotated[Path, typer.Argument(metavar="FILE", help="Prices: of SkyPilot, gpuhunt, or a plain CSV.")]
MaybeListArgument = Annotated[
    Path | None, typer.Argument(metavar="[FILE]", help="Prices of SkyPilot, gpuhunt, or a plain CSV.")
]
WhoseOption = Annotated[
    str | None, typer.Option("--provider", help="Whose prices they are, where the file doesn't say.")
]
SeenOption = Annotated[
    str | None, typer.Option("--seen", metavar="DATE", help="The day they were seen, where the file doesn't say.")
]
FxOption = Annotated[
    list[str] | None,
    typer.Option("--fx", metavar="CUR=RATE", help="USD for one unit of another currency; may be repeated."),
]
ListNameOption = Annotated[
    str | None, typer.Option("--name", help="Replaces the list of that name; by default the file's name.")
]
UrlOption = Annotated[str | None, typer.Option("--url", help="Another place with the same files.")]
OnlyOption = Annotated[list[str] | None, typer.Option("--provider", help="Keep only this one; may be repeated.")]


def register(app: typer.Typer) -> None:
    """Hang these commands into the tree."""
    catalog_app.command(name="list")(list_offers)
    catalog_app.command(name="show")(show)
    catalog_app.command(name="diff")(diff)
    catalog_app.command(name="validate")(validate)
    catalog_app.command(name="import")(import_list)
    catalog_app.command(name="update")(update)
    app.add_typer(catalog_app)


def list_offers(
    provider: ProviderOption = None,
    region: RegionOption = None,
    as_of: AsOfOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,  # noqa: ARG001 -- read from the arguments by the error handler
) -> None:
    """Every offer with its price per hour, the day the price was seen, and where."""
    from loadplan.cli.catalog_documents import list_document, list_lines

    catalog = _catalog(_today(as_of))
    offers = [
        offer
        for offer in catalog.offers
        if provider in (None, offer.instance_type.provider) and region in (None, offer.region)
    ]
    console.result("\n".join(list_lines(catalog, offers)), list_document(catalog, offers), as_json=as_json)


def show(
    name: NameArgument,
    as_of: AsOfOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,  # noqa: ARG001 -- read from the arguments by the error handler
) -> None:
    """What is known of one machine, its processor, and each of its prices with age and layer."""
    from difflib import get_close_matches

    from loadplan.cli.catalog_documents import show_document, show_lines

    day = _today(as_of)
    catalog = _catalog(day)
    offers = [offer for offer in catalog.offers if name in (offer.name, offer.type_name, offer.instance_type.name)]
    types = {offer.type_name for offer in offers}
    if len(types) != 1:
        near = get_close_matches(name, {one for offer in catalog.offers for one in (offer.type_name, offer.name)}, n=1)
        raise InputError(
            what=f"{name!r} may be {' or '.join(sorted(types))}" if types else f"there is no price for {name!r}",
            where="the catalogue",
            fix="write it with its provider" if types else f"did you mean {near[0]}?" if near else "see `catalog list`",
        )
    console.result("\n".join(show_lines(catalog, offers, day)), show_document(offers, day), as_json=as_json)


def diff(
    file: MaybeListArgument = None,
    provider: WhoseOption = None,
    seen: SeenOption = None,
    fx: FxOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,  # noqa: ARG001 -- read from the arguments by the error handler
) -> None:
    """What FILE would change in the catalogue; without FILE, what imports have changed in the shipped one."""
    from loadplan.catalog.changes import changes_by_list, price_changes
    from loadplan.catalog.reader import load_catalog
    from loadplan.cli.catalog_documents import diff_document, diff_lines

    today = _today(None)
    now = _catalog(today)
    if file is None:
        changes = price_changes(load_catalog(as_of=today).offers, now.offers)
    else:
        changes = changes_by_list(now, _read(file, provider=provider, seen=seen, fx=fx, today=today), as_of=today)
    console.result("\n".join(diff_lines(changes)), diff_document(changes), as_json=as_json)


def validate(
    file: MaybeListArgument = None,
    provider: WhoseOption = None,
    seen: SeenOption = None,
    fx: FxOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,  # noqa: ARG001 -- read from the arguments by the error handler
) -> int:
    """Hold the prices of FILE, or the catalogue itself, against the rules; 1 where a row is wrong."""
    from loadplan.catalog.price_list import PriceList
    from loadplan.catalog.validation import doubts_in
    from loadplan.cli.catalog_documents import finding_lines, validate_document

    today = _today(None)
    if file is None:
        catalog = _catalog(today)
        listed, n_offers = PriceList(rows=(), findings=doubts_in(catalog)), len(catalog.offers)
    else:
        listed = _read(file, provider=provider, seen=seen, fx=fx, today=today)
        n_offers = len(listed.rows)
    text = "\n".join([f"{n_offers:,} usable prices", *finding_lines(listed.findings)])
    console.result(text, validate_document(listed.findings, n_offers), as_json=as_json)
    return 1 if listed.errors else 0


def import_list(
    file: ListArgument,
    name: ListNameOption = None,
    provider: WhoseOption = None,
    seen: SeenOption = None,
    fx: FxOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,  # noqa: ARG001 -- read from the arguments by the error handler
) -> None:
    """Lay the prices of FILE over the shipped ones, from now on."""
    from loadplan.catalog.imported import keep
    from loadplan.cli.catalog_documents import import_document, import_lines

    listed = _read(file, provider=provider, seen=seen, fx=fx, today=_today(None))
    path = keep(listed, name or file.stem)
    console.result("\n".join(import_lines(listed, path)), import_document("import", listed, path), as_json=as_json)


def update(
    url: UrlOption = None,
    provider: OnlyOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,  # noqa: ARG001 -- read from the arguments by the error handler
) -> None:
    """Fetch newer prices from gpuhunt's public catalogue: the only command that goes out to the network for prices."""
    from loadplan.catalog.update import SOURCE_URL, update_catalog
    from loadplan.cli.catalog_documents import import_document, import_lines

    made = update_catalog(today=_today(None), url=url or SOURCE_URL, providers=tuple(provider or ()))
    document = {**import_document("update", made.listed, made.path), "version": made.version}
    console.result("\n".join(import_lines(made.listed, made.path)), document, as_json=as_json)


def parse_rates(texts: Sequence[str]) -> dict[str, Decimal]:
    """USD per unit by currency. Raises InputError for anything but `EUR=1.08`."""
    rates = {}
    for text in texts:
        currency, _, rate = text.partition("=")
        try:
            number = Decimal(rate.strip())
        except InvalidOperation:
            number = Decimal(0)
        if not currency.strip() or not number.is_finite() or number <= 0:
            raise InputError(what=f"{text!r} is no rate", where="--fx", fix="write USD for one unit, such as EUR=1.08")
        rates[currency.strip()] = number
    return rates


def _today(as_of: str | None) -> date:
    from loadplan.clock import utc_now

    return parse_date(as_of) or utc_now().date()


def _catalog(as_of: date) -> "Catalog":
    from loadplan.catalog.imported import imported_files
    from loadplan.catalog.reader import load_catalog

    return load_catalog(as_of=as_of, imported=imported_files())


def _read(file: Path, *, provider: str | None, seen: str | None, fx: list[str] | None, today: date) -> "PriceList":
    from loadplan.catalog.imported import read_list
    from loadplan.catalog.validation import validated

    day = parse_date(seen, option="--seen")
    listed = read_list(file, provider=provider, seen=day, as_of=today, rates=parse_rates(fx or []))
    return validated(listed, as_of=today)
