import Logging
import S3Mirror

/// The library's options in a session's JSON. A missing option keeps the library's default; null means nil.
struct SessionOptions: Decodable {
  private(set) var options = SessionOptions.standard

  /// The library's defaults, with two exceptions for sessions: the other program shows the progress and has
  /// the log, and `s3mirror status` finds the mirror.
  static var standard: Options {
    var options = Options(showProgress: false)
    options.controlSocket = true
    options.logger = Logger(label: "s3mirror") { _ in SwiftLogNoOpLogHandler() }
    return options
  }

  /// A time in seconds, up to ten years.
  struct Time: Decodable {
    var duration: Duration

    init(from decoder: any Decoder) throws {
      let value = try decoder.singleValueContainer()
      let seconds = try value.decode(Double.self)
      guard Seconds.range.contains(seconds) else {
        throw DecodingError.dataCorruptedError(
          in: value, debugDescription: "it is a number of seconds up to ten years")
      }
      duration = .seconds(seconds)
    }
  }

  /// A number, or `"none"` for no limit.
  private struct DeleteBound: Decodable {
    var bound: Options.MaxDelete

    init(from decoder: any Decoder) throws {
      let value = try decoder.singleValueContainer()
      do {
        bound = .limit(try value.decode(Int.self))
      } catch DecodingError.typeMismatch {
        guard try value.decode(String.self) == "none" else {
          throw DecodingError.dataCorruptedError(
            in: value, debugDescription: "it is a number, \"none\" for no bound, or null for the standard one"
          )
        }
        bound = .unlimited
      }
    }
  }

  /// A number, or `"auto"`.
  private struct Workers: Decodable {
    var workers: Options.MaxWorkers

    init(from decoder: any Decoder) throws {
      let value = try decoder.singleValueContainer()
      if case .success(let word) = Result(catching: { try value.decode(String.self) }),
        let named = Options.MaxWorkers(rawValue: word)
      {
        workers = named
      } else {
        workers = .fixed(try value.decode(Int.self))
      }
    }
  }

  private enum Keys: String, CodingKey, CaseIterable {
    case cacheRoot, maxWorkers, profile, endpointURL, region, anonymous, allowInsecure, payloadSigning,
      requesterPays, expectedBucketOwner, onError, exitTimeout, settle, openFileGrace, appendNames,
      inProgressNames, temporaryNames, addAppendNames, addCommitLast, addInProgressNames, addTemporaryNames,
      auditInterval, compare, suspectWithin, maxDelete, receipts, keepLast, keepEvery, renames,
      deleteIfMatch, commitLast, symlinks,
      emptyDirectories, multipartThreshold, partBytes, delta, maxUploadBytesPerSecond,
      maxDownloadBytesPerSecond,
      lowPriority, staleUploadAge, maxAttempts, logDirectory, logKeepDays, name, controlSocket, group
  }

  init(from decoder: any Decoder) throws {
    try decoder.refuseKeys(besides: Keys.self)
    let values = try decoder.container(keyedBy: Keys.self)
    try takeConnection(values)
    try takeWords(values)
    try takeTimes(values)
    try take(.cacheRoot, into: \.cacheRoot, values)
    if values.contains(.maxWorkers) {
      options.maxWorkers = try values.decode(Workers.self, forKey: .maxWorkers).workers
    }
    try takeNames(values)
    try take(.multipartThreshold, into: \.multipartThreshold, values)
    try take(.partBytes, into: \.partBytes, values)
    try takeNullable(.maxUploadBytesPerSecond, into: \.maxUploadBytesPerSecond, values)
    try takeNullable(.maxDownloadBytesPerSecond, into: \.maxDownloadBytesPerSecond, values)
    try take(.lowPriority, into: \.lowPriority, values)
    try take(.maxAttempts, into: \.maxAttempts, values)
    try takeNullable(.logDirectory, into: \.logDirectory, values)
    try take(.logKeepDays, into: \.logKeepDays, values)
    try take(.receipts, into: \.receipts, values)
    try takeNullable(.keepLast, into: \.keepLast, values)
    try takeNullable(.keepEvery, into: \.keepEvery, values)
    try take(.name, into: \.name, values)
    try take(.controlSocket, into: \.controlSocket, values)
    if let group = try values.decodeIfPresent(SessionGroup.self, forKey: .group) {
      options.group = try group.group()
    }
    if let bound = try values.decodeIfPresent(DeleteBound.self, forKey: .maxDelete) {
      options.maxDelete = bound.bound
    }
    if values.contains(.deleteIfMatch) {
      options.deleteCondition = try values.decode(Bool.self, forKey: .deleteIfMatch) ? .ifMatch : .none
    }
  }

  private mutating func takeConnection(_ values: KeyedDecodingContainer<Keys>) throws {
    try takeNullable(.profile, into: \.profile, values)
    try takeNullable(.endpointURL, into: \.endpointURL, values)
    try takeNullable(.region, into: \.region, values)
    try take(.anonymous, into: \.anonymous, values)
    try take(.allowInsecure, into: \.allowInsecure, values)
    try take(.requesterPays, into: \.access.requesterPays, values)
    try takeNullable(.expectedBucketOwner, into: \.access.expectedOwner, values)
  }

  private mutating func takeNames(_ values: KeyedDecodingContainer<Keys>) throws {
    let lists: [(Keys, adding: Keys, WritableKeyPath<Options, [String]>)] = [
      (.appendNames, .addAppendNames, \.appendNames), (.commitLast, .addCommitLast, \.commitLast),
      (.inProgressNames, .addInProgressNames, \.inProgressNames),
      (.temporaryNames, .addTemporaryNames, \.temporaryNames),
    ]
    for (key, more, option) in lists {
      try take(key, into: option, values)
      options[keyPath: option] += try values.decodeIfPresent([String].self, forKey: more) ?? []
    }
  }

  private mutating func takeWords(_ values: KeyedDecodingContainer<Keys>) throws {
    try takeWord(.payloadSigning, into: \.payloadSigning, values)
    try takeWord(.onError, into: \.onError, values)
    try takeWord(.compare, into: \.compare, values)
    try takeWord(.renames, into: \.renames, values)
    try takeWord(.symlinks, into: \.symlinks, values)
    try takeWord(.emptyDirectories, into: \.emptyDirectories, values)
    try takeWord(.delta, into: \.delta, values)
  }

  private mutating func takeTimes(_ values: KeyedDecodingContainer<Keys>) throws {
    for (key, option) in [(Keys.settle, \Options.settle), (.suspectWithin, \.suspectWithin)]
    where values.contains(key) {
      options[keyPath: option] = try values.decode(Time.self, forKey: key).duration
    }
    let nullable: [(Keys, WritableKeyPath<Options, Duration?>)] = [
      (.exitTimeout, \.exitTimeout), (.openFileGrace, \.openFileGrace), (.auditInterval, \.auditInterval),
      (.staleUploadAge, \.staleUploadAge),
    ]
    for (key, option) in nullable where values.contains(key) {
      options[keyPath: option] = try values.decodeIfPresent(Time.self, forKey: key)?.duration
    }
  }

  private mutating func take<Value: Decodable>(
    _ key: Keys, into option: WritableKeyPath<Options, Value>, _ values: KeyedDecodingContainer<Keys>
  ) throws {
    if values.contains(key) { options[keyPath: option] = try values.decode(Value.self, forKey: key) }
  }

  private mutating func takeNullable<Value: Decodable>(
    _ key: Keys, into option: WritableKeyPath<Options, Value?>, _ values: KeyedDecodingContainer<Keys>
  ) throws {
    if values.contains(key) { options[keyPath: option] = try values.decodeIfPresent(Value.self, forKey: key) }
  }

  private mutating func takeWord<Word: RawRepresentable & CaseIterable>(
    _ key: Keys, into option: WritableKeyPath<Options, Word>, _ values: KeyedDecodingContainer<Keys>
  ) throws where Word.RawValue == String {
    if values.contains(key) { options[keyPath: option] = try values.word(Word.self, forKey: key) }
  }
}
