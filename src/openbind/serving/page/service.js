// Requests to the service; prompts for the API key where there is one.

export class ServiceError extends Error {}

async function once(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new ServiceError("Can't reach the service.");
  }
  if (response.status === 401) return null;
  if (response.status === 503) {
    throw new ServiceError(`The service is overloaded; retry in ${response.headers.get("Retry-After") ?? "a few"} s.`);
  }
  const content = response.status === 204 ? {} : await response.json().catch(() => null);
  if (!response.ok || content === null) {
    throw new ServiceError(content?.error?.message ?? `The service responded with status ${response.status}.`);
  }
  return content;
}

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

async function request(path, options = {}) {
  for (;;) {
    const content = await once(path, options);
    if (content !== null) return content;
    loggingIn ??= logIn().finally(() => { loggingIn = null; });
    await loggingIn;
  }
}

export const get = (path, options) => request(path, options);

export const post = (path, body, options) =>
  request(path, {
    ...options,
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
