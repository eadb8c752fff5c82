// Elements, tables that a screen reader can follow, and numbers as text.
(() => {
  "use strict";

  /** An element with attributes and children; what is text stays text. */
  const make = (name, attributes = {}, ...children) => {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) {
      if (value === false || value === undefined || value === null) continue;
      if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
      else element.setAttribute(key, value === true ? "" : value);
    }
    element.append(...children.flat().filter((child) => child !== null && child !== undefined));
    return element;
  };

  let counted = 0;

  // A box that scrolls is a stop of the tab key, for the arrow keys to move it; one that does not is none.
  const widths = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      if (target.scrollWidth > target.clientWidth + 1) target.tabIndex = 0;
      else target.removeAttribute("tabindex");
    }
  });

  /**
   * A table in a box of its own that scrolls. `head` is a list of texts; a row is a list of cells, its first the
   * row's heading. A cell is text, an element, or {text, ...attributes}.
   */
  const table = (caption, head, rows) => {
    const cell = (value, name, more = {}) => {
      if (value instanceof Node || typeof value !== "object" || value === null) return make(name, more, value ?? "");
      const { text, ...attributes } = value;
      return make(name, { ...more, ...attributes }, text);
    };
    const id = `explorer-caption-${(counted += 1)}`;
    const box = make(
      "div",
      { class: "explorer-scroll", role: "region", "aria-labelledby": id },
      make(
        "table",
        { class: "table explorer-table" },
        make("caption", {}, make("span", { id }, caption)),
        make("thead", {}, make("tr", {}, head.map((text) => cell(text, "th", { scope: "col" })))),
        make(
          "tbody",
          {},
          rows.map(([first, ...others]) =>
            make("tr", {}, cell(first, "th", { scope: "row" }), others.map((value) => cell(value, "td"))),
          ),
        ),
      ),
    );
    widths.observe(box);
    return box;
  };

  const fold = (summary, ...children) => make("details", {}, make("summary", {}, summary), children);

  /** A select with its label. `groups` is a list of [title, [[value, text, disabled], ...]]; no title: no group. */
  const select = (label, id, groups, value, change) => {
    const options = groups.flatMap(([title, entries]) => {
      const made = entries.map(([key, text, disabled]) =>
        make("option", { value: key, disabled, selected: String(key) === String(value) }, text),
      );
      return title ? [make("optgroup", { label: title }, made)] : made;
    });
    const element = make("select", { id, onchange: (event) => change(event.target.value) }, options);
    return make("div", { class: "explorer-field" }, make("label", { for: id }, label), element);
  };

  const MINUS = "\u2212";
  const percent = (share, digits = 1) => (share === null ? "none" : `${(100 * share).toFixed(digits)}%`);
  const signed = (value, digits) => {
    const text = Math.abs(value).toFixed(digits);
    return Number(text) === 0 ? text : (value < 0 ? MINUS : "+") + text;
  };
  const points = (share, digits = 1) => `${signed(100 * share, digits)} points`;
  const count = (value) => value.toLocaleString("en-GB", { maximumFractionDigits: 1 });
  const probability = (p) => (p < 0.0001 ? "below 0.0001" : p.toFixed(4));

  Object.assign(window.explorer, {
    make, table, fold, select, text: { percent, signed, points, count, probability, MINUS },
  });
})();
