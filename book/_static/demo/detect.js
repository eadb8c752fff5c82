// Faces in a picture, found in the browser: the "tiny face detector" of face-api.js (its weights: MIT licence), made
// one ONNX file when the book is built (book/_ext/fercourse_detector.py) and run by the runtime that is there anyway.
// Nothing is loaded before the first call, and nothing comes from elsewhere.
"use strict";

import { download, startRuntime } from "./network.js";
import { Refused } from "./onnx.js";

const FOLDER = new URL("./detector/", import.meta.url);
/** As the detector's own program has them: the picture's longer side, the least score, the most overlap. */
export const SIDE = 416;
const LEAST_SCORE = 0.5;
const MOST_OVERLAP = 0.4;
const STRIDE = 32; // pixels a cell

let opening = null;

/** Load the detector, once for the page. */
export const open = () => {
  opening ??= load().catch((error) => {
    opening = null;
    throw error;
  });
  return opening;
};

async function load() {
  const ort = await startRuntime();
  let file;
  let measured;
  try {
    [file, measured] = await Promise.all(["detector.onnx", "square.json"].map((name) => download(new URL(name, FOLDER))));
  } catch (error) {
    throw new Refused(`Move the square yourself. ${error.message}`);
  }
  try {
    const session = await ort.InferenceSession.create(new Uint8Array(file), { executionProviders: ["wasm"] });
    return { ort, session, measured: JSON.parse(new TextDecoder().decode(measured)) };
  } catch (error) {
    throw new Refused(`The face detector could not be started; move the square yourself. ${String(error?.message ?? error).split("\n")[0]}`);
  }
}

/** The share of two boxes' common area. */
const overlap = (a, b) => {
  const common = (low, extent) => Math.max(0, Math.min(a[low] + a[extent], b[low] + b[extent]) - Math.max(a[low], b[low]));
  const shared = common("x", "width") * common("y", "height");
  return shared / (a.width * a.height + b.width * b.height - shared);
};

/** The detector's answer as boxes in pixels of its input, the surest first, each face once. */
export const boxesOf = (answer, cells, anchors) => {
  const boxes = [];
  for (let k = 0; k < cells * cells * anchors; k += 1) {
    const [x, y, width, height, score] = answer.subarray(5 * k, 5 * k + 5);
    if (score < LEAST_SCORE) continue;
    const cell = Math.floor(k / anchors);
    const [left, top] = [(cell % cells) + x - width / 2, Math.floor(cell / cells) + y - height / 2];
    boxes.push({ x: STRIDE * left, y: STRIDE * top, width: STRIDE * width, height: STRIDE * height, score });
  }
  boxes.sort((a, b) => b.score - a.score);
  const kept = [];
  for (const box of boxes) if (kept.every((other) => overlap(box, other) <= MOST_OVERLAP)) kept.push(box);
  return kept;
};

/**
 * The square that OpenCV's Haar cascade, which cut out FER-2013's faces, would draw around a box of this detector.
 *
 * `measured` is square.json: in pictures in which both found the same face, the medians of Haar's side over the
 * box's (the root of its area), and of how much lower Haar's centre lies, as a share of the box's side.
 * tools/detector_square.py measures them.
 */
export const squareOf = ({ x, y, width, height, score }, measured) => {
  const size = Math.sqrt(width * height);
  const side = size * measured.side;
  return { x: x + width / 2 - side / 2, y: y + height / 2 + size * measured.down - side / 2, side, score };
};

/** The picture on a square of the detector's, in the corner at the top left, and the scale of it there. */
const shrunk = (source, side) => {
  let [width, height] = [source.videoWidth ?? source.width, source.videoHeight ?? source.height];
  let drawn = source;
  if (source instanceof ImageData) {
    drawn = new OffscreenCanvas(width, height);
    drawn.getContext("2d").putImageData(source, 0, 0);
  }
  const scale = side / Math.max(width, height);
  const context = new OffscreenCanvas(side, side).getContext("2d", { willReadFrequently: true });
  [width, height] = [width, height].map((value) => Math.max(1, Math.round(value * scale)));
  context.imageSmoothingQuality = "high";
  context.fillStyle = "rgb(128 128 128)"; // behind what is transparent
  context.fillRect(0, 0, width, height);
  context.drawImage(drawn, 0, 0, width, height);
  return [context.getImageData(0, 0, side, side), scale];
};

/**
 * Find faces.
 *
 * `source`: ImageData, or what a canvas can draw. `side`: a multiple of 32; a smaller one is quicker, and misses small
 * faces. Resolves to squares in pixels of the source, the surest first; they may reach beyond it. Rejects with `Refused`,
 * whose message is for the reader, where the detector cannot be had.
 */
export async function findFaces(source, { side = SIDE } = {}) {
  const { ort, session, measured } = await open();
  const [image, scale] = shrunk(source, side);
  const input = new ort.Tensor("uint8", new Uint8Array(image.data.buffer), [side, side, 4]);
  const { boxes } = await session.run({ pixels: input });
  return boxesOf(boxes.data, boxes.dims[0], boxes.dims[2]).map((box) => {
    const square = squareOf(box, measured);
    return { x: square.x / scale, y: square.y / scale, side: square.side / scale, score: square.score };
  });
}
