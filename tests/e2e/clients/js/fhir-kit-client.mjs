// fhir-kit-client: everything that it offers and the server has. https://github.com/Vermonster/fhir-kit-client
import assert from "node:assert/strict";
import { SYSTEM, bundle, creating, number, observation, patient, refused, statuses } from "./records.mjs";

export const connect = async (base, token) => {
  const { Client } = await import("fhir-kit-client");
  return new Client({ baseUrl: base, ...(token ? { bearerToken: token } : {}) });
};

const statusOf = (error) => error.response?.status;
const create = (client, body = patient()) => client.create({ resourceType: body.resourceType, body });
const criteria = (body) => ({ identifier: `${SYSTEM}|${body.identifier[0].value}` });
const update = (client, body, headers = {}) =>
  client.update({ resourceType: "Patient", id: body.id, body, options: { headers } });

export const does = {
  "capabilities": async (client) => {
    assert.equal((await client.capabilityStatement()).fhirVersion, "4.0.1");
  },
  "create": async (client) => {
    const made = await create(client);
    assert.equal(made.meta.versionId, "1");
  },
  "create, conditional": async (client) => {
    const body = patient();
    const headers = { "If-None-Exist": new URLSearchParams(criteria(body)).toString() };
    const made = await client.create({ resourceType: "Patient", body, options: { headers } });
    const again = await client.create({ resourceType: "Patient", body, options: { headers } });
    assert.deepEqual([again.id, again.meta.versionId], [made.id, "1"]);
  },
  "read": async (client) => {
    const made = await create(client);
    assert.deepEqual(await client.read({ resourceType: "Patient", id: made.id }), made);
    assert.deepEqual(await client.resolve({ reference: `Patient/${made.id}` }), made);
    await refused(client.read({ resourceType: "Patient", id: number() }), 404, statusOf);
  },
  "read, unless the client has it": async (client) => {
    const made = await create(client);
    const headers = { "If-None-Match": 'W/"1"' };
    await refused(client.read({ resourceType: "Patient", id: made.id, options: { headers } }), 304, statusOf);
  },
  "vread": async (client) => {
    const made = await create(client);
    await update(client, { ...made, gender: "unknown" });
    assert.equal((await client.vread({ resourceType: "Patient", id: made.id, version: "1" })).gender, "female");
  },
  "update": async (client) => {
    const made = await create(client);
    assert.equal((await update(client, { ...made, gender: "male" })).meta.versionId, "2");
    assert.equal((await update(client, { ...patient(), id: number() })).meta.versionId, "1");
    await refused(update(client, { ...made, gender: "nobody" }), 422, statusOf);
  },
  "update, of a known version": async (client) => {
    const made = await create(client);
    await update(client, made, { "If-Match": 'W/"1"' });
    await refused(update(client, made, { "If-Match": 'W/"1"' }), 412, statusOf);
  },
  "update, conditional": async (client) => {
    const body = patient();
    const put = () => client.update({ resourceType: "Patient", searchParams: criteria(body), body });
    const made = await put();
    body.gender = "male";
    const again = await put();
    assert.deepEqual([made.meta.versionId, again.id, again.meta.versionId], ["1", made.id, "2"]);
  },
  "patch": async (client) => {
    const made = await create(client);
    const jsonPatch = [{ op: "test", path: "/gender", value: "female" }, { op: "replace", path: "/gender", value: "male" }];
    const changed = await client.patch({ resourceType: "Patient", id: made.id, jsonPatch });
    assert.deepEqual([changed.gender, changed.meta.versionId], ["male", "2"]);
  },
  "patch, conditional": async (client) => {
    const body = patient();
    await create(client, body);
    const options = { headers: { "Content-Type": "application/json-patch+json" } };
    const change = [{ op: "add", path: "/active", value: true }];
    const changed = await client.request(`Patient?${new URLSearchParams(criteria(body))}`, { method: "PATCH", options, body: change });
    assert.equal(changed.active, true);
  },
  "delete": async (client) => {
    const made = await create(client);
    await client.delete({ resourceType: "Patient", id: made.id });
    await refused(client.read({ resourceType: "Patient", id: made.id }), 410, statusOf);
  },
  "delete, conditional": async (client) => {
    const made = await create(client);
    await client.request(`Patient?${new URLSearchParams(criteria(made))}`, { method: "DELETE" });
    await refused(client.read({ resourceType: "Patient", id: made.id }), 410, statusOf);
  },
  "search": async (client) => {
    const family = `F${number()}`;
    const made = await create(client, patient(family));
    const found = await client.resourceSearch({ resourceType: "Patient", searchParams: { family, gender: ["female"] } });
    assert.deepEqual(found.entry.map((each) => each.resource.id), [made.id]);
    await refused(client.search({ resourceType: "Patient", searchParams: { nosuch: "x" } }), 400, statusOf);
  },
  "search by form": async (client) => {
    const family = `F${number()}`;
    await create(client, patient(family));
    const found = await client.search({ resourceType: "Patient", searchParams: { family }, options: { postSearch: true } });
    assert.equal(found.entry.length, 1);
  },
  "search: the next page": async (client) => {
    const family = `F${number()}`;
    for (let count = 0; count < 5; count += 1) await create(client, patient(family));
    const walked = [];
    let page = await client.search({ resourceType: "Patient", searchParams: { family, _count: 2 } });
    while (page) {
      walked.push(...page.entry.map((each) => each.resource.id));
      page = await client.nextPage({ bundle: page });
    }
    assert.deepEqual([walked.length, new Set(walked).size], [5, 5]);
  },
  "search: how many": async (client) => {
    const family = `F${number()}`;
    await create(client, patient(family));
    const found = await client.search({ resourceType: "Patient", searchParams: { family, _summary: "count" } });
    assert.deepEqual([found.total, found.entry], [1, undefined]);
  },
  "search: includes": async (client) => {
    const made = await create(client);
    const result = await create(client, observation(`Patient/${made.id}`));
    const searchParams = { _id: result.id, _include: "Observation:subject" };
    const found = await client.search({ resourceType: "Observation", searchParams });
    assert.deepEqual(found.entry.map((each) => each.search.mode), ["match", "include"]);
  },
  "search: chosen elements": async (client) => {
    const family = `F${number()}`;
    await create(client, patient(family));
    const found = await client.search({ resourceType: "Patient", searchParams: { family, _elements: "gender" } });
    assert.deepEqual([found.entry[0].resource.gender, found.entry[0].resource.name], ["female", undefined]);
  },
  "search in a compartment": async (client) => {
    const made = await create(client);
    await create(client, observation(`Patient/${made.id}`));
    const compartment = { resourceType: "Patient", id: made.id };
    const found = await client.compartmentSearch({ resourceType: "Observation", compartment });
    assert.equal(found.entry.length, 1);
  },
  "history of a resource": async (client) => {
    const made = await create(client);
    await update(client, made);
    const versions = await client.resourceHistory({ resourceType: "Patient", id: made.id });
    assert.deepEqual(versions.entry.map((each) => each.resource.meta.versionId), ["2", "1"]);
  },
  "history of a type": async (client) => {
    const made = await create(client);
    assert.equal((await client.typeHistory({ resourceType: "Patient" })).entry[0].resource.id, made.id);
  },
  "history of the system": async (client) => {
    const made = await create(client);
    assert.equal((await client.systemHistory()).entry[0].resource.id, made.id);
  },
  "batch": async (client) => {
    const wanted = { request: { method: "GET", url: `Patient/${number()}` } };
    assert.deepEqual(statuses(await client.batch({ body: bundle("batch", creating(patient()), wanted) })), ["201", "404"]);
  },
  "transaction": async (client) => {
    const fullUrl = `urn:uuid:${crypto.randomUUID()}`;
    const body = bundle("transaction", creating(patient(), { fullUrl }), creating(observation(fullUrl)));
    const done = await client.transaction({ body });
    assert.deepEqual(statuses(done), ["201", "201"]);
    const subject = done.entry[0].response.location.split("/").at(-3);
    assert.equal((await client.search({ resourceType: "Observation", searchParams: { subject } })).entry.length, 1);
  },
  "operation: everything": async (client) => {
    const made = await create(client);
    const page = await client.operation({ name: "$everything", resourceType: "Patient", id: made.id, method: "get" });
    assert.deepEqual(page.entry.map((each) => each.resource.id), [made.id]);
  },
  "operation: validate": async (client) => {
    const found = await client.operation({ name: "$validate", resourceType: "Patient", input: { ...patient(), gender: "nobody" } });
    assert.deepEqual([found.issue[0].severity, found.issue[0].expression], ["error", ["Patient.gender"]]);
  },
};
