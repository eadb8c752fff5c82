// What a screen reader is told: little, and when things have settled.
"use strict";

import { make } from "./dom.js";

const SETTLED = 700; // milliseconds without another change
const SLOW = 6000; // at most one announcement in that time while the camera is on

export class Speaker {
  constructor() {
    this.element = make("p", { role: "status", "aria-live": "polite", class: "visually-hidden" });
    Object.assign(this, { timer: 0, last: -Infinity, key: "" });
  }

  /** Say it once nothing has changed for a moment. */
  settle(words) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.element.textContent = words;
    }, SETTLED);
  }

  /** Say it only if `key` has changed, has stayed for a moment, and nothing was said lately. */
  slowly(words, key) {
    if (key !== this.key) {
      this.key = key;
      this.since = performance.now();
      this.told = false;
    }
    const now = performance.now();
    if (this.told || now - this.since < SETTLED || now - this.last < SLOW) return;
    Object.assign(this, { told: true, last: now });
    this.element.textContent = words;
  }
}
