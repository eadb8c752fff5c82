// Which network answers: one of the book's, loaded when the reader starts it, or the reader's own file.
"use strict";

import { make, radios } from "./dom.js";
import { download, openNetwork, Refused, sentence, startRuntime, unable } from "./network.js";
import { examine, MOST_BYTES, tooLarge } from "./onnx.js";

const HERE = new URL("./", import.meta.url);

/** The bytes of a reader's file. */
async function contentOf(file) {
  try {
    return await file.arrayBuffer();
  } catch {
    throw new Refused(`${file.name} could not be read, or has changed since it was chosen: choose it again.`);
  }
}

const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;

export class Choice {
  /**
   * @param {object} data the page's data, demo.json.
   * @param {() => void} changed called when another network answers, `current`.
   * @param {() => void} offered called when what can be loaded has changed.
   */
  constructor(data, changed, offered) {
    // `turn` counts what was started, `reading` what was opened: of several on their way the last one counts.
    Object.assign(this, { data, changed, offered, own: null, loading: false, turn: 0, reading: 0, refusal: "" });
    this.id = data.networks[0]?.id ?? "own";
    this.current = null; // the network that answers, with the count of its record
    this.starter = this.makeStarter();
    this.element = this.parts();
  }

  makeStarter() {
    this.startButton = make("button", { type: "button", class: "demo-start", onclick: () => this.start() }, "");
    this.bar = make("progress", { "aria-label": "Loading", max: 1, value: 0, hidden: true });
    this.message = make("p", { class: "demo-message", role: "status", tabindex: "-1" });
    this.startPanel = make(
      "div",
      { class: "demo-start-panel" },
      this.startButton,
      this.bar,
      make("p", { class: "demo-help" }, "Loaded from this book's own folder, once; afterwards only another network of the book needs a connection."),
    );
    return make("div", { class: "demo-starter" }, this.startPanel, this.message);
  }

  tell(words, wrong = false) {
    this.message.textContent = words;
    this.message.classList.toggle("demo-wrong", wrong);
  }

  /** Say what starting will load, or why there is nothing to start. */
  offer() {
    const { runtime, missing } = this.data;
    const reason = unable() || (runtime.missing && `This copy of the book was built without the runtime. ${runtime.missing}`) || (this.id !== "own" && missing);
    const chosen = this.data.networks.find(({ id }) => id === this.id);
    const size = runtime.bytes + (chosen?.bytes ?? 0);
    this.startButton.textContent = `Start the network (${megabytes(size)} to load)`;
    this.startButton.disabled = Boolean(reason) || (this.id === "own" && !this.own);
    this.startPanel.hidden = this.current !== null;
    this.offered();
    if (reason) this.tell(reason, true);
  }

  /** What the button that finds faces says, which needs the runtime too, and whether it can. */
  get finding() {
    const { runtime } = this.data;
    return { words: this.current ? "Find the face" : `Find the face (${megabytes(runtime.bytes)} to load)`, able: !(unable() || runtime.missing) };
  }

  parts() {
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
    this.ownPanel = make("div", { class: "demo-panel", hidden: this.id !== "own" }, make("label", { for: "demo-own" }, "Your network, as ", make("code", {}, "fercourse export"), " writes it (.onnx)"), input, this.ownFacts);
    this.choices = radios("demo-network", "Which network", [...options, ["own", "your own file"]], this.id, (id) => this.pick(id), { class: "demo-networks" });
    return make("div", { class: "demo-network-part" }, this.choices, this.ownPanel);
  }

  async pick(id) {
    Object.assign(this, { id, refusal: "" });
    this.reading += 1;
    this.ownPanel.hidden = id !== "own";
    this.tell("");
    this.offer();
    if (id === "own" && !this.own) this.tell(this.current ? "Until you choose a file, the network before it answers." : "Choose a file first.");
    else if (this.current || this.loading) await this.start();
  }

  /** Load what is needed for the chosen network, and ask it. */
  async start() {
    const turn = (this.turn += 1);
    const chosen = this.data.networks.find(({ id }) => id === this.id);
    const { runtime } = this.data;
    const held = document.activeElement === this.startButton; // which is about to go
    this.startButton.disabled = true;
    this.bar.hidden = false;
    this.loading = true;
    this.tell("Loading.");
    try {
      const whole = runtime.bytes + (chosen?.bytes ?? 0);
      const ort = await startRuntime((bytes) => (this.bar.value = bytes / whole));
      // The runtime keeps the bytes that it is given: a reader's file is read anew each time.
      const buffer = chosen ? await download(new URL(chosen.file, HERE), (bytes) => (this.bar.value = (runtime.bytes + bytes) / whole)) : await contentOf(this.own);
      const network = await openNetwork(ort, buffer, this.data.classes, chosen?.temperature);
      if (turn !== this.turn) {
        await network.close();
        return;
      }
      const old = this.current;
      this.current = { network, calibration: chosen?.calibration ?? null };
      this.tell([this.refusal, this.introduced(chosen, network)].filter(Boolean).join(" "), Boolean(this.refusal));
      if (held && [document.body, this.startButton].includes(document.activeElement)) this.message.focus();
      this.changed();
      await old?.network.close();
    } catch (error) {
      if (turn === this.turn) this.tell(sentence(error) + this.meanwhile(), true);
    } finally {
      if (turn === this.turn) {
        this.bar.hidden = true;
        this.loading = false;
        this.offer();
      }
    }
  }

  meanwhile() {
    return this.current ? " The network before it goes on answering." : "";
  }

  introduced(chosen, network) {
    const map = network.maps ? "" : " It has no second output, maps, and so there is no map to show.";
    const until = chosen && this.id === "own" && !this.refusal ? " Until you choose a file, it answers." : "";
    return `${chosen ? chosen.label : network.metadata.name || "Your network"} is ready.${map}${until}`;
  }

  /** Take the reader's own ONNX file; what does not fit is refused before anything is loaded for it. */
  async openOwn(file) {
    const reading = (this.reading += 1);
    this.choices.querySelector("input[value=own]").checked = true;
    Object.assign(this, { id: "own", refusal: "" });
    this.ownPanel.hidden = false;
    this.ownFacts.textContent = "";
    try {
      const content = file.size > MOST_BYTES ? tooLarge(file.size) : await contentOf(file);
      if (reading !== this.reading) return; // another was chosen meanwhile
      const { metadata } = examine(content, this.data.classes);
      this.own = file;
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
      if (reading !== this.reading) return;
      this.own = null;
      this.refusal = `${file.name} is refused. ${sentence(error)}`;
      this.tell(this.refusal + this.meanwhile(), true);
      this.startButton.disabled = true;
      return;
    }
    this.tell("");
    this.offer();
    if (this.current || this.loading) await this.start();
    else if (!this.startButton.disabled) this.tell("The file fits. Start the network to run it.");
  }
}
