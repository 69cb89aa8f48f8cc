/* Elements of the page. Text becomes text nodes: nothing a name holds is ever read as HTML. */

const SVG = "http://www.w3.org/2000/svg";

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [key, given] of Object.entries(value)) element.style.setProperty(key, given);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export const make = (tag, properties = {}, ...children) =>
  fill(document.createElement(tag), properties, children);

export const draw = (tag, properties = {}, ...children) =>
  fill(document.createElementNS(SVG, tag), properties, children);

const tip = document.getElementById("tip");

export function tell(text, x = 0, y = 0) {
  tip.hidden = !text;
  if (!text) return;
  tip.textContent = text;
  const left = x + 16 + tip.offsetWidth > innerWidth ? x - 12 - tip.offsetWidth : x + 16;
  tip.style.left = `${Math.max(left, 4)}px`;
  tip.style.top = `${Math.max(Math.min(y + 14, innerHeight - tip.offsetHeight - 4), 4)}px`;
}

/* What has a data-tip says it when pointed at or focused. */
addEventListener("pointermove", (event) => {
  const told = event.target.closest?.("[data-tip]");
  if (told) tell(told.dataset.tip, event.clientX, event.clientY);
  else if (!event.target.closest?.("[data-tells]")) tell("");
});
addEventListener("focusin", (event) => {
  const box = event.target.getBoundingClientRect();
  tell(event.target.matches(":focus-visible") ? event.target.dataset.tip : "", box.right, box.top);
});
addEventListener("keydown", (event) => event.key === "Escape" && tell(""));
addEventListener("scroll", () => tell(""), { capture: true, passive: true });

/* All that has one key stands out together, wherever the pointer or the focus meets it. */
export function linked(container) {
  const pick = (key) => {
    for (const each of container.querySelectorAll(".on")) each.classList.remove("on");
    container.classList.toggle("picking", Boolean(key));
    if (key) for (const each of container.querySelectorAll(`[data-key="${key}"]`)) each.classList.add("on");
  };
  const keyOf = (event) => event.target.closest?.("[data-key]")?.dataset.key;
  container.addEventListener("pointerover", (event) => pick(keyOf(event)));
  container.addEventListener("pointerleave", () => pick(""));
  container.addEventListener("focusin", (event) => pick(keyOf(event)));
  return container;
}

/* A set of choices of which one is taken, as radio buttons do. */
export function choice(label, options, chosen, change, name = label) {
  return make("fieldset", { class: "choice" },
    make("legend", {}, label),
    options.map(([value, text]) =>
      make("label", {},
        make("input", { type: "radio", name, value, checked: value === chosen, onchange: () => change(value) }),
        make("span", {}, text))));
}

export function picker(label, options, chosen, change) {
  return make("label", { class: "picker" }, make("span", {}, label),
    make("select", { onchange: (event) => change(event.target.value) },
      options.map(([value, text]) => make("option", { value, selected: value === chosen }, text))));
}

export const section = (title, note, ...content) =>
  make("section", {}, make("h2", {}, title), note && make("p", { class: "note" }, note), ...content);
