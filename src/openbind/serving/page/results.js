// The results of a search: lanes side by side, one for each modality, or one list; more on scrolling.

import { button, element, swatchOf } from "./dom.js";
import { card, showCopies, strength } from "./gallery.js";
import { post } from "./service.js";

export const PAGE = 24;
const LANE_PAGE = 12;

export class Results {
  /**
   * @param section the element to fill
   * @param actions open(hit, hits), similar(hit), steer(hit, weight), all(modality), fail(error)
   */
  constructor(section, actions) {
    Object.assign(this, { section, actions, lanes: [] });
    this.observer = new IntersectionObserver((entries) => {
      for (const { isIntersecting, target } of entries) if (isIntersecting) target.lane.more();
    }, { rootMargin: "300px" });
  }

  /** All results that are shown, in order. */
  get hits() { return this.lanes.flatMap((lane) => lane.hits); }

  /**
   * Search, and show what is found.
   *
   * @param body of /v1/search
   * @param isLanes whether modalities stand side by side
   * @param askers hashes of the query's own items, which aren't shown
   * @param signal cancels it
   * @returns the response
   */
  async search(body, isLanes, askers, signal) {
    const count = isLanes ? LANE_PAGE : PAGE;
    const found = await post("v1/search", { ...body, top_k: count, lanes: isLanes }, { signal });
    this.observer.disconnect();
    const strengths = found.data.map(strength);
    const low = Math.min(...strengths, 0);
    const range = [low, Math.max(...strengths, low + 1e-6)];
    const names = isLanes ? rankModalities(found) : [null];
    this.lanes = names.map((modality) => new Lane(this, { body, modality, count, range, askers, total: totalOf(found.totals, modality), signal }));
    this.section.className = names.length > 1 ? "lanes" : "";
    this.section.replaceChildren(...this.lanes.map((lane) => lane.element));
    for (const lane of this.lanes) {
      lane.add(found.data.filter((hit) => lane.modality === null || hit.modality === lane.modality));
    }
    return found;
  }
}

/** The modalities that were searched, that of the best result first. */
function rankModalities({ data, totals }) {
  const best = (modality) => Math.max(...data.filter((hit) => hit.modality === modality).map(strength), -Infinity);
  return Object.keys(totals).sort((a, b) => best(b) - best(a));
}

const totalOf = (totals, modality) => (modality === null ? Object.values(totals).reduce((sum, each) => sum + each, 0) : totals[modality]);

class Lane {
  constructor(results, settings) {
    Object.assign(this, { results, ...settings, hits: [], received: 0, cards: new Map(), isBusy: false });
    this.list = element("ol", { ariaLabel: this.modality === null ? "Results, best first" : `Results of ${this.modality}, best first` });
    this.list.classList.add("gallery");
    this.title = element("h2", { className: "lane-title" });
    // In the list: of a lane that scrolls sideways it comes into view at the lane's end.
    this.end = element("li", { className: "end", ariaHidden: "true" });
    this.end.lane = this;
    this.list.append(this.end);
    this.element = element("section", { className: "lane" }, [this.title, this.list]);
    this.element.dataset.modality = this.modality ?? "";
  }

  add(hits) {
    this.received += hits.length;
    const { actions } = this.results;
    const own = { ...actions, open: (hit) => actions.open(hit, this.results.hits) };
    for (const hit of hits.filter((each) => !this.askers.has(each.content))) {
      const key = `${hit.modality} ${hit.content}`;
      const known = this.cards.get(key);
      if (known) {
        known.paths.push(hit.path);
        showCopies(known.made, known.paths);
      } else {
        const made = card(hit, this.range, this.body.parts, own);
        this.cards.set(key, { made, paths: [hit.path] });
        this.hits.push(hit);
        this.end.before(made);
      }
    }
    this.isDone = hits.length < this.count || this.received >= this.total;
    this.#describe();
    this.results.observer.unobserve(this.end);
    if (!this.isDone) this.results.observer.observe(this.end);
  }

  async more() {
    if (this.isBusy || this.isDone || this.signal.aborted) return;
    this.isBusy = true;
    const modalities = this.modality === null ? this.body.modalities : [this.modality];
    const body = { ...this.body, modalities, top_k: this.count, skip: this.received };
    try {
      this.add((await post("v1/search", body, { signal: this.signal })).data);
    } catch (error) {
      this.isDone = true;
      this.results.actions.fail(error);
    } finally { this.isBusy = false; }
  }

  #describe() {
    const shown = this.hits.length;
    const none = shown && this.hits.every((hit) => hit.close === false) ? ", none close" : "";
    const text = (shown === this.total ? `all ${shown.toLocaleString()}` : `best ${shown.toLocaleString()} of ${this.total.toLocaleString()}`) + none;
    const name = this.modality === null ? [] : [swatchOf(this.modality), element("span", { textContent: this.modality })];
    const all = this.modality !== null && this.results.lanes.length > 1
      ? [button("Only", () => this.results.actions.all(this.modality), { className: "small", ariaLabel: `Only ${this.modality}` })]
      : [];
    this.title.replaceChildren(...name, element("span", { className: "soft count", textContent: text }), ...all);
  }
}
