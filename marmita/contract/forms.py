"""Multipart forms, read from a stream of blocks: texts into memory, files into sinks."""

import re
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MAX_BOUNDARY_LENGTH, MultipartParser, parse_options_header
from starlette.concurrency import run_in_threadpool

from marmita.contract.errors import ErrorCode, RequestError
from marmita.contract.replies import Form, FormFile, Sink

MAX_PARTS = 100
MAX_TEXT_BYTES = 1024 * 1024
"""The limit of all texts of a form together."""
_MAX_FILE_NAME = 255
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Buffer:
    """A sink in memory, for forms whose size is bounded otherwise."""

    def __init__(self) -> None:
        self.content = bytearray()

    def write(self, block: bytes) -> None:
        self.content += block

    def close(self) -> None:
        self.content.clear()


class _Discarded:
    """The sink of a file that is not expected."""

    def write(self, block: bytes) -> None:
        pass

    def close(self) -> None:
        pass


async def read_form(content_type: bytes, blocks: AsyncIterator[bytes], sinks: Mapping[str, Callable[[], Sink]]) -> Form:
    """Read a form. `sinks` opens the sink of each file that is expected; the content of others is discarded.

    The blocks are parsed and written in a thread, as a disk may be slow. Whoever gets the form must close it.
    """
    reader = _FormReader(_boundary(content_type), sinks)
    try:
        async for block in blocks:
            await run_in_threadpool(reader.feed, block)
        return reader.finish()
    except BaseException:
        reader.form.close()
        raise


@dataclass
class _Part:
    """A part that is being read."""

    headers: dict[bytes, bytes] = field(default_factory=dict)
    header: tuple[bytearray, bytearray] = field(default_factory=lambda: (bytearray(), bytearray()))
    name: str = ""
    file: FormFile | None = None
    text: bytearray = field(default_factory=bytearray)
    size: int = 0


class _FormReader:
    """The reader of one form, fed with its blocks."""

    def __init__(self, boundary: bytes, sinks: Mapping[str, Callable[[], Sink]]) -> None:
        self._sinks = sinks
        self._texts: dict[str, str] = {}
        self._files: dict[str, FormFile] = {}
        self.form = Form(self._texts, self._files)
        self._part = _Part()
        self._parts = self._text_bytes = 0
        self._complete = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": lambda data, start, end: self._part.header[0].extend(data[start:end]),
                "on_header_value": lambda data, start, end: self._part.header[1].extend(data[start:end]),
                "on_header_end": self._end_header,
                "on_headers_finished": self._open,
                "on_part_data": lambda data, start, end: self._write(data[start:end]),
                "on_part_end": self._end,
                "on_end": self._finish,
            },
        )

    def feed(self, block: bytes) -> None:
        try:
            self._parser.write(block)
        except FormParserError as error:
            raise _invalid(f"the form can't be read: {error}") from None

    def finish(self) -> Form:
        if not self._complete:
            raise _invalid("the form is not complete: its last boundary is missing")
        return self.form

    def _begin(self) -> None:
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise _invalid(f"the form has more than {MAX_PARTS} parts")
        self._part = _Part()

    def _end_header(self) -> None:
        name, value = self._part.header
        self._part.headers[bytes(name).lower()] = bytes(value)
        self._part.header = (bytearray(), bytearray())

    def _open(self) -> None:
        part = self._part
        kind, options = parse_options_header(part.headers.get(b"content-disposition"))
        if kind != b"form-data" or b"name" not in options:
            raise _invalid("a part of the form has no name")
        part.name = _text(options[b"name"])
        if part.name in self._texts or part.name in self._files:
            raise _invalid(f"the form has two parts {part.name[:100]!r}")
        if b"filename" in options:
            media_type = part.headers.get(b"content-type", b"").decode("latin-1").strip()
            sink = self._sinks.get(part.name, _Discarded)()
            part.file = self._files[part.name] = FormFile(_file_name(_text(options[b"filename"])), media_type, sink)

    def _write(self, block: bytes) -> None:
        self._part.size += len(block)
        if self._part.file is not None:
            self._part.file.sink.write(block)
            return
        self._text_bytes += len(block)
        if self._text_bytes > MAX_TEXT_BYTES:
            raise RequestError(
                ErrorCode.BODY_TOO_LARGE, f"the texts of the form are larger than {MAX_TEXT_BYTES} bytes"
            )
        self._part.text += block

    def _end(self) -> None:
        part = self._part
        if part.file is None:
            if part.text:
                self._texts[part.name] = _text(bytes(part.text))
        elif not part.size and not part.file.name:  # a browser's file field without a file
            self._files.pop(part.name).sink.close()

    def _finish(self) -> None:
        self._complete = True


def _boundary(content_type: bytes) -> bytes:
    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    if not 0 < len(boundary) <= MAX_BOUNDARY_LENGTH:
        raise _invalid("the Content-Type has no boundary: let the client set it")
    return boundary


def _text(given: bytes) -> str:
    try:
        return given.decode()
    except UnicodeDecodeError:
        raise _invalid("a text of the form is not in UTF-8") from None


def _file_name(given: str) -> str:
    return _CONTROL.sub("", re.split(r"[/\\]", given)[-1])[-_MAX_FILE_NAME:]


def _invalid(error: str) -> RequestError:
    return RequestError(ErrorCode.INVALID_REQUEST, error)
