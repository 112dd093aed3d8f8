// The page: query, filters, results, atlas. What it shows is in its address.

import { readAddress, writeAddress } from "./address.js";
import { Albums } from "./albums.js";
import { Atlas } from "./atlas.js";
import { byId, element } from "./dom.js";
import { Filters } from "./filters.js";
import { card, countClose } from "./gallery.js";
import { Imagination } from "./imagine.js";
import { watchIndex } from "./indexing.js";
import { watchPlayers } from "./players.js";
import { Query } from "./query.js";
import { recorder } from "./recorder.js";
import { Results } from "./results.js";
import { get } from "./service.js";
import { Viewer } from "./viewer.js";
import { Knowledge, suggestions } from "./welcome.js";
import { splitLine } from "./words.js";

const VIEWS = ["lanes", "list", "atlas"];
const NOTHING = "Type text, or drop an image or audio file.";
const showStatus = (text, isError = false) => {
  byId("status").textContent = text;
  byId("status").classList.toggle("error", isError);
};
const showError = (error) => { if (error.name !== "AbortError") showStatus(error.message, true); };

let query;
let filters;
let atlas;
let results;
let imagination;
let viewer;
let pending = null;
let view = "lanes";
let drawn = false;
let among = []; // ids of the points in the lasso

const typed = () => byId("text").value.trim();

/** The search that is shown, as `writeAddress` takes it. */
const current = () => ({ text: typed(), parts: query.parts, filters: filters.chosen, where: byId("where").value.trim(), view });

function remember() {
  const address = writeAddress(current());
  if (address === (location.search || ".")) return;
  history.pushState(null, "", address);
}

/** Search as the user asked: a line with signs becomes parts, and the address changes. */
async function search() {
  if (!(await ready)) return;
  const texts = splitLine(typed());
  if (texts) {
    byId("text").value = "";
    query.setTexts(texts);
  }
  if (view === "atlas") choose("lanes");
  remember();
  await run();
}

/** Search for what is shown. */
async function run() {
  pending?.abort();
  const own = pending = new AbortController();
  const parts = query.body(typed());
  if (!parts.length) return welcome(own.signal);
  showStatus("Searching …");
  const where = [filters.where(byId("where").value), ...(among.length ? [idsFilter()] : [])].filter(Boolean);
  const body = { parts, modalities: filters.modalities, ...(where.length ? { where } : {}) };
  try {
    const isLanes = view !== "list" && filters.modalities.length !== 1;
    const found = await results.search(body, isLanes, query.askers, own.signal);
    showStatus([`${countClose(found.data)}, in ${found.seconds.toFixed(2)} s.`, ...found.notes].join(" "));
    atlas.light(found.data);
  } catch (error) { showError(named(error)); }
}

/** An error about a part, with the name that the user knows it by. */
function named(error) {
  const at = error.param?.match(/^parts\[(\d+)\]/)?.[1];
  const name = at && query.names(typed())[at];
  return name ? Object.assign(new Error(error.message.replace(/^parts\[\d+\][^:]*/, () => name)), { name: error.name }) : error;
}

const idsFilter = () => ({ column: "id", op: "in", value: among.map((id) => id.slice(0, id.lastIndexOf("-"))) });

/** Before a search: words to try and random files. */
async function welcome(signal, seed = 0) {
  showStatus("");
  atlas.light([]);
  try {
    const sample = await get(`v1/sample?count=24&seed=${seed}`, { signal });
    const list = element("ol", { className: "gallery", ariaLabel: "Random files" });
    const own = { ...actions, open: (hit) => viewer.open(hit, sample.data) };
    for (const hit of sample.data) list.append(card(hit, [0, 1], [], own));
    list.classList.add("random");
    byId("gallery").className = "";
    byId("gallery").replaceChildren(suggestions((word) => { byId("text").value = word; search(); }), list);
  } catch (error) { showError(error); }
}

async function imagine() {
  if (!(await ready)) return;
  const parts = query.body(typed());
  if (!parts.length) { showStatus(NOTHING); return; }
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

const actions = {
  open: (hit, hits) => viewer.open(hit, hits),
  similar: findSimilar,
  steer: (hit, weight) => { keepText(); query.addItem(hit, weight); },
  all: (modality) => { filters.set({ ...filters.chosen, modality: [modality] }); search(); },
  fail: showError,
};

/** Show the words in the box as a part, so that they aren't added in silence to what comes. */
function keepText() {
  const texts = splitLine(typed()) ?? (typed() ? [{ text: typed(), weight: 1 }] : []);
  byId("text").value = "";
  query.setTexts(texts);
}

function choose(chosen) {
  view = chosen;
  byId("atlas").hidden = view !== "atlas";
  byId("results").hidden = view === "atlas";
  for (const name of VIEWS) {
    byId(`tab-${name}`).ariaSelected = String(name === view);
    byId(`tab-${name}`).tabIndex = name === view ? 0 : -1;
  }
  if (view === "atlas") draw();
}

/** Choose a view as the user does. */
async function turn(chosen) {
  if (!(await ready)) return;
  const before = view;
  choose(chosen);
  remember();
  if (view !== "atlas" && (before !== "atlas" || query.body(typed()).length)) await run();
}

async function draw() {
  if (drawn || !(await ready)) return;
  drawn = true;
  showStatus("Computing the map; the first time takes a few seconds …");
  try {
    const map = await get("v1/atlas?count=20000");
    atlas.show(map.data);
    const shown = map.data.length.toLocaleString();
    showStatus(map.data.length < map.total ? `${shown} of ${map.total.toLocaleString()} items, drawn at random` : `${shown} items`);
  } catch (error) { drawn = false; showError(error); }
}

async function addFiles(given) {
  if (!(await ready)) return;
  keepText();
  for (const file of given) {
    try { await query.addFile(file); } catch (error) { showError(error); }
  }
}

/** Search only among the points in the lasso. */
function chooseAmong(points) {
  among = points.map((point) => point.id);
  byId("among").hidden = !among.length;
  byId("among").textContent = `${among.length.toLocaleString()} items of the atlas ×`;
  choose("lanes");
  remember();
  run();
}

function addTextListeners() {
  byId("query").addEventListener("submit", (event) => { event.preventDefault(); search(); });
  byId("imagine").addEventListener("click", imagine);
  byId("shuffle").addEventListener("click", () => {
    byId("text").value = "";
    query.clear();
    if (view === "atlas") choose("lanes");
    remember();
    pending?.abort();
    pending = new AbortController();
    welcome(pending.signal, Math.floor(Math.random() * 2 ** 31));
  });
  for (const [id, weight] of [["add-text", 1], ["subtract-text", -0.5]]) {
    byId(id).addEventListener("click", () => {
      const text = typed();
      byId("text").value = "";
      byId("text").focus();
      if (text) ready.then((isReady) => isReady && query.addText(text, weight));
      else showStatus("Type the text first.");
    });
  }
  document.addEventListener("keydown", (event) => {
    const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement.tagName);
    const isEmpty = document.activeElement === byId("text") && !byId("text").value;
    if (event.key === "/" && (!typing || isEmpty)) { event.preventDefault(); byId("text").focus(); }
  });
}

function addFileListeners() {
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
}

function addViewListeners() {
  byId("among").addEventListener("click", () => chooseAmong([]));
  for (const name of VIEWS) {
    byId(`tab-${name}`).addEventListener("click", () => turn(name));
    byId(`tab-${name}`).addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      const other = VIEWS[(VIEWS.indexOf(name) + step + VIEWS.length) % VIEWS.length];
      turn(other);
      byId(`tab-${other}`).focus();
    });
  }
  window.addEventListener("popstate", () => openAddress().catch(showError));
  watchPlayers(document);
}

/** Load what queries need from the service; false if that failed. */
async function load() {
  try {
    const models = await get("v1/models");
    query = new Query(byId("parts"), models.data[0].modalities, search);
    byId("imagine").hidden = !models.data[0].draws;
    imagination = new Imagination(byId("imagined"), (file) => addFiles([file]));
    viewer = new Viewer(findSimilar);
    atlas = new Atlas({ onChoose: findSimilar, onLasso: chooseAmong });
    filters = new Filters(byId("modalities"), byId("facets"), () => { if (query.body(typed()).length) search(); else remember(); });
    results = new Results(byId("gallery"), actions);
    await loadIndex().catch(showError); // without one it still imagines
    return true;
  } catch (error) { showError(error); return false; }
}

async function loadIndex() {
  const index = await get("v1/index");
  const showFacets = async () => filters.show((await get("v1/facets")).data);
  await showFacets();
  byId("shuffle").hidden = false;
  watchIndex(index, async () => {
    drawn = false;
    await showFacets().catch(showError);
    // Files that come meanwhile are shown without disturbing who has scrolled on.
    if (window.scrollY < 100 && view !== "atlas" && !document.querySelector("dialog[open]")) run();
  });
}

/** Show the search of the address: of a link, after a reload, after Back. */
async function openAddress() {
  const link = readAddress(location);
  byId("text").value = link.text || (link.parts.length ? "" : byId("text").value);
  byId("where").value = link.where;
  byId("advanced").open = Boolean(link.where);
  filters.set(link.filters);
  choose(VIEWS.includes(link.view) ? link.view : "lanes");
  const gone = await query.load(link.parts);
  if (view !== "atlas" || query.body(typed()).length) await run();
  if (gone.length) showStatus(gone.join(" "), true);
}

// Listeners come first, so that Enter pressed while the page loads isn't lost.
addTextListeners();
addFileListeners();
addViewListeners();
new Albums(byId("albums"), byId("save"));
new Knowledge();
byId("filters").open = window.innerWidth > 640;
const ready = load();
ready.then((isReady) => isReady && openAddress()).catch(showError);
