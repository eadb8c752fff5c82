// The page "Try it": where the picture comes from, the square on it, the network, and what it answers.
// Everything happens in this page: what it loads comes from the book's own folder, and nothing is sent.
"use strict";

import { Answer } from "./answer.js";
import { make, radios } from "./dom.js";
import { download, openNetwork, Refused, startRuntime, unable } from "./network.js";
import { examine } from "./onnx.js";
import { Camera, fromFile, fromGrey, fromImage } from "./picture.js";
import { Speaker } from "./speak.js";
import { Square } from "./square.js";

const HERE = new URL("./", import.meta.url);
const LONGEST = 900; // pixels of the picture as it is shown
const LOOKED_AT = 640; // pixels of the picture as the detector gets it
const DRAWN = 192; // pixels of a face drawn with sliders
const TITLE = document.title;

const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;
const sentence = (error) => {
  if (error instanceof Refused) return error.message;
  console.warn(error);
  return `Something went wrong that this page did not expect: ${String(error?.message ?? error).slice(0, 200)}`;
};

class Page {
  constructor(data) {
    this.data = data;
    this.speaker = new Speaker();
    this.answer = new Answer(data.classes, this.speaker);
    this.choice = data.networks[0]?.id ?? "own";
    this.current = null; // the network that answers, with the count of its record
    this.picture = null;
    this.camera = null;
    this.own = null;
    this.stage();
    this.element = make(
      "div",
      { class: "demo-app" },
      this.sources(),
      make("div", { class: "demo-columns" }, this.stageSide, make("div", { class: "demo-side" }, this.answer.pictures, this.starter(), this.answer.results)),
      this.networks(),
      this.speaker.element,
    );
    this.takesDrops();
    this.choose("samples");
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
    this.drawnPanel = make("div", { class: "demo-panel", hidden: true });
    this.stageSide = make(
      "div",
      { class: "demo-stage-side" },
      this.on,
      make("div", { class: "demo-held" }, this.overlay, this.answer.brief),
      this.drawnPanel,
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

  /** Put a picture on the stage. */
  put(picture, square = null) {
    if (this.picture !== picture) this.picture?.close();
    this.picture = picture;
    Object.assign(this, { faces: [], facePlace: -1 });
    const { width, height } = picture;
    const scale = Math.min(1, LONGEST / Math.max(width, height));
    Object.assign(this.canvas, { width: Math.round(width * scale), height: Math.round(height * scale) });
    this.overlay.style.setProperty("--ratio", width / height);
    this.square.fit(width, height);
    if (square) this.square.set(square, false);
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
    if (this.current) this.ask();
  }

  /** Ask for the latest face; while an answer is on its way, later ones wait, and only the last counts. */
  async ask() {
    this.wanted = this.face;
    if (this.asking) return;
    this.asking = true;
    try {
      while (this.wanted && this.current) {
        const [face, { network, calibration }] = [this.wanted, this.current];
        this.wanted = null;
        const result = await network.run(face);
        if (this.current?.network === network) this.answer.show(result, face, { calibration, live: this.camera !== null });
      }
    } catch (error) {
      this.tellNetwork(sentence(error), true);
    } finally {
      this.asking = false;
    }
  }

  // --- Finding faces ----------------------------------------------------------------------------------------

  async findFace() {
    this.find.disabled = true;
    try {
      if (!this.faces?.length || this.camera) this.faces = await this.detect();
      if (!this.faces.length) {
        this.stageMessage.textContent = "No face was found: put the square on it by hand.";
        return;
      }
      const many = this.faces.length;
      this.facePlace = this.camera ? 0 : (this.facePlace + 1) % many;
      this.square.set(this.faces[this.facePlace]);
      const next = this.camera ? "" : "; the button goes to the next";
      this.stageMessage.textContent = many > 1 ? `The square is on face ${this.facePlace + 1} of ${many}${next}.` : "The square is on the face.";
    } catch (error) {
      this.stageMessage.textContent = `Faces cannot be looked for here. ${sentence(error)}`;
    } finally {
      this.find.disabled = false;
    }
  }

  /** Squares around faces, in whole pixels of the picture, the largest first. */
  async detect() {
    this.detector ??= import(new URL("detect.js", HERE).href);
    const { findFaces } = await this.detector;
    const { image, scale } = this.picture.pixels(LOOKED_AT);
    const found = await findFaces(image);
    const whole = (value) => Math.round(value / scale);
    return found.map(({ x, y, side }) => ({ x: whole(x), y: whole(y), side: whole(side) })).sort((a, b) => b.side - a.side);
  }

  async followFace() {
    if (this.looking || !this.following.checked || !this.camera) return;
    this.looking = true;
    try {
      const [face] = await this.detect();
      if (face && this.camera) {
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

  // --- Sources ----------------------------------------------------------------------------------------------

  sources() {
    const { drawn } = this.data.modules;
    this.panels = {
      samples: this.samples(),
      drawn: drawn ? this.drawnPanel : null, // below the face, not above it
      file: this.files(),
      camera: this.cameras(),
    };
    const names = { samples: "Drawn faces", drawn: "Draw one", file: "A file", camera: "Your camera" };
    const options = Object.keys(this.panels).filter((name) => this.panels[name]);
    this.sourceMessage = make("p", { class: "demo-message", role: "status" });
    this.tabs = radios("demo-source", "Where the picture comes from", options.map((name) => [name, names[name]]), "samples", (name) => this.choose(name), {
      class: "demo-tabs",
    });
    return make("div", { class: "demo-sources" }, this.tabs, this.panels.samples, this.panels.file, this.panels.camera, this.sourceMessage);
  }

  /** Show one source; the camera is never left on behind another. */
  choose(source) {
    this.source = source;
    this.element.dataset.source = source;
    this.find.hidden = !(this.data.modules.detect && ["file", "camera"].includes(source));
    this.stopCamera();
    this.sourceMessage.textContent = "";
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
      if (this.source === "samples" && !this.picture) this.sample(0);
    };
    this.sheet.onerror = () => {
      this.sourceMessage.textContent = "The drawn faces could not be loaded; a file or the camera will do.";
    };
    this.sheet.src = new URL(file, HERE).href;
    return radios("demo-sample", "Choose a drawn face", small, "0", (k) => this.sample(Number(k)), { class: "demo-panel demo-samples" });
  }

  sample(k) {
    this.sampled = k;
    const { side } = this.data.samples;
    if (this.sheet.complete && this.sheet.naturalWidth) this.put(fromImage(this.sheet, k * side, 0, side));
  }

  async draw() {
    try {
      this.drawing ??= import(new URL("drawn.js", HERE).href).then(({ mountSliders }) =>
        mountSliders(
          this.panels.drawn,
          (face) => {
            this.drawnFace = face;
            if (this.source === "drawn") this.put(fromGrey(face, DRAWN));
          },
          { size: DRAWN },
        ),
      );
      await this.drawing;
      if (this.source === "drawn" && this.drawnFace) this.put(fromGrey(this.drawnFace, DRAWN));
    } catch (error) {
      this.sourceMessage.textContent = `Faces cannot be drawn here. ${sentence(error)}`;
    }
  }

  files() {
    const input = make("input", {
      type: "file",
      id: "demo-file",
      accept: "image/*",
      onchange: () => {
        if (input.files[0]) this.open(input.files[0]);
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
    const turn = (this.opening = (this.opening ?? 0) + 1);
    this.sourceMessage.textContent = "Reading the picture.";
    try {
      const picture = await fromFile(file);
      if (turn !== this.opening) {
        picture.close(); // another was chosen meanwhile
        return;
      }
      this.sourceMessage.textContent = `Read: ${picture.width} × ${picture.height} pixels.`;
      this.put(picture);
      if (this.data.modules.detect && this.current) await this.findFace(); // the runtime is there already
    } catch (error) {
      if (turn === this.opening) this.sourceMessage.textContent = sentence(error);
    }
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
    return /\.(onnx|pt|pth|safetensors)$/i.test(file.name) ? this.openOwn(file) : this.open(file);
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
    this.startCamera.disabled = true;
    this.sourceMessage.textContent = "Waiting for the camera.";
    try {
      const camera = await Camera.open(() => this.stopCamera("The camera went away."));
      if (this.source !== "camera") {
        camera.stop(); // the reader has gone on to another source
        return;
      }
      this.camera = camera;
      this.cameraIs(true);
      this.sourceMessage.textContent = this.current ? "" : "The camera is on; the network is not started yet.";
      let size = "";
      camera.watch(() => {
        if (document.hidden) return;
        const { width, height } = camera.picture;
        if (size !== `${width} ${height}`) this.put(camera.picture);
        size = `${width} ${height}`;
        this.paint();
        this.followFace();
        this.refresh();
      });
    } catch (error) {
      this.sourceMessage.textContent = sentence(error);
    } finally {
      this.startCamera.disabled = false;
    }
  }

  stopCamera(words = "") {
    if (!this.camera) return;
    this.camera.stop();
    this.camera = null;
    this.cameraIs(false);
    this.sourceMessage.textContent = words;
  }

  cameraIs(on) {
    const held = document.activeElement;
    this.on.hidden = !on;
    this.endCamera.hidden = !on;
    this.startCamera.hidden = on;
    this.followed.hidden = !(on && this.data.modules.detect);
    this.overlay.classList.toggle("demo-live", on);
    if (held === this.startCamera || held === this.endCamera) (on ? this.endCamera : this.startCamera).focus();
    document.title = on ? `● Camera on: ${TITLE}` : TITLE;
  }

  // --- The network ------------------------------------------------------------------------------------------

  starter() {
    this.startButton = make("button", { type: "button", class: "demo-start", onclick: () => this.start() }, "");
    this.bar = make("progress", { "aria-label": "Loading", max: 1, value: 0, hidden: true });
    this.networkMessage = make("p", { class: "demo-message", role: "status", tabindex: "-1" });
    this.startPanel = make(
      "div",
      { class: "demo-start-panel" },
      this.startButton,
      this.bar,
      make("p", { class: "demo-help" }, "Loaded from this book's own folder, once; afterwards the page needs no network."),
    );
    return make("div", { class: "demo-starter" }, this.startPanel, this.networkMessage);
  }

  tellNetwork(words, wrong = false) {
    this.networkMessage.textContent = words;
    this.networkMessage.classList.toggle("demo-wrong", wrong);
  }

  /** Say what starting will load, or why there is nothing to start. */
  offer() {
    const { runtime, missing } = this.data;
    const reason = unable() || (runtime.missing && `This copy of the book was built without the runtime. ${runtime.missing}`) || (this.choice !== "own" && missing);
    const chosen = this.data.networks.find(({ id }) => id === this.choice);
    const size = runtime.bytes + (chosen?.bytes ?? 0);
    this.startButton.textContent = `Start the network (${megabytes(size)} to load)`;
    this.startButton.disabled = Boolean(reason) || (this.choice === "own" && !this.own);
    this.startPanel.hidden = this.current !== null;
    this.find.textContent = this.current ? "Find the face" : `Find the face (${megabytes(runtime.bytes)} to load)`;
    this.find.disabled = Boolean(unable() || runtime.missing);
    if (reason) this.tellNetwork(reason, true);
  }

  networks() {
    const options = this.data.networks.map(({ id, label, bytes, says }) => [id, `${label}, ${megabytes(bytes)}${says ? `: ${says}` : ""}`]);
    const input = make("input", {
      type: "file",
      id: "demo-own",
      accept: ".onnx",
      onchange: () => {
        if (input.files[0]) this.openOwn(input.files[0]);
        input.value = ""; // the same file, exported again, is another choice
      },
    });
    this.ownFacts = make("p", { class: "demo-help" });
    this.ownPanel = make("div", { class: "demo-panel", hidden: this.choice !== "own" }, make("label", { for: "demo-own" }, "Your network, as ", make("code", {}, "fercourse export"), " writes it (.onnx)"), input, this.ownFacts);
    this.choices = radios("demo-network", "Which network", [...options, ["own", "your own file"]], this.choice, (id) => this.pick(id), { class: "demo-networks" });
    const element = make("div", { class: "demo-network-part" }, this.choices, this.ownPanel);
    this.offer();
    return element;
  }

  async pick(id) {
    this.choice = id;
    this.ownPanel.hidden = id !== "own";
    this.tellNetwork("");
    this.offer();
    if (id === "own" && !this.own) this.tellNetwork(this.current ? "Until you choose a file, the network before it answers." : "Choose a file first.");
    else if (this.current) await this.start();
  }

  /** Load what is needed for the chosen network, and ask it. */
  async start() {
    const turn = (this.turn = (this.turn ?? 0) + 1);
    const chosen = this.data.networks.find(({ id }) => id === this.choice);
    const { runtime } = this.data;
    const held = document.activeElement === this.startButton; // which is about to go
    this.startButton.disabled = true;
    this.bar.hidden = false;
    this.tellNetwork("Loading.");
    try {
      const whole = runtime.bytes + (chosen?.bytes ?? 0);
      const ort = await startRuntime((bytes) => (this.bar.value = bytes / whole));
      const buffer = chosen ? await download(new URL(chosen.file, HERE), (bytes) => (this.bar.value = (runtime.bytes + bytes) / whole)) : this.own;
      const network = await openNetwork(ort, buffer, this.data.classes, chosen?.temperature);
      if (turn !== this.turn) {
        await network.close();
        return;
      }
      const old = this.current;
      this.current = { network, calibration: chosen?.calibration ?? null };
      this.answer.forget();
      this.tellNetwork(this.introduced(chosen, network));
      if (held && [document.body, this.startButton].includes(document.activeElement)) this.networkMessage.focus();
      this.look();
      await old?.network.close();
    } catch (error) {
      if (turn === this.turn) this.tellNetwork(sentence(error) + this.meanwhile(), true);
    } finally {
      if (turn === this.turn) {
        this.bar.hidden = true;
        this.offer();
      }
    }
  }

  meanwhile() {
    return this.current ? " The network before it goes on answering." : "";
  }

  introduced(chosen, network) {
    const map = network.maps ? "" : " It has no second output, maps, and so there is no map to show.";
    return `${chosen ? chosen.label : network.metadata.name || "Your network"} is ready.${map}`;
  }

  /** Take the reader's own ONNX file; what does not fit is refused before anything is loaded for it. */
  async openOwn(file) {
    this.choices.querySelector("input[value=own]").checked = true;
    this.choice = "own";
    this.ownPanel.hidden = false;
    this.ownFacts.textContent = "";
    try {
      const buffer = await file.arrayBuffer();
      const { metadata } = examine(buffer, this.data.classes);
      this.own = buffer;
      const known = [
        ["model", metadata.model],
        ["recipe", metadata.recipe],
        ["accuracy on val when exported", metadata.val_accuracy],
        ["trained on", metadata.data],
      ].filter(([, value]) => value);
      this.ownFacts.textContent = known.length
        ? `${file.name} says of itself: ${known.map(([name, value]) => `${name} ${value}`).join("; ")}.`
        : `${file.name} says nothing of itself: that its logits are in the order ${this.data.classes.join(", ")}, and that it takes grey from 0 to 1, is assumed.`;
    } catch (error) {
      this.own = null;
      const unread = error instanceof Refused ? error.message : `${file.name} could not be read.`;
      this.tellNetwork(`${file.name} is refused. ${unread}${this.meanwhile()}`, true);
      this.startButton.disabled = true;
      return;
    }
    this.tellNetwork("");
    this.offer();
    if (this.current) await this.start();
    else if (!this.startButton.disabled) this.tellNetwork("The file fits. Start the network to run it.");
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
      if (document.hidden) page.stopCamera("The camera was switched off, because this page was out of sight.");
    });
  } catch (error) {
    place.replaceChildren(make("p", {}, sentence(error)));
  }
}

main();
