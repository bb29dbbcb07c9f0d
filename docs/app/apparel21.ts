// Written by `make kit` from the tables behind docs/data-model.md. Do not edit.
// Types of the documents, and converters for the Firebase JavaScript SDK:
//
//   const orders = collection(db, "connections", "main", "orders").withConverter(orderConverter);
//
// A converter reads what it knows: another field is left out, a field of an unexpected type is
// absent, and a list that is absent is empty. Writing throws, because only the pipeline writes.
import { Timestamp } from "firebase/firestore";
import type {
  DocumentData, FirestoreDataConverter, QueryDocumentSnapshot, SnapshotOptions,
} from "firebase/firestore";

/** The map `address`; absent where it is empty. */
export interface CustomerAddress {
  /** Address, first line. */
  readonly line1?: string | undefined;
  /** Address, second line. */
  readonly line2?: string | undefined;
  /** City or suburb. */
  readonly city?: string | undefined;
  /** State. */
  readonly state?: string | undefined;
  /** Post code. */
  readonly postcode?: string | undefined;
  /** Full name of the country. */
  readonly country?: string | undefined;
}

/** The map `joinedStore`; absent where it is empty. */
export interface CustomerJoinedStore {
  /** Store in which the person joined. */
  readonly id?: string | undefined;
  /** Store's code. */
  readonly code?: string | undefined;
}

/** The map `latestStore`; absent where it is empty. */
export interface CustomerLatestStore {
  /** Store of the last purchase. */
  readonly id?: string | undefined;
  /** Store's code. */
  readonly code?: string | undefined;
  /** Store's number. */
  readonly number?: string | undefined;
}

/** The map `ref1`; absent where it is empty. */
export interface CustomerRef1 {
  /** Reference's group. */
  readonly group?: string | undefined;
  /** Reference's id. */
  readonly id?: string | undefined;
  /** Reference's code. */
  readonly code?: string | undefined;
}

/** The export file that changed a document last. */
export interface DocumentSource {
  /** Import that changed the document last. */
  readonly import: string;
  /** First line of the document's last row. */
  readonly row: number;
  /** Time of the export; of a fixed row, of its first export. 1970 if an undone file was the only
   * one. */
  readonly exportedAt: Timestamp;
  /** Upload of that file. */
  readonly generation: number;
  /** Path of a field that a later file left open -> export time of its value. */
  readonly kept?: Readonly<Record<string, Timestamp>> | undefined;
  /** The same paths -> upload of that file. */
  readonly keptGenerations?: Readonly<Record<string, number>> | undefined;
  /** Paths of fields without a value from any file: unreadable, or blank and kept. */
  readonly open: readonly string[];
}

/** A document `connections/{connection}/customers/{PERIDX}`. */
export interface Customer {
  /** Person's number in Apparel21. */
  readonly personId: string;
  /** Person's code. */
  readonly personCode?: string | undefined;
  /** First name. */
  readonly firstName?: string | undefined;
  /** Last name. */
  readonly lastName?: string | undefined;
  /** The map `address`; absent where it is empty. */
  readonly address?: CustomerAddress | undefined;
  /** First mobile number. */
  readonly mobile?: string | undefined;
  /** Primary e-mail address. */
  readonly email?: string | undefined;
  /** The address for look-ups: NFKC, lower case, trimmed. Absent above 320 characters. */
  readonly emailLower?: string | undefined;
  /** Date of birth. As YYYY-MM-DD. */
  readonly dateOfBirth?: string | undefined;
  /** True if the person has agreed to be written to. */
  readonly subscribed?: boolean | undefined;
  /** True for a retail representative. */
  readonly retailRep?: boolean | undefined;
  /** Last change of the record. */
  readonly lastUpdated?: Timestamp | undefined;
  /** Creation of the record. */
  readonly created?: Timestamp | undefined;
  /** The map `joinedStore`; absent where it is empty. */
  readonly joinedStore?: CustomerJoinedStore | undefined;
  /** The map `latestStore`; absent where it is empty. */
  readonly latestStore?: CustomerLatestStore | undefined;
  /** The map `ref1`; absent where it is empty. */
  readonly ref1?: CustomerRef1 | undefined;
  /** Latest loyalty code: staff discount or VIP level. */
  readonly loyaltyCode?: string | undefined;
  /** Level's name. */
  readonly loyaltyName?: string | undefined;
  /** Unknown columns, by their own names. */
  readonly extra?: Readonly<Record<string, string>> | undefined;
  /** The export file that changed a document last. */
  readonly source: DocumentSource;
}

/** The map `store`; absent where it is empty. */
export interface OrderStore {
  /** Selling store's id. */
  readonly id?: string | undefined;
  /** Store's code. */
  readonly code?: string | undefined;
  /** Store's number. */
  readonly number?: string | undefined;
  /** Store's name. */
  readonly name?: string | undefined;
}

/** The map `staff`; absent where it is empty. */
export interface OrderStaff {
  /** Seller's code. */
  readonly code?: string | undefined;
  /** Seller's name. */
  readonly name?: string | undefined;
}

/** The map `ref`; absent where it is empty. */
export interface OrderLineRef {
  /** Group of the style reference. */
  readonly group?: string | undefined;
  /** Reference's id. */
  readonly id?: string | undefined;
  /** Reference's code. */
  readonly code?: string | undefined;
}

/** One entry of `lines`. */
export interface OrderLine {
  /** Id of the line: tells lines apart best. */
  readonly lineId?: string | undefined;
  /** Place of the line. */
  readonly lineNumber?: number | undefined;
  /** Unit that is sold. */
  readonly sku?: string | undefined;
  /** Style's code. */
  readonly productCode?: string | undefined;
  /** Style's name. */
  readonly productName?: string | undefined;
  /** Colour's code. */
  readonly colourCode?: string | undefined;
  /** Colour's name. */
  readonly colourName?: string | undefined;
  /** Size. */
  readonly sizeCode?: string | undefined;
  /** Units sold; negative if returned. */
  readonly quantity: number;
  /** Price of a unit with tax, before discounts. In cents. */
  readonly priceCents: number;
  /** Paid for the line, after tax and discounts; negative for a return. In cents. */
  readonly valueCents?: number | undefined;
  /** Discount on the line. In cents. */
  readonly discountCents?: number | undefined;
  /** Reason of the discount. */
  readonly discountReason?: string | undefined;
  /** Included tax rate. */
  readonly taxPercent?: number | undefined;
  /** The map `ref`; absent where it is empty. */
  readonly ref?: OrderLineRef | undefined;
  /** Unknown columns, by their own names. */
  readonly extra?: Readonly<Record<string, string>> | undefined;
}

/** A document `connections/{connection}/orders/{ORDER_NUMBER}`. */
export interface Order {
  /** Buyer's PERIDX in the customers file. */
  readonly personId: string;
  /** Buyer's e-mail address. */
  readonly email?: string | undefined;
  /** Number of the order. */
  readonly orderNumber: string;
  /** Transaction's id. */
  readonly transactionId?: string | undefined;
  /** Shopper's order number of a web sale. */
  readonly webOrderNumber?: string | undefined;
  /** Sale, Layby, Layby Update, Special Order or Special Order Update. Exchanges and returns are
   * sales. */
  readonly type?: string | undefined;
  /** Day of the sale. As YYYY-MM-DD. */
  readonly orderDate: string;
  /** Time of the sale, if the file has it. */
  readonly orderedAt?: Timestamp | undefined;
  /** The map `store`; absent where it is empty. */
  readonly store?: OrderStore | undefined;
  /** The map `staff`; absent where it is empty. */
  readonly staff?: OrderStaff | undefined;
  /** Currency of the amounts. */
  readonly currency?: string | undefined;
  /** Number of lines. */
  readonly lineCount?: number | undefined;
  /** Sum over the lines. */
  readonly quantity?: number | undefined;
  /** Sum over the lines; negative for a refund. Absent if an amount could not be read. In cents.
   * */
  readonly valueCents?: number | undefined;
  /** `true` if a row was rejected and is still missing; else absent. */
  readonly incomplete?: boolean | undefined;
  /** Its lines. */
  readonly lines: readonly OrderLine[];
  /** Unknown columns, by their own names. */
  readonly extra?: Readonly<Record<string, string>> | undefined;
  /** The export file that changed a document last. */
  readonly source: DocumentSource;
}

/** The map `program`; absent where it is empty. */
export interface RewardAccountProgram {
  /** Program's id. */
  readonly id?: string | undefined;
  /** Program's name. */
  readonly name?: string | undefined;
}

/** The map `tier`; absent where it is empty. */
export interface RewardAccountTier {
  /** Id of the tier. */
  readonly id?: string | undefined;
  /** Tier's name. */
  readonly name?: string | undefined;
  /** Tier's description. */
  readonly description?: string | undefined;
}

/** The map `nextTier`; absent where it is empty. */
export interface RewardAccountNextTier {
  /** Id of the next tier; blank on the last. */
  readonly id?: string | undefined;
  /** Name of the next tier. */
  readonly name?: string | undefined;
}

/** One entry of `rewards`. */
export interface RewardAccountReward {
  /** Id of an issued reward. */
  readonly rewardId?: string | undefined;
  /** Reason of the reward. */
  readonly description?: string | undefined;
  /** Worth of the reward. In cents. */
  readonly totalCents?: number | undefined;
  /** Used part of it. In cents. */
  readonly redeemedCents?: number | undefined;
  /** Remaining part of it. In cents. */
  readonly availableCents?: number | undefined;
  /** Day of issue. As YYYY-MM-DD. */
  readonly created?: string | undefined;
  /** Day of expiry. As YYYY-MM-DD. */
  readonly expires?: string | undefined;
  /** Unknown columns, by their own names. */
  readonly extra?: Readonly<Record<string, string>> | undefined;
}

/** A document `connections/{connection}/rewards/{PERIDX}`. */
export interface RewardAccount {
  /** Person's PERIDX in the customers file. */
  readonly personId: string;
  /** Person's e-mail address. */
  readonly email?: string | undefined;
  /** The address for look-ups: NFKC, lower case, trimmed. Absent above 320 characters. */
  readonly emailLower?: string | undefined;
  /** Account's id. */
  readonly accountId?: string | undefined;
  /** The map `program`; absent where it is empty. */
  readonly program?: RewardAccountProgram | undefined;
  /** The map `tier`; absent where it is empty. */
  readonly tier?: RewardAccountTier | undefined;
  /** Day of joining. As YYYY-MM-DD. */
  readonly joined?: string | undefined;
  /** Day of reaching the tier. As YYYY-MM-DD. */
  readonly tierJoined?: string | undefined;
  /** Day until which the tier is kept. As YYYY-MM-DD. */
  readonly tierLockedUntil?: string | undefined;
  /** Points not expired. */
  readonly availablePoints?: number | undefined;
  /** Reward money not expired. In cents. */
  readonly availableRewardsCents?: number | undefined;
  /** Points missing for the next reward. */
  readonly pointsToNextReward?: number | undefined;
  /** Spending missing for the next reward. In cents. */
  readonly spendToNextRewardCents?: number | undefined;
  /** The map `nextTier`; absent where it is empty. */
  readonly nextTier?: RewardAccountNextTier | undefined;
  /** Spending missing for the next tier. In cents. */
  readonly spendToNextTierCents?: number | undefined;
  /** `true` if a row was rejected and is still missing; else absent. */
  readonly incomplete?: boolean | undefined;
  /** Its rewards. */
  readonly rewards: readonly RewardAccountReward[];
  /** Unknown columns, by their own names. */
  readonly extra?: Readonly<Record<string, string>> | undefined;
  /** The export file that changed a document last. */
  readonly source: DocumentSource;
}

/** Reads the fields of {@link CustomerAddress} from a map of Firestore's. */
export function readCustomerAddress(data: Record<string, unknown>): CustomerAddress {
  return {
    line1: text(data["line1"]),
    line2: text(data["line2"]),
    city: text(data["city"]),
    state: text(data["state"]),
    postcode: text(data["postcode"]),
    country: text(data["country"]),
  };
}

/** Reads the fields of {@link CustomerJoinedStore} from a map of Firestore's. */
export function readCustomerJoinedStore(data: Record<string, unknown>): CustomerJoinedStore {
  return {
    id: text(data["id"]),
    code: text(data["code"]),
  };
}

/** Reads the fields of {@link CustomerLatestStore} from a map of Firestore's. */
export function readCustomerLatestStore(data: Record<string, unknown>): CustomerLatestStore {
  return {
    id: text(data["id"]),
    code: text(data["code"]),
    number: text(data["number"]),
  };
}

/** Reads the fields of {@link CustomerRef1} from a map of Firestore's. */
export function readCustomerRef1(data: Record<string, unknown>): CustomerRef1 {
  return {
    group: text(data["group"]),
    id: text(data["id"]),
    code: text(data["code"]),
  };
}

/** Reads the fields of {@link DocumentSource} from a map of Firestore's. */
export function readDocumentSource(data: Record<string, unknown>): DocumentSource {
  return {
    import: always(text(data["import"]), "import"),
    row: always(amount(data["row"]), "row"),
    exportedAt: always(time(data["exportedAt"]), "exportedAt"),
    generation: always(amount(data["generation"]), "generation"),
    kept: mapOf(data["kept"], time),
    keptGenerations: mapOf(data["keptGenerations"], amount),
    open: array(data["open"], text),
  };
}

/** Reads the fields of {@link Customer} from a map of Firestore's. */
export function readCustomer(data: Record<string, unknown>): Customer {
  return {
    personId: always(text(data["personId"]), "personId"),
    personCode: text(data["personCode"]),
    firstName: text(data["firstName"]),
    lastName: text(data["lastName"]),
    address: map(data["address"], readCustomerAddress),
    mobile: text(data["mobile"]),
    email: text(data["email"]),
    emailLower: text(data["emailLower"]),
    dateOfBirth: text(data["dateOfBirth"]),
    subscribed: flag(data["subscribed"]),
    retailRep: flag(data["retailRep"]),
    lastUpdated: time(data["lastUpdated"]),
    created: time(data["created"]),
    joinedStore: map(data["joinedStore"], readCustomerJoinedStore),
    latestStore: map(data["latestStore"], readCustomerLatestStore),
    ref1: map(data["ref1"], readCustomerRef1),
    loyaltyCode: text(data["loyaltyCode"]),
    loyaltyName: text(data["loyaltyName"]),
    extra: mapOf(data["extra"], text),
    source: always(map(data["source"], readDocumentSource), "source"),
  };
}

/** Reads the fields of {@link OrderStore} from a map of Firestore's. */
export function readOrderStore(data: Record<string, unknown>): OrderStore {
  return {
    id: text(data["id"]),
    code: text(data["code"]),
    number: text(data["number"]),
    name: text(data["name"]),
  };
}

/** Reads the fields of {@link OrderStaff} from a map of Firestore's. */
export function readOrderStaff(data: Record<string, unknown>): OrderStaff {
  return {
    code: text(data["code"]),
    name: text(data["name"]),
  };
}

/** Reads the fields of {@link OrderLineRef} from a map of Firestore's. */
export function readOrderLineRef(data: Record<string, unknown>): OrderLineRef {
  return {
    group: text(data["group"]),
    id: text(data["id"]),
    code: text(data["code"]),
  };
}

/** Reads the fields of {@link OrderLine} from a map of Firestore's. */
export function readOrderLine(data: Record<string, unknown>): OrderLine {
  return {
    lineId: text(data["lineId"]),
    lineNumber: amount(data["lineNumber"]),
    sku: text(data["sku"]),
    productCode: text(data["productCode"]),
    productName: text(data["productName"]),
    colourCode: text(data["colourCode"]),
    colourName: text(data["colourName"]),
    sizeCode: text(data["sizeCode"]),
    quantity: always(amount(data["quantity"]), "quantity"),
    priceCents: always(amount(data["priceCents"]), "priceCents"),
    valueCents: amount(data["valueCents"]),
    discountCents: amount(data["discountCents"]),
    discountReason: text(data["discountReason"]),
    taxPercent: amount(data["taxPercent"]),
    ref: map(data["ref"], readOrderLineRef),
    extra: mapOf(data["extra"], text),
  };
}

/** Reads the fields of {@link Order} from a map of Firestore's. */
export function readOrder(data: Record<string, unknown>): Order {
  return {
    personId: always(text(data["personId"]), "personId"),
    email: text(data["email"]),
    orderNumber: always(text(data["orderNumber"]), "orderNumber"),
    transactionId: text(data["transactionId"]),
    webOrderNumber: text(data["webOrderNumber"]),
    type: text(data["type"]),
    orderDate: always(text(data["orderDate"]), "orderDate"),
    orderedAt: time(data["orderedAt"]),
    store: map(data["store"], readOrderStore),
    staff: map(data["staff"], readOrderStaff),
    currency: text(data["currency"]),
    lineCount: amount(data["lineCount"]),
    quantity: amount(data["quantity"]),
    valueCents: amount(data["valueCents"]),
    incomplete: flag(data["incomplete"]),
    lines: array(data["lines"], (one) => map(one, readOrderLine)),
    extra: mapOf(data["extra"], text),
    source: always(map(data["source"], readDocumentSource), "source"),
  };
}

/** Reads the fields of {@link RewardAccountProgram} from a map of Firestore's. */
export function readRewardAccountProgram(data: Record<string, unknown>): RewardAccountProgram {
  return {
    id: text(data["id"]),
    name: text(data["name"]),
  };
}

/** Reads the fields of {@link RewardAccountTier} from a map of Firestore's. */
export function readRewardAccountTier(data: Record<string, unknown>): RewardAccountTier {
  return {
    id: text(data["id"]),
    name: text(data["name"]),
    description: text(data["description"]),
  };
}

/** Reads the fields of {@link RewardAccountNextTier} from a map of Firestore's. */
export function readRewardAccountNextTier(data: Record<string, unknown>): RewardAccountNextTier {
  return {
    id: text(data["id"]),
    name: text(data["name"]),
  };
}

/** Reads the fields of {@link RewardAccountReward} from a map of Firestore's. */
export function readRewardAccountReward(data: Record<string, unknown>): RewardAccountReward {
  return {
    rewardId: text(data["rewardId"]),
    description: text(data["description"]),
    totalCents: amount(data["totalCents"]),
    redeemedCents: amount(data["redeemedCents"]),
    availableCents: amount(data["availableCents"]),
    created: text(data["created"]),
    expires: text(data["expires"]),
    extra: mapOf(data["extra"], text),
  };
}

/** Reads the fields of {@link RewardAccount} from a map of Firestore's. */
export function readRewardAccount(data: Record<string, unknown>): RewardAccount {
  return {
    personId: always(text(data["personId"]), "personId"),
    email: text(data["email"]),
    emailLower: text(data["emailLower"]),
    accountId: text(data["accountId"]),
    program: map(data["program"], readRewardAccountProgram),
    tier: map(data["tier"], readRewardAccountTier),
    joined: text(data["joined"]),
    tierJoined: text(data["tierJoined"]),
    tierLockedUntil: text(data["tierLockedUntil"]),
    availablePoints: amount(data["availablePoints"]),
    availableRewardsCents: amount(data["availableRewardsCents"]),
    pointsToNextReward: amount(data["pointsToNextReward"]),
    spendToNextRewardCents: amount(data["spendToNextRewardCents"]),
    nextTier: map(data["nextTier"], readRewardAccountNextTier),
    spendToNextTierCents: amount(data["spendToNextTierCents"]),
    incomplete: flag(data["incomplete"]),
    rewards: array(data["rewards"], (one) => map(one, readRewardAccountReward)),
    extra: mapOf(data["extra"], text),
    source: always(map(data["source"], readDocumentSource), "source"),
  };
}

type Known = Record<string, unknown>;

function text(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

function flag(value: unknown): boolean | undefined {
  return typeof value === "boolean" ? value : undefined;
}

function amount(value: unknown): number | undefined {
  return typeof value === "number" ? value : undefined;
}

function time(value: unknown): Timestamp | undefined {
  return isTimestamp(value) ? new Timestamp(value.seconds, value.nanoseconds) : undefined;
}

/** Tells whether a value is a timestamp of this or another copy of a Firebase SDK. */
export function isTimestamp(value: unknown): value is Timestamp {
  return typeof value === "object" && value !== null
    && typeof (value as Known)["seconds"] === "number"
    && typeof (value as Known)["nanoseconds"] === "number"
    && typeof (value as Known)["toMillis"] === "function";
}

function isMap(value: unknown): value is Known {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function map<T>(value: unknown, read: (map: Known) => T): T | undefined {
  return isMap(value) ? read(value) : undefined;
}

function mapOf<T>(
  value: unknown, read: (one: unknown) => T | undefined,
): Record<string, T> | undefined {
  return map(value, (known) => {
    const result: Record<string, T> = {};
    for (const [name, one] of Object.entries(known)) {
      const made = read(one);
      if (made !== undefined) result[name] = made;
    }
    return result;
  });
}

function array<T>(value: unknown, read: (one: unknown) => T | undefined): T[] {
  return (Array.isArray(value) ? value : []).map(read).filter((one): one is T => one !== undefined);
}

function always<T>(value: T | undefined, field: string): T {
  if (value === undefined) throw new TypeError(`The document has no usable ${field}.`);
  return value;
}

function readOnly<T>(read: (data: DocumentData) => T): FirestoreDataConverter<T, DocumentData> {
  return {
    fromFirestore(snapshot: QueryDocumentSnapshot, options?: SnapshotOptions): T {
      return read(snapshot.data(options));
    },
    toFirestore(): never {
      throw new Error("Only the pipeline writes here: keep your data in documents of your own.");
    },
  };
}

/** Reads documents as {@link Customer}; throws where an app tries to write. */
export const customerConverter = readOnly(readCustomer);

/** Reads documents as {@link Order}; throws where an app tries to write. */
export const orderConverter = readOnly(readOrder);

/** Reads documents as {@link RewardAccount}; throws where an app tries to write. */
export const rewardAccountConverter = readOnly(readRewardAccount);
