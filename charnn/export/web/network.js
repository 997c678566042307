"use strict";

// A character's id and a state enter; the new state and the logits of the next character leave: the forward pass.
//
//     id -> one-hot or embedding -> recurrent layers -> logits -> softmax
//
// The weights have PyTorch's names, shapes and gate order, row after row: weight_ih (G * H, D), weight_hh (G * H, H).
// V is the vocabulary, D the inputs of a layer, H its units, G the gates of a cell, S its states, L the layers. All sums
// are in double precision, whatever the precision of the weights.

const sigmoid = (a) => 1 / (1 + Math.exp(-a));

// One step of a cell. On entry `a` holds the input's part W_ih x + b_ih of every gate, `u` the recurrent part
// W_hh h + b_hh; on return `a` holds the gates themselves, and the states, `h` first, are those after the character.

const CELLS = {
  vanilla: {
    states: ["h"],
    gates: ["n"],
    step(H, a, u, [h], activation) {
      for (let j = 0; j < H; j++) {
        const n = a[j] + u[j];
        h[j] = a[j] = activation === "relu" ? Math.max(n, 0) : Math.tanh(n);
      }
    },
  },
  lstm: {
    states: ["h", "c"],
    gates: ["i", "f", "g", "o"],
    step(H, a, u, [h, c]) {
      for (let j = 0; j < H; j++) {
        const i = sigmoid(a[j] + u[j]);
        const f = sigmoid(a[H + j] + u[H + j]);
        const g = Math.tanh(a[2 * H + j] + u[2 * H + j]);
        const o = sigmoid(a[3 * H + j] + u[3 * H + j]);
        c[j] = f * c[j] + i * g;
        h[j] = o * Math.tanh(c[j]);
        a[j] = i;
        a[H + j] = f;
        a[2 * H + j] = g;
        a[3 * H + j] = o;
      }
    },
  },
  gru: {
    states: ["h"],
    gates: ["r", "z", "n"],
    step(H, a, u, [h]) {
      for (let j = 0; j < H; j++) {
        const r = sigmoid(a[j] + u[j]);
        const z = sigmoid(a[H + j] + u[H + j]);
        const n = Math.tanh(a[2 * H + j] + r * u[2 * H + j]);
        h[j] = (1 - z) * n + z * h[j];
        a[j] = r;
        a[H + j] = z;
        a[2 * H + j] = n;
      }
    },
  },
};

const SIGMOIDS = new Set(["i", "f", "o", "r", "z"]);

/** out = W x + b. Four rows at a time, so that four sums grow side by side and none waits for another. */
function affine(W, b, x, out) {
  const columns = x.length;
  const whole = out.length - (out.length % 4);
  for (let row = 0; row < whole; row += 4) {
    const k0 = row * columns;
    const k1 = k0 + columns;
    const k2 = k1 + columns;
    const k3 = k2 + columns;
    let s0 = b[row];
    let s1 = b[row + 1];
    let s2 = b[row + 2];
    let s3 = b[row + 3];
    for (let j = 0; j < columns; j++) {
      const value = x[j];
      s0 += W[k0 + j] * value;
      s1 += W[k1 + j] * value;
      s2 += W[k2 + j] * value;
      s3 += W[k3 + j] * value;
    }
    out[row] = s0;
    out[row + 1] = s1;
    out[row + 2] = s2;
    out[row + 3] = s3;
  }
  for (let row = whole; row < out.length; row++) {
    let sum = b[row];
    for (let j = 0; j < columns; j++) sum += W[row * columns + j] * x[j];
    out[row] = sum;
  }
}

class Network {
  /** `shape` says which network it is, `weights` holds a Float32Array for every name. */
  constructor(shape, weights) {
    const { layers, hidden, embedding, vocabulary } = shape;
    Object.assign(this, { V: vocabulary, H: hidden, L: layers, embedding, activation: shape.activation });
    this.cell = CELLS[shape.cell];
    this.weights = weights;
    this.layers = Array.from({ length: layers }, (_, index) => ({
      Wx: weights[`rnn.weight_ih_l${index}`],
      Wh: weights[`rnn.weight_hh_l${index}`],
      bx: weights[`rnn.bias_ih_l${index}`],
      bh: weights[`rnn.bias_hh_l${index}`],
      gates: new Float64Array(this.cell.gates.length * hidden),
      recurrent: new Float64Array(this.cell.gates.length * hidden),
    }));
    this.vector = new Float64Array(embedding);
    this.logits = new Float64Array(vocabulary);
  }

  /** The state before the first character, (L, S, H): all zeros. */
  zeroState() {
    return new Float64Array(this.L * this.cell.states.length * this.H);
  }

  /** Read the character `id`: `state` becomes the state after it, `logits` those of the character that follows. */
  step(state, id) {
    const { H, cell } = this;
    let below = null;
    this.layers.forEach((layer, index) => {
      const first = index * cell.states.length * H;
      const states = cell.states.map((_, s) => state.subarray(first + s * H, first + (s + 1) * H));
      if (below) affine(layer.Wx, layer.bx, below, layer.gates);
      else this.enter(layer, id);
      affine(layer.Wh, layer.bh, states[0], layer.recurrent);
      cell.step(H, layer.gates, layer.recurrent, states, this.activation);
      below = states[0];
    });
    affine(this.weights["out.weight"], this.weights["out.bias"], below, this.logits);
    return this.logits;
  }

  /** The input's part of the lowest layer: a one-hot vector times W_ih is a column of it. */
  enter({ Wx, bx, gates }, id) {
    if (this.embedding) {
      const start = id * this.embedding;
      this.vector.set(this.weights["embedding.weight"].subarray(start, start + this.embedding));
      affine(Wx, bx, this.vector, gates);
    } else {
      for (let row = 0; row < gates.length; row++) gates[row] = Wx[row * this.V + id] + bx[row];
    }
  }

  /** How many numbers `record` takes: every state and gate of every unit. */
  get recordLength() {
    return this.L * (this.cell.states.length + this.cell.gates.length) * this.H;
  }

  /** Keep what is in the network after a step: the states (L, S, H), then the gates (L, G, H). */
  record(state, room) {
    room.set(state);
    this.layers.forEach(({ gates }, index) => room.set(gates, state.length + index * gates.length));
  }

  /** Where in a record a state or gate of a unit stands. */
  placeInRecord(layer, unit, name) {
    const { states, gates } = this.cell;
    const state = states.findIndex((other) => other === name);
    const gate = gates.findIndex((other) => other === name);
    const row = state < 0 ? this.L * states.length + layer * gates.length + gate : layer * states.length + state;
    return row * this.H + unit;
  }
}

/** The probabilities of all characters: the softmax of the logits. */
function softmax(logits) {
  const top = logits.reduce((a, b) => Math.max(a, b), -Infinity);
  const weights = logits.map((z) => Math.exp(z - top));
  const sum = weights.reduce((a, b) => a + b, 0);
  return weights.map((weight) => weight / sum);
}

/** -log of the probability of the character `id`, in nats. */
function surprise(logits, id) {
  const top = logits.reduce((a, b) => Math.max(a, b), -Infinity);
  return Math.log(logits.reduce((sum, z) => sum + Math.exp(z - top), 0)) - (logits[id] - top);
}

/** The bytes of a base64 text. */
function bytesOf(base64) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let k = 0; k < bytes.length; k++) bytes[k] = text.charCodeAt(k);
  return bytes;
}

/** A 16-bit float, given its bits: a sign, five bits of exponent, ten of the fraction. */
function fromHalf(bits) {
  const exponent = (bits >> 10) & 31;
  const size = exponent ? (1024 + (bits & 1023)) * 2 ** (exponent - 25) : (bits & 1023) * 2 ** -24;
  return bits & 0x8000 ? -size : size;
}

/** A Float32Array for every name, from `arrays` [name, shape] and the bytes of all of them, one after the other. */
function unpack(arrays, dtype, bytes) {
  const view = new DataView(bytes.buffer);
  const half = dtype === "float16";
  const weights = {};
  let at = 0;
  for (const [name, shape] of arrays) {
    const values = new Float32Array(shape.reduce((a, b) => a * b, 1));
    for (let k = 0; k < values.length; k++, at += half ? 2 : 4) {
      values[k] = half ? fromHalf(view.getUint16(at, true)) : view.getFloat32(at, true);
    }
    weights[name] = values;
  }
  return weights;
}
