import LocalTree
import MirrorModel

/// A local file as the walk found it.
struct LocalEntry: Sendable {
  var path: RelativePath
  /// Of a pointer, the stamp of its target.
  var stamp: FileStamp
  var kind = Kind.file

  /// The rare cases are indirect. So a `Pairing` has less than 128 bytes, and the compiler copies it in place;
  /// larger ones cost a call of memmove(3) for each of some ten copies, 100 ns a file.
  enum Kind: Sendable, Hashable {
    case file
    indirect case pointer(Pointer)
    /// A link that is an object of its own, and the path inside of the root to which it leads.
    indirect case link(target: RelativePath?)
  }

  var pointer: Pointer? { if case .pointer(let pointer) = kind { pointer } else { nil } }

  var isLink: Bool { if case .link = kind { true } else { false } }

  /// What has to be on S3 first.
  var target: RelativePath? {
    switch kind {
    case .file: nil
    case .pointer(let pointer): pointer.target
    case .link(let target): target
    }
  }

  /// The stamp whose times decide whether file and object may differ. A link may lead to an older file since
  /// its object was published.
  var stampForComparison: FileStamp {
    guard let pointer else { return stamp }
    var stamp = stamp
    stamp.changed = max(stamp.changed, pointer.changed)
    return stamp
  }
}

/// What has one path: a local file, an object, or both.
enum Pairing: Sendable {
  case local(LocalEntry)
  /// An object without a local file, or a marker without a local directory.
  case remote(RemoteEntry)
  case both(LocalEntry, RemoteEntry)
  /// An empty local directory, and the object of its marker.
  case marker(DirectoryMarker, RemoteEntry?)

  var local: LocalEntry? {
    switch self {
    case .local(let file), .both(let file, _): file
    case .remote, .marker: nil
    }
  }

  var path: RelativePath {
    switch self {
    case .local(let file), .both(let file, _): file.path
    case .remote(let entry): entry.path
    case .marker(let marker, _): marker.path
    }
  }

  var remote: RemoteEntry? {
    switch self {
    case .remote(let entry), .both(_, let entry): entry
    case .marker(_, let entry): entry
    case .local: nil
    }
  }
}

/// A local tree and its listing, merged in key order. A few pages and a few chunks are in memory at a time;
/// more if pages take long.
///
/// A local directory whose marker is on S3 is not returned. A local directory without a marker counts only if
/// the walk returns it as empty.
struct TreeMerge {
  private let pages: Relay<RemotePage>
  private let chunks: Relay<[WalkItem]>
  private var page: ArraySlice<RemoteEntry> = []
  private var chunk: ArraySlice<WalkItem> = []
  private var local: Local?
  private var remote: RemoteEntry?

  /// The results of the comparison so far, besides the pairs.
  private(set) var survey = Survey()
  /// The listing was read to its end, in order.
  private(set) var isListingComplete = false
  /// The server's clock minus ours, in nanoseconds; 0 if its answers have no `Date`.
  var serverSkew: Int64 { survey.serverSkew }
  private var isWalkOver = false

  /// The current entry of the walk.
  private struct Local {
    enum Kind {
      case file(FileStamp, LocalEntry.Kind)
      case directory
      /// If S3 lacks its marker, that is a difference.
      case emptyDirectory
    }

    /// For a directory, the path of its marker.
    var path: RelativePath
    var kind: Kind
  }

  private init(pages: Relay<RemotePage>, chunks: Relay<[WalkItem]>) {
    self.pages = pages
    self.chunks = chunks
  }

  /// Runs the listing and the walk beside `body`, and ends them when `body` ends.
  ///
  /// - Throws: `RemoteLister.OutOfOrder`; `S3Error`; the errors of `body`.
  nonisolated(nonsending) static func run<Result>(
    _ lister: RemoteLister, _ walk: any WalkSource,
    _ body: (inout TreeMerge) async throws -> Result
  ) async throws -> Result {
    // Capacity two: one page is being processed, and one is ready.
    let pages = Relay<RemotePage>(capacity: 2)
    let chunks = Relay<[WalkItem]>(capacity: WalkStream.chunksAhead)
    let waypoints = Waypoints { chunks.widen(to: WalkStream.chunksAheadOfSlowServer) }
    return try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { await lister.list(into: pages, past: waypoints) }
      group.addTask { await WalkStream(source: walk, waypoints: waypoints).walk(into: chunks) }
      defer {
        pages.close()
        chunks.close()
        group.cancelAll()
      }
      var merge = TreeMerge(pages: pages, chunks: chunks)
      return try await body(&merge)
    }
  }

  mutating func next() async throws -> Pairing? {
    while true {
      if let pairing = nextAtHand() { return pairing }
      guard try await refill() else { return nil }
    }
  }

  /// Waits until each side has an entry or has ended.
  ///
  /// - Returns: false if both sides have ended.
  mutating func refill() async throws -> Bool {
    // The listing first: its first page gives the server's clock.
    while remote == nil, !isListingComplete || !page.isEmpty {
      remote = nextOfPage()
      if remote == nil { try await takePage() }
    }
    while local == nil, !isWalkOver {
      local = nextOfChunk()
      if local == nil { try await takeChunk() }
    }
    return remote != nil || local != nil
  }

  /// The next pair that needs no waiting; nil if `refill` must be called first. Nearly all pairs come from
  /// this function: a call that may wait costs as much as ten that cannot.
  mutating func nextAtHand() -> Pairing? {
    while true {
      if remote == nil {
        remote = nextOfPage()
        if remote == nil, !isListingComplete { return nil }
      }
      if local == nil {
        local = nextOfChunk()
        if local == nil, !isWalkOver { return nil }
      }
      guard let here = local else {
        guard let there = remote else { return nil }
        remote = nil
        return .remote(there)
      }
      guard let there = remote else {
        local = nil
        if let pairing = alone(here) { return pairing }
        continue
      }
      switch here.path.order(to: there.path) {
      case .before:
        local = nil
        if let pairing = alone(here) { return pairing }
      case .after:
        remote = nil
        return .remote(there)
      case .same:
        local = nil
        remote = nil
        switch here.kind {
        case .file(let stamp, let kind):
          return .both(LocalEntry(path: here.path, stamp: stamp, kind: kind), there)
        case .directory: break
        case .emptyDirectory: if let marker = DirectoryMarker(here.path) { return .marker(marker, there) }
        }
      }
    }
  }

  private mutating func alone(_ entry: Local) -> Pairing? {
    let file: LocalEntry
    switch entry.kind {
    case .directory: return nil
    case .emptyDirectory:
      // If another program has given the key content, a marker would overwrite that.
      guard let marker = DirectoryMarker(entry.path), !survey.foreignMarkers.contains(marker) else {
        return nil
      }
      return .marker(marker, nil)
    case .file(let stamp, let kind):
      file = LocalEntry(path: entry.path, stamp: stamp, kind: kind)
    }
    if entry.path.string.utf8.contains(UInt8(ascii: "\\")) { survey.noteAlias(of: entry.path) }
    return .local(file)
  }

  private mutating func takePage() async throws {
    guard let next = try await pages.next() else {
      isListingComplete = true
      return
    }
    page = next.entries[...]
    isListingComplete = next.isLast
    if let skew = next.serverSkew { survey.serverSkew = skew }
    survey.refused += next.refused
    survey.foreignMarkers.formUnion(next.foreignMarkers)
    survey.unreadableKeys += next.unreadable
    survey.unseenRemotely.formUnion(next.unseen)
  }

  private mutating func takeChunk() async throws {
    if let next = try await chunks.next() { chunk = next[...] } else { isWalkOver = true }
  }

  private mutating func nextOfPage() -> RemoteEntry? {
    guard let entry = page.popFirst() else { return nil }
    survey.remoteObjects += 1
    return entry
  }

  private mutating func nextOfChunk() -> Local? {
    while let item = chunk.popFirst() {
      switch item {
      case .file(let path, let stamp):
        survey.localFiles += 1
        return Local(path: path, kind: .file(stamp, .file))
      case .pointer(let path, let stamp, let pointer):
        survey.localFiles += 1
        return Local(path: path, kind: .file(stamp, .pointer(pointer)))
      case .link(let path, let stamp, let target):
        survey.localFiles += 1
        return Local(path: path, kind: .file(stamp, .link(target: target)))
      case .directory(let path):
        return Local(path: DirectoryMarker(of: path).path, kind: .directory)
      case .emptyDirectory(let path):
        return Local(path: DirectoryMarker(of: path).path, kind: .emptyDirectory)
      case .skipped(let path, let kind):
        survey.noteSkipped(path, kind)
      case .unreadable(let path, let error):
        survey.unreadable[path] = String(describing: error)
      case .notUTF8(let directory, let name):
        survey.undecodable.append(directory.appending(RelativePath.escaping(name).string))
      }
    }
    return nil
  }
}
