// Causeway's API with fetch (Node 18 or newer, Deno, Bun). API_URL and API_KEY come from the environment.
import { randomUUID } from "node:crypto";

const ORDERS = `${process.env.API_URL}/v2/documents/Sales%20Order`;
const MAX_TRIES = 4;

/** What the API refused: `code` is stable, `message` is for people. */
class Problem extends Error {
  constructor({ status, code, detail }) {
    super(`${status} ${code}: ${detail}`);
    this.code = code;
  }
}

/** Sends a request, again where the API asks for it; gives body and headers, or throws a Problem. */
async function call(method, url, { body, headers } = {}) {
  for (let attempt = 1; ; attempt += 1) {
    const answer = await fetch(url, {
      method,
      headers: { "X-API-Key": process.env.API_KEY, ...(body && { "Content-Type": "application/json" }), ...headers },
      body: body && JSON.stringify(body),
      signal: AbortSignal.timeout(30_000),
    });
    if ([429, 503].includes(answer.status) && attempt < MAX_TRIES) {
      const seconds = Number(answer.headers.get("Retry-After") ?? 2 ** attempt);
      await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
      continue;
    }
    const read = answer.status === 204 ? {} : await answer.json();
    if (!answer.ok) throw new Problem(read);
    return { ...read, headers: answer.headers };
  }
}

// Create a document. The key, one for each thing to be created, makes the request safe to repeat.
const customer = `Atelier Nord ${randomUUID()}`;
const order = { naming_series: "EX-.YYYY.-", customer, grand_total: 1250.0 };
const creation = { body: order, headers: { "Idempotency-Key": randomUUID() } };
const { name } = (await call("POST", ORDERS, creation)).data;
console.log(`created ${name}`);

// Read it.
const found = await call("GET", `${ORDERS}/${name}`);
console.log(`read ${name} of ${found.data.customer}`);

// Page through a list: page.next is the cursor of the next page, null at the end.
let [count, pages, cursor] = [0, 0, null];
do {
  const query = new URLSearchParams({ limit: 50, ...(cursor && { cursor }) });
  const { data, page } = await call("GET", `${ORDERS}?${query}`);
  [count, pages, cursor] = [count + data.length, pages + 1, page.next];
} while (cursor);
console.log(`paged through ${count} in ${pages}`);

// Handle an error by its code.
try {
  await call("GET", `${ORDERS}/NO-SUCH-ORDER`);
} catch (problem) {
  if (problem.code !== "document_not_found") throw problem;
  console.log("not found, as expected");
}

// Create it again, as after a lost answer: it is still one document.
if ((await call("POST", ORDERS, creation)).data.name !== name) throw new Error("it was created twice");
console.log("created once");

// List with a filter.
const filters = JSON.stringify([["customer", "=", customer]]);
const listed = await call("GET", `${ORDERS}?${new URLSearchParams({ filters })}`);
console.log(`found ${listed.data.length} with the filter`);

// Update it, if nobody else did since it was read.
const headers = { "If-Match": (await call("GET", `${ORDERS}/${name}`)).headers.get("ETag") };
const updated = await call("PATCH", `${ORDERS}/${name}`, { body: { grand_total: 1300.0 }, headers });
console.log(`updated to revision ${updated.data.revision}`);
try {
  await call("PATCH", `${ORDERS}/${name}`, { body: { grand_total: 1400.0 }, headers });
} catch (problem) {
  if (problem.code !== "precondition_failed") throw problem;
  console.log("somebody was quicker: read it again, and decide");
}
