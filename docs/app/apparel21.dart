// Written by `make kit` from the tables behind docs/data-model.md. Do not edit.
//
// Plain classes, without a package. With cloud_firestore:
//
//   final orders = FirebaseFirestore.instance
//       .collection('connections/main/orders')
//       .withConverter<Order>(
//         fromFirestore: (snapshot, _) => Order.fromMap(snapshot.data()!),
//         toFirestore: (order, _) => order.toMap(),
//       );
//
// A field of an unexpected type is null, a list that is absent is empty, and toMap throws: only the
// pipeline writes.

T? _as<T>(Object? value) => value is T ? value : null;

double? _number(Object? value) => value is num ? value.toDouble() : null;

/// Reads a Timestamp of cloud_firestore, or a DateTime.
DateTime? _time(Object? value) {
  if (value == null || value is DateTime) return value as DateTime?;
  try {
    return (value as dynamic).toDate() as DateTime;
  } on NoSuchMethodError {
    return null;
  }
}

Map<String, Object?>? _map(Object? value) =>
    value is Map ? value.map((name, one) => MapEntry('$name', one)) : null;

Map<String, T>? _mapOf<T>(Object? value, T? Function(Object?) read) {
  final known = _map(value);
  if (known == null) return null;
  return {
    for (final entry in known.entries)
      if (read(entry.value) case final T made) entry.key: made,
  };
}

List<T> _list<T>(Object? value, T? Function(Object?) read) => [
      for (final one in value is List ? value : const [])
        if (read(one) case final T made) made,
    ];

R? _inner<R>(Object? value, R Function(Map<String, Object?>) read) {
  final known = _map(value);
  return known == null ? null : read(known);
}

T _always<T>(T? value, String field) =>
    value ?? (throw FormatException('The document has no usable $field.'));

/// The map `address`; absent where it is empty.
class CustomerAddress {
  const CustomerAddress({
    this.line1,
    this.line2,
    this.city,
    this.state,
    this.postcode,
    this.country,
  });

  factory CustomerAddress.fromMap(Map<String, Object?> data) => CustomerAddress(
        line1: _as<String>(data['line1']),
        line2: _as<String>(data['line2']),
        city: _as<String>(data['city']),
        state: _as<String>(data['state']),
        postcode: _as<String>(data['postcode']),
        country: _as<String>(data['country']),
      );

  /// Address, first line.
  final String? line1;
  /// Address, second line.
  final String? line2;
  /// City or suburb.
  final String? city;
  /// State.
  final String? state;
  /// Post code.
  final String? postcode;
  /// Full name of the country.
  final String? country;
}

/// The map `joinedStore`; absent where it is empty.
class CustomerJoinedStore {
  const CustomerJoinedStore({
    this.id,
    this.code,
  });

  factory CustomerJoinedStore.fromMap(Map<String, Object?> data) => CustomerJoinedStore(
        id: _as<String>(data['id']),
        code: _as<String>(data['code']),
      );

  /// Store in which the person joined.
  final String? id;
  /// Store's code.
  final String? code;
}

/// The map `latestStore`; absent where it is empty.
class CustomerLatestStore {
  const CustomerLatestStore({
    this.id,
    this.code,
    this.number,
  });

  factory CustomerLatestStore.fromMap(Map<String, Object?> data) => CustomerLatestStore(
        id: _as<String>(data['id']),
        code: _as<String>(data['code']),
        number: _as<String>(data['number']),
      );

  /// Store of the last purchase.
  final String? id;
  /// Store's code.
  final String? code;
  /// Store's number.
  final String? number;
}

/// The map `ref1`; absent where it is empty.
class CustomerRef1 {
  const CustomerRef1({
    this.group,
    this.id,
    this.code,
  });

  factory CustomerRef1.fromMap(Map<String, Object?> data) => CustomerRef1(
        group: _as<String>(data['group']),
        id: _as<String>(data['id']),
        code: _as<String>(data['code']),
      );

  /// Reference's group.
  final String? group;
  /// Reference's id.
  final String? id;
  /// Reference's code.
  final String? code;
}

/// The export file that changed a document last.
class DocumentSource {
  const DocumentSource({
    required this.importId,
    required this.row,
    required this.exportedAt,
    required this.generation,
    this.kept,
    this.keptGenerations,
    required this.open,
  });

  factory DocumentSource.fromMap(Map<String, Object?> data) => DocumentSource(
        importId: _always(_as<String>(data['import']), 'import'),
        row: _always(_as<int>(data['row']), 'row'),
        exportedAt: _always(_time(data['exportedAt']), 'exportedAt'),
        generation: _always(_as<int>(data['generation']), 'generation'),
        kept: _mapOf(data['kept'], _time),
        keptGenerations: _mapOf(data['keptGenerations'], _as<int>),
        open: _list(data['open'], _as<String>),
      );

  /// Import that changed the document last.
  final String importId;
  /// First line of the document's last row.
  final int row;
  /// Time of the export; of a fixed row, of its first export. 1970 if an undone file was the only
  /// one.
  final DateTime exportedAt;
  /// Upload of that file.
  final int generation;
  /// Path of a field that a later file left open -> export time of its value.
  final Map<String, DateTime>? kept;
  /// The same paths -> upload of that file.
  final Map<String, int>? keptGenerations;
  /// Paths of fields without a value from any file: unreadable, or blank and kept.
  final List<String> open;
}

/// A document `connections/{connection}/customers/{PERIDX}`.
class Customer {
  const Customer({
    required this.personId,
    this.personCode,
    this.firstName,
    this.lastName,
    this.address,
    this.mobile,
    this.email,
    this.emailLower,
    this.dateOfBirth,
    this.subscribed,
    this.retailRep,
    this.lastUpdated,
    this.created,
    this.joinedStore,
    this.latestStore,
    this.ref1,
    this.loyaltyCode,
    this.loyaltyName,
    this.extra,
    required this.source,
  });

  factory Customer.fromMap(Map<String, Object?> data) => Customer(
        personId: _always(_as<String>(data['personId']), 'personId'),
        personCode: _as<String>(data['personCode']),
        firstName: _as<String>(data['firstName']),
        lastName: _as<String>(data['lastName']),
        address: _inner(data['address'], CustomerAddress.fromMap),
        mobile: _as<String>(data['mobile']),
        email: _as<String>(data['email']),
        emailLower: _as<String>(data['emailLower']),
        dateOfBirth: _as<String>(data['dateOfBirth']),
        subscribed: _as<bool>(data['subscribed']),
        retailRep: _as<bool>(data['retailRep']),
        lastUpdated: _time(data['lastUpdated']),
        created: _time(data['created']),
        joinedStore: _inner(data['joinedStore'], CustomerJoinedStore.fromMap),
        latestStore: _inner(data['latestStore'], CustomerLatestStore.fromMap),
        ref1: _inner(data['ref1'], CustomerRef1.fromMap),
        loyaltyCode: _as<String>(data['loyaltyCode']),
        loyaltyName: _as<String>(data['loyaltyName']),
        extra: _mapOf(data['extra'], _as<String>),
        source: _always(_inner(data['source'], DocumentSource.fromMap), 'source'),
      );

  /// Throws: only the pipeline writes these documents.
  Map<String, Object?> toMap() =>
      throw UnsupportedError('Only the pipeline writes these documents.');

  /// Person's number in Apparel21.
  final String personId;
  /// Person's code.
  final String? personCode;
  /// First name.
  final String? firstName;
  /// Last name.
  final String? lastName;
  /// The map `address`; absent where it is empty.
  final CustomerAddress? address;
  /// First mobile number.
  final String? mobile;
  /// Primary e-mail address.
  final String? email;
  /// The address for look-ups: NFKC, lower case, trimmed. Absent above 320 characters.
  final String? emailLower;
  /// Date of birth.
  final String? dateOfBirth;
  /// True if the person has agreed to be written to.
  final bool? subscribed;
  /// True for a retail representative.
  final bool? retailRep;
  /// Last change of the record.
  final DateTime? lastUpdated;
  /// Creation of the record.
  final DateTime? created;
  /// The map `joinedStore`; absent where it is empty.
  final CustomerJoinedStore? joinedStore;
  /// The map `latestStore`; absent where it is empty.
  final CustomerLatestStore? latestStore;
  /// The map `ref1`; absent where it is empty.
  final CustomerRef1? ref1;
  /// Latest loyalty code: staff discount or VIP level.
  final String? loyaltyCode;
  /// Level's name.
  final String? loyaltyName;
  /// Unknown columns, by their own names.
  final Map<String, String>? extra;
  /// The export file that changed a document last.
  final DocumentSource source;
}

/// The map `store`; absent where it is empty.
class OrderStore {
  const OrderStore({
    this.id,
    this.code,
    this.number,
    this.name,
  });

  factory OrderStore.fromMap(Map<String, Object?> data) => OrderStore(
        id: _as<String>(data['id']),
        code: _as<String>(data['code']),
        number: _as<String>(data['number']),
        name: _as<String>(data['name']),
      );

  /// Selling store's id.
  final String? id;
  /// Store's code.
  final String? code;
  /// Store's number.
  final String? number;
  /// Store's name.
  final String? name;
}

/// The map `staff`; absent where it is empty.
class OrderStaff {
  const OrderStaff({
    this.code,
    this.name,
  });

  factory OrderStaff.fromMap(Map<String, Object?> data) => OrderStaff(
        code: _as<String>(data['code']),
        name: _as<String>(data['name']),
      );

  /// Seller's code.
  final String? code;
  /// Seller's name.
  final String? name;
}

/// The map `ref`; absent where it is empty.
class OrderLineRef {
  const OrderLineRef({
    this.group,
    this.id,
    this.code,
  });

  factory OrderLineRef.fromMap(Map<String, Object?> data) => OrderLineRef(
        group: _as<String>(data['group']),
        id: _as<String>(data['id']),
        code: _as<String>(data['code']),
      );

  /// Group of the style reference.
  final String? group;
  /// Reference's id.
  final String? id;
  /// Reference's code.
  final String? code;
}

/// One entry of `lines`.
class OrderLine {
  const OrderLine({
    this.lineId,
    this.lineNumber,
    this.sku,
    this.productCode,
    this.productName,
    this.colourCode,
    this.colourName,
    this.sizeCode,
    required this.quantity,
    required this.priceCents,
    this.valueCents,
    this.discountCents,
    this.discountReason,
    this.taxPercent,
    this.ref,
    this.extra,
  });

  factory OrderLine.fromMap(Map<String, Object?> data) => OrderLine(
        lineId: _as<String>(data['lineId']),
        lineNumber: _as<int>(data['lineNumber']),
        sku: _as<String>(data['sku']),
        productCode: _as<String>(data['productCode']),
        productName: _as<String>(data['productName']),
        colourCode: _as<String>(data['colourCode']),
        colourName: _as<String>(data['colourName']),
        sizeCode: _as<String>(data['sizeCode']),
        quantity: _always(_number(data['quantity']), 'quantity'),
        priceCents: _always(_as<int>(data['priceCents']), 'priceCents'),
        valueCents: _as<int>(data['valueCents']),
        discountCents: _as<int>(data['discountCents']),
        discountReason: _as<String>(data['discountReason']),
        taxPercent: _number(data['taxPercent']),
        ref: _inner(data['ref'], OrderLineRef.fromMap),
        extra: _mapOf(data['extra'], _as<String>),
      );

  /// Id of the line: tells lines apart best.
  final String? lineId;
  /// Place of the line.
  final int? lineNumber;
  /// Unit that is sold.
  final String? sku;
  /// Style's code.
  final String? productCode;
  /// Style's name.
  final String? productName;
  /// Colour's code.
  final String? colourCode;
  /// Colour's name.
  final String? colourName;
  /// Size.
  final String? sizeCode;
  /// Units sold; negative if returned.
  final double quantity;
  /// Price of a unit with tax, before discounts.
  final int priceCents;
  /// Paid for the line, after tax and discounts; negative for a return.
  final int? valueCents;
  /// Discount on the line.
  final int? discountCents;
  /// Reason of the discount.
  final String? discountReason;
  /// Included tax rate.
  final double? taxPercent;
  /// The map `ref`; absent where it is empty.
  final OrderLineRef? ref;
  /// Unknown columns, by their own names.
  final Map<String, String>? extra;
}

/// A document `connections/{connection}/orders/{ORDER_NUMBER}`.
class Order {
  const Order({
    required this.personId,
    this.email,
    required this.orderNumber,
    this.transactionId,
    this.webOrderNumber,
    this.type,
    required this.orderDate,
    this.orderedAt,
    this.store,
    this.staff,
    this.currency,
    this.lineCount,
    this.quantity,
    this.valueCents,
    this.incomplete,
    required this.lines,
    this.extra,
    required this.source,
  });

  factory Order.fromMap(Map<String, Object?> data) => Order(
        personId: _always(_as<String>(data['personId']), 'personId'),
        email: _as<String>(data['email']),
        orderNumber: _always(_as<String>(data['orderNumber']), 'orderNumber'),
        transactionId: _as<String>(data['transactionId']),
        webOrderNumber: _as<String>(data['webOrderNumber']),
        type: _as<String>(data['type']),
        orderDate: _always(_as<String>(data['orderDate']), 'orderDate'),
        orderedAt: _time(data['orderedAt']),
        store: _inner(data['store'], OrderStore.fromMap),
        staff: _inner(data['staff'], OrderStaff.fromMap),
        currency: _as<String>(data['currency']),
        lineCount: _as<int>(data['lineCount']),
        quantity: _number(data['quantity']),
        valueCents: _as<int>(data['valueCents']),
        incomplete: _as<bool>(data['incomplete']),
        lines: _list(data['lines'], (one) => _inner(one, OrderLine.fromMap)),
        extra: _mapOf(data['extra'], _as<String>),
        source: _always(_inner(data['source'], DocumentSource.fromMap), 'source'),
      );

  /// Throws: only the pipeline writes these documents.
  Map<String, Object?> toMap() =>
      throw UnsupportedError('Only the pipeline writes these documents.');

  /// Buyer's PERIDX in the customers file.
  final String personId;
  /// Buyer's e-mail address.
  final String? email;
  /// Number of the order.
  final String orderNumber;
  /// Transaction's id.
  final String? transactionId;
  /// Shopper's order number of a web sale.
  final String? webOrderNumber;
  /// Sale, Layby, Layby Update, Special Order or Special Order Update. Exchanges and returns are
  /// sales.
  final String? type;
  /// Day of the sale.
  final String orderDate;
  /// Time of the sale, if the file has it.
  final DateTime? orderedAt;
  /// The map `store`; absent where it is empty.
  final OrderStore? store;
  /// The map `staff`; absent where it is empty.
  final OrderStaff? staff;
  /// Currency of the amounts.
  final String? currency;
  /// Number of lines.
  final int? lineCount;
  /// Sum over the lines.
  final double? quantity;
  /// Sum over the lines; negative for a refund. Absent if an amount could not be read.
  final int? valueCents;
  /// `true` if a row was rejected and is still missing; else absent.
  final bool? incomplete;
  /// Its lines.
  final List<OrderLine> lines;
  /// Unknown columns, by their own names.
  final Map<String, String>? extra;
  /// The export file that changed a document last.
  final DocumentSource source;
}

/// The map `program`; absent where it is empty.
class RewardAccountProgram {
  const RewardAccountProgram({
    this.id,
    this.name,
  });

  factory RewardAccountProgram.fromMap(Map<String, Object?> data) => RewardAccountProgram(
        id: _as<String>(data['id']),
        name: _as<String>(data['name']),
      );

  /// Program's id.
  final String? id;
  /// Program's name.
  final String? name;
}

/// The map `tier`; absent where it is empty.
class RewardAccountTier {
  const RewardAccountTier({
    this.id,
    this.name,
    this.description,
  });

  factory RewardAccountTier.fromMap(Map<String, Object?> data) => RewardAccountTier(
        id: _as<String>(data['id']),
        name: _as<String>(data['name']),
        description: _as<String>(data['description']),
      );

  /// Id of the tier.
  final String? id;
  /// Tier's name.
  final String? name;
  /// Tier's description.
  final String? description;
}

/// The map `nextTier`; absent where it is empty.
class RewardAccountNextTier {
  const RewardAccountNextTier({
    this.id,
    this.name,
  });

  factory RewardAccountNextTier.fromMap(Map<String, Object?> data) => RewardAccountNextTier(
        id: _as<String>(data['id']),
        name: _as<String>(data['name']),
      );

  /// Id of the next tier; blank on the last.
  final String? id;
  /// Name of the next tier.
  final String? name;
}

/// One entry of `rewards`.
class RewardAccountReward {
  const RewardAccountReward({
    this.rewardId,
    this.description,
    this.totalCents,
    this.redeemedCents,
    this.availableCents,
    this.created,
    this.expires,
    this.extra,
  });

  factory RewardAccountReward.fromMap(Map<String, Object?> data) => RewardAccountReward(
        rewardId: _as<String>(data['rewardId']),
        description: _as<String>(data['description']),
        totalCents: _as<int>(data['totalCents']),
        redeemedCents: _as<int>(data['redeemedCents']),
        availableCents: _as<int>(data['availableCents']),
        created: _as<String>(data['created']),
        expires: _as<String>(data['expires']),
        extra: _mapOf(data['extra'], _as<String>),
      );

  /// Id of an issued reward.
  final String? rewardId;
  /// Reason of the reward.
  final String? description;
  /// Worth of the reward.
  final int? totalCents;
  /// Used part of it.
  final int? redeemedCents;
  /// Remaining part of it.
  final int? availableCents;
  /// Day of issue.
  final String? created;
  /// Day of expiry.
  final String? expires;
  /// Unknown columns, by their own names.
  final Map<String, String>? extra;
}

/// A document `connections/{connection}/rewards/{PERIDX}`.
class RewardAccount {
  const RewardAccount({
    required this.personId,
    this.email,
    this.emailLower,
    this.accountId,
    this.program,
    this.tier,
    this.joined,
    this.tierJoined,
    this.tierLockedUntil,
    this.availablePoints,
    this.availableRewardsCents,
    this.pointsToNextReward,
    this.spendToNextRewardCents,
    this.nextTier,
    this.spendToNextTierCents,
    this.incomplete,
    required this.rewards,
    this.extra,
    required this.source,
  });

  factory RewardAccount.fromMap(Map<String, Object?> data) => RewardAccount(
        personId: _always(_as<String>(data['personId']), 'personId'),
        email: _as<String>(data['email']),
        emailLower: _as<String>(data['emailLower']),
        accountId: _as<String>(data['accountId']),
        program: _inner(data['program'], RewardAccountProgram.fromMap),
        tier: _inner(data['tier'], RewardAccountTier.fromMap),
        joined: _as<String>(data['joined']),
        tierJoined: _as<String>(data['tierJoined']),
        tierLockedUntil: _as<String>(data['tierLockedUntil']),
        availablePoints: _as<int>(data['availablePoints']),
        availableRewardsCents: _as<int>(data['availableRewardsCents']),
        pointsToNextReward: _as<int>(data['pointsToNextReward']),
        spendToNextRewardCents: _as<int>(data['spendToNextRewardCents']),
        nextTier: _inner(data['nextTier'], RewardAccountNextTier.fromMap),
        spendToNextTierCents: _as<int>(data['spendToNextTierCents']),
        incomplete: _as<bool>(data['incomplete']),
        rewards: _list(data['rewards'], (one) => _inner(one, RewardAccountReward.fromMap)),
        extra: _mapOf(data['extra'], _as<String>),
        source: _always(_inner(data['source'], DocumentSource.fromMap), 'source'),
      );

  /// Throws: only the pipeline writes these documents.
  Map<String, Object?> toMap() =>
      throw UnsupportedError('Only the pipeline writes these documents.');

  /// Person's PERIDX in the customers file.
  final String personId;
  /// Person's e-mail address.
  final String? email;
  /// The address for look-ups: NFKC, lower case, trimmed. Absent above 320 characters.
  final String? emailLower;
  /// Account's id.
  final String? accountId;
  /// The map `program`; absent where it is empty.
  final RewardAccountProgram? program;
  /// The map `tier`; absent where it is empty.
  final RewardAccountTier? tier;
  /// Day of joining.
  final String? joined;
  /// Day of reaching the tier.
  final String? tierJoined;
  /// Day until which the tier is kept.
  final String? tierLockedUntil;
  /// Points not expired.
  final int? availablePoints;
  /// Reward money not expired.
  final int? availableRewardsCents;
  /// Points missing for the next reward.
  final int? pointsToNextReward;
  /// Spending missing for the next reward.
  final int? spendToNextRewardCents;
  /// The map `nextTier`; absent where it is empty.
  final RewardAccountNextTier? nextTier;
  /// Spending missing for the next tier.
  final int? spendToNextTierCents;
  /// `true` if a row was rejected and is still missing; else absent.
  final bool? incomplete;
  /// Its rewards.
  final List<RewardAccountReward> rewards;
  /// Unknown columns, by their own names.
  final Map<String, String>? extra;
  /// The export file that changed a document last.
  final DocumentSource source;
}
