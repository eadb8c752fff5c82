// Elements in a line.
"use strict";

/** An element with attributes (`on...` are listeners, false and null are left out) and children. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.flat(2).filter((child) => child !== null && child !== undefined));
  return element;
}

/** A group of radio buttons; `options` are [value, ...what stands in the label]. */
export function radios(name, legend, options, chosen, changed, attributes = {}) {
  const group = make(
    "fieldset",
    attributes,
    make("legend", {}, legend),
    options.map(([value, ...inside]) =>
      make(
        "label",
        {},
        make("input", { type: "radio", name, value, checked: value === chosen, onchange: () => changed(value) }),
        inside,
      ),
    ),
  );
  return group;
}
