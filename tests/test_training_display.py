"""What a person sees of a training: on the whole screen, in one line, in plain lines; and what it must not touch."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import os
import pty
import select
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import pytest
from rich.cells import cell_len, get_character_cell_size

from charnn.config import flat_settings, resolve
from charnn.runs.opening import create, resume
from charnn.runs.run import TrainingRun
from charnn.terminal.charts.labels import number
from charnn.terminal.console import PlainConsole, can_redraw, locale_is_utf8
from charnn.terminal.safe import one_line
from charnn.terminal.training import display as drawn
from charnn.terminal.training.course import POINTS, Course, Smoothed, Trace
from charnn.terminal.training.dashboard import Dashboard, loss_chart
from charnn.terminal.training.display import Display
from charnn.terminal.training.preview import Preview, last_words
from charnn.terminal.words import option_of
from charnn.training.events import Event, Finished, Saved, Step, Validated
from charnn.training.trainer import Trainer

TEXT = "".join(f"ANNA: {word} by the sea shore, the shells I {word} are sea shells.\n" for word in "abcdefgh") * 12
SETTINGS = {"hidden_size": 8, "layers": 1, "batch_size": 4, "seq_length": 16, "steps": 40, "validate_every": 10}

ENTER, LEAVE, SHOW_CURSOR = "\x1b[?1049h", "\x1b[?1049l", "\x1b[?25h"


class Screen(io.StringIO):
    """A terminal that remembers what was written to it."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def console(file: TextIO, width: int = 80, height: int = 24, **more: object) -> PlainConsole:
    environment = {"TERM": "xterm-256color", **more}
    return PlainConsole(file=file, width=width, height=height, legacy_windows=False, _environ=environment)  # type: ignore[arg-type]


def clock(step: float = 0.1) -> Iterator[float]:
    now = 0.0
    while True:
        now += step
        yield now


def ticking(step: float = 0.1):  # type: ignore[no-untyped-def]
    ticks = clock(step)
    return lambda: next(ticks)


@pytest.fixture(autouse=True)
def utf8(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LC_ALL", "LANG", "LC_CTYPE"):
        monkeypatch.delenv(name, raising=False)


def new_run(folder: Path, **more: object) -> TrainingRun:
    folder.mkdir(exist_ok=True)
    (folder / "text.txt").write_text(TEXT)
    return create(resolve(flat_settings({**SETTINGS, **more})), [folder / "text.txt"], folder / "run")


@pytest.fixture
def run(tmp_path: Path) -> Iterator[TrainingRun]:
    with new_run(tmp_path) as made:
        yield made


def trained(run: TrainingRun) -> Course:
    """The course of a whole training."""
    course = Course(run, ticking())
    for event in Trainer(run).train():
        course.take(event)
    course.sample, course.sample_step = "ANNA: by the shore,\n\nthe \x1b[2Jshells [red] I\n" * 3, 40
    return course


def shown(course: Course, width: int, height: int, **more: object) -> list[str]:
    screen = console(io.StringIO(), width, height, FORCE_COLOR="1", **more)
    lines = screen.render_lines(Dashboard(course), screen.options.update(width=width, height=height), pad=False)
    return ["".join(segment.text for segment in line) for line in lines]


@pytest.mark.parametrize(("width", "height"), [(80, 24), (60, 20), (200, 50), (240, 60), (60, 12), (20, 5), (120, 17)])
def test_the_screen_is_filled_and_never_overfull(run: TrainingRun, width: int, height: int) -> None:
    course = trained(run)
    lines = shown(course, width, height)
    assert len(lines) == height
    assert all(cell_len(line) <= width for line in lines)


@pytest.mark.parametrize(("width", "height"), [(80, 24), (60, 20), (200, 50)])
def test_the_screen_says_everything_that_matters(run: TrainingRun, width: int, height: int) -> None:
    text = "\n".join(shown(trained(run), width, height))
    assert run.baseline is not None
    for words in (
        f"{run.baseline.order}-gram baseline {number(run.baseline.loss)}",
        "uniform 3.",
        "epochs / characters",
        "clipped",
        "learning rate",
        "characters/s",
        "step 40 of 40",
        f" the {run.baseline.order}-gram baseline",
        "saved",
        "written at step 40",
        "ANNA: by the shore,",
        r"the \x1b[2Jshells [red] I",
        "best",
        "Ctrl-C",
    ):
        assert words in text
    assert "\x1b" not in text


def test_the_sample_keeps_joined_letters_together_and_on_the_screen(run: TrainingRun) -> None:
    course = trained(run)
    words = ["\u0645\u06cc\u200c\u062e", "\u0915\u094d\u200d\u0937", "e\u0301\u0323"]
    course.sample = "".join(words * 20)
    lines = shown(course, 61, 24)
    assert all(sum(map(get_character_cell_size, line)) <= 61 for line in lines)
    assert course.sample in "".join(line.rstrip() for line in lines)


def test_the_screen_is_ascii_where_the_locale_is_not_utf8(run: TrainingRun, monkeypatch: pytest.MonkeyPatch) -> None:
    course = trained(run)
    course.sample = "été"
    assert not "\n".join(shown(course, 80, 24)).isascii()
    monkeypatch.setenv("LC_ALL", "C")
    assert "\n".join(shown(course, 80, 24)).isascii()


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, True),
        ({"LANG": "en_US.UTF-8"}, True),
        ({"LANG": "en_US.utf8"}, True),
        ({"LANG": "C"}, False),
        ({"LANG": "C", "LC_CTYPE": "C.UTF-8"}, False),
        ({"LC_CTYPE": "C.UTF-8"}, True),
        ({"LANG": "de_DE.ISO-8859-1"}, False),
        ({"LC_ALL": "POSIX", "LANG": "en_US.UTF-8"}, False),
        ({"LC_ALL": "en_US.UTF-8", "LANG": "C"}, True),
    ],
)
def test_what_the_locale_says(environment: dict[str, str], expected: bool) -> None:
    assert locale_is_utf8(environment) is expected


def test_the_picture_of_a_chart_is_the_same_as_on_the_screen(run: TrainingRun) -> None:
    picture = loss_chart(trained(run)).svg()
    assert picture.count("<polyline") == 2 and "-gram baseline " in picture and "best" in picture


def test_a_frame_is_drawn_at_most_four_times_a_second(run: TrainingRun, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = []
    monkeypatch.setattr(drawn, "Dashboard", lambda course: frames.append(course) or "picture")
    now = [0.0]
    with Display(run, console=console(Screen()), clock=lambda: now[0]) as display:
        for step in range(1, 101):
            now[0] = step / 25
            display.show(Step(step, 100, 0.1, 3.0, 1e-3, 1.0, False, now[0]))
    assert 15 <= len(frames) <= 17


def test_slow_terminals_are_drawn_on_less_often(run: TrainingRun, monkeypatch: pytest.MonkeyPatch) -> None:
    frames, now = [], [0.0]

    def slow(course: Course) -> str:
        now[0] += 0.05
        frames.append(course)
        return "picture"

    monkeypatch.setattr(drawn, "Dashboard", slow)
    with Display(run, console=console(Screen()), clock=lambda: now[0]) as display:
        while now[0] < 100:
            now[0] += 0.02
            display.show(Step(1, 100, 0.1, 3.0, 1e-3, 1.0, False, now[0]))
    assert len(frames) * 0.05 / 100 < 0.006


def digest(run: TrainingRun) -> str:
    arrays = [run.model.vector, *run.optimizer.state.values(), run.carry]
    return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()


def test_looking_on_changes_nothing_of_the_training(tmp_path: Path) -> None:
    with new_run(tmp_path / "a", dropout=0.2) as alone:
        for _ in Trainer(alone).train():
            pass
    with (
        new_run(tmp_path / "b", dropout=0.2) as watched,
        Display(watched, console=console(Screen()), clock=ticking(100.0)) as display,
    ):
        for event in Trainer(watched).train():
            display.show(event)
    assert display.course.sample
    assert digest(watched) == digest(alone)


def test_the_sample_depends_on_the_weights_and_the_seed_alone(run: TrainingRun) -> None:
    texts = [Preview(run, ticking(0.0)).draw() for _ in range(2)]
    assert texts[0] and texts[0] == texts[1]
    run.model.vector[:] *= 3
    run.model.pack()
    assert Preview(run).draw() != texts[0]


def test_samples_are_skipped_where_they_would_take_too_large_a_share(run: TrainingRun) -> None:
    now = iter([0.0, 0.0, 1.0, 2.0, 400.0, 401.0])  # a sample takes a second
    preview = Preview(run, lambda: next(now))
    assert preview.draw() is not None
    assert preview.draw() is None
    assert preview.draw() is not None


def after_the_screen(written: str) -> str:
    return written[written.rindex(LEAVE) :]


def test_the_screen_and_the_cursor_are_restored_at_the_end_and_the_outcome_stays(run: TrainingRun) -> None:
    screen = Screen()
    with Display(run, console=console(screen), clock=ticking()) as display:
        for event in Trainer(run).train():
            display.show(event)
    written = screen.getvalue()
    assert ENTER in written
    rest = after_the_screen(written)
    assert SHOW_CURSOR in rest or written.rindex(SHOW_CURSOR) > written.rindex("\x1b[?25l")
    assert "Done: 40 steps" in rest and "charnn sample" in rest and "epochs / characters" in rest


def ending(run: TrainingRun, **training: Any) -> str:
    """What is said when this run has ended."""
    run.config = dataclasses.replace(run.config, training=dataclasses.replace(run.config.training, **training))
    file = io.StringIO()
    with Display(run, console=PlainConsole(file=file, width=200)) as display:
        display.show(Finished(40, stopped=False, saved=True))
    return file.getvalue()


def test_a_training_ends_with_what_its_best_checkpoint_writes_and_what_to_do_next(run: TrainingRun) -> None:
    for _ in Trainer(run).train():
        pass
    said = ending(run)
    for line in last_words(run):
        assert f"    {one_line(line)}\n" in said
    for command in (f"charnn sample {run.path}\n", f"charnn inspect {run.path}\n"):
        assert command in said
    assert "--budget" not in said  # its length was given as steps


def test_a_run_under_a_budget_says_how_to_give_it_more_time_unless_the_text_is_learned(run: TrainingRun) -> None:
    for _ in Trainer(run).train():
        pass
    budget = {"steps": None, "budget": 300.0}
    said = ending(run, **budget)
    assert "at most 5m 00s" in said and f"charnn train --resume {run.path} --budget 10m\n" in said
    said = ending(run, **budget, enough_epochs=40 / run.batches.chunks_per_epoch)
    assert "this text is learned by then" in said and "--budget" not in said


def test_times_are_written_as_the_options_take_them() -> None:
    assert [option_of(seconds) for seconds in (7200.0, 5400.0, 90.0, 2.5)] == ["2h", "90m", "90s", "2.5s"]


@pytest.mark.parametrize("quiet", [False, True])
def test_the_screen_and_the_cursor_are_restored_on_an_exception(run: TrainingRun, quiet: bool) -> None:
    screen = Screen()
    with pytest.raises(RuntimeError), Display(run, quiet, console(screen), ticking()):
        raise RuntimeError
    written = screen.getvalue()
    assert written.rindex(SHOW_CURSOR) > written.rindex("\x1b[?25l")
    assert written.count(ENTER) == written.count(LEAVE) == (0 if quiet else 1)


def drained(descriptor: int) -> str:
    """All that a terminal has been sent by now."""
    sent = b""
    while select.select([descriptor], [], [], 0.2)[0]:
        sent += os.read(descriptor, 4096)
    return sent.decode()


@pytest.mark.parametrize("quiet", [False, True])
def test_the_terminal_can_be_left_and_entered_again_at_any_moment(run: TrainingRun, quiet: bool) -> None:
    ours, theirs = pty.openpty()
    with open(theirs, "w") as file, Display(run, quiet, console(file)) as display:  # noqa: PTH123
        drained(ours)
        display.leave()
        left = drained(ours)
        display.enter()
        entered = drained(ours)
    os.close(ours)
    assert left == ("" if quiet else LEAVE) + SHOW_CURSOR
    assert entered == ("" if quiet else ENTER) + "\x1b[?25l"


def test_quiet_is_a_single_line(run: TrainingRun) -> None:
    screen, now = Screen(), [0.0]
    with Display(run, True, console(screen, 100), lambda: now[0]) as display:
        for event in Trainer(run).train():
            now[0] += 0.3
            display.show(event)
    assert ENTER not in screen.getvalue()
    assert "epoch" in screen.getvalue() and "left" in screen.getvalue()
    assert "└" not in screen.getvalue()


@pytest.mark.parametrize("environment", [{}, {"FORCE_COLOR": "1"}])
def test_elsewhere_than_on_a_terminal_there_are_plain_lines(run: TrainingRun, environment: dict[str, str]) -> None:
    file = io.StringIO()
    with Display(run, console=console(file, **environment), clock=ticking()) as display:
        for event in Trainer(run).train():
            display.show(event)
    assert "\x1b" not in file.getvalue()
    assert any(
        line.startswith("Best validation loss") and "-gram baseline" in line for line in file.getvalue().splitlines()
    )
    assert len([line for line in file.getvalue().splitlines() if line.startswith("step ")]) >= 4


def test_a_dumb_terminal_gets_plain_lines() -> None:
    assert not can_redraw(console(Screen(), TERM="dumb"))
    assert can_redraw(console(Screen()))


def test_colour_can_be_turned_off(run: TrainingRun) -> None:
    screen = Screen()
    with Display(run, console=console(screen, NO_COLOR="1"), clock=ticking()) as display:
        display.show(Step(1, 40, 0.1, 3.0, 1e-3, 1.0, False, 1.0))
    assert "\x1b[36m" not in screen.getvalue() and ENTER in screen.getvalue()


def test_a_save_that_failed_is_told(run: TrainingRun) -> None:
    course = Course(run)
    course.take(Saved(3, "", "cannot write \x1b[2J"))
    assert r"cannot write \x1b[2J" in shown(course, 80, 24)[-1]


def test_a_resumed_run_shows_its_past(run: TrainingRun) -> None:
    path = run.path
    for _ in Trainer(run).train():
        pass
    run.close()
    with resume(path, [flat_settings({"steps": 60})]) as again:
        course = Course(again)
        assert [step for step, _ in course.validations] == [10, 20, 30, 40]
        assert course.losses.steps[-1] == 40


def test_the_time_left_follows_from_the_speed(run: TrainingRun) -> None:
    now = [0.0]
    course = Course(run, lambda: now[0])
    events: list[Event] = [Step(s, 100, 0.1, 3.0, 1e-3, 1.0, s % 2 == 0, s / 10) for s in range(1, 51)]
    for event in events:
        now[0] += 0.1
        course.take(event)
    assert course.speed == pytest.approx(10 * course.characters_per_step, rel=0.01)
    assert course.left == pytest.approx(5, rel=0.01)
    assert course.clipped.mean == pytest.approx(0.5, abs=0.05)


def test_a_trace_keeps_the_course_of_any_number_of_values_in_bounded_memory() -> None:
    trace = Trace()
    for step in range(100_000):
        trace.add(step, 2.0 * step)
    assert POINTS / 2 <= len(trace.steps) < POINTS
    assert all(value == pytest.approx(2 * step) for step, value in zip(trace.steps, trace.values, strict=True))
    assert trace.steps == sorted(trace.steps)


def test_a_running_mean_has_no_bias_at_its_beginning() -> None:
    mean = Smoothed()
    assert mean.add(4.0) == pytest.approx(4.0)
    assert mean.add(4.0) == pytest.approx(4.0)


def test_what_happens_between_steps_is_told(run: TrainingRun) -> None:
    course = trained(run)
    course.activity = "validating 40%"
    assert "validating 40%" in "\n".join(shown(course, 80, 24))
    course.take(Validated(40, 2.0, False))
    course.take(Finished(40, False, True))
    assert not course.activity
