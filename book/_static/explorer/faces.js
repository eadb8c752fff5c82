// Reads a reader's own copy of the data set, in the browser: nothing of it is sent anywhere or kept.
(() => {
  "use strict";
  const { bytes } = window.explorer;
  const PIXELS = 48 * 48;
  const USAGES = { publictest: "val", privatetest: "test" };
  const CLASSES = 7;

  /** What the reader can mend: said in the page as it is. */
  class Refused extends Error {}

  /** CRC-32, as zlib computes it. */
  const crcTable = Uint32Array.from({ length: 256 }, (_, n) => {
    let c = n;
    for (let k = 0; k < 8; k += 1) c = c & 1 ? (c >>> 1) ^ 0xedb88320 : c >>> 1;
    return c;
  });
  const crc32 = (data) => {
    let c = 0xffffffff;
    for (let k = 0; k < data.length; k += 1) c = crcTable[(c ^ data[k]) & 255] ^ (c >>> 8);
    return (c ^ 0xffffffff) >>> 0;
  };

  /** The signatures of images, as fercourse.data.hashes forms them. */
  class Signatures {
    constructor({ signs, divisors, scale, reach }) {
      const packed = bytes(signs);
      this.divisors = divisors;
      this.scale = scale;
      this.reach = reach;
      const sign = Array.from({ length: CLASSES }, (_, row) =>
        Int8Array.from({ length: PIXELS }, (__, k) => ((packed[row * (PIXELS / 8) + (k >> 3)] >> (7 - (k & 7))) & 1 ? 1 : -1)),
      );
      const fine = (plane) =>
        Int8Array.from(plane, (value, k) => {
          const [y, x] = [Math.floor(k / 48), k % 48];
          const at = (row, column) => plane[((row + 48) % 48) * 48 + ((column + 48) % 48)];
          return 4 * value - at(y - 1, x) - at(y + 1, x) - at(y, x - 1) - at(y, x + 1);
        });
      this.planes = [new Int8Array(PIXELS).fill(1), ...sign.slice(0, 5), ...sign.slice(5).map(fine)];
    }

    of(image) {
      return this.planes.map((plane, row) => {
        let sum = 0;
        for (let k = 0; k < PIXELS; k += 1) sum += plane[k] * image[k];
        return ((Math.floor(sum / this.divisors[row]) % 256) + 256) % 256;
      });
    }

    /** Squared distances of a signature to all of a table (8 bytes a row), up to the reach; Infinity beyond. */
    distances(signature, table) {
      const found = new Float64Array(table.length / 8).fill(Infinity);
      const limit = this.reach ** 2;
      for (let row = 0; row < found.length; row += 1) {
        let total = 0;
        for (let k = 0; k < 8 && total <= limit; k += 1) {
          const gap = Math.abs(signature[k] - table[8 * row + k]);
          const step = Math.min(gap, 256 - gap) * this.scale[k];
          total += step * step;
        }
        if (total <= limit) found[row] = total;
      }
      return found;
    }
  }

  const trimmed = (text) => text.replace(/^[\s"]+|[\s"]+$/g, "");

  /** Lines of a file as bytes, without holding more of it than a piece and a line. */
  async function* lines(file, progress, signal) {
    const reader = file.stream().getReader();
    let rest = new Uint8Array(0);
    let read = 0;
    try {
      for (;;) {
        if (signal.aborted) throw new Refused("Stopped: nothing was kept of the file.");
        const { value, done } = await reader.read();
        if (done) break;
        read += value.length;
        let piece = value;
        if (rest.length) {
          piece = new Uint8Array(rest.length + value.length);
          piece.set(rest);
          piece.set(value, rest.length);
        }
        let start = 0;
        for (let end = piece.indexOf(10); end >= 0; end = piece.indexOf(10, start)) {
          yield piece.subarray(start, end);
          start = end + 1;
        }
        rest = piece.slice(start);
        if (rest.length > 1 << 20) throw new Refused(`${file.name} is no table of faces: a line of it is longer than a megabyte. Choose fer2013.csv or icml_face_data.csv.`);
        progress(read / file.size);
      }
    } finally {
      reader.cancel().catch(() => {});
    }
    if (rest.length) yield rest;
  }

  /** Pixels of one row, as bytes of digits and blanks. */
  const pixels = (field, where) => {
    const image = new Uint8Array(PIXELS);
    let count = 0;
    let value = -1;
    for (let k = 0; k <= field.length; k += 1) {
      const digit = k < field.length ? field[k] - 48 : -16;
      if (digit >= 0 && digit <= 9) {
        value = 10 * Math.max(value, 0) + digit;
        if (value > 255) throw new Refused(`${where}: a pixel is above 255. Fetch the file again.`);
      } else if (digit === -16 || digit === -14 || digit === -35 || digit === -39) {
        if (value >= 0 && count < PIXELS) image[count] = value;
        count += value >= 0;
        value = -1;
      } else throw new Refused(`${where}: a pixel is not a whole number. Fetch the file again.`);
    }
    if (count !== PIXELS) throw new Refused(`${where}: ${count} pixels instead of 2,304. The file may be cut short: fetch it again.`);
    return image;
  };

  /** The val and test images of a fer2013.csv or icml_face_data.csv. */
  const readTable = async (file, sizes, progress, signal) => {
    const decoder = new TextDecoder();
    const kept = { val: { images: [], labels: [] }, test: { images: [], labels: [] } };
    let columns = null;
    let number = 0;
    for await (const line of lines(file, progress, signal)) {
      if (!columns) {
        columns = trimmed(decoder.decode(line.subarray(0, 4096))).split(",").map((name) => trimmed(name).toLowerCase());
        if ([...columns].sort().join() !== "emotion,pixels,usage") {
          throw new Refused(`${file.name} is no table of FER-2013: its first line does not name the columns emotion, pixels and Usage. Choose fer2013.csv or icml_face_data.csv.`);
        }
        continue;
      }
      if (line.length < 2) continue;
      number += 1;
      const where = `${file.name}, row ${number}`;
      const commas = [line.indexOf(44)];
      commas.push(line.indexOf(44, commas[0] + 1));
      if (commas.includes(-1)) throw new Refused(`${where}: fewer than three columns. The file may be cut short: fetch it again.`);
      const edges = [-1, ...commas, line.length];
      const field = (name) => line.subarray(edges[columns.indexOf(name)] + 1, edges[columns.indexOf(name) + 1]);
      const split = USAGES[trimmed(decoder.decode(field("usage"))).toLowerCase()];
      if (!split) continue;
      const label = trimmed(decoder.decode(field("emotion")));
      if (!/^[0-6]$/.test(label)) throw new Refused(`${where}: the label is ${label.slice(0, 20)}; expected 0 to 6.`);
      kept[split].images.push(pixels(field("pixels"), where));
      kept[split].labels.push(Number(label));
    }
    if (!columns) throw new Refused(`${file.name} is empty. Choose fer2013.csv or icml_face_data.csv.`);
    for (const [split, { images }] of Object.entries(kept)) {
      const name = split === "val" ? "PublicTest" : "PrivateTest";
      if (!images.length) throw new Refused(`${file.name} holds no row of ${name}, our ${split}: the whole fer2013.csv or icml_face_data.csv is needed.`);
      if (images.length !== sizes[split]) throw new Refused(`${file.name} holds ${images.length.toLocaleString("en-GB")} ${images.length === 1 ? "row" : "rows"} of ${name} instead of ${sizes[split].toLocaleString("en-GB")}: it is not the official file, or cut short.`);
    }
    return kept;
  };

  // Folders of classes by name, as fercourse.data.folders knows them.
  const SYNONYMS = {
    anger: "angry", disgusted: "disgust", fearful: "fear", afraid: "fear", happiness: "happy", sadness: "sad",
    surprised: "surprise", suprise: "surprise", neutrality: "neutral",
  };
  const classOf = (folder, emotions) => {
    const name = folder.trim().toLowerCase().replace(/^\d+[\s_.-]+/, "");
    const place = emotions.indexOf(SYNONYMS[name] ?? name);
    return place < 0 && /^[0-6]$/.test(name) ? Number(name) : place;
  };

  /** Grey pixels of an image file; FER-2013's are 48 x 48, other sizes are drawn at that size. */
  const decode = async (file) => {
    const bitmap = await createImageBitmap(file, { colorSpaceConversion: "none" });
    const canvas = new OffscreenCanvas(48, 48);
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(bitmap, 0, 0, 48, 48);
    bitmap.close();
    const { data } = context.getImageData(0, 0, 48, 48);
    const image = new Uint8Array(PIXELS);
    for (let k = 0; k < PIXELS; k += 1) image[k] = Math.round(0.299 * data[4 * k] + 0.587 * data[4 * k + 1] + 0.114 * data[4 * k + 2]);
    return image;
  };

  /**
   * The val and test images of a folder of image files. Copies name and order them as they like, so every image is
   * looked up by its pixels in the table of official signatures; images that nothing is near are left out.
   */
  const readFolder = async (files, model, progress, signal) => {
    const chosen = files.filter((file) => {
      const parts = (file.webkitRelativePath || file.name).split("/");
      const image = /\.(jpe?g|png|bmp|webp)$/i.test(file.name) && !parts.some((part) => part.startsWith("."));
      return image && !/^training/i.test(file.name) && !parts.slice(0, -1).some((part) => /^train(ing)?$/i.test(part));
    });
    if (!chosen.length) throw new Refused("This folder holds no images outside train: choose the folder that holds test (or val and test) with a folder for each class.");
    const signatures = new Signatures(model.data.table);
    const splits = ["val", "test"];
    const tables = splits.map((split) => bytes(model.splits[split].signatures));
    const kept = {};
    for (const split of splits) {
      const { n } = model.splits[split];
      kept[split] = { images: new Array(n).fill(null), labels: new Array(n).fill(null) };
    }
    for (const [number, file] of chosen.entries()) {
      if (signal.aborted) throw new Refused("Stopped: nothing was kept of the folder.");
      const path = file.webkitRelativePath || file.name;
      const label = classOf(path.split("/").at(-2) ?? "", model.emotions);
      if (label < 0) throw new Refused(`${path} does not lie in a folder of one of the seven classes (${model.emotions.join(", ")}).`);
      let image;
      try {
        image = await decode(file);
      } catch {
        throw new Refused(`${path} cannot be read as an image. Fetch the copy again.`);
      }
      const named = file.name.match(/^(public|private)test/i)?.[1].toLowerCase();
      const signature = signatures.of(image);
      // Of the nearest rows (twins are equally near) the first that has this label and no image yet, else any.
      const near = [];
      splits.forEach((split, k) => {
        if (named && (named === "public") !== (split === "val")) return;
        signatures.distances(signature, tables[k]).forEach((distance, row) => {
          if (distance < Infinity && !kept[split].images[row]) near.push({ split, row, distance, wrong: model.splits[split].labels[row] !== label });
        });
      });
      const least = Math.min(...near.map((one) => one.distance));
      const best = near.filter((one) => Math.sqrt(one.distance) < Math.sqrt(least) + 2);
      best.sort((one, other) => one.wrong - other.wrong || one.distance - other.distance);
      if (best.length) {
        kept[best[0].split].images[best[0].row] = image;
        kept[best[0].split].labels[best[0].row] = label;
      }
      if (number % 50 === 0) {
        progress(number / chosen.length);
        await new Promise((resume) => setTimeout(resume));
      }
    }
    const found = splits.reduce((sum, split) => sum + kept[split].images.filter(Boolean).length, 0);
    if (found < chosen.length / 2) throw new Refused(`Only ${found} of ${chosen.length} images of this folder are FER-2013's: it is another data set, or its images were changed too much to be known again.`);
    return kept;
  };

  /** What can be said of a copy: a sentence on the labels and pixels of each split. */
  const verify = (kept, model) => {
    const signatures = new Signatures(model.data.table);
    return Object.entries(kept).map(([split, { images, labels }]) => {
      const official = model.splits[split];
      const checks = new Uint16Array(bytes(official.checks).buffer);
      const table = bytes(official.signatures);
      const known = images.filter(Boolean).length;
      let [otherLabels, otherPixels, unlike] = [0, 0, 0];
      images.forEach((image, place) => {
        if (!image) return;
        otherLabels += labels[place] !== official.labels[place];
        if ((crc32(image) & 0xffff) === checks[place]) return;
        otherPixels += 1;
        unlike += signatures.distances(signatures.of(image), table.subarray(8 * place, 8 * place + 8))[0] === Infinity;
      });
      const count = (value) => value.toLocaleString("en-GB");
      const several = (value, word) => `${count(value)} ${word}${value === 1 ? "" : "s"}`;
      const found = known === official.n ? `all ${count(known)} images are there` : `${count(known)} of ${count(official.n)} images are there`;
      const doubt = "the numbers may not belong to these pictures";
      const says = [
        [otherLabels && unlike, `this copy differs from the official one in ${several(otherLabels, "label")} and in ${several(unlike, "picture")}; ${doubt}`],
        [otherLabels, `this copy differs from the official one in ${several(otherLabels, "label")}; ${doubt}`],
        [unlike, `${several(unlike, "picture")} ${unlike === 1 ? "is" : "are"} not as in the official copy; ${doubt}`],
        [otherPixels, `${found}, with the official labels; ${count(otherPixels)} have other pixels, as after a new compression, but are alike`],
        [true, `${found}, with the official labels and pixels`],
      ];
      return { split, otherLabels, otherPixels, unlike, text: `${split}: ${says.find(([when]) => when)[1]}.` };
    });
  };

  Object.assign(window.explorer, { faces: { Refused, readTable, readFolder, verify, crc32, Signatures } });
})();
