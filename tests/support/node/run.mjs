// Runs the functions of docs/examples/reading.mjs as a retailer's user, and prints what they give.
// Arguments: host, port and project of the emulator.
import { initializeApp } from "firebase/app";
import { connectFirestoreEmulator, getFirestore, terminate } from "firebase/firestore";
import {
  customer, customersByEmail, mayBeWrittenTo, ordersOf, ordersOfStore, whenLoaded,
} from "./reading.mjs";

const [host, port, projectId] = process.argv.slice(2);

function asUserOf(connection, person) {
  const db = getFirestore(initializeApp({ projectId }, `${connection} ${person}`));
  const mockUserToken = { sub: "someone", connection, ...(person ? { person } : {}) };
  connectFirestoreEmulator(db, host, Number(port), { mockUserToken });
  return db;
}

const own = asUserOf("main");
const foreign = asUserOf("au");
const shopper = asUserOf("main", "65432");
const status = await new Promise((heard) => {
  const stop = whenLoaded(own, "main", "customers_20230424T201230Z", (said) => { stop(); heard(said); });
});
const found = {
  status,
  customer: await customer(own, "main", "65432"),
  nobody: await customer(own, "main", "1"),
  orders: (await ordersOf(own, "main", "65432")).map((order) => order.orderNumber),
  byEmail: (await customersByEmail(own, "main", "ANA@Example.com")).map((one) => one.personId),
  ofStore: (await ordersOfStore(own, "main", "Doncaster", "2023-03-05")).map((one) => one.orderNumber),
  shopper: (await customer(shopper, "main", "65432")).personId,
  shopperOrders: (await ordersOf(shopper, "main", "65432")).map((order) => order.orderNumber),
  shopperRefused: await Promise.all([
    customer(shopper, "main", "2"), ordersOf(shopper, "main", "2"),
    customersByEmail(shopper, "main", "john.smith@example.com"),
  ].map((asked) => asked.then(() => "read", (error) => error.code))),
  writtenTo: await mayBeWrittenTo(own, "main", "DARWIN"),
  refused: await customer(foreign, "main", "65432").catch((error) => error.code),
};
console.log(JSON.stringify(found));
await Promise.all([own, foreign, shopper].map(terminate));
