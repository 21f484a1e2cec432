import S3Mirror

/// One download, upload or sync in a session's JSON. Missing members have the library's defaults.
struct SessionSpec: Decodable, Sendable {
  var name: String
  var spec: MirrorSpec

  private enum Kind: String, CaseIterable {
    case download, upload, sync
  }

  private enum Keys: String, CodingKey, CaseIterable {
    case name, kind, remote, local, interval, delete, exclude, include, onError, storageClass, sse,
      sseKMSKeyID,
      acl, tags, metadata, contentType, requesterPays, expectedBucketOwner

    /// Keys that have no meaning for a download.
    static let ofUploads: [Keys] = [
      .interval, .onError, .storageClass, .sse, .sseKMSKeyID, .acl, .tags, .metadata, .contentType,
    ]
  }

  init(from decoder: any Decoder) throws {
    try decoder.refuseKeys(besides: Keys.self)
    let values = try decoder.container(keyedBy: Keys.self)
    let kind = try values.word(Kind.self, forKey: .kind)
    let remote = try values.decode(String.self, forKey: .remote)
    let local = try values.decodeIfPresent(String.self, forKey: .local)
    let delete = try values.decodeIfPresent(Bool.self, forKey: .delete)
    let exclude = try values.decodeIfPresent([String].self, forKey: .exclude) ?? []
    let include = try values.decodeIfPresent([String].self, forKey: .include) ?? []
    let access = try Self.access(values)
    name = try values.decodeIfPresent(String.self, forKey: .name) ?? remote
    switch kind {
    case .download:
      for key in Keys.ofUploads where values.contains(key) {
        throw DecodingError.dataCorruptedError(
          forKey: key, in: values, debugDescription: "it has no meaning for a download")
      }
      spec = .download(
        remote, local: local, delete: delete ?? false, exclude: exclude, include: include, access: access)
    case .upload:
      spec = .upload(
        remote, local: local, interval: try Self.interval(values), delete: delete ?? true, exclude: exclude,
        include: include, properties: try Self.properties(values), access: access)
    case .sync:
      spec = .sync(
        remote, local: local, interval: try Self.interval(values), delete: delete ?? true, exclude: exclude,
        include: include, properties: try Self.properties(values), access: access)
    }
    if values.contains(.onError) { spec.onError = try values.word(Options.OnError.self, forKey: .onError) }
  }

  private static func interval(_ values: KeyedDecodingContainer<Keys>) throws -> Duration? {
    switch try values.decodeIfPresent(WatchConfiguration.Interval.self, forKey: .interval) {
    case nil: .seconds(300)
    case .some(.none): nil
    case .seconds(let seconds): .seconds(seconds)
    }
  }

  private static func properties(_ values: KeyedDecodingContainer<Keys>) throws -> ObjectProperties {
    ObjectProperties(
      storageClass: try values.decodeIfPresent(String.self, forKey: .storageClass),
      encryption: PropertyOptions.encryption(
        try values.decodeIfPresent(PropertyOptions.Encryption.self, forKey: .sse),
        keyID: try values.decodeIfPresent(String.self, forKey: .sseKMSKeyID)),
      acl: try values.decodeIfPresent(String.self, forKey: .acl),
      tags: try values.decodeIfPresent([String: String].self, forKey: .tags) ?? [:],
      metadata: try values.decodeIfPresent([String: String].self, forKey: .metadata) ?? [:],
      contentType: try values.decodeIfPresent(ObjectProperties.ContentType.self, forKey: .contentType)
        ?? .byExtension)
  }

  /// Nil if the spec has none of these keys, so that the options apply.
  private static func access(_ values: KeyedDecodingContainer<Keys>) throws -> BucketAccess? {
    guard values.contains(.requesterPays) || values.contains(.expectedBucketOwner) else { return nil }
    return BucketAccess(
      requesterPays: try values.decodeIfPresent(Bool.self, forKey: .requesterPays) ?? false,
      expectedOwner: try values.decodeIfPresent(String.self, forKey: .expectedBucketOwner))
  }
}

extension KeyedDecodingContainer {
  /// A word from a fixed set.
  func word<Word: RawRepresentable & CaseIterable>(_: Word.Type, forKey key: Key) throws -> Word
  where Word.RawValue == String {
    guard let word = Word(rawValue: try decode(String.self, forKey: key)) else {
      let known = Word.allCases.map { "\"\($0.rawValue)\"" }.joined(separator: ", ")
      throw DecodingError.dataCorruptedError(forKey: key, in: self, debugDescription: "it is one of \(known)")
    }
    return word
  }
}
