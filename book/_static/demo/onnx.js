// Looks into an ONNX file before anything runs it, and says in a sentence why it does not fit.
//
// An ONNX file is a message of Protocol Buffers; of its fields only those are read that tell what goes in, what
// comes out, and what the file says of itself. fercourse/export.py describes what the course writes.
"use strict";

/** A mistake that the reader can mend: the message is a sentence for the page. */
export class Refused extends Error {}

/** Beyond this, a tab is likelier to run out of memory than to answer; the papers' largest network has half. */
export const MOST_BYTES = 200_000_000;
const FLOAT = 1; // TensorProto.DataType
const TYPES = ["undefined", "float32", "uint8", "int8", "uint16", "int16", "int32", "int64", "text", "bool", "float16", "float64"];

/** Refuse a file of so many bytes. */
export function tooLarge(size) {
  throw new Refused(`The file has ${Math.round(size / 1e6)} MB; more than ${MOST_BYTES / 1e6} MB is too much for this page.`);
}

/** The fields of a message, one by one: its number, and a number or the bytes of what it holds. */
function* fields(bytes) {
  let at = 0;
  const number = () => {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      if (at >= bytes.length || factor > 2 ** 63) throw new RangeError("the message breaks off");
      const byte = bytes[at++];
      value += (byte & 127) * factor;
      if (byte < 128) return value;
    }
  };
  while (at < bytes.length) {
    const key = number();
    const kind = key % 8;
    if (kind === 0) {
      yield [Math.floor(key / 8), number()];
      continue;
    }
    const length = kind === 2 ? number() : { 1: 8, 5: 4 }[kind];
    if (length === undefined || at + length > bytes.length) throw new RangeError("the message breaks off");
    yield [Math.floor(key / 8), bytes.subarray(at, (at += length))];
  }
}

const text = (bytes) => new TextDecoder().decode(bytes);
const all = (message, field) => [...fields(message)].filter(([number]) => number === field).map(([, value]) => value);
const one = (message, field) => all(message, field)[0];

/** An input or output: its name, the type of its numbers, and its shape; a size that varies is a name or null. */
function described(value) {
  const tensor = one(one(value, 2) ?? new Uint8Array(), 1);
  const name = text(one(value, 1) ?? new Uint8Array());
  if (!tensor) return { name, type: "no tensor", shape: [] };
  const shape = one(tensor, 2);
  const size = (dimension) => {
    const [[field, found] = []] = [...fields(dimension)];
    return field === 1 ? found : null;
  };
  const type = one(tensor, 1) ?? 0;
  return { name, type: TYPES[type] ?? `type ${type}`, float: type === FLOAT, shape: shape ? all(shape, 1).map(size) : null };
}

const shown = ({ type, shape }) => `${type} (${shape ? shape.map((size) => size ?? "N").join(", ") : "of no stated shape"})`;
const fits = (shape, wanted) =>
  shape && shape.length === wanted.length && shape.every((size, axis) => size === wanted[axis] || (size === null && wanted[axis] !== 48));

/** Whether maps can have this shape; sizes that vary are seen when it answers. */
const fitsMaps = ([images, words, rows, columns, ...more], classes) =>
  columns !== undefined && more.length === 0 && [1, null].includes(images) && [classes, null].includes(words) && (rows === columns || rows === null || columns === null);

/** What a file is that begins with these bytes, where that is known; an empty text otherwise. */
function otherKind(bytes) {
  const start = String.fromCharCode(...bytes.subarray(0, 16));
  if (start.startsWith("PK")) return "a zip archive, as PyTorch writes its checkpoints";
  if (start.slice(8).startsWith("{")) return "a file of weights alone (safetensors), without the network";
  if (start.startsWith("\x89HDF")) return "an HDF5 file, as Keras writes";
  if (start.slice(4, 8) === "ORTM") return "in ONNX Runtime's own format";
  if (start.slice(4, 8) === "TFL3") return "a file of TensorFlow Lite";
  if (/^\s*[<{[]/.test(start)) return "text, such as a page that a server sent in its place";
  return "";
}

/**
 * Read what an ONNX file says of itself, and refuse one that this page cannot use.
 *
 * @param {ArrayBuffer} buffer the whole file.
 * @param {string[]} classes the words, in the order in which the page shows the logits.
 * @returns {{metadata: Object<string, string>, input: string, maps: boolean}}
 */
export function examine(buffer, classes) {
  const bytes = new Uint8Array(buffer);
  if (bytes.length === 0) throw new Refused("The file is empty.");
  if (bytes.length > MOST_BYTES) tooLarge(bytes.length);
  const advice = "fercourse export runs/NAME my-network.onnx writes one.";
  const kind = otherKind(bytes);
  if (kind) throw new Refused(`This is no ONNX file but ${kind}: ${advice}`);
  let graph;
  let metadata;
  let inputs;
  let outputs;
  let outside = false;
  try {
    graph = one(bytes, 7);
    metadata = Object.fromEntries(all(bytes, 14).map((entry) => [text(one(entry, 1)), text(one(entry, 2) ?? new Uint8Array())]));
    const weights = all(graph, 5);
    const known = new Set(weights.map((tensor) => text(one(tensor, 8) ?? new Uint8Array())));
    outside = weights.some((tensor) => one(tensor, 14) === 1);
    inputs = all(graph, 11).map(described).filter(({ name }) => !known.has(name)); // old files list weights there too
    outputs = all(graph, 12).map(described);
  } catch {
    throw new Refused(`This is no ONNX file, or it is damaged: ${advice}`);
  }
  if (outside) throw new Refused("Its weights lie in another file beside it, which a page cannot open: save it as one file.");
  if (inputs.length !== 1) {
    throw new Refused(`It has ${inputs.length} inputs (${inputs.map(({ name }) => name).join(", ") || "none"}); expected one, the images.`);
  }
  const [input] = inputs;
  if (!input.float || !fits(input.shape, [1, 1, 48, 48])) {
    throw new Refused(`Its input ${input.name} is ${shown(input)}; expected float32 (N, 1, 48, 48) for any N, grey from 0 to 1.`);
  }
  const names = outputs.map(({ name }) => name).join(", ");
  if (outputs.length > 2) throw new Refused(`It has ${outputs.length} outputs (${names}); expected logits, and maps at most.`);
  const logits = outputs.find(({ name }) => name === "logits");
  if (!logits) throw new Refused(`It has no output called logits, but ${names || "none at all"}: give torch.onnx.export output_names=["logits"].`);
  if (!logits.float || (logits.shape && !fits(logits.shape, [1, classes.length]))) {
    throw new Refused(`Its logits are ${shown(logits)}; expected float32 (N, ${classes.length}), one for each word.`);
  }
  const other = outputs.find(({ name }) => name !== "logits");
  if (other && other.name !== "maps") throw new Refused(`It has an output called ${other.name}; expected logits, and maps at most.`);
  if (other && (!other.float || (other.shape && !fitsMaps(other.shape, classes.length)))) {
    throw new Refused(`Its maps are ${shown(other)}; expected float32 (N, ${classes.length}, H, H), one for each word.`);
  }
  if (metadata.classes && metadata.classes !== classes.join(",")) {
    throw new Refused(`Its metadata give the words as ${metadata.classes}; this page needs ${classes.join(",")}, in this order.`);
  }
  return { metadata, input: input.name, maps: Boolean(other) };
}
