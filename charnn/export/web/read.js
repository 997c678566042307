"use strict";

// The panel where the network reads: a text enters; it leaves coloured by what surprised the network, or by one unit.

const LONGEST_READ = 20000; // characters
const LOOK_EVERY = 400; // milliseconds, while reading
const SURPRISE_STEP = 0.7; // nats between two colours
const SURPRISE_COLOURS = 10;
const UNIT_COLOURS = 6; // on either side of 0

class Reading {
  constructor(network, vocabulary, facts) {
    Object.assign(this, { network, vocabulary, facts });
    this.work = new Work();
    this.units = new Units(network, facts.units, () => this.paint());
    this.source = facts.excerpt; // a field would change line ends
    this.spans = [];
    this.here = 0;
    $("text").value = this.source;
    $("use-excerpt").hidden = !facts.excerpt;
    $("use-excerpt").onclick = () => this.use(facts.excerpt);
    $("text").oninput = () => {
      clearTimeout(this.typing);
      this.typing = setTimeout(() => this.read($("text").value), 250);
    };
    for (const id of ["by-surprise", "by-unit"]) $(id).onchange = () => this.paint();
    $("by-unit").disabled = !this.units.chosen;
    this.setUpPlaces();
  }

  /** Read when first looked at. */
  open() {
    if (!this.findings) this.read(this.source);
  }

  use(text) {
    $("text").value = text;
    this.read(text);
  }

  async read(source) {
    const { vocabulary } = this;
    const unknown = vocabulary.unknown(source);
    tellUnknown($("text-problem"), "The text", unknown, () => this.use(vocabulary.withoutUnknown(source)));
    if (unknown.length) return this.work.stop();
    const characters = charactersOf(source);
    const text = characters.slice(0, LONGEST_READ).join("");
    this.findings = new Findings(this.network, vocabulary, text);
    this.nextLook = 0;
    this.layOut();
    this.moveTo(0);
    const cut = characters.length > LONGEST_READ ? `Only the first ${LONGEST_READ.toLocaleString("en")} are read. ` : "";
    const show = () => this.progress(cut);
    if (await this.work.run(this.findings.read(), show)) this.finished(cut);
  }

  /** Show how far reading has come, now and then: to draw a long text anew takes longer than to read a part of it. */
  progress(cut) {
    const now = performance.now();
    if (now < this.nextLook) return;
    this.nextLook = now + LOOK_EVERY;
    const { done, ids } = this.findings;
    $("read-status").textContent = done < ids.length ? `${cut}Reading … ${percent(done / ids.length)}` : cut;
    this.paint(this.painted);
  }

  finished(cut) {
    const { findings } = this;
    const length = count(findings.characters.length, "character");
    const read = `${cut}${length} read. Surprise per ${this.facts.unit}:`;
    $("read-status").textContent = findings.done ? read : "There is nothing to read yet.";
    this.paint(this.painted);
    this.showFigures();
  }

  /** The text without colours, a span for each character. */
  layOut() {
    this.painted = 0;
    this.spans = this.findings.characters.map(({ text }, index) => {
      const visible = text === "\n" ? "↵\n" : text === "\t" ? text : isHidden(text) ? signOf(text) : text;
      const span = element("span", { textContent: visible });
      span.index = index;
      return span;
    });
    $("reading").replaceChildren(...inLines(this.spans));
    $("figures").replaceChildren();
    $("place").max = Math.max(1, this.spans.length);
    $("place").disabled = !this.spans.length;
  }

  /** Colour what has been read, from a character on. */
  paint(from = 0) {
    const byUnit = $("by-unit").checked;
    $("unit-card").hidden = $("trace-card").hidden = !byUnit;
    $("place-surprise").hidden = byUnit;
    if (!this.findings) return;
    const values = byUnit ? this.findings.valuesOf(this.units.chosen) : [];
    const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0) || 1;
    // The largest value of a unit is known only at the end: then all colours change.
    const start = byUnit ? 0 : from;
    for (let index = start; index < this.spans.length && this.findings.has(index); index++) {
      const { text } = this.findings.characters[index];
      const colour = byUnit ? unitColour(values[index], largest) : surpriseColour(this.findings.surpriseAt(index));
      this.spans[index].className = colour + (/^[\n\t]/.test(text) || isHidden(text) ? " mark" : "");
      this.painted = index + 1;
    }
    this.spans[this.here]?.classList.add("here");
    this.showLegend(byUnit, largest);
    this.showPlace();
  }

  showLegend(byUnit, largest) {
    const sides = byUnit ? [signed(-largest), signed(largest)] : ["expected", "surprising"];
    const colours = byUnit
      ? Array.from({ length: 2 * UNIT_COLOURS + 1 }, (_, k) => unitColour(k - UNIT_COLOURS, UNIT_COLOURS))
      : Array.from({ length: SURPRISE_COLOURS }, (_, k) => `s${k}`);
    const swatches = colours.map((colour) => element("i", { className: colour }));
    const scale = element("span", { className: "swatches", ariaHidden: "true" }, ...swatches);
    const words = sides.map((side) => element("span", {}, side));
    $("legend").replaceChildren(words[0], scale, words[1]);
  }

  showFigures() {
    const { findings, facts } = this;
    const figure = (name, value) => [
      element("dt", {}, name),
      element("dd", {}, element("data", { value }, nats(value)), " nats, ", element("data", {}, bits(value)), " bits"),
    ];
    const rows = [];
    if (findings.done) rows.push(figure("This text", findings.mean));
    if (facts.val_loss !== null) rows.push(figure("Held-out text", facts.val_loss));
    if (facts.baseline) rows.push(figure(`${facts.baseline.order}-gram baseline, held-out text`, facts.baseline.loss));
    $("figures").replaceChildren(...rows.map((row) => element("div", {}, ...row)));
  }

  setUpPlaces() {
    $("place").oninput = () => this.moveTo(Number($("place").value) - 1, true);
    const point = (event) => {
      if (event.target.index !== undefined) this.moveTo(event.target.index);
    };
    $("reading").onclick = point;
    $("reading").onpointermove = (event) => event.pointerType === "mouse" && point(event);
    $("reading").onkeydown = (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!step) return;
      event.preventDefault();
      this.moveTo(this.here + step, true);
    };
  }

  /** Look at one character. */
  moveTo(index, scroll = false) {
    this.spans[this.here]?.classList.remove("here");
    this.here = Math.max(0, Math.min(index, this.spans.length - 1));
    const span = this.spans[this.here];
    span?.classList.add("here");
    if (scroll) span?.scrollIntoView({ block: "nearest" });
    $("place").value = this.here + 1;
    this.showPlace();
  }

  showPlace() {
    const { findings, here } = this;
    const ready = here >= 0 && here < this.spans.length && findings.has(here);
    $("expected").replaceChildren();
    if (!ready) return this.say("");
    const { text } = findings.characters[here];
    if ($("by-unit").checked) {
      const value = this.units.show(findings, here);
      this.say(wordOf(text), value === undefined ? "is too far into the text" : `unit ${this.units.label} is ${signed(value)}`);
    } else {
      const value = findings.surpriseAt(here);
      this.say(wordOf(text), `had a probability of ${percent(Math.exp(-value))}, a surprise of ${nats(value)} nats`);
      fillBars($("expected"), findings.expectedAt(here));
    }
  }

  say(character, words = "") {
    const name = element("bdi", { className: "context", translate: false }, character);
    $("place-text").replaceChildren(...(character ? [name, ` ${words}`] : []));
    $("place").setAttribute("aria-valuetext", `${this.here + 1}: ${character} ${words}`);
  }
}

/** Spans in a block for each line, so that lines out of sight need not be drawn. */
function inLines(spans) {
  const lines = [];
  let open = false;
  for (const span of spans) {
    if (!open) lines.push(element("div"));
    lines.at(-1).append(span);
    open = !span.textContent.endsWith("\n");
  }
  return lines;
}

const surpriseColour = (value) => `s${Math.min(SURPRISE_COLOURS - 1, Math.floor(value / SURPRISE_STEP))}`;

function unitColour(value, largest) {
  const level = Math.round((UNIT_COLOURS * (value ?? 0)) / largest);
  return level < 0 ? `n${-level}` : `p${level}`;
}
