import MirrorModel
import S3Client
import Synchronization

/// Finds out whose the objects are that are to be deleted, so that none of another writer's is (DEL-18).
///
/// Most are known by what a listing says of them: they lay there at entry, or this run published them. For the others the metadata
/// are read, which costs one HeadObject each.
struct WriterCheck: Sendable {
  enum Finding: Sendable {
    /// The object, which a delete may take.
    case mayGo(RemoteObject)
    case foreign(RemoteObject)
    case absent
    /// S3 did not say.
    case unknown(any Error)
  }

  let mapping: KeyMapping
  let store: any ObjectStore
  /// Nil where nothing that lay there at entry is ever deleted.
  let entry: EntryObjects?
  let ledger: PublishedLedger
  let mark: WriterMark
  let foreign: ForeignObjects

  /// More paths are looked for in a listing first, whose page has a thousand. AWS asks as much for one page as for 12 heads.
  private static let mostHeads = 10
  private static let headsInFlight = 10
  /// Heads for one comparison, as long as the ledger holds everything that this run published: what is in doubt then is another
  /// writer's, but for requests whose answers were lost.
  static let mostDoubts = 1_000

  /// What a listing alone says.
  func provenance(of path: RelativePath, _ object: RemoteObject, _ signature: Provenance.Signature = .unread)
    -> Provenance
  {
    Provenance(
      of: object, isOfEntry: entry?.contains(path, object) ?? false, published: ledger.publication(of: path),
      signature: signature)
  }

  // MARK: Objects that were listed

  /// - Parameter doubts: how many objects may still be asked for; what is in doubt beyond that counts as another writer's.
  func judge(_ listed: [(RelativePath, RemoteObject)], doubts: inout Int) async -> [RelativePath: Finding] {
    var findings: [RelativePath: Finding] = [:]
    var doubtful: [(RelativePath, RemoteObject)] = []
    for (path, object) in listed {
      switch provenance(of: path, object) {
      case .entry, .own: findings[path] = .mayGo(object)
      case .foreign: findings[path] = .foreign(object)
      case .unsettled:
        if foreign.contains(path, object) || doubts <= 0 && !ledger.hasForgotten {
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

  /// Parts what a comparison found superfluous.
  func partition(_ extras: Extras) async throws -> (ours: Extras, foreign: Extras) {
    var doubts = Self.mostDoubts
    return try await extras.partitioned { entries in
      let findings = await judge(entries.map { ($0.path, $0.object) }, doubts: &doubts)
      // What S3 does not say now it is asked once more just before the delete.
      return entries.map { entry in
        guard case .foreign(let object)? = findings[entry.path] else { return true }
        foreign.note(entry.path, object)
        return false
      }
    }
  }

  // MARK: Objects that were not listed

  /// Looks at the objects of these paths as they are now.
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

  /// What a listing of the stretch in which the keys lie decides. It ends early where they lie far apart.
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
      // Each path is asked for by itself, and its own error is told.
      return findings
    }
    if isPassed, order.isKnown { for path in missing where !remembers(path) { findings[path] = .absent } }
    return findings
  }

  /// Whether an object was there as far as this mirror remembers, so that a listing without it is no proof that it is gone.
  ///
  /// MinIO keeps objects in a tree of files, and lists nothing below the name of an object: `x` hides `x/y`. HeadObject finds what is
  /// hidden, and once `x` is gone listings have it again. So it is when a file takes a directory's name: the file is published before
  /// the deletes.
  func remembers(_ path: RelativePath) -> Bool {
    ledger.etag(of: path) != nil || ledger.hasForgotten || entry?.mayHaveHeld(path) ?? false
  }

  /// - Parameter listed: what a listing said of the object; nil where it was not listed.
  private func ask(_ path: RelativePath, listed: RemoteObject?) async -> Finding {
    let key = mapping.key(for: path)
    do {
      let head = try await store.send(HeadObject(key: key))
      let signature = mark.signature(in: head)
      let object = RemoteObject(
        byteCount: head.byteCount, etag: head.etag, lastModified: head.lastModified ?? 0)
      if provenance(of: path, object, signature).mayGo { return .mayGo(object) }
      // What is known of the object came from a listing, and some servers word their heads in another way.
      guard let listed = if let listed { listed } else { try await self.listed(key) } else {
        // Gone since, or hidden from listings.
        _ = try await store.send(HeadObject(key: key))
        return .foreign(object)
      }
      return provenance(of: path, listed, signature).mayGo ? .mayGo(listed) : .foreign(listed)
    } catch let error as S3Error where error.isMissingKey {
      return .absent
    } catch let error as S3Error where error.isAccessDenied {
      // Without s3:GetObject only the listing tells.
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

  /// The object as a listing has it; nil where there is none.
  private func listed(_ key: String) async throws -> RemoteObject? {
    let page = try await store.send(ListObjectsV2(prefix: key, limit: 2))
    return page.objects.first { RelativePath($0.key) == RelativePath(key) }?.remote
  }
}

/// Objects that were found to be another writer's, so that nobody asks for them again.
final class ForeignObjects: Sendable {
  /// About 200 bytes each: 2 MB. What is not kept in mind is asked for again.
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
