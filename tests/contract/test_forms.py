"""Forms are read from a stream, whatever the order of their parts and wherever its blocks are cut."""

from collections.abc import AsyncIterator, Sequence

import pytest
from requests import Request

from marmita.contract.errors import ErrorCode, RequestError
from marmita.contract.forms import MAX_PARTS, MAX_TEXT_BYTES, Buffer, read_form
from marmita.contract.replies import Form

CSV = b"a,b\r\n1,2\r\n--y\r\n"
TYPE = b"multipart/form-data; boundary=x"


class Sink(Buffer):
    """A sink that knows whether it was closed."""

    def __init__(self) -> None:
        super().__init__()
        self.is_closed = False

    def close(self) -> None:
        self.is_closed = True


def encoded(*files: tuple[str, tuple[str | None, bytes | str, str]]) -> tuple[bytes, bytes]:
    """The body of a form and its media type, as Python's requests encodes them."""
    request = Request("POST", "http://front", files=list(files)).prepare()
    assert isinstance(request.body, bytes)
    return request.body, request.headers["content-type"].encode()


def part(name: str, content: bytes = b"", more: str = "") -> bytes:
    return f'--x\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'.encode() + content + b"\r\n"


async def read(
    body: bytes, content_type: bytes = TYPE, size: int = 10_000, sinks: Sequence[Sink] = ()
) -> tuple[Form, Sink]:
    sink = Sink() if not sinks else sinks[0]

    async def blocks() -> AsyncIterator[bytes]:
        for start in range(0, len(body), size):
            yield body[start : start + size]

    return await read_form(content_type, blocks(), {"file": lambda: sink}), sink


async def rejected(body: bytes, content_type: bytes = TYPE) -> RequestError:
    with pytest.raises(RequestError) as error:
        await read(body, content_type)
    return error.value


@pytest.mark.parametrize("size", [1, 7, 64, 10_000])
@pytest.mark.parametrize("first", ["file", "target"])
async def test_parts_come_in_any_order_and_in_blocks_of_any_size(size: int, first: str) -> None:
    file = ("file", ("iris.csv", CSV, "text/csv"))
    target = ("target", (None, "espécie", "text/plain"))
    body, content_type = encoded(*((file, target) if first == "file" else (target, file)))

    form, sink = await read(body, content_type, size)

    assert form.texts == {"target": "espécie"}
    assert bytes(sink.content) == CSV
    assert (form.files["file"].name, form.files["file"].media_type) == ("iris.csv", "text/csv")


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("iris.csv", "iris.csv"),
        ("C:\\data\\iris.csv", "iris.csv"),
        ("../../etc/passwd", "passwd"),
        ("a\tb.csv", "ab.csv"),
        ("dados de março.csv", "dados de março.csv"),
        ("x" * 300 + ".csv", "x" * 251 + ".csv"),
    ],
)
async def test_a_file_keeps_its_name_without_folders(sent: str, kept: str) -> None:
    form, _ = await read(part("file", CSV, f'; filename="{sent}"') + b"--x--\r\n")

    assert form.files["file"].name == kept


async def test_what_is_empty_counts_as_not_sent() -> None:
    form, sink = await read(part("target") + part("file", b"", '; filename=""') + b"--x--")

    assert form == Form({}, {})
    assert sink.is_closed


async def test_an_empty_file_is_a_file() -> None:
    form, _ = await read(part("file", b"", '; filename="a.csv"') + b"--x--")

    assert form.files["file"].name == "a.csv"


async def test_files_that_are_not_expected_are_named_and_not_kept() -> None:
    form, _ = await read(part("target", CSV, '; filename="a.csv"') + b"--x--")

    assert set(form.files) == {"target"}
    assert form.texts == {}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        part("target", b"variety"),
        part("file", CSV, '; filename="a.csv"'),
        b"no boundary",
        part("target", b"\xff") + b"--x--",
        part("target", b"a") + part("target", b"b") + b"--x--",
        b"--x\r\nContent-Disposition: form-data\r\n\r\n\r\n--x--",
        b"--x\r\nContent-Type: text/plain\r\n\r\nvariety\r\n--x--",
        b"--x\r\nno header\r\n\r\n\r\n--x--",
        b"--x\r\n" + b"x-a: 1\r\n" * 100 + b"\r\n\r\n--x--",
        b"--x\r\nx-a: " + b"1" * 10_000 + b"\r\n\r\n\r\n--x--",
        b"".join(part(f"p{each}") for each in range(MAX_PARTS + 1)) + b"--x--",
    ],
)
async def test_a_broken_form_is_rejected(body: bytes) -> None:
    assert (await rejected(body)).code is ErrorCode.INVALID_REQUEST


async def test_a_form_may_have_no_parts() -> None:
    assert (await read(b"--x--"))[0] == Form({}, {})


@pytest.mark.parametrize("content_type", [b"multipart/form-data", b"multipart/form-data; boundary=", TYPE + b"x" * 300])
async def test_a_form_needs_its_boundary(content_type: bytes) -> None:
    assert (await rejected(part("target") + b"--x--", content_type)).code is ErrorCode.INVALID_REQUEST


async def test_texts_are_bounded_and_files_are_not() -> None:
    long = b"x" * (MAX_TEXT_BYTES + 1)

    _, sink = await read(part("file", long, '; filename="a.csv"') + b"--x--")
    assert bytes(sink.content) == long
    halves = part("target", long[: len(long) // 2]) + part("drop", long[: len(long) // 2 + 1])
    assert (await rejected(halves + b"--x--")).code is ErrorCode.BODY_TOO_LARGE


async def test_a_form_that_fails_closes_its_files() -> None:
    sink = Sink()
    with pytest.raises(RequestError):
        await read(part("file", CSV, '; filename="a.csv"'), sinks=[sink])
    assert sink.is_closed

    whole = Sink()
    form, _ = await read(part("file", CSV, '; filename="a.csv"') + b"--x--", sinks=[whole])
    assert not whole.is_closed
    form.close()
    assert whole.is_closed
