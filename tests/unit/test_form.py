import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.portal.page import download_page
from services.collector.sources.form import read_form
from shared.errors import PageChanged

PAGE = """
<form><INPUT TYPE="Hidden" name="__VIEWSTATE" id="__VIEWSTATE" value="a&amp;b=">
<input type="hidden" id="nameless" value="x">
<select name="ctl00$List" id="ListBox1">
  <option value="one">Call Reports --
      Single Period</option>
  <option selected value="two">Ratios &amp; Ranks<option>plain
</select>
<select id="DatesDropDownList" name="ctl00$Dates"></select>
<input type="radio" id="TSV" name="ctl00$Format" value="tsv">
<label for="TSV">Tab <b>Delimited</b>
</label>
<input type="submit" id="Download_0" name="ctl00$Go" value="Download"></form>
"""


def test_hidden_fields_are_read_with_their_entities_resolved() -> None:
    assert read_form(PAGE).hidden == {"__VIEWSTATE": "a&b="}


def test_options_are_found_by_the_text_a_person_sees() -> None:
    assert read_form(PAGE).options["ListBox1"] == {
        "Call Reports -- Single Period": "one",
        "Ratios & Ranks": "two",
        "plain": "plain",
    }


def test_an_empty_list_has_no_options() -> None:
    assert read_form(PAGE).options["DatesDropDownList"] == {}


def test_a_control_is_found_by_id_and_posted_by_name() -> None:
    form = read_form(PAGE)
    assert form.name_of("Download_0") == "ctl00$Go"
    assert form.values["TSV"] == "tsv"


def test_a_control_is_found_by_its_label() -> None:
    assert read_form(PAGE).labelled("Tab Delimited") == "TSV"


def test_a_missing_control_is_a_changed_page() -> None:
    with pytest.raises(PageChanged, match="'Download_1'"):
        read_form(PAGE).name_of("Download_1")


def test_a_missing_label_is_a_changed_page() -> None:
    with pytest.raises(PageChanged, match="'Parquet'"):
        read_form(PAGE).labelled("Parquet")


def test_a_list_whose_last_option_and_own_end_were_left_out_is_read() -> None:
    form = read_form('<select id="s" name="s"><option value="1">first')
    assert form.options == {"s": {"first": "1"}}


@given(
    texts=st.lists(
        st.text("abc<>&'\"$ ", min_size=1).map(lambda text: " ".join(text.split())).filter(bool),
        unique=True,
    )
)
def test_every_date_the_page_shows_is_read_with_its_value(texts: list[str]) -> None:
    dates = [(f"v{number}&", text) for number, text in enumerate(texts)]
    page = download_page(product="x", dates=dates, chosen_format="", view_state="'\"<s>&")
    form = read_form(page)
    assert form.options["DatesDropDownList"] == {text: value for value, text in dates}
    assert form.hidden["__VIEWSTATE"] == "'\"<s>&"
