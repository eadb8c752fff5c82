// From a picture to what the network takes: a square of it, grey, 48 pixels wide and high.
//
// The same as fercourse.predict.prepare, which leaves it to Pillow: grey as its mode "L", then its BILINEAR, which
// widens the triangle when it shrinks, so that every pixel counts. Pillow sums in whole numbers, and so does this.
"use strict";

export const SIDE = 48;
/** What lies behind transparent pixels. */
const MID_GREY = 128;
const PRECISION = 22; // bits behind the point in Pillow's weights

/** The weights with which `length` pixels become `SIDE`: for each new pixel, its first old one and the weights. */
function weights(length) {
  const scale = length / SIDE;
  const widened = Math.max(scale, 1);
  return Array.from({ length: SIDE }, (_, place) => {
    const centre = (place + 0.5) * scale;
    const first = Math.max(0, Math.floor(centre - widened + 0.5));
    const end = Math.min(length, Math.floor(centre + widened + 0.5));
    const raw = Array.from({ length: end - first }, (_, k) => Math.max(0, 1 - Math.abs((k + first - centre + 0.5) / widened)));
    const sum = raw.reduce((a, b) => a + b, 0);
    return { first, factors: Int32Array.from(raw, (value) => Math.floor(0.5 + (value / sum) * 2 ** PRECISION)) };
  });
}

/** The grey values of one row, columns beyond the picture repeated from its edge. */
function greyRow({ data, width }, row, left, side, grey) {
  for (let column = 0; column < side; column++) {
    const x = Math.min(width - 1, Math.max(0, left + column));
    const at = 4 * (row * width + x);
    const alpha = data[at + 3];
    let red = data[at];
    let green = data[at + 1];
    let blue = data[at + 2];
    if (alpha < 255) {
      const rest = (255 - alpha) * MID_GREY + 127;
      red = Math.floor((red * alpha + rest) / 255);
      green = Math.floor((green * alpha + rest) / 255);
      blue = Math.floor((blue * alpha + rest) / 255);
    }
    grey[column] = (19595 * red + 38470 * green + 7471 * blue + 32768) >> 16;
  }
}

/** Where rows of the square come from: pixels beyond the picture are those of its edge. */
const inside = (value, length) => Math.min(length - 1, Math.max(0, value));

/**
 * Cut a square out of a picture and make it what the network takes.
 *
 * @param {ImageData} picture pixels as a canvas gives them, alpha not multiplied in.
 * @param {{x: number, y: number, side: number}} square whole pixels; it may reach beyond the picture.
 * @returns {Uint8Array} 48 x 48 grey values, row by row.
 */
export function prepare(picture, square) {
  const { x, y, side } = square;
  if (![x, y, side].every(Number.isInteger) || side < 1) throw new RangeError("a square has whole numbers and a side");
  const plan = weights(side);
  const [top, bottom] = [inside(y, picture.height), inside(y + side - 1, picture.height)];
  const narrow = new Uint8Array((bottom - top + 1) * SIDE);
  const grey = new Uint8Array(side);
  for (let row = top; row <= bottom; row++) {
    greyRow(picture, row, x, side, grey);
    for (let place = 0; place < SIDE; place++) {
      const { first, factors } = plan[place];
      let sum = 1 << (PRECISION - 1);
      for (let k = 0; k < factors.length; k++) sum += grey[first + k] * factors[k];
      narrow[(row - top) * SIDE + place] = Math.min(255, sum >> PRECISION);
    }
  }
  const result = new Uint8Array(SIDE * SIDE);
  for (let place = 0; place < SIDE; place++) {
    const { first, factors } = plan[place];
    const rows = Array.from(factors, (_, k) => inside(y + first + k, picture.height) - top);
    for (let column = 0; column < SIDE; column++) {
      let sum = 1 << (PRECISION - 1);
      for (let k = 0; k < factors.length; k++) sum += narrow[rows[k] * SIDE + column] * factors[k];
      result[place * SIDE + column] = Math.min(255, sum >> PRECISION);
    }
  }
  return result;
}

/** The largest square in the middle of a picture; the same as fercourse.predict takes without a face. */
export function centred(width, height) {
  const side = Math.min(width, height);
  return { x: Math.floor((width - side) / 2), y: Math.floor((height - side) / 2), side };
}
