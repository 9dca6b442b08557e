"""Names, JSON and YAML that anybody may have written: bounded, below their directory, one message."""

from __future__ import annotations

import json
import resource
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eiplatform.config import parse_assignment, read_yaml
from eiplatform.errors import ConfigError, EIPlatformError, StoreError
from eiplatform.files import read_json, write_json
from eiplatform.seal import BLANK, is_sealed, sealed
from eiplatform.store.manifest import Facts, MissingFactError
from eiplatform.untrusted import inside, is_plain, parse_json, reading
from tests.examples import examples

OUTSIDE = ["../x", "/etc/passwd", "a/../../x", "..", ".", "", "a\\b", "c:x", "x\0", "x\n", "a" * 300, None, 3, ["x"]]


@pytest.mark.parametrize("name", OUTSIDE)
@pytest.mark.parametrize("deep", [False, True])
def test_names_stay_in_their_directory(tmp_path: Path, name: object, deep: bool) -> None:
    with pytest.raises(StoreError):
        inside(tmp_path, name, where="a file", deep=deep)


def test_a_deep_name_is_below_its_directory(tmp_path: Path) -> None:
    assert inside(tmp_path, "fc1/E", where="a file", deep=True) == tmp_path / "fc1" / "E"
    with pytest.raises(StoreError):
        inside(tmp_path, "fc1/E", where="a file")


@examples(30)
@given(st.text(max_size=20))
def test_a_plain_name_joined_is_a_child(name: str) -> None:
    if is_plain(name):
        assert (Path("/a/b") / name).parent == Path("/a/b")


def test_links_that_lead_elsewhere_are_refused(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "out.h5").write_text("precious")
    (tmp_path / "in" / "x.h5").symlink_to("../out.h5")
    (tmp_path / "in" / "folder").symlink_to("..")
    (tmp_path / "in" / "good.h5").write_text("")
    (tmp_path / "in" / "alias.h5").symlink_to("good.h5")
    for name, deep in (("x.h5", False), ("folder/out.h5", True)):
        with pytest.raises(StoreError):
            inside(tmp_path / "in", name, where="a file", deep=deep)
    assert inside(tmp_path / "in", "alias.h5", where="a file").name == "alias.h5"


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1, "a": 2}',
        '{"a": NaN}',
        '{"a": -Infinity}',
        '{"a": 1e999}',
        '{"a": ' + "1" * 5000 + "}",
        '{"a": ' + str(2**64) + "}",
        "[" * 100_000,
        "[" * 100 + "]" * 100,
        '{"a":' * 70 + "1" + "}" * 70,
        "{",
        "",
        "[" + "1," * 2**21 + "1]",
    ],
    ids=range(12),
)
def test_json_is_bounded(text: str) -> None:
    with pytest.raises(StoreError):
        parse_json(text, where="a file")


def test_json_of_metrics_may_hold_nan() -> None:
    found = parse_json('{"a": NaN, "b": Infinity}', where="a file", nan=True)
    assert found["a"] != found["a"]
    assert found["b"] == float("inf")


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@examples(50)
@given(json_values)
def test_what_was_written_is_read(value: Any) -> None:
    assert parse_json(json.dumps(value), where="a file") == value


def test_a_pipe_is_no_json_file(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "x.json")
    with pytest.raises(StoreError):
        read_json(tmp_path / "x.json")
    write_json(tmp_path / "y.json", {"a": 1})
    assert read_json(tmp_path / "y.json") == {"a": 1}


_BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + k)}: &{chr(98 + k)} [{','.join([f'*{chr(97 + k)}'] * 9)}]\n" for k in range(9)
)
YAML = {
    "aliases of aliases": _BOMB,
    "an alias in itself": "a: &a [*a]",
    "brackets": "a: " + "[" * 100_000,
    "indentation": "".join(" " * k + "a:\n" for k in range(500)),
    "a long number": "a: " + "1" * 100_000,
    "a long hexadecimal": "a: 0x" + "f" * 10_000,
    "a large number": "a: 123456789012345678901234567890",
    "base 60": "a: " + ":".join(["1"] * 1000),
    "an impossible date": "a: 2001-99-99",
    "an empty integer": "a: !!int ''",
    "a boolean that is none": "a: !!bool x",
    "a time that is none": "a: !!timestamp x",
    "a float that is none": "a: !!float x",
    "code": "a: !!python/object/apply:os.system ['true']",
    "a zero byte": "a: \0",
    "many values": "a: [" + "1," * 200_000 + "1]",
    "a long text": "a: '" + "x" * 2**22 + "'",
}


@pytest.mark.parametrize("name", YAML)
def test_yaml_is_bounded(tmp_path: Path, name: str) -> None:
    (tmp_path / "x.yml").write_text(YAML[name])
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    with pytest.raises(ConfigError):
        read_yaml(tmp_path / "x.yml")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400 * 1024
    assert time.process_time() - start < 60


def test_yaml_keeps_what_people_write() -> None:
    assert parse_assignment("a=[1, 1e-3, 0x10, true, x]", where="--set")[1] == [1, 1e-3, 16, True, "x"]


def test_aliases_of_reasonable_size_are_read(tmp_path: Path) -> None:
    (tmp_path / "x.yml").write_text("a: &x [1, 2]\nb: *x\nc: [*x, *x]")
    assert read_yaml(tmp_path / "x.yml") == {"a": [1, 2], "b": [1, 2], "c": [[1, 2], [1, 2]]}


def test_whatever_a_parser_raises_is_one_error() -> None:
    for raised in (KeyError("x"), RecursionError(), UnicodeError("y"), ZeroDivisionError("z"), RuntimeError("a\nb")):
        with pytest.raises(ConfigError) as told, reading("a file", error=ConfigError):
            raise raised
        assert told.value.where == "a file"
        assert "\n" not in str(told.value)
        assert told.value.__cause__ is raised
    with pytest.raises(OSError, match="full"), reading("a file"):
        raise OSError(28, "full")  # of the disk that is written to


def test_facts_say_what_is_missing() -> None:
    facts = Facts.of({"spec": {"input": "constant"}, "lesions": [{"dose": 0.5}]})
    assert facts["spec"]["input"] == "constant"
    assert facts["lesions"][0]["dose"] == 0.5
    for ask in (lambda: facts["steps"], lambda: facts["spec"]["warmup"], lambda: facts["lesions"][0]["layers"]):
        with pytest.raises(MissingFactError) as told:
            ask()
        assert isinstance(told.value, EIPlatformError)
        assert isinstance(told.value, KeyError)
    assert facts.get("steps") is None
    assert json.loads(json.dumps(facts)) == facts


def test_every_flipped_bit_breaks_a_seal() -> None:
    content = sealed(b"some values " + BLANK.encode() + b" and more")
    assert is_sealed(content)
    for place in range(8 * len(content)):
        changed = bytearray(content)
        changed[place // 8] ^= 1 << place % 8
        assert not is_sealed(bytes(changed))
