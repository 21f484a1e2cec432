/// A file's path below a mirror's root: names separated by `/`, without a leading slash. The root itself is
/// the empty path.
///
/// Two paths are equal if their bytes are equal. Swift's `String` treats NFC and NFD spellings of one name as
/// equal; the kernel and S3 do not. So comparison, order and hash use UTF-8 bytes.
package struct RelativePath: Sendable {
  /// The path as text. Compare paths, not their text.
  package let string: String

  package init(_ string: String) {
    self.string = string
  }

  /// Nil for bytes that are not UTF-8, because no key can hold them (PUB-11).
  package init?(utf8 bytes: [UInt8]) {
    do { string = String(copying: try UTF8Span(validating: bytes.span)) } catch { return nil }
  }

  /// A name that is not UTF-8, as text: each byte that belongs to no character becomes `\xHH`. The text is
  /// for messages; no file can be opened by it.
  package static func escaping(_ name: some Sequence<UInt8>) -> RelativePath {
    var text = ""
    var decoder = UTF8()
    var bytes = Array(name)
    while !bytes.isEmpty {
      var iterator = bytes.makeIterator()
      if case .scalarValue(let scalar) = decoder.decode(&iterator) {
        text.unicodeScalars.append(scalar)
        bytes.removeFirst(UTF8.width(scalar))
      } else {
        let digits = String(bytes.removeFirst(), radix: 16)
        text += "\\x" + (digits.utf8.count == 1 ? "0" : "") + digits
      }
      decoder = UTF8()
    }
    return RelativePath(text)
  }

  /// The root itself.
  package static let root = RelativePath("")

  package var isRoot: Bool { string.utf8.isEmpty }

  /// The last name, empty for the root.
  package var name: Substring {
    guard let slash = lastSlash else { return string[...] }
    return string[string.utf8.index(string.startIndex, offsetBy: slash + 1)...]
  }

  /// The position of the last slash, in bytes.
  private var lastSlash: Int? {
    let bytes = string.utf8.span
    return bytes.indices.last { bytes[$0] == UInt8(ascii: "/") }
  }

  /// The directory that holds this path; the root's parent is the root.
  package var parent: RelativePath {
    guard let slash = lastSlash else { return .root }
    return RelativePath(String(Substring(string.utf8.prefix(slash))))
  }

  /// Every directory above this path, nearest first, ending with the root.
  package var ancestors: [RelativePath] {
    var found: [RelativePath] = []
    var current = self
    while !current.isRoot {
      current = current.parent
      found.append(current)
    }
    return found
  }

  package func appending(_ name: some StringProtocol) -> RelativePath {
    isRoot ? RelativePath(String(name)) : RelativePath(string + "/" + name)
  }

  /// Whether this path is `directory` or lies below it. Every path lies within the root.
  package func isWithin(_ directory: RelativePath) -> Bool {
    if directory.isRoot { return true }
    guard string.utf8.starts(with: directory.string.utf8) else { return false }
    let rest = string.utf8.dropFirst(directory.string.utf8.count)
    return rest.first == nil || rest.first == UInt8(ascii: "/")
  }

  /// The nearest directory that holds this path and another.
  package func commonDirectory(with other: RelativePath) -> RelativePath {
    ancestors.first { other.isWithin($0) && other != $0 } ?? .root
  }

  /// The same place under another directory: `a/b/c` moved from `a` to `x` is `x/b/c`.
  ///
  /// - Precondition: the path is within `old`.
  package func moved(from old: RelativePath, to new: RelativePath) -> RelativePath {
    precondition(isWithin(old), "\(string) is not within \(old.string)")
    let rest = string.utf8.dropFirst(old.isRoot ? 0 : old.string.utf8.count + 1)
    let tail = String(Substring(rest))
    if tail.isEmpty { return new }
    return new.appending(tail)
  }
}

extension RelativePath: Hashable, Comparable, CustomStringConvertible, ExpressibleByStringLiteral {
  package init(stringLiteral value: String) { self.init(value) }

  package static func == (left: RelativePath, right: RelativePath) -> Bool {
    left.string.utf8.count == right.string.utf8.count && left.order(to: right) == .same
  }

  package enum Order: Sendable {
    case before
    case same
    case after
  }

  /// UTF-8 byte order in one comparison, for merges.
  package func order(to other: RelativePath) -> Order {
    let mine = string.utf8.span
    let theirs = other.string.utf8.span
    let common = min(mine.count, theirs.count)
    for index in 0..<common {
      let (left, right) = (mine[index], theirs[index])
      if left != right { return left < right ? .before : .after }
    }
    if mine.count == theirs.count { return .same }
    return mine.count < theirs.count ? .before : .after
  }

  /// UTF-8 byte order, which is the order of S3's listings.
  package static func < (left: RelativePath, right: RelativePath) -> Bool {
    left.order(to: right) == .before
  }

  package func hash(into hasher: inout Hasher) {
    var copy = string
    copy.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
  }

  package var description: String { string.isEmpty ? "." : string }
}
