// Where pictures come from: a file, the camera, grey values that were drawn. A picture has `width`, `height`,
// `paint(context, width, height)` and `prepared(square)`; it never leaves the page.
"use strict";

import { Refused } from "./onnx.js";
import { prepare } from "./prepare.js";

const MOST_FILE = 60_000_000;
const MOST_SIDE = 20_000;
/** Of more pixels, canvases of some telephones show nothing. */
const MOST_PIXELS = 16_000_000;

const canvasOf = (width, height) => Object.assign(document.createElement("canvas"), { width, height });

/** Anything that a canvas can draw, as a picture. */
class Picture {
  constructor(source, width, height, note = "") {
    Object.assign(this, { source, width, height, note });
    this.scratch = canvasOf(1, 1);
  }

  paint(context, width, height) {
    context.imageSmoothingQuality = "high";
    context.drawImage(this.source, 0, 0, width, height);
  }

  /** The square as the network takes it; only the pixels within it are read. */
  prepared({ x, y, side }) {
    const left = Math.min(this.width - 1, Math.max(0, x));
    const top = Math.min(this.height - 1, Math.max(0, y));
    const width = Math.max(1, Math.min(this.width, x + side) - left);
    const height = Math.max(1, Math.min(this.height, y + side) - top);
    if (this.scratch.width !== width || this.scratch.height !== height) this.scratch = canvasOf(width, height);
    const context = this.scratch.getContext("2d", { willReadFrequently: true });
    context.clearRect(0, 0, width, height);
    context.drawImage(this.source, left, top, width, height, 0, 0, width, height);
    return prepare(context.getImageData(0, 0, width, height), { x: x - left, y: y - top, side });
  }

  /** The whole picture's pixels, for the detector; at most `longest` on the longer side, and the scale of that. */
  pixels(longest) {
    const scale = Math.min(1, longest / Math.max(this.width, this.height));
    const canvas = canvasOf(Math.max(1, Math.round(this.width * scale)), Math.max(1, Math.round(this.height * scale)));
    const context = canvas.getContext("2d", { willReadFrequently: true });
    this.paint(context, canvas.width, canvas.height);
    return { image: context.getImageData(0, 0, canvas.width, canvas.height), scale };
  }

  close() {
    this.source.close?.();
  }
}

/** A square of grey values, row by row, as a picture. */
export function fromGrey(values, side) {
  const canvas = canvasOf(side, side);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const image = context.createImageData(side, side);
  values.forEach((grey, k) => image.data.set([grey, grey, grey, 255], 4 * k));
  context.putImageData(image, 0, 0);
  return new Picture(canvas, side, side);
}

/** A part of an image that the page has loaded, as a picture. */
export function fromImage(image, x, y, side) {
  const canvas = canvasOf(side, side);
  canvas.getContext("2d", { willReadFrequently: true }).drawImage(image, x, y, side, side, 0, 0, side, side);
  return new Picture(canvas, side, side);
}

/** Width and height of an image file, without unpacking it: a small file can hold a billion pixels. */
async function sizeOf(url) {
  const image = new Image();
  image.src = url;
  await new Promise((resolve, reject) => Object.assign(image, { onload: resolve, onerror: reject }));
  return [image.naturalWidth, image.naturalHeight];
}

/** Read a picture from a file; one that is none is refused with the reason. */
export async function fromFile(file) {
  const named = file.name ? `“${file.name}”` : "What was pasted";
  if (file.size === 0) throw new Refused(`${named} is empty.`);
  if (file.size > MOST_FILE) {
    throw new Refused(`${named} has ${Math.round(file.size / 1e6)} MB; this page takes pictures up to ${MOST_FILE / 1e6} MB.`);
  }
  const broken = `${named} cannot be read as a picture: it is damaged, or of a kind that this browser does not know. JPEG, PNG and WebP will do.`;
  const url = URL.createObjectURL(file);
  let bitmap;
  try {
    const [width, height] = await sizeOf(url);
    if (Math.max(width, height) > MOST_SIDE || width * height > 10 * MOST_PIXELS) {
      throw new Refused(`${named} has ${width} × ${height} pixels, which is too many for a page: make it smaller first.`);
    }
    const shrink = Math.min(1, Math.sqrt(MOST_PIXELS / (width * height)));
    // Pixels as they stand in the file, turned as the camera noted: what Python's side reads, too.
    const options = { imageOrientation: "from-image", colorSpaceConversion: "none", premultiplyAlpha: "none" };
    if (shrink < 1) {
      Object.assign(options, { resizeWidth: Math.round(width * shrink), resizeHeight: Math.round(height * shrink), resizeQuality: "high" });
    }
    bitmap = await createImageBitmap(file, options);
    const note = shrink < 1 ? `It has ${width} × ${height} pixels, and is made smaller before use: ${bitmap.width} × ${bitmap.height}.` : "";
    return new Picture(bitmap, bitmap.width, bitmap.height, note);
  } catch (error) {
    throw error instanceof Refused ? error : new Refused(broken);
  } finally {
    URL.revokeObjectURL(url);
  }
}

const CAMERA = {
  NotAllowedError: "The camera was refused. To use it after all, allow it in the browser's settings for this page; everything else here works without.",
  NotFoundError: "No camera was found on this machine: take a file or a drawn face.",
  NotReadableError: "The camera cannot be used: another program may be holding it.",
  OverconstrainedError: "No camera of this machine gives a picture that this page can use.",
  SecurityError: "The browser's settings forbid the camera for this page.",
};
const INSECURE =
  "A browser gives the camera only to pages that come over https or from this machine (localhost), and this one does not.";

/** The camera, as a picture that changes: mirrored, so that one finds one's way as before a mirror. */
export class Camera {
  /** Ask for the camera; refused with the reason if there is none. `ended` is called if it goes away by itself. */
  static async open(ended) {
    if (!window.isSecureContext) throw new Refused(INSECURE);
    if (!navigator.mediaDevices?.getUserMedia) throw new Refused("This browser offers no camera to pages.");
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({
        video: { facingMode: "user", width: { ideal: 640 }, height: { ideal: 480 } },
        audio: false,
      });
    } catch (error) {
      throw new Refused(CAMERA[error.name] ?? `The camera does not answer: ${error.message || error.name}.`);
    }
    const video = Object.assign(document.createElement("video"), { muted: true, playsInline: true, srcObject: stream });
    const camera = new Camera(stream, video);
    stream.getVideoTracks().forEach((track) => track.addEventListener("ended", ended));
    try {
      await video.play();
    } catch {
      camera.stop();
      throw new Refused("The camera's picture could not be started.");
    }
    camera.picture = new Picture(canvasOf(video.videoWidth, video.videoHeight), video.videoWidth, video.videoHeight);
    return camera;
  }

  constructor(stream, video) {
    Object.assign(this, { stream, video, picture: null });
  }

  /** Call `shown` after every new frame, until the camera is stopped. */
  watch(shown) {
    const next = () => {
      if (!this.stream) return;
      const { videoWidth: width, videoHeight: height } = this.video;
      if (width && height) {
        const { source } = this.picture;
        if (source.width !== width || source.height !== height) {
          Object.assign(source, { width, height }); // a telephone was turned
          Object.assign(this.picture, { width, height });
        }
        const context = source.getContext("2d", { willReadFrequently: true });
        context.setTransform(-1, 0, 0, 1, width, 0);
        context.drawImage(this.video, 0, 0);
        shown();
      }
      wait(next);
    };
    const wait = (call) =>
      this.video.requestVideoFrameCallback ? this.video.requestVideoFrameCallback(call) : requestAnimationFrame(call);
    wait(next);
  }

  /** Whether it still gives pictures: it can go away before it is watched. */
  get live() {
    return this.stream?.getVideoTracks().some((track) => track.readyState === "live") ?? false;
  }

  stop() {
    this.stream?.getTracks().forEach((track) => track.stop());
    this.video.srcObject = null;
    this.stream = null;
  }
}
