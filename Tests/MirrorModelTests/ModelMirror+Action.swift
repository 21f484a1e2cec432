import MirrorModel

extension ModelMirror {
  /// One step of a random run, as data, so that a failing run can be replayed and made smaller.
  enum Action: Hashable {
    case write(RelativePath, closing: Bool)
    case close(RelativePath)
    case makeDirectory(RelativePath)
    case remove(RelativePath)
    case rename(RelativePath, RelativePath)
    case moveAway(RelativePath)
    case exchange(RelativePath, RelativePath)
    case moveIn(RelativePath, files: [String])
    case touch(RelativePath)
    /// Whoever has the file open writes to it.
    case writeOpen(RelativePath)
    case link(RelativePath, RelativePath)
    case symlink(RelativePath, to: String)
    /// symlink(2), to a path inside of the tree.
    case point(RelativePath, at: RelativePath)
    case writeOutside(String)
    case removeOutside(String)
    /// The watch reads this many records.
    case deliver(Int)
    case overflow
    case begin(flush: Bool)
    /// The pass goes on: something begins, or what has begun longest ends.
    case step(failing: Bool)
    /// Whatever has begun goes on without the pass.
    case detach
    /// A publication ends that has outlived its pass.
    case land(failing: Bool)
    /// Another writer puts an object under the prefix.
    case overwrite(RelativePath, ModelWriters.Content)

    /// What the program removes.
    var removal: RelativePath? { if case .remove(let path) = self { path } else { nil } }
  }
}
