import MirrorModel
import Synchronization

/// The contents of large objects, block by block, by path: those that this run published. An entry says what
/// an object with this ETag holds. This stays true whatever happens to the object, so entries that are dropped
/// or outdated only cost a whole upload.
final class PublishedBlocks: Sendable {
  private struct State {
    var objects: [RelativePath: KnownObject] = [:]
    var blockCount = 0

    mutating func set(_ object: KnownObject?, for path: RelativePath) {
      blockCount += (object?.blocks.count ?? 0) - (objects[path]?.blocks.count ?? 0)
      objects[path] = object
    }
  }

  /// The limit of blocks. At 20 bytes each they take 5 MiB, and with blocks of 16 MiB they stand for 4 TiB.
  static let standardCapacity = 262_144

  private let state = Mutex(State())
  private let capacity: Int

  init(capacity: Int = PublishedBlocks.standardCapacity) {
    self.capacity = capacity
  }

  /// Notes the object of a path; nil if its content is not known. If there are too many blocks, other objects
  /// are dropped.
  func note(_ object: KnownObject?, for path: RelativePath) {
    state.withLock { state in
      state.set(object.flatMap { $0.blocks.count <= capacity ? $0 : nil }, for: path)
      while state.blockCount > capacity, let victim = state.objects.keys.first(where: { $0 != path }) {
        state.set(nil, for: victim)
      }
    }
  }

  func object(of path: RelativePath) -> KnownObject? { state.withLock { $0.objects[path] } }

  func forget(_ path: RelativePath) { state.withLock { $0.set(nil, for: path) } }
}
