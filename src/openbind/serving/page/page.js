// The page: query, results, atlas.

import { Atlas } from "./atlas.js";
import { colorOf, element } from "./dom.js";
import { countClose, showHits } from "./gallery.js";
import { Imagination } from "./imagine.js";
import { Query, recorder } from "./query.js";
import { get, post } from "./service.js";

const byId = (id) => document.getElementById(id);
const showStatus = (text, isError = false) => {
  byId("status").textContent = text;
  byId("status").classList.toggle("error", isError);
};
const showError = (error) => { if (error.name !== "AbortError") showStatus(error.message, true); };

let query;
let atlas;
let imagination;
let pending = null;
let drawn = false;

async function search() {
  if (!(await ready)) return;
  const parts = query.body(byId("text").value);
  if (!parts.length) { showStatus("Type text, or drop an image or audio file."); return; }
  pending?.abort();
  pending = new AbortController();
  choose("results");
  showStatus("Searching …");
  const body = { parts, top_k: Number(byId("top-k").value) || 24 };
  body.modalities = [...byId("modalities").querySelectorAll("input:checked")].map((box) => box.value);
  if (byId("where").value.trim()) body.where = byId("where").value.trim();
  try {
    const found = await post("v1/search", body, { signal: pending.signal });
    showHits(byId("gallery"), found.data, findSimilar, parts);
    showStatus([`${countClose(found.data)}, in ${found.seconds.toFixed(2)} s.`, ...found.notes].join(" "));
  } catch (error) { showError(error); }
}

async function imagine() {
  if (!(await ready)) return;
  const parts = query.body(byId("text").value);
  if (!parts.length) { showStatus("Type text, or drop an image or audio file."); return; }
  showStatus("Drawing …");
  try {
    const { count, notes } = await imagination.draw(parts);
    showStatus([`Drew ${count} images.`, ...notes].join(" "));
  } catch (error) {
    if (error.name === "AbortError") showStatus("Canceled.");
    else showError(error);
  }
}

function findSimilar(hit) {
  byId("text").value = "";
  query.setItem(hit);
  window.scrollTo({ top: 0 });
}

function choose(view) {
  for (const name of ["results", "atlas"]) {
    const chosen = name === view;
    byId(name).hidden = !chosen;
    byId(`tab-${name}`).ariaSelected = String(chosen);
    byId(`tab-${name}`).tabIndex = chosen ? 0 : -1;
  }
  if (view === "atlas") draw();
}

async function draw() {
  if (drawn || !(await ready)) return;
  drawn = true;
  showStatus("Computing the map; the first time takes a few seconds …");
  try {
    const map = await get("v1/atlas");
    atlas.show(map.data);
    showStatus(`${map.data.length} items`);
  } catch (error) { drawn = false; showError(error); }
}

async function addFiles(files) {
  if (!(await ready)) return;
  for (const file of files) {
    try { await query.addFile(file); } catch (error) { showError(error); }
  }
}

function addListeners() {
  byId("query").addEventListener("submit", (event) => { event.preventDefault(); search(); });
  byId("imagine").addEventListener("click", imagine);
  for (const [id, weight] of [["add-text", 1], ["subtract-text", -0.5]]) {
    byId(id).addEventListener("click", () => {
      const text = byId("text").value.trim();
      byId("text").value = "";
      byId("text").focus();
      if (text) ready.then((isReady) => isReady && query.addText(text, weight));
      else showStatus("Type the text first.");
    });
  }
  byId("files").addEventListener("change", async () => { await addFiles([...byId("files").files]); byId("files").value = ""; });
  recorder(byId("record"), (file) => addFiles([file]), (text) => showStatus(text, true));
  document.addEventListener("paste", (event) => { if (event.clipboardData.files.length) addFiles([...event.clipboardData.files]); });
  document.addEventListener("dragover", (event) => { event.preventDefault(); byId("drop").hidden = false; });
  document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) byId("drop").hidden = true; });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    byId("drop").hidden = true;
    addFiles([...event.dataTransfer.files]);
  });
  document.addEventListener("keydown", (event) => {
    const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement.tagName);
    if (event.key === "/" && !typing) { event.preventDefault(); byId("text").focus(); }
  });
  const tabs = ["results", "atlas"];
  for (const name of tabs) {
    byId(`tab-${name}`).addEventListener("click", () => choose(name));
    byId(`tab-${name}`).addEventListener("keydown", (event) => {
      if (!event.key.startsWith("Arrow")) return;
      const other = tabs[1 - tabs.indexOf(name)];
      choose(other);
      byId(`tab-${other}`).focus();
    });
  }
}

function showModalities(index) {
  for (const [modality, count] of Object.entries(index.by_modality)) {
    const box = element("input", { type: "checkbox", value: modality });
    box.addEventListener("change", () => { if (query.body(byId("text").value).length) search(); });
    const swatch = element("span", { className: "swatch" });
    swatch.style.background = colorOf(modality);
    byId("modalities").append(element("label", { className: "choice" }, [box, swatch, `${modality} ${count.toLocaleString()}`]));
  }
  byId("summary").textContent = `${index.files.toLocaleString()} files in ${index.roots.join(", ")}`;
}

/** Load what queries need from the service; false if that failed. */
async function load() {
  try {
    const models = await get("v1/models");
    query = new Query(byId("parts"), models.data[0].modalities, search);
    byId("imagine").hidden = !models.data[0].draws;
    imagination = new Imagination(byId("imagined"), (file) => addFiles([file]));
    atlas = new Atlas(byId("canvas"), byId("legend"), byId("selected"), findSimilar);
    await get("v1/index").then(showModalities).catch(showError); // without one it still imagines
    return true;
  } catch (error) { showError(error); return false; }
}

async function openLink() {
  // Searches have links: /?q=waves&minus=people&like=ID, /#atlas.
  const link = new URLSearchParams(location.search);
  if (link.get("like")) query.setItem(await get(`v1/items/${encodeURIComponent(link.get("like"))}`));
  if (link.has("q")) byId("text").value = link.get("q");
  if (link.get("minus")) query.addText(link.get("minus"), -0.5);
  else if (link.has("q")) search();
  if (location.hash === "#atlas") choose("atlas");
}

// Listeners come first, so that Enter pressed while the page loads isn't lost.
addListeners();
const ready = load();
ready.then((isReady) => isReady && openLink()).catch(showError);
