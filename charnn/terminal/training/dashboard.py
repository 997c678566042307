"""The course of a training enters; a full screen leaves: chart, figures, and what the model writes by now.

It fits any size: below 120 columns everything is stacked, above, the figures stand beside the chart; where rows are
few, the sample goes first, then the chart.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.segment import Segment
from rich.text import Text

from charnn.terminal import words
from charnn.terminal.cells import clusters, measurable, text_width
from charnn.terminal.charts.chart import Chart, Level, Mark, Series
from charnn.terminal.safe import one_line
from charnn.terminal.training.course import Course

TRAINING, VALIDATION, BASELINE, UNIFORM, GRADIENT = "cyan", "magenta", "green", "dim", "cyan"
"""Styles: the terminal's own colours, which its owner made readable on its background."""

WIDE = 120
SIDE = 52
LEAST_CHART = 7

Lines = list[list[Segment]]
Figure = tuple[str, str, str]  # name, value, style of the value


@dataclass(frozen=True)
class Dashboard:
    """A rich renderable of the whole screen."""

    course: Course

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width, height = options.max_width, options.height or options.max_height
        page = _Page(self.course, console, options, width, height)
        for index, line in enumerate(page.lines()):
            if index:
                yield Segment.line()
            yield from Segment.adjust_line_length(line, width)


def loss_chart(course: Course, height: int | None = None) -> Chart:
    """Smoothed training loss and validation loss over epochs and characters, with what they are to be compared to."""
    per_epoch, per_step = course.steps_per_epoch, course.characters_per_step
    run, state = course.run, course.run.state
    series = [
        Series("training, smoothed", [s / per_epoch for s in course.losses.steps], course.losses.values, TRAINING)
    ]
    if course.validations:
        epochs = [step / per_epoch for step, _ in course.validations]
        series.append(Series("validation", epochs, [loss for _, loss in course.validations], VALIDATION))
    levels = [Level("uniform", course.uniform, UNIFORM, always=False)]
    if run.baseline is not None:
        levels.append(Level(words.baseline_name(run.baseline), run.baseline.loss, BASELINE))
    marks = []
    if state.best_val_loss is not None and state.best_step is not None:
        marks.append(Mark(state.best_step / per_epoch, state.best_val_loss, "best", VALIDATION))
    return Chart(
        series,
        levels,
        marks,
        y_label="loss, nats per character",
        x_label="epochs / characters",
        x_below=lambda epochs: words.count(epochs * per_epoch * per_step),
        x_from=0.0,
        height=height,
    )


@dataclass(frozen=True)
class _Page:
    course: Course
    console: Console
    options: ConsoleOptions
    width: int
    height: int

    def lines(self) -> Lines:
        """As many lines as the screen has, none of them wider."""
        rows = self.height - 2
        body = self.wide(rows) if self.width >= WIDE and rows >= 16 else self.stacked(rows)
        return [*self.drawn([self.heading()]), *body, *self.drawn([self.footer()])][: self.height]

    def stacked(self, rows: int) -> Lines:
        figures: list[RenderableType] = [self.progress(self.width), *self.figures()]
        room = rows - len(figures)
        sample = self.sample(min(4, room // 4)) if room >= LEAST_CHART + 5 else []
        chart = room - len(sample)
        drawn = self.chart(loss_chart(self.course), self.width, chart) if chart >= LEAST_CHART else []
        return [*drawn, *self.drawn([*figures, *sample])[:rows], *self.blank(max(0, chart - len(drawn)))]

    def wide(self, rows: int) -> Lines:
        """The chart with the figures on its right; what the model writes below both."""
        sample = self.drawn(self.sample(min(10, rows // 5)))
        top = rows - len(sample) - 1
        left = self.chart(loss_chart(self.course), self.width - SIDE - 3, top)
        facts = self.drawn([Text(), *self.figures(one_each=True), Text()], SIDE)
        right = facts + (self.chart(self.gradient_chart(), SIDE, top - len(facts)) if top - len(facts) >= 8 else [])
        pad = [Segment("   ")]
        both = [
            [*Segment.adjust_line_length(a, self.width - SIDE - 3), *pad, *b]
            for a, b in zip(left, right + self.blank(top - len(right)), strict=False)
        ]
        return [*both, *self.drawn([self.progress(self.width)]), *sample]

    def chart(self, chart: Chart, width: int, rows: int) -> Lines:
        options = self.options.update(width=width, height=rows)
        return self.console.render_lines(chart, options, pad=False)[:rows]

    def drawn(self, texts: Sequence[RenderableType], width: int | None = None) -> Lines:
        options = self.options.update(width=width or self.width, height=None, no_wrap=True, overflow="crop")
        return [line for text in texts for line in self.console.render_lines(text, options, pad=False)[:1]]

    def blank(self, rows: int) -> Lines:
        return [[] for _ in range(rows)]

    # Lines of text

    def heading(self) -> Text:
        run, model = self.course.run, self.course.run.config.model
        name = self.safe(str(run.path))
        net = f"  {model.cell} {model.layers}x{model.hidden_size}, {words.count(run.model.size)} parameters"
        text = f", {words.count(run.facts.characters)} characters of text"
        facts = net if cell_len(name + net + text) > self.width else net + text
        return Text.assemble((words.end_of(name, max(16, self.width - len(facts))), "bold"), (facts, "dim"))

    def progress(self, width: int) -> Text:
        """How far training has come: ``step 1,200 of 5,000 ━━━━──── 24%  2m 03s left``."""
        latest, left = self.course.latest, self.course.left
        if latest is None:
            return Text("starting")
        done = min(1.0, latest.step / max(1, latest.total_steps))
        before = f"epoch {latest.epoch:.2f}  step {latest.step:,} of {latest.total_steps:,} "
        after = f" {done:.0%}  " + ("" if left is None else f"{words.duration(left)} left")
        after = self.course.activity.rjust(len(after)) if self.course.activity else after
        room = max(4, width - len(before) - max(len(after), 18))
        full = round(done * room)
        bar = "#-" if self.options.ascii_only else "━─"
        return Text.assemble(before, (bar[0] * full, TRAINING), (bar[1] * (room - full), "dim"), after)

    def figures(self, one_each: bool = False) -> list[Text]:
        """Labelled values: a line for each subject where the width allows, or one a line."""
        groups = [list(self.losses()), list(self.best()), list(self.gradient())]
        if one_each:
            return [Text.assemble((f"{name:<15}", "dim"), (value, style)) for g in groups for name, value, style in g]
        return [line for group in groups for line in self.packed(group)]

    def packed(self, figures: list[Figure]) -> Iterator[Text]:
        """Figures side by side, as many as fit on a line; an empty line where there are none yet."""
        line = Text()
        for name, value, style in figures:
            if line and cell_len(f"{line.plain}   {name} {value}") > self.width:
                yield line
                line = Text()
            line.append("   " if line else "").append(f"{name} ", "dim").append(value, style)
        yield line

    def losses(self) -> Iterator[Figure]:
        course, state = self.course, self.course.run.state
        yield "training", words.loss(course.loss.mean if course.latest else None), TRAINING
        if state.val_loss is not None:
            yield "validation", words.judged(state.val_loss, course.run.baseline), VALIDATION

    def best(self) -> Iterator[Figure]:
        course, state = self.course, self.course.run.state
        if state.best_val_loss is not None and state.best_step is not None:
            saved = ", saved" if course.saved_step is not None and course.saved_step >= state.best_step else ""
            yield "best", f"{state.best_val_loss:.3f} at step {state.best_step:,}{saved}", f"bold {VALIDATION}"
        if course.latest is not None:
            yield "learning rate", f"{course.latest.learning_rate:.2e}".replace("e-0", "e-"), ""

    def gradient(self) -> Iterator[Figure]:
        course = self.course
        if course.latest is not None:
            yield "gradient norm", f"{course.norm.mean:.2f}, {course.clipped.mean:.0%} clipped", ""
            yield "speed", f"{words.count(course.speed)} characters/s" if course.speed else "-", ""

    def sample(self, rows: int) -> list[Text]:
        """A heading and up to ``rows`` lines that the model wrote."""
        course = self.course
        if rows < 1 or not course.sample:
            return []
        title = f" written at step {course.sample_step:,} "
        dash = "-" if self.options.ascii_only else "─"
        rule = Text(f"{dash * 2}{title}{dash * max(0, self.width - len(title) - 2)}", "dim")
        lines = [line for text in course.sample.split("\n") if text.strip() for line in self.folded(text)]
        return [rule, *lines[:rows], *[Text()] * max(0, rows - len(lines))]

    def folded(self, text: str) -> list[Text]:
        """A line of the model's, cut where the screen ends."""
        pieces, line = [], ""
        for cluster in clusters(self.safe(text)):
            if text_width(line + cluster) > self.width:
                pieces.append(measurable(line))
                line = ""
            line += cluster
        return [*pieces, measurable(line)]

    def footer(self) -> Text:
        if self.course.notice:
            return Text(self.safe(self.course.notice), "bold red")
        return Text("Ctrl-C saves and stops", "dim")

    def gradient_chart(self) -> Chart:
        course = self.course
        series = Series(
            "gradient norm",
            [s / course.steps_per_epoch for s in course.gradients.steps],
            course.gradients.values,
            GRADIENT,
        )
        limit = course.run.config.optimization.clip_norm
        levels = [Level("clipped at", limit, "dim", always=False)] if limit else []
        return Chart([series], levels, x_label="epochs", x_from=0.0)

    def safe(self, text: str) -> str:
        return one_line(text, "ascii" if self.options.ascii_only else self.options.encoding)
