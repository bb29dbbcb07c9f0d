// Written by `make kit` from the tables behind docs/data-model.md. Do not edit.
// Checks of the documents with zod: `customerSchema.parse(snapshot.data())`. Fields that the schema
// does not know are left out.
import { z } from "zod";
import { isTimestamp } from "./apparel21.js";
import type * as documents from "./apparel21.js";
import type { Timestamp } from "firebase/firestore";

const day = z.string().regex(/^[0-9]{4}-[0-9]{2}-[0-9]{2}$/);
const timestamp = z.custom<Timestamp>(isTimestamp, "not a timestamp");

export const customerAddressSchema = z.object({
  line1: z.string().optional(),
  line2: z.string().optional(),
  city: z.string().optional(),
  state: z.string().optional(),
  postcode: z.string().optional(),
  country: z.string().optional(),
}) satisfies z.ZodType<documents.CustomerAddress>;

export const customerJoinedStoreSchema = z.object({
  id: z.string().optional(),
  code: z.string().optional(),
}) satisfies z.ZodType<documents.CustomerJoinedStore>;

export const customerLatestStoreSchema = z.object({
  id: z.string().optional(),
  code: z.string().optional(),
  number: z.string().optional(),
}) satisfies z.ZodType<documents.CustomerLatestStore>;

export const customerRef1Schema = z.object({
  group: z.string().optional(),
  id: z.string().optional(),
  code: z.string().optional(),
}) satisfies z.ZodType<documents.CustomerRef1>;

export const documentSourceSchema = z.object({
  import: z.string(),
  row: z.number().int(),
  exportedAt: timestamp,
  generation: z.number().int(),
  kept: z.record(z.string(), timestamp).optional(),
  keptGenerations: z.record(z.string(), z.number().int()).optional(),
  open: z.array(z.string()).default([]),
}) satisfies z.ZodType<documents.DocumentSource>;

export const customerSchema = z.object({
  personId: z.string(),
  personCode: z.string().optional(),
  firstName: z.string().optional(),
  lastName: z.string().optional(),
  address: customerAddressSchema.optional(),
  mobile: z.string().optional(),
  email: z.string().optional(),
  emailLower: z.string().optional(),
  dateOfBirth: day.optional(),
  subscribed: z.boolean().optional(),
  retailRep: z.boolean().optional(),
  lastUpdated: timestamp.optional(),
  created: timestamp.optional(),
  joinedStore: customerJoinedStoreSchema.optional(),
  latestStore: customerLatestStoreSchema.optional(),
  ref1: customerRef1Schema.optional(),
  loyaltyCode: z.string().optional(),
  loyaltyName: z.string().optional(),
  extra: z.record(z.string(), z.string()).optional(),
  source: documentSourceSchema,
}) satisfies z.ZodType<documents.Customer>;

export const orderStoreSchema = z.object({
  id: z.string().optional(),
  code: z.string().optional(),
  number: z.string().optional(),
  name: z.string().optional(),
}) satisfies z.ZodType<documents.OrderStore>;

export const orderStaffSchema = z.object({
  code: z.string().optional(),
  name: z.string().optional(),
}) satisfies z.ZodType<documents.OrderStaff>;

export const orderLineRefSchema = z.object({
  group: z.string().optional(),
  id: z.string().optional(),
  code: z.string().optional(),
}) satisfies z.ZodType<documents.OrderLineRef>;

export const orderLineSchema = z.object({
  lineId: z.string().optional(),
  lineNumber: z.number().int().optional(),
  sku: z.string().optional(),
  productCode: z.string().optional(),
  productName: z.string().optional(),
  colourCode: z.string().optional(),
  colourName: z.string().optional(),
  sizeCode: z.string().optional(),
  quantity: z.number(),
  priceCents: z.number().int(),
  valueCents: z.number().int().optional(),
  discountCents: z.number().int().optional(),
  discountReason: z.string().optional(),
  taxPercent: z.number().optional(),
  ref: orderLineRefSchema.optional(),
  extra: z.record(z.string(), z.string()).optional(),
}) satisfies z.ZodType<documents.OrderLine>;

export const orderSchema = z.object({
  personId: z.string(),
  email: z.string().optional(),
  orderNumber: z.string(),
  transactionId: z.string().optional(),
  webOrderNumber: z.string().optional(),
  type: z.string().optional(),
  orderDate: day,
  orderedAt: timestamp.optional(),
  store: orderStoreSchema.optional(),
  staff: orderStaffSchema.optional(),
  currency: z.string().optional(),
  lineCount: z.number().int().optional(),
  quantity: z.number().optional(),
  valueCents: z.number().int().optional(),
  incomplete: z.boolean().optional(),
  lines: z.array(orderLineSchema).default([]),
  extra: z.record(z.string(), z.string()).optional(),
  source: documentSourceSchema,
}) satisfies z.ZodType<documents.Order>;

export const rewardAccountProgramSchema = z.object({
  id: z.string().optional(),
  name: z.string().optional(),
}) satisfies z.ZodType<documents.RewardAccountProgram>;

export const rewardAccountTierSchema = z.object({
  id: z.string().optional(),
  name: z.string().optional(),
  description: z.string().optional(),
}) satisfies z.ZodType<documents.RewardAccountTier>;

export const rewardAccountNextTierSchema = z.object({
  id: z.string().optional(),
  name: z.string().optional(),
}) satisfies z.ZodType<documents.RewardAccountNextTier>;

export const rewardAccountRewardSchema = z.object({
  rewardId: z.string().optional(),
  description: z.string().optional(),
  totalCents: z.number().int().optional(),
  redeemedCents: z.number().int().optional(),
  availableCents: z.number().int().optional(),
  created: day.optional(),
  expires: day.optional(),
  extra: z.record(z.string(), z.string()).optional(),
}) satisfies z.ZodType<documents.RewardAccountReward>;

export const rewardAccountSchema = z.object({
  personId: z.string(),
  email: z.string().optional(),
  emailLower: z.string().optional(),
  accountId: z.string().optional(),
  program: rewardAccountProgramSchema.optional(),
  tier: rewardAccountTierSchema.optional(),
  joined: day.optional(),
  tierJoined: day.optional(),
  tierLockedUntil: day.optional(),
  availablePoints: z.number().int().optional(),
  availableRewardsCents: z.number().int().optional(),
  pointsToNextReward: z.number().int().optional(),
  spendToNextRewardCents: z.number().int().optional(),
  nextTier: rewardAccountNextTierSchema.optional(),
  spendToNextTierCents: z.number().int().optional(),
  incomplete: z.boolean().optional(),
  rewards: z.array(rewardAccountRewardSchema).default([]),
  extra: z.record(z.string(), z.string()).optional(),
  source: documentSourceSchema,
}) satisfies z.ZodType<documents.RewardAccount>;
