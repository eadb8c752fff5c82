// Where the picture comes from: a drawn face of the page's own, one drawn with sliders, a file, or the camera.
"use strict";

import { make, radios } from "./dom.js";
import { sentence } from "./network.js";
import { Camera, fromFile, fromGrey, fromImage } from "./picture.js";

const HERE = new URL("./", import.meta.url);
const DRAWN = 192; // pixels of a face drawn with sliders
const AWAY = "The camera went away.";
/** Why the camera is off although nobody stopped it. */
export const OUT_OF_SIGHT = "The camera was switched off, because this page was out of sight.";
/** Whether the focus is nowhere, or where it can do nothing any more. */
const lost = (element) => [document.body, element].includes(document.activeElement);

export class Sources {
  /**
   * @param {object} data the page's data, demo.json.
   * @param {object} on what the page does: `put(picture)` shows one; `chosen(source)` is called when the reader changes the source;
   *   `read()` when a file has been put; `live(on)` when the camera goes on or off; `frame()` for each of its pictures.
   * @param {() => boolean} answered whether a network is there that answers.
   */
  constructor(data, on, answered) {
    // `opening` counts what the reader has turned to: a file or a camera that comes later than the next choice is dropped.
    Object.assign(this, { data, on, answered, camera: null, source: null, opening: 0 });
    this.drawnPanel = make("div", { class: "demo-panel", hidden: true }); // its place is below the face, not above it
    this.element = this.parts();
  }

  parts() {
    const { drawn } = this.data.modules;
    this.panels = {
      samples: this.samples(),
      drawn: drawn ? this.drawnPanel : null,
      file: this.files(),
      camera: this.cameras(),
    };
    const names = { samples: "Drawn faces", drawn: "Draw one", file: "A file", camera: "Your camera" };
    const options = Object.keys(this.panels).filter((name) => this.panels[name]);
    this.message = make("p", { class: "demo-message", role: "status" });
    this.tabs = radios("demo-source", "Where the picture comes from", options.map((name) => [name, names[name]]), "samples", (name) => this.choose(name), {
      class: "demo-tabs",
    });
    return make("div", { class: "demo-sources" }, this.tabs, this.panels.samples, this.panels.file, this.panels.camera, this.message);
  }

  /** Show one source; the camera is never left on behind another. */
  choose(source) {
    this.source = source;
    this.opening += 1;
    this.on.chosen(source);
    this.stopCamera();
    this.message.textContent = "";
    for (const [name, panel] of Object.entries(this.panels)) if (panel) panel.hidden = name !== source;
    if (source === "samples") this.sample(this.sampled ?? 0);
    if (source === "drawn") this.draw();
  }

  /** Take a source for something that came by itself, such as a dropped file. */
  switchTo(source) {
    this.tabs.querySelector(`input[value="${source}"]`).checked = true;
    if (this.source !== source) this.choose(source);
  }

  samples() {
    const { file, side, words } = this.data.samples;
    this.sheet = new Image();
    const small = words.map((word, k) => {
      const canvas = make("canvas", { width: side / 2, height: side / 2, "aria-hidden": "true" });
      return [String(k), canvas, make("span", { class: "visually-hidden" }, `drawn as ${word}`)];
    });
    this.sheet.onload = () => {
      small.forEach(([, canvas], k) => canvas.getContext("2d").drawImage(this.sheet, k * side, 0, side, side, 0, 0, side / 2, side / 2));
      if (this.source === "samples") this.sample(this.sampled);
    };
    this.sheet.onerror = () => {
      this.message.textContent = "The drawn faces could not be loaded; a file or the camera will do.";
    };
    this.sheet.src = new URL(file, HERE).href;
    return radios("demo-sample", "Choose a drawn face", small, "0", (k) => this.sample(Number(k)), { class: "demo-panel demo-samples" });
  }

  sample(k) {
    this.sampled = k;
    const { side } = this.data.samples;
    if (this.sheet.complete && this.sheet.naturalWidth) this.on.put(fromImage(this.sheet, k * side, 0, side));
  }

  /** Load what draws faces, once for the page. */
  prepareDrawing() {
    this.drawing ??= import(new URL("drawn.js", HERE).href)
      .then(({ mountSliders }) =>
        mountSliders(
          this.panels.drawn,
          (face) => {
            this.drawnFace = face;
            if (this.source === "drawn") this.on.put(fromGrey(face, DRAWN));
          },
          { size: DRAWN },
        ),
      )
      .catch((error) => {
        this.drawing = null;
        throw error;
      });
    return this.drawing;
  }

  async draw() {
    try {
      await this.prepareDrawing();
      if (this.source === "drawn" && this.drawnFace) this.on.put(fromGrey(this.drawnFace, DRAWN));
    } catch (error) {
      this.message.textContent = `Faces cannot be drawn here. ${sentence(error)}`;
    }
  }

  files() {
    const input = make("input", {
      type: "file",
      id: "demo-file",
      accept: "image/*",
      onchange: () => {
        if (input.files[0]) this.open(input.files[0]);
        input.value = ""; // the same file is another choice, after one of another source
      },
    });
    return make(
      "div",
      { class: "demo-panel demo-drop" },
      make("label", { for: "demo-file" }, "Choose a picture, drop one anywhere in this box, or paste one"),
      input,
      make("p", { class: "demo-help" }, "It is read in this page and sent nowhere. Use a picture of yourself, or of somebody who has agreed."),
    );
  }

  async open(file) {
    this.switchTo("file");
    const turn = (this.opening += 1);
    this.message.textContent = "Reading the picture.";
    try {
      const picture = await fromFile(file);
      if (turn !== this.opening) {
        picture.close(); // another was chosen meanwhile
        return;
      }
      this.message.textContent = `Read: ${picture.width} × ${picture.height} pixels.`;
      this.on.put(picture);
      await this.on.read();
    } catch (error) {
      if (turn === this.opening) this.message.textContent = sentence(error);
    }
  }

  cameras() {
    this.startCamera = make("button", { type: "button", onclick: () => this.openCamera() }, "Start the camera");
    this.endCamera = make("button", { type: "button", hidden: true, onclick: () => this.stopCamera("The camera is off.") }, "Stop the camera");
    return make(
      "div",
      { class: "demo-panel" },
      make("div", { class: "demo-buttons" }, this.startCamera, this.endCamera),
      make("p", { class: "demo-help" }, "Your browser will ask you. The pictures are looked at in this page, kept nowhere and sent nowhere. Point it at yourself, or at somebody who has agreed."),
    );
  }

  async openCamera() {
    const turn = this.opening;
    const held = document.activeElement === this.startCamera; // which loses the focus when it is disabled
    this.startCamera.disabled = true;
    this.message.textContent = "Waiting for the camera.";
    try {
      const camera = await Camera.open(() => this.stopCamera(AWAY));
      if (turn !== this.opening || document.hidden || !camera.live) {
        camera.stop();
        if (turn === this.opening) this.message.textContent = document.hidden ? OUT_OF_SIGHT : AWAY;
        return; // otherwise the reader has gone on to another source
      }
      this.camera = camera;
      this.cameraIs(true);
      if (held && lost(this.startCamera)) this.endCamera.focus();
      this.message.textContent = this.answered() ? "The camera is on." : "The camera is on; the network is not started yet.";
      let size = "";
      camera.watch(() => {
        if (document.hidden) return;
        const { width, height } = camera.picture;
        if (size !== `${width} ${height}`) this.on.put(camera.picture);
        size = `${width} ${height}`;
        this.on.frame();
      });
    } catch (error) {
      if (turn === this.opening) this.message.textContent = sentence(error);
    } finally {
      this.startCamera.disabled = false;
      if (held && !this.camera && lost(this.startCamera)) this.startCamera.focus();
    }
  }

  stopCamera(words = "") {
    if (!this.camera) return;
    this.camera.stop();
    this.camera = null;
    this.cameraIs(false);
    this.message.textContent = words;
  }

  cameraIs(on) {
    const held = document.activeElement;
    this.endCamera.hidden = !on;
    this.startCamera.hidden = on;
    if (held === this.startCamera || held === this.endCamera) (on ? this.endCamera : this.startCamera).focus();
    this.on.live(on);
  }
}
