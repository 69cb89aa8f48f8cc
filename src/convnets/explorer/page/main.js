/* The page: which view the address names, and one line for what went wrong. */

import { get, takeToken } from "./api.js";
import { make, tell } from "./elements.js";
import * as anatomy from "./anatomy.js";
import * as look from "./look.js";
import * as networks from "./networks.js";
import * as runs from "./runs.js";

const main = document.getElementById("content");
const complaint = document.getElementById("error");
let leaving = new AbortController();

const views = {
  networks: (given) => (given.name ? anatomy.show(given) : networks.show(given)),
  runs: (given) => (given.name ? runs.one(given) : runs.show(given)),
  look: look.show,
};

/* #/networks/resnet18?size=64: a view, the name it is about, and what was chosen in it. */
function address() {
  const [path, query = ""] = location.hash.replace(/^#/, "").split("?", 2);
  const [, view = "networks", name = ""] = path.split("/");
  return { view, name: decodeURIComponent(name), chosen: new URLSearchParams(query) };
}

/* Keep what was chosen in the address, so that it can be kept, sent or gone back to. */
function remember(view, name, chosen) {
  const query = chosen.toString();
  history.replaceState(null, "", `#/${view}${name && "/"}${encodeURIComponent(name)}${query && "?"}${query}`);
}

function complain(error) {
  if (error?.name === "AbortError") return;
  complaint.hidden = !error;
  complaint.textContent = error ? `${error.message ?? error}`.split("\n")[0] : "";
}

async function open() {
  takeToken();
  leaving.abort();
  leaving = new AbortController();
  const { view, name, chosen } = address();
  complain(null);
  tell("");
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#/${view}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const waiting = setTimeout(() => main.replaceChildren(make("p", { class: "soft" }, "…")), 300);
  const { signal } = leaving;
  const choose = (key, value) => {
    if (value === null || value === "") chosen.delete(key);
    else chosen.set(key, value);
    remember(view, name, chosen);
  };
  try {
    const show = views[view] ?? views.networks;
    const content = await show({ name, chosen, choose, signal, complain, get: (path) => get(path, { signal }) });
    if (signal.aborted) return;
    document.title = `${name || view} · convnets explorer`;
    main.replaceChildren(...content);
    scrollTo(0, 0);
  } catch (error) {
    if (signal.aborted) return;
    main.replaceChildren();
    complain(error);
  } finally {
    clearTimeout(waiting);
  }
}

addEventListener("hashchange", open);
addEventListener("unhandledrejection", (event) => complain(event.reason));
open();
