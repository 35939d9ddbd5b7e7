"""The fast decoder of rows in JSON: msgspec structs, made from columns."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

import msgspec

from marmita.contract.columns import MAX_WORD, Column, Kind
from marmita.contract.requests import MAX_ROWS


def rows_decoder(columns: Sequence[Column], field: str, *, extra: bool = False) -> Callable[[bytes], Sequence[Any]]:
    """Return a decoder of `{"<field>": [{...}, ...]}` that raises an error if the body violates the contract.

    With `extra`, a row may have more columns, which are ignored.
    """
    attributes = [f"c{place}" for place in range(len(columns))]
    fields = [_field(attribute, column) for attribute, column in zip(attributes, columns, strict=True)]
    names = dict(zip(attributes, (column.name for column in columns), strict=True))
    row: Any = msgspec.defstruct("Row", fields, rename=names, forbid_unknown_fields=not extra, gc=False, kw_only=True)
    rows = Annotated[list[row], msgspec.Meta(min_length=1, max_length=MAX_ROWS)]
    request = msgspec.defstruct(
        "Request", [("rows", rows)], rename={"rows": field}, forbid_unknown_fields=True, gc=False
    )
    decode = msgspec.json.Decoder(request).decode
    return lambda body: decode(body).rows  # type: ignore[attr-defined]


def _field(attribute: str, column: Column) -> Any:
    kind = _type(column)
    return (attribute, kind | None, None) if column.gaps else (attribute, kind)


def _type(column: Column) -> Any:
    match column.kind:
        case Kind.BOOLEAN:
            return bool
        case Kind.CATEGORY if column.unseen:
            return Annotated[str, msgspec.Meta(min_length=0 if column.gaps else 1, max_length=MAX_WORD)]
        case Kind.CATEGORY:
            return Literal[column.words]
        case Kind.INTEGER:
            return Annotated[float, msgspec.Meta(ge=column.least, le=column.most, multiple_of=1)]
        case Kind.NUMBER:
            return Annotated[float, msgspec.Meta(ge=column.least, le=column.most)]
