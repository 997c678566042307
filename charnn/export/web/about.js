"use strict";

// The panel about the network: facts and figures enter, words and the curve of its loss leave.

function duration(seconds) {
  const total = Math.round(seconds);
  if (total < 60) return `${total} s`;
  if (total < 3600) return `${Math.floor(total / 60)} min ${total % 60} s`;
  return `${Math.floor(total / 3600)} h ${Math.floor(total / 60) % 60} min`;
}

const number = (value) => value.toLocaleString("en");

const CELL_NAMES = { lstm: "LSTM", gru: "GRU", vanilla: "vanilla recurrent" };

function describe(facts) {
  const { cell, layers, hidden, activation } = facts.shape;
  const kind = CELL_NAMES[cell] + (activation ? ` (${activation})` : "");
  const size = `${count(layers, "layer")} of ${count(hidden, "unit")}`;
  return { kind, size, trained: `trained for ${duration(facts.elapsed)}` };
}

/** Text with names from elsewhere in elements of their own, so that they cannot turn the reading direction around. */
function fillWords(node, ...parts) {
  node.replaceChildren(...parts.map((part) => (Array.isArray(part) ? element("bdi", {}, part[0]) : part)));
}

function listFiles(files) {
  const shown = files.slice(0, 3).flatMap((file, k) => (k ? [", ", [file]] : [[file]]));
  return files.length > 3 ? [...shown, ` and ${number(files.length - 3)} more files`] : shown;
}

function fillAbout(facts) {
  const { kind, size, trained } = describe(facts);
  const files = listFiles(facts.files);
  const article = /^L/.test(kind) ? "An" : "A";
  fillWords($("summary"), `${article} ${kind} network of ${number(facts.parameters)} parameters, ${trained} on `, ...files,
    ". It is small, and makes things up."); // prettier-ignore
  const what = facts.unit === "byte" ? "bytes" : "characters";
  const about = `A recurrent neural network, ${kind}, with ${size}. It was ${trained} to predict the next ${facts.unit} of `;
  fillWords($("about"), about, ...files, `: ${number(facts.corpus)} ${what}, ${number(facts.shape.vocabulary)} of them different.`);
  $("facts").replaceChildren(...factRows(facts, files));
}

function factRows(facts, files) {
  const { shape, baseline } = facts;
  const loss = (value) => (value === null ? "not known" : `${value.toFixed(3)} nats, ${(value / Math.LN2).toFixed(3)} bits`);
  const embedding = shape.embedding ? `embedding of ${shape.embedding}` : "one-hot";
  const rows = [
    ["Text", files],
    ["Network", [`${CELL_NAMES[shape.cell]}, ${describe(facts).size}, input ${embedding}`]],
    ["Parameters", [number(facts.parameters)]],
    ["Training", [`${number(facts.step)} steps, ${facts.epoch.toFixed(1)} times through the text, ${duration(facts.elapsed)}`]],
    [`Loss per ${facts.unit}, training`, [loss(facts.train_loss)]],
    ["The same, held-out text", [loss(facts.val_loss)]],
    ...(baseline ? [[`${baseline.order}-gram baseline there`, [loss(baseline.loss)]]] : []),
    ["Uniform guessing", [loss(Math.log(shape.vocabulary))]],
    ["Weights in this page", [facts.dtype === "float16" ? "16-bit floats" : "32-bit floats"]],
  ];
  return rows.map(([name, parts]) => {
    const value = element("dd");
    fillWords(value, ...parts);
    return element("div", {}, element("dt", {}, name), value);
  });
}

// The curve

const MARGIN = { top: 12, right: 16, bottom: 42, left: 46 };

/** Round numbers between two: at most `most` of them. */
function ticks(low, high, most) {
  const rough = (high - low) / most || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((k) => k * power).find((size) => size >= rough);
  const first = Math.ceil(low / step - 1e-9);
  return Array.from({ length: Math.floor(high / step + 1e-9) - first + 1 }, (_, k) => (first + k) * step);
}

/** The loss over the steps; `curve` holds `[step, training loss, held-out loss or null]`. */
function drawCurve({ curve, baseline }) {
  $("curve-card").hidden = !curve.length;
  const width = $("curve").clientWidth;
  if (!curve.length || !width) return;
  const height = Math.max(220, Math.min(400, width * 0.5));
  const losses = curve.flatMap(([, training, heldOut]) => [training, heldOut ?? training]);
  const low = Math.min(...losses, baseline?.loss ?? Infinity);
  const high = Math.max(...losses, baseline?.loss ?? 0);
  const last = curve[curve.length - 1][0];
  const [y0, y1] = [low - 0.05 * (high - low || 1), high];
  const x = (step) => MARGIN.left + (step / last) * (width - MARGIN.left - MARGIN.right);
  const y = (loss) => MARGIN.top + ((y1 - loss) / (y1 - y0)) * (height - MARGIN.top - MARGIN.bottom);
  const line = (points, kind) =>
    shape("polyline", { points: points.map(([a, b]) => `${x(a).toFixed(1)},${y(b).toFixed(1)}`).join(" "), class: kind });
  const level = (loss, kind) => shape("line", { x1: MARGIN.left, x2: width - MARGIN.right, y1: y(loss), y2: y(loss), class: kind });
  const label = (text, at) => shape("text", at, text);
  const heldOut = curve.filter(([, , loss]) => loss !== null).map(([step, , loss]) => [step, loss]);
  const picture = shape("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img" });
  picture.append(
    ...ticks(y0, y1, height / 50).flatMap((loss) => [
      level(loss, "grid"),
      label(String(Number(loss.toFixed(3))), { x: MARGIN.left - 8, y: y(loss) + 4, "text-anchor": "end" }),
    ]),
    ...ticks(0, last, width / 110).map((step) => label(number(step), { x: x(step), y: height - 22, "text-anchor": "middle" })),
    label("steps", { x: width - MARGIN.right, y: height - 4, "text-anchor": "end" }),
    ...(baseline ? [level(baseline.loss, "counts")] : []),
    line(curve.map(([step, loss]) => [step, loss]), "training"),
    line(heldOut, "held-out"),
  );
  const end = heldOut.length ? `, on the held-out text from ${nats(heldOut[0][1])} to ${nats(heldOut.at(-1)[1])}` : "";
  const spoken = `Loss in nats over ${number(last)} steps: in training from ${nats(curve[0][1])} to ${nats(curve.at(-1)[1])}${end}`;
  picture.setAttribute("aria-label", spoken);
  $("curve").replaceChildren(picture);
  const names = [["training", "training"]];
  if (heldOut.length) names.push(["held-out", "held-out text"]);
  if (baseline) names.push(["counts", `${baseline.order}-gram baseline, held-out text`]);
  const keys = names.map(([kind, name]) => element("span", { className: "key" }, keyOf(kind), name));
  $("curve-legend").replaceChildren(...keys, element("span", { className: "soft" }, "nats per character"));
}

function keyOf(kind) {
  return shape("svg", { width: 22, height: 10, "aria-hidden": "true" }, shape("line", { x1: 1, x2: 21, y1: 5, y2: 5, class: kind }));
}
