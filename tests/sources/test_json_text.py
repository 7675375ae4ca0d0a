"""Editing strings inside a JSON text."""

import json

import pytest

from srdscan.sources.json_text import replace_values, value_span

TEXT = '{ "id":7 , "captions" : ["a dog",\n "a cat" , "é"], "nested": {"caption":"x"},"caption": "y" }'


def test_a_string_is_replaced_and_every_other_character_stays() -> None:
    edited = replace_values(TEXT, {("captions", 1): 'a "big" bird', ("nested", "caption"): "ü"})
    assert edited == TEXT.replace('"a cat"', '"a \\"big\\" bird"').replace('"x"', '"ü"')


def test_ascii_texts_stay_ascii() -> None:
    assert replace_values('["a"]', {(0,): "é"}) == '["\\u00e9"]'


@pytest.mark.parametrize("gone", [(0,), (1,), (2,), (0, 1), (1, 2), (0, 2), (0, 1, 2)])
def test_items_go_with_one_comma_each(gone: tuple[int, ...]) -> None:
    edited = json.loads(replace_values(TEXT, {("captions", place): None for place in gone}))
    document = json.loads(TEXT)
    document["captions"] = [caption for place, caption in enumerate(document["captions"]) if place not in gone]
    assert edited == document


@pytest.mark.parametrize("name", ["id", "captions", "nested", "caption"])
def test_a_field_goes_with_its_name(name: str) -> None:
    edited = json.loads(
        replace_values(TEXT, {(name,): None, ("captions", 0): "new"} if name != "captions" else {(name,): None})
    )
    assert name not in edited
    assert set(edited) == set(json.loads(TEXT)) - {name}


def test_of_a_field_that_stands_twice_the_one_that_is_read_is_edited() -> None:
    text = '{"caption": "first", "caption": "second"}'
    assert replace_values(text, {("caption",): "third"}) == '{"caption": "first", "caption": "third"}'
    assert json.loads(text)["caption"] == "second"


def test_a_path_that_leads_nowhere_is_an_error() -> None:
    assert value_span(TEXT, ("captions", 9)) is None
    with pytest.raises(KeyError, match="captions"):
        replace_values(TEXT, {("captions", 9): "x"})
    with pytest.raises(KeyError, match="9"):
        replace_values(TEXT, {("captions", 9): None})
