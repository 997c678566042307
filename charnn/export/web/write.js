"use strict";

// The panel where the network writes: a prompt and settings enter, text appears as it is drawn.

const EXPECTED = 10;

class Writing {
  constructor(network, vocabulary, settings) {
    Object.assign(this, { network, vocabulary });
    this.reader = new Reader(network);
    this.work = new Work();
    this.session = null;
    this.past = []; // what was on the paper: {session, position}
    this.drawn = document.createTextNode("");
    this.setUpSettings(settings);
    $("write").onclick = () => (this.busy ? this.work.stop() || this.finish("stopped") : this.begin());
    $("go-on").onclick = () => this.goOn();
    $("undo").onclick = () => this.undo();
    $("copy").onclick = () => this.copy();
    $("prompt").oninput = () => this.typed();
    $("prompt").onkeydown = (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.begin();
    };
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && this.busy) $("write").click();
    });
    this.showPaper();
    this.expect();
  }

  setUpSettings({ temperature, length }) {
    $("temperature").value = temperature;
    $("length").value = length;
    for (const id of ["temperature", "top-p", "min-p"]) {
      const show = () => ($(`${id}-value`).textContent = Number($(id).value).toFixed(2));
      $(id).oninput = show;
      show();
    }
    $("settings").open = matchMedia("(min-width: 62rem)").matches;
  }

  /** The settings as they stand, or null where a field holds nonsense, which the browser then points at. */
  settings() {
    const wrong = [$("length"), $("seed")].find((field) => !field.checkValidity());
    if (wrong) {
      $("settings").open = true;
      wrong.reportValidity();
      return null;
    }
    return {
      temperature: Number($("temperature").value),
      topP: Number($("top-p").value),
      minP: Number($("min-p").value),
      length: Number($("length").value),
      stop: unescaped($("stop").value),
      seed: $("seed").value === "" ? crypto.getRandomValues(new Uint32Array(1))[0] : Number($("seed").value),
    };
  }

  /** Whether the prompt can be read; what cannot is named. */
  promptIsKnown() {
    const unknown = this.vocabulary.unknown($("prompt").value);
    tellUnknown($("prompt-problem"), "The prompt", unknown, () => {
      $("prompt").value = this.vocabulary.withoutUnknown($("prompt").value);
      $("prompt").focus();
      this.typed();
    });
    return !unknown.length;
  }

  begin() {
    const settings = this.settings();
    if (!settings || !this.promptIsKnown()) return;
    this.remember();
    this.session = new Session(this.vocabulary, $("prompt").value, settings.seed);
    this.showPaper();
    this.write(settings);
  }

  goOn() {
    const settings = this.settings();
    if (!settings) return;
    this.remember();
    this.write(settings);
  }

  remember() {
    this.past.push({ session: this.session, position: this.session?.position() });
  }

  async write(settings) {
    const { session } = this;
    const before = charactersOf(session.text).length;
    this.started = performance.now();
    this.setBusy(true);
    $("write-status").textContent = "Writing …";
    try {
      const ended = await this.work.run(session.write(this.reader, settings), () => this.stream());
      if (!ended) return;
      const written = charactersOf(session.text).length - before;
      this.finish(ended.value, written);
    } catch (error) {
      this.finish("failed");
      $("write-status").textContent = error.message;
    }
  }

  finish(reason, written) {
    this.setBusy(false);
    this.stream();
    const seconds = (performance.now() - this.started) / 1000;
    const speed = written > 99 ? `, ${Math.round(written / seconds).toLocaleString("en")} a second` : "";
    const why = reason === "stop" ? ", stopped before the text given" : "";
    const what = reason === "stopped" ? "Stopped" : `Wrote ${count(written, "character")}${speed}${why}`;
    $("write-status").textContent = `${what}. Seed ${this.session.seed}.`;
    this.expect();
  }

  get busy() {
    return $("paper").getAttribute("aria-busy") === "true";
  }

  setBusy(busy) {
    $("paper").setAttribute("aria-busy", String(busy));
    $("write").textContent = busy ? "Stop" : "Write";
    this.enable();
  }

  enable() {
    const { busy, session } = this;
    for (const id of ["go-on", "copy", "judge"]) $(id).disabled = busy || !session;
    $("undo").disabled = busy || !this.past.length;
    $("use-written").disabled = busy || !session;
  }

  /** All text on the paper. */
  get text() {
    return this.session ? this.session.prompt + this.session.text : "";
  }

  showPaper() {
    const { session, drawn } = this;
    drawn.data = session?.text ?? "";
    const empty = element("span", { className: "soft" }, "The network writes here.");
    const given = element("span", { className: "given" }, session?.prompt ?? "");
    $("paper").replaceChildren(...(session ? [given, drawn] : [empty]));
    this.enable();
  }

  /** Show what has been written since the last time. */
  stream() {
    this.drawn.appendData(this.session.text.slice(this.drawn.data.length));
  }

  undo() {
    const { session, position } = this.past.pop();
    this.session = session;
    session?.restore(position);
    this.showPaper();
    this.expect();
    $("write-status").textContent = "Undone.";
    if ($("undo").disabled) $("write").focus();
  }

  add(id) {
    const settings = this.settings();
    if (!settings) return;
    const index = [...$("next").children].findIndex((item) => item.contains(document.activeElement));
    this.remember();
    if (!this.atPaper) this.session = new Session(this.vocabulary, $("prompt").value, settings.seed);
    this.session.add(id);
    this.showPaper();
    this.expect(() => index >= 0 && $("next").children[index]?.firstChild.focus());
  }

  typed() {
    if (!this.busy && this.promptIsKnown()) this.expect();
  }

  /** Whether what is expected continues the paper; else it continues the prompt, which has changed since. */
  get atPaper() {
    return this.session?.prompt === $("prompt").value;
  }

  /** Show what the network expects after the paper, or after the prompt. */
  async expect(then = () => {}) {
    const { vocabulary, reader } = this;
    const prompt = $("prompt").value;
    const ids = this.atPaper ? this.session.ids.slice() : new Session(vocabulary, prompt, 0).ids;
    if (!(await this.work.run(reader.follow(ids)))) return;
    const probabilities = softmax(reader.logits);
    const entries = likeliest(probabilities, EXPECTED).map((id) => [vocabulary.nameOf(id), probabilities[id], id]);
    fillBars($("next"), entries, (id) => this.busy || this.add(id));
    const end = charactersOf(this.atPaper ? this.text : prompt).slice(-24).map((c) => (c === " " ? c : signOf(c)));
    const context = element("bdi", { className: "context", translate: false }, end.join(""));
    $("next-context").replaceChildren(...(end.length ? ["after ", context] : ["at the beginning"]));
    then();
  }

  async copy() {
    try {
      await navigator.clipboard.writeText(this.text);
    } catch {
      getSelection().selectAllChildren($("paper"));
      document.execCommand("copy");
      getSelection().removeAllRanges();
    }
    $("write-status").textContent = "Copied.";
  }
}
