// The page: two choices and a split, kept in the address, and the parts that follow from them.
(() => {
  "use strict";
  const { Model, make, select, parts, statistics, text, disagreements } = window.explorer;

  const place = (name) => document.querySelector(`.explorer[data-part="${name}"]`);
  const fill = (name, ...children) => place(name)?.replaceChildren(...children.flat());
  const NAMES = ["records", "accuracy", "confusion", "recall", "reliability", "curves", "disagreements"];
  const say_ = (words, names) => names.forEach((name) => fill(name, make("p", {}, words)));

  const start = () => {
    const data = window.fercourseExplorer;
    if (!data) {
      say_("The data of this page could not be loaded: build the book again, or load the page again.", ["choice", ...NAMES, "faces"]);
      return;
    }
    const model = new Model(data);
    if (!model.recorded.length) {
      say_("Pending: no training is recorded yet.", [...NAMES, "faces"]);
      say_("Pending: no training is recorded yet. The table at the end of this page names the commands that fill it.", ["choice"]);
      return;
    }
    run(model);
  };

  const run = (model) => {
    let { state, unknown } = model.parse(location.hash);
    state.unit = "counts";
    let filter = disagreements.usual();
    let local = null;
    let writing = "";

    const status = make("p", { role: "status", "aria-live": "polite", class: "explorer-status" });
    const aside = make("p", { role: "status", "aria-live": "polite", class: "visually-hidden" });
    const say = (words) => (aside.textContent = words);

    // The choice: made anew only where its options change, so that the keyboard stays where it is.
    const networks = () => {
      const groups = new Map();
      for (const network of model.data.networks) {
        const entry = [network.id, network.label + (network.records.length ? "" : ": pending"), !network.records.length];
        groups.set(network.group, [...(groups.get(network.group) ?? []), entry]);
      }
      return [...groups];
    };
    const seeds = (id) => {
      const { records } = model.network(id);
      const each = records.map((record) => [record.seed, `seed ${record.seed}`]);
      return [["", records.length > 1 ? [["all", `all ${records.length} seeds`], ...each] : each]];
    };
    const choose = (letter) => {
      const key = letter.toLowerCase();
      const fields = make("div", { class: "explorer-fields" });
      const network = select(`Network ${letter}`, `explorer-${key}`, networks(), state[key].id, (id) => {
        state[key] = model.choice(model.network(id));
        setSeeds();
        show(true);
      });
      let field = make("div");
      const setSeeds = () => {
        const made = select(`Seed of ${letter}`, `explorer-${key}-seed`, seeds(state[key].id), state[key].seed, (seed) => {
          state[key].seed = seed === "all" ? "all" : Number(seed);
          show(true);
        });
        field.replaceWith(made);
        field = made;
      };
      fields.append(network, field);
      const sync = () => {
        network.querySelector("select").value = state[key].id;
        setSeeds();
      };
      sync();
      return { fields, sync };
    };
    const sides = { a: choose("A"), b: choose("B") };
    const split = select("Split", "explorer-split", [["", [["val", "val (PublicTest): used to choose"], ["test", "test (PrivateTest): the reported one"]]]], state.split, (value) => {
      state.split = value;
      show(true);
    });
    const swap = make("button", { type: "button" }, "Swap A and B");
    swap.addEventListener("click", () => {
      [state.a, state.b] = [state.b, state.a];
      [filter.answerA, filter.answerB] = [filter.answerB, filter.answerA];
      filter.kind = { a: "b", b: "a" }[filter.kind] ?? filter.kind;
      sync();
      show(true);
    });
    const sync = () => {
      sides.a.sync();
      sides.b.sync();
      split.querySelector("select").value = state.split;
    };
    fill("choice", sides.a.fields, sides.b.fields, make("div", { class: "explorer-fields" }, split, swap), status, aside);

    const unit = select("Numbers", "explorer-unit", [["", [["counts", "images"], ["shares", "percent of each row"]]]], state.unit, (value) => {
      state.unit = value;
      matrices();
      say(value === "shares" ? "The matrices show percent of each row." : "The matrices show numbers of images.");
    });
    const box = make("div");
    fill("confusion", make("div", { class: "explorer-fields" }, unit), box);
    const images = make("div");
    fill("disagreements", images);

    let [a, b] = [null, null];
    const matrices = () => box.replaceChildren(...parts.confusion(model, a, b, state));
    const listed = () => images.replaceChildren(...disagreements.list(model, a, b, state, filter, local, say));

    const show = (changed) => {
      [a, b] = [model.side("A", state.a, state.split), model.side("B", state.b, state.split)];
      fill("records", parts.records(model, a, b));
      fill("curves", parts.curves(model, a, b));
      const without = [a, b].filter((side) => !side.records.length);
      unit.hidden = without.length > 0;
      const words = [];
      if (changed) unknown = [];
      if (unknown.length) words.push(`The address names ${unknown.join(" and ")}, which is not recorded here; shown is the usual choice instead.`);
      if (without.length) {
        const names = without.map((side) => `${side.letter} (${side.network.label})`).join(" and ");
        const hold = without.length > 1 ? "are reported on val alone: they hold" : "is reported on val alone: it holds";
        words.push(`${names} ${hold} no answers on ${state.split}. Choose the split val.`);
        say_(words.at(-1), ["accuracy", "recall", "reliability"]);
        for (const one of [box, images]) one.replaceChildren(make("p", {}, words.at(-1)));
      } else {
        const [one, other] = [a, b].map((side) => statistics.mean(side.measures.map((each) => each.accuracy)));
        for (const side of [a, b].filter((each) => each.records.length < each.chosen.length)) {
          words.push(`${side.letter} holds answers on ${state.split} for ${side.records.length} of ${side.chosen.length} seeds.`);
        }
        words.push(
          `On ${state.split}, A (${a.name}) is right on ${text.percent(one)} of ${text.count(model.splits[state.split].n)} images, B (${b.name}) on ${text.percent(other)}:`,
          `B ${text.MINUS} A is ${text.points(other - one)}.`,
        );
        if (state.a.id === state.b.id && state.a.seed === state.b.seed) words.push("A and B are the same: choose another to compare it with.");
        for (const name of ["accuracy", "recall", "reliability"]) fill(name, parts[name](model, a, b, state));
        matrices();
        listed();
      }
      status.textContent = words.join(" ");
      if (changed) {
        writing = model.format(state);
        history.replaceState(null, "", writing);
      }
    };

    fill(
      "faces",
      disagreements.chooser(
        model,
        (copy) => {
          local = copy;
          if (a.records.length && b.records.length) listed();
        },
        say,
      ),
    );
    window.addEventListener("hashchange", () => {
      // A link to a heading of this page is no choice.
      if (location.hash === writing || !/[#&](a|b|split)=/.test(location.hash)) return;
      const parsed = model.parse(location.hash);
      unknown = parsed.unknown;
      state = { ...parsed.state, unit: state.unit };
      sync();
      show(false);
    });
    show(false);
  };

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
