"""Known changes of the contracts, each with the verdict a person would give."""

from collections.abc import Sequence

import pytest

from contracts import (
    CollectFolder,
    FolderComplete,
    GenerateRequest,
    LoadComplete,
    LoadTable,
)
from contracts.compat import Release, Verdict, check
from contracts.export import message_schema, schema_name
from contracts.reading import Reading, read_message
from tests.contracts.mutated_fields import FIELDS, TYPES
from tests.contracts.mutated_values import MEANINGS, RANGES, VALUES
from tests.contracts.mutations import Model, Mutation, changed


def release(*models: Model) -> Release:
    newest = max(models, key=lambda model: model.version)

    def read(bodies: Sequence[tuple[str, str]]) -> list[Reading]:
        return [read_message(newest, body, bare=False) for _, body in bodies]

    schemas = {schema_name(model.type, model.version): message_schema(model) for model in models}
    return Release(schemas, read)


@pytest.mark.parametrize("case", FIELDS + TYPES + RANGES + VALUES + MEANINGS, ids=str)
def test_a_known_change_gets_the_verdict_a_person_would_give(case: Mutation) -> None:
    found = check(release(case.before), release(*case.after))
    order: list[Verdict] = ["breaks", "reader_first", "note"]
    worst = next((v for v in order if v in {finding.verdict for finding in found}), None)
    assert worst == case.verdict, [finding.sentence for finding in found]
    assert case.words in "\n".join(f.sentence for f in found if f.verdict == worst)


@pytest.mark.parametrize(
    "model", [GenerateRequest, CollectFolder, FolderComplete, LoadTable, LoadComplete]
)
def test_an_unchanged_contract_has_nothing_to_say(model: Model) -> None:
    assert check(release(model), release(changed(model))) == []
