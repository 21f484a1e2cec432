import FoundationEssentials

/// The list of a unit's objects, published after them: the proof that the unit is complete (RST-4).
///
/// The receipt of `checkpoint-5` is at `.s3mirror/receipts/checkpoint-5.json` below the remote, and the
/// receipt of the remote itself at `.s3mirror/receipts/.json`. It is JSON: `format` (1), `unit`, and
/// `objects` with `key` (below the remote), `bytes`, `etag` (without quotes) and, if known, `crc32` (base64
/// of the whole object's, big-endian, as S3 returns it). The receipt of a group's member has `part` besides
/// (see `Part`). Readers ignore further fields.
package struct UnitReceipt: Sendable, Hashable, Codable {
  package struct Entry: Sendable, Hashable, Codable {
    package var key: String
    package var bytes: Int64
    package var etag: String
    package var crc32: String?

    package init(key: String, bytes: Int64, etag: String, crc32: String? = nil) {
      self.key = key
      self.bytes = bytes
      self.etag = etag
      self.crc32 = crc32
    }
  }

  /// What one member of a group wrote of a unit. Each member has a receipt of its own (see `UnitPart`).
  package struct Part: Sendable, Hashable, Codable {
    package var group: String
    package var member: Int
    package var members: Int
    /// The other members whose receipts belong to the unit, and their `revision` then. Only the member that
    /// publishes the unit's last marker knows them; nil in the receipts of the others, and before that marker.
    package var completeWith: [Int: Int]?
    /// How often objects that the receipt named were written over or removed before it was published again; nil
    /// if never. A reader of the marker may then have old objects of one member and new ones of another.
    package var revision: Int?
    /// How many files of the member the receipt does not name, because it is not known whether the member has
    /// them on S3; nil if it names all.
    package var omitted: Int?

    package init(
      _ part: UnitPart, completeWith: [Int: Int]? = nil, revision: Int? = nil, omitted: Int? = nil
    ) {
      group = part.place.group
      member = part.member
      members = part.place.count
      self.completeWith = completeWith
      self.revision = revision
      self.omitted = omitted
    }
  }

  package static let currentFormat = 1

  package var format: Int
  /// The unit's path below the remote; empty for the remote itself.
  package var unit: String
  package var objects: [Entry]
  /// Nil for the receipt of a whole unit.
  package var part: Part?

  package init(unit: RelativePath, objects: [Entry], part: Part? = nil) {
    format = Self.currentFormat
    self.unit = unit.string
    self.objects = objects
    self.part = part
  }

  /// The tool's own folder below a remote. Nothing in it is uploaded, downloaded or deleted as data.
  package static let folder = RelativePath(PathFilter.ownFolder)

  /// The folder of the receipts below the remote.
  package static let receipts = folder.appending("receipts")
  private static let ending = ".json"

  /// The path of a unit's receipt below the remote.
  package static func path(of unit: RelativePath) -> RelativePath {
    receipts.appending(unit.string + ending)
  }

  /// The unit whose receipt has this path; nil for other paths.
  package static func unit(ofReceiptAt path: RelativePath) -> RelativePath? {
    guard path.isWithin(receipts), path != receipts, path.string.hasSuffix(ending) else { return nil }
    let name = path.string.utf8.dropFirst(receipts.string.utf8.count + 1).dropLast(ending.utf8.count)
    return RelativePath(String(Substring(name)))
  }

  /// The limit of a receipt's bytes. The receipt of 100,000 objects has about 16 MB.
  package static let longest: Int64 = 64 << 20

  /// - Throws: `UnreadableReceipt` with a reason.
  package init(json bytes: [UInt8]) throws(UnreadableReceipt) {
    do {
      self = try JSONDecoder().decode(Self.self, from: Data(bytes))
    } catch {
      throw UnreadableReceipt(reason: "it is no JSON of a receipt")
    }
    guard format == Self.currentFormat else {
      throw UnreadableReceipt(reason: "its format is \(format), and this version reads \(Self.currentFormat)")
    }
  }

  /// The receipt's published form: one line, keys in order.
  package var json: [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    do {
      return Array(try encoder.encode(self)) + [UInt8(ascii: "\n")]
    } catch {
      preconditionFailure("texts and numbers can always be JSON: \(error)")
    }
  }

  /// Whether these objects replace or lack some that the receipt names. An object that was on its way has no
  /// ETag in the receipt.
  package func isRevised(by later: [Entry]) -> Bool {
    let later = Dictionary(later.map { ($0.key, $0.etag) }) { first, _ in first }
    return objects.contains { !$0.etag.isEmpty && later[$0.key] != $0.etag }
  }

  /// Takes the checksums that an earlier receipt has of the same objects. A comparison need not read a file, so the
  /// checksum of its object may be known to the earlier receipt only.
  package mutating func takeChecksums(of earlier: UnitReceipt) {
    let known = Dictionary(earlier.objects.map { ($0.key, $0) }) { first, _ in first }
    for index in objects.indices where objects[index].crc32 == nil {
      guard let entry = known[objects[index].key], entry.etag == objects[index].etag else { continue }
      objects[index].crc32 = entry.crc32
    }
  }

  /// Why the objects differ from the receipt; nil if they do not. If a store lists no ETags, only the sizes
  /// are compared.
  package func fault(in objects: [RelativePath: RemoteObject]) -> String? {
    for entry in self.objects {
      let path = RelativePath(entry.key)
      guard let object = objects[path] else { return "\(path) is missing, which its receipt names" }
      if object.byteCount != entry.bytes {
        return "\(path) has \(object.byteCount) bytes, and its receipt names \(entry.bytes)"
      }
      if !object.etag.isEmpty, !entry.etag.isEmpty, object.etag != entry.etag {
        return "\(path) was written since its receipt"
      }
    }
    return nil
  }
}

package struct UnreadableReceipt: Error, Sendable, Hashable {
  package var reason: String

  package init(reason: String) {
    self.reason = reason
  }
}
