import FoundationEssentials

// Error messages for JSON from users or programs. Every error in the JSON is reported.

extension DecodingError {
  /// One sentence that names the place and the error.
  var sentence: String {
    switch self {
    case .keyNotFound(let key, let context):
      "\(Self.place(context.codingPath))\(key.stringValue) is missing"
    case .typeMismatch(let type, let context):
      "\(Self.place(context.codingPath))it must be \(Self.noun(type))"
    case .valueNotFound(let type, let context):
      "\(Self.place(context.codingPath))it is null, and must be \(Self.noun(type))"
    case .dataCorrupted(let context):
      "\(Self.place(context.codingPath))\(context.debugDescription)"
    @unknown default: "\(self)"
    }
  }

  private static func noun(_ type: any Any.Type) -> String {
    switch type {
    case is String.Type: "a text"
    case is Bool.Type: "true or false"
    case is Double.Type: "a number"
    case is any BinaryInteger.Type: "a whole number"
    case is [String: Any].Type, is [String: String].Type: "an object"
    default: "an array or object of another kind"
    }
  }

  /// `uploads[1].interval: `
  private static func place(_ path: [any CodingKey]) -> String {
    var text = ""
    for key in path {
      if let index = key.intValue {
        text += "[\(index)]"
      } else {
        text += (text.isEmpty ? "" : ".") + key.stringValue
      }
    }
    return text.isEmpty ? "" : text + ": "
  }
}

extension Decoder {
  /// - Throws: `DecodingError` that names an unknown key, and the most similar known key.
  func refuseKeys<Keys: CodingKey & CaseIterable>(besides known: Keys.Type) throws {
    let names = Set(known.allCases.map(\.stringValue))
    for key in try container(keyedBy: AnyKey.self).allKeys where !names.contains(key.stringValue) {
      let list = names.sorted().joined(separator: ", ")
      let meant = Suggestion.nearest(to: key.stringValue, in: names.sorted())
      let cure = meant.map { "did you mean \($0)?" } ?? "there is \(list)"
      throw DecodingError.dataCorrupted(
        .init(codingPath: codingPath + [key], debugDescription: "unknown key; \(cure)"))
    }
  }
}

private struct AnyKey: CodingKey {
  var stringValue: String
  var intValue: Int? { nil }

  init?(stringValue: String) { self.stringValue = stringValue }
  init?(intValue: Int) { nil }
}
