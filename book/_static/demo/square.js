// The square that the network sees: moved and sized by pointer, by touch (two fingers size it), and by keyboard.
"use strict";

import { make } from "./dom.js";
import { centred } from "./prepare.js";

const SMALLEST = 16; // pixels of the picture
const CORNERS = ["nw", "ne", "sw", "se"];
const HELP = "Arrow keys move it (with Shift, by one pixel), plus and minus change its size, Home makes it as large as the picture.";

export class Square {
  /** @param {HTMLElement} stage what lies exactly over the picture. @param {() => void} changed called after each move. */
  constructor(stage, changed) {
    Object.assign(this, { stage, changed, width: 1, height: 1, value: { x: 0, y: 0, side: 1 }, pointers: new Map() });
    this.box = make(
      "div",
      { class: "demo-square", tabindex: "0", role: "application", "aria-label": "The square that the network sees", "aria-roledescription": "movable square", "aria-describedby": "demo-square-help" },
      CORNERS.map((corner) => make("span", { class: `demo-corner demo-${corner}`, "data-corner": corner })),
    );
    this.help = make("p", { id: "demo-square-help", class: "demo-help" }, `Drag the square, or one of its corners. ${HELP}`);
    stage.append(this.box);
    this.box.addEventListener("keydown", (event) => this.key(event));
    for (const [name, handle] of [["pointerdown", this.down], ["pointermove", this.move], ["pointerup", this.up], ["pointercancel", this.up]]) {
      stage.addEventListener(name, handle.bind(this));
    }
  }

  /** Begin with a picture of another size: the largest square in its middle. */
  fit(width, height) {
    Object.assign(this, { width, height });
    this.set(centred(width, height), false);
  }

  /** Put the square somewhere; its centre stays within the picture. */
  set({ x, y, side }, tell = true) {
    const size = Math.round(Math.min(Math.max(this.width, this.height), Math.max(Math.min(SMALLEST, this.width, this.height), side)));
    const middle = (start, length) => Math.min(length, Math.max(0, start + side / 2));
    this.value = {
      x: Math.round(middle(x, this.width) - size / 2),
      y: Math.round(middle(y, this.height) - size / 2),
      side: size,
    };
    const { style } = this.box;
    style.left = `${(100 * this.value.x) / this.width}%`;
    style.top = `${(100 * this.value.y) / this.height}%`;
    style.width = `${(100 * size) / this.width}%`;
    style.height = `${(100 * size) / this.height}%`;
    this.box.setAttribute("aria-label", `The square that the network sees: ${size} pixels wide, ${this.value.x} from the left, ${this.value.y} from the top`);
    if (tell) this.changed();
  }

  /** Make it larger or smaller around its middle. */
  scale(factor) {
    const { x, y, side } = this.value;
    const size = factor > 1 ? Math.max(side + 1, side * factor) : Math.min(side - 1, side * factor);
    this.set({ x: x + (side - size) / 2, y: y + (side - size) / 2, side: size });
  }

  key(event) {
    const { x, y, side } = this.value;
    const step = event.shiftKey ? 1 : Math.max(1, Math.round(side / 20));
    const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (moves[event.key]) this.set({ x: x + moves[event.key][0], y: y + moves[event.key][1], side });
    else if (event.key === "+" || event.key === "=") this.scale(1.1);
    else if (event.key === "-") this.scale(1 / 1.1);
    else if (event.key === "Home") this.set(centred(this.width, this.height));
    else return;
    event.preventDefault();
  }

  /** A pointer's place in pixels of the picture. */
  at(event) {
    const box = this.stage.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * this.width, ((event.clientY - box.top) / box.height) * this.height];
  }

  down(event) {
    if (event.button !== 0) return;
    this.stage.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, this.at(event));
    const [x, y] = this.at(event);
    const { value } = this;
    const corner = event.target.dataset?.corner;
    if (corner) {
      this.drag = { fixed: [corner.includes("w") ? value.x + value.side : value.x, corner.includes("n") ? value.y + value.side : value.y] };
    } else if (this.pointers.size === 2) {
      this.drag = { spread: this.spread(), side: value.side };
    } else {
      const inside = x >= value.x && x <= value.x + value.side && y >= value.y && y <= value.y + value.side;
      // Beside the square: it comes to where the finger is.
      this.drag = { offset: inside ? [x - value.x, y - value.y] : [value.side / 2, value.side / 2] };
      if (!inside) this.move(event);
    }
    this.box.focus({ preventScroll: true });
    event.preventDefault();
  }

  spread() {
    const [[ax, ay], [bx, by]] = [...this.pointers.values()];
    return Math.hypot(ax - bx, ay - by);
  }

  move(event) {
    if (!this.drag || !this.pointers.has(event.pointerId)) return;
    const [x, y] = this.at(event);
    this.pointers.set(event.pointerId, [x, y]);
    const { value, drag } = this;
    if (drag.fixed) {
      const [fx, fy] = drag.fixed;
      const side = Math.max(SMALLEST, Math.abs(x - fx), Math.abs(y - fy));
      this.set({ x: x < fx ? fx - side : fx, y: y < fy ? fy - side : fy, side });
    } else if (drag.spread !== undefined && this.pointers.size === 2) {
      const side = drag.side * (this.spread() / Math.max(1, drag.spread));
      this.set({ x: value.x + (value.side - side) / 2, y: value.y + (value.side - side) / 2, side });
    } else if (drag.offset) {
      this.set({ x: x - drag.offset[0], y: y - drag.offset[1], side: value.side });
    }
  }

  up(event) {
    this.pointers.delete(event.pointerId);
    this.drag = null;
  }
}
