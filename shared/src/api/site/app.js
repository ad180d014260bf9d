// The page of the API: reads openapi.json, shows its operations, and sends requests that its reader writes.
//
// What the document or an answer says is only ever shown as text, never as markup. The key is kept in
// sessionStorage, so it ends with the tab, and goes to this API only.
"use strict";

const METHODS = ["get", "post", "put", "patch", "delete", "head", "options"];
const KEY = "causeway.key";
// A schema that is nested deeper is named, not unfolded.
const MAX_DEPTH = 6;
// More of an answer is not shown: a browser would stop.
const MAX_SHOWN = 200000;

// The page is …/docs; the API begins before that.
const BASE = location.pathname.replace(/\/docs\/?$/, "");
let spec = {};

// ---- Elements --------------------------------------------------------------------------------------------

/** An element with properties and children; texts become text. */
function element(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (key in made && key !== "list") made[key] = value;
    else made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return made;
}

/** A description: `code` in backticks, the rest as text. */
function prose(text) {
  return String(text ?? "").split("`").map((part, i) => (i % 2 ? element("code", { textContent: part }) : part));
}

const byId = (id) => document.getElementById(id);

// ---- The document ----------------------------------------------------------------------------------------

/** What a `$ref` stands for, and its name; anything else as it is. */
function resolve(value) {
  let name = null;
  for (let steps = 0; value && value.$ref && steps < 10; steps += 1) {
    const parts = value.$ref.replace(/^#\//, "").split("/");
    name = parts[parts.length - 1];
    const target = parts.reduce((at, part) => at?.[part.replace(/~1/g, "/").replace(/~0/g, "~")], spec);
    const { $ref, ...beside } = value;
    value = { ...target, ...beside };
  }
  return { schema: value ?? {}, name };
}

/** All operations, in the document's order, by tag. */
function groups() {
  const found = new Map();
  for (const [path, item] of Object.entries(spec.paths ?? {})) {
    for (const method of METHODS.filter((method) => item[method])) {
      const operation = item[method];
      const parameters = [...(item.parameters ?? []), ...(operation.parameters ?? [])].map((p) => resolve(p).schema);
      const tag = operation.tags?.[0] ?? "Other";
      if (!found.has(tag)) found.set(tag, []);
      found.get(tag).push({ ...operation, id: operation.operationId ?? `${method}${path}`, method, path, parameters });
    }
  }
  return found;
}

/** Whether an operation takes a key. */
const takesKey = (operation) => (operation.security ?? spec.security ?? []).length > 0;

/** The media type and schema of a body or answer. */
function content(holder) {
  const [type, media] = Object.entries(holder?.content ?? {})[0] ?? [];
  return { type, media: media ?? {} };
}

/** A schema's type in a word or two. */
function kind(schema) {
  const { schema: found, name } = resolve(schema);
  if (found.const !== undefined) return JSON.stringify(found.const);
  if (found.enum) return "one of";
  const choices = found.oneOf ?? found.anyOf;
  if (choices) return [...new Set(choices.map(kind))].join(" or ");
  const types = [found.type ?? (found.properties ? "object" : "any")].flat();
  return types.map((type) => {
    if (type === "array") return `array of ${kind(found.items ?? {})}`;
    if (type === "object" && name) return name;
    return found.format && type === "string" ? `${type} (${found.format})` : type;
  }).join(" or ");
}

/** What limits a value: choices, ranges, defaults. */
function limits(schema) {
  const { schema: found } = resolve(schema);
  const words = [];
  if (found.enum) words.push(found.enum.map((value) => `\`${typeof value === "string" ? value : JSON.stringify(value)}\``).join(", "));
  const choices = [found.oneOf, found.anyOf].flat().filter((c) => c && c.const !== undefined);
  if (choices.length) words.push(choices.map((c) => `\`${c.const}\``).join(", "));
  const [low, high] = [found.minimum ?? found.minLength ?? found.minItems, found.maximum ?? found.maxLength ?? found.maxItems];
  const unit = found.minLength !== undefined || found.maxLength !== undefined ? " characters" : "";
  if (low !== undefined && high !== undefined) words.push(`${low} to ${high}${unit}`);
  else if (high !== undefined) words.push(`at most ${high}${unit}`);
  else if (low > 1) words.push(`at least ${low}${unit}`);
  if (found.pattern && found.pattern.length < 40) words.push(`matches \`${found.pattern}\``);
  if (found.default !== undefined && found.default !== null) words.push(`default \`${typeof found.default === "string" ? found.default : JSON.stringify(found.default)}\``);
  return words.join("; ");
}

/** A value that fits a schema, for the form. */
function sample(schema, depth = 0) {
  const { schema: found } = resolve(schema);
  if (found.example !== undefined) return found.example;
  if (Array.isArray(found.examples) && found.examples.length) return found.examples[0];
  if (found.const !== undefined) return found.const;
  if (found.default !== undefined) return found.default;
  if (found.enum) return found.enum[0];
  const choice = (found.oneOf ?? found.anyOf ?? []).find((one) => one.type !== "null");
  if (choice) return sample(choice, depth + 1);
  const type = [found.type].flat().find((one) => one !== "null") ?? (found.properties ? "object" : "string");
  if (type === "object") {
    const wanted = Object.entries(found.properties ?? {}).filter(([name]) => (found.required ?? []).includes(name));
    return depth > MAX_DEPTH ? {} : Object.fromEntries(wanted.map(([name, property]) => [name, sample(property, depth + 1)]));
  }
  if (type === "array") return depth > MAX_DEPTH ? [] : [sample(found.items ?? {}, depth + 1)];
  if (type === "integer" || type === "number") return found.minimum ?? 0;
  if (type === "boolean") return false;
  return "";
}

// ---- What an operation takes and gives -------------------------------------------------------------------

/** A schema's fields as a list in lists. */
function fields(schema, depth = 0, seen = []) {
  const { schema: found, name } = resolve(schema);
  if (name && (seen.includes(name) || depth > MAX_DEPTH)) return null;
  const inside = name ? [...seen, name] : seen;
  const below = (one) => fields(one, depth + 1, inside);
  if (found.type === "array" || found.items) return below(found.items ?? {});
  const list = Object.entries(found.properties ?? {}).map(([property, value]) => {
    const required = (found.required ?? []).includes(property);
    const about = resolve(value).schema.description;
    return element("li", {},
      element("code", { textContent: property }), " ",
      element("span", { className: "kind", textContent: kind(value) }),
      required ? element("span", { className: "must", textContent: " always" }) : null,
      about ? [" ", element("span", {}, prose(`– ${about}`))] : null,
      limits(value) ? element("span", { className: "kind" }, prose(` (${limits(value)})`)) : null,
      below(value));
  });
  for (const part of [found.allOf, found.oneOf, found.anyOf].flat().filter((one) => one && one.type !== "null")) {
    const nested = below(part);
    if (nested) list.push(element("li", {}, element("span", { className: "kind", textContent: kind(part) }), nested));
  }
  return list.length ? element("ul", { className: "fields" }, list) : null;
}

function parameterTable(parameters) {
  const head = element("tr", {}, ["Parameter", "In", "Type", "About"].map((text) => element("th", { scope: "col", textContent: text })));
  const rows = parameters.map((parameter) => element("tr", {},
    element("td", {}, element("code", { textContent: parameter.name }), parameter.required ? element("div", { className: "must", textContent: "required" }) : null),
    element("td", { textContent: parameter.in }),
    element("td", { className: "kind", textContent: kind(parameter.schema) }),
    element("td", {}, prose(parameter.description), limits(parameter.schema) ? element("div", { className: "kind" }, prose(limits(parameter.schema))) : null)));
  return element("div", { className: "wide" }, element("table", {}, element("thead", {}, head), element("tbody", {}, rows)));
}

function answerRow(status, answer) {
  const { schema: found } = resolve(answer);
  const { type, media } = content(found);
  const codes = [...String(found.description ?? "").matchAll(/`([a-z_]+)`/g)].map((match) => match[1]);
  const failed = /^[45]/.test(status);
  const headers = Object.entries(found.headers ?? {});
  return element("details", { className: "answer" },
    element("summary", {},
      element("span", { className: `status ${failed ? "wrong" : "fine"}`, textContent: status }), " ",
      element("span", {}, prose(found.description ?? ""))),
    type ? element("p", { className: "kind", textContent: type }) : null,
    headers.length ? element("ul", { className: "plain" }, headers.map(([name, header]) =>
      element("li", {}, element("code", { textContent: name }), " ", element("span", {}, prose(resolve(header).schema.description))))) : null,
    failed && codes.length ? element("ul", { className: "plain" }, codes.map((code) =>
      element("li", {}, element("a", { href: `docs/errors#${code}`, textContent: code })))) : null,
    media.schema ? fields(media.schema) : null);
}

function describe(operation) {
  const needs = operation["x-required-permissions"] ?? [];
  const rate = operation["x-rate-limit-class"];
  const body = resolve(operation.requestBody ?? {}).schema;
  const { type, media } = content(body);
  return [
    operation.deprecated ? element("p", { className: "old", textContent: "Deprecated." }) : null,
    operation.description ? element("p", {}, prose(operation.description)) : null,
    element("p", { className: "needs" },
      element("span", {}, "Needs: ", needs.length ? needs.map((need, i) => [i ? ", " : "", element("code", { textContent: need })]).flat() : "nothing"),
      element("span", {}, "Rate limit: ", rate ? element("a", { href: "docs/rate-limits", textContent: rate }) : "none"),
      element("a", { href: `#${operation.id}`, textContent: "Link to this" })),
    operation.parameters.length ? [element("h3", { textContent: "Parameters" }), parameterTable(operation.parameters)] : null,
    type ? [element("h3", { textContent: "Body" }),
      element("p", { className: "kind" }, `${type}${body.required ? ", required. " : ". "}`, prose(body.description ?? resolve(media.schema).schema.description)),
      fields(media.schema)] : null,
    element("h3", { textContent: "Answers" }),
    Object.entries(operation.responses ?? {}).map(([status, answer]) => answerRow(status, answer)),
  ].flat(2).filter(Boolean);
}

// ---- Try it ----------------------------------------------------------------------------------------------

/** A field of the form for a parameter. */
function control(parameter, id) {
  const { schema } = resolve(parameter.schema);
  const choices = schema.enum ?? [schema.oneOf, schema.anyOf].flat().filter((one) => one && one.const !== undefined).map((one) => one.const);
  const boolean = [schema.type].flat().includes("boolean");
  const usual = schema.default === undefined || schema.default === null ? "" : String(schema.default);
  if (choices.length || boolean) {
    const options = boolean ? ["true", "false"] : choices;
    const none = element("option", { value: "", textContent: parameter.required ? "" : `(${usual || "not given"})` });
    return element("select", { id, name: parameter.name, required: parameter.required },
      parameter.required && choices.length ? null : none,
      options.filter((one) => one !== null).map((one) => element("option", { value: String(one), textContent: String(one) })));
  }
  return element("input", { id, name: parameter.name, required: parameter.required, placeholder: usual,
    autocomplete: "off", spellcheck: false, value: parameter.example === undefined ? "" : String(parameter.example) });
}

/** What the form says to send. */
function request(operation, form) {
  const value = (parameter) => form.querySelector(`[data-in="${parameter.in}"][name="${CSS.escape(parameter.name)}"]`)?.value ?? "";
  let path = operation.path;
  const query = new URLSearchParams();
  const headers = {};
  for (const parameter of operation.parameters) {
    const given = value(parameter);
    if (parameter.in === "path") path = path.replace(`{${parameter.name}}`, encodeURIComponent(given));
    else if (given === "") continue;
    else if (parameter.in === "query") query.append(parameter.name, given);
    else if (parameter.in === "header") headers[parameter.name] = given;
  }
  const body = form.querySelector("textarea")?.value ?? "";
  if (body.trim()) headers["Content-Type"] = content(resolve(operation.requestBody).schema).type;
  const question = query.toString().replace(/\+/g, "%20");
  return { method: operation.method.toUpperCase(), url: `${BASE}${path}${question ? `?${question}` : ""}`, headers, body: body.trim() ? body : null };
}

const quoted = (text) => `'${String(text).replace(/'/g, "'\\''")}'`;

/** The request as a command; it names the key, and does not show it. */
function curl(operation, asked) {
  const method = asked.method === "GET" ? "" : ` -X ${asked.method}`;
  const words = [`curl -sS${method} ${quoted(location.origin + asked.url)}`];
  if (takesKey(operation)) words.push("-H \"X-API-Key: $API_KEY\"");
  for (const [name, value] of Object.entries(asked.headers)) words.push(`-H ${quoted(`${name}: ${value}`)}`);
  if (asked.body !== null) words.push(`--data-binary ${quoted(asked.body)}`);
  return words.join(" \\\n  ");
}

/** JSON, indented by its own text: numbers keep their digits. */
function indented(text) {
  try { JSON.parse(text); } catch { return text; }
  let depth = 0;
  const line = () => `\n${"  ".repeat(depth)}`;
  return text.replace(/"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+|\s+/g, (token, at) => {
    const next = text.slice(at + 1).match(/^\s*([}\]])/);
    if (/^\s/.test(token)) return "";
    if ((token === "{" || token === "[") && !next) { depth += 1; return token + line(); }
    if (token === "}" || token === "]") {
      if (/[{[]\s*$/.test(text.slice(0, at))) return token;
      depth -= 1;
      return line() + token;
    }
    if (token === ",") return token + line();
    return token === ":" ? ": " : token;
  });
}

async function send(operation, form, outlet, status) {
  const asked = request(operation, form);
  const headers = { ...asked.headers, Accept: "application/json, application/problem+json, */*" };
  const key = byId("key").value.trim();
  if (takesKey(operation) && key) headers["X-API-Key"] = key;
  status.textContent = "Waiting …";
  status.className = "";
  const started = performance.now();
  try {
    const answer = await fetch(asked.url, { method: asked.method, headers, body: asked.body ?? undefined, credentials: "omit", cache: "no-store" });
    const text = await answer.text();
    status.textContent = `${answer.status} ${answer.statusText} in ${Math.round(performance.now() - started)} ms`;
    status.className = answer.ok ? "status fine" : "status wrong";
    const lines = [...answer.headers].map(([name, value]) => `${name}: ${value}`).join("\n");
    const shown = text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}\n… (${text.length} characters)` : indented(text);
    outlet.replaceChildren(
      element("h3", { textContent: "Answer" }),
      element("pre", { className: "answer-body", tabIndex: 0 }, element("code", { textContent: shown || "(no body)" })),
      element("details", { className: "answer" }, element("summary", { textContent: "Headers" }), element("pre", { className: "answer-headers" }, element("code", { textContent: lines }))));
  } catch (error) {
    status.textContent = `No answer: ${error.message}`;
    status.className = "status wrong";
    outlet.replaceChildren();
  }
}

function tryIt(operation) {
  const field = (parameter, i) => {
    const id = `${operation.id}-${i}`;
    const made = control(parameter, id);
    made.dataset.in = parameter.in;
    return element("div", { className: "row" }, element("label", { htmlFor: id }, parameter.name, parameter.required ? element("span", { className: "must", textContent: " *" }) : null), made);
  };
  const form = element("form", { className: "try", "aria-label": `Try ${operation.method.toUpperCase()} ${operation.path}` }, element("h3", { textContent: "Try it" }), operation.parameters.map(field));
  if (operation.requestBody) {
    const { media } = content(resolve(operation.requestBody).schema);
    const id = `${operation.id}-body`;
    const value = JSON.stringify(media.example ?? sample(media.schema ?? {}), null, 2);
    form.append(element("div", { className: "row tall" }, element("label", { htmlFor: id, textContent: "body" }), element("textarea", { id, spellcheck: false, value })));
  }
  const command = element("code", {});
  const status = element("span", { role: "status", "aria-live": "polite" });
  const button = element("button", { type: "submit", className: "main", textContent: "Send" });
  const copy = element("button", { type: "button", textContent: "Copy as curl" });
  const outlet = element("div", {});
  const show = () => { command.textContent = curl(operation, request(operation, form)); };
  copy.addEventListener("click", async () => {
    try { await navigator.clipboard.writeText(command.textContent); status.textContent = "Copied"; }
    catch { status.textContent = "Select the command below and copy it"; }
    status.className = "";
  });
  form.addEventListener("input", show);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    await send(operation, form, outlet, status);
    button.disabled = false;
  });
  form.append(element("div", { className: "actions" }, button, copy, status), element("pre", { tabIndex: 0 }, command), outlet);
  show();
  return form;
}

// ---- The page --------------------------------------------------------------------------------------------

function operationElement(operation) {
  const made = element("details", { className: "op", id: operation.id },
    element("summary", {},
      element("span", { className: `method ${operation.method}`, textContent: operation.method.toUpperCase() }),
      element("span", { className: "path", textContent: operation.path }),
      element("span", { className: "title", textContent: operation.summary ?? "" })));
  made.dataset.text = [operation.method, operation.path, operation.summary, operation.id, operation.tags?.join(" ")].join(" ").toLowerCase();
  // Made when it is first opened: there may be many.
  const fill = () => {
    if (!made.open || made.querySelector(".body")) return;
    made.append(element("div", { className: "body" }, describe(operation), tryIt(operation)));
  };
  made.addEventListener("toggle", fill);
  made.fill = fill;
  return made;
}

function show() {
  const operations = byId("operations");
  const contents = byId("contents");
  for (const [tag, members] of groups()) {
    const id = `group-${tag.toLowerCase().replace(/[^a-z0-9]+/g, "-")}`;
    operations.append(element("section", { className: "group", "aria-labelledby": id }, element("h2", { id, textContent: tag }), members.map(operationElement)));
    contents.append(element("h2", { textContent: tag }), element("ul", {}, members.map((operation) => {
      const method = element("span", { className: `method ${operation.method}`, textContent: operation.method.toUpperCase() });
      return element("li", {}, element("a", { href: `#${operation.id}`, title: `${operation.method.toUpperCase()} ${operation.path}` }, method, operation.summary ?? operation.path));
    })));
  }
  byId("version").textContent = spec.info?.version ?? "";
  operations.setAttribute("aria-busy", "false");
}

/** Opens the operation that the address names. */
function follow() {
  const found = byId(decodeURIComponent(location.hash.slice(1)));
  for (const link of document.querySelectorAll("#contents a")) {
    if (found && link.getAttribute("href") === location.hash) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
  if (!found?.classList.contains("op")) return;
  found.hidden = false;
  found.closest(".group").hidden = false;
  found.open = true;
  found.fill();
  found.scrollIntoView();
  found.querySelector("summary").focus({ preventScroll: true });
}

/** Shows the operations that have every word of the search in them. */
function filter() {
  const words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  let count = 0;
  for (const group of document.querySelectorAll(".group")) {
    let any = false;
    for (const operation of group.querySelectorAll(".op")) {
      const fits = words.every((word) => operation.dataset.text.includes(word));
      operation.hidden = !fits;
      any ||= fits;
      count += fits ? 1 : 0;
    }
    group.hidden = !any;
  }
  byId("found").textContent = words.length ? `${count} ${count === 1 ? "operation" : "operations"} found` : "";
}

function listen() {
  byId("key").value = sessionStorage.getItem(KEY) ?? "";
  byId("key").addEventListener("input", (event) => sessionStorage.setItem(KEY, event.target.value.trim()));
  byId("login").addEventListener("submit", (event) => event.preventDefault());
  byId("search").addEventListener("input", filter);
  byId("finder").addEventListener("submit", (event) => {
    event.preventDefault();
    document.querySelector(".op:not([hidden]) > summary")?.focus();
  });
  document.addEventListener("keydown", (event) => {
    const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement.tagName);
    if (event.key === "/" && !typing) { event.preventDefault(); byId("search").focus(); }
    if (event.key === "Escape" && document.activeElement === byId("search")) { byId("search").value = ""; filter(); }
  });
  window.addEventListener("hashchange", follow);
}

async function main() {
  listen();
  try {
    const answer = await fetch("openapi.json", { credentials: "omit" });
    if (!answer.ok) throw new Error(`openapi.json: ${answer.status}`);
    spec = await answer.json();
  } catch (error) {
    byId("found").textContent = `The description of the API could not be loaded: ${error.message}`;
    byId("operations").setAttribute("aria-busy", "false");
    return;
  }
  show();
  filter();
  follow();
}

main();
