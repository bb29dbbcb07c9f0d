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
  /** First line of the address. */
  readonly line1?: string | undefined;
  /** Second line of the address. */
  readonly line2?: string | undefined;
  /** City or suburb. */
  readonly city?: string | undefined;
  /** State. */
  readonly state?: string | undefined;
  /** Post code. */
  readonly postcode?: string | undefined;
  /** Country, by its full name. */
  readonly country?: string | undefined;
}

/** The map `joinedStore`; absent where it is empty. */
export interface CustomerJoinedStore {
  /** Internal id of the store in which the person joined. */
  readonly id?: string | undefined;
  /** Code of that store. */
  readonly code?: string | undefined;
}

/** The map `latestStore`; absent where it is empty. */
export interface CustomerLatestStore {
  /** Internal id of the store of the last purchase. */
  readonly id?: string | undefined;
  /** Code of that store. */
  readonly code?: string | undefined;
  /** Number of that store. */
  readonly number?: string | undefined;
}

/** The map `ref1`; absent where it is empty. */
export interface CustomerRef1 {
  /** Group of the person reference chosen for the export. */
  readonly group?: string | undefined;
  /** Id of that reference. */
  readonly id?: string | undefined;
  /** Code of that reference. */
  readonly code?: string | undefined;
}

/** The export file that changed a document last. */
export interface DocumentSource {
  /** The export file that changed the document last. */
  readonly import: string;
  /** The line of that file where the document's last row begins. */
  readonly row: number;
  /** When that file was exported, as its name says; of a corrected row, when the export it comes
   * from was. 1970 where the file was undone and no other export is left. */
  readonly exportedAt: Timestamp;
  /** Which upload of that file it was. */
  readonly generation: number;
  /** Path of a field that a later file has left open -> export time of the file that gave its
   * value. Absent where there is none. */
  readonly kept?: Readonly<Record<string, Timestamp>> | undefined;
  /** The same paths -> which upload of that file it was. */
  readonly keptGenerations?: Readonly<Record<string, number>> | undefined;
  /** Paths of fields that no file has said anything of: their cells could not be read, or are
   * blank and blank cells keep what is stored. Absent where there is none. */
  readonly open: readonly string[];
}

/** A document `connections/{connection}/customers/{PERIDX}`. */
export interface Customer {
  /** The person's internal number in Apparel21. Orders and rewards refer to it. */
  readonly personId: string;
  /** The person's code. */
  readonly personCode?: string | undefined;
  /** First name. */
  readonly firstName?: string | undefined;
  /** Last name. */
  readonly lastName?: string | undefined;
  /** The map `address`; absent where it is empty. */
  readonly address?: CustomerAddress | undefined;
  /** The person's first mobile number. */
  readonly mobile?: string | undefined;
  /** The person's primary e-mail address. */
  readonly email?: string | undefined;
  /** That address in one spelling, to find the person by: Unicode form NFKC, lower case, trimmed.
   * Absent where the address is longer than 320 characters. */
  readonly emailLower?: string | undefined;
  /** Date of birth. As YYYY-MM-DD. */
  readonly dateOfBirth?: string | undefined;
  /** Whether the person has agreed to be written to. Absent where no file has said. */
  readonly subscribed?: boolean | undefined;
  /** Whether the person is a retail representative. */
  readonly retailRep?: boolean | undefined;
  /** When the record was last changed. Of two rows of one person, the later counts. */
  readonly lastUpdated?: Timestamp | undefined;
  /** When the record was made. */
  readonly created?: Timestamp | undefined;
  /** The map `joinedStore`; absent where it is empty. */
  readonly joinedStore?: CustomerJoinedStore | undefined;
  /** The map `latestStore`; absent where it is empty. */
  readonly latestStore?: CustomerLatestStore | undefined;
  /** The map `ref1`; absent where it is empty. */
  readonly ref1?: CustomerRef1 | undefined;
  /** The person's most recent loyalty code (staff discount or VIP level). */
  readonly loyaltyCode?: string | undefined;
  /** Name of that loyalty level. */
  readonly loyaltyName?: string | undefined;
  /** Columns that this system does not know, by their own names. */
  readonly extra?: Readonly<Record<string, string>> | undefined;
  /** The export file that changed a document last. */
  readonly source: DocumentSource;
}

/** The map `store`; absent where it is empty. */
export interface OrderStore {
  /** Internal id of the selling store. */
  readonly id?: string | undefined;
  /** Code of that store. */
  readonly code?: string | undefined;
  /** Number of that store. */
  readonly number?: string | undefined;
  /** Name of that store. */
  readonly name?: string | undefined;
}

/** The map `staff`; absent where it is empty. */
export interface OrderStaff {
  /** Code of the member of staff who sold. */
  readonly code?: string | undefined;
  /** Name of that member of staff. */
  readonly name?: string | undefined;
}

/** The map `ref`; absent where it is empty. */
export interface OrderLineRef {
  /** Group of the style reference chosen for the export. */
  readonly group?: string | undefined;
  /** Id of that reference. */
  readonly id?: string | undefined;
  /** Code of that reference. */
  readonly code?: string | undefined;
}

/** One entry of `lines`. */
export interface OrderLine {
  /** Internal id of the line: the best way to tell lines apart. */
  readonly lineId?: string | undefined;
  /** Place of the line in the order. Gaps do not matter; two lines with one number and no LINE_ID
   * are taken for the same line. */
  readonly lineNumber?: number | undefined;
  /** The unit that is sold. */
  readonly sku?: string | undefined;
  /** Code of the style. */
  readonly productCode?: string | undefined;
  /** Name of the style. */
  readonly productName?: string | undefined;
  /** Code of the colour. */
  readonly colourCode?: string | undefined;
  /** Name of the colour. */
  readonly colourName?: string | undefined;
  /** The size. */
  readonly sizeCode?: string | undefined;
  /** Units sold; negative for units returned. */
  readonly quantity: number;
  /** Price of one unit, tax included, before any discount. In cents. */
  readonly priceCents: number;
  /** What was paid for the line, tax and discounts included; negative for a return. In cents. */
  readonly valueCents?: number | undefined;
  /** Discount on the whole line. In cents. */
  readonly discountCents?: number | undefined;
  /** What the discount was for. */
  readonly discountReason?: string | undefined;
  /** Rate of the tax that is included. */
  readonly taxPercent?: number | undefined;
  /** The map `ref`; absent where it is empty. */
  readonly ref?: OrderLineRef | undefined;
  /** Columns that this system does not know, by their own names. */
  readonly extra?: Readonly<Record<string, string>> | undefined;
}

/** A document `connections/{connection}/orders/{ORDER_NUMBER}`. */
export interface Order {
  /** The buyer, by the PERIDX of the customers file. */
  readonly personId: string;
  /** The buyer's e-mail address. */
  readonly email?: string | undefined;
  /** Number of the transaction. All rows with one number are one order. */
  readonly orderNumber: string;
  /** Internal id of the transaction. */
  readonly transactionId?: string | undefined;
  /** The shopper's own order number, where the sale came from an order. */
  readonly webOrderNumber?: string | undefined;
  /** Sale, Layby, Layby Update, Special Order or Special Order Update. Exchanges and returns are
   * sales. */
  readonly type?: string | undefined;
  /** The day of the sale. Where the cell holds the time too, `orderedAt` is it. As YYYY-MM-DD. */
  readonly orderDate: string;
  /** The time of the sale; absent where the file gives the day alone. */
  readonly orderedAt?: Timestamp | undefined;
  /** The map `store`; absent where it is empty. */
  readonly store?: OrderStore | undefined;
  /** The map `staff`; absent where it is empty. */
  readonly staff?: OrderStaff | undefined;
  /** Currency of the amounts. */
  readonly currency?: string | undefined;
  /** How many lines the order has. */
  readonly lineCount?: number | undefined;
  /** The sum over its lines. */
  readonly quantity?: number | undefined;
  /** The sum over its lines; negative for a refund. Absent where an amount of a line could not be
   * read. In cents. */
  readonly valueCents?: number | undefined;
  /** `true` where a row of the document was rejected and no complete one has arrived yet: it
   * lacks what that row says. Absent otherwise. */
  readonly incomplete?: boolean | undefined;
  /** Its lines. */
  readonly lines: readonly OrderLine[];
  /** Columns that this system does not know, by their own names. */
  readonly extra?: Readonly<Record<string, string>> | undefined;
  /** The export file that changed a document last. */
  readonly source: DocumentSource;
}

/** The map `program`; absent where it is empty. */
export interface RewardAccountProgram {
  /** Internal id of the program. */
  readonly id?: string | undefined;
  /** Name of the program. */
  readonly name?: string | undefined;
}

/** The map `tier`; absent where it is empty. */
export interface RewardAccountTier {
  /** Internal id of the tier that the person is in. */
  readonly id?: string | undefined;
  /** Name of that tier. */
  readonly name?: string | undefined;
  /** What is said about that tier. */
  readonly description?: string | undefined;
}

/** The map `nextTier`; absent where it is empty. */
export interface RewardAccountNextTier {
  /** Internal id of the next tier; blank on the last one. */
  readonly id?: string | undefined;
  /** Name of the next tier. */
  readonly name?: string | undefined;
}

/** One entry of `rewards`. */
export interface RewardAccountReward {
  /** Internal id of an issued reward. A file with this column has one row a reward, with what
   * belongs to the account repeated; one without it has one row an account. */
  readonly rewardId?: string | undefined;
  /** What the reward is for. */
  readonly description?: string | undefined;
  /** What the reward was worth. In cents. */
  readonly totalCents?: number | undefined;
  /** What has been used of it. In cents. */
  readonly redeemedCents?: number | undefined;
  /** What is left of it. In cents. */
  readonly availableCents?: number | undefined;
  /** When it was issued. As YYYY-MM-DD. */
  readonly created?: string | undefined;
  /** When it expires. As YYYY-MM-DD. */
  readonly expires?: string | undefined;
  /** Columns that this system does not know, by their own names. */
  readonly extra?: Readonly<Record<string, string>> | undefined;
}

/** A document `connections/{connection}/rewards/{PERIDX}`. */
export interface RewardAccount {
  /** The person, by the PERIDX of the customers file. */
  readonly personId: string;
  /** The person's e-mail address. */
  readonly email?: string | undefined;
  /** That address in one spelling, to find the person by: Unicode form NFKC, lower case, trimmed.
   * Absent where the address is longer than 320 characters. */
  readonly emailLower?: string | undefined;
  /** Internal id of the reward account. */
  readonly accountId?: string | undefined;
  /** The map `program`; absent where it is empty. */
  readonly program?: RewardAccountProgram | undefined;
  /** The map `tier`; absent where it is empty. */
  readonly tier?: RewardAccountTier | undefined;
  /** When the person joined the program. As YYYY-MM-DD. */
  readonly joined?: string | undefined;
  /** When the person came into the tier. As YYYY-MM-DD. */
  readonly tierJoined?: string | undefined;
  /** Until when the person keeps the tier. As YYYY-MM-DD. */
  readonly tierLockedUntil?: string | undefined;
  /** Points that have not expired. */
  readonly availablePoints?: number | undefined;
  /** Reward money that has not expired. In cents. */
  readonly availableRewardsCents?: number | undefined;
  /** Points that are missing for the next reward. */
  readonly pointsToNextReward?: number | undefined;
  /** Spending that is missing for the next reward. In cents. */
  readonly spendToNextRewardCents?: number | undefined;
  /** The map `nextTier`; absent where it is empty. */
  readonly nextTier?: RewardAccountNextTier | undefined;
  /** Spending that is missing for the next tier. In cents. */
  readonly spendToNextTierCents?: number | undefined;
  /** `true` where a row of the document was rejected and no complete one has arrived yet: it
   * lacks what that row says. Absent otherwise. */
  readonly incomplete?: boolean | undefined;
  /** Its rewards. */
  readonly rewards: readonly RewardAccountReward[];
  /** Columns that this system does not know, by their own names. */
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
