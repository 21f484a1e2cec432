import Foundation
import FoundationXML

/// An answer's XML as a tree: elements by local name, text, children; attributes and namespaces do not matter in S3's answers.
package struct XMLTree: Sendable {
  package var name: String
  /// The element's own text, as it stands: white space belongs to keys too.
  package var text = ""
  package var children: [XMLTree] = []

  /// The first child of that name.
  package subscript(name: String) -> XMLTree? { children.first { $0.name == name } }

  package func all(_ name: String) -> [XMLTree] { children.filter { $0.name == name } }

  package func text(of name: String) -> String? { self[name]?.text }

  /// Numbers and truth values may stand between white space.
  package func number(of name: String) -> Int64? {
    text(of: name).flatMap { Int64($0.trimmingXMLSpace()) }
  }

  package func isTrue(_ name: String) -> Bool {
    text(of: name).map { $0.trimmingXMLSpace() == "true" } ?? false
  }

  package struct Fault: Error, CustomStringConvertible {
    package var description: String
  }

  /// Reads a document. White space before it is skipped: S3 keeps a slow CompleteMultipartUpload's connection alive with it, and XML
  /// itself allows none before a declaration.
  package static func parsing(_ bytes: [UInt8]) -> Result<XMLTree, Fault> {
    let document = bytes.drop { isSpace($0) }
    if document.isEmpty { return .failure(Fault(description: "the body is empty")) }
    let builder = TreeBuilder()
    let parser = XMLParser(data: Data(document))
    parser.delegate = builder
    guard parser.parse(), let root = builder.root else {
      return .failure(Fault(description: "the body is not XML (line \(parser.lineNumber))"))
    }
    return .success(root)
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

/// Keeps the open elements on a stack. Lives within one call of `parsing`.
private final class TreeBuilder: NSObject, XMLParserDelegate {
  private var open: [XMLTree] = []
  private(set) var root: XMLTree?

  func parser(
    _ parser: XMLParser, didStartElement elementName: String, namespaceURI: String?,
    qualifiedName: String?, attributes: [String: String]
  ) {
    // A server may write its namespace as a prefix: `s3:Key`.
    let local = elementName.utf8.lastIndex(of: UInt8(ascii: ":")).map {
      String(elementName[elementName.utf8.index(after: $0)...])
    }
    open.append(XMLTree(name: local ?? elementName))
  }

  func parser(_ parser: XMLParser, foundCharacters string: String) {
    if !open.isEmpty { open[open.count - 1].text += string }
  }

  func parser(_ parser: XMLParser, foundCDATA CDATABlock: Data) {
    if !open.isEmpty { open[open.count - 1].text += String(decoding: CDATABlock, as: UTF8.self) }
  }

  func parser(
    _ parser: XMLParser, didEndElement elementName: String, namespaceURI: String?, qualifiedName: String?
  ) {
    guard let element = open.popLast() else { return }
    if open.isEmpty { root = element } else { open[open.count - 1].children.append(element) }
  }
}
