import Digests
import LocalTree
import MirrorModel

/// What lay here in earlier runs: for each path the ETag of the object that its file was published as, fetched from or
/// found equal to.
///
/// A resumed run asks one thing of it: whether an object without a file here had one before. Then the file was deleted here,
/// and to fetch it would undo that. The evidence is a cache: without it such objects are fetched.
struct Evidence: Sendable {
  /// A path and an ETag, each as the first eight bytes of its SHA-256. An ETag of zero means that the object was deleted.
  struct Entry: Sendable, Hashable {
    static let byteCount = 16

    var path: UInt64
    var etag: UInt64

    /// - Parameter etag: nil for an object that was deleted.
    init(_ path: RelativePath, etag: String?) {
      self.path = Self.number(path.string)
      self.etag = etag.map(Self.number) ?? 0
    }

    init(path: UInt64, etag: UInt64) {
      self.path = path
      self.etag = etag
    }

    private static func number(_ text: String) -> UInt64 {
      sha256(text).prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
    }
  }

  /// By path; the last word about each.
  private var etags: [UInt64: UInt64] = [:]

  var count: Int { etags.count }

  mutating func note(_ entry: Entry) {
    etags[entry.path] = entry.etag == 0 ? nil : entry.etag
  }

  /// Whether a file lay here while this was its object.
  func holds(_ path: RelativePath, etag: String) -> Bool {
    let entry = Entry(path, etag: etag)
    return etags[entry.path] == entry.etag
  }

  var entries: some Sequence<Entry> { etags.lazy.map { Entry(path: $0.key, etag: $0.value) } }
}
