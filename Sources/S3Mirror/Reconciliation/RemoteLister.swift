import MirrorModel
import S3Client
import Synchronization

/// Whether a store is known to list out of key order.
final class ListingOrder: Sendable {
  private let isScattered = Mutex(false)

  /// The server has listed keys in another order than key order.
  var isKnownScattered: Bool { isScattered.withLock { $0 } }

  func noteScattered() { isScattered.withLock { $0 = true } }
}

/// Lists a prefix in key order, page by page, for a merge.
///
/// S3 lists in the order of the keys' bytes. Other servers do not: SeaweedFS lists in tree order (`a`, `a/b`,
/// `a-b`), and S3's directory buckets in no order. Such a listing is first read to its end and sorted on
/// disk.
struct RemoteLister: Sendable {
  /// The listing turned out to be out of order after some of its pages had been passed on. The caller must
  /// begin again; the listing is sorted then.
  struct OutOfOrder: Error {}

  let listing: Listing
  let mapping: KeyMapping
  let filter: PathFilter
  let order: ListingOrder
  /// Nanoseconds since 1970-01-01 UTC.
  let wallClock: @Sendable () -> Int64

  /// Ends the relay with the error if the listing fails.
  ///
  /// - Parameter waypoints: the places from which the listing can be read ahead.
  func list(into relay: Relay<RemotePage>, past waypoints: Waypoints) async {
    do {
      if order.isKnownScattered {
        try await listSorted(into: relay)
      } else {
        try await listAscending(into: relay, past: waypoints)
      }
      relay.finish(.success(()))
    } catch {
      relay.finish(.failure(error))
    }
  }

  private func listAscending(into relay: Relay<RemotePage>, past waypoints: Waypoints) async throws {
    var last: RelativePath?
    let ahead = ListingAhead(listing: listing, waypoints: waypoints, mapping: mapping)
    try await ahead.forEachPage { listed in
      var page = page(of: listed)
      if !isAscending(page, after: last) {
        order.noteScattered()
        guard last == nil, page.isLast else { throw OutOfOrder() }
        page.entries.sort { $0.path < $1.path }
      }
      last = page.entries.last?.path ?? last
      return await relay.send(page) && !page.isLast
    }
  }

  private func isAscending(_ page: RemotePage, after last: RelativePath?) -> Bool {
    var last = last
    for entry in page.entries {
      if let last, last >= entry.path { return false }
      last = entry.path
    }
    return true
  }

  private func listSorted(into relay: Relay<RemotePage>) async throws {
    var runs = SortedRuns()
    var facts = RemotePage()
    try await listing.forEachPage { listed in
      let page = page(of: listed)
      for entry in page.entries { try runs.append(entry) }
      facts.serverSkew = facts.serverSkew ?? page.serverSkew
      facts.refused += page.refused
      facts.foreignMarkers.formUnion(page.foreignMarkers)
      facts.unreadable += page.unreadable
      facts.unseen.formUnion(page.unseen)
      return true
    }
    var merged = try runs.merged()
    // The first page carries the facts of all pages besides their objects.
    while let entry = try merged.next() {
      facts.entries.append(entry)
      if facts.entries.count == Self.pageLength {
        guard await relay.send(facts) else { return }
        facts = RemotePage(serverSkew: facts.serverSkew)
      }
    }
    facts.isLast = true
    _ = await relay.send(facts)
  }

  private static let pageLength = 1_000

  // MARK: One page

  private func page(of listed: Listing.Page) -> RemotePage {
    var page = RemotePage(isLast: listed.next == nil)
    page.serverSkew = listed.content.serverDate.map { $0 - wallClock() }
    page.unreadable = listed.content.unreadableKeys
    for key in page.unreadable { page.unseen.insert(readableDirectory(of: key)) }
    page.entries.reserveCapacity(listed.content.objects.count)
    for object in listed.content.objects {
      guard let path = mapping.path(forKey: object.key) else {
        // The prefix's own marker stands for the root and has no path. If it has content, it is refused.
        if case .tree(let prefix) = mapping, object.byteCount > 0, object.key.utf8.elementsEqual(prefix.utf8)
        {
          page.refused.append(
            UnsafeKey(key: object.key, reason: .directoryWithContent(bytes: object.byteCount)))
        }
        continue
      }
      let marker = DirectoryMarker(path)
      let bare = marker?.directory ?? path
      if filter.excludes(bare, marker == nil ? .file : .directory) { continue }
      if let marker, object.byteCount > 0 {
        page.foreignMarkers.insert(marker)
        page.refused.append(
          UnsafeKey(key: object.key, reason: .directoryWithContent(bytes: object.byteCount)))
        continue
      }
      if let reason = UnsafeKey.Reason(bare) {
        page.refused.append(UnsafeKey(key: object.key, reason: reason))
        continue
      }
      page.entries.append(RemoteEntry(path: path, object: object.remote))
    }
    // One key was asked for. Other keys that begin with it do not belong to this file.
    if case .file = mapping, !page.entries.isEmpty { page.isLast = true }
    return page
  }

  /// The directory of a key that is not UTF-8, down to the last name that is plain ASCII.
  private func readableDirectory(of key: String) -> RelativePath {
    guard let path = mapping.path(forKey: key) else { return .root }
    var names = path.string.split(separator: "/", omittingEmptySubsequences: false).dropLast()
    if let odd = names.firstIndex(where: {
      $0.utf8.contains(UInt8(ascii: "%")) || $0.utf8.contains(UInt8(ascii: "+"))
    }) {
      names = names[..<odd]
    }
    return RelativePath(names.joined(separator: "/"))
  }
}
