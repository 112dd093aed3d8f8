// The routes of the service, written from its OpenAPI description, with a form to try each.

import { byId, element } from "./dom.js";
import { get } from "./service.js";

const DEPTH = 3; // of objects in objects

const description = await get("openapi.json");
const resolve = (schema) => {
  const name = schema?.$ref?.split("/").pop();
  return name ? description.components.schemas[name] : schema ?? {};
};

/** What a value is, in words. */
function kindOf(schema) {
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.anyOf) return schema.anyOf.map(kindOf).filter((kind) => kind !== "null").join(" or ");
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  if (schema.const) return JSON.stringify(schema.const);
  if (schema.type === "array") return `list of ${kindOf(schema.items ?? {})}`;
  return schema.type ?? "any";
}

/** The objects that a value may hold. */
function objectsOf(schema) {
  const found = resolve(schema);
  if (found.properties) return [found];
  return [...(found.anyOf ?? []), ...(found.items ? [found.items] : [])].flatMap(objectsOf);
}

function fields(schema, depth = 0) {
  const rows = Object.entries(schema.properties ?? {}).map(([name, field]) => {
    const required = schema.required?.includes(name) ? " (required)" : "";
    const initial = field.default === undefined || field.default === null ? "" : `, default ${JSON.stringify(field.default)}`;
    const line = [element("code", { textContent: name }), ` ${kindOf(field)}${required}${initial}`];
    if (field.description) line.push(element("span", { className: "soft", textContent: ` ${field.description}` }));
    const inner = depth < DEPTH ? objectsOf(field).map((each) => fields(each, depth + 1)) : [];
    return element("li", {}, [...line, ...inner]);
  });
  return element("ul", {}, rows);
}

function route(path, method, operation) {
  const body = operation.requestBody?.content?.["application/json"]?.schema;
  const answer = operation.responses["200"]?.content?.["application/json"]?.schema;
  const parts = [element("p", { textContent: operation.description ?? "" })];
  const section = (title, content) => parts.push(element("h3", { textContent: title }), content);
  if (operation.parameters?.length) {
    const rows = operation.parameters.map((each) => element("li", {}, [element("code", { textContent: each.name }), ` ${each.in}, ${kindOf(each.schema ?? {})}`]));
    section("Parameters", element("ul", {}, rows));
  }
  if (body) section("Request", fields(resolve(body)));
  if (answer) section("Response", fields(resolve(answer)));
  if (!path.includes("{") && (body || method === "get")) parts.push(attempt(path, method, body && resolve(body)));
  return element("details", {}, [element("summary", {}, [element("code", { textContent: `${method.toUpperCase()} ${path}` }), ` ${operation.summary ?? ""}`]), ...parts]);
}

/** A form that sends a request and shows the answer. */
function attempt(path, method, body) {
  const input = element("textarea", { rows: 5, spellcheck: false, ariaLabel: `Body for ${path}`, value: body ? JSON.stringify(example(body), null, 1) : "" });
  const output = element("pre", { tabIndex: 0, role: "region", ariaLabel: `Answer of ${path}` });
  const form = element("form", {}, [...(body ? [input] : []), element("button", { textContent: "Try" }), output]);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const options = body ? { method, headers: { "Content-Type": "application/json" }, body: input.value } : {};
    const response = await fetch(path.slice(1), options);
    output.textContent = `${response.status}\n${(await response.text()).slice(0, 4000)}`;
  });
  return form;
}

/** The required fields of a request, with examples. */
function example(schema) {
  const listed = Object.entries(schema.properties).filter(([name, field]) => schema.required?.includes(name) || field.examples);
  return Object.fromEntries(listed.map(([name, field]) => {
    if (field.examples) return [name, field.examples[0]];
    const [inner] = objectsOf(field);
    const value = inner ? example(inner) : "text";
    return [name, field.type === "array" ? [value] : value];
  }));
}

const byTag = {};
for (const [path, methods] of Object.entries(description.paths)) {
  for (const [method, operation] of Object.entries(methods)) (byTag[operation.tags?.[0] ?? "other"] ??= []).push(route(path, method, operation));
}
byId("routes").replaceChildren(...Object.entries(byTag).map(([tag, routes]) => element("section", {}, [element("h2", { textContent: tag }), ...routes])));
