// The page "Try it": the picture and the square on it, between where it comes from, sources.js, the network that is
// asked, choice.js, and what it answers, answer.js.
// Everything happens in this page: what it loads comes from the book's own folder, and nothing is sent.
"use strict";

import { Answer } from "./answer.js";
import { Choice } from "./choice.js";
import { make } from "./dom.js";
import { download, sentence } from "./network.js";
import { OUT_OF_SIGHT, Sources } from "./sources.js";
import { Speaker } from "./speak.js";
import { Square } from "./square.js";

const HERE = new URL("./", import.meta.url);
const LONGEST = 900; // pixels of the picture as it is shown
const LOOKED_AT = 640; // pixels of the picture as the detector gets it
const TITLE = document.title;
const DRAWINGS = ["samples", "drawn"]; // sources whose faces all lie in the same place

class Page {
  constructor(data) {
    this.data = data;
    this.speaker = new Speaker();
    this.answer = new Answer(data.classes, this.speaker);
    this.choice = new Choice(data, () => this.changed(), () => this.offered());
    const on = {
      put: (picture) => this.put(picture),
      chosen: (source) => this.chosen(source),
      read: () => this.read(),
      live: (isOn) => this.live(isOn),
      frame: () => this.frame(),
    };
    this.sources = new Sources(data, on, () => this.choice.current !== null);
    Object.assign(this, { picture: null, putFrom: null, faces: [], facePlace: -1, failure: "" });
    this.stage();
    this.element = make(
      "div",
      { class: "demo-app" },
      this.sources.element,
      make("div", { class: "demo-columns" }, this.stageSide, make("div", { class: "demo-side" }, this.answer.pictures, this.choice.starter, this.answer.results)),
      this.choice.element,
      this.speaker.element,
    );
    this.takesDrops();
    this.choice.offer();
    this.sources.choose("samples");
  }

  // --- The picture and its square ---------------------------------------------------------------------------

  stage() {
    this.canvas = make("canvas", { "aria-hidden": "true" });
    this.overlay = make("div", { class: "demo-stage" }, this.canvas);
    this.square = new Square(this.overlay, () => this.refresh());
    this.on = make("p", { class: "demo-on", hidden: true }, make("span", { class: "demo-dot", "aria-hidden": "true" }), "The camera is on. Its pictures stay in this page.");
    this.find = make("button", { type: "button", onclick: () => this.findFace() }, "Find the face");
    this.following = make("input", { type: "checkbox" });
    this.followed = make("label", { class: "demo-check", hidden: true }, this.following, " the square follows the face");
    this.stageMessage = make("p", { class: "demo-message", role: "status" });
    this.stageSide = make(
      "div",
      { class: "demo-stage-side" },
      this.on,
      make("div", { class: "demo-held" }, this.overlay, this.answer.brief),
      this.sources.drawnPanel,
      make(
        "div",
        { class: "demo-buttons" },
        this.find,
        make("button", { type: "button", onclick: () => this.square.scale(1 / 1.1) }, "Smaller"),
        make("button", { type: "button", onclick: () => this.square.scale(1.1) }, "Larger"),
        make("button", { type: "button", onclick: () => this.whole() }, "Whole picture"),
        this.followed,
      ),
      this.stageMessage,
      this.square.help,
    );
  }

  whole() {
    this.square.fit(this.picture.width, this.picture.height);
    this.refresh();
  }

  /** Put a picture on the stage. Drawn faces lie where the one before lay: the square stays on the same part of them. */
  put(picture) {
    if (this.picture !== picture) this.picture?.close();
    const { source } = this.sources;
    const { width, height } = picture;
    const alike = DRAWINGS.includes(source) && source === this.putFrom && width === this.picture?.width && height === this.picture?.height;
    Object.assign(this, { picture, putFrom: source, faces: [], facePlace: -1 });
    const scale = Math.min(1, LONGEST / Math.max(width, height));
    Object.assign(this.canvas, { width: Math.round(width * scale), height: Math.round(height * scale) });
    this.overlay.style.setProperty("--ratio", width / height);
    if (!alike) this.square.fit(width, height);
    this.stageMessage.textContent = picture.note;
    this.paint();
    this.refresh();
  }

  paint() {
    const { width, height } = this.canvas;
    this.canvas.getContext("2d").clearRect(0, 0, width, height);
    this.picture.paint(this.canvas.getContext("2d"), width, height);
  }

  /** Prepare the square at the next frame of the screen, and ask the network. */
  refresh() {
    this.waiting ??= requestAnimationFrame(() => {
      this.waiting = null;
      this.look();
    });
  }

  look() {
    if (!this.picture) return;
    const begun = performance.now();
    this.face = this.picture.prepared(this.square.value);
    this.answer.look(this.face, performance.now() - begun);
    if (this.choice.current) this.ask();
  }

  /** Ask for the latest face; while an answer is on its way, later ones wait, and only the last counts. */
  async ask() {
    this.wanted = this.face;
    if (this.asking) return;
    this.asking = true;
    while (this.wanted && this.choice.current) {
      const [face, { network, calibration }] = [this.wanted, this.choice.current];
      this.wanted = null;
      try {
        const result = await network.run(face);
        if (this.choice.current?.network !== network) continue; // the next one will be asked
        this.failed("");
        this.answer.show(result, face, { calibration, live: this.sources.camera !== null });
      } catch (error) {
        if (this.choice.current?.network === network) this.failed(sentence(error));
      }
    }
    this.asking = false;
  }

  /** Say why there is no answer, once, and show none of another face; no words: there is one again. */
  failed(words) {
    if (words === this.failure) return;
    this.failure = words;
    if (words) this.answer.forget();
    this.choice.tell(words, Boolean(words));
  }

  // --- Finding faces ----------------------------------------------------------------------------------------

  async findFace() {
    const held = document.activeElement === this.find; // which loses the focus when it is disabled
    const { picture } = this;
    this.find.disabled = true;
    try {
      if (!this.faces.length || this.sources.camera) {
        const faces = await this.detect();
        if (picture !== this.picture) return; // they are of the picture before
        Object.assign(this, { faces, facePlace: -1 });
      }
      if (!this.faces.length) {
        this.stageMessage.textContent = "No face was found: put the square on it by hand.";
        return;
      }
      const many = this.faces.length;
      this.facePlace = (this.facePlace + 1) % many;
      this.square.set(this.faces[this.facePlace]);
      const next = this.sources.camera ? "" : "; the button goes to the next";
      this.stageMessage.textContent = many > 1 ? `The square is on face ${this.facePlace + 1} of ${many}${next}.` : "The square is on the face.";
    } catch (error) {
      this.stageMessage.textContent = `Faces cannot be looked for here. ${sentence(error)}`;
    } finally {
      this.find.disabled = false;
      if (held && document.activeElement === document.body) this.find.focus();
    }
  }

  /** Squares around faces, in whole pixels of the picture, the largest first. */
  async detect() {
    const { findFaces } = await this.prepareDetector();
    const { image, scale } = this.picture.pixels(LOOKED_AT);
    const found = await findFaces(image);
    const whole = (value) => Math.round(value / scale);
    return found.map(({ x, y, side }) => ({ x: whole(x), y: whole(y), side: whole(side) })).sort((a, b) => b.side - a.side);
  }

  /** Load the detector's program, once for the page. */
  prepareDetector() {
    this.detector ??= import(new URL("detect.js", HERE).href).catch((error) => {
      this.detector = null;
      throw error;
    });
    return this.detector;
  }

  async followFace() {
    if (this.looking || !this.following.checked || !this.sources.camera) return;
    this.looking = true;
    const { picture } = this;
    try {
      const [face] = await this.detect();
      if (face && this.sources.camera && picture === this.picture) {
        const mix = (name) => Math.round((this.square.value[name] + face[name]) / 2); // half way: it trembles less
        this.square.set({ x: mix("x"), y: mix("y"), side: mix("side") }, false);
      }
    } catch (error) {
      this.following.checked = false;
      this.stageMessage.textContent = `Faces cannot be looked for here. ${sentence(error)}`;
    } finally {
      this.looking = false;
    }
  }

  // --- What the parts ask of the page -----------------------------------------------------------------------

  /** Another source was chosen. */
  chosen(source) {
    this.element.dataset.source = source;
    this.find.hidden = !(this.data.modules.detect && ["file", "camera"].includes(source));
  }

  /** A file's picture is there: its face is looked for, if the runtime is there already. */
  async read() {
    if (this.data.modules.detect && this.choice.current) await this.findFace();
  }

  /** The camera went on or off. */
  live(on) {
    this.on.hidden = !on;
    this.followed.hidden = !(on && this.data.modules.detect);
    this.overlay.classList.toggle("demo-live", on);
    document.title = on ? `● Camera on: ${TITLE}` : TITLE;
    if (!on) this.refresh(); // words may be older than bars
  }

  /** The camera has another picture. */
  frame() {
    this.faces = []; // those of an earlier moment
    this.paint();
    this.followFace();
    this.refresh();
  }

  /** Another network answers. */
  changed() {
    this.failure = "";
    this.answer.forget();
    this.look();
    this.keepReady();
  }

  /** Load what is small and not there yet, so that the page goes on without a connection; what is missing is told when it is asked for. */
  async keepReady() {
    const { drawn, detect } = this.data.modules;
    await Promise.allSettled([drawn && this.sources.prepareDrawing(), detect && this.prepareDetector().then(({ open }) => open())]);
  }

  offered() {
    const { words, able } = this.choice.finding;
    this.find.textContent = words;
    this.find.disabled = !able;
  }

  takesDrops() {
    const has = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
    this.element.addEventListener("dragover", (event) => {
      if (!has(event)) return;
      event.preventDefault();
      this.element.classList.add("demo-over");
    });
    this.element.addEventListener("dragleave", () => this.element.classList.remove("demo-over"));
    this.element.addEventListener("drop", (event) => {
      if (!has(event)) return;
      event.preventDefault();
      this.element.classList.remove("demo-over");
      const [file] = event.dataTransfer.files;
      if (file) this.take(file);
    });
    document.addEventListener("paste", (event) => {
      const [file] = event.clipboardData?.files ?? [];
      if (file) this.take(file);
    });
  }

  take(file) {
    return /\.(onnx|pt|pth|safetensors)$/i.test(file.name) ? this.choice.openOwn(file) : this.sources.open(file);
  }
}

async function main() {
  const place = document.querySelector(".demo");
  try {
    const data = JSON.parse(new TextDecoder().decode(await download(new URL("demo.json", HERE))));
    const page = new Page(data);
    place.replaceChildren(page.element);
    place.classList.add("demo-ready");
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) page.sources.stopCamera(OUT_OF_SIGHT);
    });
  } catch (error) {
    place.replaceChildren(make("p", {}, sentence(error)));
  }
}

main();
