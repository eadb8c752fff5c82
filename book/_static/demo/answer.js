// What the network answers: what it saw, seven shares, what they mean in words, the map, and the time it took.
"use strict";

import { make } from "./dom.js";
import { drawFace, evidence, mapInWords } from "./map.js";
import { median } from "./network.js";
import { inWords, percent, ranked } from "./words.js";

const PIXELS = 192;
const TIMES = 30;
const CAUTION =
  "This was counted on photographs like those it was trained on. For your picture nobody has counted: a share is not a certainty.";

const canvas = (words) => make("canvas", { width: PIXELS, height: PIXELS, role: "img", "aria-label": words });

export class Answer {
  /** @param {string[]} classes the words. @param {Function} say announces a text (see speak.js). */
  constructor(classes, say) {
    Object.assign(this, { classes, say, chosen: -1, result: null, face: null, times: [], answered: [] });
    this.seen = canvas("What the network sees: the square as 48 by 48 grey pixels, enlarged");
    this.mapped = canvas("");
    this.mapWords = make("span", {});
    this.mapFigure = make("figure", { hidden: true }, this.mapped, make("figcaption", {}, this.mapWords));
    this.rows = classes.map((word, k) => this.row(word, k));
    this.first = this.radio(-1, true);
    this.follow = make("label", { class: "demo-follow" }, this.first, " map of the first word");
    this.legend = make("legend", {}, "");
    this.bars = make("fieldset", { class: "demo-bars" }, this.legend, this.follow, this.rows.map(({ element }) => element));
    this.summary = make("p", { class: "demo-summary" });
    this.brief = make("p", { class: "demo-brief", "aria-hidden": "true" }); // beside a face that is being drawn
    this.backing = make("p", { class: "demo-backing" });
    this.numbers = make("p", { class: "demo-numbers" });
    this.results = make("div", { class: "demo-results", hidden: true }, this.summary, this.bars, this.backing, this.numbers);
    this.pictures = make(
      "div",
      { class: "demo-pictures" },
      make("figure", {}, this.seen, make("figcaption", {}, "What the network sees: 48 × 48 grey pixels")),
      this.mapFigure,
    );
  }

  radio(k, checked = false) {
    const changed = () => {
      this.chosen = k;
      this.drawMap();
      this.say.settle(this.mapWords.textContent);
    };
    return make("input", { type: "radio", name: "demo-word", value: k, checked, onchange: changed });
  }

  row(word, k) {
    const [bar, share] = [make("span", { class: "demo-fill" }), make("span", { class: "demo-share" }, "")];
    const radio = this.radio(k);
    const element = make("label", { class: "demo-row" }, radio, make("span", { class: "demo-word" }, word), make("span", { class: "demo-bar" }, bar), share);
    return { element, radio, bar, share };
  }

  /** Show what the network will see; `prepared` is how long it took, in milliseconds. */
  look(face, prepared) {
    Object.assign(this, { face, prepared });
    drawFace(this.seen, face);
  }

  /** Forget the times and the answer of another network. */
  forget() {
    Object.assign(this, { times: [], answered: [], result: null });
    this.results.hidden = true;
    this.brief.textContent = "";
    this.mapFigure.hidden = true;
  }

  /** Show an answer; `live` while the camera is on, when words change more slowly than bars. */
  show(result, face, { calibration, live }) {
    Object.assign(this, { result });
    const top = ranked(result.probs)[0];
    this.rows.forEach(({ element, bar, share }, k) => {
      bar.style.width = percent(result.probs[k], 2);
      share.textContent = percent(result.probs[k], 1);
      element.classList.toggle("demo-top", k === top);
    });
    const hasMap = result.maps !== null;
    for (const radio of [this.first, ...this.rows.map(({ radio: one }) => one)]) radio.hidden = !hasMap;
    this.follow.hidden = !hasMap;
    this.legend.textContent = hasMap ? "Seven words and their shares; choose one for its map" : "Seven words and their shares";
    const now = performance.now();
    this.times = [...this.times, result.milliseconds].slice(-TIMES);
    this.answered = [...this.answered, now].filter((time) => now - time < 2000);
    const words = inWords(result.probs, this.classes, calibration);
    if (!live || !(now - this.spoken < 500)) {
      this.spoken = now;
      this.summary.textContent = words.summary;
      this.brief.textContent = words.summary;
      this.summary.dataset.level = words.level;
      this.backing.textContent = `${words.backing} ${calibration ? CAUTION : "A share is not a certainty."}`;
      this.tell(live);
    }
    this.results.hidden = false;
    this.drawMap(face);
    if (live) this.say.slowly(words.summary, `${words.level} ${top}`);
    else this.say.settle(words.summary);
  }

  tell(live) {
    const time = median(this.times);
    const parts = [`${time.toFixed(1)} ms a face (median of ${this.times.length}), after ${this.prepared.toFixed(1)} ms to prepare it`];
    const [oldest, newest] = [this.answered[0], this.answered.at(-1)];
    if (live && newest - oldest > 500) {
      parts.push(`${Math.round((1000 * (this.answered.length - 1)) / (newest - oldest))} frames a second`);
    }
    this.numbers.textContent = `${parts.join("; ")}.`;
  }

  drawMap(face = this.mappedFace) {
    this.mappedFace = face;
    const { maps, probs } = this.result;
    this.mapFigure.hidden = maps === null;
    if (!maps) return;
    const chosen = this.chosen < 0 ? ranked(probs)[0] : this.chosen;
    const { cells, most } = evidence(maps, chosen, this.classes.length);
    drawFace(this.mapped, face, { cells, most, side: maps.side });
    const speaks = mapInWords(cells, maps.side, this.classes[chosen]);
    const words = `${speaks}. Orange speaks for it, blue against it.`;
    if (this.mapWords.textContent !== words) this.mapWords.textContent = words;
    this.mapped.setAttribute("aria-label", `The same pixels under the class activation map of ${this.classes[chosen]}. ${speaks}`);
  }
}
