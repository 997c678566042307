"use strict";

// A text enters; what the network makes of every character leaves, filled in step by step: how much it was surprised,
// what it expected instead, and for the first characters everything that was in it.

const LONGEST_INSIDE = 2000; // characters of which everything inside the network is kept
const MOST_KEPT = 2 ** 24; // numbers kept of it
const EXPECTED_KEPT = 8; // of the characters that were likeliest

class Findings {
  constructor(network, vocabulary, text) {
    this.vocabulary = vocabulary;
    this.reader = new Reader(network);
    this.ids = vocabulary.encode(text);
    this.characters = vocabulary.group(this.ids);
    this.done = 0; // ids that have been read
    this.sum = 0; // of their surprise
    this.nats = new Float64Array(this.ids.length);
    this.expected = new Array(this.ids.length);
    const inside = Math.min(LONGEST_INSIDE, Math.floor(MOST_KEPT / network.recordLength), this.ids.length);
    this.records = new Array(inside);
  }

  /** Read the text from a cold state, as after a line end. */
  *read() {
    const { reader, ids } = this;
    const { network } = reader;
    reader.read(this.vocabulary.start);
    for (const id of ids) {
      const at = this.done;
      const probabilities = softmax(reader.logits);
      this.nats[at] = surprise(reader.logits, id);
      this.sum += this.nats[at];
      this.expected[at] = likeliest(probabilities, EXPECTED_KEPT).map((other) => [other, probabilities[other]]);
      reader.read(id);
      if (at < this.records.length) {
        this.records[at] = new Float32Array(network.recordLength);
        network.record(reader.state, this.records[at]);
      }
      this.done += 1;
      yield;
    }
  }

  /** The mean surprise so far, in nats a character, or a byte where the network reads bytes. */
  get mean() {
    return this.sum / this.done;
  }

  /** Whether a character, by its number, has been read. */
  has(index) {
    return this.characters[index].last < this.done;
  }

  /** The surprise at a character in nats: the sum over its bytes, where it has several. */
  surpriseAt(index) {
    const { first, last } = this.characters[index];
    return this.nats.subarray(first, last + 1).reduce((a, b) => a + b, 0);
  }

  /** What was expected in the place of a character: `[name, probability]`, the likeliest first. */
  expectedAt(index) {
    const { first } = this.characters[index];
    return this.expected[first].map(([id, probability]) => [this.vocabulary.nameOf(id), probability]);
  }

  /** The value of a state or gate of a unit after each character, as far as values are kept. */
  valuesOf({ layer, unit, name }) {
    const place = this.reader.network.placeInRecord(layer, unit, name);
    const kept = Math.min(this.done, this.records.length);
    const known = this.characters.filter(({ last }) => last < kept);
    return known.map(({ last }) => this.records[last][place]);
  }
}
