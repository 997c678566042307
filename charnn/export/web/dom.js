"use strict";

// What the parts of the page share: elements made and found, work done in slices, and bars of probabilities.

const $ = (id) => document.getElementById(id);

function element(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

/** An element of a drawing. */
function shape(tag, attributes = {}, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/** A share as a person would write it, with a space that no line breaks at. */
function percent(share) {
  if (share > 0 && share < 0.0005) return "<0.1\u00a0%";
  return `${(100 * share).toFixed(share < 0.0995 ? 1 : 0)}\u00a0%`;
}

const nats = (value) => (value === undefined ? "" : value.toFixed(2));
const bits = (value) => (value / Math.LN2).toFixed(2);

/** The ids of the most probable characters, the likeliest first. */
function likeliest(probabilities, most) {
  const best = [];
  for (let id = 0; id < probabilities.length; id++) {
    if (best.length === most && probabilities[id] <= probabilities[best[most - 1]]) continue;
    const place = best.findIndex((other) => probabilities[other] < probabilities[id]);
    best.splice(place < 0 ? best.length : place, 0, id);
    best.length = Math.min(best.length, most);
  }
  return best;
}

/** A character as a sign; where the sign is not what is read aloud, with the word for it. */
function signElement(character) {
  const sign = element("span", { className: "sign", translate: false }, element("bdi", {}, signOf(character)));
  if (signOf(character) !== wordOf(character)) {
    sign.setAttribute("role", "img");
    sign.setAttribute("aria-label", wordOf(character));
  }
  return sign;
}

/** Fill a list with characters `[name, probability, id]`; with `choose`, each is a button that hands over its id. */
function fillBars(list, entries, choose) {
  list.replaceChildren(
    ...entries.map(([name, probability, id]) => {
      const bar = element("span", { className: "bar" });
      bar.style.width = `${100 * probability}%`;
      const share = element("span", { className: "share" }, percent(probability));
      const track = element("span", { className: "track" }, bar);
      const row = element(choose ? "button" : "div", { className: "row" }, signElement(name), " ", track, share);
      if (choose) row.addEventListener("click", () => choose(id));
      return element("li", {}, row);
    }),
  );
}

/** Work in slices, so that the page stays alive: a new piece of work ends the one before. */
class Work {
  static SLICE = 12; // milliseconds

  /** Run `steps` to its end; `show` is called after every slice. Nothing is returned if other work took its place. */
  async run(steps, show = () => {}) {
    const own = (this.current = Symbol("work"));
    for (;;) {
      const end = performance.now() + Work.SLICE;
      let step;
      do step = steps.next();
      while (!step.done && performance.now() < end);
      show();
      if (step.done) {
        this.current = null;
        return { value: step.value };
      }
      await breath();
      if (this.current !== own) return null;
    }
  }

  stop() {
    this.current = null;
  }
}

/** Let the browser draw and listen; sooner back than a timer would be. */
function breath() {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(null);
  });
}

/** Say which characters the network has never seen, with a button that leaves them out; nothing is said where there are none. */
function tellUnknown(box, what, characters, leaveOut) {
  box.hidden = !characters.length;
  if (box.hidden) return;
  const listed = characters.slice(0, 10).map(quoted).join(" ") + (characters.length > 10 ? " …" : "");
  box.firstElementChild.textContent = `${what} has characters the network has never seen: ${listed}`;
  box.querySelector("button").onclick = leaveOut;
}

/** Tabs: a click, or an arrow key, shows a panel and hides the others. What selects a tab by its name is returned. */
function setUpTabs(shown) {
  const tabs = [...document.querySelectorAll("[role=tab]")];
  const select = (tab) => {
    for (const other of tabs) {
      other.setAttribute("aria-selected", String(other === tab));
      other.tabIndex = other === tab ? 0 : -1;
      $(other.getAttribute("aria-controls")).hidden = other !== tab;
    }
    shown(tab.id);
  };
  tabs.forEach((tab, index) => {
    tab.addEventListener("click", () => select(tab));
    tab.addEventListener("keydown", (event) => {
      const steps = { ArrowRight: 1, ArrowLeft: -1, Home: -index, End: tabs.length - 1 - index };
      if (!(event.key in steps)) return;
      event.preventDefault();
      const next = tabs[(index + steps[event.key] + tabs.length) % tabs.length];
      next.focus();
      select(next);
    });
  });
  return (id) => select($(id));
}
