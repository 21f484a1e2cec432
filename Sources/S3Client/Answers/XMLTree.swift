import CExpat

/// An answer's XML as a tree: elements by local name, text, children. Attributes and namespaces are ignored,
/// because S3's answers do not need them.
package struct XMLTree: Sendable {
  package var name: String
  /// The element's own text, unchanged, because white space may belong to a key.
  package var text = ""
  package var children: [XMLTree] = []
  /// Whether the text holds bytes that are not UTF-8, or a reference to no character. U+FFFD replaces them.
  /// Such a text may be shown to users but never used as a key.
  package fileprivate(set) var isDamaged = false

  /// The first child of this name.
  package subscript(name: String) -> XMLTree? { children.first { $0.name == name } }

  package func all(_ name: String) -> [XMLTree] { children.filter { $0.name == name } }

  package func text(of name: String) -> String? { self[name]?.text }

  /// The number in a child element, which may be surrounded by white space.
  package func number(of name: String) -> Int64? {
    text(of: name).flatMap { Int64($0.trimmingXMLSpace()) }
  }

  /// Nil if there is no such element, or if its text is neither `true` nor `false`.
  package func truth(of name: String) -> Bool? {
    switch text(of: name)?.trimmingXMLSpace().lowercased() {
    case "true": true
    case "false": false
    default: nil
    }
  }

  package struct Fault: Error, CustomStringConvertible {
    package var description: String
  }

  /// Parses a document. White space before it is skipped: S3 sends white space to keep the connection of a
  /// slow CompleteMultipartUpload alive, and XML allows none before a declaration.
  ///
  /// Characters that XML 1.0 forbids are accepted too, because keys and names may hold them and not every
  /// server encodes them.
  package static func parsing(_ bytes: [UInt8]) -> Result<XMLTree, Fault> {
    let document = bytes.drop { isSpace($0) }
    if document.isEmpty { return .failure(Fault(description: "the body is empty")) }
    let result = TreeBuilder.tree(of: document, characters: .allowed)
    if case .failure = result, let escaped = ForbiddenCharacters.escaping(document) {
      return TreeBuilder.tree(of: escaped[...], characters: .escaped)
    }
    return result
  }

  static func isSpace(_ byte: UInt8) -> Bool {
    byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09
  }
}

extension String {
  fileprivate func trimmingXMLSpace() -> String {
    guard let first = utf8.firstIndex(where: { !XMLTree.isSpace($0) }),
      let last = utf8.lastIndex(where: { !XMLTree.isSpace($0) })
    else { return "" }
    return String(self[first...last])
  }
}

/// Keeps the open elements on a stack while Expat parses. Lives within one call of `parsing`.
private final class TreeBuilder {
  private let parser: XML_Parser
  private var open: [XMLTree] = []
  private var root: XMLTree?

  /// S3's answers have five levels. A deeper document is no answer of S3, and freeing its tree would need an
  /// equally deep call stack.
  private static let deepest = 100

  enum Characters {
    case allowed
    /// In the form of `ForbiddenCharacters.escaping`.
    case escaped
  }

  private let characters: Characters

  private init(_ parser: XML_Parser, _ characters: Characters) {
    self.parser = parser
    self.characters = characters
  }

  /// S3's answers have no document type, so a document with one is rejected. A document type can declare
  /// entities, which may expand enormously or name files.
  static func tree(of document: ArraySlice<UInt8>, characters: Characters) -> Result<XMLTree, XMLTree.Fault> {
    // Escaped documents are UTF-8, whatever their declaration names.
    guard let parser = XML_ParserCreate(characters == .escaped ? "UTF-8" : nil) else {
      return .failure(.init(description: "there is no memory for reading the body"))
    }
    defer { XML_ParserFree(parser) }
    let builder = TreeBuilder(parser, characters)
    // SAFETY: the builder outlives the parser's calls, all of which happen on this thread within XML_Parse.
    XML_SetUserData(parser, Unmanaged.passUnretained(builder).toOpaque())
    XML_SetElementHandler(
      parser, { context, name, _ in TreeBuilder.from(context)?.begin(name) },
      { context, _ in TreeBuilder.from(context)?.end() })
    XML_SetStartDoctypeDeclHandler(parser) { context, _, _, _, _ in TreeBuilder.from(context)?.refuse() }
    XML_SetCharacterDataHandler(parser) { TreeBuilder.from($0)?.add($1, Int($2)) }
    let status = document.withUnsafeBytes { bytes in
      XML_Parse(parser, bytes.baseAddress, Int32(clamping: bytes.count), 1)
    }
    guard status == XML_STATUS_OK, let root = builder.root else {
      let reason = XML_ErrorString(XML_GetErrorCode(parser)).map { String(cString: $0) } ?? "unknown"
      return .failure(
        .init(description: "the body is not XML (line \(XML_GetCurrentLineNumber(parser)): \(reason))"))
    }
    return .success(root)
  }

  private static func from(_ context: UnsafeMutableRawPointer?) -> TreeBuilder? {
    context.map { Unmanaged<TreeBuilder>.fromOpaque($0).takeUnretainedValue() }
  }

  private func refuse() {
    XML_StopParser(parser, 0)
  }

  private func begin(_ name: UnsafePointer<XML_Char>?) {
    if open.count == Self.deepest { return refuse() }
    let name = name.map { String(cString: $0) } ?? ""
    // A server may write the namespace as a prefix: `s3:Key`.
    let local = name.utf8.lastIndex(of: UInt8(ascii: ":")).map { String(name[name.utf8.index(after: $0)...]) }
    open.append(XMLTree(name: local ?? name))
  }

  private func add(_ text: UnsafePointer<XML_Char>?, _ count: Int) {
    guard let text, !open.isEmpty else { return }
    // Expat checks that the text is UTF-8 and splits it only between characters.
    let bytes = UnsafeRawBufferPointer(start: text, count: count)
    open[open.count - 1].text += String(decoding: bytes, as: UTF8.self)
  }

  private func end() {
    guard var element = open.popLast() else { return }
    if characters == .escaped {
      (element.text, element.isDamaged) = ForbiddenCharacters.restored(element.text)
    }
    if open.isEmpty { root = element } else { open[open.count - 1].children.append(element) }
  }
}
