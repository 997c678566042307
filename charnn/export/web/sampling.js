"use strict";

// Logits and a random number enter, a character's id leaves; a session draws a text from them, character by character.
//
//     state -> logits -> temperature -> truncation -> draw -> the drawn character is the next input

/** One id, as `charnn sample` draws it. `settings` are `{temperature, topP, minP}`. */
function draw(logits, settings, random) {
  const top = logits.reduce((a, b) => Math.max(a, b), -Infinity);
  if (!Number.isFinite(top)) throw new Error("The network's output is not finite: its weights are too large.");
  if (settings.temperature === 0) return logits.findIndex((z) => z === top);
  const coldest = Math.max(settings.temperature, 1e-30);
  const weights = truncate(logits.map((z) => Math.exp((z - top) / coldest)), settings);
  const level = random * weights.reduce((a, b) => a + b, 0);
  let sum = 0;
  return Math.max(0, weights.findIndex((weight) => (sum += weight) > level));
}

/** Unlikely characters get weight 0: below `minP` of the likeliest, or beyond those that together reach `topP`. */
function truncate(weights, { topP, minP }) {
  if (topP === 1 && minP === 0) return weights;
  const ranked = Array.from(weights.keys()).sort((a, b) => weights[b] - weights[a] || a - b);
  const enough = topP === 1 ? Infinity : topP * weights.reduce((a, b) => a + b, 0);
  const least = minP * weights[ranked[0]];
  const kept = new Float64Array(weights.length);
  let before = 0;
  for (const id of ranked) {
    if (before < enough && weights[id] >= least) kept[id] = weights[id];
    before += weights[id];
  }
  return kept;
}

/** The network, somewhere in a text: after `ids`, with the `logits` of what follows. */
class Reader {
  static KEEP = 64;

  constructor(network) {
    this.network = network;
    this.ids = [];
    this.state = network.zeroState();
    this.logits = new Float64Array(network.V);
    this.kept = [this.state.slice()]; // the state after every 64 characters, to go back to
  }

  read(id) {
    this.logits.set(this.network.step(this.state, id));
    this.ids.push(id);
    if (this.ids.length % Reader.KEEP === 0) this.kept.push(this.state.slice());
  }

  /** Go to the end of `ids`, a step at a time; what they have in common with the text read so far is not read again. */
  *follow(ids) {
    let common = 0;
    while (common < this.ids.length && this.ids[common] === ids[common]) common++;
    if (common === this.ids.length && common === ids.length) return;
    if (common < this.ids.length) this.goBack(Math.min(common, ids.length - 1));
    while (this.ids.length < ids.length) {
      this.read(ids[this.ids.length]);
      yield;
    }
  }

  goBack(length) {
    const block = Math.floor(length / Reader.KEEP);
    this.ids.length = block * Reader.KEEP;
    this.kept.length = block + 1;
    this.state.set(this.kept[block]);
  }
}

/** A text being written: a prompt, what the network made of it, and what it takes to go on or back. */
class Session {
  constructor(vocabulary, prompt, seed) {
    this.vocabulary = vocabulary;
    this.prompt = prompt;
    this.seed = seed;
    this.random = new Random(seed);
    this.ids = prompt ? vocabulary.encode(prompt) : [vocabulary.start];
    this.promptLength = this.ids.length;
    this.decoder = vocabulary.decoder();
    this.text = ""; // what is shown
    this.held = ""; // what is decoded and not shown: it may begin a stop, or is one
    this.drawn = 0;
  }

  /** All that changes, to come back to with `restore`. */
  position() {
    const { ids, text, held, drawn } = this;
    return { length: ids.length, text, held, drawn };
  }

  restore({ length, text, held, drawn }) {
    Object.assign(this, { text, held, drawn });
    this.ids.length = length;
    this.decoder = this.vocabulary.decoder();
    for (const id of this.ids.slice(this.promptLength)) this.decoder.push(id);
  }

  /** Add a character that somebody chose. */
  add(id) {
    this.ids.push(id);
    this.text += this.held + this.decoder.push(id);
    this.held = "";
  }

  /** Draw `length` more characters, or fewer if `stop` comes before; what ended it, "length" or "stop", is returned. */
  *write(reader, { length, stop, ...settings }) {
    let left = length - this.show(length); // a stop that ended the last writing is written after all
    yield* reader.follow(this.ids);
    while (left > 0) {
      const id = draw(reader.logits, settings, this.random.at(this.drawn++));
      this.ids.push(id);
      this.held += this.decoder.push(id);
      const entering = charactersOf(this.held).slice(0, left);
      const found = stop ? placeOf(stop, entering.join("")) : -1;
      if (found >= 0) {
        this.text += this.held.slice(0, found);
        this.held = this.held.slice(found);
      } else {
        left -= this.show(entering.length - (entering.length < left ? overlap(entering, stop) : 0));
      }
      reader.read(id);
      yield;
      if (found >= 0) return "stop";
    }
    return "length";
  }

  /** Show so many characters of what is held, or as many as there are; their number is returned. */
  show(most) {
    const shown = charactersOf(this.held).slice(0, most);
    this.text += shown.join("");
    this.held = this.held.slice(shown.join("").length);
    return shown.length;
  }
}

/**
 * Where a part stands in a text, or -1. As `indexOf`, which in Firefox 140 leaves some processors in a state in which
 * all arithmetic takes a hundred times as long.
 */
function placeOf(part, text) {
  for (let at = 0; at + part.length <= text.length; at++) if (text.startsWith(part, at)) return at;
  return -1;
}

/** How many characters at the end of a text begin `stop`: they are held back until it is certain. */
function overlap(characters, stop) {
  const begins = charactersOf(stop);
  let length = Math.min(characters.length, begins.length - 1);
  while (length > 0 && characters.slice(-length).join("") !== begins.slice(0, length).join("")) length--;
  return Math.max(0, length);
}
