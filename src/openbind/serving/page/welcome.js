// Before the first search: random files and words to try; and what the model knows.

import { button, byId, element } from "./dom.js";
import { get, post } from "./service.js";

const WORDS = ["dog", "flowers", "car", "people", "water", "music"];

/** Words to try, as buttons that search. */
export function suggestions(onChoose) {
  const words = WORDS.map((word) => button(word, () => onChoose(word)));
  return element("p", { className: "line" }, [element("span", { className: "soft", textContent: "Try:" }), ...words]);
}

/** The dialog about the model: its card, and a word tried in the index. */
export class Knowledge {
  constructor() {
    this.dialog = byId("knowledge");
    byId("know").addEventListener("click", () => this.#open());
    byId("try").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#attempt(byId("try").querySelector("input").value.trim());
    });
  }

  async #open() {
    this.dialog.showModal();
    if (byId("card-summary").textContent) return;
    try {
      const card = await get("v1/card");
      const languages = card.languages.length ? ` It knows texts in ${card.languages.join(", ")}.` : "";
      byId("card-summary").textContent = card.summary + languages;
      byId("card-limits").replaceChildren(...card.limits.map((each) => element("li", { textContent: each })));
      byId("card-numbers").replaceChildren(...card.measurements.map(row));
    } catch (error) { byId("card-summary").textContent = error.message; }
  }

  async #attempt(word) {
    if (!word) return;
    const list = byId("tried");
    try {
      const found = await post("v1/search", { parts: [{ input: word }], top_k: 1, lanes: true });
      const lines = found.data.map((hit) => {
        if (hit.close === null) return `${hit.modality}: cosine ${hit.score.toFixed(2)} at best; the model has no numbers to judge it`;
        const verdict = hit.close ? "something close here" : "nothing close here";
        return `${hit.modality}: ${verdict} (${hit.deviations.toFixed(1)} σ at best)`;
      });
      list.replaceChildren(...[...lines, ...found.notes].map((line) => element("li", { textContent: line })));
    } catch (error) { list.replaceChildren(element("li", { textContent: error.message })); }
  }
}

function row({ task, data, metric, value, chance, count }) {
  const number = (each) => each.toFixed(3);
  const cells = [task, data + (count ? ` (n = ${count.toLocaleString()})` : ""), metric, number(value), number(chance)];
  return element("tr", {}, cells.map((each) => element("td", { textContent: each })));
}
