from contracts import CollectedFile
from services.processor.load_order import content_digest, load_id

FILES = [
    CollectedFile(name=name, key=f"raw/{name}", bytes=1, sha256=digit * 64)
    for name, digit in (("RCB(1 of 2).txt", "a"), ("RCB(2 of 2).txt", "b"))
]


def test_a_load_keeps_its_id_when_its_folder_comes_again() -> None:
    assert load_id("run-1", "call_reports.rc", "2013Q1") == load_id(
        "run-1", "call_reports.rc", "2013Q1"
    )


def test_run_table_and_period_each_make_another_load() -> None:
    ids = {
        load_id("run-1", "call_reports.rc", "2013Q1"),
        load_id("run-2", "call_reports.rc", "2013Q1"),
        load_id("run-1", "call_reports.rcb", "2013Q1"),
        load_id("run-1", "call_reports.rc", "2013Q2"),
    }
    assert len(ids) == 4


def test_the_digest_follows_the_files_and_not_their_order_or_place() -> None:
    moved = [file.model_copy(update={"key": f"raw/run-2/{file.name}"}) for file in FILES]
    assert content_digest(FILES, "f") == content_digest(reversed(moved), "f")


def test_another_file_name_content_or_column_type_is_other_content() -> None:
    changed = [FILES[0], FILES[1].model_copy(update={"sha256": "c" * 64})]
    renamed = [FILES[0], FILES[1].model_copy(update={"name": "RCB.txt"})]
    digests = {
        content_digest(FILES, "f"),
        content_digest(changed, "f"),
        content_digest(renamed, "f"),
        content_digest(FILES[:1], "f"),
        content_digest(FILES, "g"),
    }
    assert len(digests) == 5
