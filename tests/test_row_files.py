"""Files of rows as people have them: seeds and queries of every form, packed or not, and what is refused."""

import bz2
import csv
import gzip
import io
import json
import lzma
import resource
import tarfile
from collections.abc import Callable
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from autoif.errors import ConfigError
from autoif.instructions.seeds import load_seeds
from autoif.queries.pool import load_queries
from autoif.reading.row_files import read_rows
from autoif.records import Instruction, Query, Reason
from autoif.runs.whole_files import write_jsonl

RULES = ["Use fewer than fifty words.", "Do not use the letter z, please.", 'Say "yes" twice.']
ASK = "Why does the moon look larger near the horizon?"
WHERE = "Which birds stay in the north over the winter?"


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def pack_tar(content: bytes) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        member = tarfile.TarInfo("seeds.txt")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def seeds(path: Path) -> list[str]:
    return [seed.text for seed in load_seeds(path).kept]


def queries(source: object) -> list[str]:
    return [query.text for query in load_queries(str(source), language="").kept]


def table(delimiter: str = ",", names: tuple[str, ...] = ("id", "Instruction"), end: str = "\r\n") -> str:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator=end)
    writer.writerows([names, *enumerate(RULES)])
    return text.getvalue()


FORMS = {
    "numbered.txt": "".join(f"{number}. {rule}\n" for number, rule in enumerate(RULES, 1)),
    "bullets.md": "# Rules\n\n" + "".join(f"* {rule}\n" for rule in RULES),
    "old_mac.txt": "\r".join(RULES),
    "quoted.txt": "".join(f"“{rule}”\n" for rule in RULES),
    "list.json": json.dumps(RULES),
    "objects.json": json.dumps([{"n": 1, "constraint": rule} for rule in RULES], indent=2),
    "lines.jsonl": "# made by hand\n" + "".join(json.dumps({"instruction": rule}) + "\n" for rule in RULES),
    "texts.jsonl": "".join(json.dumps(rule) + "\n" for rule in RULES),
    "twice.jsonl": "".join(json.dumps(json.dumps({"id": 1, "instruction": rule})) + "\n" for rule in RULES),
    "twice.json": json.dumps([json.dumps({"instruction": rule}) for rule in RULES]),
    "lines_called.txt": "".join(json.dumps({"instruction": rule}) + "\n" for rule in RULES),
    "commas.csv": "# a note for readers\n" + table(),
    "tabs.tsv": table("\t", end="\n"),
    "semicolons.csv": table(";"),
    "table_called.txt": table(),
    "one_column.csv": "instruction\n" + "".join('"{}"\n'.format(rule.replace('"', '""')) for rule in RULES),
}


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "marked"])
def test_seeds_are_read_in_every_form_and_a_byte_order_mark_is_nothing(tmp_path: Path, name: str, mark: bytes) -> None:
    assert seeds(write(tmp_path, name, mark + FORMS[name].encode())) == RULES


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_a_file_in_another_unicode_form_is_read_by_its_mark(tmp_path: Path, encoding: str) -> None:
    assert seeds(write(tmp_path, "rules.csv", table().encode(encoding))) == RULES


def pack_zstd(content: bytes) -> bytes:
    return bytes(pyarrow.compress(content, codec="zstd", asbytes=True))


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress, "zst": pack_zstd,
}  # fmt: skip


@pytest.mark.parametrize("suffix", PACKERS)
@pytest.mark.parametrize("name", ["numbered.txt", "list.json", "lines.jsonl", "commas.csv", "tabs.tsv"])
def test_packed_files_of_every_form_are_read(tmp_path: Path, name: str, suffix: str) -> None:
    assert seeds(write(tmp_path, f"{name}.{suffix}", PACKERS[suffix](FORMS[name].encode()))) == RULES


def test_a_packed_file_is_known_by_its_content_whatever_its_name_says(tmp_path: Path) -> None:
    assert seeds(write(tmp_path, "rules.csv", gzip.compress(table().encode()))) == RULES
    assert seeds(write(tmp_path, "rules.csv.gz", table())) == RULES


@pytest.mark.parametrize("suffix", PACKERS)
def test_a_small_file_that_unpacks_to_very_much_is_refused(tmp_path: Path, suffix: str) -> None:
    bomb = PACKERS[suffix](("# " + "x" * 998 + "\n").encode() * 30_000)
    with pytest.raises(ConfigError, match="unpacks to more than 20,000,000 bytes"):
        load_seeds(write(tmp_path, f"bomb.txt.{suffix}", bomb))


@pytest.mark.parametrize("form", ["text", "turns", "beginnings"])
def test_a_table_in_which_many_rows_share_a_long_text_is_refused_before_it_fills_the_memory(
    tmp_path: Path, form: str
) -> None:
    texts = pyarrow.DictionaryArray.from_arrays(pyarrow.array([0] * 2_000, pyarrow.int32()), ["x" * 1_000_000])
    turns = pyarrow.StructArray.from_arrays([texts, texts], ["role", "content"])
    lists = pyarrow.ListArray.from_arrays([0, 2_000], turns)
    column = {"text": texts, "turns": lists, "beginnings": ["x" * 1_000_000] * 100}[form]
    how = {"use_dictionary": False, "column_encoding": "DELTA_BYTE_ARRAY"} if form == "beginnings" else {}
    parquet.write_table(pyarrow.table({"instruction": column}), tmp_path / "bomb.parquet", **how)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ConfigError, match=r"bomb\.parquet: unpacks to more than 20,000,000 bytes"):
        list(read_rows(tmp_path / "bomb.parquet", "seeds"))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000, "kilobytes"


@pytest.mark.parametrize("suffix", ["gz", "bz2", "xz"])
def test_a_packed_file_that_is_cut_off_is_refused_by_name(tmp_path: Path, suffix: str) -> None:
    packed = PACKERS[suffix](FORMS["lines.jsonl"].encode())
    with pytest.raises(ConfigError, match=r"cut\.jsonl: can't be unpacked"):
        load_seeds(write(tmp_path, "cut.jsonl", packed[:-12]))


def test_parquet_is_read(tmp_path: Path) -> None:
    parquet.write_table(pyarrow.table({"n": [1, 2, 3], "instruction": RULES}), tmp_path / "rules.parquet")
    assert seeds(tmp_path / "rules.parquet") == RULES
    for encoding in ("DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY", "PLAIN"):
        written = pyarrow.table({"n": [1, 2, 3], "instruction": RULES})
        parquet.write_table(
            written, tmp_path / "rules.parquet", use_dictionary=False, column_encoding={"instruction": encoding}
        )
        assert seeds(tmp_path / "rules.parquet") == RULES
    parquet.write_table(pyarrow.table({"question": [ASK]}), tmp_path / "asked.parquet")
    assert queries(tmp_path / "asked.parquet") == [ASK]
    (tmp_path / "cut.parquet").write_bytes((tmp_path / "rules.parquet").read_bytes()[:-9])
    with pytest.raises(ConfigError, match=r"cut\.parquet: a Parquet file that can't be read"):
        load_seeds(tmp_path / "cut.parquet")


def test_spaces_of_any_width_joined_emoji_and_any_script_are_text(tmp_path: Path) -> None:
    rules = [
        "Use\u00a0fewer than fifty\u202fwords.",
        "End with \U0001f469\u200d\U0001f4bb.",
        "用中文写，不要用逗号。",
        "اكتب بدون فواصل.",
    ]
    assert seeds(write(tmp_path, "rules.txt", "\n".join(rules))) == rules


def test_comments_are_no_queries(tmp_path: Path) -> None:
    source = write(tmp_path, "q.txt", f"\ufeff# Short questions that a sentence or two can answer.\n{ASK}\n  # more\n")
    assert queries(source) == [ASK]


def test_numbers_and_bullets_are_taken_off_where_most_lines_have_them(tmp_path: Path) -> None:
    assert queries(write(tmp_path, "q.txt", f"1. {ASK}\n2. {WHERE}\n")) == [ASK, WHERE]
    assert queries(write(tmp_path, "q.txt", f"- {ASK}\n- {WHERE}\n")) == [ASK, WHERE]
    alone = "2. What comes before the second, in that list?"
    assert queries(write(tmp_path, "q.txt", f"{ASK}\n{WHERE}\n{alone}\n")) == [ASK, WHERE, alone]


@pytest.mark.parametrize("name", ["instruction", "question", "prompt"])
@pytest.mark.parametrize("context", ["input", "context", "passage"])
def test_what_a_query_asks_about_is_joined_with_it(tmp_path: Path, name: str, context: str) -> None:
    rows = [{name: ASK, context: "It was full on Monday."}, {name: WHERE, context: ""}, {name: ASK, context: None}]
    source = write(tmp_path, "q.jsonl", "\n".join(map(json.dumps, rows)))
    assert queries(source) == [f"{ASK}\n\nIt was full on Monday.", WHERE, ASK]


def test_a_query_about_something_that_is_no_text_is_dropped_with_that_reason(tmp_path: Path) -> None:
    rows = [{"instruction": ASK, "input": {"image": "moon.png"}}, {"instruction": WHERE}]
    pool = load_queries(str(write(tmp_path, "q.jsonl", "\n".join(map(json.dumps, rows)))))
    assert [query.text for query in pool.kept] == [WHERE]
    assert pool.reasons == {Reason.NEEDS_CONTEXT: 1}


def test_a_seed_about_a_text_of_its_own_is_dropped_with_that_reason(tmp_path: Path) -> None:
    rows = [{"instruction": RULES[0], "input": ""}, {"instruction": "Summarise this.", "input": "The bridge is old."}]
    found = load_seeds(write(tmp_path, "s.jsonl", "\n".join(map(json.dumps, rows))))
    assert [seed.text for seed in found.kept] == RULES[:1]
    assert [(each.reason, each.detail[:6]) for each in found.dropped] == [(Reason.NEEDS_CONTEXT, "line 2")]


def test_a_column_can_be_named(tmp_path: Path) -> None:
    path = write(tmp_path, "both.csv", f"title,body\n{RULES[0]},{ASK}\n")
    assert seeds(Path(f"{path}:title")) == [RULES[0]]
    assert queries(f"{path}:body") == [ASK]
    with pytest.raises(ConfigError, match="no column 'name'; columns found: title, body"):
        load_seeds(Path(f"{path}:name"))


@pytest.mark.parametrize(("name", "content"), [("a.txt", f"{ASK}\n"), ("a.json", json.dumps([ASK]))])
def test_a_column_of_what_has_none_is_not_passed_over(tmp_path: Path, name: str, content: str) -> None:
    write(tmp_path, name, content)
    for read in (queries, lambda source: seeds(Path(source))):
        with pytest.raises(ConfigError, match="a text without columns, and 'query' is named as one"):
            read(f"{tmp_path / name}:query")


def test_a_run_folder_gives_its_queries_and_its_instructions(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(ConfigError, match="has written no instructions yet"):
        load_seeds(tmp_path)
    write_jsonl(tmp_path / "queries.jsonl", [Query.of(ASK)])
    write_jsonl(tmp_path / "01_self_instruct/kept-0000.jsonl", [Instruction.of(rule, "seed") for rule in RULES])
    assert queries(tmp_path) == [ASK]
    assert seeds(tmp_path) == RULES


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("cr.csv", f"id,query\r1,{ASK}\r2,{WHERE}\r"),
        ("cr.jsonl", f"{json.dumps(ASK)}\r{json.dumps(WHERE)}\r"),
        ("cr.jsonl.gz", gzip.compress(f"{json.dumps(ASK)}\r{json.dumps(WHERE)}".encode("utf-16"), mtime=0)),
        ("commas.tsv", f"id,query\n1,{ASK}\n2,{WHERE}\n"),
        ("short.csv", f"id,query\n1,{ASK},,\n2,{WHERE}, \n"),
        ("table.md", f"# Ours\n\n| id | query |\n|----|:-----:|\n| 1 | {ASK} |\n| 2 | {WHERE} |\n"),
        ("rules.md", f"---\ntitle: a\n---\n- {ASK}\n***\n- {WHERE}\n***\n```\n"),
        ("pasted.txt", f"1\t{ASK}\n2\t{WHERE}\n"),
    ],
)  # fmt: skip
def test_tables_and_lists_are_read_as_programs_of_an_office_leave_them(
    tmp_path: Path, name: str, content: str | bytes
) -> None:
    assert queries(write(tmp_path, name, content)) == [ASK, WHERE]


def test_lines_that_lay_out_a_list_of_seeds_and_rows_without_one_are_dropped_with_a_reason(tmp_path: Path) -> None:
    found = load_seeds(
        write(tmp_path, "a.md", f"---\n* {RULES[0]}\n```text\n{RULES[1]}\n```\n| a | b |\n1\t{RULES[2]}\n")
    )
    assert [seed.text for seed in found.kept] == RULES
    assert [drop.reason for drop in found.dropped] == [Reason.NOT_AN_INSTRUCTION] * 4
    found = load_seeds(
        write(tmp_path, "a.jsonl", f'{{"seed": null}}\n{json.dumps(RULES[0])}\nnull\n{{"seed": NaN}}\n" "\n')
    )
    assert [drop.reason for drop in found.dropped] == [Reason.EMPTY] * 4


def test_a_line_above_a_list_of_seeds_is_none(tmp_path: Path) -> None:
    found = load_seeds(write(tmp_path, "a.txt", "Here are three instructions:\n\n1. " + "\n2. ".join(RULES)))
    assert [seed.text for seed in found.kept] == RULES
    assert [drop.reason for drop in found.dropped] == [Reason.NOT_AN_INSTRUCTION]


def test_a_table_may_number_its_rows(tmp_path: Path) -> None:
    rows = "".join(f"| {number} | {rule} |\n" for number, rule in enumerate(RULES, 1))
    found = load_seeds(write(tmp_path, "a.md", f"| # | instruction |\n|---|---|\n{rows}"))
    assert [seed.text for seed in found.kept] == RULES


def test_a_list_as_python_writes_it_is_no_seed(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="line 1: a value as Python writes it"):
        load_seeds(write(tmp_path, "a.txt", str(RULES)))


def test_two_columns_of_one_name_are_refused_in_parquet_too(tmp_path: Path) -> None:
    parquet.write_table(pyarrow.table([[ASK], [WHERE]], names=["query", "query"]), tmp_path / "q.parquet")
    with pytest.raises(ConfigError, match=r"q\.parquet: two columns are named 'query'; rename one"):
        queries(tmp_path / "q.parquet")


def test_a_name_that_is_there_twice_with_one_value_is_nothing_to_refuse(tmp_path: Path) -> None:
    found = load_seeds(write(tmp_path, "a.jsonl", json.dumps({"seed": RULES[0]})[:-1] + f', "seed": "{RULES[0]}"}}\n'))
    assert [seed.text for seed in found.kept] == RULES[:1]


@pytest.mark.parametrize("address", ["https://example.com/seeds.txt", "s3://bucket/a.jsonl", "file:///tmp/a.csv"])
@pytest.mark.parametrize("read", [queries, lambda source: seeds(Path(source))])
def test_an_address_is_told_from_a_file_that_is_missing(address: str, read: Callable[[str], object]) -> None:
    with pytest.raises(ConfigError, match="is an address: download the file, and name that"):
        read(address)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", f"{RULES[0]},x\n{RULES[0]},y\n", "columns found"),
        ("a.csv", "id,instruction\n1,Use no commas, ever.\n", "line 2: 3 columns, and the first line names 2"),
        ("a.csv", "instruction,instruction\na,b\n", "two columns are named 'instruction'"),
        (
            "a.jsonl",
            '"Be brief."\n{"seed": "a", "seed": "b"}\n',
            "line 2: broken JSON ('seed' is there twice, with dif",
        ),
        ("a.json", '[{"seed": "a"},\n{"id": {"n": 1, "n": 2}}]', "broken JSON ('n' is there twice, with different val"),
        ("a.csv", 'id,instruction\n1,"Use no\n', "no table"),
        ("a.json", "[1, 2]", "element 1: neither a text nor an object with one"),
        ("a.json", '{"seeds": [7]}', "element 1: no instruction in it; columns found: seeds"),
        (
            "a.jsonl",
            '{"instruction": "Use X.", "rule": "Use Y."}\n',
            "line 1: a text in the columns instruction and rule",
        ),
        ("a.jsonl", '{"instruction": "Use \\ud83d."}\n', "line 1: control or broken characters"),
        ("a.txt", 'Use X.\n{"instruction": "Use Y."}\n', "line 2: JSON between lines of text"),
        ("a.txt", "Use X.\n".encode("utf-16-le"), "no text, or UTF-16 without its mark"),
        ("a.txt", b"PK\x03\x04rest", "a zip archive or a spreadsheet"),
        ("a.py", "Use X.\n", "give a .txt, .md, .jsonl"),
        ("a.txt", "{\\rtf1\\ansi Use X.\\par Use Y.}", "rich text: save it as plain text"),
        ("a.txt.gz", gzip.compress(gzip.compress(b"Use X.\n", mtime=0), mtime=0), "packed more than once"),
        ("a.zip.gz", gzip.compress(b"PK\x03\x04rest", mtime=0), "a zip archive or a spreadsheet"),
        ("a.txt", pack_tar(b"Use no commas.\n" * 9_999), "a tar archive: unpack it"),
        ("a.jsonl.gz", gzip.compress(pack_tar(b"Use no commas.\n" * 9_999), mtime=0), "a tar archive: unpack it"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_in_one_line(
    tmp_path: Path, name: str, content: str | bytes, message: str
) -> None:
    with pytest.raises(ConfigError) as refusal:
        load_seeds(write(tmp_path, name, content))
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)
