import MirrorModel
import Testing

/// How one framework leaves its checkpoints on S3: the newest that is complete, and newer ones that are not.
struct FrameworkRow: Sendable, CustomTestStringConvertible {
  typealias Files = KeyValuePairs<String, String>

  /// A checkpoint that no reader may take.
  struct Broken: Sendable {
    enum Flaw: String, Sendable {
      case dataMissing = "data missing"
      case markerMissing = "marker missing"
      case unfinished
    }

    var flaw: Flaw
    /// What lies on S3 of it.
    var files: Files
  }

  var framework: String
  /// The path of the checkpoint that is to be restored.
  var unit: String
  /// What is to be here afterwards: the checkpoint, and what names it.
  var files: Files
  /// What lies on S3 besides and is not to come: pointers to other checkpoints.
  var others: Files = [:]
  var broken: [Broken]

  var testDescription: String { framework }

  /// A receipt that names a file which is not there.
  static func receipt(_ unit: String, missing key: String) -> (String, String) {
    let receipt = UnitReceipt(unit: RelativePath(unit), objects: [.init(key: key, bytes: 7, etag: "")])
    return (".s3mirror/receipts/\(unit).json", String(decoding: receipt.json, as: UTF8.self))
  }

  static func lost(_ unit: String, _ file: String, missing key: String? = nil) -> Files {
    let (path, text) = receipt(unit, missing: key ?? file + ".lost")
    return [file: "x", path: text]
  }

  /// A file that its receipt knows in another length: it was written since.
  static func torn(_ unit: String) -> Files {
    let (path, text) = receipt(unit, missing: unit)
    return [unit: "x", path: text]
  }

  /// The same for a file of a directory.
  static func torn(_ unit: String, _ file: String) -> Files {
    let (path, text) = receipt(unit, missing: file)
    return [file: "x", path: text]
  }

  static func index(_ names: String...) -> String {
    let entries = names.enumerated().map { "\"w\($0.offset)\": \"\($0.element)\"" }.joined(separator: ", ")
    return "{\"metadata\": {\"total_size\": 9}, \"weight_map\": {\(entries)}}"
  }

  /// What a pickle has of the names of shards.
  static func metadata(_ names: String...) -> String {
    names.map { "\u{8c}\u{c}\($0)\u{94}q\u{1}" }.joined()
  }

  static let committed =
    #"{"item_handlers": {"default": "x"}, "init_timestamp_nsecs": 1, "commit_timestamp_nsecs": 2}"#
  static let begun =
    #"{"item_handlers": {"default": "x"}, "init_timestamp_nsecs": 1, "commit_timestamp_nsecs": null}"#

  static let all: [FrameworkRow] = singleFiles + directories + tracked + logs
}
