// A sample for shoppers: two callable functions that give a signed-in user the claims
// {connection, person}, by which firestore.rules opens that person's documents. Deploy them beside
// your app, with a connection of yours in CONNECTIONS.
//
// A person is claimed with two things: a verified e-mail address that one customer alone has on
// file, and a code sent to the mobile number on file. Never with the address alone: families share
// addresses. An answer never tells whether a customer, a number or an address exists.
import { createHash, randomBytes, randomInt, timingSafeEqual } from "node:crypto";
import { getApps, initializeApp } from "firebase-admin/app";
import { getAuth } from "firebase-admin/auth";
import { getFirestore, Timestamp } from "firebase-admin/firestore";
import type { DocumentReference, Firestore, Transaction } from "firebase-admin/firestore";
import { HttpsError, onCall } from "firebase-functions/https";
import type { CallableRequest } from "firebase-functions/https";

/** The connections whose shoppers may claim themselves. */
export const CONNECTIONS: readonly string[] = ["main"];

/** Whether LOYALTY_CODE is a number that only its owner knows. In Apparel21 it usually is a level,
 * such as "99" for everybody with VIP Gold, and then it proves nothing. */
export const LOYALTY_CODE_IS_PERSONAL = false;

const MINUTE = 60_000;
const CODE_VALID = 10 * MINUTE;
const TRIES_PER_CODE = 5;
const PER_HOUR = 10;

export interface User {
  readonly uid: string;
  readonly email: string;
  readonly claims: Readonly<Record<string, unknown>>;
}

export interface Ports {
  readonly db: Firestore;
  /** Gives a user these claims. They count from the user's next token on. */
  setClaims(uid: string, claims: Record<string, unknown>): Promise<void>;
  now(): number;
}

/** Sends a code to the mobile number on file, if one customer alone has the user's address. The
 * code is in a document of `claimTexts` for your SMS provider to send; delete it when it is sent. */
export async function begin(ports: Ports, user: User, connection: string): Promise<void> {
  await countAttempt(ports, user);
  const customer = await customerOf(ports.db, user, connection);
  const mobile = text(customer?.["mobile"]);
  const code = String(randomInt(1_000_000)).padStart(6, "0");
  const salt = randomBytes(16).toString("hex");
  const expiresAt = Timestamp.fromMillis(ports.now() + CODE_VALID);
  const batch = ports.db.batch();
  // The same write for a customer that there is not: no code fits it.
  batch.set(challenge(ports.db, user), {
    connection,
    person: mobile ? text(customer?.["personId"]) : "",
    salt,
    hash: mobile ? hash(salt, code) : randomBytes(32).toString("hex"),
    tries: 0,
    expiresAt,
  });
  if (mobile) {
    batch.set(ports.db.collection("claimTexts").doc(), { to: mobile, text: `Your code: ${code}`, expiresAt });
  }
  await batch.commit();
}

/** Gives the user the claims, if the code is the one that was sent; throws otherwise. */
export async function finish(
  ports: Ports, user: User, connection: string, given: { code?: string; loyaltyCode?: string },
): Promise<void> {
  await countAttempt(ports, user);
  const customer = await customerOf(ports.db, user, connection);
  const person = text(customer?.["personId"]);
  const loyalty = text(customer?.["loyaltyCode"]);
  const known = given.code !== undefined
    ? await takeCode(ports, user, connection, person, given.code)
    : LOYALTY_CODE_IS_PERSONAL && loyalty !== "" && same(given.loyaltyCode ?? "", loyalty);
  if (!known || person === "") throw refused();
  // Staff keep their own accounts: a token with a person opens nothing else.
  if ("staff" in user.claims || ("connection" in user.claims && !("person" in user.claims))) {
    throw refused();
  }
  await ports.setClaims(user.uid, { ...user.claims, connection, person });
}

/** Returns the one customer with the user's address; undefined where there is none, or several. */
async function customerOf(
  db: Firestore, user: User, connection: string,
): Promise<Record<string, unknown> | undefined> {
  const found = await db.collection(`connections/${connection}/customers`)
    .where("emailLower", "==", user.email.normalize("NFKC").toLowerCase().trim()).limit(2).get();
  return found.size === 1 ? found.docs[0]?.data() : undefined;
}

/** Uses up a try, and the code if it fits. */
async function takeCode(
  ports: Ports, user: User, connection: string, person: string, code: string,
): Promise<boolean> {
  const document = challenge(ports.db, user);
  return ports.db.runTransaction(async (transaction: Transaction) => {
    const sent = (await transaction.get(document)).data();
    const fits = sent !== undefined
      && sent["tries"] < TRIES_PER_CODE
      && (sent["expiresAt"] as Timestamp).toMillis() > ports.now()
      && sent["connection"] === connection
      && sent["person"] === person
      && same(hash(text(sent["salt"]), code), text(sent["hash"]));
    if (fits) transaction.delete(document);
    else if (sent !== undefined) transaction.update(document, { tries: sent["tries"] + 1 });
    return fits;
  });
}

/** Counts an attempt of the account and of the address; throws where there were too many. */
async function countAttempt(ports: Ports, user: User): Promise<void> {
  for (const counted of [`uid ${user.uid}`, `email ${user.email.toLowerCase()}`]) {
    const document = ports.db.doc(`claimAttempts/${hash("", counted)}`);
    const allowed = await ports.db.runTransaction(async (transaction: Transaction) => {
      const before = (await transaction.get(document)).data();
      const until = before?.["expiresAt"] as Timestamp | undefined;
      const open = until !== undefined && until.toMillis() > ports.now();
      const count = open ? Number(before?.["count"]) + 1 : 1;
      if (count > PER_HOUR) return false;
      const expiresAt = open ? until : Timestamp.fromMillis(ports.now() + 60 * MINUTE);
      transaction.set(document, { count, expiresAt });
      return true;
    });
    if (!allowed) throw new HttpsError("resource-exhausted", "Too many attempts. Try again in an hour.");
  }
}

function challenge(db: Firestore, user: User): DocumentReference {
  return db.doc(`claimCodes/${hash("", user.uid)}`);
}

function hash(salt: string, value: string): string {
  return createHash("sha256").update(`${salt}\0${value}`).digest("hex");
}

function same(one: string, other: string): boolean {
  return timingSafeEqual(Buffer.from(hash("", one)), Buffer.from(hash("", other)));
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function refused(): HttpsError {
  return new HttpsError("permission-denied", "That does not match our records.");
}

/** Returns the user and the connection of a call; throws where the address is not verified. */
export function asked(request: CallableRequest): [User, string] {
  const token = request.auth?.token;
  if (request.auth === undefined || token?.email === undefined || token.email_verified !== true) {
    throw new HttpsError("unauthenticated", "Sign in with a verified e-mail address.");
  }
  const connection = text((request.data as Record<string, unknown> | null)?.["connection"]);
  if (!CONNECTIONS.includes(connection)) throw new HttpsError("invalid-argument", "No such shop.");
  const claims = Object.fromEntries(
    ["staff", "connection", "person"].filter((name) => name in token).map((name) => [name, token[name]]),
  );
  return [{ uid: request.auth.uid, email: token.email, claims }, connection];
}

function real(): Ports {
  const app = getApps()[0] ?? initializeApp();
  const auth = getAuth(app);
  return {
    db: getFirestore(app),
    setClaims: (uid, claims) => auth.setCustomUserClaims(uid, claims),
    now: Date.now,
  };
}

// App Check keeps scripts away that are not your app.
export const beginClaim = onCall({ enforceAppCheck: true }, async (request) => {
  const [user, connection] = asked(request);
  await begin(real(), user, connection);
  return { sent: true };
});

export const finishClaim = onCall({ enforceAppCheck: true }, async (request) => {
  const [user, connection] = asked(request);
  const { code, loyaltyCode } = request.data as { code?: unknown; loyaltyCode?: unknown };
  await finish(real(), user, connection, {
    ...(typeof code === "string" ? { code } : {}),
    ...(typeof loyaltyCode === "string" ? { loyaltyCode } : {}),
  });
  return { claimed: true };
});
