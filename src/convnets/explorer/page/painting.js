/* Pictures from the server: bytes with a scale, painted here, with marks that can be moved on them. */

import { make } from "./elements.js";

let palettes = null;

export function setColours(given) {
  palettes ??= Object.fromEntries(Object.entries(given).map(([kind, digits]) =>
    [kind, Uint8Array.from(digits.match(/../g), (pair) => Number.parseInt(pair, 16))]));
}

const bytesOf = (picture) => (picture.decoded ??= Uint8Array.from(atob(picture.bytes), (letter) => letter.charCodeAt(0)));

/* The value at a place, null where a picture has colours alone. */
export function valueAt(picture, row, column) {
  if (picture.channels !== 1) return null;
  const level = bytesOf(picture)[row * picture.width + column];
  return picture.low + (level / 255) * (picture.high - picture.low);
}

export function paint(canvas, picture, under = null) {
  const { width, height } = picture;
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d");
  const pixels = context.createImageData(width, height);
  const bytes = bytesOf(picture);
  const beneath = under && under.width === width && under.height === height ? bytesOf(under) : null;
  const palette = palettes[picture.signed ? "signed" : "magnitude"];
  for (let place = 0; place < width * height; place += 1) {
    let colour = picture.channels === 3
      ? bytes.subarray(place * 3, place * 3 + 3)
      : palette.subarray(bytes[place] * 3, bytes[place] * 3 + 3);
    if (beneath) colour = mixed(colour, bytes[place], picture.signed, beneath, place);
    pixels.data.set(colour, place * 4);
    pixels.data[place * 4 + 3] = 255;
  }
  context.putImageData(pixels, 0, 0);
}

/* Grey under the colour, hidden the more the further the value is from 0. */
function mixed(colour, level, signed, beneath, place) {
  const size = signed ? Math.abs(level - 127.5) / 127.5 : level / 255;
  const grey = (beneath[place * 3] + beneath[place * 3 + 1] + beneath[place * 3 + 2]) / 3;
  return Array.from(colour, (part) => (1 - 0.8 * size) * grey + 0.8 * size * part);
}

/* A picture that is pointed at: moved(row, column) and left() are told, and chosen() of a click or
   Enter. Arrow keys move the place. ``frame`` and ``dot`` lay marks on it, in pixels of the picture. */
export class Plate {
  constructor(label, { moved = () => {}, left = () => {}, chosen = null } = {}) {
    this.canvas = make("canvas");
    this.mark = make("span", { class: "frame", hidden: true });
    this.spot = make("span", { class: "dot", hidden: true });
    this.element = make("div", { class: "plate", tabindex: 0, role: chosen ? "button" : "img", "aria-label": label,
      "data-tells": true }, this.canvas, this.mark, this.spot);
    this.place = null;
    this.moved = (row, column) => {
      this.place = [row, column];
      moved(row, column);
    };
    const leave = () => {
      this.place = null;
      left();
    };
    for (const kind of ["pointermove", "pointerdown"])
      this.element.addEventListener(kind, (event) => this.moved(...this.under(event)));
    this.element.addEventListener("pointerleave", leave);
    this.element.addEventListener("blur", leave);
    this.element.addEventListener("keydown", (event) => this.key(event, chosen));
    if (chosen) this.element.addEventListener("click", (event) => chosen(...this.under(event)));
  }

  under(event) {
    const box = this.canvas.getBoundingClientRect();
    const at = (offset, length, count) => Math.min(Math.max(Math.floor((offset / length) * count), 0), count - 1);
    const { width, height } = this.canvas;
    return [at(event.clientY - box.top, box.height, height), at(event.clientX - box.left, box.width, width)];
  }

  key(event, chosen) {
    const { width, height } = this.canvas;
    const [row, column] = this.place ?? [height >> 1, width >> 1];
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (step) {
      event.preventDefault();
      const within = (value, count) => Math.min(Math.max(value, 0), count - 1);
      this.moved(within(row + step[0], height), within(column + step[1], width));
    } else if (chosen && (event.key === "Enter" || event.key === " ")) {
      event.preventDefault();
      chosen(row, column);
    }
  }

  show(picture, under = null) {
    this.picture = picture;
    paint(this.canvas, picture, under);
    this.element.style.setProperty("--ratio", `${picture.width} / ${picture.height}`);
  }

  /* The part of a rectangle from (top, left) that lies in the picture, null for none. */
  frame(box) {
    this.mark.hidden = !box;
    if (!box) return;
    const [top, left] = [Math.max(box.top, 0), Math.max(box.left, 0)];
    const bottom = Math.min(box.top + box.height, this.canvas.height);
    const right = Math.min(box.left + box.width, this.canvas.width);
    this.lay(this.mark, { top, left, height: Math.max(bottom - top, 0), width: Math.max(right - left, 0) });
  }

  dot(row, column) {
    this.spot.hidden = row === null;
    if (row !== null) this.lay(this.spot, { top: row, left: column, height: 1, width: 1 });
  }

  lay(mark, { top, left, height, width }) {
    const part = (value, whole) => `${(100 * value) / whole}%`;
    mark.style.top = part(top, this.canvas.height);
    mark.style.height = part(height, this.canvas.height);
    mark.style.left = part(left, this.canvas.width);
    mark.style.width = part(width, this.canvas.width);
  }
}
