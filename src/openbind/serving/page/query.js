// The parts of a query: text, files, recordings, earlier results; each with a weight.

import { button, element, nameOf, plotClass } from "./dom.js";
import { get, keep } from "./service.js";

const MAX_BYTES = 23 << 20; // base64 adds a third, and request bodies are limited to 32 MB
const TABLES = [".csv", ".tsv", ".txt", ".npy", ".npz"]; // of modalities that have no extension of their own
const PLAYED = /\.(mp3|wav|ogg|oga|flac|m4a|webm|opus)$/i;
const SHOWN = /\.(jpe?g|png|webp|gif|avif)$/i;

export class Query {
  /**
   * @param list the element that shows the parts
   * @param modalities the space's modalities, as in /v1/models
   * @param onChange called when the parts have changed
   */
  constructor(list, modalities, onChange) {
    this.list = list;
    this.modalities = modalities;
    this.onChange = onChange;
    this.parts = [];
  }

  /** The parts as /v1/search takes them, the text of the search box first. */
  body(text) {
    const typed = text.trim() ? [{ input: text.trim() }] : [];
    return [...typed, ...this.parts.map(({ kind, value, weight }) => ({ ...sent(kind, value), weight }))];
  }

  /** The names of what `body` returns, for messages. */
  names(text) {
    return [...(text.trim() ? [text.trim()] : []), ...this.parts.map((part) => part.name)];
  }

  /** The hashes of indexed items in the query: they aren't shown among its results. */
  get askers() {
    return new Set(this.parts.filter((part) => part.kind === "item").map((part) => part.content));
  }

  addText(text, weight) {
    this.#add({ kind: "text", value: text, name: text, weight });
    this.onChange();
  }

  /** Replace the query by several texts, as of one line. */
  setTexts(texts) {
    for (const { text, weight } of texts) this.#add({ kind: "text", value: text, name: text, weight });
  }

  /** Replace the query by an indexed item ("More like this"). */
  setItem(hit) {
    this.clear();
    this.addItem(hit, 1);
  }

  addItem(hit, weight) {
    const same = this.parts.find((part) => part.value === hit.id);
    if (same) this.#remove(same);
    this.#add({ kind: "item", value: hit.id, ...shownAs(hit), weight });
    this.onChange();
  }

  /** Send a file to the service, which keeps it for a while, and add it. */
  async addFile(file, modality = this.#modalityOf(file)) {
    if (file.size > MAX_BYTES) throw new Error(`${file.name}: larger than ${MAX_BYTES >> 20} MB.`);
    if (!modality) throw new Error(`${file.name}: this model reads no such files.`);
    const kept = await keep(file);
    this.#add({ kind: modality, value: kept.id, name: file.name, weight: 1 });
    this.onChange();
  }

  /** Show the parts of an address; returns messages about those that are gone. */
  async load(parts) {
    const read = await Promise.allSettled(parts.map((part) => this.#read(part)));
    this.clear();
    for (const each of read) if (each.status === "fulfilled") this.#add(each.value);
    return read.filter((each) => each.status === "rejected").map((each) => each.reason.message);
  }

  clear() {
    this.parts = [];
    this.list.replaceChildren();
  }

  async #read(part) {
    if (part.kind === "item") {
      const hit = await get(`v1/items/${encodeURIComponent(part.value)}`);
      return { ...part, ...shownAs(hit) };
    }
    if (part.kind !== "text") await get(`v1/files/${encodeURIComponent(part.value)}`);
    return part;
  }

  /** The modality of a file by its type and extension; none is guessed. */
  #modalityOf(file) {
    const files = this.modalities.filter((modality) => !modality.is_text);
    const extension = file.name.match(/\.[^.]*$/)?.[0].toLowerCase();
    // A recording is audio, even where its extension (.webm) may also hold video.
    const ofType = files.find((modality) => modality.name === file.type.split("/")[0]);
    const ofName = files.find((modality) => modality.extensions.includes(extension));
    const ofTables = TABLES.includes(extension) ? files.find((modality) => !modality.extensions.length) : null;
    return (file.name.startsWith("recording.") ? ofType : ofName ?? ofType ?? ofTables)?.name;
  }

  #add(part) {
    part.row = this.#show(part);
    this.parts.push(part);
    this.list.append(part.row);
  }

  #remove(part) {
    this.parts.splice(this.parts.indexOf(part), 1);
    part.row.remove();
  }

  #show(part) {
    const remove = button("×", () => { this.#remove(part); this.onChange(); }, { className: "small", ariaLabel: `Remove ${part.name}` });
    const info = element("div", {}, [element("div", { className: "name", textContent: part.name, title: part.name })]);
    if (isFile(part)) info.append(this.#chooser(part));
    const slider = element("input", { type: "range", min: -1, max: 1, step: 0.05, value: part.weight, ariaLabel: `Weight of ${part.name}` });
    const number = element("output");
    const negate = button("±", () => { setWeight(-part.weight); this.onChange(); }, { className: "small", title: "Negate the weight", ariaLabel: `Negate the weight of ${part.name}` });
    const row = element("li", { className: "part" }, [preview(part), info, element("div", { className: "weight" }, [negate, slider, number]), remove]);
    if (isFile(part) && PLAYED.test(part.name)) row.append(element("audio", { controls: true, preload: "none", src: `v1/files/${part.value}/content`, ariaLabel: part.name }));
    const setWeight = (weight) => {
      part.weight = weight;
      slider.value = weight;
      number.value = weight.toFixed(2).replace("-", "−");
      row.classList.toggle("minus", weight < 0);
    };
    setWeight(part.weight);
    slider.addEventListener("input", () => setWeight(Number(slider.value)));
    slider.addEventListener("change", this.onChange);
    return row;
  }

  #chooser(part) {
    const names = this.modalities.filter((modality) => !modality.is_text).map((modality) => modality.name);
    const select = element("select", { ariaLabel: `Modality of ${part.name}` }, names.map((name) => new Option(name, name)));
    select.value = part.kind;
    select.addEventListener("change", () => { part.kind = select.value; this.onChange(); });
    return select;
  }
}

const shownAs = (hit) => ({ name: nameOf(hit), image: hit.thumbnail_url, look: plotClass(hit), content: hit.content });

const isFile = (part) => part.kind !== "text" && part.kind !== "item";

function sent(kind, value) {
  if (kind === "text") return { input: value };
  if (kind === "item") return { id: value };
  return { modality: kind, file: value };
}

function preview(part) {
  if (part.kind === "text") return element("span", { className: "preview", textContent: "Aa", ariaHidden: "true" });
  const shown = part.image ?? (SHOWN.test(part.name) ? `v1/files/${part.value}/content` : null);
  if (shown) return element("img", { className: `preview ${part.look ?? ""}`, src: shown, alt: "" });
  return element("span", { className: "preview", textContent: PLAYED.test(part.name) ? "♪" : "▤", ariaHidden: "true" });
}
