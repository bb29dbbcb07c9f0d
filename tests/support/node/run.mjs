// Runs the functions of docs/examples/reading.mjs as a retailer's user, and prints what they give.
// Arguments: host, port and project of the emulator.
import { initializeApp } from "firebase/app";
import { connectFirestoreEmulator, getFirestore, terminate } from "firebase/firestore";
import { customer, mayBeWrittenTo, ordersOf, whenLoaded } from "./reading.mjs";

const [host, port, projectId] = process.argv.slice(2);

function asUserOf(connection) {
  const db = getFirestore(initializeApp({ projectId }, connection));
  const mockUserToken = { sub: "someone", connection };
  connectFirestoreEmulator(db, host, Number(port), { mockUserToken });
  return db;
}

const own = asUserOf("main");
const foreign = asUserOf("au");
const status = await new Promise((heard) => {
  const stop = whenLoaded(own, "main", "customers_20230424T201230Z", (said) => { stop(); heard(said); });
});
const found = {
  status,
  customer: await customer(own, "main", "65432"),
  nobody: await customer(own, "main", "1"),
  orders: (await ordersOf(own, "main", "65432")).map((order) => order.orderNumber),
  writtenTo: await mayBeWrittenTo(own, "main", "DARWIN"),
  refused: await customer(foreign, "main", "65432").catch((error) => error.code),
};
console.log(JSON.stringify(found));
await Promise.all([terminate(own), terminate(foreign)]);
