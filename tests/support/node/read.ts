// Reads documents with the converters and with zod, and prints what both make of each.
// The file given holds [type, document][]; a timestamp is {"$time": [seconds, nanoseconds]}.
import { readFileSync } from "node:fs";
import { Timestamp } from "firebase/firestore";
import type { FirestoreDataConverter, QueryDocumentSnapshot, WithFieldValue } from "firebase/firestore";
import { customerConverter, orderConverter, rewardAccountConverter } from "./apparel21.js";
import { customerSchema, orderSchema, rewardAccountSchema } from "./apparel21.zod.js";

function revive(_: string, value: unknown): unknown {
  if (typeof value === "object" && value !== null && "$time" in value) {
    const [seconds, nanoseconds] = value.$time as [number, number];
    return new Timestamp(seconds, nanoseconds);
  }
  return value;
}

function attempt(make: () => unknown): unknown {
  try {
    return make();
  } catch (error) {
    return `refused: ${(error as Error).name}`;
  }
}

function convert<T>(converter: FirestoreDataConverter<T>, data: unknown): unknown {
  const write = attempt(() => converter.toFirestore({} as WithFieldValue<T>));
  if (write !== "refused: Error") throw new Error("the converter has written");
  return attempt(() => converter.fromFirestore({ data: () => data } as QueryDocumentSnapshot));
}

const given = JSON.parse(readFileSync(process.argv[2]!, "utf8"), revive) as [string, unknown][];
const results = given.map(([type, data]) => {
  switch (type) {
    case "customers":
      return [convert(customerConverter, data), attempt(() => customerSchema.parse(data))];
    case "orders":
      return [convert(orderConverter, data), attempt(() => orderSchema.parse(data))];
    case "rewards":
      return [convert(rewardAccountConverter, data), attempt(() => rewardAccountSchema.parse(data))];
    default:
      throw new Error(type);
  }
});
console.log(JSON.stringify(results));
