/* What a trained network sees in an image: classes, why, and its maps, all linked by place. */

import { address, post } from "./api.js";
import { make, picker, section, tell } from "./elements.js";
import { percent, short } from "./format.js";
import { Maps } from "./maps.js";
import { Plate, setColours, valueAt } from "./painting.js";

const METHODS = [
  { how: "grad-cam", title: "Grad-CAM", meaning: "where the last maps have evidence for the class" },
  { how: "saliency", title: "Saliency", meaning: "how strongly the score depends on each pixel" },
  { how: "deconvnet", title: "Deconvnet", meaning: "the class score led back to the pixels" },
  { how: "occlusion", title: "Occlusion", meaning: "how far the probability falls when a window is covered", slow: true },
];

export async function show(given) {
  const { name, get } = given;
  const { models } = await get("/api/runs");
  const start = await get("/api/start");
  setColours(start.colours);
  const chooser = models.length > 0 && picker("Network", models.map((each) => [each.id, each.name]), name || models[0].id,
    (id) => (location.hash = `#/look/${id}`));
  const head = [make("h1", {}, "Look"), chooser && make("div", { class: "controls" }, chooser)];
  if (!models.length)
    return [...head, make("p", { class: "lead" }, "No checkpoint or model file lies in the folders. ",
      make("code", {}, "convnets train resnet20 --data digits"), " keeps one in the run's folder.")].filter(Boolean);
  const model = await get(address(["models", name || models[0].id]));
  const view = new Look(model, start.largest_upload, given);
  view.restore();
  return [...head, ...view.elements];
}

class Look {
  constructor(model, largest, { chosen, choose, signal, complain }) {
    Object.assign(this, { model, largest, chosen, choose, signal, complain, image: null, target: null });
    this.working = new AbortController();
    this.plates = [];
    this.input = this.plate("The image as the network sees it");
    this.answers = make("ol", { class: "answers" });
    this.file = make("input", { type: "file", accept: "image/*", class: "hidden", tabindex: -1,
      onchange: () => this.file.files[0] && this.open(this.file.files[0]) });
    this.drop = make("button", { type: "button", class: "drop", onclick: () => this.file.click() },
      make("b", {}, "Drop an image"), make("span", {}, "or choose a file, or paste one"));
    this.attributions = make("div", { class: "plates" });
    this.maps = new Maps(model, this);
    this.results = make("div", { hidden: true });
    this.status = make("p", { class: "note", role: "status" });
    this.listen();
    this.elements = [this.intro(), this.results];
    this.results.append(
      section("Why this class", "", this.about = make("p", { class: "note" }), this.attributions),
      section("What its layers make of it", "", this.maps.element));
  }

  intro() {
    const { model } = this;
    const samples = model.mistakes.map((mistake, index) =>
      make("button", { type: "button", class: "sample", "data-tip": `is ${model.classes[mistake.label]}, was called ${model.classes[mistake.predicted]}`,
        "aria-label": `Test image ${mistake.index}: ${model.classes[mistake.label]}`, onclick: () => this.sample(index) },
      make("img", { src: `data:image/png;base64,${mistake.png}`, alt: "" })));
    return make("div", { class: "opening" },
      make("div", { class: "seen" }, this.input.element, this.status),
      make("div", { class: "side" }, this.answers, this.drop, this.file,
        samples.length > 0 && make("div", {}, make("p", { class: "note" }, "Or one that it got most wrong in its test:"),
          make("div", { class: "samples" }, samples)),
        make("p", { class: "note" }, `${model.model}, ${model.stem} stem, trained on ${model.data}: ${model.classes.length} classes, ${model.input_size}×${model.input_size} pixels${model.in_chans === 1 ? ", grey" : ""}. The image stays in this machine's memory.`)));
  }

  listen() {
    const take = (files) => files?.[0] && this.open(files[0]);
    const over = (event) => {
      event.preventDefault();
      this.drop.classList.toggle("over", event.type === "dragover");
      if (event.type === "drop") take(event.dataTransfer.files);
    };
    for (const kind of ["dragover", "dragleave", "drop"]) addEventListener(kind, over, { signal: this.signal });
    addEventListener("paste", (event) => take(event.clipboardData.files), { signal: this.signal });
    this.signal.addEventListener("abort", () => this.working.abort());
  }

  /* What the address names: a test image that was got wrong. */
  restore() {
    const wanted = this.chosen.get("mistake");
    if (wanted !== null && this.model.mistakes[wanted]) this.sample(Number(wanted), true);
  }

  sample(index, keep = false) {
    const bytes = Uint8Array.from(atob(this.model.mistakes[index].png), (letter) => letter.charCodeAt(0));
    if (!keep) for (const key of ["target", "unit", "row", "column"]) this.choose(key, null);
    this.choose("mistake", String(index));
    this.see(new Blob([bytes]), `is ${this.model.classes[this.model.mistakes[index].label]}`);
  }

  open(file) {
    for (const key of ["mistake", "target", "unit", "row", "column"]) this.choose(key, null);
    if (file.size > this.largest) {
      this.complain(new Error(`${file.name}: ${file.size.toLocaleString("en")} bytes; the limit is ${this.largest.toLocaleString("en")}`));
      return;
    }
    this.see(file, file.name);
  }

  ask(asked) {
    return post(address(["models", this.model.id, "look"], asked), this.image, { signal: this.working.signal });
  }

  async see(image, called) {
    this.restart();
    this.image = image;
    this.maps.stale = true;
    this.status.textContent = "…";
    try {
      const found = await this.ask({ how: "classes" });
      this.shown = found.input;
      this.plates = [this.input];
      this.input.show(found.input);
      this.maps.image.show(found.input);
      this.status.textContent = called;
      const target = this.chosen.get("target");
      this.target = target === null ? found.classes[0].index : Number(target);
      this.rank(found.classes);
      this.results.hidden = false;
      document.body.classList.add("looking");
      await this.explain();
    } catch (error) {
      if (error.name !== "AbortError") this.status.textContent = "";
      this.complain(error);
    }
  }

  /* What is still being asked is of no interest any more. */
  restart() {
    this.working.abort();
    this.working = new AbortController();
    this.complain(null);
  }

  rank(classes) {
    this.answers.replaceChildren(...classes.map((each) => make("li", {},
      make("button", { type: "button", "aria-pressed": String(each.index === this.target), onclick: () => this.aim(each, classes) },
        make("span", { class: "bar", style: { "--share": each.probability } }, each.name),
        make("b", {}, `${percent(each.probability, 1)} %`)))));
  }

  async aim(each, classes) {
    this.target = each.index;
    this.choose("target", String(each.index));
    this.rank(classes);
    this.restart();
    await this.explain().catch(this.complain);
  }

  async explain() {
    this.about.textContent = `What counts for ${this.model.classes[this.target]}. Choose another class above to ask for it. Magnitudes go from black to yellow; red counts for the class and blue against it. Point at a picture: the same place is marked in all.`;
    const made = METHODS.map(({ how, title, meaning, slow }) => {
      const plate = this.plate(title);
      const figure = make("figure", { class: "waiting" }, plate.element, make("figcaption", {}, make("b", {}, title), meaning));
      return { how, slow, plate, figure };
    });
    const beside = this.plate("The image");
    beside.show(this.shown);
    this.plates = [this.input, beside, ...made.map(({ plate }) => plate), ...this.maps.plates];
    this.attributions.replaceChildren(
      make("figure", {}, beside.element, make("figcaption", {}, make("b", {}, "Image"), "as the network sees it")),
      ...made.map(({ figure }) => figure));
    await this.fill(made.filter(({ slow }) => !slow));
    if (this.maps.stale) await this.maps.see();
    await this.fill(made.filter(({ slow }) => slow));
  }

  async fill(made) {
    for (const { how, plate, figure } of made) {
      try {
        const { about, picture } = await this.ask({ how, target: this.target });
        plate.show(picture, picture.signed || how === "saliency" || picture.channels === 3 ? null : this.shown);
        figure.title = about;
      } catch (error) {
        if (error.name === "AbortError") throw error;
        figure.replaceChild(make("p", { class: "none" }, error.message), plate.element);
      }
      figure.classList.remove("waiting");
    }
  }

  /* A picture of the input's size, linked to all others. */
  plate(label) {
    const plate = new Plate(label, {
      moved: (row, column) => {
        this.point(row, column);
        this.maps.point(row, column);
        this.say(plate, row, column);
      },
      left: () => this.clear(),
    });
    return plate;
  }

  say(plate, row, column, about = "") {
    const value = plate.picture && valueAt(plate.picture, row, column);
    const box = plate.element.getBoundingClientRect();
    const { width, height } = plate.canvas;
    const told = value === null || value === undefined ? "" : `: ${short(value)}`;
    tell(`${about}row ${row}, column ${column}${told}`, box.left + (box.width * (column + 1)) / width, box.top + (box.height * (row + 1)) / height);
  }

  point(row, column) {
    for (const plate of this.plates) {
      plate.dot(row, column);
      plate.frame(null);
    }
  }

  frame(box) {
    for (const plate of this.plates) {
      plate.dot(null);
      plate.frame(box);
    }
  }

  clear() {
    this.point(null, null);
    this.maps.point(null, null);
    tell("");
  }
}

