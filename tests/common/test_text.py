import pytest

from common.text import BadText, clean_text


@pytest.mark.parametrize("text", ["", " kept as it is\n", "汉字 and 🙂", "\u202e\u200b", "a" * 65_536])
def test_what_can_be_stored_comes_back_unchanged(text):
    assert clean_text(text, field="text") == text


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("\ud800", "lone_surrogate"),
        ("a\x00b", "nul"),
        ("汉" * 21_846, "too_long"),
        (None, "not_text"),
        (7, "not_text"),
    ],
)
def test_the_rest_is_refused_by_name(value, code):
    with pytest.raises(BadText) as refused:
        clean_text(value, field="note")
    assert refused.value.errors[0].code == code
    assert refused.value.detail.startswith("note: ")
    refused.value.detail.encode()
