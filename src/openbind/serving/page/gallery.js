// Cards of results: images, audio and video that plays the segment found, plots of the rest.

import { button, clock, element, nameOf, plotClass, swatchOf } from "./dom.js";
import { addLocating } from "./locate.js";
import { playSegment, prepareSegment, setSource } from "./players.js";

/** What results are ordered by: deviations above unrelated files, or cosines without them. */
export const strength = (hit) => hit.deviations ?? hit.score;

/** Say how many results are close, as far as the model knows. */
export function countClose(hits) {
  if (!hits.length) return "No results";
  if (hits.some((hit) => hit.close === null)) return `${hits.length} results`;
  const close = hits.filter((hit) => hit.close).length;
  return close ? `${close} of ${hits.length} results are close` : "Nothing close was found; nearest anyway";
}

/** The score of a result: how far above unrelated files it is, in standard deviations. */
function score(hit) {
  if (hit.deviations === null) return element("span", { textContent: hit.score.toFixed(3), title: "cosine similarity" });
  const above = `${hit.deviations.toFixed(1)} standard deviations above unrelated files`;
  const chance = hit.close ? "" : ", no more than chance";
  return element("span", { textContent: `${hit.deviations.toFixed(1).replace("-", "−")} σ`, title: `${above}${chance}; cosine ${hit.score.toFixed(3)}` });
}

/**
 * @param hit a row of /v1/search
 * @param range the least and the greatest strength: bars compare the results of one search
 * @param parts the query, to show where in a result it is; empty for random files
 * @param actions open(hit), similar(hit), steer(hit, weight)
 */
export function card(hit, [low, high], parts, actions) {
  const name = nameOf(hit);
  const isRandom = !parts.length;
  const details = element("div", { className: "details soft" }, [
    swatchOf(hit.modality),
    element("span", { textContent: hit.modality }),
    isRandom ? element("span", { textContent: hit.taken.slice(0, 10) }) : score(hit),
    element("span", { className: "copies" }),
  ]);
  const info = element("div", { className: "info" }, [element("div", { className: "name", textContent: name, title: hit.path }), details]);
  if (!isRandom) info.append(element("meter", { min: low, max: high, value: Math.min(Math.max(strength(hit), low), high), ariaLabel: "Similarity" }));
  const views = mediaViews(hit, name, actions.open);
  const player = views.find((view) => view.play);
  if (player && hit.end_seconds !== null) info.append(segmentButton(hit, player));
  const made = element("li", { className: hit.close === false ? "hit far" : "hit" }, [
    ...views,
    info,
    element("div", { className: "actions" }, [
      button("More like this", () => actions.similar(hit), { ariaLabel: `More like this: ${name}` }),
      element("span", { className: "steers" }, [
        button("+", () => actions.steer(hit, 0.5), { title: "More like this, within this search", ariaLabel: `Steer toward ${name}` }),
        button("−", () => actions.steer(hit, -0.5), { title: "Less like this, within this search", ariaLabel: `Steer away from ${name}` }),
      ]),
      button("Details", () => actions.open(hit), { ariaLabel: `Details of ${name}` }),
    ]),
  ]);
  addLocating(made, hit, parts, clock);
  return made;
}

/** Show how many equal files a result stands for. */
export function showCopies(made, paths) {
  const note = made.querySelector(".copies");
  note.textContent = `${paths.length} copies`;
  note.title = paths.join("\n");
}

/** A button that plays the segment of a recording that was found, to its end. */
function segmentButton(hit, player) {
  const span = `${clock(hit.start_seconds)}–${clock(hit.end_seconds)}`;
  const play = () => playSegment(player, hit.start_seconds, hit.end_seconds);
  return button(`▸ ${span}`, play, { className: "segment", ariaLabel: `Play ▸ ${span}` });
}

function mediaViews(hit, name, open) {
  const image = button("", () => open(hit), { className: "image", ariaLabel: `Show ${name}` });
  image.append(thumbnail(hit));
  const isAudio = hit.modality === "audio"; // the audio track of a video is indexed as audio
  if (!hit.playable_url) return [image];
  const settings = { controls: true, preload: "none", ariaLabel: name };
  const player = element(isAudio ? "audio" : "video", isAudio ? settings : { ...settings, poster: hit.thumbnail_url });
  if (hit.end_seconds !== null) prepareSegment(player, hit.start_seconds, hit.end_seconds);
  setSource(player, hit);
  if (!isAudio) return [player];
  image.ariaLabel = `Play ${name}`;
  image.addEventListener("click", (event) => {
    event.stopImmediatePropagation();
    if (player.paused) player.play();
    else player.pause();
  }, { capture: true });
  return [image, player];
}

export function thumbnail(hit) {
  const image = element("img", { loading: "lazy", decoding: "async", alt: "", src: hit.thumbnail_url, className: plotClass(hit) });
  image.addEventListener("error", () => image.replaceWith(element("span", { className: "soft", textContent: hit.modality })));
  return image;
}
