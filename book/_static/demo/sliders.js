// Controls for a drawn face: a button an emotion, a slider an action unit, the person, the picture. They stand alone:
// the page gives them an element, and is told all the parameters of the face whenever one of them changes.
"use strict";

import { make } from "./dom.js";
import tables from "./tables.js";

/** What is shown of the parameters beside the units, in words; its range and its start come from the tables. */
const PERSON = {
  skin: "Skin: dark to light",
  hair: "Hair: dark to light",
  age: "Lines of age",
  eye_h: "Height of the eyes",
  brow_thick: "Thickness of the brows",
  mouth_w: "Width of the mouth",
  lip: "Thickness of the lips",
};
const CHOICES = {
  style: ["Hair, or what covers it", tables.styles.map((style) => style.name)],
  beard: ["Beard", tables.beards],
  glasses: ["Glasses", tables.glasses],
};
const PICTURE = {
  yaw: "Head turned to the side",
  pitch: "Head lowered or raised",
  roll: "Head tilted",
  gaze_x: "Gaze to the side",
  light_x: "Light from the side",
  light_y: "Light from above or below",
  gain: "Contrast",
  back_tone: "Background: dark to light",
  blur: "Blur",
  noise: "Grain",
};
const STEP = 0.01;
const UNITS = tables.units.map(([name]) => name);

const round = (value, digits = 2) => Number(value.toFixed(digits));
const percent = (value) => `${Math.round(100 * value)}%`;
const number = (value) => value.toFixed(2).replace(/^-(?=0\.00$)/, "").replace("-", "\u2212");

/** All parameters of a person at rest in a calm portrait, by name. `person`: a place among the tables' people. */
export const atRest = (person = 0) =>
  Object.fromEntries(tables.parameters.map((name, column) => [name, tables.people[person][column]]));

/** All parameters of a person who shows an emotion in the commonest way. */
export const showing = (emotion, { person = 0, intensity = 1 } = {}) => {
  const values = atRest(person);
  for (const [unit, value] of Object.entries(tables.prototypes[emotion][0][1])) values[unit] = value * intensity;
  return values;
};

/** The call of draw_faces that draws the same face. */
const inPython = (state) => {
  const rest = atRest(state.person);
  const units = Object.entries(state.units)
    .map(([unit, value]) => [unit, round(value * state.strength, 4)])
    .filter(([, value]) => value);
  const shown = units.map(([unit, value]) => `"${unit}": ${value}`).join(", ");
  const changed = Object.entries(state.values).filter(([name, value]) => value !== rest[name]);
  const more = [["identity", state.person], ...changed].map(([name, value]) => `${name}=${value}`).join(", ");
  return `draw_faces({${shown}}, ${more})`;
};

let counted = 0;
let styled = null;
/** Load the style sheet beside this module, once. */
const style = () => {
  styled ??= document.head.appendChild(
    make("link", { rel: "stylesheet", href: new URL("./sliders.css", import.meta.url).href }),
  );
};

/**
 * Put the controls into `element`. `onChange(values)` is called at once and after every change, with all parameters by
 * name, as drawFace takes them.
 *
 * Returns { values(), show(emotion), reset() }: the parameters now, an emotion as its button would show it, the start.
 */
export const mountControls = (element, onChange) => {
  style();
  const id = `sliders-${(counted += 1)}`;
  const state = { person: 0, units: {}, strength: 1, values: {}, emotion: "neutral" };
  const refresh = []; // each shows the state in one control

  const values = () => {
    const all = { ...atRest(state.person), ...state.values };
    for (const unit of UNITS) all[unit] = round(state.units[unit] * state.strength, 4);
    return all;
  };
  const code = make("code");
  const changed = () => {
    for (const one of refresh) one();
    code.textContent = inPython(state);
    onChange(values());
  };

  const slider = (key, label, [low, high], step, text, read, write) => {
    const name = `${id}-${key}`;
    const input = make("input", { type: "range", id: name, min: low, max: high, step });
    const output = make("output", { for: name });
    input.addEventListener("input", () => {
      write(Number(input.value));
      changed();
    });
    refresh.push(() => {
      input.value = read();
      output.textContent = text(read());
      input.setAttribute("aria-valuetext", text(read()));
    });
    return make("div", { class: "sliders-row" }, make("label", { for: name }, label), output, input);
  };
  const unit = ([name, meaning]) =>
    slider(
      name, `${name}: ${meaning}`, [0, tables.limit], STEP, percent,
      () => state.units[name],
      (value) => {
        state.units[name] = value;
        state.emotion = null;
      },
    );
  const parameter = ([name, label]) =>
    slider(
      name, label, tables.ranges[name], STEP, number,
      () => state.values[name],
      (value) => (state.values[name] = value),
    );
  const select = (key, label, options, read, write) => {
    const name = `${id}-${key}`;
    const input = make("select", { id: name }, ...options.map((text, k) => make("option", { value: k }, text)));
    input.addEventListener("change", () => {
      write(Number(input.value));
      changed();
    });
    refresh.push(() => (input.value = read()));
    return make("div", { class: "sliders-choice" }, make("label", { for: name }, label), input);
  };

  const person = (place) => {
    const rest = atRest(place);
    state.person = place;
    for (const name of [...Object.keys(PERSON), ...Object.keys(CHOICES)]) state.values[name] = rest[name];
  };
  const express = (emotion) => {
    const found = showing(emotion);
    state.emotion = emotion;
    for (const name of UNITS) state.units[name] = found[name];
  };
  const start = () => {
    const rest = atRest();
    person(0);
    for (const name of Object.keys(PICTURE)) state.values[name] = rest[name];
    state.strength = 1;
    express("neutral");
  };
  const button = (text, click, attributes = {}) => {
    const run = () => {
      click();
      changed();
    };
    return make("button", { type: "button", onclick: run, ...attributes }, text);
  };
  const emotions = Object.keys(tables.prototypes).map((emotion) => {
    const one = button(emotion, () => express(emotion), { "aria-pressed": "false" });
    refresh.push(() => one.setAttribute("aria-pressed", String(state.emotion === emotion)));
    return one;
  });
  const group = (title, open, ...children) =>
    make("details", { open }, make("summary", {}, title), make("div", { class: "sliders-grid" }, ...children));

  element.replaceChildren(
    make(
      "div",
      { class: "sliders" },
      make(
        "div",
        { class: "sliders-buttons", role: "group", "aria-label": "Expression" },
        ...emotions,
        button("Start again", start, { class: "sliders-reset" }),
      ),
      slider("strength", "Strength of all action units together", [0, 1], STEP, percent, () => state.strength, (value) => (state.strength = value)),
      group("Action units", true, ...tables.units.map(unit)),
      group(
        "The person",
        false,
        select("person", "Person", tables.people.map((_, k) => `Person ${k + 1}`), () => state.person, person),
        ...Object.entries(CHOICES).map(([name, [label, options]]) =>
          select(name, label, options, () => state.values[name], (value) => (state.values[name] = value)),
        ),
        ...Object.entries(PERSON).map(parameter),
      ),
      group("The picture", false, ...Object.entries(PICTURE).map(parameter)),
      make("details", {}, make("summary", {}, "The same face in Python"), make("pre", { tabindex: "0", "aria-label": "A call in Python that draws this face" }, code)),
    ),
  );
  start();
  changed();
  return {
    values,
    show: (emotion) => {
      express(emotion);
      changed();
    },
    reset: () => {
      start();
      changed();
    },
  };
};
