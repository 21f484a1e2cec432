import Glibc
import MirrorModel
import SystemPackage

/// One directory's entries, read at once and sorted by their keys.
///
/// A directory sorts by its name and a slash, because the keys below it begin in this way: `a-b` comes before
/// `a/b`. So the kinds must be known before the sort. The kernel's d_type gives the kind without a stat(2).
/// Only an unknown type (DT_UNKNOWN) or a followed link needs one.
final class DirectoryListing: Sendable {
  struct Entry: Sendable {
    /// The kind for the walk. A followed link has the kind of its target.
    let kind: EntryKind
    let isFollowed: Bool
    fileprivate let start: Int
    fileprivate let count: Int
  }

  let descriptor: any Descriptor
  let entries: [Entry]
  /// All names, each with a NUL at its end, in one allocation.
  private let names: [UInt8]

  init(_ descriptor: any Descriptor, symlinks: SymlinkPolicy) throws(Errno) {
    self.descriptor = descriptor
    var reader = DirectoryReader(descriptor: descriptor, symlinks: symlinks)
    try reader.readAll()
    names = reader.names
    entries = reader.sortedEntries()
  }

  /// The name's bytes without the NUL.
  func name(of entry: Entry) -> ArraySlice<UInt8> { names[entry.start..<(entry.start + entry.count)] }

  /// fstatat(2) of the entry; nil if the entry no longer exists.
  func status(of entry: Entry) throws(Errno) -> TreeRoot.Entry? {
    do {
      return try Self.status(
        in: descriptor, names, at: entry.start, flags: entry.isFollowed ? 0 : AT_SYMLINK_NOFOLLOW)
    } catch let cause where cause.meansAbsence(entry.isFollowed ? .follow : .skip) {
      return nil
    }
  }

  /// Opens the entry as a directory; nil if it no longer exists or is no directory any more.
  func openDirectory(_ entry: Entry) throws(Errno) -> (any Descriptor)? {
    let flags = O_RDONLY | O_DIRECTORY | (entry.isFollowed ? 0 : O_NOFOLLOW)
    do {
      return try withoutAccessTime(flags) { flags throws(Errno) in
        try Self.withName(names, at: entry.start) { name throws(Errno) in try descriptor.open(name, flags) }
      }
    } catch let cause where cause.meansAbsence(entry.isFollowed ? .follow : .skip) {
      return nil
    }
  }

  fileprivate static func status(
    in directory: any Descriptor, _ names: [UInt8], at start: Int, flags: CInt
  ) throws(Errno) -> TreeRoot.Entry {
    try withName(names, at: start) { name throws(Errno) in try directory.entry(name, flags: flags) }
  }

  // SAFETY: the pointer is used during the call only, and each name ends with a NUL in the same array.
  private static func withName<Value>(
    _ names: [UInt8], at start: Int, _ call: (UnsafePointer<CChar>) throws(Errno) -> Value
  ) throws(Errno) -> Value {
    try names.withUnsafeBufferPointer { names throws(Errno) in
      guard let base = names.baseAddress else { preconditionFailure("a name has at least its closing NUL") }
      return try call(UnsafeRawPointer(base + start).assumingMemoryBound(to: CChar.self))
    }
  }
}

/// Reads a directory into arrays.
private struct DirectoryReader {
  let descriptor: any Descriptor
  let symlinks: SymlinkPolicy
  private(set) var names: [UInt8] = []
  private var entries: [DirectoryListing.Entry] = []

  init(descriptor: any Descriptor, symlinks: SymlinkPolicy) {
    self.descriptor = descriptor
    self.symlinks = symlinks
  }

  mutating func readAll() throws(Errno) {
    try descriptor.forEachName { name, kind throws(Errno) in
      append(name, kind)
      return true
    }
  }

  private mutating func append(_ name: Slice<UnsafeRawBufferPointer>, _ told: EntryKind?) {
    let start = names.count
    names.append(contentsOf: name)
    names.append(0)
    guard let (kind, isFollowed) = kind(at: start, told) else {
      names.removeSubrange(start...)
      return
    }
    entries.append(
      DirectoryListing.Entry(kind: kind, isFollowed: isFollowed, start: start, count: name.count))
  }

  /// The kind of the name at `start`; nil if the entry no longer exists.
  private func kind(at start: Int, _ told: EntryKind?) -> (EntryKind, isFollowed: Bool)? {
    switch told {
    case .file?, .directory?, .special?: return told.map { ($0, false) }
    case .symbolicLink?: return followed(start)
    case nil:
      do {
        let kind = try DirectoryListing.status(in: descriptor, names, at: start, flags: AT_SYMLINK_NOFOLLOW)
          .kind
        return kind == .symbolicLink ? followed(start) : (kind, false)
      } catch .noSuchFileOrDirectory {
        return nil
      } catch {
        // The walk will stat a file, get the same error, and report it.
        return (.file, false)
      }
    }
  }

  private func followed(_ start: Int) -> (EntryKind, isFollowed: Bool) {
    guard symlinks == .follow else { return (.symbolicLink, false) }
    do {
      return (try DirectoryListing.status(in: descriptor, names, at: start, flags: 0).kind, true)
    } catch let cause where cause.meansNoTarget {
      // The link has no target, or leads in a circle.
      return (.symbolicLink, false)
    } catch {
      return (.file, true)
    }
  }

  // SAFETY: the entries' ranges lie within `names`, and the pointer is used only inside the closure.
  func sortedEntries() -> [DirectoryListing.Entry] {
    names.withUnsafeBytes { names in
      entries.sorted { left, right in
        let common = min(left.count, right.count)
        guard let base = names.baseAddress else { return false }
        let order = memcmp(base + left.start, base + right.start, common)
        if order != 0 { return order < 0 }
        // One name is the beginning of the other. A directory continues with a slash, any other entry ends
        // with a NUL.
        return Self.byte(after: common, of: left, names) < Self.byte(after: common, of: right, names)
      }
    }
  }

  private static func byte(
    after count: Int, of entry: DirectoryListing.Entry, _ names: UnsafeRawBufferPointer
  ) -> UInt8 {
    if count < entry.count { return names[entry.start + count] }
    return entry.kind == .directory ? UInt8(ascii: "/") : 0
  }
}
