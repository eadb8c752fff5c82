// What a screen reader is told: little, and when things have settled.
"use strict";

import { make } from "./dom.js";

const SETTLED = 700; // milliseconds without another change
const SLOW = 6000; // at most one announcement in that time while the camera is on

export class Speaker {
  constructor() {
    this.element = make("p", { role: "status", "aria-live": "polite", class: "visually-hidden" });
    Object.assign(this, { timer: 0, last: -Infinity, key: "", untold: null });
  }

  /** Say it once nothing has changed for a moment. */
  settle(words) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.element.textContent = words;
    }, SETTLED);
  }

  /** Say it only if `key` has changed, has stayed for a moment or never does, and nothing was said lately. */
  slowly(words, key) {
    const now = performance.now();
    if (key !== this.key) Object.assign(this, { key, since: now, told: false });
    if (this.told) return;
    this.untold ??= now; // since when there is something to say
    const stays = now - this.since >= SETTLED;
    const never = now - this.untold >= SLOW; // who cannot see the bars hears of an answer that does not settle, too
    if (now - this.last < SLOW || !(stays || never)) return;
    Object.assign(this, { told: true, last: now, untold: null });
    this.element.textContent = words;
  }
}
