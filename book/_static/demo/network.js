// The network in the browser: onnxruntime-web, one thread, in a worker, so that the page stays quick.
//
// Nothing here is loaded with the page. The runtime comes when the reader starts the network, from the book's own
// folder, and what goes wrong on the way becomes a sentence.
"use strict";

import { examine, Refused } from "./onnx.js";
import { SIDE } from "./prepare.js";

export { Refused };

/** What a reader is told of an error. */
export const sentence = (error) => {
  if (error instanceof Refused) return error.message;
  console.warn(error);
  return `Something went wrong that this page did not expect: ${String(error?.message ?? error).slice(0, 200)}`;
};

const ORT = new URL("./ort/", import.meta.url);
const PROGRAM = "ort.wasm.min.mjs";
const BINARY = "ort-wasm-simd-threaded.wasm";
// A module of a few bytes that uses one instruction of SIMD: what a browser without it calls invalid.
const SIMD = [0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11];

let starting = null;

/** A file of the book, with a report of how much of it has come: `report(bytes so far)`. */
export async function download(url, report = () => 0) {
  let answer;
  try {
    answer = await fetch(url);
  } catch {
    throw new Refused(`${name(url)} could not be loaded: is the connection down, or the page opened from a file?`);
  }
  if (!answer.ok) throw new Refused(`${name(url)} is not there (status ${answer.status}): this copy of the book lacks it.`);
  const parts = [];
  let size = 0;
  try {
    for (const reader = answer.body.getReader(); ; ) {
      const { done, value } = await reader.read();
      if (done) break;
      parts.push(value);
      report((size += value.length));
    }
    return await new Blob(parts).arrayBuffer();
  } catch (error) {
    throw isMemory(error) ? new Refused(OUT_OF_MEMORY) : new Refused(`${name(url)} broke off on the way: try again.`);
  }
}

const name = (url) => new URL(url).pathname.split("/").pop();
const OUT_OF_MEMORY =
  "The browser has no memory left for this: close other tabs, or take the smaller network, and load the page again.";
const isMemory = (error) => /out of memory|allocat|bad_alloc|memory/i.test(String(error?.message ?? error));
const first = (error) => String(error?.message ?? error).split("\n")[0].slice(0, 200);

/** Why this browser cannot run the network; an empty text where it can. */
export function unable() {
  if (typeof WebAssembly !== "object") {
    return "This browser has no WebAssembly, or it is switched off (some browsers do so in a strict mode): the network cannot run here.";
  }
  if (!WebAssembly.validate(Uint8Array.from(SIMD))) {
    return "This browser's WebAssembly lacks SIMD, which the runtime needs: a newer browser has it.";
  }
  return "";
}

/** Load the runtime, once for the page; `report(bytes so far)`. */
export function startRuntime(report) {
  starting ??= load(report).catch((error) => {
    starting = null;
    throw error;
  });
  return starting;
}

async function load(report) {
  const reason = unable();
  if (reason) throw new Refused(reason);
  const binary = await download(new URL(BINARY, ORT), report);
  let ort;
  try {
    ort = await import(new URL(PROGRAM, ORT).href);
  } catch {
    throw new Refused(`${PROGRAM} could not be loaded: this copy of the book lacks the runtime.`);
  }
  // Several threads need headers that a host of static pages does not send.
  Object.assign(ort.env.wasm, { numThreads: 1, proxy: true, wasmPaths: ORT.href, wasmBinary: binary });
  ort.env.logLevel = "error";
  return ort;
}

/** Shares that add up to one. The temperature, where a file names one, was fitted so that they mean what they say. */
export function softmax(logits, temperature = 1) {
  const most = Math.max(...logits);
  const raised = Array.from(logits, (value) => Math.exp((value - most) / temperature));
  const sum = raised.reduce((a, b) => a + b, 0);
  return raised.map((value) => value / sum);
}

/** A network that is ready; `run` answers one face at a time. */
class Network {
  constructor(ort, session, facts, classes, temperature) {
    Object.assign(this, { ort, session, ...facts, classes, times: [] });
    this.outputs = facts.maps ? ["logits", "maps"] : ["logits"];
    const known = Number(temperature ?? facts.metadata.temperature);
    this.temperature = known > 0 && Number.isFinite(known) ? known : 1;
  }

  /**
   * @param {Uint8Array} face 48 x 48 grey values.
   * @returns {Promise<{logits: number[], probs: number[], maps: {values: Float32Array, side: number}|null, milliseconds: number}>}
   */
  async run(face) {
    const images = Float32Array.from(face, (value) => value / 255);
    const begun = performance.now();
    let answer;
    try {
      const input = new this.ort.Tensor("float32", images, [1, 1, SIDE, SIDE]);
      answer = await this.session.run({ [this.input]: input }, this.outputs);
    } catch (error) {
      throw new Refused(isMemory(error) ? OUT_OF_MEMORY : `The runtime could not run the network: ${first(error)}`);
    }
    const milliseconds = performance.now() - begun;
    const { logits, maps } = answer;
    if (logits.dims.length !== 2 || logits.dims[0] !== 1 || logits.dims[1] !== this.classes.length) {
      throw new Refused(`For one face it answers with logits of shape (${logits.dims.join(", ")}); expected (1, ${this.classes.length}).`);
    }
    if (!logits.data.every(Number.isFinite)) throw new Refused("Its logits are no finite numbers.");
    if (maps && (maps.dims.length !== 4 || maps.dims[0] !== 1 || maps.dims[1] !== this.classes.length || maps.dims[2] !== maps.dims[3])) {
      throw new Refused(`For one face it gives maps of shape (${maps.dims.join(", ")}); expected (1, ${this.classes.length}, H, H).`);
    }
    if (maps && !maps.data.every(Number.isFinite)) throw new Refused("Its maps are no finite numbers.");
    return {
      logits: [...logits.data],
      probs: softmax(logits.data, this.temperature),
      maps: maps ? { values: maps.data, side: maps.dims[2] } : null,
      milliseconds,
    };
  }

  /** The median time of a face, in milliseconds, over `count` runs of a warm network. */
  async measure(face, count) {
    const times = [];
    for (let k = 0; k < count; k++) times.push((await this.run(face)).milliseconds);
    return median(times);
  }

  async close() {
    await this.session.release();
  }
}

export const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];

/**
 * Examine a file, start it, and ask it once.
 *
 * @param {object} ort what `startRuntime` gave.
 * @param {ArrayBuffer} buffer the ONNX file.
 * @param {string[]} classes the words in the order of the logits.
 * @param {number} [temperature] what logits are divided by; if not given, what the file's metadata say, or 1.
 */
export async function openNetwork(ort, buffer, classes, temperature) {
  const facts = examine(buffer, classes);
  let session;
  try {
    session = await ort.InferenceSession.create(new Uint8Array(buffer), { executionProviders: ["wasm"] });
  } catch (error) {
    throw new Refused(isMemory(error) ? OUT_OF_MEMORY : `The runtime cannot load this network: ${first(error)}`);
  }
  const network = new Network(ort, session, facts, classes, temperature);
  try {
    await network.run(new Uint8Array(SIDE * SIDE).fill(128)); // the first run is slow, and shows what comes out
  } catch (error) {
    await network.close().catch(() => 0);
    throw error;
  }
  return network;
}
