// frappe-js-sdk, unmodified, against version 1: reads, lists, changes, methods and failures as the library shows them.
//
// API_URL and API_KEY (<id>.<secret>) come from the environment. Prints what it did; the first wrong answer ends it.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { FrappeApp } from "frappe-js-sdk";

const { API_URL, API_KEY } = process.env;
assert.ok(API_URL && API_KEY, "API_URL and API_KEY are needed");
const token = API_KEY.replace(".", ":");
const connect = (token) => new FrappeApp(API_URL, { useToken: true, token: () => token, type: "token" });
const site = connect(token);
const [db, call, auth] = [site.db(), site.call(), site.auth()];

// A DocType of its own for each run, so that lists hold what this run made.
const DOCTYPE = `Client Order ${randomUUID().slice(0, 8)}`;

/** The failure that `promise` ends with, as the library shows it. */
const failure = async (promise) => {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  assert.fail("this should have failed");
};

const steps = {
  "says who the key belongs to": async () => {
    assert.equal(await auth.getLoggedInUser(), "Administrator");
    assert.equal((await call.get("ping")).message, "pong");
    assert.equal((await call.post("ping", {})).message, "pong");
  },

  "creates, gets, changes and deletes a document": async () => {
    const created = await db.createDoc(DOCTYPE, { name: "CRUD-1", customer: "Atelier Nord", qty: 2 });
    assert.equal(created.doctype, DOCTYPE);
    assert.equal(created.owner, "Administrator");
    assert.match(created.modified, /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}$/);
    const got = await db.getDoc(DOCTYPE, "CRUD-1");
    assert.deepEqual(got, created);
    const changed = await db.updateDoc(DOCTYPE, "CRUD-1", { qty: 3 });
    assert.equal(changed.qty, 3);
    assert.equal(changed.customer, "Atelier Nord");
    assert.ok(changed.modified > created.modified);
    const stale = await failure(db.updateDoc(DOCTYPE, "CRUD-1", { qty: 4, modified: created.modified }));
    assert.equal(stale.httpStatus, 417);
    assert.equal(stale.exc_type, "TimestampMismatchError");
    assert.equal((await db.deleteDoc(DOCTYPE, "CRUD-1")).data, "ok");
    assert.equal((await failure(db.getDoc(DOCTYPE, "CRUD-1"))).httpStatus, 404);
  },

  "lists with fields, filters, order and limits": async () => {
    for (const [name, customer, qty] of [["A", "Nord", 1], ["B", "Nord", 5], ["C", "Süd", 9]]) {
      await db.createDoc(DOCTYPE, { name, customer, qty, items: [{ item_code: `ITEM-${name}`, qty }] });
    }
    const by = (args) => db.getDocList(DOCTYPE, args);
    assert.deepEqual((await by()).map((row) => Object.keys(row)), [["name"], ["name"], ["name"]]);
    assert.deepEqual(
      await by({ fields: ["name", "qty"], filters: [["qty", ">", 1]], orderBy: { field: "name", order: "asc" } }),
      [{ name: "B", qty: 5 }, { name: "C", qty: 9 }],
    );
    assert.deepEqual(
      await by({ filters: [["customer", "like", "N%"]], orderBy: { field: "modified", order: "desc" }, limit: 1 }),
      [{ name: "B" }],
    );
    assert.deepEqual(
      await by({ orFilters: [["qty", "=", 1], ["name", "in", ["C"]]], orderBy: { field: "name", order: "desc" } }),
      [{ name: "C" }, { name: "A" }],
    );
    assert.deepEqual(
      await by({ orderBy: { field: "name", order: "asc" }, limit_start: 1, limit: 1, asDict: false }),
      [["B"]],
    );
    const [whole] = await by({ fields: ["*"], filters: [["name", "=", "A"]] });
    assert.deepEqual([whole.customer, whole.owner, whole.items], ["Nord", "Administrator", undefined]);
    assert.equal((await db.getDoc(DOCTYPE, "A")).items[0].item_code, "ITEM-A");
    const inRows = [["Client Order Item", "item_code", "=", "ITEM-C"]];
    assert.deepEqual(await by({ filters: inRows }), [{ name: "C" }]);
  },

  "counts, and gets and sets values": async () => {
    assert.equal(await db.getCount(DOCTYPE), 3);
    assert.equal(await db.getCount(DOCTYPE, [["customer", "=", "Nord"]]), 2);
    assert.deepEqual((await db.getValue(DOCTYPE, "qty", [["name", "=", "B"]])).message, { qty: 5 });
    const set = await db.setValue(DOCTYPE, "B", { qty: 6, remark: "" });
    assert.deepEqual([set.message.qty, set.message.remark], [6, ""]);
    assert.equal((await db.setValue(DOCTYPE, "B", "qty", 7)).message.qty, 7);
    const last = await db.getLastDoc(DOCTYPE, { orderBy: { field: "modified", order: "desc" } });
    assert.equal(last.name, "B");
  },

  "submits and cancels": async () => {
    const draft = await db.createDoc(DOCTYPE, { name: "S-1", customer: "Nord" });
    const submitted = await db.submit(draft);
    assert.equal(submitted.docstatus, 1);
    const refused = await failure(db.updateDoc(DOCTYPE, "S-1", { customer: "Süd" }));
    assert.equal(refused.httpStatus, 417);
    assert.equal((await failure(db.deleteDoc(DOCTYPE, "S-1"))).httpStatus, 417);
    assert.equal((await db.cancel(DOCTYPE, "S-1")).message.docstatus, 2);
    assert.equal((await db.deleteDoc(DOCTYPE, "S-1")).data, "ok");
  },

  "calls methods by their names": async () => {
    const insert = await call.post("frappe.client.insert", { doc: { doctype: DOCTYPE, name: "M-1", qty: 1 } });
    assert.equal(insert.message.name, "M-1");
    const list = await call.get("frappe.client.get_list", { doctype: DOCTYPE, filters: { name: "M-1" } });
    assert.deepEqual(list.message, [{ name: "M-1" }]);
    const saved = await call.put("frappe.client.save", { doc: { ...insert.message, qty: 2 } });
    assert.equal(saved.message.qty, 2);
    await call.delete("frappe.client.delete", { doctype: DOCTYPE, name: "M-1" });
  },

  "shows failures": async () => {
    const unknown = await failure(call.post("frappe.nothing", {}));
    assert.equal(unknown.httpStatus, 417);
    assert.equal(unknown.exc_type, "ValidationError");
    assert.match(unknown.exception, /Failed to get method for command frappe.nothing/);
    const verb = await failure(call.get("frappe.client.insert", { doc: { doctype: DOCTYPE } }));
    assert.equal(verb.httpStatus, 403);
    await failure(db.createDoc(DOCTYPE, { name: "A" })).then((error) => {
      assert.equal(error.httpStatus, 409);
      assert.equal(error.exc_type, "DuplicateEntryError");
    });
    const operator = await failure(db.getDocList(DOCTYPE, { filters: [["qty", "descendants of", 1]] }));
    assert.equal(operator.httpStatus, 417);
    const stranger = await failure(connect("nobody:nothing").auth().getLoggedInUser());
    assert.equal(stranger.httpStatus, 401);
    assert.equal(stranger.exc_type, "AuthenticationError");
    const messages = JSON.parse(operator._server_messages).map((text) => JSON.parse(text).message);
    assert.match(messages[0], /descendants of/);
  },
};

for (const [title, step] of Object.entries(steps)) {
  await step();
  console.log(`frappe-js-sdk ${title}`);
}
