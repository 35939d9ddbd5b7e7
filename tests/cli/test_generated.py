import pytest

from marmita.cli.generated import replace_block

BEGIN, END = "<!-- begin -->", "<!-- end -->"


def test_only_what_stands_between_the_marks_is_replaced() -> None:
    text = f"before\n{BEGIN}\nold\nold\n{END}\nafter\n"

    assert replace_block(text, BEGIN, END, "new\n") == f"before\n{BEGIN}\nnew\n{END}\nafter\n"


@pytest.mark.parametrize("text", ["", f"{BEGIN}\nold\n", f"old\n{END}\n", f"{END}\nold\n{BEGIN}\n"])
def test_a_text_without_both_marks_is_left_alone(text: str) -> None:
    with pytest.raises(ValueError, match=f"`{BEGIN}` and `{END}`"):
        replace_block(text, BEGIN, END, "new\n")
