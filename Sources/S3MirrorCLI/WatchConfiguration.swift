import FoundationEssentials
import LoopThread
import S3Mirror
import SystemPackage

/// The file of `watch --config`: a JSON object with `uploads`, each with at least `name`, `local` and
/// `remote`.
///
/// Every error is reported with its place: an unknown key, a wrong type, or a missing key.
struct WatchConfiguration: Decodable {
  var uploads: [Upload]

  struct Upload: Decodable {
    var name: String
    var local: String
    var remote: String
    var interval: Interval?
    var delete: Bool?
    var exclude: [String]?
    var include: [String]?
    var storageClass: String?
    var sse: PropertyOptions.Encryption?
    var sseKMSKeyID: String?
    var acl: String?
    var tags: [String: String]?
    var metadata: [String: String]?
    var contentType: ObjectProperties.ContentType?
    var requesterPays: Bool?
    var expectedBucketOwner: String?

    enum CodingKeys: String, CodingKey, CaseIterable {
      case name, local, remote, interval, delete, exclude, include, storageClass, sse, sseKMSKeyID, acl, tags,
        metadata,
        contentType, requesterPays, expectedBucketOwner
    }

    init(from decoder: any Decoder) throws {
      try decoder.refuseKeys(besides: CodingKeys.self)
      let values = try decoder.container(keyedBy: CodingKeys.self)
      name = try values.decode(String.self, forKey: .name)
      local = try values.decode(String.self, forKey: .local)
      remote = try values.decode(String.self, forKey: .remote)
      interval = try values.decodeIfPresent(Interval.self, forKey: .interval)
      delete = try values.decodeIfPresent(Bool.self, forKey: .delete)
      exclude = try values.decodeIfPresent([String].self, forKey: .exclude)
      include = try values.decodeIfPresent([String].self, forKey: .include)
      storageClass = try values.decodeIfPresent(String.self, forKey: .storageClass)
      sse = try values.decodeIfPresent(PropertyOptions.Encryption.self, forKey: .sse)
      sseKMSKeyID = try values.decodeIfPresent(String.self, forKey: .sseKMSKeyID)
      acl = try values.decodeIfPresent(String.self, forKey: .acl)
      tags = try values.decodeIfPresent([String: String].self, forKey: .tags)
      metadata = try values.decodeIfPresent([String: String].self, forKey: .metadata)
      contentType = try values.decodeIfPresent(ObjectProperties.ContentType.self, forKey: .contentType)
      requesterPays = try values.decodeIfPresent(Bool.self, forKey: .requesterPays)
      expectedBucketOwner = try values.decodeIfPresent(String.self, forKey: .expectedBucketOwner)
    }
  }

  /// Seconds, or `"none"` to publish at the end only.
  enum Interval: Decodable, Hashable {
    case seconds(Double)
    case none

    init(from decoder: any Decoder) throws {
      let value = try decoder.singleValueContainer()
      let fault = "it is a number of seconds up to ten years, or \"none\""
      do {
        let seconds = try value.decode(Double.self)
        guard Seconds.range.contains(seconds) else {
          throw DecodingError.dataCorruptedError(in: value, debugDescription: fault)
        }
        self = .seconds(seconds)
      } catch DecodingError.typeMismatch {
        guard try value.decode(String.self) == "none" else {
          throw DecodingError.dataCorruptedError(in: value, debugDescription: fault)
        }
        self = .none
      }
    }
  }

  private enum CodingKeys: String, CodingKey, CaseIterable {
    case uploads
  }

  init(from decoder: any Decoder) throws {
    try decoder.refuseKeys(besides: CodingKeys.self)
    uploads = try decoder.container(keyedBy: CodingKeys.self).decode([Upload].self, forKey: .uploads)
  }

  /// - Throws: `MirrorError.configuration` that names the file, the place in it, and the error.
  init(path: String) throws {
    var bytes: [UInt8]
    do {
      bytes = try FileDescriptor.contents(ofFileAt: path)
    } catch {
      throw MirrorError(.configuration, "\(path) cannot be read: \(error)")
    }
    // RFC 8259, 8.1: a byte order mark may be ignored.
    if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { bytes.removeFirst(3) }
    guard String(validating: bytes, as: UTF8.self) != nil else {
      throw MirrorError(.configuration, "\(path): it is not UTF-8")
    }
    do {
      try JSONFault.check(bytes)
      self = try JSONDecoder().decode(WatchConfiguration.self, from: Data(bytes))
    } catch let fault as JSONFault {
      throw MirrorError(.configuration, "\(path): it is no JSON: \(fault)")
    } catch let error as DecodingError {
      throw MirrorError(.configuration, "\(path): \(error.sentence)")
    }
    guard !uploads.isEmpty else {
      throw MirrorError(.configuration, "\(path): uploads is empty; there is nothing to watch")
    }
    let directory = FilePath(FileManager.default.currentDirectoryPath).pushing(FilePath(path))
      .removingLastComponent()
    for index in uploads.indices where Self.isRelative(uploads[index].local) {
      uploads[index].local = directory.pushing(FilePath(uploads[index].local)).string
    }
  }

  /// Text that is no path stays unchanged, so that the library reports it.
  private static func isRelative(_ local: String) -> Bool {
    !local.isEmpty && !local.contains("://") && !local.utf8.starts(with: "/".utf8) && local != "~"
      && !local.utf8.starts(with: "~/".utf8)
  }
}
