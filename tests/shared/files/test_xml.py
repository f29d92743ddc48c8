"""The XML of strangers: what is read, and what is refused at once."""

import codecs

import pytest

from shared.files import xml
from shared.files.recording import UnreadableFile


class Seen:
    """The texts of all elements by their names."""

    def __init__(self) -> None:
        self.texts: list[tuple[str, str]] = []

    def start(self, _name: str, _attributes: dict[str, str]) -> None:
        """Only ends are kept."""

    def end(self, name: str, text: str) -> None:
        self.texts.append((name, text))


def texts_of(data: bytes) -> list[tuple[str, str]]:
    seen = Seen()
    assert xml.parse(xml.text_of(data), seen) is None
    return seen.texts


def test_names_lose_their_prefix_and_texts_their_blanks() -> None:
    data = b'<a xmlns:x="urn:x"><x:b> 1 </x:b><!-- no text --><c><![CDATA[<2>]]></c></a>'
    assert texts_of(data) == [("b", "1"), ("c", "<2>"), ("a", "")]


@pytest.mark.parametrize(
    "data",
    [
        "<a>é</a>".encode(),
        b"\n\n  <?xml version='1.0'?>" + "<a>é</a>".encode(),
        codecs.BOM_UTF8 + b"<?xml version='1.0' encoding='UTF-8'?>" + "<a>é</a>".encode(),
        codecs.BOM_UTF8 + b"\r\n<?xml version='1.0'?>" + "<a>é</a>".encode(),
        "<?xml version='1.0' encoding='utf-16'?><a>é</a>".encode("utf-16"),
        "<?xml version='1.0' encoding='utf-16'?><a>é</a>".encode("utf-16-be"),
        "<a>é</a>".encode("utf-16-le"),
        "<?xml version='1.0' encoding='ISO-8859-1'?><a>é</a>".encode("latin-1"),
        '<?xml version="1.0" encoding="windows-1252"?><a>é</a>'.encode("cp1252"),
        "<?xml version='1.0' encoding='no-such-thing'?><a>é</a>".encode("cp1252"),
        "<a>é</a>".encode("latin-1"),
        "<?xml version='1.0' encoding='utf-16'?><a>é</a>".encode(),
    ],
    ids=lambda data: repr(data[:44]),
)
def test_a_document_is_read_in_whatever_encoding_it_is_in(data: bytes) -> None:
    """The last one declares UTF-16 and is UTF-8, as many programs write it."""
    assert texts_of(data) == [("a", "é")]


def test_bytes_that_are_no_utf_8_in_a_document_of_it_cost_a_letter_only() -> None:
    data = b"<?xml version='1.0' encoding='UTF-8'?><a><b>\xe9</b><c>1</c></a>"
    assert ("c", "1") in texts_of(data)


@pytest.mark.parametrize(
    "doctype",
    [
        b'<!DOCTYPE a [<!ENTITY l "lol"><!ENTITY m "&l;&l;&l;&l;&l;&l;&l;&l;&l;&l;">]>',
        b'<!DOCTYPE a [<!ENTITY l "' + b"a" * 100_000 + b'">]>',
        b'<!DOCTYPE a [<!ENTITY l SYSTEM "file:///etc/passwd">]>',
        b'<!DOCTYPE a [<!ENTITY % l SYSTEM "http://127.0.0.1/evil.dtd"> %l;]>',
        b'<!DOCTYPE a [<!ATTLIST a b CDATA "c">]>',
    ],
    ids=["billion laughs", "quadratic", "external entity", "parameter entity", "attribute"],
)
def test_a_document_type_with_declarations_is_refused_before_any_is_read(doctype: bytes) -> None:
    with pytest.raises(UnreadableFile, match="declares a document type"):
        texts_of(doctype + b"<a>&l;</a>")


@pytest.mark.parametrize(
    "doctype", [b"<!DOCTYPE a>", b'<!DOCTYPE a SYSTEM "http://127.0.0.1/evil.dtd">']
)
def test_a_document_type_that_only_names_one_is_read_over_and_nothing_is_fetched(
    doctype: bytes,
) -> None:
    assert texts_of(doctype + b"<a><b>&l;</b></a>") == [("b", "&l;"), ("a", "")]


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("Salt & Pepper", "Salt & Pepper"),
        ("R&D; AT&T", "R&D; AT&T"),
        ("a&nbsp;b&eacute;", "a\u00a0bé"),
        ("&unknown;", "&unknown;"),
        ("&amp;&lt;&gt;&quot;&apos;", "&<>\"'"),
        ("&#233;&#xE9;", "éé"),
        ("&#0;&#x1F;&#xD800;&#99999999;&#;x", "&#;x"),
        ("a\x00\x0b\x1f\ufffeb", "ab"),
        ("1 < 2 <3", "1 < 2 <3"),
        ("<![CDATA[a & b &nbsp; < c]]>", "a & b &nbsp; < c"),
    ],
)
def test_what_was_not_escaped_costs_nothing_of_the_document(written: str, text: str) -> None:
    data = f"<a><b>{written}</b><c>1</c></a>".encode()
    assert texts_of(data) == [("b", text), ("c", "1"), ("a", "")]


def test_an_ampersand_in_an_attribute_is_one() -> None:
    assert xml.root_of("<gpx creator='R&D' name='a&nbsp;b'>") == "gpx"
    assert texts_of(b"<a b='R&D &copy; &x'><c>1</c></a>") == [("c", "1"), ("a", "")]


@pytest.mark.parametrize("piece", ["&", "<![CDATA[", "&#", "&aaaaaaaaaaaaaaaa", "< "])
def test_repairs_are_bounded_whatever_the_text(piece: str) -> None:
    """What was escaped once is not looked at again: each piece gives one escape at most."""
    seen = Seen()
    xml.parse("<a>" + piece * 50_000, seen)
    assert seen.texts == []


def test_an_element_that_is_closed_by_another_ends_the_reading() -> None:
    seen = Seen()
    assert xml.parse("<a><b>1</b><c>2</d></a>", seen) == (
        "the file is damaged or cut off in line 1: what follows is lost"
    )
    assert seen.texts == [("b", "1")]


def test_elements_nest_so_deep_and_no_deeper() -> None:
    deep = b"<a>" * 64 + b"</a>" * 64
    assert len(texts_of(deep)) == 64
    with pytest.raises(UnreadableFile, match="nests its elements more than 64 deep"):
        texts_of(b"<a>" + deep + b"</a>")


def test_a_text_has_an_end() -> None:
    assert texts_of(b"<a>" + b"x" * (1 << 20) + b"</a>")
    with pytest.raises(UnreadableFile, match="a text of more than a million characters"):
        texts_of(b"<a>" + b"x" * ((1 << 20) + 1) + b"</a>")


@pytest.mark.parametrize(
    ("text", "root"),
    [
        ("<?xml version='1.0'?><!-- <b> --><x:gpx a='>'>", "gpx"),
        ("<?xml version='1.0'?><x:gpx>", "gpx"),
        ("<TrainingCenterDatabase\n xmlns='x'>", "TrainingCenterDatabase"),
        ("<html><body>", "html"),
        ("no markup <gpx>", None),
        ("", None),
    ],
)
def test_the_root_says_what_a_document_is(text: str, root: str | None) -> None:
    assert xml.root_of(text) == root
