import io
import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep
from zipfile import ZipFile

import httpx
import polars as pl
import pytest

from contracts import Period
from ops.portal.catalogue import Catalogue
from ops.portal.quarters import MadeUpQuarters
from ops.portal.serve import Portal, running_portal
from ops.stack.supervise import free_port
from services.collector.sources.form import Form, read_form

FIELD = "ctl00$MainContentHolder$"
PRODUCT = "ReportingSeriesSinglePeriod"
QUARTER, LAST = Period(2013, 1), Period(2013, 3)
NAME = "FFIEC CDR Call Bulk All Schedules 03312013.zip"


@pytest.fixture(scope="module")
def quarters(tmp_path_factory: pytest.TempPathFactory) -> MadeUpQuarters:
    return MadeUpQuarters(tmp_path_factory.mktemp("quarters"), seed=1, banks=5)


@pytest.fixture(scope="module")
def running(quarters: MadeUpQuarters) -> Iterator[Portal]:
    with running_portal(Catalogue(None, quarters, LAST)) as portal:
        yield portal


@pytest.fixture
def portal(running: Portal) -> Iterator[Portal]:
    yield running
    running.heal()


def opened(portal: Portal) -> Form:
    return read_form(httpx.get(portal.url).text)


def chosen(portal: Portal) -> Form:
    """Return the page after the product's postback."""
    fields = {**opened(portal).hidden, f"{FIELD}ListBox1": PRODUCT}
    return read_form(httpx.post(portal.url, data=fields).text)


def order(
    form: Form, date: str = "03/31/2013", file_format: str = "TSVRadioButton"
) -> dict[str, str]:
    return {
        **form.hidden,
        f"{FIELD}ListBox1": PRODUCT,
        f"{FIELD}DatesDropDownList": form.options["DatesDropDownList"][date],
        f"{FIELD}FormatType": file_format,
        f"{FIELD}TabStrip1$Download_0": "Download",
    }


def download(portal: Portal, date: str = "03/31/2013") -> httpx.Response:
    return httpx.post(portal.url, data=order(chosen(portal), date))


def members(response: httpx.Response) -> list[str]:
    with ZipFile(io.BytesIO(response.content)) as archive:
        return archive.namelist()


def test_the_first_page_has_products_and_formats_and_no_dates(portal: Portal) -> None:
    form = opened(portal)
    assert form.options["ListBox1"]["Call Reports -- Single Period"] == PRODUCT
    assert "DatesDropDownList" not in form.options
    assert form.labelled("Tab Delimited") == "TSVRadioButton"
    assert form.labelled("eXtensible Business Reporting Language (XBRL)") == "XBRLRadiobutton"
    assert {"__VIEWSTATE", "__EVENTVALIDATION", "__EVENTTARGET"} <= set(form.hidden)


def test_a_product_brings_its_dates_newest_first(portal: Portal) -> None:
    dates = list(chosen(portal).options["DatesDropDownList"])
    assert dates[:3] == ["09/30/2013", "06/30/2013", "03/31/2013"]
    assert (len(dates), dates[-1]) == (51, "03/31/2001")


def test_option_values_are_opaque_and_distinct(portal: Portal) -> None:
    values = list(chosen(portal).options["DatesDropDownList"].values())
    assert len(set(values)) == len(values)
    assert values not in (sorted(values, key=int), sorted(values, key=int, reverse=True))
    assert values[0] != "0"


def test_the_path_ignores_case_as_on_the_real_server(portal: Portal) -> None:
    assert httpx.get(f"{portal.root}/public/PWS/DownloadBulkData.aspx").status_code == 200
    assert httpx.get(f"{portal.root}/public/other.aspx").status_code == 404


def test_the_archive_arrives_as_an_attachment_with_the_sites_name(
    portal: Portal, quarters: MadeUpQuarters
) -> None:
    response = download(portal)
    assert f'attachment; filename="{NAME}"' in response.headers["content-disposition"]
    assert response.headers["content-type"] == "application/octet-stream"
    assert response.content == quarters.zip_of(QUARTER).read_bytes()


@pytest.mark.parametrize("field", ["__VIEWSTATE", "__EVENTVALIDATION"])
def test_hidden_fields_are_required(portal: Portal, field: str) -> None:
    fields = order(chosen(portal))
    assert httpx.post(portal.url, data={**fields, field: "made up"}).status_code == 500
    del fields[field]
    assert httpx.post(portal.url, data=fields).status_code == 500


def test_a_download_needs_the_page_that_had_the_dates(portal: Portal) -> None:
    fields = {**order(chosen(portal)), **opened(portal).hidden}
    assert httpx.post(portal.url, data=fields).status_code == 500


def test_a_date_that_was_not_offered_is_answered_with_an_error_page(portal: Portal) -> None:
    fields = {**order(chosen(portal)), f"{FIELD}DatesDropDownList": "03/31/2013"}
    response = httpx.post(portal.url, data=fields)
    assert "Server Error" in response.text
    assert "content-disposition" not in response.headers


def test_the_other_format_is_another_file(portal: Portal) -> None:
    response = httpx.post(portal.url, data=order(chosen(portal), file_format="XBRLRadiobutton"))
    assert "XBRL 03312013.zip" in response.headers["content-disposition"]


def test_what_visitors_did_is_listed(portal: Portal) -> None:
    seen = len(portal.requests())
    httpx.get(portal.url, headers={"user-agent": "somebody"})
    download(portal)
    first, *_, last = portal.requests()[seen:]
    assert (first["method"], first["user_agent"], first["download"]) == ("GET", "somebody", False)
    assert (last["method"], last["download"], last["format"]) == ("POST", True, "TSVRadioButton")


@pytest.mark.parametrize(("fault", "status"), [("forbidden", 403), ("unavailable", 503)])
def test_a_refusing_site_recovers_after_so_many_times(
    portal: Portal, fault: str, status: int
) -> None:
    portal.fault(fault, times=2)  # type: ignore[arg-type]  # two of the table above
    assert [httpx.get(portal.url).status_code for _ in range(3)] == [status, status, 200]


def test_an_unknown_fault_is_told(portal: Portal) -> None:
    response = httpx.post(f"{portal.root}/_faults", json={"name": "earthquake"})
    assert response.status_code == 400
    assert "cut_off" in response.json()["error"]


@pytest.mark.parametrize(
    "control", ["ListBox1", "TSVRadioButton", "Download_0", "DatesDropDownList"]
)
def test_a_control_can_be_missing(portal: Portal, control: str) -> None:
    form = chosen(portal)
    portal.fault("missing_control", detail=control)
    fields = {**form.hidden, f"{FIELD}ListBox1": PRODUCT}
    spoilt = read_form(httpx.post(portal.url, data=fields).text)
    assert control in form.names
    assert control not in spoilt.names


def test_a_date_can_be_missing(portal: Portal) -> None:
    portal.fault("missing_date", detail="2013Q1")
    assert "03/31/2013" not in chosen(portal).options["DatesDropDownList"]


def test_xbrl_can_be_preselected(portal: Portal) -> None:
    assert re.search(r'value="TSVRadioButton" checked', httpx.get(portal.url).text)
    portal.fault("xbrl_default")
    assert re.search(r'value="XBRLRadiobutton" checked', httpx.get(portal.url).text)


def test_an_error_page_can_come_instead_of_the_archive(portal: Portal) -> None:
    portal.fault("html_error")
    assert download(portal).headers["content-type"].startswith("text/html")


def test_the_wrong_quarter_can_come_under_the_right_name(portal: Portal) -> None:
    portal.fault("wrong_quarter")
    response = download(portal)
    assert NAME in response.headers["content-disposition"]
    assert "FFIEC CDR Call Schedule RC 09302013.txt" in members(response)


def test_something_else_can_come_under_the_archives_name(portal: Portal) -> None:
    portal.fault("not_a_zip")
    assert not download(portal).content.startswith(b"PK")


def test_the_archive_can_come_damaged(portal: Portal, quarters: MadeUpQuarters) -> None:
    portal.fault("damaged_zip")
    good, content = quarters.zip_of(QUARTER).read_bytes(), download(portal).content
    assert len(content) == len(good)
    assert content != good


@pytest.fixture
def server_log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """What the server logs, which does not reach the root logger."""
    logger = logging.getLogger("uvicorn")
    logger.addHandler(caplog.handler)
    yield caplog
    logger.removeHandler(caplog.handler)


def test_the_download_can_be_cut_off_and_the_server_says_nothing(
    portal: Portal, server_log: pytest.LogCaptureFixture
) -> None:
    form = chosen(portal)
    portal.fault("cut_off", times=1)
    with pytest.raises(httpx.RemoteProtocolError, match="without sending complete message body"):
        httpx.post(portal.url, data=order(form))
    assert download(portal).status_code == 200
    assert server_log.messages == []


def test_the_download_can_be_slow(portal: Portal, quarters: MadeUpQuarters) -> None:
    form = chosen(portal)
    portal.fault("slow", detail="60")
    with httpx.stream("POST", portal.url, data=order(form)) as response:
        piece = next(response.iter_raw())
    assert 0 < len(piece) < quarters.zip_of(QUARTER).stat().st_size / 2


def test_the_site_can_hang(portal: Portal) -> None:
    portal.fault("hanging", detail="60")
    with pytest.raises(httpx.ReadTimeout):
        httpx.get(portal.url, timeout=0.2)
    portal.heal()
    assert httpx.get(portal.url).status_code == 200


def test_a_quarter_can_be_published_again(tmp_path: Path) -> None:
    catalogue = Catalogue(None, MadeUpQuarters(tmp_path, seed=2, banks=5), LAST)
    with running_portal(catalogue) as portal:
        first = download(portal)
        portal.restate(QUARTER)
        again = download(portal)
        assert members(first) == members(again)
        assert first.content != again.content
        assert download(portal).content == again.content


def test_zips_of_a_folder_go_before_made_up_quarters(
    tmp_path: Path, quarters: MadeUpQuarters
) -> None:
    folder = tmp_path / "zips"
    folder.mkdir()
    (folder / NAME).write_bytes(b"PK\x03\x04 a real one")
    (folder / "something else.zip").write_bytes(b"PK")
    with running_portal(Catalogue(folder, quarters, LAST)) as portal:
        assert len(chosen(portal).options["DatesDropDownList"]) == 51
        assert download(portal).content == b"PK\x03\x04 a real one"
        assert (
            download(portal, "06/30/2013").content == quarters.zip_of(Period(2013, 2)).read_bytes()
        )
        restated = httpx.post(f"{portal.root}/_restate", json={"period": "2013Q1"})
        assert restated.status_code == 409


def test_zips_of_a_folder_alone_are_all_there_is(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"PK\x03\x04 a real one")
    with running_portal(Catalogue(tmp_path)) as portal:
        assert list(chosen(portal).options["DatesDropDownList"]) == ["03/31/2013"]


@pytest.fixture(scope="module")
def full_size(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, bytes]]:
    """Members of one quarter as the demo serves it."""
    path = MadeUpQuarters(tmp_path_factory.mktemp("full")).zip_of(Period(2020, 3))
    with ZipFile(path) as archive:
        yield {name: archive.read(name) for name in archive.namelist()}


def test_a_quarter_of_full_size_has_the_members_and_bytes_of_a_real_one(
    full_size: dict[str, bytes],
) -> None:
    # The real zip of this quarter has 49 members of 36.5 MB, and lacks two.
    assert len(full_size) == 51
    assert 36_000_000 < sum(map(len, full_size.values())) < 55_000_000


def test_a_quarter_of_full_size_is_as_empty_as_a_real_one(full_size: dict[str, bytes]) -> None:
    cells = empty = 0
    for name, data in full_size.items():
        if "Schedule" in name:
            for row in data.decode("ascii").split("\r\n")[2:-1]:
                values = row.split("\t")[1:-1]
                cells += len(values)
                empty += values.count("")
    assert 0.55 < empty / cells < 0.75


def test_amounts_of_full_size_exceed_32_bits(full_size: dict[str, bytes]) -> None:
    data = full_size["FFIEC CDR Call Schedule RCL 09302020(1 of 2).txt"]
    derivatives = pl.read_csv(
        data, separator="\t", skip_rows_after_header=1, columns=["RCFDA126"], quote_char=None
    )
    assert derivatives.select(pl.col("RCFDA126").cast(pl.Int64).max()).item() > 2**32


def test_the_program_keeps_made_up_quarters_in_quarrys_home(tmp_path: Path) -> None:
    port = free_port(None)
    portal = Portal(f"http://127.0.0.1:{port}")
    process = subprocess.Popen(  # noqa: S603  # our own program
        [sys.executable, "-m", "ops.portal", "--port", str(port), "--banks", "5"],
        env={**os.environ, "QUARRY_HOME": str(tmp_path)},
    )
    try:
        wait_until_open(portal, process)
        download(portal)
        (kept,) = (tmp_path / "data" / "quarters").iterdir()
        assert "2013Q1" in kept.name
    finally:
        process.terminate()
        process.wait()


def wait_until_open(portal: Portal, process: subprocess.Popen[bytes]) -> None:
    deadline = monotonic() + 30
    while True:
        assert process.poll() is None
        assert monotonic() < deadline
        with suppress(httpx.TransportError):
            httpx.get(portal.url)
            return
        sleep(0.05)


def test_the_program_refuses_a_folder_that_is_not_there(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ops.portal", "--port", "1", "--zips", str(tmp_path / "none")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # our own program
    assert ended.returncode == 2
    assert "none: there is no such folder" in ended.stderr
