// Requests to the service; prompts for the API key where there is one.

export class ServiceError extends Error {
  /** @param param the part of the request that is wrong, if the service says so */
  constructor(message, param = null) {
    super(message);
    this.param = param;
  }
}

/** Send a request; null if an API key is missing. Its content is read by `read`. */
async function once(path, options, read = readJson) {
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ServiceError("Can't reach the service.");
  }
  if (response.status === 401) return null;
  if (response.status === 503) {
    throw new ServiceError(`The service is overloaded; retry in ${response.headers.get("Retry-After") ?? "a few"} s.`);
  }
  const content = response.ok ? await read(response) : await readJson(response);
  if (!response.ok || content === null) {
    const { message, param } = content?.error ?? {};
    throw new ServiceError(message ?? `The service responded with status ${response.status}.`, param);
  }
  return content;
}

const readJson = (response) => (response.status === 204 ? {} : response.json().catch(() => null));

/** Return a function that reads a response of server-sent events and passes each on. */
const eventReader = (onEvent) => async (response) => {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return {};
    const events = (rest + value).split("\n\n");
    rest = events.pop();
    for (const event of events) onEvent(JSON.parse(event.slice("data: ".length)));
  }
};

/** Prompt until the key is right; from then on a cookie stands for it. */
async function logIn() {
  const dialog = document.getElementById("key");
  for (;;) {
    dialog.showModal();
    await new Promise((done) => dialog.addEventListener("close", done, { once: true }));
    const input = dialog.querySelector("[type=password]");
    const key = input.value;
    input.value = "";
    if (!key) throw new ServiceError("API key required; reload the page to enter it.");
    const headers = { Authorization: `Bearer ${key}` };
    if (await once("v1/session", { method: "POST", headers })) return;
    document.getElementById("key-error").textContent = "Wrong key.";
  }
}

let loggingIn = null;

async function request(path, options = {}, read = readJson) {
  for (;;) {
    const content = await once(path, options, read);
    if (content !== null) return content;
    loggingIn ??= logIn().finally(() => { loggingIn = null; });
    await loggingIn;
  }
}

export const get = (path, options) => request(path, options);

/** Fail with the service's reason if it can't send a file. */
export const check = (path) => request(path, { headers: { Range: "bytes=0-0" } }, () => ({}));

const jsonBody = (body, options) => ({
  ...options,
  method: "POST",
  headers: { "Content-Type": "application/json" },
  body: JSON.stringify(body),
});

export const post = (path, body, options) => request(path, jsonBody(body, options));

/** Send a file, which the service keeps for a while; returns what /v1/files says of it. */
export const keep = (file) =>
  request(`v1/files?name=${encodeURIComponent(file.name)}`, { method: "POST", headers: { "Content-Type": "application/octet-stream" }, body: file });

/** Post, and call a function with each event of the response. */
export const postEvents = (path, body, options, onEvent) =>
  request(path, jsonBody(body, options), eventReader(onEvent));
