/* One network part by part: what each costs and sees, as bars and as a table. */

import { address } from "./api.js";
import { skyline } from "./charts.js";
import { choice, linked, make, picker, section } from "./elements.js";
import { count, extent, memory, shape } from "./format.js";
import { table } from "./tables.js";

const LEVELS = [["stages", "Stages"], ["blocks", "Blocks"], ["layers", "Layers"]];
const STEMS = [["auto", "as fits"], ["paper", "paper"], ["small", "small"]];
const QUANTITIES = [
  { key: "activation_bytes", title: "Memory", unit: "feature maps, float32", show: memory, of: (part) => part.activation_bytes },
  { key: "params", title: "Parameters", unit: "", show: count, of: (part) => part.params },
  { key: "macs", title: "MACs", unit: "multiply-adds", show: count, of: (part) => part.macs },
  { key: "field", title: "Receptive field", unit: "side in pixels", show: (_, part) => extent(part.field),
    of: (part) => (part.field ? Math.max(...part.field.size) : 0) },
];

export async function show({ name, chosen, choose, get, complain }) {
  const body = make("div");
  const rows = await get("/api/networks");
  const row = rows.find((each) => each.name === name);
  if (!row) await get(address(["networks", name])); // which says what there is
  const level = () => chosen.get("level") ?? "blocks";
  const size = () => Number(chosen.get("size")) || row.input_size;

  async function load() {
    const asked = { size: size(), stem: chosen.get("stem") ?? "auto", level: level() };
    const found = await get(address(["networks", name], asked));
    body.replaceChildren(...drawn(found));
  }
  const change = (key) => (value) => {
    choose(key, value);
    complain(null);
    return load();
  };

  await load().catch(complain);
  const side = make("input", { type: "number", min: 1, max: 1024, value: size(),
    onchange: () => side.value && change("size")(side.value) });
  return [
    make("p", { class: "back" }, make("a", { href: "#/networks" }, "All networks")),
    make("h1", {}, name),
    make("p", { class: "lead" }, `${row.family}, ${row.year}. `, make("cite", {}, row.paper)),
    make("div", { class: "controls" },
      make("label", { class: "picker" }, make("span", {}, "Input size"), side),
      picker("Stem", STEMS, chosen.get("stem") ?? "auto", change("stem")),
      choice("Show", LEVELS, level(), change("level"))),
    body,
  ];
}

function drawn(found) {
  const { parts } = found;
  const facts = [
    ["Parameters", count(found.params)], ["MACs", count(found.macs)],
    ["Memory of feature maps", memory(found.activation_bytes)],
    ["Input", shape(found.input_shape.slice(1))], ["Stem", found.stem],
  ];
  const charts = QUANTITIES.map((each) => skyline(parts, each));
  const columns = [
    { title: "Part", show: (part) => part.name.replace(/^features\./, "") },
    { title: "Kind", show: (part) => part.kind },
    { title: "Output", numeric: true, show: (part) => shape(part.shape) },
    ...QUANTITIES.map((each) => bars(parts, each)),
  ];
  const shown = table(columns, { mark: (part) => ({ "data-key": parts.indexOf(part) }) });
  shown.show(parts);
  return [
    make("dl", { class: "facts" }, facts.map(([title, value]) =>
      make("div", {}, make("dt", {}, title), make("dd", {}, value)))),
    linked(make("div", {},
      section("Where the cost is", `One bar a ${found.level.slice(0, -1)}, in order of execution.`,
        make("div", { class: "skylines" }, charts)),
      section("Part by part", "", make("div", { class: "scroll" }, shown.element)))),
  ];
}

function bars(parts, { title, show, of }) {
  const most = Math.max(...parts.map(of), 1);
  return {
    title, numeric: true,
    show: (part) => make("span", { class: "bar", style: { "--share": of(part) / most } }, show(of(part), part)),
  };
}
