// A person's way through /docs, in headless Chromium: read, search, open, enter the key, send.
//
// API_URL, API_KEY: the stack. CHROMIUM: the browser. PICTURES: a directory for what it looked like.
// Fails with a sentence where the page does not do what it should, says anything on the console, or asks another
// origin for anything.
import assert from "node:assert/strict";
import { join } from "node:path";
import { chromium } from "playwright-core";

const { API_URL, API_KEY, CHROMIUM = "/usr/bin/chromium", PICTURES = "." } = process.env;
const ORIGIN = new URL(API_URL).origin;
const TIMEOUT_MS = 15_000;
const FLAGS = [
  "--no-sandbox", // it may run as root, in a container
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

const complaints = [];

/** Notes what should not happen on `page`. */
function watch(page) {
  page.setDefaultTimeout(TIMEOUT_MS);
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complaints.push(`console: ${message.text()}`);
  });
  page.on("pageerror", (error) => complaints.push(`script: ${error.message}`));
  page.on("request", (request) => {
    const url = request.url();
    if (!url.startsWith("data:") && new URL(url).origin !== ORIGIN) complaints.push(`asked ${url}`);
  });
}

async function picture(page, name) {
  const path = join(PICTURES, `docs-${name}.png`);
  await page.screenshot({ path });
  console.log(`picture: ${path}`);
}

/** Sends what the open operation's form says; gives status and body as shown. */
async function send(operation) {
  await operation.locator("button.main").click();
  const status = operation.locator(".actions .status");
  await status.waitFor();
  return { status: await status.textContent(), body: await operation.locator(".answer-body").textContent() };
}

async function reads(page) {
  await page.goto(`${API_URL}/docs`);
  await page.locator("#operations[aria-busy=false]").waitFor();
  const spec = await (await page.request.get(`${API_URL}/openapi.json`)).json();
  const methods = ["get", "post", "put", "patch", "delete", "head", "options"];
  const documented = Object.values(spec.paths).flatMap((item) => methods.filter((method) => item[method]));
  assert.equal(await page.locator(".op").count(), documented.length, "every operation is on the page");
  await picture(page, "overview");
  // Each can be opened, and shows what it answers.
  for (const operation of await page.locator(".op").all()) {
    await operation.evaluate((element) => { element.open = true; element.fill(); });
    assert.ok((await operation.locator(".answer > summary .status").count()) > 0, "an operation has answers");
    await operation.evaluate((element) => { element.open = false; });
  }
  console.log(`read ${documented.length} operations`);
}

async function searches(page) {
  await page.keyboard.press("/");
  await page.keyboard.type("get connectors");
  assert.match(await page.locator("#found").textContent(), /^\d+ operations? found$/);
  const shown = await page.locator(".op:visible .path").allTextContents();
  assert.ok(shown.length > 0 && shown.every((path) => path.includes("connectors")), `found ${shown}`);
  await page.keyboard.press("Escape");
  assert.equal(await page.locator("#found").textContent(), "");
  console.log("searched");
}

async function tries(page) {
  const open = async (id) => {
    await page.goto(`${API_URL}/docs#${id}`);
    const operation = page.locator(`#${id}`);
    await operation.locator(".body").waitFor();
    return operation;
  };
  const version = await send(await open("getV2"));
  assert.match(version.status, /^200 /);
  const connectors = await open("getV2Connectors");
  const without = await send(connectors);
  assert.match(without.status, /^401 /);
  assert.match(without.body, /api_key_missing/);
  await page.locator("#key").fill(API_KEY);
  assert.match((await send(connectors)).status, /^200 /);
  const command = await connectors.locator(".try pre code").first().textContent();
  assert.ok(command.includes("$API_KEY") && !command.includes(API_KEY), "the command does not show the key");
  await picture(page, "tried");

  const create = await open("postV2DocumentsDoctype");
  await create.locator('input[name="doctype"]').fill("Browser Order");
  await create.locator("textarea").fill('{"customer": "<img src=x onerror=alert(1)>", "grand_total": 1250.00}');
  const created = await send(create);
  assert.match(created.status, /^201 /);
  assert.match(created.body, /"grand_total": 1250\.00/, "amounts are shown to the digit");
  assert.equal(await page.locator("img").count(), 0, "an answer is text");
  await picture(page, "created");
  // The key stays for the tab, and only there.
  await page.reload();
  assert.equal(await page.locator("#key").inputValue(), API_KEY);
  assert.equal(await page.evaluate(() => localStorage.length + document.cookie.length), 0);
  console.log("tried");
}

async function followsGuides(page) {
  await page.goto(`${API_URL}/docs`);
  const links = await page.locator('.side a[href^="docs/"]').evaluateAll((all) => all.map((link) => link.href));
  for (const link of links) {
    const answer = await page.goto(link);
    assert.equal(answer.status(), 200, link);
    const inner = await page.locator("main a").evaluateAll((all) => all.map((link) => link.href));
    for (const target of new Set(inner.filter((href) => href.startsWith(API_URL)).map((href) => href.split("#")[0]))) {
      assert.equal((await page.request.get(target)).status(), 200, `${link} leads to ${target}`);
    }
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth), `${link} fits`);
  }
  await page.goto(`${API_URL}/docs/errors#document_not_found`);
  assert.ok(await page.locator("#document_not_found").isVisible());
  await picture(page, "errors");
  console.log(`read ${links.length} guides`);
}

/** Narrow and dark: nothing is cut off. */
async function looks(browser) {
  const page = await browser.newPage({ viewport: { width: 390, height: 844 }, colorScheme: "dark", reducedMotion: "reduce" });
  watch(page);
  await page.goto(`${API_URL}/docs#getV2DocumentsDoctype`);
  await page.locator("#getV2DocumentsDoctype .body").waitFor();
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  assert.ok(wide <= 0, `on a small screen the page is ${wide} px too wide`);
  await picture(page, "small-dark");
  await page.goto(`${API_URL}/docs`);
  await picture(page, "small-dark-top");
  await page.close();
  const dark = await browser.newPage({ viewport: { width: 1280, height: 900 }, colorScheme: "dark", reducedMotion: "reduce" });
  watch(dark);
  await dark.goto(`${API_URL}/docs#postV2DocumentsDoctype`);
  await dark.locator("#postV2DocumentsDoctype .body").waitFor();
  await picture(dark, "dark");
  await dark.close();
  console.log("looked at it small and dark");
}

// Each start has a profile of its own, which goes with it.
const browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS, headless: true });
try {
  const page = await browser.newPage({ viewport: { width: 1280, height: 900 }, reducedMotion: "reduce" });
  watch(page);
  await reads(page);
  await searches(page);
  await tries(page);
  await followsGuides(page);
  await looks(browser);
  // A refusal is an answer like any other, but Chromium writes it to the console.
  const unexpected = complaints.filter((complaint) => !/the server responded with a status of 401/.test(complaint));
  assert.deepEqual(unexpected, []);
} finally {
  await browser.close();
}
