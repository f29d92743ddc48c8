"""Forms of the kind multipart/form-data, byte by byte."""

import pytest

from api.files.form import parse_form
from api.web.problems import BadRequest, RepeatedName

KIND = 'multipart/form-data; boundary="xyz"'


def part(content: bytes, disposition: str = 'form-data; name="file"; filename="a.fit"') -> bytes:
    return b"--xyz\r\nContent-Disposition: %s\r\n\r\n%s\r\n" % (disposition.encode(), content)


def test_the_file_is_whatever_stands_between_the_boundaries() -> None:
    for content in (b"", b"abc", b"\r\n", b"\r\n--xy", b"a--xyz", b"\0\xff" * 1000, b"\r\n\r\n"):
        form = parse_form(KIND, part(content) + b"--xyz--\r\n")
        assert (form.data, form.filename) == (content, "a.fit")


def test_fields_are_texts_by_their_names_and_long_ones_are_left_out() -> None:
    body = part(b"keep", 'form-data; name="onDuplicate"') + part(
        b"x" * 70_000, 'form-data; name="y"'
    )
    form = parse_form(KIND, b"a preamble\r\n" + body + part(b"1") + b"--xyz--")
    assert form.fields == {"onDuplicate": "keep"}
    assert form.data == b"1"


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ('form-data; name="file"', None),
        ("form-data; name=file; filename=ride.fit", "ride.fit"),
        ('form-data; filename="a \\"ride\\".fit"; name="file"', 'a "ride".fit'),
        ('form-data; name="file"; filename="für dich.fit"', "für dich.fit"),
    ],
)
def test_a_name_may_be_written_in_many_ways(disposition: str, name: str | None) -> None:
    assert parse_form(KIND, part(b"1", disposition) + b"--xyz--").filename == name


def test_a_field_that_is_there_twice_is_refused_by_name() -> None:
    title = part(b"a", 'form-data; name="title"')
    with pytest.raises(RepeatedName, match=r"^title: this field is there more than once"):
        parse_form(KIND, title + part(b"1") + title + b"--xyz--")


def test_other_headers_of_a_part_do_not_matter() -> None:
    head = b"--xyz\r\nContent-Type: a/b\r\ncontent-disposition: form-data; name=file"
    assert parse_form(KIND, head + b"\r\n\r\n1\r\n--xyz--").data == b"1"


def test_a_form_without_a_file_has_none() -> None:
    assert parse_form(KIND, part(b"1", 'form-data; name="other"') + b"--xyz--").data is None
    assert parse_form(KIND, part(b"1", "form-data") + b"--xyz--").data is None
    assert parse_form(KIND, b"--xyz--").data is None


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"hello", b"--xy", b"--xyz\r\n", part(b"1"), part(b"1") + b"--xyz"),
        b"--xyz\r\nno headers\r\n--xyz--",
        b"--xyz\r\nA: " + b"x" * 10_000 + b"\r\n\r\n1\r\n--xyz--",
        part(b"1") + part(b"2") + b"--xyz--",  # which of the two?
    ],
)
def test_what_is_no_form_is_refused(body: bytes) -> None:
    with pytest.raises(BadRequest):
        parse_form(KIND, body)


@pytest.mark.parametrize("kind", ["multipart/form-data", KIND.replace("xyz", "é"), KIND + "x" * 99])
def test_a_form_without_a_boundary_is_refused(kind: str) -> None:
    with pytest.raises(BadRequest):
        parse_form(kind, part(b"1") + b"--xyz--")


def test_a_form_of_very_many_parts_is_refused() -> None:
    fields = [part(b"1", f'form-data; name="x{at}"') for at in range(21)]
    with pytest.raises(BadRequest, match="20 parts"):
        parse_form(KIND, b"".join(fields) + b"--xyz--")
    assert parse_form(KIND, b"".join(fields[:19]) + part(b"1") + b"--xyz--").data == b"1"
