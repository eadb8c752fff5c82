// Faces drawn as fercourse.data.synthetic draws them, one at a time: the same strokes in the same order, each a
// function of a pixel. tests/test_drawn_js.py holds the two to the same pictures. What is a table in Python
// (names, units, prototypes, hair styles, people) is written into tables.js when the book is built.
//
// Face units: half the width of an average head is 1, u runs to the right of the picture, v downward, the origin
// between eyes and nose. A stroke takes a pixel's grey g (0 black, 1 white) with its u and v, and returns its new grey.
"use strict";

import { mountControls } from "./sliders.js";
import tables from "./tables.js";

export const PARAMETERS = tables.parameters;
export const ACTION_UNITS = tables.units.map(([name]) => name);
const SIZES = tables.sizes;

const { abs, floor, fround, max, min, sqrt } = Math;
const clip = (value, low = 0, high = 1) => min(max(value, low), high);
const square = (value) => value * value;
/** Round halves to the even neighbour, as Python does. */
const even = (value) => (value % 1 === 0.5 ? 2 * Math.round(value / 2) : Math.round(value));

// --- Strokes: fercourse/data/synthetic/canvas.py --------------------------------------------------------------

/** How much of a pixel a shape covers, from its signed distance (negative inside); ip: pixels a unit. */
const fill = (distance, ip) => clip(0.5 - distance * ip);
/** How much of a pixel a line of this width covers; a thin one is fainter. */
const line = (distance, width, ip) => clip(width * ip * 0.5 + 0.5 - abs(distance) * ip) * min(width * ip, 1);
/** A soft spot: 1 in the middle, 0 where `squared` (distance over radius, squared) passes 1. */
const soft = (squared) => square(max(1 - squared, 0));
/** A soft line: 1 where the distance is 0, falling to 0 at the radius. */
const ridge = (distance, radius) => max(1 - square(distance / radius), 0);
/** A ramp from 0 to 1 as the value passes the edge. */
const smooth = (edge, width, value) => clip((value - edge) / width + 0.5);
/** Paint a tone over the grey. */
const blend = (g, cover, tone) => g + (tone - g) * cover;
/** Darken by a share (lighten, where it is negative): it shows on every skin. */
const mark = (g, cover, strength) => g * (1 - cover * strength);
/** A smooth wave of period 1 between -1 and 1, made of parabolas. */
const waves = (value) => {
  const x = value - floor(value + 0.5);
  return (8 - 16 * abs(x)) * x;
};

/**
 * Where the face stands: coordinates of every pixel, straight (u0, v0) and as the features move with the head's turn
 * (u, v). In single precision as Python computes it, so that a window falls on the same pixels.
 */
const place = (p, size) => {
  const zoom = size / 48;
  const ip = fround(p.scale * fround(tables.pixels_per_unit * zoom));
  const straightHalf = fround(p.roll * 0.5);
  const half = fround(straightHalf * fround(1 + fround(fround(straightHalf * straightHalf) * fround(1 / 3))));
  const hh = fround(half * half);
  const cos = fround(fround(1 - hh) / fround(1 + hh));
  const sin = fround(fround(2 * half) / fround(1 + hh));
  const x0 = fround(fround(p.shift_x + 24) * fround(zoom));
  const y0 = fround(fround(p.shift_y + fround(23.8)) * fround(zoom));
  const yaw = fround(p.yaw * fround(0.32));
  const pitch = fround(p.pitch * fround(0.22));
  const [u0, v0, u, v, grey] = Array.from({ length: 5 }, () => new Float32Array(size * size));
  for (let row = 0, k = 0; row < size; row += 1) {
    for (let column = 0; column < size; column += 1, k += 1) {
      const dx = (column + 0.5 - x0) / ip;
      const dy = (row + 0.5 - y0) / ip;
      u0[k] = cos * dx + sin * dy;
      v0[k] = cos * dy - sin * dx;
      u[k] = u0[k] + yaw * (1 - 0.8 * u0[k] * u0[k]);
      v[k] = v0[k] + pitch * (1 - 0.4 * v0[k] * v0[k]);
    }
  }
  /** The pixels around a point of the features: left, top, width and height; sides are given in pixels of 48. */
  const around = (pointU, pointV, width, height) => {
    let [uh, vh] = [pointU, pointV];
    for (let turn = 0; turn < 2; turn += 1) {
      uh = fround(pointU - fround(yaw * fround(1 - fround(fround(fround(0.8) * uh) * uh))));
      vh = fround(pointV - fround(pitch * fround(1 - fround(fround(fround(0.4) * vh) * vh))));
    }
    const x = fround(x0 + fround(fround(fround(cos * uh) - fround(sin * vh)) * ip));
    const y = fround(y0 + fround(fround(fround(sin * uh) + fround(cos * vh)) * ip));
    const wide = min(size, even(width * zoom));
    const tall = min(size, even(height * zoom));
    return {
      left: clip(floor(fround(x - (wide / 2 - 0.5))), 0, size - wide),
      top: clip(floor(fround(y - (tall / 2 - 0.5))), 0, size - tall),
      wide,
      tall,
    };
  };
  return { size, ip, u0, v0, u, v, grey, around };
};

// --- Everything around the features: head.py ------------------------------------------------------------------

/** The head's outline and roundness at every pixel. */
const outline = (canvas, p) => {
  const { u0, v0, ip } = canvas;
  const n = u0.length;
  const [x, y, squared, inside] = Array.from({ length: 4 }, () => new Float32Array(n));
  const halfHeight = p.head_h - 0.05;
  const jaw = p.AU26 * 0.1;
  for (let k = 0; k < n; k += 1) {
    const straight = (v0[k] - tables.head_v) / halfHeight;
    const below = max(straight, 0);
    y[k] = straight - below * (jaw / (halfHeight + jaw));
    x[k] = u0[k] / (p.head_w * (1 - p.taper * below * below));
    const [xx, yy] = [x[k] * x[k], y[k] * y[k]];
    squared[k] = max(xx + yy - xx * yy * p.square, 0);
    inside[k] = fill((sqrt(squared[k]) - 1) * p.head_w, ip);
  }
  return { halfHeight, x, y, squared, inside };
};

const background = (p) => (u, v) => p.back_slope * v + p.light_x * 0.35 * u + p.back_tone;

/** Neck, shoulders and collar; the chin's shadow falls on the neck. */
const body = (p, ip) => {
  const steep = 0.25 + 0.4 * (p.collar === 1) - 0.32 * (p.collar === 2);
  return (g, u, v) => {
    const across = abs(u);
    const neck = fill(across - p.head_w * 0.57, ip) * smooth(0.5, 0.2, v);
    const shade = (smooth(1.35, 0.5, v) * 0.16 + 0.64 + p.light_x * u) * p.skin;
    // Shoulders fall away from the neck; before it the neckline is round, V-shaped or high.
    const top = max(across * 0.45 + 0.99, 1.25 + 0.57 * steep - across * steep);
    return blend(blend(g, neck, shade), fill(top - v, ip), p.cloth * (0.92 + 0.4 * p.light_x * u));
  };
};

/** Both ears; turning the head hides one and shows the other. */
const ears = (p, ip) => (g, u, v) => {
  const across = (abs(u + p.yaw * 0.09) - (p.head_w + 0.01)) / (0.13 * p.ears);
  const along = (v - 0.02) / (0.23 * p.ears);
  const squared = across * across + along * along;
  const ear = fill((sqrt(squared) - 1) * 0.16, ip);
  return mark(blend(g, ear, p.skin * (0.86 + p.light_x * u)), soft(squared * 2.2), 0.3);
};

/** The head as a rounded form lit from light_x, light_y; forehead and chin catch the light. */
const headShade = (p, squared, x, y, u, v) => {
  let depth = sqrt(max(1 - squared, 0)) * 0.26 + 0.79 + p.light_x * x + p.light_y * y;
  depth += soft(5 * square(v + 0.72) + 2.2 * u * u) * 0.06;
  return depth * p.skin + soft(u * u * 9 + square(v - 1) * 14) * 0.035;
};

/** Hair, scarf or hat: the coverage and tone of its outside, and of what lies before the face. */
const hair = (canvas, p, head) => {
  const { u0, v0, u, v, ip } = canvas;
  const style = tables.styles[floor(p.style)];
  const name = style.name;
  const n = u0.length;
  const [outside, tone, cover] = Array.from({ length: 3 }, () => new Float32Array(n));
  const tall = head.halfHeight * (1 + style.above * (0.7 + 0.6 * p.volume));
  const wide = p.head_w * (1 + style.side);
  const base = p.hair + style.fabric * (0.2 + 0.6 * p.volume - p.hair);
  const middle = 0.25;
  for (let k = 0; k < n; k += 1) {
    const [a, b] = [u0[k], v0[k]];
    const reach = b - tables.head_v;
    const hanging = square((min(reach, 0) + max(reach, 0) * (1 - style.hangs)) / tall);
    const across = square(a / wide);
    let radius = sqrt(max(across + hanging - across * hanging * 0.2, 0));
    if (style.waves > 0) radius += waves(a * 2.3 + b * 1.1) * waves(b * 2.1 - a * 0.7) * style.waves * 0.6;
    outside[k] = fill((radius - 1) * p.head_w, ip);

    // Strands or folds, a sheen, the light's side.
    const bend = 1 + 0.3 * b;
    let shade = waves(a * bend * (5.3 - 3.4 * style.fabric) + b * (1.3 * style.fabric)) + waves(a * bend * 1.9);
    shade *= style.strands * 0.7 * (1.2 - base);
    if (style.waves > 0.03) {
      shade =
        waves(2.1 * a + 1.2 * b + 0.3 * waves(1.7 * b - 0.9 * a)) *
        waves(2.4 * b - 1.4 * a + 0.3 * waves(1.9 * a + 0.6 * b)) *
        (0.42 - 0.34 * base);
    }
    shade += ridge(b + 0.98 - 0.3 * a * a, 0.24) * 0.26 * (1.05 - base) + 0.9 * p.light_x * a;
    if (name === "turban") shade -= ridge(waves(b * 1.5 + abs(a) * 0.7), 0.35) * 0.22;
    if (name === "hat") shade -= ridge(b + 0.96 - 0.1 * a * a, 0.05) * 0.4;
    tone[k] = (shade + 1) * (base + 0.015);

    // The window that the hair leaves for the face follows the features.
    const y = v[k] - middle + (u[k] - p.part) * (p.part * style.tilt) - abs(u[k] - 0.3 * p.part) * style.peak;
    const high = square(min(y, 0) / (middle - style.top - p.hairline) + (max(y, 0) * style.closed) / 0.94);
    const side = square(u[k] / (style.width * p.head_w));
    let edge = (1 - sqrt(max(side + high - side * high * style.square, 0))) * style.width;
    if (style.waves > 0 && style.fabric === 0) edge += style.waves * waves(u[k] * 2.6);
    cover[k] = fill(edge, ip) * outside[k] * smooth(0, 0.16, style.beside - b);
  }
  const behind = (g, k) =>
    style.behind > 0 ? blend(g, smooth(0, 0.12, style.behind - v0[k]) * outside[k], tone[k] * 0.72) : g;
  /** Paint the front and the shadow that it throws on the face. */
  const front = (grey) => {
    const drop = max(1, even(canvas.size / 32)) * canvas.size;
    const share = name === "cropped" ? 0.85 : 1;
    for (let k = 0; k < n; k += 1) {
      if (k >= drop) grey[k] *= 1 - 0.22 * cover[k - drop];
      grey[k] = blend(grey[k], cover[k] * share, tone[k]);
    }
  };
  return { behind, front };
};

/** Stubble, a beard or a moustache; the mouth is painted later, on top. */
const beard = (p, ip) => {
  const kind = tables.beards[p.beard];
  const mouth = p.mouth_y;
  return (g, u, v, inside) => {
    const across = abs(u);
    // A full beard's edge runs from the sideburns below the cheekbones to the upper lip.
    const edge = mouth - 0.2 - 1.1 * square(max(across - 0.4, 0)) - 0.25 * max(across - 0.36, 0);
    const chin = soft(square(across / 0.36) * 0.5 + square((v - mouth - 0.36) / 0.34) * 0.5);
    const curve = square(across / 0.4);
    const lift = 0.07 * min(p.AU10 + p.AU9 * 0.6, 1) + 0.1 * p.AU12 * curve;
    const top = mouth - 0.17 - lift + 0.1 * p.AU15 * curve + 0.08 * curve;
    const moustache =
      fill(abs(v - top) - 0.066 + 0.04 * square(across / 0.42), ip) * smooth(-0.44, 0.08, -across);
    let cover = smooth(edge, 0.14, v) * inside;
    if (kind === "goatee") cover = max(min(chin * 3, 1) * inside, moustache);
    if (kind === "moustache") cover = moustache;
    // Light hair barely shows on light skin: a beard is never close to the skin's tone.
    const tone = min(p.hair, p.skin * 0.55) * (0.9 + 0.12 * waves(u * 3.1) + 0.6 * p.light_x * u);
    return blend(g, cover * (kind === "stubble" ? 0.38 : 0.88), tone);
  };
};

/** Round or square frames with a bridge, temples and a faint glint. */
const glasses = (p, ip) => (g, u, v) => {
  const across = abs(u);
  const [x, y] = [across - p.eye_x - 0.01, v - p.eye_y - 0.06];
  const box = max(abs(x) - 0.36, abs(y) - 0.22);
  const corner = sqrt(square(max(abs(x) - 0.26, 0)) + square(max(abs(y) - 0.12, 0))) - 0.1;
  const rim = tables.glasses[p.glasses] === "round" ? sqrt(x * x + y * y) - 0.3 : max(box, corner);
  const glint = fill(rim, ip) * ridge(x + y + 0.16, 0.09) * 0.07;
  const bridge = line(y + 0.05 - across * 0.3, 0.05, ip) * fill(across - 0.1, ip);
  const temple = line(y + 0.08, 0.06, ip) * smooth(0.76, 0.06, across) * fill(across - p.head_w, ip);
  return blend(g + glint, max(line(rim, 0.045, ip), bridge, temple), p.frame_tone);
};

/** A hand, a cup or a bar before the face. */
const occluder = (p, ip) => {
  const hand = p.occluder === 1;
  const tone = hand ? p.skin * 0.95 : p.occ_tone;
  return (g, u0, v0) => {
    const [u, v] = [u0 - p.occ_x, v0 - p.occ_y];
    const [x, y] = [u + p.occ_turn * v, v - p.occ_turn * u];
    const cover = fill(sqrt(square(max(abs(x) - p.occ_long + p.occ_wide, 0)) + y * y) - p.occ_wide, ip);
    const t = y / p.occ_wide;
    const fingers = hand ? ridge(abs(t) - 0.4, 0.16) * 0.3 : 0;
    return blend(g, cover, tone * (1 - 0.16 * t * t + 0.4 * p.light_x * u - fingers));
  };
};

// --- Eyes, brows, nose and mouth: features.py -----------------------------------------------------------------

/** The eye socket and the fold under the eye (AU6, AU7). */
const socket = (p, side) => {
  const fold = min(0.14 + 0.5 * p.AU6 + 0.2 * p.AU7 + 0.22 * p.age, 0.6) * 0.62;
  return (g, u, v) => {
    const [x, y] = [u * side - p.eye_x, v - p.eye_y];
    const arc = ridge(y - 0.2 + x * x * 0.9 + 0.03 * p.AU6, 0.055) * smooth(-0.27, 0.12, -abs(x));
    const crow = ridge(abs(y - 0.02) - (x - 0.2) * 0.45, 0.035) * ridge(x - 0.4, 0.13);
    // A raised brow folds the forehead above it.
    const lines = (ridge(y + 0.64, 0.03) + ridge(y + 0.53, 0.03)) * smooth(-0.3, 0.3, -abs(x + 0.1));
    let grey = mark(g, soft(square(x + 0.03) * 7 + square(y + 0.06) * 16), 0.17);
    grey = mark(grey, arc, fold);
    grey = mark(grey, lines, min(p.AU1, p.AU2) * (0.12 + 0.22 * p.age));
    return mark(grey, crow, p.AU6 * 0.4 * (0.5 + p.age));
  };
};

/** One eye: white, iris, pupil, highlight, lids and lashes (AU5, AU6, AU7, AU9). */
const eye = (p, ip, side) => {
  const upperHalf = p.eye_h * 0.9 * (1 + 0.75 * p.AU5) * (1 - 0.38 * p.AU7) * (1 - 0.3 * p.AU9);
  const lowerOpen = p.eye_h * 0.82 * (1 - 0.45 * p.AU7) * (1 - 0.6 * p.AU6) * (1 + 0.15 * p.AU5);
  const lowerHalf = max(lowerOpen * (1 - 0.25 * p.AU9), 0.012);
  return (g, u, v) => {
    const x = u * side - p.eye_x;
    const y = v - p.eye_y + p.eye_tilt * x;
    const t = x / p.eye_w;
    const bow = 1 - t * t;
    // The upper lid is highest nearer the nose, the lower lid lowest nearer the temple: an almond, not a lens.
    const upper = y + upperHalf * bow * (1 - 0.18 * t) - 0.02 * p.AU6 + 0.012 * p.AU4;
    const lower = lowerHalf * bow * (1 + 0.22 * t) - y - 0.02 * p.AU6;
    const ends = clip((1 - abs(t)) * p.eye_w * ip + 0.5);
    const open = fill(-upper, ip) * fill(-lower, ip) * ends;
    let grey = blend(g, open, (0.72 + 0.26 * p.skin) * (1 - 0.3 * ridge(upper, 0.09)) - 0.1 * t * t);
    const [ix, iy] = [x - p.gaze_x * side, y - p.gaze_y - 0.004];
    const radius = sqrt(ix * ix + iy * iy);
    const ring = p.iris_tone * (0.65 + 0.9 * soft((ix * ix + square(iy - 0.05)) * 90));
    grey = blend(grey, fill(radius - p.iris_r, ip) * open, ring);
    grey = blend(grey, line(radius - p.iris_r + 0.01, 0.025, ip) * open, 0.07);
    grey = blend(grey, fill(radius - 0.5 * p.iris_r, ip) * open, 0.04);
    const [gx, gy] = [ix + 0.045 * side, iy + 0.045];
    grey = blend(grey, fill(sqrt(gx * gx + gy * gy) - 0.034, ip) * open, 0.97);
    // Lid lines: the upper is heavy and passes the outer corner, the lower hardly there.
    const reach = clip((1.12 + 0.12 * p.lashes - t) * 4) * clip((t + 1.08) * 5);
    grey = blend(grey, line(upper + 0.012, 0.05 + 0.022 * p.lashes, ip) * reach, 0.06 + 0.1 * p.skin);
    grey = mark(grey, line(lower, 0.03, ip) * ends, 0.42);
    return mark(grey, ridge(upper + 0.085 + 0.03 * p.AU5, 0.032) * ends, 0.16 + 0.2 * p.crease);
  };
};

/** One eyebrow (AU1 raises its inner end, AU2 the outer, AU4 lowers and draws it inward). */
const brow = (p, ip, side) => {
  const lean = 1 + p.asym_brow * side;
  const [au1, au2, au4] = [p.AU1 * lean, p.AU2 * lean, p.AU4];
  const start = 0.14 - 0.045 * au4 + 0.01 * p.AU1;
  const innerLift = -0.215 * au1 + 0.225 * au4 * (1 - 0.78 * min(au1, 1)) + 0.05 * p.AU9;
  const outerLift = -0.2 * au2 + 0.03 * au4 + 0.02 * p.AU9 + 0.015 * p.AU1;
  const dark = min(p.skin * p.brow_tone, p.hair + 0.12);
  return (g, u, v) => {
    const s = (u * side - start) / 0.6;
    const inner = square(max(1 - s, 0));
    const arch = 0.16 * s * (1 - s) * (1 + 0.5 * au2);
    const lifted = p.brow_y + inner * innerLift + (1 - inner) * outerLift - arch + p.brow_slope * (1 - 2 * s);
    const thick = p.brow_thick * (1 - 0.5 * clip(s)) * (0.8 + 0.2 * clip(s * 5));
    const ends = clip(s * 6 + 0.5) * clip((1 - s) * 7 + 0.4);
    const cover = fill(abs(v - (lifted + 0.05 * s * s)) - thick * 0.5, ip) * ends;
    return blend(g, cover * 0.94, dark);
  };
};

/** The nose (AU9 lifts and widens it). */
const nose = (p, ip) => {
  const tip = p.eye_y + p.nose_l + 0.16 - 0.08 * p.AU9;
  const wide = p.nose_w * (1 + 0.22 * p.AU9 + 0.1 * p.AU10 + 0.06 * p.AU12);
  return (g, u, v) => {
    const across = abs(u);
    // Bridge: one flank in shade, the ridge lit.
    const along = smooth(p.eye_y + 0.02, 0.3, v) * smooth(-tip, 0.2, -v);
    const flank = ridge(u - 0.11 * (1 + 0.6 * along), 0.1) - ridge(u + 0.11 * (1 + 0.6 * along), 0.1);
    let grey = mark(g, flank * along, -0.6 * p.light_x);
    grey = mark(grey, ridge(across - 0.13 - 0.04 * along, 0.08) * along, 0.1);
    grey = mark(grey, ridge(u, 0.07) * along, -0.1);
    grey = mark(grey, soft(u * u * 90 + square(v - tip + 0.05) * 90), -0.16);
    grey = mark(grey, soft(u * u * 11 + square(v - tip - 0.12) * 60), 0.24);
    const [wx, wy] = [across - wide, v - tip + 0.01];
    const wing = ridge(sqrt(wx * wx + wy * wy) - 0.06, 0.035) * smooth(0, 0.06, wx + 0.02);
    grey = mark(grey, wing, 0.2 + 0.2 * p.AU9);
    const [nx, ny] = [(across - wide * 0.5) / (0.36 * wide), (v - tip - 0.035 + across * 0.12) / 0.03];
    grey = mark(grey, fill((sqrt(nx * nx + ny * ny) - 1) * 0.04, ip), 0.5);
    const base = ridge(v - tip - 0.06 + across * 0.14, 0.035) * smooth(-wide - 0.02, 0.08, -across);
    return mark(grey, base, 0.2);
  };
};

/** The furrows between the brows (AU4, less where AU1 smooths them) and across the nose (AU9). */
const furrows = (p) => {
  const root = p.brow_y + 0.12;
  const depth = 0.55 * min(p.AU4, 1) * (1 - 0.45 * min(p.AU1, 1));
  return (g, u, v) => {
    const across = abs(u);
    const glabella = ridge(across - 0.06 - 0.05 * (v - root), 0.034) * ridge(v - root - 0.02, 0.2);
    const bridge = v - p.eye_y - 0.02 + across * 0.8;
    const stripes = ridge(bridge, 0.042) + ridge(bridge - 0.12, 0.042) + ridge(bridge + 0.12, 0.042);
    const furrowed = mark(g, min(glabella * 1.3, 1), depth);
    return mark(furrowed, stripes * smooth(-0.24, 0.1, -across), 0.55 * min(p.AU9, 1));
  };
};

/** Cheeks (AU6, AU12) and the folds from the nose to the mouth's corners (AU9, AU10, AU12). */
const cheeks = (p) => {
  const raised = min(0.7 * p.AU6 + 0.5 * p.AU12, 1.2);
  const start = p.eye_y + p.nose_l + 0.1;
  const pull = p.AU12 * 0.2 + p.AU10 * 0.05 + p.AU20 * 0.06;
  const depth = 0.05 + 0.16 * p.age + 0.28 * p.AU10 + 0.2 * p.AU12 + 0.16 * p.AU9;
  return (g, u, v) => {
    const across = abs(u);
    const apple = soft(square(across - 0.56) * 11 + square(v - 0.27 + 0.06 * raised) * 18);
    let grey = mark(g, apple, -0.03 - 0.11 * raised);
    grey = mark(grey, soft(square(across - 0.68) * 14 + square(v - 0.52) * 9), 0.05 + 0.06 * raised);
    const s = (v - start) / 0.42;
    const path = p.nose_w + 0.06 + s * (0.2 + pull) - 0.1 * s * s + s * (1 - s) * 0.95 * p.AU12;
    const fold = ridge(across - path, 0.055) * clip(s * 5) * clip((0.85 - s) * 2.2);
    return mark(grey, fold, min(depth, 0.42));
  };
};

/** The chin below the lower lip (AU17 pushes it up), then lips, opening, tongue and teeth. */
const mouth = (p, ip) => {
  const at = (unit) => min(p[unit], 1.15);
  const parted = (unit) => max(at(unit) - 0.12, 0) / 0.88; // lips at rest stay closed
  const [au10, au12, au15, au17, au20, au23] = ["AU10", "AU12", "AU15", "AU17", "AU20", "AU23"].map(at);
  const [au25, au26] = ["AU25", "AU26"].map(parted);
  const round = 1 - min(au12, 1); // a jaw drops to a round mouth, unless it smiles
  const stretch = 0.28 * au12 + 0.3 * au20 - 0.34 * au26 * (0.2 + 0.8 * round);
  const width = p.mouth_w * (1 + stretch - 0.12 * au23 - 0.08 * au17);
  const bend = p.mouth_curve - 0.31 * au12 + 0.26 * au15;
  const boxy = min(0.75 * au10 + 0.85 * au20, 1);
  const squaring = min(boxy + 0.6 * au26 * round, 1);
  const opening = 0.13 * au25 * (1 + 0.45 * au12) + 0.05 * au10 + 0.4 * au26;
  const thin = (1 - 0.75 * au23) * (1 - 0.2 * au20) * (1 - 0.12 * au12);
  // Upper teeth fill a smile and edge an open mouth; stretched lips (AU20) show the lower ones too.
  const shown = min(0.11 * au12 + 0.085 * au10 + 0.05 * au20 + 0.03, 0.16);
  return (g, u, v) => {
    const t = u / width;
    const within = clip(t, -1.15, 1.15);
    const squared = within * within;
    const bow = max(1 - squared, 0);
    const arch = bow * (1 + squaring * squared);
    const bent = p.mouth_y + bend * (1 + p.asym_mouth * within) * (squared - 0.25);
    const centre = bent - 0.09 * au17 * bow - 0.15 * au10 * arch;
    const top = centre - opening * (0.34 - 0.16 * au12) * arch;
    const bottom = centre + opening * (0.66 + 0.16 * au12) * arch;
    const dip = max(1 - 22 * squared, 0);
    const upperEdge = top - p.lip * thin * bow * (1 - 0.28 * dip) - 0.008;
    const lowerEdge = bottom + p.lip * 1.25 * thin * bow + 0.008;

    const below = v - lowerEdge - 0.055;
    let grey = mark(g, soft(below * below * 130) * max(1 - 1.8 * squared, 0), 0.2);
    const arc = ridge(v - lowerEdge - 0.12 - 0.35 * squared, 0.045);
    grey = mark(grey, arc * max(1 - 1.3 * squared, 0), 0.42 * au17);

    const ends = clip((1 - abs(t)) * width * ip + 0.5);
    const lips = fill(upperEdge - v, ip) * fill(v - lowerEdge, ip) * ends;
    const glow = ridge(v - bottom - p.lip * 0.6, 0.05) * max(1 - 2.2 * squared, 0);
    const shade = 0.84 + 0.2 * fill(centre - v, ip) + 0.24 * glow * thin;
    grey = blend(grey, lips, p.lip_tone * p.skin * shade);
    const inside = fill(top - v, ip) * fill(v - bottom, ip) * ends * min(opening * 30, 1);
    const tongue = soft(squared * 1.6 + square((v - bottom) / 0.2));
    grey = blend(grey, inside, 0.07 + 0.22 * tongue * min(opening * 2.5, 1));
    const teeth = inside * fill(v - top - shown * (0.35 + 0.65 * bow), ip);
    const low = inside * fill(bottom - 0.1 * au20 * bow - v, ip) * min(au20 * 1.6, 1);
    const gaps = 1 - 0.1 * ridge(abs(within * 4 - floor(within * 4) - 0.5) - 0.5, 0.12);
    grey = blend(grey, max(teeth, low), (0.66 + 0.3 * p.skin) * (1 - 0.25 * squared) * gaps);
    const seam = line(v - centre, 0.05, ip) * ends;
    grey = mark(grey, seam, 0.68 * (1 - min(opening * 9, 1)));
    const [cx, cy] = [(abs(t) - 1) * width, v - p.mouth_y - 0.75 * bend];
    return mark(grey, soft((cx * cx + cy * cy) * 320), 0.26);
  };
};

// --- The picture: render.py -----------------------------------------------------------------------------------

/** Paint strokes, one after the other, on the pixels around a point of the features. */
const paintAround = (canvas, point, strokes) => {
  const { left, top, wide, tall } = canvas.around(...point);
  for (let row = top; row < top + tall; row += 1) {
    for (let k = row * canvas.size + left; k < row * canvas.size + left + wide; k += 1) {
      let g = canvas.grey[k];
      for (const stroke of strokes) g = stroke(g, canvas.u[k], canvas.v[k]);
      canvas.grey[k] = g;
    }
  }
};

/** Blur by a 3x3 binomial, down and then across; the border repeats. */
const blurred = (grey, size, blur) => {
  const weight = min(square(blur * (size / 48)) * 0.5, 0.33);
  const pass = (values, along, across) => {
    const out = new Float32Array(values.length);
    for (let i = 0; i < size; i += 1) {
      for (let j = 0; j < size; j += 1) {
        const [before, after] = [max(i - 1, 0), min(i + 1, size - 1)];
        const sum = values[before * along + j * across] + values[after * along + j * across];
        out[i * along + j * across] = values[i * along + j * across] * (1 - 2 * weight) + sum * weight;
      }
    }
    return out;
  };
  return pass(pass(grey, size, 1), 1, size);
};

/** Grain of standard deviation 1 at a pixel: a hash of the face's key and the pixel, four bytes summed. */
const grain = (key, pixel) => {
  let x = Math.imul(key, 0x9e3779b1) ^ Math.imul(pixel, 0x85ebca77);
  x = Math.imul(x ^ (x >>> 16), 0x21f0aaad);
  x = Math.imul(x ^ (x >>> 15), 0x735a2d97);
  x ^= x >>> 15;
  return ((x & 255) + ((x >>> 8) & 255) + ((x >>> 16) & 255) + (x >>> 24) - 510) / 147.8;
};

/** Every parameter by name, from a list in the order of PARAMETERS or from some of them by name. */
const complete = (values) => {
  if (Array.isArray(values) || ArrayBuffer.isView(values)) {
    if (values.length !== PARAMETERS.length) {
      throw new RangeError(`A face has ${PARAMETERS.length} parameters, not ${values.length}.`);
    }
    return Object.fromEntries(PARAMETERS.map((name, column) => [name, fround(values[column])]));
  }
  const p = Object.fromEntries(PARAMETERS.map((name, column) => [name, tables.people[0][column]]));
  for (const [name, value] of Object.entries(values)) {
    if (!(name in p)) throw new RangeError(`Drawn faces have no parameter "${name}".`);
    p[name] = value;
  }
  for (const name of PARAMETERS) p[name] = fround(p[name]);
  return p;
};

/**
 * Draw one face, as `fercourse.data.synthetic.draw` does.
 *
 * `values`: all parameters in the order of PARAMETERS, or some by name; the others are those of the first person of
 * the tables, at rest. `size`: the picture's side in pixels. Returns size * size greys, row by row.
 */
export const drawFace = (values, { size = 48 } = {}) => {
  if (!Number.isInteger(size) || size < SIZES[0] || size > SIZES[1]) {
    throw new RangeError(`Faces are drawn at ${SIZES[0]} to ${SIZES[1]} pixels, not ${size}.`);
  }
  const p = complete(values);
  // Faces move most at the start of an action, so weak ones can be seen.
  for (const unit of ACTION_UNITS) p[unit] = fround(p[unit] * (1.25 - 0.25 * p[unit]));
  const canvas = place(p, size);
  const { ip, u0, v0, u, v, grey } = canvas;
  const head = outline(canvas, p);
  const cut = hair(canvas, p, head);
  const [wall, shoulders, bothEars, chin] = [background(p), body(p, ip), ears(p, ip), beard(p, ip)];
  for (let k = 0; k < grey.length; k += 1) {
    let g = cut.behind(wall(u0[k], v0[k]), k);
    if (v0[k] > 0.4) g = shoulders(g, u0[k], v0[k]);
    g = bothEars(g, u0[k], v0[k]);
    g = blend(g, head.inside[k], headShade(p, head.squared[k], head.x[k], head.y[k], u[k], v[k]));
    grey[k] = p.beard ? chin(g, u[k], v[k], head.inside[k]) : g;
  }
  const eyeV = fround(p.eye_y - fround(0.17));
  for (const side of [-1, 1]) {
    paintAround(canvas, [side * p.eye_x, eyeV, 22, 24], [socket(p, side), eye(p, ip, side), brow(p, ip, side)]);
  }
  paintAround(canvas, [0, fround(0.12), 32, 27], [cheeks(p), nose(p, ip), furrows(p)]);
  paintAround(canvas, [0, fround(p.mouth_y + fround(0.07)), 30, 25], [mouth(p, ip)]);
  if (p.glasses) {
    const frames = glasses(p, ip);
    for (let k = 0; k < grey.length; k += 1) grey[k] = frames(grey[k], u[k], v[k]);
  }
  cut.front(grey);
  if (p.occluder) {
    const thing = occluder(p, ip);
    for (let k = 0; k < grey.length; k += 1) grey[k] = thing(grey[k], u0[k], v0[k]);
  }
  const picture = p.blur ? blurred(grey, size, p.blur) : grey;
  // A clamped array limits to 0..255 and rounds halves to even, as Python does.
  const pixels = new Uint8ClampedArray(size * size);
  for (let k = 0; k < pixels.length; k += 1) {
    const noise = p.noise ? grain(p.noise_key, k) * p.noise : 0;
    pixels[k] = 255 * ((picture[k] - 0.5) * p.gain + 0.5 + noise);
  }
  return new Uint8Array(pixels.buffer);
};

/**
 * Put controls for a drawn face into `element` (sliders.js), and draw it whenever they change.
 *
 * `onChange(greys, size, values)` is called at once and after every change. `size`: the picture's side; the network's
 * 48 look coarse on a screen. Returns what mountControls does.
 */
export const mountSliders = (element, onChange, { size = 96 } = {}) =>
  mountControls(element, (values) => onChange(drawFace(values, { size }), size, values));
