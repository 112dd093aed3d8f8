// Filters of the results: boxes with counts for modality, folder, date, camera, duration and size.

import { element, swatchOf } from "./dom.js";

const TITLES = { folder: "Folder", year: "Year", month: "Month", camera: "Camera", duration: "Duration", size: "Size" };

export class Filters {
  /**
   * @param chips the element of the modalities
   * @param menus the element of the other properties
   * @param onChange called when another value is chosen
   */
  constructor(chips, menus, onChange) {
    Object.assign(this, { chips, menus, onChange, chosen: {}, conditions: {} });
  }

  /** Show the values that there are, from /v1/facets; what is chosen stays so. */
  show(facets) {
    this.conditions = Object.fromEntries(facets.map(({ name, values }) => [name, Object.fromEntries(values.map(({ label, where }) => [label, where]))]));
    const legend = this.chips.querySelector("legend");
    const modalities = facets.find(({ name }) => name === "modality")?.values ?? [];
    this.chips.replaceChildren(legend, ...modalities.map((value) => this.#choice("modality", value)));
    const open = [...this.menus.querySelectorAll("[open]")].map((menu) => menu.dataset.name);
    const shown = facets.filter(({ name, values }) => name in TITLES && (values.length > 1 || this.chosen[name]?.length));
    this.menus.replaceChildren(...shown.map((facet) => this.#menu(facet, open.includes(facet.name))));
  }

  /** Choose values, as of an address. */
  set(chosen) {
    this.chosen = structuredClone(chosen);
    for (const box of this.#boxes()) box.checked = this.chosen[box.name]?.includes(box.value) ?? false;
    this.#count();
  }

  get modalities() { return this.chosen.modality ?? []; }

  /** The filter in the service's notation: one of each property's values, joined with a condition. */
  where(condition) {
    const parts = condition.trim() ? [condition.trim()] : [];
    for (const [name, labels] of Object.entries(this.chosen)) {
      if (name === "modality" || !labels.length) continue;
      const known = labels.map((label) => this.conditions[name]?.[label]).filter(Boolean);
      // A link may name a folder that is gone: it has no files.
      parts.push(known.length ? known.map((each) => `(${each})`).join(" or ") : "segment < 0");
    }
    return parts.map((part) => `(${part})`).join(" and ");
  }

  #boxes() { return [...this.chips.querySelectorAll("input"), ...this.menus.querySelectorAll("input")]; }

  #choice(name, { label, count }) {
    const box = element("input", { type: "checkbox", name, value: label, checked: this.chosen[name]?.includes(label) ?? false });
    box.addEventListener("change", () => {
      const others = (this.chosen[name] ?? []).filter((each) => each !== label);
      this.chosen[name] = box.checked ? [...others, label] : others;
      if (!this.chosen[name].length) delete this.chosen[name];
      this.#count();
      this.onChange();
    });
    const mark = name === "modality" ? [swatchOf(label)] : [];
    return element("label", { className: "choice" }, [box, ...mark, `${label} ${count.toLocaleString()}`]);
  }

  #menu({ name, values }, isOpen) {
    const menu = element("details", { className: "menu", open: isOpen }, [
      element("summary", { textContent: TITLES[name] }),
      element("div", { className: "values" }, values.map((value) => this.#choice(name, value))),
    ]);
    menu.dataset.name = name;
    menu.addEventListener("toggle", () => {
      if (menu.open) for (const other of this.menus.children) if (other !== menu) other.open = false;
    });
    menu.addEventListener("keydown", (event) => { if (event.key === "Escape") { menu.open = false; menu.firstChild.focus(); } });
    this.#title(menu);
    return menu;
  }

  #count() { for (const menu of this.menus.children) this.#title(menu); }

  #title(menu) {
    const count = this.chosen[menu.dataset.name]?.length;
    menu.firstChild.textContent = TITLES[menu.dataset.name] + (count ? ` (${count})` : "");
    menu.classList.toggle("chosen", Boolean(count));
  }
}
