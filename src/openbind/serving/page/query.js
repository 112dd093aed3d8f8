// The parts of a query: text, files, recordings, earlier results; each with a weight.

import { element } from "./dom.js";

const MAX_BYTES = 23 << 20; // base64 adds a third, and request bodies are limited to 32 MB

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
    return [...typed, ...this.parts.map(({ sent, weight }) => ({ ...sent, weight }))];
  }

  addText(text, weight) {
    this.#add({ sent: { input: text }, weight, name: text, mark: "Aa" });
  }

  /** Replace the query by an indexed item ("More like this"). */
  setItem(hit) {
    this.clear();
    this.#add({ sent: { id: hit.id }, weight: 1, name: hit.path.split("/").pop(), image: hit.thumbnail_url });
  }

  async addFile(file, modality = this.#modalityOf(file)) {
    if (file.size > MAX_BYTES) throw new Error(`${file.name}: larger than ${MAX_BYTES >> 20} MB`);
    if (!modality) throw new Error(`${file.name}: this space takes only text`);
    const url = await read(file);
    const preview = file.type.startsWith("image/") ? { image: url } : { mark: file.type.startsWith("audio/") ? "♪" : "▤" };
    const audio = file.type.startsWith("audio/") ? url : null;
    this.#add({ sent: { modality, input: url }, weight: 1, name: file.name, audio, ...preview });
  }

  clear() {
    this.parts = [];
    this.list.replaceChildren();
  }

  #modalityOf(file) {
    const files = this.modalities.filter((modality) => !modality.is_text);
    const extension = file.name.match(/\.[^.]*$/)?.[0].toLowerCase();
    // A recording is audio, even where its extension (.webm) may also hold video.
    const found = files.find((modality) => modality.name === file.type.split("/")[0])
      ?? files.find((modality) => modality.extensions.includes(extension))
      ?? files.find((modality) => !modality.extensions.length);
    return (found ?? files[0])?.name;
  }

  #add(part) {
    this.parts.push(part);
    this.list.append(this.#show(part));
    this.onChange();
  }

  #show(part) {
    const preview = part.image
      ? element("img", { className: "preview", src: part.image, alt: "" })
      : element("span", { className: "preview", textContent: part.mark, ariaHidden: "true" });
    const info = element("div", {}, [element("div", { className: "name", textContent: part.name, title: part.name })]);
    if (part.sent.modality) info.append(this.#chooser(part));
    const remove = element("button", { type: "button", className: "small", textContent: "×", ariaLabel: `Remove ${part.name}` });
    const slider = element("input", { type: "range", min: -1, max: 1, step: 0.05, value: part.weight, ariaLabel: `Weight of ${part.name}` });
    const number = element("output");
    const negate = element("button", { type: "button", className: "small", textContent: "±", title: "Negate the weight", ariaLabel: `Negate the weight of ${part.name}` });
    const row = element("li", { className: "part" }, [preview, info, remove, element("div", { className: "weight" }, [negate, slider, number])]);
    if (part.audio) row.append(element("audio", { controls: true, src: part.audio }));
    const setWeight = (weight) => {
      part.weight = weight;
      slider.value = weight;
      number.value = weight.toFixed(2).replace("-", "−");
      row.classList.toggle("minus", weight < 0);
    };
    setWeight(part.weight);
    slider.addEventListener("input", () => setWeight(Number(slider.value)));
    slider.addEventListener("change", this.onChange);
    negate.addEventListener("click", () => { setWeight(-part.weight); this.onChange(); });
    remove.addEventListener("click", () => {
      this.parts.splice(this.parts.indexOf(part), 1);
      row.remove();
      this.onChange();
    });
    return row;
  }

  #chooser(part) {
    const names = this.modalities.filter((modality) => !modality.is_text).map((modality) => modality.name);
    const select = element("select", { ariaLabel: `Modality of ${part.name}` }, names.map((name) => new Option(name, name)));
    select.value = part.sent.modality;
    select.addEventListener("change", () => { part.sent.modality = select.value; this.onChange(); });
    return select;
  }
}

function read(file) {
  return new Promise((done, failed) => {
    const reader = new FileReader();
    reader.onload = () => done(reader.result);
    reader.onerror = () => failed(new Error(`${file.name}: can't read the file`));
    reader.readAsDataURL(file);
  });
}

/** Make a button record from the microphone until it is pressed again. */
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
      fail(`Can't record: ${error.message}`);
    }
  });
}
