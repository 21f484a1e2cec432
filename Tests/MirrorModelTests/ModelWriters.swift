import MirrorModel

/// Who wrote what in the model's bucket: this mirror, or another writer under the same prefix.
///
/// Whether an object may go is decided by the mirror's own rule, from what a server would tell.
struct ModelWriters {
  /// What the other writer puts into a name.
  enum Content: Hashable {
    case own
    /// The bytes that are there.
    case same
  }

  /// Names under which the other writer wrote last.
  private(set) var foreign: Set<RelativePath> = []
  private var dates: [RelativePath: Int64] = [:]
  private var published: [RelativePath: Provenance.Publication] = [:]
  /// The server's clock. Nothing of two writers falls into one second.
  private var now: Int64 = 0
  private var lastNumber = 0

  private mutating func tick() -> Int64 {
    now += 2_000_000_000
    return now
  }

  enum Answer {
    case received
    case lost
  }

  /// Notes an object of this mirror.
  mutating func publish(_ path: RelativePath, version: Int, _ answer: Answer) {
    let date = tick()
    dates[path] = date
    foreign.remove(path)
    if answer == .received {
      published[path] = Provenance.Publication(etag: String(version), answered: date)
    }
  }

  /// Notes an object of the other writer.
  ///
  /// - Returns: the object.
  mutating func overwrite(_ path: RelativePath, _ old: ModelTree.File?, _ content: Content)
    -> ModelTree.File
  {
    dates[path] = tick()
    foreign.insert(path)
    if content == .same, let old { return old }
    lastNumber -= 1
    return ModelTree.File(inode: lastNumber, name: lastNumber, version: lastNumber)
  }

  mutating func forget(_ path: RelativePath) {
    dates[path] = nil
    published[path] = nil
    foreign.remove(path)
  }

  /// As WriterCheck: the listing's word first, then the object's metadata.
  func mayGo(_ path: RelativePath, _ file: ModelTree.File) -> Bool {
    let object = RemoteObject(byteCount: 0, etag: String(file.version), lastModified: dates[path] ?? 0)
    func provenance(_ signature: Provenance.Signature) -> Provenance {
      Provenance(of: object, isOfEntry: false, published: published[path], signature: signature)
    }
    let listed = provenance(.unread)
    if listed != .unsettled { return listed.mayGo }
    return provenance(foreign.contains(path) ? .other : .own).mayGo
  }
}
