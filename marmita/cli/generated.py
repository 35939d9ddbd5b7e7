"""Generated blocks: the parts between two marks of a file that is otherwise written by hand."""


def replace_block(text: str, begin: str, end: str, block: str) -> str:
    """Return a file's text with the block between the lines `begin` and `end` replaced."""
    before, begins, rest = text.partition(f"{begin}\n")
    _, ends, after = rest.partition(f"{end}\n")
    if not (begins and ends):
        raise ValueError(f"there are no lines `{begin}` and `{end}`: what is generated stands between them")
    return before + begins + block + ends + after
