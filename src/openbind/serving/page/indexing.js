// Progress of the index, which is updated while the page is up.

import { byId } from "./dom.js";
import { get } from "./service.js";

const WAIT_MS = 2000;
const IDLE_MS = 30_000;

/** Show the index's size and its progress, again and again; `onChange` is called when files have come. */
export async function watchIndex(first, onChange) {
  let index = first;
  let rows = first.rows;
  for (;;) {
    show(index);
    await new Promise((done) => setTimeout(done, index.updating || !index.rows ? WAIT_MS : IDLE_MS));
    if (document.hidden) continue;
    try { index = await get("v1/index"); } catch { continue; }
    if (index.rows !== rows) {
      rows = index.rows;
      onChange();
    }
  }
}

function show({ files, roots, updating, problem }) {
  byId("summary").textContent = `${files.toLocaleString()} files in ${roots.join(", ")}`;
  const line = byId("indexing");
  line.hidden = !updating && !problem;
  const bar = line.querySelector("progress");
  bar.hidden = !updating;
  if (updating?.total) Object.assign(bar, { max: updating.total, value: updating.done });
  else bar.removeAttribute("value");
  const text = updating?.total ? `Indexing ${updating.done.toLocaleString()} of ${updating.total.toLocaleString()}` : "Looking for files …";
  line.querySelector("span").textContent = updating ? text : problem ? `The last update failed: ${problem}` : "";
}
