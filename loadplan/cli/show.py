"""The commands that only show something: the JSON Schema of a scenario, the catalogue."""

from typing import Annotated

import typer

from loadplan.cli import console
from loadplan.cli.options import DebugOption, JsonOption

catalog_app = typer.Typer(name="catalog", help="Hardware and prices.", no_args_is_help=True)

ProviderOption = Annotated[str | None, typer.Option("--provider", help="Only this provider, such as aws.")]
RegionOption = Annotated[str | None, typer.Option("--region", help="Only this region.")]


def register(app: typer.Typer) -> None:
    """Hang these commands into the tree."""
    app.command()(schema)
    catalog_app.command(name="list")(list_offers)
    app.add_typer(catalog_app)


def schema(debug: DebugOption = False) -> None:  # noqa: ARG001 -- read from the arguments by the error handler
    """The JSON Schema of a scenario file, for editors."""
    from loadplan.scenario.reader import json_schema

    console.show_json(json_schema())


def list_offers(
    provider: ProviderOption = None,
    region: RegionOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,  # noqa: ARG001 -- read from the arguments by the error handler
) -> None:
    """Every offer with its price per hour, the day the price was seen, and where."""
    from loadplan.catalog.reader import load_catalog
    from loadplan.clock import utc_now

    catalog = load_catalog(as_of=utc_now().date())
    offers = [
        offer
        for offer in catalog.offers
        if provider in (None, offer.instance_type.provider) and region in (None, offer.region)
    ]
    lines = [
        f"{offer.name:<60} {offer.usd_per_hour:>10} USD/h  {offer.price_date}  {offer.quality}  {offer.source}"
        for offer in offers
    ]
    document = {
        "schema": "loadplan.catalog/1",
        "version": catalog.version,
        "offers": [
            {
                "name": offer.name,
                "usd_per_hour": str(offer.usd_per_hour),
                "price_date": offer.price_date.isoformat(),
                "quality": offer.quality,
                "source": offer.source,
                "layer": offer.layer,
            }
            for offer in offers
        ],
    }
    console.result("\n".join(lines), document, as_json=as_json)
