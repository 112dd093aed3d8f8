// The page: a query, its results, the atlas.

import { Atlas } from "./atlas.js";
import { colorOf, element } from "./dom.js";
import { showHits } from "./gallery.js";
import { Query, recorder } from "./query.js";
import { get, post } from "./service.js";

const at = (id) => document.getElementById(id);
const say = (text, isError = false) => {
  at("status").textContent = text;
  at("status").classList.toggle("error", isError);
};
const tell = (error) => { if (error.name !== "AbortError") say(error.message, true); };

let query;
let atlas;
let underWay = null;
let drawn = false;

async function search() {
  if (!(await ready)) return;
  const parts = query.body(at("words").value);
  if (!parts.length) { say("Type words, or drop a image or a sound."); return; }
  underWay?.abort();
  underWay = new AbortController();
  choose("results");
  say("Searching …");
  const body = { parts, count: Number(at("count").value) || 24 };
  body.only = [...at("only").querySelectorAll("input:checked")].map((box) => box.value);
  if (at("where").value.trim()) body.where = at("where").value.trim();
  try {
    const found = await post("v1/search", body, { signal: underWay.signal });
    showHits(at("gallery"), found.data, { like });
    say(found.data.length ? `${found.data.length} found in ${found.seconds.toFixed(2)} s` : "Nothing was found.");
  } catch (error) { tell(error); }
}

function like(hit) {
  at("words").value = "";
  query.setLike(hit);
  window.scrollTo({ top: 0 });
}

function choose(view) {
  for (const name of ["results", "atlas"]) {
    const chosen = name === view;
    at(name).hidden = !chosen;
    at(`tab-${name}`).ariaSelected = String(chosen);
    at(`tab-${name}`).tabIndex = chosen ? 0 : -1;
  }
  if (view === "atlas") draw();
}

async function draw() {
  if (drawn || !(await ready)) return;
  drawn = true;
  say("Drawing the map; the first time takes some seconds …");
  try {
    const map = await get("v1/atlas");
    atlas.show(map.data);
    say(`${map.data.length} items`);
  } catch (error) { drawn = false; tell(error); }
}

async function addFiles(files) {
  if (!(await ready)) return;
  for (const file of files) {
    try { await query.addFile(file); } catch (error) { tell(error); }
  }
}

function listen() {
  at("query").addEventListener("submit", (event) => { event.preventDefault(); search(); });
  for (const [id, weight] of [["add-words", 1], ["subtract-words", -0.5]]) {
    at(id).addEventListener("click", () => {
      const words = at("words").value.trim();
      at("words").value = "";
      at("words").focus();
      if (words) ready.then((isReady) => isReady && query.addWords(words, weight));
      else say("Type the words first.");
    });
  }
  at("files").addEventListener("change", async () => { await addFiles([...at("files").files]); at("files").value = ""; });
  recorder(at("record"), (file) => addFiles([file]), (text) => say(text, true));
  document.addEventListener("paste", (event) => { if (event.clipboardData.files.length) addFiles([...event.clipboardData.files]); });
  document.addEventListener("dragover", (event) => { event.preventDefault(); at("drop").hidden = false; });
  document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) at("drop").hidden = true; });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    at("drop").hidden = true;
    addFiles([...event.dataTransfer.files]);
  });
  document.addEventListener("keydown", (event) => {
    const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement.tagName);
    if (event.key === "/" && !typing) { event.preventDefault(); at("words").focus(); }
  });
  const tabs = ["results", "atlas"];
  for (const name of tabs) {
    at(`tab-${name}`).addEventListener("click", () => choose(name));
    at(`tab-${name}`).addEventListener("keydown", (event) => {
      if (!event.key.startsWith("Arrow")) return;
      const other = tabs[1 - tabs.indexOf(name)];
      choose(other);
      at(`tab-${other}`).focus();
    });
  }
}

function showKinds(index) {
  for (const [kind, rows] of Object.entries(index.by_modality)) {
    const box = element("input", { type: "checkbox", value: kind });
    box.addEventListener("change", () => { if (query.body(at("words").value).length) search(); });
    const swatch = element("span", { className: "swatch" });
    swatch.style.background = colorOf(kind);
    at("only").append(element("label", { className: "choice" }, [box, swatch, `${kind} ${rows.toLocaleString()}`]));
  }
  at("summary").textContent = `${index.files.toLocaleString()} files in ${index.roots.join(", ")}, by what they mean`;
}

/** Learn of the service what has to be known before anything can be asked; false if it failed. */
async function begin() {
  try {
    const models = await get("v1/models");
    query = new Query(at("parts"), models.data[0].modalities, search);
    atlas = new Atlas(at("canvas"), at("legend"), at("pointed"), like);
    showKinds(await get("v1/index"));
    return true;
  } catch (error) { tell(error); return false; }
}

async function openLink() {
  // A search can be kept as a link: /?q=waves&minus=people&like=ID, /#atlas.
  const link = new URLSearchParams(location.search);
  if (link.get("like")) query.setLike(await get(`v1/items/${encodeURIComponent(link.get("like"))}`));
  if (link.has("q")) at("words").value = link.get("q");
  if (link.get("minus")) query.addWords(link.get("minus"), -0.5);
  else if (link.has("q")) search();
  if (location.hash === "#atlas") choose("atlas");
}

// Listening comes first: whoever types and presses Enter at once is not to lose the words.
listen();
const ready = begin();
ready.then((isReady) => isReady && openLink()).catch(tell);
