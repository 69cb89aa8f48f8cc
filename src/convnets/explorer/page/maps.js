/* The feature maps of one layer, each place tied to the pixels it sees, and projections of them. */

import { choice, make, picker } from "./elements.js";
import { extent, round, shape } from "./format.js";
import { Plate } from "./painting.js";

const squared = (field) => (extent(field).includes("×") ? extent(field) : `${extent(field)}×${extent(field)}`);

export class Maps {
  constructor(model, look) {
    this.model = model;
    this.look = look;
    this.layers = new Map(model.layers.map((layer) => [layer.name, layer]));
    const wanted = look.chosen.get("layer");
    this.layer = this.layers.has(wanted) ? wanted : model.stages[model.stages.length >> 1];
    this.tiles = [];
    this.field = null;
    this.stale = true; // of another image than the one shown
    this.grid = make("div", { class: "tiles" });
    this.about = make("p", { class: "note" });
    this.image = look.plate("The image");
    this.projection = look.plate("What the chosen activation responds to");
    this.plates = [this.image, this.projection];
    this.caption = make("figcaption");
    this.shown = make("figure", {}, this.projection.element, this.caption);
    const image = make("figure", {}, this.image.element, make("figcaption", {}, make("b", {}, "Image"), "what the marked place sees is lit"));
    this.controls = make("div", { class: "controls" });
    this.element = make("div", {}, this.controls, this.about, make("div", { class: "maps" }, this.grid, make("div", { class: "projected" }, image, this.shown)));
    this.control();
  }

  control() {
    const name = (path) => path.replace(/^features\./, "");
    const change = (layer) => {
      this.layer = layer;
      this.look.choose("layer", layer);
      for (const key of ["unit", "row", "column"]) this.look.choose(key, null);
      this.control();
      this.see().catch(this.look.complain);
    };
    const stages = this.model.stages.map((path) => [path, name(path)]);
    const all = this.model.layers.map((layer) => [layer.name, `${name(layer.name)} (${layer.kind}, ${shape(layer.shape)})`]);
    this.controls.replaceChildren(
      choice("Stage", stages, this.layer, change),
      picker("Any layer", all, this.layer, change));
  }

  async see() {
    if (!this.look.image || !this.layer) return;
    const found = await this.look.ask({ how: "maps", layer: this.layer });
    this.stale = false;
    this.field = found.field;
    const [rows, columns] = [found.maps[0].picture.height, found.maps[0].picture.width];
    const sees = !this.field ? "Its units lie on no grid of the image."
      : `A unit sees ${squared(this.field)} pixels and the next lies ${round(this.field.stride[0])} further; point at a map to see which.`;
    this.about.textContent = `${found.count} maps of ${rows}×${columns}${found.count > found.maps.length ? `, the ${found.maps.length} that respond most` : ""}, on one scale. ${sees} Click to lead that activation back to the pixels.`;
    this.tiles = found.maps.map(({ unit, strongest, picture }) => {
      const plate = new Plate(`Map of unit ${unit}`, {
        moved: (row, column) => {
          this.mark(row, column);
          this.look.frame(this.seen(row, column));
          this.look.say(plate, row, column, `unit ${unit}, `);
        },
        left: () => this.look.clear(),
        chosen: (row, column) => this.project(unit, row, column),
      });
      plate.show(picture);
      plate.element.dataset.unit = unit;
      return { plate, unit, figure: make("figure", {}, plate.element, make("figcaption", {}, `unit ${unit}`)), strongest };
    });
    this.grid.replaceChildren(...this.tiles.map(({ figure }) => figure));
    const [unit, row, column] = ["unit", "row", "column"].map((key) => this.look.chosen.get(key));
    await this.project(unit === null ? found.maps[0].unit : Number(unit), row, column, true);
  }

  /* Lead one activation back to the pixels: a unit's at a place, or its strongest. */
  async project(unit, row = null, column = null, keep = false) {
    if (!keep) for (const [key, value] of Object.entries({ unit, row, column })) this.look.choose(key, value === null ? null : String(value));
    for (const tile of this.tiles) tile.figure.classList.toggle("chosen", tile.unit === unit);
    try {
      const { about, picture } = await this.look.ask({ how: "projection", layer: this.layer, unit, row, column });
      this.projection.show(picture);
      this.caption.replaceChildren(make("b", {}, `Unit ${unit}${row === null ? ", where it is strongest" : ` at ${row}, ${column}`}`),
        "led back to the pixels by the deconvnet");
      this.shown.title = about;
    } catch (error) {
      this.look.complain(error);
    }
  }

  /* The pixels that a place of the maps sees, as a box on the input. */
  seen(row, column) {
    if (!this.field) return null;
    const { size, stride, centre } = this.field;
    const start = (axis, index) => centre[axis] + index * stride[axis] - (size[axis] - 1) / 2;
    return { top: start(0, row), left: start(1, column), height: size[0], width: size[1] };
  }

  /* Mark the place whose centre is nearest to a pixel of the input. */
  point(row, column) {
    if (row === null || !this.field || !this.tiles.length) {
      this.mark(null, null);
      return;
    }
    const { stride, centre } = this.field;
    const { height, width } = this.tiles[0].plate.canvas;
    const place = (axis, pixel, count) => Math.min(Math.max(Math.round((pixel - centre[axis]) / stride[axis]), 0), count - 1);
    this.mark(place(0, row, height), place(1, column, width));
  }

  mark(row, column) {
    for (const { plate } of this.tiles) plate.dot(row, column);
  }
}
