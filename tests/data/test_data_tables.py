from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from charter.core.errors import DataError
from charter.data.tables import read_csv, read_jsonl, read_text


def test_a_gzipped_table_reads_like_the_plain_one(tmp_path):
    plain, packed = tmp_path / "a.csv", tmp_path / "b.csv.gz"
    plain.write_bytes(b'id,text\r\n1,"two\nlines"\r\n')
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert read_csv(plain, ["id"]) == read_csv(packed, ["id"]) == [{"id": "1", "text": "two\nlines"}]
    lines = tmp_path / "c.jsonl.gz"
    lines.write_bytes(gzip.compress(b'{"a": 1}\n\n{"a": 2}\n'))
    assert read_jsonl(lines, ["a"]) == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize("odd", ["\u2028", "\x85", "\x0b", "\x0c"])
def test_only_line_ends_end_a_record(tmp_path, odd):
    file = tmp_path / "a.csv"
    file.write_text(f"id,text\n1,one{odd}two\n", encoding="utf-8")
    assert read_csv(file, ["id", "text"]) == [{"id": "1", "text": f"one{odd}two"}]


@pytest.mark.parametrize("damage", [lambda b: b[:-9], lambda b: b[:12] + b"\xff\xff" + b[14:], lambda b: b[:2] + b"\x00" + b[3:]])
def test_a_broken_gzip_file_is_named(tmp_path, damage):
    file = tmp_path / "a.csv.gz"
    file.write_bytes(damage(gzip.compress(b"id,text\n" + b"1,x\n" * 50)))
    with pytest.raises(DataError, match=r"a\.csv\.gz: is a broken gzip file"):
        read_csv(file, ["id"])


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('1,"first"\n2,"second\n3,third\n4,fourth\n', "the row that begins on line 3 is not valid CSV: a quote is out of place"),
        ('1,"first" and more\n', "the row that begins on line 2 is not valid CSV"),
        ('1,first\n\n2,""second"\n', "the row that begins on line 4 is not valid CSV"),
        ("1,first\n2,hello, world\n", "row 2, on line 3, has 3 fields, and the first line names 2 columns"),
        ("1\n", "row 1, on line 2, is cut"),
    ],
)
def test_no_row_of_a_table_is_joined_with_others_or_cut(tmp_path, text, what):
    file = tmp_path / "a.csv"
    file.write_text("id,prompt\n" + text, encoding="utf-8")
    with pytest.raises(DataError) as caught:
        read_csv(file, ["id", "prompt"])
    assert what in caught.value.message
    assert caught.value.message.startswith(f"{file}: ")
    assert caught.value.hint


def test_a_column_that_is_named_twice_is_told(tmp_path):
    file = tmp_path / "a.csv"
    file.write_text("id,prompt,prompt\n1,a,b\n", encoding="utf-8")
    with pytest.raises(DataError, match="names the column 'prompt' twice"):
        read_csv(file, ["id", "prompt"])
    file.write_text("id,prompt,,\n1,a,,\n", encoding="utf-8")
    assert [row["prompt"] for row in read_csv(file, ["id", "prompt"])] == ["a"]


def test_an_object_that_says_one_thing_twice_is_told(tmp_path):
    file = tmp_path / "a.jsonl"
    file.write_text('{"a": 1}\n{"a": 1, "b": {"c": true, "c": false}}\n', encoding="utf-8")
    with pytest.raises(DataError, match="row 2: the key 'c' stands twice"):
        read_jsonl(file, ["a"])


@pytest.mark.data
@pytest.mark.skipif("CHARTER_DATA" not in os.environ, reason="set CHARTER_DATA to the folder of public data sets")
def test_a_stray_quote_in_the_ailuminate_prompts_is_told_wherever_it_stands(tmp_path):
    source = Path(os.environ["CHARTER_DATA"]) / "ailuminate_demo" / "prompts_en.csv.gz"
    if not source.exists():
        pytest.skip(f"{source} is not there")
    lines = read_text(source).split("\n")
    broken = tmp_path / "broken.csv"
    for at in range(1, len(lines) - 1, 100):
        broken.write_text("\n".join([*lines[:at], lines[at].replace(",", ',"', 1), *lines[at + 1 :]]), encoding="utf-8")
        with pytest.raises(DataError, match="not valid CSV"):
            read_csv(broken, ["release_prompt_id", "prompt_text"])
