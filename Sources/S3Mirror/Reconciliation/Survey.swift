import LocalTree
import MirrorModel
import S3Client

/// A full compare of a local tree with the listing of its prefix, without touching either.
struct Survey: Sendable {
  struct Suspect: Sendable {
    var path: RelativePath
    var stamp: FileStamp
    var remote: RemoteObject
  }

  var copies: [RelativePath: CopyReason] = [:]
  /// Bytes that `copies` would send.
  var copyBytes: Int64 = 0
  var suspects: [Suspect] = []
  /// Objects without a local file; a trailing slash names a directory marker.
  var extras: [RelativePath] = []
  var localFiles = 0
  var remoteObjects = 0
  /// Parts that could not be read, with the reason: nothing below them is deleted.
  var unreadable: [RelativePath: String] = [:]
  /// Names that are no UTF-8 and so cannot be keys, as printable text.
  var undecodable: [String] = []
  var skipped = 0

  /// Whether an extra may be inferred deleted, as far as reading went.
  func isUnseen(_ path: RelativePath) -> RelativePath? {
    unreadable.keys.first { path.isWithin($0) }
  }
}

/// Makes surveys of one upload's tree.
struct Surveyor: Sendable {
  let root: TreeRoot
  let mapping: KeyMapping
  let filter: PathFilter
  let symlinks: SymlinkPolicy
  let comparison: Comparison
  let store: any ObjectStore
  let wallClock: @Sendable () -> Int64

  /// Compares `directory` and everything below it.
  ///
  /// - Throws: `S3Error` when the listing cannot be had in full; what cannot be read locally is in the survey.
  func survey(_ directory: RelativePath = .root) async throws -> Survey {
    do {
      return try await merge(directory)
    } catch is Listing.OutOfOrder {
      return try await join(directory)
    }
  }

  private func prefix(of directory: RelativePath) -> String {
    directory.isRoot ? mapping.listingPrefix : mapping.key(for: directory) + "/"
  }

  // MARK: Ordered listings: two streams, merged

  private func merge(_ directory: RelativePath) async throws -> Survey {
    var survey = Survey()
    var listing = Listing(store: store, prefix: prefix(of: directory), order: .ascending)
    var walk = WalkStream(root: root, start: directory, filter: filter, symlinks: symlinks)
    var remote = try await nextRemote(&listing, counting: &survey)
    let comparison = corrected(by: listing)
    var local = await walk.nextFile(noting: &survey)
    while true {
      switch (local, remote) {
      case (nil, nil):
        return survey
      case (let file?, let object?) where file.path == object.path:
        note(file, against: object.object, comparison, in: &survey)
        local = await walk.nextFile(noting: &survey)
        remote = try await nextRemote(&listing, counting: &survey)
      case (let file?, let object) where object.map({ file.path < $0.path }) ?? true:
        note(file, against: nil, comparison, in: &survey)
        local = await walk.nextFile(noting: &survey)
      case (_, let object?):
        survey.extras.append(object.path)
        remote = try await nextRemote(&listing, counting: &survey)
      case (_, nil):
        preconditionFailure("a file without an object was taken above")
      }
    }
  }

  // MARK: Unordered listings: a table

  private func join(_ directory: RelativePath) async throws -> Survey {
    var survey = Survey()
    var listing = Listing(store: store, prefix: prefix(of: directory), order: .any)
    var objects: [RelativePath: RemoteObject] = [:]
    while let entry = try await nextRemote(&listing, counting: &survey) { objects[entry.path] = entry.object }
    let comparison = corrected(by: listing)
    var walk = WalkStream(root: root, start: directory, filter: filter, symlinks: symlinks)
    while let file = await walk.nextFile(noting: &survey) {
      note(file, against: objects.removeValue(forKey: file.path), comparison, in: &survey)
    }
    survey.extras = objects.keys.sorted()
    return survey
  }

  // MARK: One entry

  private func nextRemote(_ listing: inout Listing, counting survey: inout Survey) async throws
    -> (path: RelativePath, object: RemoteObject)?
  {
    while let listed = try await listing.next() {
      guard let path = mapping.path(forKey: listed.key), !isExcluded(path) else { continue }
      // A key that no local path can hold has no local counterpart to be compared with; it is left alone.
      guard UnsafeKey.Reason(path.withoutTrailingSlash) == nil else { continue }
      survey.remoteObjects += 1
      return (
        path,
        RemoteObject(byteCount: listed.byteCount, etag: listed.etag, lastModified: listed.lastModified ?? 0)
      )
    }
    return nil
  }

  private func isExcluded(_ path: RelativePath) -> Bool {
    path.hasTrailingSlash
      ? filter.excludes(path.withoutTrailingSlash, .directory) : filter.excludes(path, .file)
  }

  private func note(
    _ file: WalkStream.File, against remote: RemoteObject?, _ comparison: Comparison, in survey: inout Survey
  ) {
    survey.localFiles += 1
    switch comparison.upload(local: file.stamp, remote: remote) {
    case .same: break
    case .copy(let reason):
      survey.copies[file.path] = reason
      survey.copyBytes += file.stamp.size
    case .suspect:
      if let remote { survey.suspects.append(.init(path: file.path, stamp: file.stamp, remote: remote)) }
    }
  }

  private func corrected(by listing: Listing) -> Comparison {
    var corrected = comparison
    if let date = listing.serverDate { corrected.serverSkew = date - wallClock() }
    return corrected
  }
}
