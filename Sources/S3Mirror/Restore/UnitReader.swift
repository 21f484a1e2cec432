import LocalTree
import MirrorModel
import S3Client
import Transfers

/// Finds the checkpoints under a remote and judges them. This takes one listing of the whole remote and, for
/// each judged checkpoint, one listing of its objects and reads of a few small ones.
struct UnitReader: Sendable {
  /// One checkpoint, its state and its content.
  struct Judged: Sendable {
    var unit: CheckpointUnit
    var state: UnitState
    /// By their paths below the remote.
    var objects: [RelativePath: RemoteObject]
    /// The directories of the checkpoint's directory markers.
    var emptyDirectories: [RelativePath]
    /// The receipts of the group whose members wrote it; nil if no group did, as far as is known.
    var group: PartReceipts?
  }

  let location: S3Location
  let filter: PathFilter
  let names: UnitNames
  let store: any ObjectStore
  let resources: TransferResources

  /// - Parameter place: its location counts as a prefix, with or without a slash at the end of its URL.
  init(
    _ place: ResolvedSpec, options: Options, store: any ObjectStore, resources: TransferResources
  ) throws {
    location = place.locationOfPrefix
    filter = place.filter
    names = try options.unitNames()
    self.store = store
    self.resources = resources
  }

  private var mapping: KeyMapping { .tree(prefix: location.prefix) }

  // MARK: The catalog

  /// The checkpoints, newest first, the objects that may name one, and the receipts of each.
  typealias Catalog = (
    UnitCatalog, trackers: [RelativePath: RemoteObject], receipts: [RelativePath: ListedReceipts]
  )

  /// - Throws: `MirrorError` if there is nothing under the remote.
  func catalog() async throws -> Catalog {
    guard let catalog = try await catalogIfAny() else {
      throw MirrorError(
        .local, "there is nothing at \(location.url): neither an object nor a prefix; check the URL")
    }
    return catalog
  }

  /// Nil if there is nothing under the remote.
  func catalogIfAny() async throws -> Catalog? {
    var scan = UnitScan(names: names)
    var isEmpty = true
    try await forEachObject(below: "") { path, object in
      isEmpty = false
      if DirectoryMarker(path) == nil { scan.add(path, object) }
    }
    if isEmpty {
      try await checkNoObject()
      return nil
    }
    var trackers: [Tracker] = []
    for (path, object) in scan.trackers.sorted(by: { $0.key < $1.key }) {
      guard let content = try await content(of: path, object) else { continue }
      if let tracker = Tracker(path, content: content) { trackers.append(tracker) }
    }
    return (UnitCatalog(scan, trackers: trackers), scan.trackers, scan.receipts)
  }

  /// - Throws: `MirrorError` if the remote is an object and not a prefix.
  private func checkNoObject() async throws {
    var object = location
    object.key = String(location.prefix.dropLast())
    if !object.key.isEmpty, case .object = try await RemoteKind.find(object, in: store) {
      throw MirrorError(
        .invalid,
        "\(object.url) is one object; s3mirror download fetches it, and restore takes what it lies in")
    }
  }

  /// Calls `body` for every object that has a valid local path and is not excluded.
  private func forEachObject(below prefix: String, _ body: (RelativePath, RemoteObject) -> Void) async throws
  {
    for try await page in store.listing(prefix: location.prefix + prefix) {
      for object in page.objects {
        guard let path = mapping.path(forKey: object.key) else { continue }
        let bare = DirectoryMarker(path)?.directory ?? path
        guard UnsafeKey.Reason(bare) == nil else { continue }
        let isOwn = bare.isWithin(UnitReceipt.folder)
        if !isOwn, filter.excludes(bare, bare == path ? .file : .directory) { continue }
        body(
          path,
          RemoteObject(
            byteCount: object.byteCount, etag: object.etag, lastModified: object.lastModified ?? 0))
      }
    }
  }

  /// Nil for an object that was deleted or changed since it was listed.
  private func content(of path: RelativePath, _ object: RemoteObject) async throws -> [UInt8]? {
    do {
      let get = GetObject(key: mapping.key(for: path), ifMatch: object.etag.isEmpty ? nil : object.etag)
      return try await resources.send(get, through: store).answer.body
    } catch let error as S3Error where error.isNotFound || error.status == 412 {
      return nil
    }
  }

  // MARK: One checkpoint

  /// - Parameter receipts: the listed receipts of the unit; nil if it has none.
  func judge(_ unit: CheckpointUnit, receipts listed: ListedReceipts?) async throws -> Judged {
    var objects: [RelativePath: RemoteObject] = [:]
    var directories: [RelativePath] = []
    try await forEachObject(below: unit.listingPrefix) { path, object in
      if let marker = DirectoryMarker(path) {
        if marker.directory.isWithin(unit.path) { directories.append(marker.directory) }
      } else {
        objects[path] = object
      }
    }
    let judgement = UnitJudgement(unit, objects, names: names)
    let receipts = try await read(listed, of: unit).testimony(of: judgement.objects)
    var contents: [RelativePath: [UInt8]] = [:]
    if receipts.state == nil {
      for path in judgement.contentsNeeded {
        if let object = judgement.objects[path] { contents[path] = try await content(of: path, object) }
      }
    }
    let state = judgement.state(receipts: receipts, contents: contents)
    var kept = judgement.objects
    // Objects that no receipt names belong to another version. A receipt names no files that are appended to.
    if let named = receipts.named {
      kept = kept.filter { named.contains($0.key) || names.appended.contains($0.key) }
    }
    return Judged(
      unit: unit, state: state, objects: kept, emptyDirectories: directories.sorted(), group: receipts.group)
  }

  /// How many receipts of one unit are read at one time.
  private static let receiptsInFlight = 16

  private func read(_ listed: ListedReceipts?, of unit: CheckpointUnit) async throws -> ReadReceipts {
    guard let listed else { return ReadReceipts() }
    let answers = await concurrentEach(listed.objects(of: unit.path), width: Self.receiptsInFlight) {
      path, object -> Result<(RelativePath, PartReceipts.Reading), any Error> in
      do {
        return .success((path, try await self.read(path, object)))
      } catch {
        return .failure(error)
      }
    }
    let readings = Dictionary(try answers.map { try $0.get() }) { first, _ in first }
    var groups: [GroupPlace: PartReceipts] = [:]
    for (part, object) in listed.parts {
      guard let reading = readings[part.receipt(of: unit.path)] else { continue }
      groups[part.place, default: PartReceipts(part.place)]
        .add(reading, of: part.member, published: object.lastModified)
    }
    return ReadReceipts(
      whole: listed.whole == nil ? nil : readings[UnitReceipt.path(of: unit.path)],
      groups: Array(groups.values))
  }

  private func read(_ path: RelativePath, _ listed: RemoteObject) async throws -> PartReceipts.Reading {
    guard listed.byteCount <= UnitReceipt.longest else {
      return .failure(UnreadableReceipt(reason: "it has \(listed.byteCount) bytes"))
    }
    guard let bytes = try await content(of: path, listed) else {
      return .failure(UnreadableReceipt(reason: "it changed just now"))
    }
    return Result { () throws(UnreadableReceipt) in try UnitReceipt(json: bytes) }
  }

  /// Objects with the unit's content under other names.
  func copies(of unit: CheckpointUnit) async throws -> [RelativePath: RemoteObject] {
    var found: [RelativePath: RemoteObject] = [:]
    for path in unit.copies {
      let copy = CheckpointUnit(path, .files)
      try await forEachObject(below: copy.listingPrefix) { path, object in
        if copy.contains(path) { found[path] = object }
      }
    }
    return found
  }
}
