// The parts of a query: words, files, recordings, items found before; each with a weight.

import { element } from "./dom.js";

const LARGEST_BYTES = 23 << 20; // base64 makes a third more of it, and a body has 32 MB at most

export class Query {
  /**
   * @param list the element that shows the parts
   * @param kinds the space's modalities, as /v1/models describes them
   * @param changed called when the parts are others
   */
  constructor(list, kinds, changed) {
    this.list = list;
    this.kinds = kinds;
    this.changed = changed;
    this.parts = [];
  }

  /** What /v1/search takes; `words` is what stands in the box. */
  body(words) {
    const typed = words.trim() ? [{ input: words.trim() }] : [];
    return [...typed, ...this.parts.map(({ sent, weight }) => ({ ...sent, weight }))];
  }

  addWords(words, weight) {
    this.#add({ sent: { input: words }, weight, name: words, mark: "Aa" });
  }

  /** "More like this" begins again with one item. */
  setLike(hit) {
    this.clear();
    this.#add({ sent: { id: hit.id }, weight: 1, name: hit.path.split("/").pop(), image: hit.thumbnail_url });
  }

  async addFile(file, modality = this.#kindOf(file)) {
    if (file.size > LARGEST_BYTES) throw new Error(`${file.name}: larger than ${LARGEST_BYTES >> 20} MB`);
    if (!modality) throw new Error(`${file.name}: this space takes no files`);
    const url = await read(file);
    const shown = file.type.startsWith("image/") ? { image: url } : { mark: file.type.startsWith("audio/") ? "♪" : "▤" };
    const sound = file.type.startsWith("audio/") ? url : null;
    this.#add({ sent: { modality, input: url }, weight: 1, name: file.name, sound, ...shown });
  }

  clear() {
    this.parts = [];
    this.list.replaceChildren();
  }

  #kindOf(file) {
    const files = this.kinds.filter((kind) => !kind.words);
    const extension = file.name.match(/\.[^.]*$/)?.[0].toLowerCase();
    // A recording is a sound, whatever else files with its extension hold.
    const found = files.find((kind) => kind.name === file.type.split("/")[0])
      ?? files.find((kind) => kind.extensions.includes(extension))
      ?? files.find((kind) => !kind.extensions.length);
    return (found ?? files[0])?.name;
  }

  #add(part) {
    this.parts.push(part);
    this.list.append(this.#show(part));
    this.changed();
  }

  #show(part) {
    const shown = part.image
      ? element("img", { className: "shown", src: part.image, alt: "" })
      : element("span", { className: "shown", textContent: part.mark, ariaHidden: "true" });
    const about = element("div", {}, [element("div", { className: "name", textContent: part.name, title: part.name })]);
    if (part.sent.modality) about.append(this.#chooser(part));
    const remove = element("button", { type: "button", className: "small", textContent: "×", ariaLabel: `Remove ${part.name}` });
    const slider = element("input", { type: "range", min: -1, max: 1, step: 0.05, value: part.weight, ariaLabel: `Weight of ${part.name}` });
    const number = element("output");
    const minus = element("button", { type: "button", className: "small", textContent: "±", title: "Like or unlike", ariaLabel: `Like or unlike ${part.name}` });
    const row = element("li", { className: "part" }, [shown, about, remove, element("div", { className: "weigh" }, [minus, slider, number])]);
    if (part.sound) row.append(element("audio", { controls: true, src: part.sound }));
    const weigh = (weight) => {
      part.weight = weight;
      slider.value = weight;
      number.value = weight.toFixed(2).replace("-", "−");
      row.classList.toggle("minus", weight < 0);
    };
    weigh(part.weight);
    slider.addEventListener("input", () => weigh(Number(slider.value)));
    slider.addEventListener("change", this.changed);
    minus.addEventListener("click", () => { weigh(-part.weight); this.changed(); });
    remove.addEventListener("click", () => {
      this.parts.splice(this.parts.indexOf(part), 1);
      row.remove();
      this.changed();
    });
    return row;
  }

  #chooser(part) {
    const names = this.kinds.filter((kind) => !kind.words).map((kind) => kind.name);
    const select = element("select", { ariaLabel: `What ${part.name} is` }, names.map((name) => new Option(name, name)));
    select.value = part.sent.modality;
    select.addEventListener("change", () => { part.sent.modality = select.value; this.changed(); });
    return select;
  }
}

function read(file) {
  return new Promise((done, failed) => {
    const reader = new FileReader();
    reader.onload = () => done(reader.result);
    reader.onerror = () => failed(new Error(`${file.name}: can't be read`));
    reader.readAsDataURL(file);
  });
}

/** A button that records from the microphone until it is pressed again. */
export function recorder(button, add, fail) {
  if (!navigator.mediaDevices?.getUserMedia || !window.MediaRecorder) return;
  button.hidden = false;
  let recording = null;
  button.addEventListener("click", async () => {
    if (recording) { recording.stop(); return; }
    try {
      const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
      const chunks = [];
      recording = new MediaRecorder(stream);
      recording.addEventListener("dataavailable", (event) => chunks.push(event.data));
      recording.addEventListener("stop", () => {
        stream.getTracks().forEach((track) => track.stop());
        recording = null;
        button.textContent = "● Record";
        button.classList.remove("recording");
        const type = chunks[0]?.type || "audio/webm";
        add(new File(chunks, "recording.webm", { type }));
      });
      recording.start();
      button.textContent = "■ Stop";
      button.classList.add("recording");
    } catch (error) {
      recording = null;
      fail(`The microphone can't be used (${error.message}).`);
    }
  });
}
