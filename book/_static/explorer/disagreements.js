// Where A and B disagree, image by image; with a copy of the data set on the reader's disk, with the faces.
(() => {
  "use strict";
  const { make, table, select, text, faces } = window.explorer;
  const PAGE = 25;
  const KINDS = [
    ["differ", "A and B answer differently", (label, a, b) => a !== b],
    ["a", "A right, B wrong", (label, a, b) => a === label && b !== label],
    ["b", "B right, A wrong", (label, a, b) => b === label && a !== label],
    ["other", "both wrong, with different answers", (label, a, b) => a !== label && b !== label && a !== b],
    ["same", "both wrong, with the same answer", (label, a, b) => a !== label && a === b],
    ["right", "both right", (label, a, b) => a === label && b === label],
    ["all", "all images", () => true],
  ];
  const usual = () => ({ kind: "differ", label: "any", answerA: "any", answerB: "any", twins: "any", page: 0 });

  /** The places of the images that a filter lets through. */
  const filtered = (model, a, b, split, filter) => {
    const { labels, twin } = model.splits[split];
    const kind = KINDS.find(([key]) => key === filter.kind)[2];
    const fits = (wanted, value) => wanted === "any" || Number(wanted) === value;
    return [...labels.keys()].filter(
      (place) =>
        kind(labels[place], a.preds[place], b.preds[place]) &&
        fits(filter.label, labels[place]) &&
        fits(filter.answerA, a.preds[place]) &&
        fits(filter.answerB, b.preds[place]) &&
        (filter.twins === "any" || (filter.twins === "only") === twin[place]),
    );
  };

  const draw = (image, described) => {
    const canvas = make("canvas", { width: 48, height: 48, role: "img", "aria-label": described, class: "explorer-face" });
    const context = canvas.getContext("2d");
    const shown = context.createImageData(48, 48);
    image.forEach((grey, k) => shown.data.set([grey, grey, grey, 255], 4 * k));
    context.putImageData(shown, 0, 0);
    return canvas;
  };

  /** What lists the images: `local` is the reader's own copy or null; `say` announces to a screen reader. */
  const list = (model, a, b, state, filter, local, say) => {
    const { labels, twin, first_row: firstRow } = model.splits[state.split];
    const names = model.emotions;
    const result = make("div", { class: "explorer-list" });
    const answer = (side, place) =>
      names[side.preds[place]] + (side.several ? ` (${side.agree[place]} of ${side.records.length})` : "");
    const render = (announce) => {
      const places = filtered(model, a, b, state.split, filter);
      const pages = Math.max(1, Math.ceil(places.length / PAGE));
      filter.page = Math.min(filter.page, pages - 1);
      const from = PAGE * filter.page;
      const shown = places.slice(from, from + PAGE);
      const images = local?.kept[state.split].images;
      const total = places.length === 1 ? "1 image" : `${text.count(places.length)} images`;
      const where = places.length ? `${total}; shown are ${from + 1} to ${from + shown.length}` : "No image fits";
      const rows = shown.map((place) => {
        const words = [`Image ${place}, labelled ${names[labels[place]]}`, `A answers ${names[a.preds[place]]}`, `B answers ${names[b.preds[place]]}`];
        const face = images?.[place] ? draw(images[place], words.join("; ")) : "not in this copy";
        const right = (side) => (side.preds[place] === labels[place] ? "✓ " : "✗ ");
        return [
          String(place), ...(images ? [face] : []), names[labels[place]], right(a) + answer(a, place), right(b) + answer(b, place),
          twin[place] ? "yes" : "no", String(firstRow + place),
        ];
      });
      const head = ["image", ...(images ? ["face"] : []), "label", "A answers", "B answers", "twin", "row of the file"];
      // The buttons stay, and with them the place of the keyboard.
      count.textContent = `${where}.`;
      back.disabled = filter.page === 0;
      next.disabled = filter.page >= pages - 1;
      place.textContent = `Page ${filter.page + 1} of ${pages}`;
      result.replaceChildren(...(rows.length ? [table(`Images of ${state.split}, counted from 0`, head, rows)] : []));
      if (announce) say(`${where}.`);
    };
    const turn = (step) => {
      filter.page += step;
      render(true);
      // A button that is off lets go of the keyboard.
      if (next.disabled && step > 0) back.focus();
      if (back.disabled && step < 0) next.focus();
    };
    const back = make("button", { type: "button", onclick: () => turn(-1) }, "Previous");
    const next = make("button", { type: "button", onclick: () => turn(1) }, "Next");
    const place = make("span");
    const count = make("p", { class: "explorer-count" });
    const change = (key) => (value) => {
      filter[key] = value;
      filter.page = 0;
      render(true);
    };
    const classes = [["", [["any", "any"], ...names.map((name, k) => [k, name])]]];
    const controls = make(
      "div",
      { class: "explorer-fields" },
      select("Show", "explorer-kind", [["", KINDS.map(([key, name]) => [key, name])]], filter.kind, change("kind")),
      select("Label", "explorer-label", classes, filter.label, change("label")),
      select("A answers", "explorer-answer-a", classes, filter.answerA, change("answerA")),
      select("B answers", "explorer-answer-b", classes, filter.answerB, change("answerB")),
      select("With a twin in another split", "explorer-twins", [["", [["any", "with or without"], ["only", "only those"], ["none", "without them"]]]], filter.twins, change("twins")),
    );
    render(false);
    return [controls, count, result, make("div", { class: "explorer-pages" }, back, place, next)];
  };

  /** The choice of a copy; `loaded(copy)` gets {kept, name} or null. */
  const chooser = (model, loaded, say) => {
    const status = make("p", { class: "explorer-said" });
    const bar = make("progress", { max: "1", value: "0", "aria-label": "Reading the copy", hidden: true });
    const stop = make("button", { type: "button", hidden: true }, "Stop reading");
    const forget = make("button", { type: "button", hidden: true }, "Forget the copy");
    const tell = (words) => {
      status.textContent = words;
      say(words);
    };
    let running = null;
    const read = async (name, reading) => {
      running?.abort();
      const own = new AbortController();
      running = own;
      bar.hidden = stop.hidden = false;
      bar.value = 0;
      tell(`Reading ${name}.`);
      try {
        const kept = await reading((share) => (bar.value = share), own.signal);
        if (running !== own) return;
        forget.hidden = false;
        loaded({ kept, name });
        tell(`${name} is read. ${faces.verify(kept, model).map((one) => one.text).join(" ")}`);
      } catch (error) {
        if (running !== own) return;
        table.value = folder.value = ""; // so that the same one, mended, can be chosen again
        tell(error instanceof faces.Refused ? error.message : `${name} cannot be read (${error.message}).`);
      } finally {
        if (running === own) {
          bar.hidden = stop.hidden = true;
          running = null;
        }
      }
    };
    const sizes = { val: model.splits.val.n, test: model.splits.test.n };
    const table = make("input", {
      type: "file", id: "explorer-table", accept: ".csv",
      onchange: ({ target }) => {
        const [file] = target.files;
        if (file) read(file.name, (progress, signal) => faces.readTable(file, sizes, progress, signal));
      },
    });
    const folder = make("input", {
      type: "file", id: "explorer-folder", webkitdirectory: true,
      onchange: ({ target }) => {
        const files = [...target.files];
        if (files.length) read("the folder", (progress, signal) => faces.readFolder(files, model, progress, signal));
      },
    });
    stop.addEventListener("click", () => running?.abort());
    forget.addEventListener("click", () => {
      table.value = folder.value = "";
      forget.hidden = true;
      loaded(null);
      tell("The copy is forgotten.");
      table.focus();
    });
    const field = (label, input) => make("div", { class: "explorer-field" }, make("label", { for: input.id }, label), input);
    return [
      make("div", { class: "explorer-fields" }, field("fer2013.csv or icml_face_data.csv", table), field("or a folder of images", folder)),
      make("div", { class: "explorer-pages" }, bar, stop, forget),
      status,
    ];
  };

  window.explorer.disagreements = { list, chooser, filtered, usual, KINDS };
})();
