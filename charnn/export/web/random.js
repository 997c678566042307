"use strict";

// A seed enters; random numbers in [0, 1) leave, the same as those of `charnn sample --seed`.
//
// They are NumPy's: SeedSequence stirs the seed into a key (O'Neill 2015), and Philox4x64-10 encrypts a counter with it
// (Salmon et al. 2011). So each number follows from its place alone, and to go on or to undo needs no memory.

const WORD = (1n << 64n) - 1n;
const PHILOX_FACTORS = [0xd2e7470ee14c6c93n, 0xca5a826395121157n];
const PHILOX_STEPS = [0x9e3779b97f4a7c15n, 0xbb67ae8584caa73bn];

class Random {
  constructor(seed) {
    this.key = seedSequence([...words(seed), 0]);
    this.block = -1;
  }

  /** The random number at a place, counted from 0. */
  at(place) {
    const block = Math.floor(place / 4);
    if (block !== this.block) {
      this.block = block;
      this.numbers = philox(BigInt(block + 1), this.key);
    }
    return Number(this.numbers[place % 4] >> 11n) * 2 ** -53;
  }
}

/** Four random numbers of 64 bits. */
function philox(counter, key) {
  let [a, b, c, d] = [counter, 0n, 0n, 0n];
  let [k0, k1] = key;
  for (let round = 0; round < 10; round++) {
    const [p, q] = [PHILOX_FACTORS[0] * a, PHILOX_FACTORS[1] * c];
    [a, b, c, d] = [(q >> 64n) ^ b ^ k0, q & WORD, (p >> 64n) ^ d ^ k1, p & WORD];
    [k0, k1] = [(k0 + PHILOX_STEPS[0]) & WORD, (k1 + PHILOX_STEPS[1]) & WORD];
  }
  return [a, b, c, d];
}

/** The 32-bit words of a whole number, the lowest first. */
function words(number) {
  const high = Math.floor(number / 2 ** 32);
  return high ? [number >>> 0, ...words(high)] : [number >>> 0];
}

/** Two numbers of 64 bits in which every bit of the entropy, 32-bit words, has a say. */
function seedSequence(entropy) {
  const hash = hasher(0x43b0d7e5, 0x931e8875);
  const pool = Array.from({ length: 4 }, (_, k) => hash(entropy[k] ?? 0));
  for (let from = 0; from < 4; from++) {
    for (let to = 0; to < 4; to++) if (from !== to) pool[to] = mixed(pool[to], hash(pool[from]));
  }
  for (const word of entropy.slice(4)) {
    for (let to = 0; to < 4; to++) pool[to] = mixed(pool[to], hash(word));
  }
  const drawn = pool.map(hasher(0x8b51f9dd, 0x58f38ded)).map(BigInt);
  return [drawn[0] | (drawn[1] << 32n), drawn[2] | (drawn[3] << 32n)];
}

function hasher(constant, factor) {
  return (word) => {
    const value = word ^ constant;
    constant = Math.imul(constant, factor);
    return folded(Math.imul(value, constant));
  };
}

const mixed = (x, y) => folded(Math.imul(0xca01f9dd, x) - Math.imul(0x4973f715, y));

const folded = (word) => (word ^ (word >>> 16)) >>> 0;
