"use strict";

// Text enters, ids leave, and the other way round; characters get names that can be shown and read aloud.

/** Text as characters: code points, as Python counts them. */
const charactersOf = (text) => Array.from(text);

class Vocabulary {
  /** `characters` are sorted by code point, an id is a place among them; of "bytes" the ids are the bytes of UTF-8. */
  constructor({ characters, tokens, normalize }) {
    this.characters = charactersOf(characters);
    this.bytes = tokens === "bytes";
    this.normalize = normalize;
    this.ids = new Map(this.characters.map((character, id) => [character, id]));
    this.start = this.ids.get("\n") ?? 0;
  }

  normalized(text) {
    return this.normalize === "none" ? text : text.normalize(this.normalize.toUpperCase());
  }

  knows(character) {
    return this.bytes ? !/\p{Cs}/u.test(character) : this.ids.has(character);
  }

  /** The characters of a text that the network has never seen, each once, sorted. */
  unknown(text) {
    const missing = charactersOf(this.normalized(text)).filter((character) => !this.knows(character));
    return [...new Set(missing)].sort((a, b) => a.codePointAt(0) - b.codePointAt(0));
  }

  withoutUnknown(text) {
    let known = this.normalized(text);
    while (this.unknown(known).length) {
      known = charactersOf(this.normalized(known)).filter((character) => this.knows(character)).join("");
    }
    return known;
  }

  /** The ids of a text without unknown characters. */
  encode(text) {
    if (this.bytes) return Array.from(new TextEncoder().encode(text));
    return charactersOf(this.normalized(text)).map((character) => this.ids.get(character));
  }

  /** What an id stands for by itself: of bytes above 127, which are parts of characters, their number. */
  nameOf(id) {
    return this.bytes && id > 127 ? `\\x${id.toString(16)}` : this.characters[id];
  }

  decoder() {
    if (this.bytes) return new ByteDecoder();
    return this.normalize === "nfd" ? new Composer(this.characters) : new CharacterDecoder(this.characters);
  }

  /** Ids in groups that make a character each: `{text, first, last}`. Only bytes need more than one. */
  group(ids) {
    if (!this.bytes) return ids.map((id, at) => ({ text: this.characters[id], first: at, last: at }));
    const starts = ids.flatMap((id, at) => (at === 0 || (id & 0xc0) !== 0x80 ? [at] : []));
    return starts.map((first, k) => {
      const end = starts[k + 1] ?? ids.length;
      return { text: new ByteDecoder().push(...ids.slice(first, end)) || "\ufffd", first, last: end - 1 };
    });
  }
}

// Decoders take ids one at a time and give the text that is now certain, often one character, sometimes none.

class CharacterDecoder {
  constructor(characters) {
    this.characters = characters;
  }

  push(id) {
    return this.characters[id];
  }
}

/** A byte waits until its character is complete, or cannot be completed any more. */
class ByteDecoder {
  utf8 = new TextDecoder("utf-8", { ignoreBOM: true });

  push(...bytes) {
    return this.utf8.decode(new Uint8Array(bytes), { stream: true });
  }
}

/** A letter waits, with the marks or the jamo that join it, for the character that no longer does. */
class Composer {
  constructor(characters) {
    this.characters = characters;
    this.held = "";
  }

  push(id) {
    const character = this.characters[id];
    const joined = (this.held + character).normalize("NFC");
    const apart = joined === this.held.normalize("NFC") + character.normalize("NFC");
    if ((/^\p{M}/u.test(character) || !apart) && this.held.length < 32) {
      this.held += character;
      return "";
    }
    const text = this.held.normalize("NFC");
    this.held = character;
    return text;
  }
}

// Names

const ESCAPES = { "\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\" };
const NAMES = { " ": "space", "\n": "line end", "\t": "tab", "\r": "carriage return" };
const SIGNS = { " ": "␣", "\n": "↵", "\t": "⇥", "\r": "␍" };

const isHidden = (character) => character !== " " && /^[\p{C}\p{Z}]/u.test(character);

function escaped(character) {
  const code = character.codePointAt(0);
  if (code < 0x100) return `\\x${code.toString(16).padStart(2, "0")}`;
  return code < 0x10000 ? `\\u${code.toString(16).padStart(4, "0")}` : `\\U${code.toString(16).padStart(8, "0")}`;
}

/** A character in quotes, as the command line names it: what does not print as an escape. */
function quoted(character) {
  const quote = character === "'" ? '"' : "'";
  return quote + (ESCAPES[character] ?? (isHidden(character) ? escaped(character) : character)) + quote;
}

/** A character as a sign that can be seen: "␣", "↵", an escape, or itself. */
const signOf = (character) => SIGNS[character] ?? (isHidden(character) ? escaped(character) : character);

/** A character as a word that can be read aloud. */
const wordOf = (character) => NAMES[character] ?? (isHidden(character) ? escaped(character) : character);

/** What `\n`, `\t` and `\\` in a field stand for. */
const unescaped = (text) => text.replace(/\\([nrt\\])/g, (_, c) => ({ n: "\n", r: "\r", t: "\t", "\\": "\\" })[c]);

/** How many of a thing: "1 character", "1,200 characters". */
const count = (number, thing) => `${number.toLocaleString("en")} ${thing}${number === 1 ? "" : "s"}`;
