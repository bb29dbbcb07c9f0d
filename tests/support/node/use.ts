// What an app may write with the kit, and what the compiler must refuse.
import { addDoc, collection, getDocs, orderBy, query, where } from "firebase/firestore";
import type { Firestore, Timestamp } from "firebase/firestore";
import { customerConverter, orderConverter } from "./apparel21.js";
import type { Customer, Order } from "./apparel21.js";

export async function total(db: Firestore, person: string): Promise<number | undefined> {
  const orders = collection(db, "connections", "main", "orders").withConverter(orderConverter);
  const found = await getDocs(
    query(orders, where("personId", "==", person), orderBy("orderDate", "desc")),
  );
  const order: Order | undefined = found.docs[0]?.data();
  const sold: number = order?.lines.reduce((sum, line) => sum + line.quantity, 0) ?? 0;
  return order?.incomplete === true ? undefined : order?.valueCents ?? sold;
}

export async function refused(db: Firestore, customer: Customer, order: Order): Promise<unknown[]> {
  const customers = collection(db, "connections", "main", "customers");
  // @ts-expect-error: a field that may be absent is no text.
  const name: string = customer.firstName;
  // @ts-expect-error: there is no such field.
  const wrong: unknown = customer.emial;
  // @ts-expect-error: a day is a text, not a time.
  const day: Timestamp = order.orderDate;
  // @ts-expect-error: documents are not changed.
  order.orderNumber = "1";
  // @ts-expect-error: what is no customer is not written.
  await addDoc(customers.withConverter(customerConverter), { personId: 1 });
  return [name, wrong, day];
}
