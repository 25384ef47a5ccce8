"""Hired employees, departments and jobs, dropped as delimited text (the Globant challenge)."""

from contracts.dataset import Dataset
from contracts.drop_table import DropColumn, DropSource, DropTable

DATASET = Dataset(
    name="hires",
    table_schema="hires",
    source=DropSource(
        tables=(
            DropTable(
                name="hired_employees",
                patterns=("hired_employees*.csv",),
                columns=(
                    DropColumn(name="id", kind="int"),
                    DropColumn(name="name"),
                    DropColumn(name="datetime", kind="timestamp"),
                    DropColumn(name="department_id", kind="int"),
                    DropColumn(name="job_id", kind="int"),
                ),
            ),
            DropTable(
                name="departments",
                patterns=("departments*.csv",),
                columns=(DropColumn(name="id", kind="int"), DropColumn(name="department")),
            ),
            DropTable(
                name="jobs",
                patterns=("jobs*.csv",),
                columns=(DropColumn(name="id", kind="int"), DropColumn(name="job")),
            ),
        )
    ),
    format="delimited_text",
    # The raw layer keeps every version of every file; the views of hires.sql show the newest.
    mode="append",
    key=(),
)
