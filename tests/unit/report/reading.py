"""The page as a reader gets it."""

from html.parser import HTMLParser

from loadplan.report.assets import plotly_script


class _Reader(HTMLParser):
    """Text as it is read, tags and attributes as a browser sees them."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.answer: list[str] = []
        self._within: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag in {"script", "style", "article"}:
            self._within.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self._within and self._within[-1] == tag:
            self._within.pop()

    def handle_data(self, data: str) -> None:
        if "script" not in self._within and "style" not in self._within:
            self.text.append(data)
            if "article" in self._within:
                self.answer.append(data)


def read(html: str) -> _Reader:
    reader = _Reader()
    # The bundle is a page of its own to parse, and the same in every report.
    reader.feed(html.replace(plotly_script(), ""))
    return reader


def words(parts: list[str]) -> str:
    return " ".join("".join(parts).split())


def answer(html: str) -> str:
    return words(read(html).answer)


def everything(html: str) -> str:
    return words(read(html).text)
