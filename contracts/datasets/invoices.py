"""Invoices: four DynamoDB tables, taken over whole into a database of their own."""

from contracts.dataset import Dataset, DynamoSource, LoadRule
from contracts.item_tables import ItemColumn, ItemTable

_CASES = ItemTable(
    name="cases",
    of="documents",
    key=("document_id",),
    columns=(
        ItemColumn(name="document_id", required=True),
        ItemColumn(name="case_number", required=True),
        ItemColumn(name="status", required=True),
        ItemColumn(name="customer_name", path=("customer", "name"), required=True),
        ItemColumn(name="customer_city", path=("customer", "address", "city")),
        ItemColumn(name="customer_postcode", path=("customer", "address", "postcode")),
        ItemColumn(name="currency", path=("amount", "currency"), required=True),
        ItemColumn(name="net", path=("amount", "net"), kind="decimal", places=4, required=True),
        ItemColumn(name="tax", path=("amount", "tax"), kind="decimal", places=6),
        ItemColumn(name="tax_rates", kind="decimals", places=6),
        ItemColumn(name="paid", kind="bool", required=True),
        ItemColumn(name="tags", kind="texts"),
        ItemColumn(name="first_sku", path=("lines", 0, "sku")),
        ItemColumn(name="lines", kind="json"),
        ItemColumn(name="issued_on", kind="date", required=True),
        ItemColumn(name="received_at", kind="timestamp", required=True),
        ItemColumn(name="expires_at", path=("ttl",), kind="epoch"),
    ),
)
_METADATA = ItemTable(
    name="metadata",
    of="metadata",
    key=("document_id", "version"),
    columns=(
        ItemColumn(name="document_id", required=True),
        ItemColumn(name="version", kind="int", required=True),
        ItemColumn(name="content_type"),
        ItemColumn(name="pages", kind="int"),
        ItemColumn(name="size_bytes", kind="int"),
        ItemColumn(name="checksum", kind="binary"),
        ItemColumn(name="attributes", kind="json"),
        ItemColumn(name="updated_at", kind="timestamp", required=True),
    ),
)
_TEMPLATES = ItemTable(
    name="templates",
    of="templates",
    key=("template_id",),
    columns=(
        ItemColumn(name="template_id", required=True),
        ItemColumn(name="name", required=True),
        ItemColumn(name="language"),
        ItemColumn(name="active", kind="bool", required=True),
        ItemColumn(name="fields", kind="texts"),
        ItemColumn(name="scale", kind="decimal", places=20),
        ItemColumn(name="layout", kind="json"),
        ItemColumn(name="created_on", kind="date"),
    ),
)
_AUDIT = ItemTable(
    name="audit",
    of="audit",
    key=("document_id", "event_id"),
    columns=(
        ItemColumn(name="document_id", required=True),
        ItemColumn(name="event_id", required=True),
        ItemColumn(name="at", kind="timestamp", required=True),
        ItemColumn(name="actor", required=True),
        ItemColumn(name="action", required=True),
        ItemColumn(name="amount", kind="decimal", places=4),
        ItemColumn(name="changes", kind="json"),
    ),
)
_TABLES = (_CASES, _METADATA, _TEMPLATES, _AUDIT)

DATASET = Dataset(
    name="invoices",
    table_schema="invoices",
    source=DynamoSource(
        tables=tuple(table.of for table in _TABLES), table_name="invoice-{table}-{env}"
    ),
    format="dynamodb_items",
    mode="replace",
    key=(),
    rules={table.name: LoadRule(mode="replace", key=table.key) for table in _TABLES},
    database="invoice-transactions-{env}-dw",
    items=_TABLES,
)
