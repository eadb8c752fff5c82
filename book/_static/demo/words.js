// What the shares mean, in words. Where the network's record has counted how often it is right when it is this
// sure, the words follow from the count; nothing else decides them.
"use strict";

export const percent = (share, digits = 0) => `${(100 * share).toFixed(digits)}%`;
const count = (value) => value.toLocaleString("en");
const listed = (words) => (words.length < 3 ? words.join(" and ") : `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`);

/** The classes by share, the largest first. */
export const ranked = (probs) => probs.map((_, k) => k).sort((a, b) => probs[b] - probs[a]);

/** The count for answers whose first word has this share; null where none is known. */
export function counted(share, calibration) {
  // Bins are open below and closed above, as in the records.
  return calibration?.bins.find(({ to }) => share <= to) ?? null;
}

/** The fewest words, but at least two, that have more than half of the share between them. */
function contenders(probs) {
  const order = ranked(probs);
  let sum = 0;
  const enough = order.findIndex((k) => (sum += probs[k]) > 0.5);
  return order.slice(0, Math.max(2, enough + 1));
}

/**
 * Say how sure the network is.
 *
 * @param {number[]} probs shares of the classes.
 * @param {string[]} classes their words.
 * @param {{split: string, accuracy: number, bins: {from: number, to: number, count: number, hits: number}[]}|null}
 *   calibration from the record; null for a network without one.
 * @returns {{level: "torn"|"leans"|"clear", summary: string, backing: string}}
 */
export function inWords(probs, classes, calibration) {
  const [top, next] = ranked(probs);
  const bin = counted(probs[top], calibration);
  const rate = bin ? bin.hits / bin.count : null;
  // Torn: more often wrong than right when it is no surer than this. Clear: more often right than it is overall.
  const level = (bin ? rate < 0.5 : probs[top] < 0.5) ? "torn" : bin && rate >= calibration.accuracy ? "clear" : "leans";
  const named = (k) => `${classes[k]} (${percent(probs[k])})`;
  const summary = {
    torn: `The network is torn between ${listed(contenders(probs).map(named))}.`,
    leans: `The network leans towards ${named(top)}; next comes ${named(next)}.`,
    clear: `The network puts ${named(top)} clearly first; next comes ${named(next)}.`,
  }[level];
  return { level, summary, backing: bin ? backing(bin, rate, calibration) : NO_RECORD };
}

const NO_RECORD = "How often it is right when it is this sure is not known here: this file brings no record.";

function backing({ from, to, count: n, hits }, rate, { split }) {
  const range = from > 0 ? `between ${percent(from)} and ${percent(to)}` : `at most ${percent(to)}`;
  return (
    `Of FER-2013's ${split} images on which the share of its first word was ${range}, ` +
    `that word was the label of ${count(hits)} in ${count(n)}: ${percent(rate)}.`
  );
}
