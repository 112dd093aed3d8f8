// Images drawn of the query, with progress; each can become part of the query.

import { element } from "./dom.js";
import { postEvents } from "./service.js";

const COUNT = 4;

export class Imagination {
  /**
   * @param section the element that shows the images; it has a progress bar, a button that cancels, a list
   * @param onUse called with an image as a File, to add it to the query
   */
  constructor(section, onUse) {
    this.section = section;
    this.bar = section.querySelector("progress");
    this.cancel = section.querySelector("button");
    this.list = section.querySelector("ol");
    this.onUse = onUse;
    this.pending = null;
    this.seed = 0;
    this.cancel.addEventListener("click", () => this.pending?.abort());
  }

  /** Draw images of the parts of a query; other ones each time. Returns the number drawn, and notes on the query. */
  async draw(parts) {
    this.pending?.abort();
    const pending = this.pending = new AbortController();
    this.section.hidden = false;
    this.#setRunning(true);
    this.bar.removeAttribute("value");
    const body = { parts, n: COUNT, seed: this.seed++, stream: true };
    try {
      let images = [], notes = [];
      await postEvents("v1/images/generations", body, { signal: pending.signal }, (event) => {
        if (event.error) throw new Error(event.error.message);
        if (event.total) { this.bar.max = event.total; this.bar.value = event.done; }
        if (event.data) { images = event.data; notes = event.notes; }
      });
      this.list.replaceChildren(...images.map((image, at) => this.#card(image.b64_json, at)));
      return { count: images.length, notes };
    } finally {
      if (this.pending === pending) {
        this.#setRunning(false);
        this.section.hidden = !this.list.children.length;
      }
    }
  }

  #setRunning(isRunning) {
    this.bar.hidden = this.cancel.hidden = !isRunning;
  }

  #card(content, at) {
    const name = `imagined-${this.seed}-${at + 1}.png`;
    const url = `data:image/png;base64,${content}`;
    const image = element("img", { src: url, alt: `Imagined image ${at + 1}` });
    const use = element("button", { type: "button", textContent: "Use in query", ariaLabel: `Use imagined image ${at + 1} in the query` });
    use.addEventListener("click", () => this.onUse(new File([bytes(content)], name, { type: "image/png" })));
    const save = element("a", { className: "button", href: url, download: name, textContent: "Save", ariaLabel: `Save imagined image ${at + 1}` });
    return element("li", { className: "hit" }, [image, element("div", { className: "actions" }, [use, save])]);
  }
}

function bytes(content) {
  return Uint8Array.from(atob(content), (character) => character.charCodeAt(0));
}
