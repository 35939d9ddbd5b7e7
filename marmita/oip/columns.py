"""Tables in the Open Inference Protocol: one tensor a column, in the datatype of its kind."""

import struct
from collections.abc import Iterator, Mapping, Sequence
from math import isnan
from reprlib import repr as shown
from typing import Any

import numpy as np

from marmita.contract.cells import check
from marmita.contract.columns import Cell, Column, Floats, Kind, encoder
from marmita.contract.errors import ErrorCode, RequestError
from marmita.contract.requests import MAX_ROWS

DATATYPES = {Kind.NUMBER: "FP64", Kind.INTEGER: "INT64", Kind.BOOLEAN: "BOOL", Kind.CATEGORY: "BYTES"}
"""The datatype of each kind of column in a model's metadata."""

_NUMBERS = {
    "FP32": "<f4",
    "FP64": "<f8",
    **{f"INT{bits}": f"<i{bits // 8}" for bits in (8, 16, 32, 64)},
    **{f"UINT{bits}": f"<u{bits // 8}" for bits in (8, 16, 32, 64)},
}
_ACCEPTED = {
    Kind.NUMBER: frozenset(_NUMBERS),
    Kind.INTEGER: frozenset(_NUMBERS),
    Kind.BOOLEAN: frozenset({"BOOL"}),
    Kind.CATEGORY: frozenset({"BYTES"}),
}
_LENGTH = struct.Struct("<I")


def describe(columns: Sequence[Column]) -> list[dict[str, Any]]:
    """Return the metadata of the tensors."""
    return [{"name": column.name, "datatype": DATATYPES[column.kind], "shape": [-1, 1]} for column in columns]


def example_tensors(columns: Sequence[Column]) -> list[dict[str, Any]]:
    """Return an example row as tensors."""
    described = zip(describe(columns), columns, strict=True)
    return [
        {**one, "shape": [1, 1], "data": [column.example]} for one, column in described if column.example is not None
    ]


def read(tensors: Sequence[Any], binary: bytes, columns: Sequence[Column]) -> Floats:
    """Decode the tensors of a request, in any order. The raw values of those without data follow each other."""
    by_name = _by_name(tensors, columns)
    raw = _RawValues(binary)
    cells = {name: _cells(tensor, raw) for name, tensor in by_name.items()}
    raw.check_end()
    counts = {len(values) for values in cells.values()}
    if len(counts) != 1:
        raise _invalid(f"the tensors must have the same number of rows, not {shown(sorted(counts))}")
    (count,) = counts
    if not 1 <= count <= MAX_ROWS:
        code = ErrorCode.TOO_MANY_ITEMS if count else ErrorCode.INVALID_REQUEST
        raise RequestError(code, f"there must be from 1 to {MAX_ROWS} rows, not {count}")
    missing: Sequence[Cell] = [None] * count
    return encoder(columns)([_checked(column, cells.get(column.name, missing)) for column in columns])


def _by_name(tensors: Sequence[Any], columns: Sequence[Column]) -> dict[str, Mapping[str, Any]]:
    kinds = {column.name: column.kind for column in columns}
    found: dict[str, Mapping[str, Any]] = {}
    for tensor in tensors:
        name = tensor.get("name") if isinstance(tensor, dict) else None
        if not isinstance(name, str) or name not in kinds:
            raise _invalid(f"the model has no column {shown(name)}")
        if name in found:
            raise _invalid(f"there are two tensors {shown(name)}")
        datatype = tensor.get("datatype")
        if not isinstance(datatype, str) or datatype not in _ACCEPTED[kinds[name]]:
            raise _invalid(f"{shown(name)} must have the datatype {DATATYPES[kinds[name]]}, not {shown(datatype)}")
        found[name] = tensor
    if lacking := [column.name for column in columns if column.name not in found and not column.gaps]:
        raise _invalid(f"these columns have no tensor: {shown(lacking)}")
    return found


def _cells(tensor: Mapping[str, Any], raw: "_RawValues") -> list[Cell]:
    count, size = _count(tensor), _binary_size(tensor)
    data = tensor.get("data")
    if (size is None) == (data is None):
        raise _invalid(f"{shown(tensor['name'])} must have either data or a binary_data_size")
    values = _flat(data, tensor["name"]) if size is None else raw.take(size, tensor["datatype"])
    if len(values) != count:
        raise _invalid(f"{shown(tensor['name'])} has {len(values)} values, but its shape is {shown(tensor['shape'])}")
    return values


def _count(tensor: Mapping[str, Any]) -> int:
    match tensor.get("shape"):
        case [int(count)] | [int(count), 1] if count >= 0:
            return count
        case shape:
            raise _invalid(f"{shown(tensor['name'])} must have the shape [rows] or [rows, 1], not {shown(shape)}")


def _binary_size(tensor: Mapping[str, Any]) -> int | None:
    given = tensor.get("parameters")
    size = given.get("binary_data_size") if isinstance(given, dict) else None
    if not (size is None or (type(size) is int and size >= 0)):
        raise _invalid("the parameter binary_data_size must be a whole number")
    return size


def _flat(data: object, name: str) -> list[Cell]:
    """Return the values of a list, or of a list of rows with one value each."""
    if not isinstance(data, list):
        raise _invalid(f"the data of {shown(name)} must be a list")
    return [value[0] if isinstance(value, list) and len(value) == 1 else value for value in data]


def _checked(column: Column, values: Sequence[Cell]) -> list[Cell]:
    checked = []
    for row, value in enumerate(values):
        try:
            checked.append(check(column, value))
        except ValueError as error:
            raise _invalid(f"row {row}, {column.name[:100]}: {error}") from None
    return checked


class _RawValues:
    """The raw values that follow the JSON, one tensor after the other."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._start = 0

    def take(self, size: int, datatype: str) -> list[Cell]:
        """Return the values of the next tensor."""
        part = self._content[self._start : self._start + size]
        if len(part) != size:
            raise _invalid(f"binary_data_size is {size}, but {len(part)} bytes are left")
        self._start += size
        if datatype == "BYTES":
            return list(_words(part))
        if datatype == "BOOL":
            return [byte != 0 for byte in part]
        dtype = np.dtype(_NUMBERS[datatype])
        if size % dtype.itemsize:
            raise _invalid(f"{size} bytes are no whole number of values")
        return [None if isnan(value) else value for value in np.frombuffer(part, dtype).tolist()]

    def check_end(self) -> None:
        left = len(self._content) - self._start
        if left:
            raise _invalid(f"{left} bytes follow the last tensor")


def _words(content: bytes) -> Iterator[str]:
    """Yield the texts of a tensor of the datatype BYTES: each is preceded by its length."""
    place = 0
    while place < len(content):
        start = place + _LENGTH.size
        if start > len(content) or (place := start + _LENGTH.unpack_from(content, start - _LENGTH.size)[0]) > len(
            content
        ):
            raise _invalid("a text of a BYTES tensor is longer than the tensor")
        try:
            yield content[start:place].decode()
        except UnicodeDecodeError:
            raise _invalid("a text of a BYTES tensor is not UTF-8") from None


def _invalid(error: str) -> RequestError:
    return RequestError(ErrorCode.INVALID_REQUEST, error)
