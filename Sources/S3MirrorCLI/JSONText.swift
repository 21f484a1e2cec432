import FoundationEssentials
import S3Mirror
import TransferLog

/// JSON lines for `--json`. The documentation page CommandLine has the schemas.
enum JSONText {
  /// One line of a listing.
  struct Listed: Encodable {
    var url: String
    var bytes: Int64?
    var lastModified: String?

    init(_ line: RemoteLine) {
      url = line.url
      bytes = line.byteCount
      lastModified = line.lastModified.map { UTCTime(milliseconds: $0 / 1_000_000).description }
    }
  }

  static func line(_ line: RemoteLine) -> String { encode(Listed(line)) }

  static func encode(_ value: some Encodable) -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    do {
      return visible(json: String(decoding: try encoder.encode(value), as: UTF8.self))
    } catch {
      preconditionFailure("these values are strings and numbers, which JSON can always hold: \(error)")
    }
  }
}
