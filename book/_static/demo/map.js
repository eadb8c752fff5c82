// The class activation map (Zhou et al. 2016) over the face: which places speak for a word, and which against it.
"use strict";

import { SIDE } from "./prepare.js";

const FOR = [230, 97, 0]; // orange and blue, which everybody can tell apart, and bright or dark grey shows through
const AGAINST = [0, 114, 220];
const MOST_OPAQUE = 0.75;

/**
 * What speaks for one word rather than for the seven on average: adding the same to all logits changes no share.
 *
 * @returns {{cells: number[], most: number}} the word's cells, row by row, and the greatest magnitude of any word's.
 */
export function evidence({ values, side }, chosen, classes) {
  const area = side * side;
  const mean = Array.from({ length: area }, (_, cell) => {
    let sum = 0;
    for (let k = 0; k < classes; k++) sum += values[k * area + cell];
    return sum / classes;
  });
  let most = 1e-9;
  for (let k = 0; k < classes; k++) {
    for (let cell = 0; cell < area; cell++) most = Math.max(most, Math.abs(values[k * area + cell] - mean[cell]));
  }
  return { cells: mean.map((value, cell) => values[chosen * area + cell] - value), most };
}

/** What a map shows, in words: where the strongest cell lies, and whether it speaks for the word at all. */
export function mapInWords(cells, side, word) {
  const where = place(cells, side);
  return Math.max(...cells) > 0
    ? `Most speaks for ${word} in ${where}`
    : `Nothing in it speaks for ${word}; least speaks against it in ${where}`;
}

function place(cells, side) {
  const strongest = cells.indexOf(Math.max(...cells));
  const third = (position) => Math.floor((3 * (position + 0.5)) / side);
  const rows = ["upper", "middle", "lower"][third(Math.floor(strongest / side))];
  const columns = ["left", "middle", "right"][third(strongest % side)];
  return rows === "middle" && columns === "middle" ? "the middle" : `the ${rows} ${columns}`.replace("middle left", "left").replace("middle right", "right");
}

/** Where a pixel's centre lies between the centres of cells: the two cells, and the share of the second. */
function between(pixel, pixels, side) {
  const at = Math.min(side - 1, Math.max(0, ((pixel + 0.5) * side) / pixels - 0.5));
  const low = Math.min(side - 2, Math.floor(at));
  return side === 1 ? [0, 0, 0] : [low, low + 1, at - low];
}

/** Draw the face, 48 x 48 grey values, enlarged, with the map over it where there is one. */
export function drawFace(canvas, face, map = null) {
  const pixels = canvas.width;
  const context = canvas.getContext("2d");
  const image = context.createImageData(pixels, pixels);
  const columns = map && Array.from({ length: pixels }, (_, x) => between(x, pixels, map.side));
  for (let y = 0; y < pixels; y++) {
    const row = map && columns[y];
    for (let x = 0; x < pixels; x++) {
      const grey = face[Math.floor((y * SIDE) / pixels) * SIDE + Math.floor((x * SIDE) / pixels)];
      let [colour, strength] = [FOR, 0];
      if (map) {
        const [left, right, part] = columns[x];
        const [above, below, share] = row;
        const line = (r) => map.cells[r * map.side + left] * (1 - part) + map.cells[r * map.side + right] * part;
        const value = (line(above) * (1 - share) + line(below) * share) / map.most;
        colour = value > 0 ? FOR : AGAINST;
        strength = MOST_OPAQUE * Math.abs(value);
      }
      const at = 4 * (y * pixels + x);
      for (let c = 0; c < 3; c++) image.data[at + c] = grey + (colour[c] - grey) * strength;
      image.data[at + 3] = 255;
    }
  }
  context.putImageData(image, 0, 0);
}
