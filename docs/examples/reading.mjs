// Reading a retailer's documents with the Firebase JavaScript SDK.
import {
  collection, doc, getDoc, getDocs, onSnapshot, orderBy, query, where,
} from "firebase/firestore";

/** Returns a person; null where there is no such person. */
export async function customer(db, connection, personId) {
  const snapshot = await getDoc(doc(db, "connections", connection, "customers", personId));
  return snapshot.exists() ? snapshot.data() : null;
}

/** Returns the people with an e-mail address, however it is written. A family may share one. */
export async function customersByEmail(db, connection, address) {
  const found = await getDocs(query(
    collection(db, "connections", connection, "customers"),
    where("emailLower", "==", address.normalize("NFKC").toLowerCase().trim()),
  ));
  return found.docs.map((one) => one.data());
}

/** Returns a person's orders, the latest first. */
export async function ordersOf(db, connection, personId) {
  const found = await getDocs(query(
    collection(db, "connections", connection, "orders"),
    where("personId", "==", personId),
    orderBy("orderDate", "desc"),
  ));
  return found.docs.map((one) => one.data());
}

/** Returns the orders of a store on a day such as "2023-04-24". */
export async function ordersOfStore(db, connection, storeCode, day) {
  const found = await getDocs(query(
    collection(db, "connections", connection, "orders"),
    where("store.code", "==", storeCode),
    where("orderDate", "==", day),
  ));
  return found.docs.map((one) => one.data());
}

/** Returns the e-mail addresses of the people of a city who have agreed to be written to. */
export async function mayBeWrittenTo(db, connection, city) {
  const found = await getDocs(query(
    collection(db, "connections", connection, "customers"),
    where("subscribed", "==", true),
    where("address.city", "==", city),
  ));
  return found.docs.map((one) => one.data().email).filter(Boolean).sort();
}

/** Calls `then` with the status of an export file, now and whenever it changes; returns how to stop. */
export function whenLoaded(db, connection, importId, then) {
  const document = doc(db, "connections", connection, "imports", importId);
  return onSnapshot(document, (one) => one.exists() && then(one.data().status));
}
