import polars as pl

from services.processor.cdr_panel import panel_name, panel_type, tidy_panel


def tidied(header: str, *cells: str) -> list[str | None]:
    return tidy_panel(pl.DataFrame({header: cells}))[header].to_list()


def test_headers_become_names() -> None:
    assert panel_name("FDIC Certificate Number") == "fdic_certificate_number"
    assert panel_name("Last Date/Time Submission Updated On") == (
        "last_date_time_submission_updated_on"
    )


def test_zero_means_none_for_charters_dockets_routing_numbers_and_states() -> None:
    assert tidied("OCC Charter Number", "0", "1253") == [None, "1253"]
    assert tidied("Primary ABA Routing Number", "0") == [None]
    assert tidied("Financial Institution State", "0 ", "GA") == [None, "GA"]


def test_a_zero_elsewhere_is_a_zero() -> None:
    assert tidied("Financial Institution Name", "0") == ["0"]


def test_routing_numbers_get_their_leading_zero_back() -> None:
    assert tidied("Primary ABA Routing Number", "61107146", "311972526") == [
        "061107146",
        "311972526",
    ]


def test_trailing_spaces_go_and_leading_ones_stay() -> None:
    assert tidied("Financial Institution Address", '1411 "M" STREET ', " 1 ", " ") == [
        '1411 "M" STREET',
        " 1",
        None,
    ]


def test_identifying_numbers_are_numbers_and_codes_are_text() -> None:
    assert panel_type("fdic_certificate_number") == "int"
    assert panel_type("financial_institution_zip_code") == "text"
    assert panel_type("last_date_time_submission_updated_on") == "timestamp"
