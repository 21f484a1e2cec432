import MirrorModel
import Synchronization

/// The contents of large objects, block by block, by path: those that this run published. An entry says what
/// an object with this ETag holds. This stays true whatever happens to the object, so entries that are dropped
/// or outdated only cost a whole upload.
final class PublishedBlocks: Sendable {
  private struct State {
    var objects: RecentTable<RelativePath, KnownObject>
    /// The path of the object that was noted last, by the size of its content, and by name and size.
    var latestBySize: [Int64: RelativePath] = [:]
    var latestByName: [Appearance: RelativePath] = [:]

    mutating func set(_ object: KnownObject?, for path: RelativePath) {
      if let old = objects[path] { unlist(path, old) }
      guard let object else { return objects.remove(path) }
      for (path, dropped) in objects.set(object, for: path) { unlist(path, dropped) }
      let appearance = Appearance(path, object)
      latestBySize[appearance.byteCount] = path
      latestByName[appearance] = path
    }

    private mutating func unlist(_ path: RelativePath, _ object: KnownObject) {
      let appearance = Appearance(path, object)
      if latestBySize[appearance.byteCount] == path { latestBySize[appearance.byteCount] = nil }
      if latestByName[appearance] == path { latestByName[appearance] = nil }
    }
  }

  private struct Appearance: Hashable {
    var name: String
    var byteCount: Int64

    init(_ path: RelativePath, _ byteCount: Int64) {
      name = String(path.name)
      self.byteCount = byteCount
    }

    init(_ path: RelativePath, _ object: KnownObject) { self.init(path, object.blocks.grid.byteCount) }
  }

  /// The limit of blocks. At 20 bytes each, or 36 with keyed digests, they take 5 to 9 MiB, and with blocks of 16 MiB they stand for 4 TiB.
  static let standardCapacity = 262_144

  private let state: Mutex<State>
  private let capacity: Int

  init(capacity: Int = PublishedBlocks.standardCapacity) {
    self.capacity = capacity
    state = Mutex(State(objects: RecentTable(capacity: capacity) { $0.blocks.count }))
  }

  /// Notes the object of a path; nil if its content is not known. If there are too many blocks, older objects
  /// are dropped.
  func note(_ object: KnownObject?, for path: RelativePath) {
    state.withLock { state in
      state.set(object.flatMap { $0.blocks.count <= capacity ? $0 : nil }, for: path)
    }
  }

  func object(of path: RelativePath) -> KnownObject? { state.withLock { $0.objects[path] } }

  /// Objects of other paths that may have this file's content, because the content has the same size: the latest
  /// with the same last component, as in the checkpoint before, and the latest of all.
  func alike(_ path: RelativePath, fileBytes: Int64) -> [(path: RelativePath, object: KnownObject)] {
    state.withLock { state in
      let byName = state.latestByName[Appearance(path, fileBytes)]
      let bySize = state.latestBySize[fileBytes].flatMap { $0 == byName ? nil : $0 }
      return [byName, bySize].compactMap(\.self).filter { $0 != path }.compactMap { other in
        state.objects[other].map { (other, $0) }
      }
    }
  }

  func forget(_ path: RelativePath) { state.withLock { $0.set(nil, for: path) } }
}
