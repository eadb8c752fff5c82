// The data that the build has written: what can be chosen, and what a choice holds.
(() => {
  "use strict";
  const { statistics } = window.explorer;
  const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const SPLITS = ["val", "test"];

  /** Classes from text that holds two a letter; `n` of them. */
  const unpackPairs = (text, n) => {
    const classes = new Uint8Array(2 * text.length);
    for (let k = 0; k < text.length; k += 1) {
      const value = ALPHABET.indexOf(text[k]);
      classes[2 * k] = value >> 3;
      classes[2 * k + 1] = value & 7;
    }
    return classes.slice(0, n);
  };

  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

  class Model {
    constructor(data) {
      this.data = data;
      this.emotions = data.emotions;
      this.recorded = data.networks.filter((network) => network.records.length);
      this.pending = data.networks.filter((network) => !network.records.length);
      this.splits = {};
      for (const split of SPLITS) {
        const stored = data.splits[split];
        const twin = new Array(stored.n).fill(false);
        for (const place of stored.twins) twin[place] = true;
        this.splits[split] = { ...stored, labels: unpackPairs(stored.labels, stored.n), twin };
      }
      this.unpacked = new Map();
    }

    network(id) {
      return this.recorded.find((network) => network.id === id);
    }

    /** The predicted classes of one record. */
    preds(record, split) {
      const key = `${record.name} ${split}`;
      if (!this.unpacked.has(key)) {
        this.unpacked.set(key, unpackPairs(record[split].preds, this.splits[split].n));
      }
      return this.unpacked.get(key);
    }

    /** What a choice, {id, seed}, holds on a split; `records` is empty where it holds no answers for it. */
    side(letter, choice, split) {
      const network = this.network(choice.id);
      const chosen = network.records.filter((record) => choice.seed === "all" || record.seed === choice.seed);
      const records = chosen.filter((record) => record[split]);
      const { labels, twin } = this.splits[split];
      const several = records.length > 1;
      const named = records.length ? records : chosen;
      const name = network.label + (named.length > 1 ? `, ${named.length} seeds` : `, seed ${named[0].seed}`);
      const side = { letter, network, chosen, records, several, name };
      if (!records.length) return side;
      side.answers = records.map((record) => this.preds(record, split));
      side.confusions = side.answers.map((preds) => statistics.confusion(labels, preds));
      // Of several seeds: counts are means, which need not be whole.
      side.counts = side.confusions[0].map((row, k) =>
        row.map((_, j) => statistics.mean(side.confusions.map((one) => one[k][j]))),
      );
      side.measures = side.confusions.map(statistics.metrics);
      side.alone = side.answers.map((preds) => statistics.accuracyOn(labels, preds, twin.map((is) => !is)));
      Object.assign(side, statistics.vote(side.answers));
      side.bins = statistics.pooled(records.map((record) => record[split].reliability));
      side.ece = statistics.mean(records.map((record) => record[split].ece));
      side.nll = statistics.mean(records.map((record) => record[split].nll));
      return side;
    }

    /** Pairs of records to be compared: of the same seed, or each of one side with the only one of the other. */
    pairs(a, b) {
      if (!a.several || !b.several) {
        return a.records.flatMap((one, k) => b.records.map((other, j) => [one, other, a.answers[k], b.answers[j]]));
      }
      return a.records.flatMap((one, k) => {
        const j = b.records.findIndex((other) => other.seed === one.seed);
        return j < 0 ? [] : [[one, b.records[j], a.answers[k], b.answers[j]]];
      });
    }

    /** A choice of a network: the seed asked for, or all of several, or the only one. */
    choice(network, seed = "all") {
      const { records } = network;
      return { id: network.id, seed: seed === "all" && records.length === 1 ? records[0].seed : seed };
    }

    /** What is shown at first: the best on val and the second, and test where both have it. */
    usual() {
      const score = (network) => statistics.mean(network.records.map((record) => record.val.accuracy));
      const best = [...this.recorded].sort((one, other) => score(other) - score(one)).slice(0, 2);
      const [b, a] = best.length > 1 ? best : [best[0], best[0]];
      const both = [a, b].every((network) => network.records.some((record) => record.test));
      return {
        a: this.choice(a),
        b: this.choice(b),
        split: both ? "test" : "val",
      };
    }

    /** The state that an address's hash describes; what it does not name, or wrongly, is as usual. */
    parse(hash) {
      const state = this.usual();
      const given = new URLSearchParams(hash.replace(/^#/, ""));
      const unknown = [];
      for (const letter of ["a", "b"]) {
        if (!given.has(letter)) continue;
        const [, id, text] = given.get(letter).match(/^(.*?)(?:@(all|\d+))?$/) ?? [];
        const network = this.network(id);
        const seed = text === undefined || text === "all" ? "all" : Number(text);
        const known = network && (seed === "all" || network.records.some((record) => record.seed === seed));
        if (known) state[letter] = this.choice(network, seed);
        else unknown.push(given.get(letter));
      }
      if (SPLITS.includes(given.get("split"))) state.split = given.get("split");
      else if (given.has("split")) unknown.push(given.get("split"));
      return { state, unknown };
    }

    format(state) {
      const side = ({ id, seed }) => `${id}@${seed}`;
      return `#${new URLSearchParams({ a: side(state.a), b: side(state.b), split: state.split })}`;
    }
  }

  Object.assign(window.explorer, { Model, unpackPairs, bytes });
})();
