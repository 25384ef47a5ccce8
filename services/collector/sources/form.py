"""Reading an ASP.NET page: hidden fields, choices by their text, controls by id. Pure."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

from services.collector.sources import portal


@dataclass
class Form:
    """The controls of a page; names are what a POST needs, ids and texts what a person sees."""

    hidden: dict[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    values: dict[str, str] = field(default_factory=dict)
    options: dict[str, dict[str, str]] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)

    def name_of(self, element_id: str) -> str:
        """Return the field name of a control.

        Raises:
            PageChanged: the page has no such control.
        """
        try:
            return self.names[element_id]
        except KeyError:
            raise portal.no_control(element_id) from None

    def labelled(self, text: str) -> str:
        """Return the id of the control whose label contains `text`.

        Raises:
            PageChanged: no label does.
        """
        for element_id, label in self.labels.items():
            if text in " ".join(label.split()):
                return element_id
        raise portal.no_format(text)


def read_form(html: str) -> Form:
    """Parse a page."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    reader.end_option()
    return reader.form


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.form = Form()
        self._select = ""
        self._option: tuple[str | None, str] | None = None
        self._label = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        element_id, name = given.get("id", ""), given.get("name", "")
        if tag in {"input", "select"} and element_id:
            self.form.names[element_id] = name
            self.form.values[element_id] = given.get("value", "")
        if tag == "input" and given.get("type", "").lower() == "hidden" and name:
            self.form.hidden[name] = given.get("value", "")
        elif tag == "select":
            self._select = element_id
            self.form.options[element_id] = {}
        elif tag == "option" and self._select:
            self.end_option()
            self._option = given.get("value"), ""
        elif tag == "label":
            self._label = given.get("for", "")

    def handle_data(self, data: str) -> None:
        if self._option is not None:
            value, text = self._option
            self._option = value, text + data
        elif self._label:
            self.form.labels[self._label] = self.form.labels.get(self._label, "") + data

    def handle_endtag(self, tag: str) -> None:
        if tag in {"option", "select"}:
            self.end_option()
        if tag == "select":
            self._select = ""
        elif tag == "label":
            self._label = ""

    def end_option(self) -> None:
        """Take the option that was being read; HTML lets its end tag be left out."""
        if self._option is None:
            return
        value, text = self._option
        shown = " ".join(text.split())
        self.form.options[self._select][shown] = shown if value is None else value
        self._option = None
