import MirrorModel
import S3Client
import Synchronization

/// Finds the writers of the objects that are to be deleted, so that no other writer's object is deleted
/// (DEL-18).
///
/// A listing decides most cases: the object was there at entry, or this run published it. For the other
/// objects the metadata are read, with one HeadObject each.
struct WriterCheck: Sendable {
  enum Finding: Sendable {
    /// A delete may remove this object.
    case mayGo(RemoteObject)
    case foreign(RemoteObject)
    case absent
    /// S3 gave no answer.
    case unknown(any Error)
  }

  let mapping: KeyMapping
  let store: any ObjectStore
  /// Nil if objects that were there at entry are never deleted.
  let entry: EntryObjects?
  let ledger: PublishedLedger
  let mark: WriterMark
  let foreign: ForeignObjects
  var sharing = Sharing.none

  /// Whether other mirrors write under the prefix as a matter of course.
  enum Sharing: Sendable {
    /// Another writer is a surprise: it is reported, and the exit status is 1.
    case none
    /// The prefix belongs to a group of hosts. Objects of other members are left silently.
    case group
  }

  /// For more paths than this a listing is read first; its page has a thousand keys. AWS charges for one page
  /// as much as for 12 HeadObject requests.
  private static let mostHeads = 10
  private static let headsInFlight = 10
  /// The limit of HeadObject requests for one comparison, while the ledger holds everything that this run
  /// published. A doubtful object then belongs to another writer, except after a request whose answer was
  /// lost.
  static let mostDoubts = 1_000

  /// The provenance that a listing alone shows.
  func provenance(of path: RelativePath, _ object: RemoteObject, _ signature: Provenance.Signature = .unread)
    -> Provenance
  {
    Provenance(
      of: object, isOfEntry: entry?.contains(path, object) ?? false, published: ledger.publication(of: path),
      signature: signature)
  }

  // MARK: Objects that were listed

  /// - Parameter doubts: how many objects may still be checked with HeadObject. While the ledger has
  ///   forgotten nothing, further doubtful objects count as another writer's.
  func judge(_ listed: [(RelativePath, RemoteObject)], doubts: inout Int) async -> [RelativePath: Finding] {
    var findings: [RelativePath: Finding] = [:]
    var doubtful: [(RelativePath, RemoteObject)] = []
    for (path, object) in listed {
      switch provenance(of: path, object) {
      case .entry, .own: findings[path] = .mayGo(object)
      case .foreign: findings[path] = .foreign(object)
      case .unsettled:
        if foreign.contains(path, object) || doubts <= 0 && (sharing == .group || !ledger.hasForgotten) {
          findings[path] = .foreign(object)
        } else {
          doubts -= 1
          doubtful.append((path, object))
        }
      }
    }
    let answers = await concurrentEach(doubtful, width: Self.headsInFlight) { path, object in
      (path, await ask(path, listed: object))
    }
    for (path, finding) in answers { findings[path] = finding }
    return findings
  }

  /// Splits the objects that a comparison found superfluous.
  func partition(_ extras: Extras) async throws -> (ours: Extras, foreign: Extras) {
    // In a group most objects without a file here are other members'. What this run published is known without
    // a request, and what an earlier attempt published on another disk must not go.
    var doubts = sharing == .group ? 0 : Self.mostDoubts
    return try await extras.partitioned { entries in
      let findings = await judge(entries.map { ($0.path, $0.object) }, doubts: &doubts)
      // An object without an answer now is checked again just before its delete.
      return entries.map { entry in
        guard case .foreign(let object)? = findings[entry.path] else { return true }
        foreign.note(entry.path, object)
        return false
      }
    }
  }

  // MARK: Objects that were not listed

  /// Checks the current objects of these paths.
  func look(at paths: [RelativePath]) async -> [RelativePath: Finding] {
    var findings = paths.count > Self.mostHeads ? await lookInListing(for: paths) : [:]
    let left = paths.filter { findings[$0] == nil }
    let answers = await concurrentEach(left, width: Self.headsInFlight) { path in
      (path, await ask(path, listed: nil))
    }
    for (path, finding) in answers { findings[path] = finding }
    for (path, finding) in findings {
      if case .foreign(let object) = finding { foreign.note(path, object) }
    }
    return findings
  }

  /// Decides by a listing of the stretch that holds the keys. The listing stops early if the keys lie far
  /// apart.
  private func lookInListing(for paths: [RelativePath]) async -> [RelativePath: Finding] {
    guard let stretch = ListingStretch(of: paths) else { return [:] }
    let directory = stretch.directory
    let prefix = directory.isRoot ? mapping.listingPrefix : mapping.key(for: directory) + "/"
    var missing = Set(paths)
    var findings: [RelativePath: Finding] = [:]
    var order = ListingOrderSeen()
    var isPassed = false
    do {
      let listing = Listing(store: store, prefix: prefix)
      var page = try await listing.page(after: stretch.start.map(mapping.key(for:)))
      for pages in 1... {
        for listed in page.content.objects {
          guard let path = mapping.path(forKey: listed.key) else { continue }
          order.note(path)
          guard missing.remove(path) != nil else { continue }
          if provenance(of: path, listed.remote).mayGo { findings[path] = .mayGo(listed.remote) }
        }
        isPassed = page.next == nil || order.latest.map(stretch.isPassed) ?? false
        guard !missing.isEmpty, !isPassed, pages < paths.count / Self.mostHeads, let next = page.next else {
          break
        }
        page = try await listing.page(at: next)
      }
    } catch {
      // Each path is then checked by itself and reports its own error.
      return findings
    }
    if isPassed, order.isKnown { for path in missing where !remembers(path) { findings[path] = .absent } }
    return findings
  }

  /// Whether this mirror remembers an object under the path. Then a listing without the object does not prove
  /// that the object is gone.
  ///
  /// MinIO keeps objects in a tree of files and lists no key below the name of an object: `x` hides `x/y`.
  /// HeadObject finds hidden objects, and listings include them once `x` is gone. This happens when a file
  /// takes a directory's name, because the file is published before the deletes.
  func remembers(_ path: RelativePath) -> Bool {
    ledger.etag(of: path) != nil || ledger.hasForgotten || entry?.mayHaveHeld(path) ?? false
  }

  /// - Parameter listed: the object as a listing showed it; nil if it was not listed.
  private func ask(_ path: RelativePath, listed: RemoteObject?) async -> Finding {
    let key = mapping.key(for: path)
    do {
      let head = try await store.send(HeadObject(key: key))
      let signature = mark.signature(in: head)
      let object = RemoteObject(
        byteCount: head.byteCount, etag: head.etag, lastModified: head.lastModified ?? 0)
      if provenance(of: path, object, signature).mayGo { return .mayGo(object) }
      // The known ETags and dates come from listings, and some servers format them differently in HeadObject.
      guard let listed = if let listed { listed } else { try await self.listed(key) } else {
        // The object is gone by now, or listings do not show it.
        _ = try await store.send(HeadObject(key: key))
        return .foreign(object)
      }
      return provenance(of: path, listed, signature).mayGo ? .mayGo(listed) : .foreign(listed)
    } catch let error as S3Error where error.isMissingKey {
      return .absent
    } catch let error as S3Error where error.isAccessDenied {
      // Without the permission s3:GetObject only the listing can decide.
      return await askListing(of: key, for: path, listed: listed)
    } catch {
      return .unknown(error)
    }
  }

  private func askListing(of key: String, for path: RelativePath, listed: RemoteObject?) async -> Finding {
    do {
      guard let object = if let listed { listed } else { try await self.listed(key) } else { return .absent }
      return provenance(of: path, object).mayGo ? .mayGo(object) : .foreign(object)
    } catch {
      return .unknown(error)
    }
  }

  /// The object as a listing shows it; nil if there is none.
  private func listed(_ key: String) async throws -> RemoteObject? {
    let page = try await store.send(ListObjectsV2(prefix: key, limit: 2))
    return page.objects.first { RelativePath($0.key) == RelativePath(key) }?.remote
  }
}

/// Objects that were found to be another writer's, so that they are not checked again.
final class ForeignObjects: Sendable {
  /// About 200 bytes each, 2 MB in all. Objects beyond the capacity are checked again.
  private static let capacity = 10_000

  private let objects = Mutex<[RelativePath: RemoteObject]>([:])

  func note(_ path: RelativePath, _ object: RemoteObject) {
    objects.withLock { objects in
      if objects.count < Self.capacity || objects[path] != nil { objects[path] = object }
    }
  }

  var isEmpty: Bool { objects.withLock { $0.isEmpty } }

  /// Whether the object under this name was found to be another writer's.
  func contains(_ path: RelativePath) -> Bool { objects.withLock { $0[path] != nil } }

  func contains(_ path: RelativePath, _ object: RemoteObject) -> Bool {
    objects.withLock { $0[path] == object }
  }
}
