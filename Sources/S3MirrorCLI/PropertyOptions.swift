import ArgumentParser
import S3Mirror

/// The properties of published objects. The names of the options are those of `aws s3 cp`, if it has them.
struct PropertyOptions: ParsableArguments {
  @Option(help: "The storage class of what is published, such as STANDARD_IA.")
  var storageClass: String?

  @Option(help: "Server-side encryption: AES256 (S3's own keys) or aws:kms.")
  var sse: Encryption?

  @Option(
    name: .customLong("sse-kms-key-id"),
    help: ArgumentHelp("The KMS key's ID, ARN or alias; implies --sse aws:kms.", valueName: "key"))
  var kmsKeyID: String?

  @Option(help: "A canned ACL, such as bucket-owner-full-control.")
  var acl: String?

  @Option(help: ArgumentHelp("A tag; may be given up to ten times.", valueName: "key=value"))
  var tag: [KeyValue] = []

  @Option(
    help: ArgumentHelp("User metadata (x-amz-meta-KEY); may be given more than once.", valueName: "key=value")
  )
  var metadata: [KeyValue] = []

  @Flag(name: .customLong("no-guess-mime-type"), help: "Set no content type by the name's extension.")
  var isWithoutContentType = false

  enum Encryption: String, ExpressibleByArgument, CaseIterable, Decodable {
    case s3 = "AES256"
    case kms = "aws:kms"
  }

  /// - Throws: `ValidationError` for a repeated key.
  func properties() throws -> ObjectProperties {
    var properties = ObjectProperties()
    properties.storageClass = storageClass
    properties.encryption = Self.encryption(sse, keyID: kmsKeyID)
    properties.acl = acl
    properties.tags = try dictionary(tag, of: "--tag")
    properties.metadata = try dictionary(metadata, of: "--metadata")
    if isWithoutContentType { properties.contentType = .none }
    return properties
  }

  static func encryption(_ sse: Encryption?, keyID: String?) -> ObjectProperties.Encryption? {
    if let keyID { return .kms(keyID: keyID) }
    return sse.map { $0 == .s3 ? .s3 : .kms() }
  }

  func validate() throws {
    if sse == .s3, kmsKeyID != nil {
      throw ValidationError("--sse AES256 has no key; leave --sse-kms-key-id out, or write --sse aws:kms")
    }
    _ = try properties()
  }

  private func dictionary(_ pairs: [KeyValue], of option: String) throws -> [String: String] {
    var dictionary: [String: String] = [:]
    for pair in pairs where dictionary.updateValue(pair.value, forKey: pair.key) != nil {
      throw ValidationError("\(option) \(pair.key) is given twice; keep one")
    }
    return dictionary
  }
}

/// `key=value`. Only the first equals sign separates.
struct KeyValue: ExpressibleByArgument {
  var key: String
  var value: String

  init?(argument: String) {
    // Scalars, not characters: with a combining mark after it, the equals sign would be part of another
    // character.
    let scalars = argument.unicodeScalars
    guard let equals = scalars.firstIndex(of: "="), equals != scalars.startIndex else { return nil }
    key = String(scalars[..<equals])
    value = String(scalars[scalars.index(after: equals)...])
  }
}
