"""Whatever is handed to charnn as a checkpoint, a configuration, a text or a prompt: an answer at once, never code."""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from harness import HERE, ROOT, TEXT, TINY, Golden, Tally, Zygote, assert_told, checkpoints, parse_checkpoint
from hostile import forge

from charnn.storage import checkpoint

ROOM = 64 * 2**20
CPU = 10


def trap(folder: Path) -> object:
    """An object that leaves a file behind when it is unpickled."""

    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return (os.mkdir, (str(folder / "executed"),))

    return Trap()


def pickled(folder: Path) -> bytes:
    return pickle.dumps(trap(folder))


def torch_file(folder: Path) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", pickled(folder))
    return file.getvalue()


def npz(folder: Path) -> bytes:
    file = io.BytesIO()
    np.savez(file, a=np.array([trap(folder)], dtype=object))
    return file.getvalue()


STRANGERS: dict[str, tuple[Callable[[Path], bytes], str]] = {
    "pickle": (pickled, "it looks like a pickle"),
    "PyTorch": (torch_file, "it looks like a zip archive"),
    "npz": (npz, "it looks like a zip archive"),
    "HDF5": (lambda folder: b"\x89HDF\r\n\x1a\n" + bytes(500), "it looks like an HDF5 file"),
    "gzip": (lambda folder: gzip.compress(bytes(2**20)), "it looks like a gzip archive"),
    "text": (lambda folder: TEXT, "it looks like text"),
    "noise": (lambda folder: bytes(range(128, 256)) * 100, "it looks like unknown binary data"),
    "empty": (lambda folder: b"", "it is empty"),
    "huge header": (
        lambda folder: (2**31).to_bytes(8, "little") + b"{" * 5000,
        "its header claims 2,147,483,648 bytes",
    ),
    "bomb": (lambda folder: (2**20).to_bytes(8, "little") + b'{"a":' + b"[" * (2**20 - 5), "is damaged"),
}


@pytest.mark.parametrize("kind", STRANGERS)
def test_a_stranger_in_the_place_of_a_checkpoint_is_4_and_named(
    kind: str, charnn: Zygote, golden: Golden, tmp_path: Path, tally: Tally
) -> None:
    make, looks = STRANGERS[kind]
    path = tmp_path / "run" / "checkpoints" / "step-00000300.safetensors"
    path.parent.mkdir(parents=True)
    path.write_bytes(make(tmp_path))
    for command in (["sample", path], ["sample", path.parent.parent], ["inspect", path.parent.parent]):
        result = charnn.run(*command, memory=ROOM, cpu=CPU)
        assert_told(result, 4, looks, str(path))
        tally.time(f"a checkpoint that is {kind}", result.seconds)
    assert_told(charnn.run("train", "--resume", path.parent.parent, memory=ROOM, cpu=CPU), 4, looks)
    assert not (tmp_path / "executed").exists()
    assert [file.name for file in path.parent.iterdir()] == [path.name]


NO_FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda path: None, "there is no checkpoint"),
    "folder": (lambda path: path.mkdir(), "there is no checkpoint in"),
    "pipe": (os.mkfifo, "it is a pipe"),
    "device": (lambda path: path.symlink_to("/dev/zero"), "a device"),
    "loop": (lambda path: path.symlink_to(path), "cannot read"),
}


@pytest.mark.parametrize("kind", NO_FILES)
def test_what_is_no_file_is_refused_at_once(kind: str, charnn: Zygote, tmp_path: Path, tally: Tally) -> None:
    make, words = NO_FILES[kind]
    make(tmp_path / "odd")
    result = charnn.run("sample", tmp_path / "odd", memory=ROOM, cpu=CPU, timeout=5)
    assert_told(result, 6 if kind == "loop" else 4, words)
    tally.time(f"a checkpoint that is a {kind}", result.seconds)


def forged(golden: Golden, path: Path, **changes: object) -> None:
    """The golden run's last checkpoint with other values in its document, signed again."""
    good = checkpoint.read(checkpoints(golden.path)[-1])
    document = json.loads(json.dumps(good.document))
    for name, value in changes.items():
        *way, last = name.split("__")
        parent = document
        for step in way:
            parent = parent[step]
        parent[last] = value
    forge(path, good.arrays, document)


@pytest.mark.parametrize(
    "changes",
    [
        {"config__model__hidden_size": 65536, "config__model__layers": 64},
        {"config__model__embedding_size": 65536},
        {"config__training__batch_size": 1_000_000},
        {"config__training__seq_length": 1_000_000_000},
        {"config__model__layers": 64},
        {"vocabulary__characters": "".join(map(chr, range(0x20000, 0x40000)))},
        {"state__position": {"epoch": 0, "chunk": 10**9}},
        {"state__step": -1},
        {"state__total_steps": 2**60},
        {"state__log_every": 0},
        {"state__elapsed": "\x1b[2J"},
        {"config__data__encoding": 5},
        {"config": []},
        {"state": []},
        {"baseline": {"order": "\x1b[2J"}},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_forged_checkpoint_that_claims_the_impossible_is_4_in_little_memory(
    changes: dict[str, object], charnn: Zygote, golden: Golden, tmp_path: Path, tally: Tally
) -> None:
    run = tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    (run / "corpus.npy").write_bytes((golden.path / "corpus.npy").read_bytes())
    path = run / "checkpoints" / "step-00000300.safetensors"
    forged(golden, path, **changes)
    result = charnn.run("train", "--resume", run, memory=ROOM, cpu=CPU)
    assert result.code in (3, 4), result
    assert_told(result, result.code)
    tally.time(f"a forged checkpoint ({next(iter(changes))})", result.seconds)
    for command in ("sample", "inspect"):
        result = charnn.run(command, run, memory=ROOM, cpu=CPU)
        assert result.code in (0, 4)
        assert_told(result, result.code)


def test_a_checkpoint_of_a_newer_schema_asks_for_an_upgrade(charnn: Zygote, golden: Golden, tmp_path: Path) -> None:
    good = checkpoint.read(checkpoints(golden.path)[-1])
    forge(tmp_path / "new.safetensors", good.arrays, good.document, schema=2)
    result = charnn.run("sample", tmp_path / "new.safetensors")
    assert_told(result, 4, "written by a newer charnn (schema 2, this one reads 1): upgrade charnn")


@pytest.mark.parametrize(
    ("kind", "count"),
    [
        ("random", 700),
        ("structural", 300),
        pytest.param("random", 10_000, marks=pytest.mark.full),
        pytest.param("structural", 10_000, marks=pytest.mark.full),
    ],
)
def test_mutants_of_a_checkpoint_are_refused_or_harmless(
    kind: str, count: int, charnn: Zygote, text: Path, tmp_path: Path, tally: Tally
) -> None:
    arguments = ["--hidden", "4", "--layers", "1", "--seq-length", "8", "--batch-size", "2", "--steps", "4"]
    assert charnn.run("train", text, "-o", tmp_path / "run", *arguments).code == 0
    command = [sys.executable, str(HERE / "hostile.py"), kind, str(tmp_path / "run"), str(count), str(count)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, env=environment, cwd=tmp_path)
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    counts = json.loads(done.stdout.splitlines()[-1])
    tally(f"{kind} mutants refused, or {'exactly what was written' if kind == 'random' else 'harmless'}", count)
    tally.time(f"a {kind} mutant", counts["slowest"])
    if kind == "random":
        assert counts["refused"] > 0.98 * count


CONFIGS: dict[str, tuple[bytes, str]] = {
    "unknown key": (b"model:\n  hiden_size: 3\n", ":2: unknown key model.hiden_size"),
    "unknown section": (b"modle:\n  layers: 3\n", ":1: unknown section modle"),
    "wrong type": (b"model:\n  layers: two\n", ":2: layers must be a whole number"),
    "out of range": (b"model:\n  layers: 0\n", ":2: layers must be at least 1"),
    "duplicate": (b"model:\n  layers: 1\n  layers: 2\n", ":3: model.layers appears twice"),
    "alias": (b"model: &a\n  layers: 1\n", "aliases, anchors and tags"),
    "alias bomb": (b"a: &a [x]\n" + b"".join(b"b%d: &b%d [*a,*a]\n" % (n, n) for n in range(99)), "unknown section"),
    "merge key": (b"model:\n  <<: {layers: 1}\n", "unknown key model.<<"),
    "tag": (b"model:\n  layers: !!python/object/apply:os.system ['true']\n", "aliases, anchors and tags"),
    "list": (b"model: [1, 2]\n", "sections of simple values"),
    "two documents": (b"model:\n  layers: 1\n---\nmodel:\n  layers: 2\n", "a second document"),
    "10 MB": (b"#" * 10_000_000, "larger than 64 KB"),
    "brackets": (b"[" * 65_000, "sections of simple values"),
    "braces": (b"{" * 65_000, "sections of simple values"),
    "questions": (b"? " * 30_000, "sections of simple values"),
    "anchors": (b"&a " * 20_000, "aliases, anchors and tags"),
    "long word": (b"model:\n  cell: " + b"x" * 65_000, "cell must be one of"),
    "quotes": (b"model:\n  cell: " + b"'" * 60_000, "cell must be one of"),
    "not UTF-8": (b"model:\n  cell: \xff\n", "not UTF-8 at byte 15"),
    "NUL": (b"model:\n  cell: \0\n", "not valid YAML"),
    "escape": (b'model:\n  cell: "\\e[2J"\n', "cell must be text that prints"),
    "tab": (b"model:\n\tlayers: 1\n", "not valid YAML"),
    "no YAML": (b"model: {layers: 1\n", ""),
}


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_bad_configuration_is_2_within_a_second_with_file_line_and_key(
    kind: str, charnn: Zygote, text: Path, tmp_path: Path, tally: Tally
) -> None:
    data, words = CONFIGS[kind]
    (tmp_path / "c.yaml").write_bytes(data)
    result = charnn.run("train", text, "-o", tmp_path / "run", "-c", tmp_path / "c.yaml", memory=ROOM, cpu=2)
    assert_told(result, 2, words, str(tmp_path / "c.yaml"))
    assert not (tmp_path / "run").exists()
    tally.time(f"a configuration ({kind})", result.seconds)


@pytest.mark.parametrize("kind", ["missing", "folder", "pipe", "device"])
def test_a_configuration_that_is_no_file_is_2(kind: str, charnn: Zygote, text: Path, tmp_path: Path) -> None:
    NO_FILES[kind][0](tmp_path / "odd")
    result = charnn.run("train", text, "-o", tmp_path / "run", "-c", tmp_path / "odd", timeout=5)
    assert_told(result, 2, "no such configuration file")


SMALL = ["--seq-length", "8", "--batch-size", "4", "--hidden", "4", "--layers", "1", "--steps", "2"]
GOOD = b"The quick brown fox jumps over the lazy dog.\n" * 40

CORPORA: dict[str, tuple[bytes, list[str], int, str]] = {
    "empty": (b"", [], 3, "the corpus is empty: 0 characters"),
    "one character": (b"a", [], 3, "holds 1 character"),
    "one distinct character": (b"a" * 5000, [], 3, "each of them is 'a'"),
    "too short": (b"abc" * 10, [], 3, "try --batch-size"),
    "little validation": (GOOD, ["--val-fraction", "0.0003"], 3, "has only 1"),
    "invalid UTF-8": (GOOD + b"\n\xff!", [], 3, "byte 0xff at offset 1,801, line 42"),
    "encoded surrogate": (GOOD + b"\xed\xa0\x80", [], 3, "--encoding"),
    "UTF-16": (GOOD.decode().encode("utf-16"), [], 3, "--encoding utf-16"),
    "binary": (bytes(range(256)) * 20, [], 3, "--tokens bytes"),
    "unknown encoding": (GOOD, ["--encoding", "utf-99"], 2, "no encoding"),
    "encoding with escapes": (GOOD, ["--encoding", "\x1b[2J"], 2, "encoding must be text that prints"),
    "marks": ("e\u0301".encode() + "\u0301".encode() * 50_000, ["--normalize", "nfc"], 3, "combining marks in a row"),
}


@pytest.mark.parametrize("kind", CORPORA)
def test_a_bad_text_is_told_with_its_numbers_and_what_to_try(
    kind: str, charnn: Zygote, tmp_path: Path, tally: Tally
) -> None:
    data, options, code, words = CORPORA[kind]
    (tmp_path / "text").write_bytes(data)
    result = charnn.run("train", tmp_path / "text", "-o", tmp_path / "run", *SMALL, *options, memory=ROOM, cpu=CPU)
    assert_told(result, code, words)
    assert not (tmp_path / "run").exists()
    tally.time(f"a text ({kind})", result.seconds)


@pytest.mark.parametrize("kind", NO_FILES)
def test_a_text_that_is_no_file_is_refused_at_once(kind: str, charnn: Zygote, tmp_path: Path) -> None:
    NO_FILES[kind][0](tmp_path / "odd")
    result = charnn.run("train", tmp_path / "odd", "-o", tmp_path / "run", *SMALL, timeout=5)
    assert_told(result, 3, str(tmp_path / "odd"))
    assert not (tmp_path / "run").exists()


def test_the_command_advised_for_a_short_text_works(charnn: Zygote, tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(b"abcd" * 30)
    result = charnn.run("train", tmp_path / "text", "-o", tmp_path / "run", *SMALL, "--batch-size", "400")
    assert_told(result, 3, "try --batch-size")
    advice = result.err.partition("try ")[2].split()
    assert_told(charnn.run("train", tmp_path / "text", "-o", tmp_path / "run", *SMALL, *advice), 0)


ODD = "\ufeffa\r\nb\rc\u2028d\x00e\x1b[2J\u202ef \U0001f600 [/x] :smile: é e\u0301 \ufffd\n" * 40


def test_odd_characters_are_kept_and_printed_harmlessly(charnn: Zygote, tmp_path: Path) -> None:
    name = "evil \x1b[2J\u202e[bold]:smile:.txt"
    (tmp_path / name).write_bytes(ODD.encode())
    run = tmp_path / "run \x1b[1m"
    result = charnn.run("train", tmp_path / name, "-o", run, *SMALL)
    assert_told(result, 0, "\\x1b[2J", "byte order mark")
    _, document = parse_checkpoint(checkpoints(run)[-1])
    ids = np.load(run / "corpus.npy")
    assert "".join(document["vocabulary"]["characters"][i] for i in ids) == ODD[1:]
    for command in (["inspect", run], ["runs"], ["inspect", run, "--json"]):
        result = charnn.run(*command, folder=tmp_path)
        assert_told(result, 0)
        assert all(c.isprintable() or c == "\n" for c in result.out.decode()), result.out
    wide = charnn.run("inspect", run, environment={"COLUMNS": "200"})
    assert "evil \\x1b[2J\\u202e[bold]:smile:.txt" in wide.out.decode()
    prompt = "\x1b[2J"
    result = charnn.run("sample", run, "-p", prompt, "-n", "200", "--seed", "1")
    assert_told(result, 0)
    assert result.out.startswith(prompt.encode()) and len(result.out.decode()) == 4 + 200 + 1


EVIL = "\x1b[2J\u202e\x07\x9b2J"
HOSTILE_WORDS = [
    ["tra" + EVIL],
    ["train", "--" + EVIL],
    ["sample", "-t", EVIL],
    ["train", "x", "--set", EVIL + "=1"],
    ["train", "x", "--set", EVIL],
    ["train", "x", "--cell", EVIL],
    ["train", EVIL],
    ["train", "x\ud800".encode("utf-8", "surrogatepass").decode("utf-8", "surrogateescape")],
    ["sample", EVIL],
    ["inspect", EVIL],
    ["train", "--resume", EVIL],
    ["train", "x", "-c", EVIL],
    ["train", "x", "--init-from", EVIL],
    ["sample", "-p", "@" + EVIL],
    ["runs", EVIL],
    ["train", "x" * 100_000],
    ["--help", EVIL * 1000, "x" * 100_000],
]


@pytest.mark.parametrize("words", HOSTILE_WORDS, ids=[ascii(words)[:40] for words in HOSTILE_WORDS])
def test_words_of_the_command_line_cannot_control_the_terminal(
    words: list[str], charnn: Zygote, tmp_path: Path
) -> None:
    result = charnn.run(*words, folder=tmp_path)
    assert result.code in (0, 2, 3, 4), result
    assert_told(result, result.code)
    assert len(result.err) < 5000
    assert list(tmp_path.iterdir()) == []


SAMPLING: dict[str, tuple[list[str], int, str]] = {
    "temperature negative": (["-t", "-1"], 2, "temperature is -1"),
    "temperature nan": (["-t", "nan"], 2, "temperature is nan"),
    "temperature inf": (["-t", "inf"], 2, "temperature is inf"),
    "temperature 1e-9": (["-t", "1e-9"], 0, ""),
    "temperature 5e-324": (["-t", "5e-324"], 0, ""),
    "temperature 1e9": (["-t", "1e9"], 0, ""),
    "temperature 0": (["-t", "0"], 0, ""),
    "length 0": (["-n", "0"], 2, "length is 0"),
    "length -1": (["-n", "-1"], 2, "length is -1"),
    "top-k above the vocabulary": (["--top-k", "1000000"], 0, ""),
    "top-k negative": (["--top-k", "-1"], 2, "top_k is -1"),
    "top-p nan": (["--top-p", "nan"], 2, "top_p is nan"),
    "min-p 2": (["--min-p", "2"], 2, "min_p is 2"),
    "stop empty": (["--stop", ""], 2, "stop is"),
    "count 0": (["--count", "0"], 2, "count is 0"),
    "seed negative": (["--seed", "-1"], 2, "seed is -1"),
    "seed huge": (["--seed", "9" * 100], 0, ""),
    "unknown characters": (["-p", "To \U0001f600\x1b"], 3, "'\\x1b'"),
    "unknown skipped": (["-p", "To \U0001f600\x1b", "--unknown", "skip"], 0, "left out"),
    "prompt file missing": (["-p", "@nowhere"], 3, "no such prompt file"),
    "prompt endless": (["-p", "@/dev/zero"], 3, "longer than"),
    "prompt a folder": (["-p", "@."], 6, "Is a directory"),
}


@pytest.mark.parametrize("kind", SAMPLING)
def test_sampling_answers_every_request(
    kind: str, charnn: Zygote, golden: Golden, tmp_path: Path, tally: Tally
) -> None:
    options, code, words = SAMPLING[kind]
    length = [] if "-n" in options else ["-n", "50"]
    result = charnn.run("sample", golden.path, *length, *options, cpu=CPU, folder=tmp_path)
    assert_told(result, code, words)
    if code == 0:
        assert len(result.out.decode().removeprefix("To ")) == 51
        assert words or result.err == ""
    else:
        assert result.out == b""
        tally.time(f"sampling ({kind})", result.seconds)


def test_temperature_0_always_takes_the_likeliest(charnn: Zygote, golden: Golden) -> None:
    texts = {charnn.run("sample", golden.path, "-t", "0", "--seed", str(seed)).out for seed in range(3)}
    assert len(texts) == 1
    assert texts == {charnn.run("sample", golden.path, "-t", "1e-9", "--seed", "5").out}


def test_weights_that_overflow_are_told_and_not_drawn_from(charnn: Zygote, text: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert charnn.run("train", text, "-o", run, *TINY, "--steps", "1").code == 0
    good = checkpoint.read(checkpoints(run)[-1])
    arrays = {name: np.full_like(array, 3e38) for name, array in good.arrays.items()}
    forge(tmp_path / "huge.safetensors", arrays, good.document)
    result = charnn.run("sample", tmp_path / "huge.safetensors")
    assert_told(result, 4, "not finite")
    forge(tmp_path / "nan.safetensors", {name: array * np.nan for name, array in arrays.items()}, good.document)
    assert_told(charnn.run("sample", tmp_path / "nan.safetensors"), 4, "not finite")
