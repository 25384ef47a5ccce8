"""ToteSys: an operational sales database, turned into a star schema as its rows change.

Source and warehouse columns: the course's entity diagrams, as exported in
soningfold/totesys-etl-project and completed in TorSatherley/team-fenor-de-project.
"""

from contracts.dataset import DatabaseSource, Dataset, LoadRule
from contracts.star_schema import (
    CellKind,
    Dimension,
    Fact,
    Lookup,
    Reference,
    SourceColumn,
    SourceTable,
    StarColumn,
    StarSchema,
)

_CURRENCIES = {"GBP": "British Pound", "USD": "US Dollar", "EUR": "Euro"}


def _source(name: str, optional: tuple[str, ...] = (), **kinds: CellKind) -> SourceTable:
    """Declare a source table; its first column is the key, `optional` ones may be null."""
    columns = [
        SourceColumn(name=column, kind=kind, required=column not in optional)
        for column, kind in kinds.items()
    ]
    stamps = [SourceColumn(name=each, kind="timestamp") for each in ("created_at", "last_updated")]
    return SourceTable(name=name, key=columns[0].name, columns=(*columns, *stamps))


def _same(*names: str) -> tuple[StarColumn, ...]:
    return tuple(StarColumn(name=name, source=name) for name in names)


_VERSION = (
    StarColumn(name="created_date", source="created_at", take="date"),
    StarColumn(name="created_time", source="created_at", take="time"),
    StarColumn(name="last_updated_date", source="last_updated", take="date"),
    StarColumn(name="last_updated_time", source="last_updated", take="time"),
)
_DAYS = tuple(
    Reference(column=name, dimension="dim_date") for name in ("created_date", "last_updated_date")
)
_ADDRESS = ("address_line_1", "address_line_2", "district", "city", "postal_code", "country")


def _to(dimension: str, *columns: str) -> tuple[Reference, ...]:
    return tuple(Reference(column=column, dimension=dimension) for column in columns)


_STAR = StarSchema(
    calendar="dim_date",
    sources=(
        _source(
            "address",
            optional=("address_line_2", "district"),
            address_id="int",
            address_line_1="text",
            address_line_2="text",
            district="text",
            city="text",
            postal_code="text",
            country="text",
            phone="text",
        ),
        _source(
            "counterparty",
            optional=("commercial_contact", "delivery_contact"),
            counterparty_id="int",
            counterparty_legal_name="text",
            legal_address_id="int",
            commercial_contact="text",
            delivery_contact="text",
        ),
        _source("currency", currency_id="int", currency_code="text"),
        _source(
            "department",
            optional=("location", "manager"),
            department_id="int",
            department_name="text",
            location="text",
            manager="text",
        ),
        _source(
            "design", design_id="int", design_name="text", file_location="text", file_name="text"
        ),
        _source(
            "staff",
            staff_id="int",
            first_name="text",
            last_name="text",
            department_id="int",
            email_address="text",
        ),
        _source(
            "sales_order",
            sales_order_id="int",
            design_id="int",
            staff_id="int",
            counterparty_id="int",
            units_sold="int",
            unit_price="decimal",
            currency_id="int",
            agreed_delivery_date="date",
            agreed_payment_date="date",
            agreed_delivery_location_id="int",
        ),
        _source(
            "purchase_order",
            purchase_order_id="int",
            staff_id="int",
            counterparty_id="int",
            item_code="text",
            item_quantity="int",
            item_unit_price="decimal",
            currency_id="int",
            agreed_delivery_date="date",
            agreed_payment_date="date",
            agreed_delivery_location_id="int",
        ),
        _source("payment_type", payment_type_id="int", payment_type_name="text"),
        _source(
            "payment",
            payment_id="int",
            transaction_id="int",
            counterparty_id="int",
            payment_amount="decimal",
            currency_id="int",
            payment_type_id="int",
            paid="bool",
            payment_date="date",
            company_ac_number="int",
            counterparty_ac_number="int",
        ),
        _source(
            "transaction",
            optional=("sales_order_id", "purchase_order_id"),
            transaction_id="int",
            transaction_type="text",
            sales_order_id="int",
            purchase_order_id="int",
        ),
    ),
    facts=(
        Fact(
            name="fact_sales_order",
            of="sales_order",
            record_id="sales_record_id",
            columns=(
                *_same("sales_order_id"),
                *_VERSION,
                StarColumn(name="sales_staff_id", source="staff_id"),
                *_same("counterparty_id", "units_sold", "unit_price", "currency_id", "design_id"),
                *_same("agreed_payment_date", "agreed_delivery_date"),
                *_same("agreed_delivery_location_id"),
            ),
            references=(
                *_DAYS,
                *_to("dim_date", "agreed_payment_date", "agreed_delivery_date"),
                *_to("dim_staff", "sales_staff_id"),
                *_to("dim_counterparty", "counterparty_id"),
                *_to("dim_currency", "currency_id"),
                *_to("dim_design", "design_id"),
                *_to("dim_location", "agreed_delivery_location_id"),
            ),
        ),
        Fact(
            name="fact_purchase_order",
            of="purchase_order",
            record_id="purchase_record_id",
            columns=(
                *_same("purchase_order_id"),
                *_VERSION,
                *_same("staff_id", "counterparty_id", "item_code", "item_quantity"),
                *_same("item_unit_price", "currency_id"),
                *_same("agreed_delivery_date", "agreed_payment_date"),
                *_same("agreed_delivery_location_id"),
            ),
            references=(
                *_DAYS,
                *_to("dim_date", "agreed_payment_date", "agreed_delivery_date"),
                *_to("dim_staff", "staff_id"),
                *_to("dim_counterparty", "counterparty_id"),
                *_to("dim_currency", "currency_id"),
                *_to("dim_location", "agreed_delivery_location_id"),
            ),
        ),
        Fact(
            name="fact_payment",
            of="payment",
            record_id="payment_record_id",
            columns=(
                *_same("payment_id"),
                *_VERSION,
                *_same("transaction_id", "counterparty_id", "payment_amount", "currency_id"),
                *_same("payment_type_id", "paid", "payment_date"),
            ),
            references=(
                *_DAYS,
                *_to("dim_date", "payment_date"),
                *_to("dim_transaction", "transaction_id"),
                *_to("dim_counterparty", "counterparty_id"),
                *_to("dim_currency", "currency_id"),
                *_to("dim_payment_type", "payment_type_id"),
            ),
        ),
    ),
    dimensions=(
        Dimension(
            name="dim_staff",
            of="staff",
            key="staff_id",
            lookups=(Lookup(table="department", by="department_id"),),
            columns=(
                *_same("staff_id", "first_name", "last_name"),
                StarColumn(name="department_name", source="department.department_name"),
                StarColumn(name="location", source="department.location"),
                *_same("email_address"),
            ),
        ),
        Dimension(
            name="dim_location",
            of="address",
            key="location_id",
            columns=(
                StarColumn(name="location_id", source="address_id"),
                *_same(*_ADDRESS, "phone"),
            ),
        ),
        Dimension(
            name="dim_currency",
            of="currency",
            key="currency_id",
            columns=(
                *_same("currency_id", "currency_code"),
                StarColumn(name="currency_name", source="currency_code", values=_CURRENCIES),
            ),
        ),
        Dimension(
            name="dim_design",
            of="design",
            key="design_id",
            columns=_same("design_id", "design_name", "file_location", "file_name"),
        ),
        Dimension(
            name="dim_counterparty",
            of="counterparty",
            key="counterparty_id",
            lookups=(Lookup(table="address", by="legal_address_id"),),
            columns=(
                *_same("counterparty_id", "counterparty_legal_name"),
                *(
                    StarColumn(name=f"counterparty_legal_{name}", source=f"address.{name}")
                    for name in _ADDRESS
                ),
                StarColumn(name="counterparty_legal_phone_number", source="address.phone"),
            ),
        ),
        Dimension(
            name="dim_payment_type",
            of="payment_type",
            key="payment_type_id",
            columns=_same("payment_type_id", "payment_type_name"),
        ),
        Dimension(
            name="dim_transaction",
            of="transaction",
            key="transaction_id",
            columns=_same(
                "transaction_id", "transaction_type", "sales_order_id", "purchase_order_id"
            ),
        ),
    ),
)

DATASET = Dataset(
    name="totesys",
    table_schema="totesys",
    # Tables that others refer to come first, so that few facts have to wait.
    source=DatabaseSource(tables=tuple(table.name for table in _STAR.sources)),
    format="star_schema",
    mode="append",
    key=(),
    rules={
        **{one.name: LoadRule(mode="merge", key=(one.key,)) for one in _STAR.dimensions},
        _STAR.calendar: LoadRule(mode="merge", key=("date_id",)),
    },
    star=_STAR,
)
