"use strict";

// The page: what it holds enters, the panels leave.

function start() {
  const facts = JSON.parse($("facts-data").textContent);
  const bytes = bytesOf($("weights-data").textContent);
  const network = new Network(facts.shape, unpack(facts.arrays, facts.dtype, bytes));
  $("weights-data").remove();
  const vocabulary = new Vocabulary(facts.vocabulary);
  fillAbout(facts);
  const writing = new Writing(network, vocabulary, facts.settings);
  const reading = new Reading(network, vocabulary, facts);
  const select = setUpTabs((tab) => {
    if (tab === "tab-read") reading.open();
    if (tab === "tab-about") drawCurve(facts);
  });
  const readWritten = () => reading.use(writing.text);
  $("use-written").onclick = readWritten;
  $("judge").onclick = () => {
    select("tab-read");
    readWritten();
  };
  addEventListener("resize", () => {
    drawCurve(facts);
    reading.showPlace();
  });
  return { facts, network, vocabulary, writing, reading };
}

/** What the page is made of, for a look around from the browser's console. */
let charnn;

try {
  charnn = start();
} catch (error) {
  $("failure").hidden = false;
  $("failure").textContent = `This page does not work here: ${error.message}`;
}
