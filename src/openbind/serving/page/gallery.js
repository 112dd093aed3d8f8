// Results: images, sounds and videos that play from the moment that was found, drawings of the rest.

import { colorOf, element } from "./dom.js";

/**
 * @param list the element to fill
 * @param hits rows of /v1/search
 * @param acts {like, add}: what the buttons of a result do
 */
export function showHits(list, hits, acts) {
  // Scores lie close together; bars compare the results of one search.
  const scores = hits.map((hit) => hit.score);
  const low = Math.min(...scores, 0);
  const high = Math.max(...scores, low + 1e-6);
  list.replaceChildren(...hits.map((hit) => card(hit, low, high, acts)));
}

function card(hit, low, high, acts) {
  const name = hit.path.split("/").pop();
  const kind = hit.media_type?.split("/")[0];
  const moment = hit.start_seconds > 0 ? `#t=${hit.start_seconds}` : "";
  const facts = element("div", { className: "facts soft" }, [
    element("span", { className: "swatch" }),
    element("span", { textContent: hit.modality }),
    element("span", { textContent: hit.score.toFixed(3), title: "cosine with the query" }),
  ]);
  facts.firstChild.style.background = colorOf(hit.modality);
  const about = element("div", { className: "about" }, [
    element("div", { className: "name", textContent: name, title: hit.path }),
    facts,
    element("meter", { min: low, max: high, value: hit.score, ariaLabel: "Nearness" }),
  ]);
  const shownParts = shown(hit, kind, name, moment);
  const player = shownParts.find((part) => part.play);
  if (player && hit.end_seconds !== null) about.append(playMoment(hit, player));
  const like = element("button", { type: "button", textContent: "More like this", ariaLabel: `More like ${name}` });
  like.addEventListener("click", () => acts.like(hit));
  const open = element("a", { className: "button", href: hit.media_url + moment, target: "_blank", rel: "noopener", textContent: "Open", ariaLabel: `Open ${name}` });
  return element("li", { className: "hit" }, [
    ...shownParts,
    about,
    element("div", { className: "acts" }, [like, open]),
  ]);
}

/** A button that plays from where in a recording something was found. */
function playMoment(hit, player) {
  const start = clock(hit.start_seconds);
  const button = element("button", { type: "button", className: "moment", textContent: `▸ ${start}–${clock(hit.end_seconds)}`, ariaLabel: `Play from ${start}` });
  button.addEventListener("click", () => {
    player.currentTime = hit.start_seconds;
    player.play();
  });
  return button;
}

function shown(hit, kind, name, moment) {
  if (kind === "video" && !isSound(hit)) {
    return [element("video", { controls: true, preload: "none", poster: hit.thumbnail_url, src: hit.media_url + moment, ariaLabel: name })];
  }
  const image = element("button", { type: "button", className: "image", ariaLabel: `Show ${name}` }, [thumbnail(hit)]);
  if (kind === "audio" || isSound(hit)) {
    const player = element("audio", { controls: true, preload: "none", src: hit.media_url + moment, ariaLabel: name });
    image.ariaLabel = `Play ${name}`;
    image.addEventListener("click", () => (player.paused ? player.play() : player.pause()));
    return [image, player];
  }
  image.addEventListener("click", () => view(hit, kind === hit.modality ? hit.media_url : hit.drawing_url, name));
  return [image];
}

/** The sound track of a video is found as a sound. */
function isSound(hit) {
  return hit.modality === "audio";
}

export function thumbnail(hit) {
  const image = element("img", { loading: "lazy", decoding: "async", alt: "", src: hit.thumbnail_url });
  image.addEventListener("error", () => image.replaceWith(element("span", { className: "soft", textContent: hit.modality })));
  return image;
}

function view(hit, url, name) {
  const viewer = document.getElementById("viewer");
  const image = viewer.querySelector("img");
  // What the browser doesn't know (TIFF, say) is shown as its small copy.
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
