// Results: images, audio and video that plays from the segment found, plots of the rest.

import { colorOf, element } from "./dom.js";
import { addLocating } from "./locate.js";

/**
 * @param list the element to fill
 * @param hits rows of /v1/search
 * @param onSimilar called with a result whose "More like this" was pressed
 * @param parts the query, to show where in a result it is
 */
export function showHits(list, hits, onSimilar, parts) {
  // Scores are close to each other; bars compare the results of one search.
  const scores = hits.map(strength);
  const low = Math.min(...scores, 0);
  const high = Math.max(...scores, low + 1e-6);
  list.replaceChildren(...hits.map((hit) => card(hit, low, high, onSimilar, parts)));
}

/** What results are ordered by: deviations above unrelated files, or cosines without them. */
const strength = (hit) => hit.deviations ?? hit.score;

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

function card(hit, low, high, onSimilar, parts) {
  const name = hit.path.split("/").pop();
  const kind = hit.media_type?.split("/")[0];
  const fragment = hit.start_seconds > 0 ? `#t=${hit.start_seconds}` : "";
  const details = element("div", { className: "details soft" }, [
    element("span", { className: "swatch" }),
    element("span", { textContent: hit.modality }),
    score(hit),
  ]);
  details.firstChild.style.background = colorOf(hit.modality);
  const info = element("div", { className: "info" }, [
    element("div", { className: "name", textContent: name, title: hit.path }),
    details,
    element("meter", { min: low, max: high, value: strength(hit), ariaLabel: "Similarity" }),
  ]);
  const views = mediaViews(hit, kind, name, fragment);
  const player = views.find((view) => view.play);
  if (player && hit.end_seconds !== null) info.append(segmentButton(hit, player));
  const similar = element("button", { type: "button", textContent: "More like this", ariaLabel: `More like ${name}` });
  similar.addEventListener("click", () => onSimilar(hit));
  const open = element("a", { className: "button", href: hit.media_url + fragment, target: "_blank", rel: "noopener", textContent: "Open", ariaLabel: `Open ${name}` });
  const made = element("li", { className: hit.close === false ? "hit far" : "hit" }, [
    ...views,
    info,
    element("div", { className: "actions" }, [similar, open]),
  ]);
  addLocating(made, hit, parts, clock);
  return made;
}

/** A button that plays the segment of a recording that was found. */
function segmentButton(hit, player) {
  const start = clock(hit.start_seconds);
  const button = element("button", { type: "button", className: "segment", textContent: `▸ ${start}–${clock(hit.end_seconds)}`, ariaLabel: `Play from ${start}` });
  button.addEventListener("click", () => {
    player.currentTime = hit.start_seconds;
    player.play();
  });
  return button;
}

function mediaViews(hit, kind, name, fragment) {
  if (kind === "video" && !isAudio(hit)) {
    return [element("video", { controls: true, preload: "none", poster: hit.thumbnail_url, src: hit.media_url + fragment, ariaLabel: name })];
  }
  const image = element("button", { type: "button", className: "image", ariaLabel: `Show ${name}` }, [thumbnail(hit)]);
  if (kind === "audio" || isAudio(hit)) {
    const player = element("audio", { controls: true, preload: "none", src: hit.media_url + fragment, ariaLabel: name });
    image.ariaLabel = `Play ${name}`;
    image.addEventListener("click", () => (player.paused ? player.play() : player.pause()));
    return [image, player];
  }
  image.addEventListener("click", () => enlarge(hit, kind === hit.modality ? hit.media_url : hit.drawing_url, name));
  return [image];
}

/** The audio track of a video is indexed as audio. */
function isAudio(hit) {
  return hit.modality === "audio";
}

export function thumbnail(hit) {
  const image = element("img", { loading: "lazy", decoding: "async", alt: "", src: hit.thumbnail_url });
  image.addEventListener("error", () => image.replaceWith(element("span", { className: "soft", textContent: hit.modality })));
  return image;
}

function enlarge(hit, url, name) {
  const viewer = document.getElementById("viewer");
  const image = viewer.querySelector("img");
  // Formats that the browser doesn't know (such as TIFF) fall back to the thumbnail.
  image.onerror = () => { image.onerror = null; image.src = hit.thumbnail_url; };
  image.src = url;
  image.alt = name;
  viewer.querySelector("p").textContent = hit.path;
  viewer.showModal();
}

export function clock(seconds) {
  const tenths = Math.round(seconds * 10);
  const whole = Math.floor(tenths / 10);
  const rest = tenths % 10 ? `.${tenths % 10}` : "";
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}${rest}`;
}
