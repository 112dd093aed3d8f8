// Saved searches: names and addresses in this browser's storage.

import { button, element } from "./dom.js";

const KEY = "openbind.searches";

export class Albums {
  /**
   * @param list the element that shows them
   * @param form names and saves the search that is shown
   */
  constructor(list, form) {
    Object.assign(this, { list, form });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const [input] = form.elements;
      const name = input.value.trim();
      if (name) this.#write({ ...this.#read(), [name]: location.search });
      input.value = "";
    });
    this.#show();
  }

  #read() {
    try { return JSON.parse(localStorage.getItem(KEY)) ?? {}; } catch { return {}; }
  }

  #write(albums) {
    try { localStorage.setItem(KEY, JSON.stringify(albums)); } catch { /* a browser without storage */ }
    this.#show();
  }

  #show() {
    const rows = Object.entries(this.#read()).map(([name, address]) => {
      const open = element("a", { className: "button", href: address || ".", textContent: name });
      const forget = button("×", () => {
        const { [name]: _, ...others } = this.#read();
        this.#write(others);
      }, { className: "small", ariaLabel: `Forget the search ${name}` });
      return element("li", { className: "line" }, [open, forget]);
    });
    this.list.replaceChildren(...rows);
  }
}
