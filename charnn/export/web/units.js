"use strict";

// Units that tell something enter, with what they tell; which one is looked at leaves, and its values around a place.

const VALUE_WORDS = {
  h: "output",
  c: "memory",
  i: "input gate",
  f: "forget gate",
  o: "output gate",
  g: "new content",
  r: "reset gate",
  z: "update gate",
  n: "new content",
};
const COLUMN = 11; // pixels a character in the picture of a unit
const ROW = 30;

class Units {
  /** `found` are the units that tell most: `{layer, unit, state, property, r, chance}`. */
  constructor(network, found, changed) {
    this.network = network;
    this.changed = changed;
    const [first] = found;
    this.chosen = first ? { layer: first.layer, unit: first.unit, name: first.state } : { layer: 0, unit: 0, name: "h" };
    this.listFound(found);
    this.setUpAny();
  }

  get names() {
    const { states, gates } = this.network.cell;
    return [...states, ...gates.filter((name) => !(states.length === 1 && gates.length === 1))];
  }

  /** The unit that is looked at, as charnn names it. */
  get label() {
    const { layer, unit, name } = this.chosen;
    return `${layer}:${unit}${name === "h" ? "" : `:${name}`}`;
  }

  listFound(found) {
    const rows = found.map(({ layer, unit, state, property, r, chance }, index) => {
      const radio = element("input", { type: "radio", name: "unit", checked: index === 0 });
      radio.onchange = () => this.choose({ layer, unit, name: state });
      const bar = element("span", { className: r < 0 ? "bar negative" : "bar" });
      bar.style.width = `${100 * Math.abs(r)}%`;
      const mark = element("span", { className: "chance" });
      mark.style.left = `${100 * chance}%`;
      const label = `${layer}:${unit}${state === "h" ? "" : `:${state}`}`;
      const figures = element("span", { className: "soft" }, `${label} · r ${signed(r)} · chance ${chance.toFixed(2)}`);
      return element(
        "label",
        { className: "unit" },
        radio,
        element("span", { className: "name" }, element("bdi", {}, property), figures),
        element("span", { className: "track", ariaHidden: "true" }, bar, mark),
      );
    });
    $("units").replaceChildren(...rows);
  }

  /** Fields for a unit that is not in the list. */
  setUpAny() {
    const { L, H } = this.network;
    $("unit-layer").max = L - 1;
    $("unit-index").max = H - 1;
    $("unit-value").replaceChildren(
      ...this.names.map((name) => element("option", { value: name }, `${name}, ${VALUE_WORDS[name]}`)),
    );
    for (const id of ["unit-layer", "unit-index", "unit-value"]) {
      $(id).onchange = () => {
        const fields = [$("unit-layer"), $("unit-index")];
        if (!fields.every((field) => field.reportValidity() && field.value)) return;
        for (const radio of $("units").querySelectorAll("input")) radio.checked = false;
        const [layer, unit] = fields.map((field) => Number(field.value));
        this.choose({ layer, unit, name: $("unit-value").value });
      };
    }
    this.fillFields();
  }

  fillFields() {
    $("unit-layer").value = this.chosen.layer;
    $("unit-index").value = this.chosen.unit;
    $("unit-value").value = this.chosen.name;
  }

  choose(chosen) {
    this.chosen = chosen;
    this.fillFields();
    this.changed();
  }

  /** Draw all values of the chosen unit around a character; the value of the chosen one there is returned. */
  show(findings, here) {
    const { layer, unit, name: chosen } = this.chosen;
    $("trace-title").textContent = `Unit ${unit} of layer ${layer}, state and gates`;
    const room = Math.max(12, Math.floor(this.pictureWidth() / COLUMN));
    const first = Math.max(0, Math.min(here - (room >> 1), findings.characters.length - room));
    const shown = findings.characters.slice(first, first + room);
    let value;
    const rows = this.names.map((name) => {
      const values = findings.valuesOf({ layer, unit, name });
      if (name === chosen) value = values[here];
      return this.row(name, values, first, shown.length, here);
    });
    const letters = shapeRow(shown.length, 16);
    shown.forEach(({ text }, k) => {
      const sign = text in SIGNS ? SIGNS[text] : isHidden(text) ? "·" : text;
      const at = { x: (k + 0.5) * COLUMN, y: 12, "text-anchor": "middle", class: first + k === here ? "here" : "" };
      letters.append(shape("text", at, sign));
    });
    letters.setAttribute("aria-hidden", "true");
    $("trace").replaceChildren(...rows.flat(), element("span"), element("span"), letters);
    return value;
  }

  /** Pixels there are for a picture: its names stand at its left where there is room, else above it. */
  pictureWidth() {
    const columns = getComputedStyle($("trace")).gridTemplateColumns.match(/[\d.]+/g) ?? [];
    return columns.length > 2 ? Number(columns[2]) : $("trace").clientWidth;
  }

  /** One state or gate: its name, its value here, and bars. */
  row(name, values, first, length, here) {
    const isGate = SIGMOIDS.has(name);
    const largest = isGate ? 1 : values.reduce((most, value) => Math.max(most, Math.abs(value)), 1);
    const zero = isGate ? ROW - 2 : ROW / 2;
    const scale = (isGate ? ROW - 4 : ROW / 2 - 2) / largest;
    const picture = shapeRow(length, ROW);
    picture.append(shape("line", { x1: 0, x2: length * COLUMN, y1: zero, y2: zero, class: "zero" }));
    for (let k = 0; k < length && first + k < values.length; k++) {
      const height = values[first + k] * scale;
      const kind = `${height < 0 ? "low" : "high"}${first + k === here ? " here" : ""}`;
      const box = { x: k * COLUMN + 1, width: COLUMN - 2, y: zero - Math.max(height, 0), height: Math.abs(height) };
      picture.append(shape("rect", { ...box, class: kind }));
    }
    const share = (test) => percent(values.filter(test).length / Math.max(1, values.length));
    const often = isGate
      ? `open, above 0.9, at ${share((v) => v > 0.9)} and shut, below 0.1, at ${share((v) => v < 0.1)} of the characters`
      : `between ${signed(Math.min(...values))} and ${signed(Math.max(...values))}`;
    picture.setAttribute("role", "img");
    picture.setAttribute("aria-label", `${VALUE_WORDS[name]}: ${often}`);
    const title = element("span", { className: "trace-name", title: often }, `${name} `);
    title.append(element("span", { className: "soft" }, VALUE_WORDS[name]));
    return [title, element("span", { className: "share" }, isGate ? nats(values[here]) : signed(values[here])), picture];
  }
}

const signed = (value) => (value === undefined ? "" : (value < 0 ? "−" : "+") + Math.abs(value).toFixed(2));

function shapeRow(length, height) {
  return shape("svg", { viewBox: `0 0 ${length * COLUMN} ${height}`, width: length * COLUMN, height });
}
