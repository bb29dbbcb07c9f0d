// Claims persons with docs/app/claimPerson.ts over a Firestore emulator, and prints what happened.
import { initializeApp } from "firebase-admin/app";
import { getFirestore } from "firebase-admin/firestore";
import type { CallableRequest } from "firebase-functions/https";
import { asked, begin, finish } from "./claimPerson.js";
import type { Ports, User } from "./claimPerson.js";

const db = getFirestore(initializeApp({ projectId: process.argv[2]! }));
let now = Date.parse("2026-01-01T00:00:00Z");
const set: [string, unknown][] = [];
const ports: Ports = {
  db,
  setClaims: async (uid, claims) => { set.push([uid, claims]); },
  now: () => now,
};

function user(uid: string, email: string, claims: Record<string, unknown> = {}): User {
  return { uid, email, claims };
}

async function tried(made: Promise<unknown>): Promise<string> {
  return made.then(() => "done", (error) => `${error.code}: ${error.message}`);
}

async function texts(): Promise<{ to: string; code: string }[]> {
  const found = await db.collection("claimTexts").get();
  return Promise.all(found.docs.map(async (one) => {
    await one.ref.delete();
    return { to: one.get("to"), code: String(one.get("text")).slice(-6) };
  }));
}

/** Sends a code to a user; returns it, and one that is wrong. */
async function codes(who: User): Promise<[string, string]> {
  await begin(ports, who, "main");
  const code = (await texts())[0]?.code ?? "none";
  return [code, code === "123456" ? "654321" : "123456"];
}

const customers = db.collection("connections/main/customers");
const people: [string, string, string?][] = [
  ["1", "ana@example.com", "+61491570006"], ["2", "family@example.com", "+61491570156"],
  ["3", "family@example.com", "+61491570157"], ["4", "bare@example.com"],
];
for (const [personId, emailLower, mobile] of people) {
  await customers.doc(personId).set({
    personId, email: emailLower, emailLower, loyaltyCode: "99", ...(mobile ? { mobile } : {}),
  });
}

const results: Record<string, unknown> = {};
const ana = user("u1", "Ana@Example.com");
const [right, wrong] = await codes(ana);
results["wrong code"] = await tried(finish(ports, ana, "main", { code: wrong }));
results["a code of another account"] = await tried(
  finish(ports, user("u2", "ana@example.com"), "main", { code: right }),
);
results["the loyalty level"] = await tried(finish(ports, ana, "main", { loyaltyCode: "99" }));
results["nothing else"] = await tried(finish(ports, ana, "main", {}));
results["right code"] = await tried(finish(ports, ana, "main", { code: right }));
results["the same code again"] = await tried(finish(ports, ana, "main", { code: right }));
results["claims"] = [...set];

for (const [name, email] of [
  ["unknown", "nobody@example.com"], ["shared", "family@example.com"], ["no mobile", "bare@example.com"],
] as const) {
  const who = user(name, email);
  results[`${name}: begin`] = await tried(begin(ports, who, "main"));
  results[`${name}: texts`] = (await texts()).length;
  results[`${name}: finish`] = await tried(finish(ports, who, "main", { code: "123456" }));
}

now += 3_600_001;
for (const [name, claims] of [
  ["staff", { staff: true }], ["retailer", { connection: "main" }],
] as const) {
  const who = user(name, "ana@example.com", claims);
  const [code] = await codes(who);
  results[name] = await tried(finish(ports, who, "main", { code }));
}

now += 3_600_001;
const late = user("late", "ana@example.com");
const [old] = await codes(late);
now += 600_001;
results["too late"] = await tried(finish(ports, late, "main", { code: old }));

now += 3_600_001;
const [guessed, other] = await codes(late);
for (let n = 0; n < 5; n += 1) await tried(finish(ports, late, "main", { code: other }));
results["after five wrong codes"] = await tried(finish(ports, late, "main", { code: guessed }));
for (let n = 0; n < 3; n += 1) await tried(begin(ports, late, "main"));
results["the eleventh attempt"] = await tried(begin(ports, late, "main"));
results["of another account"] = await tried(begin(ports, user("x", "ANA@example.com"), "main"));
results["of an unknown address"] = await tried(begin(ports, user("x", "ana2@example.com"), "main"));

function request(token: Record<string, unknown> | undefined, connection: unknown): CallableRequest {
  return { data: { connection }, ...(token ? { auth: { uid: "u", token } } : {}) } as CallableRequest;
}

const verified = { email: "ana@example.com", email_verified: true, person: "1", other: "x" };
results["asked"] = asked(request(verified, "main"));
results["not verified"] = await tried(
  Promise.resolve().then(() => asked(request({ ...verified, email_verified: false }, "main"))),
);
results["not signed in"] = await tried(Promise.resolve().then(() => asked(request(undefined, "main"))));
results["another shop"] = await tried(Promise.resolve().then(() => asked(request(verified, "a/b"))));
results["set"] = set.length;
console.log(JSON.stringify(results));
await db.terminate();
