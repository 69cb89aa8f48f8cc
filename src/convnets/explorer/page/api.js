/* Questions to the server. The token comes with the printed address, and is taken out of it. */

const KEPT = "convnets-token";
const TRIES = 20;

export function takeToken() {
  const found = /^#token=([\w-]+)(.*)$/.exec(location.hash);
  if (!found) return;
  localStorage.setItem(KEPT, found[1]);
  history.replaceState(null, "", `#${found[2] || "/networks"}`);
}

const pause = (seconds) => new Promise((done) => setTimeout(done, seconds * 1000));

async function ask(path, options) {
  const headers = { "X-Convnets-Token": localStorage.getItem(KEPT) ?? "" };
  for (let left = TRIES; ; left -= 1) {
    let answer;
    try {
      answer = await fetch(path, { ...options, headers });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Error("the explorer does not answer: is it still running?");
    }
    if (answer.status === 503 && left > 0) {
      await pause(Number(answer.headers.get("Retry-After") ?? 1));
      continue;
    }
    const content = await answer.json();
    if (!answer.ok) throw new Error(content.error);
    return content;
  }
}

export const get = (path, options = {}) => ask(path, options);
export const post = (path, body, options = {}) => ask(path, { ...options, method: "POST", body });

/* An address below /api/ from parts that may hold anything, and what is asked of it. */
export function address(parts, asked = {}) {
  const given = Object.entries(asked).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const query = new URLSearchParams(given).toString();
  return `/api/${parts.map(encodeURIComponent).join("/")}${query && "?"}${query}`;
}
