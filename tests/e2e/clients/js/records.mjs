// Records for a client to work with, and the one assertion that a refusal needs.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";

export const SYSTEM = "https://clients.example/number";

export const number = () => randomUUID().replaceAll("-", "");

export const patient = (family = "Proba", more = {}) => ({
  resourceType: "Patient",
  identifier: [{ system: SYSTEM, value: number() }],
  name: [{ family, given: ["Anna"] }],
  gender: "female",
  ...more,
});

export const observation = (subject) => ({
  resourceType: "Observation",
  status: "final",
  code: { coding: [{ system: "http://loinc.org", code: "14771-0" }] },
  subject: { reference: subject },
  valueQuantity: { value: 5.1, unit: "mmol/L" },
});

export const bundle = (type, ...entry) => ({ resourceType: "Bundle", type, entry });

export const creating = (resource, more = {}) => ({
  resource,
  request: { method: "POST", url: resource.resourceType },
  ...more,
});

export const statuses = (done) => done.entry.map((each) => each.response.status.slice(0, 3));

export const refused = async (promise, expected, statusOf) => {
  const error = await promise.then(
    () => assert.fail(`not refused; ${expected} was expected`),
    (reason) => reason,
  );
  assert.equal(statusOf(error), expected, error.message);
};
