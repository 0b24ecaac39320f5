// @medplum/core: everything that its client offers and the server has. https://github.com/medplum/medplum
import assert from "node:assert/strict";
import { SYSTEM, bundle, creating, number, observation, patient, refused, statuses } from "./records.mjs";

export const connect = async (base, token) => {
  const { MedplumClient } = await import("@medplum/core");
  const { origin, pathname } = new URL(base);
  // Its cache is off: each read is to ask the server.
  const client = new MedplumClient({ baseUrl: `${origin}/`, fhirUrlPath: pathname.slice(1), cacheTime: 0, fetch });
  if (token) client.setAccessToken(token);
  return client;
};

const CODES = { 404: "not-found", 410: "deleted" };
const codeOf = (error) => error.outcome?.issue?.[0]?.code;
const criteria = (body) => `identifier=${encodeURIComponent(`${SYSTEM}|${body.identifier[0].value}`)}`;

export const does = {
  "capabilities": async (client) => {
    assert.equal((await client.get(client.fhirUrl("metadata"))).fhirVersion, "4.0.1");
  },
  "create": async (client) => {
    assert.equal((await client.createResource(patient())).meta.versionId, "1");
  },
  "create, conditional": async (client) => {
    const body = patient();
    const made = await client.createResourceIfNoneExist(body, criteria(body));
    const again = await client.createResourceIfNoneExist(body, criteria(body));
    assert.deepEqual([again.id, again.meta.versionId], [made.id, "1"]);
  },
  "read": async (client) => {
    const made = await client.createResource(patient());
    assert.deepEqual(await client.readResource("Patient", made.id), made);
    assert.deepEqual(await client.readReference({ reference: `Patient/${made.id}` }), made);
    await refused(client.readResource("Patient", number()), CODES[404], codeOf);
  },
  "vread": async (client) => {
    const made = await client.createResource(patient());
    await client.updateResource({ ...made, gender: "unknown" });
    assert.equal((await client.readVersion("Patient", made.id, "1")).gender, "female");
  },
  "update": async (client) => {
    const made = await client.createResource(patient());
    assert.equal((await client.updateResource({ ...made, gender: "male" })).meta.versionId, "2");
    await refused(client.updateResource({ ...made, gender: "nobody" }), "code-invalid", codeOf);
  },
  "update, of a known version": async (client) => {
    const made = await client.createResource(patient());
    const known = { headers: { "If-Match": 'W/"1"' } };
    await client.updateResource({ ...made, gender: "male" }, known);
    await refused(client.updateResource({ ...made, gender: "unknown" }, known), "conflict", codeOf);
  },
  "update, conditional": async (client) => {
    const body = patient();
    const made = await client.upsertResource(body, criteria(body));
    const again = await client.upsertResource({ ...body, gender: "male" }, criteria(body));
    assert.deepEqual([made.meta.versionId, again.id, again.meta.versionId], ["1", made.id, "2"]);
  },
  "patch": async (client) => {
    const made = await client.createResource(patient());
    const changed = await client.patchResource("Patient", made.id, [{ op: "replace", path: "/gender", value: "male" }]);
    assert.deepEqual([changed.gender, changed.meta.versionId], ["male", "2"]);
  },
  "patch, conditional": async (client) => {
    const made = await client.createResource(patient());
    const changed = await client.patch(client.fhirUrl(`Patient?${criteria(made)}`), [{ op: "add", path: "/active", value: true }]);
    assert.equal(changed.active, true);
  },
  "delete": async (client) => {
    const made = await client.createResource(patient());
    await client.deleteResource("Patient", made.id);
    await refused(client.readResource("Patient", made.id), CODES[410], codeOf);
  },
  "delete, conditional": async (client) => {
    const made = await client.createResource(patient());
    await client.delete(client.fhirUrl(`Patient?${criteria(made)}`));
    await refused(client.readResource("Patient", made.id), CODES[410], codeOf);
  },
  "search": async (client) => {
    const family = `F${number()}`;
    const made = await client.createResource(patient(family));
    assert.equal((await client.searchOne("Patient", { family, gender: "female" })).id, made.id);
    assert.equal((await client.searchResources("Patient", `family=${family}`)).length, 1);
    assert.equal(await client.searchOne("Patient", { family, gender: "male" }), undefined);
  },
  "search by form": async (client) => {
    const family = `F${number()}`;
    await client.createResource(patient(family));
    const form = new URLSearchParams({ family }).toString();
    const found = await client.post(client.fhirUrl("Patient", "_search"), form, "application/x-www-form-urlencoded");
    assert.equal(found.entry.length, 1);
  },
  "search: the next page": async (client) => {
    const family = `F${number()}`;
    for (let count = 0; count < 5; count += 1) await client.createResource(patient(family));
    const walked = [];
    for await (const page of client.searchResourcePages("Patient", { family, _count: 2 })) walked.push(...page.map((each) => each.id));
    assert.deepEqual([walked.length, new Set(walked).size], [5, 5]);
  },
  "search: how many": async (client) => {
    const family = `F${number()}`;
    await client.createResource(patient(family));
    assert.equal((await client.search("Patient", { family, _total: "accurate", _summary: "count" })).total, 1);
  },
  "search: includes": async (client) => {
    const made = await client.createResource(patient());
    const result = await client.createResource(observation(`Patient/${made.id}`));
    const found = await client.search("Observation", { _id: result.id, _include: "Observation:subject" });
    assert.deepEqual(found.entry.map((each) => each.search.mode), ["match", "include"]);
  },
  "search: chosen elements": async (client) => {
    const family = `F${number()}`;
    await client.createResource(patient(family));
    const [found] = await client.searchResources("Patient", { family, _elements: "gender" });
    assert.deepEqual([found.gender, found.name], ["female", undefined]);
  },
  "search in a compartment": async (client) => {
    const made = await client.createResource(patient());
    await client.createResource(observation(`Patient/${made.id}`));
    const found = await client.get(client.fhirUrl("Patient", made.id, "Observation"));
    assert.equal(found.entry.length, 1);
  },
  "history of a resource": async (client) => {
    const made = await client.createResource(patient());
    await client.updateResource({ ...made, gender: "male" });
    const versions = await client.readHistory("Patient", made.id);
    assert.deepEqual(versions.entry.map((each) => each.resource.meta.versionId), ["2", "1"]);
  },
  "history of a type": async (client) => {
    const made = await client.createResource(patient());
    assert.equal((await client.get(client.fhirUrl("Patient", "_history"))).entry[0].resource.id, made.id);
  },
  "history of the system": async (client) => {
    const made = await client.createResource(patient());
    assert.equal((await client.get(client.fhirUrl("_history"))).entry[0].resource.id, made.id);
  },
  "batch": async (client) => {
    const wanted = { request: { method: "GET", url: `Patient/${number()}` } };
    assert.deepEqual(statuses(await client.executeBatch(bundle("batch", creating(patient()), wanted))), ["201", "404"]);
  },
  "transaction": async (client) => {
    const fullUrl = `urn:uuid:${crypto.randomUUID()}`;
    const done = await client.executeBatch(bundle("transaction", creating(patient(), { fullUrl }), creating(observation(fullUrl))));
    assert.deepEqual(statuses(done), ["201", "201"]);
  },
  "binary": async (client) => {
    const made = await client.createBinary({ data: "abc", contentType: "text/plain" });
    const content = await client.download(client.fhirUrl("Binary", made.id), { headers: { Accept: "text/plain" } });
    assert.equal(await content.text(), "abc");
  },
  "operation: everything": async (client) => {
    const made = await client.createResource(patient());
    const page = await client.readPatientEverything(made.id);
    assert.deepEqual(page.entry.map((each) => each.resource.id), [made.id]);
  },
  "operation: validate": async (client) => {
    const found = await client.validateResource({ ...patient(), gender: "nobody" });
    assert.deepEqual([found.issue[0].severity, found.issue[0].expression], ["error", ["Patient.gender"]]);
  },
};
