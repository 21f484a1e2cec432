import LocalTree
import LoopThread
import MirrorModel
import Synchronization

/// The commit markers that are in a local directory when a download begins, and those of the directories
/// above.
///
/// Such a marker covers the files that are here now. Before one of these files is replaced, the marker is
/// removed. It is fetched again after all data, in its place in the order (DOWN-15). If the download is
/// killed in between, the files have no marker, so no reader takes them for complete.
final class StandingMarkers: Sendable {
  /// The change that is about to be made.
  enum Change: Sendable {
    /// A missing file appears. Only a marker that equals its object on S3 covers such a file.
    case newFile
    case newContent
  }

  /// Removes a marker, and compares it with its object.
  struct Access: Sendable {
    /// Nil if S3 has no such object. Such a marker stays, because it would never be fetched again.
    var standing: @Sendable (RelativePath) async throws -> DownloadJob.Standing?
    var remove: @Sendable (RelativePath) async throws -> Void
  }

  private typealias Look = Task<[RelativePath: DownloadJob.Standing], any Error>
  private typealias Removal = Task<Void, any Error>

  private struct State {
    var look: Look?
    var removal: Removal?
    var removed: Change?
  }

  let directory: RelativePath
  private let above: StandingMarkers?
  private let markers: [RelativePath]
  private let access: Access
  private let state = Mutex(State())

  init(_ markers: [RelativePath], in directory: RelativePath, above: StandingMarkers?, access: Access) {
    self.directory = directory
    self.markers = markers
    self.above = above
    self.access = access
  }

  /// The markers of the directories above. A marker of this directory is data to them.
  var ofDirectoriesAbove: StandingMarkers? { above }

  /// Returns when no marker is left that would cover the result of the change.
  func withdraw(before change: Change) async throws {
    let spoken = try await markers(speakingAfter: change)
    // From the top down: `latest` covers the markers to which it leads, so it must be removed before them.
    try await above?.withdraw(before: spoken.isEmpty ? change : .newContent)
    guard !spoken.isEmpty else { return }
    try await removal(of: spoken, before: change).value
  }

  /// The local markers that would cover the result of a change.
  private func markers(speakingAfter change: Change) async throws -> [RelativePath] {
    guard !markers.isEmpty else { return [] }
    let spoken = try await look().value.filter { marker in
      switch (marker.value, change) {
      case (.same, _), (.other, .newContent): true
      case (.other, .newFile), (.later, _), (.absent, _): false
      }
    }
    return spoken.keys.sorted()
  }

  /// The comparison of the markers with S3, made once for all files below.
  private func look() -> Look {
    state.withLock { state in
      if let look = state.look { return look }
      let look = Task(executorPreference: TaskThreads.current) { [markers, access] in
        var standings: [RelativePath: DownloadJob.Standing] = [:]
        for marker in markers { standings[marker] = try await access.standing(marker) }
        return standings
      }
      state.look = look
      return look
    }
  }

  /// The removal that suffices for a change. Several files may ask for it at one time, and each waits until
  /// it is done.
  private func removal(of spoken: [RelativePath], before change: Change) -> Removal {
    state.withLock { state in
      if let removal = state.removal, state.removed == .newContent || change == .newFile { return removal }
      let (earlier, access) = (state.removal, access)
      let removal = Task(executorPreference: TaskThreads.current) {
        try await earlier?.value
        for marker in spoken { try await access.remove(marker) }
      }
      state.removal = removal
      state.removed = change
      return removal
    }
  }
}

/// The directories from the root down to the current file, in a stream of paths in key order.
///
/// In key order all keys below a directory follow each other, so only one directory for each level is held.
struct StandingPath {
  private let root: TreeRoot
  private let order: CommitOrder
  private let access: StandingMarkers.Access
  private var way: [StandingMarkers] = []

  init(root: TreeRoot, order: CommitOrder, access: StandingMarkers.Access) {
    self.root = root
    self.order = order
    self.access = access
  }

  /// The markers around a file. Each directory is read once.
  mutating func markers(around path: RelativePath) throws -> StandingMarkers? {
    while let last = way.last, !path.isWithin(last.directory) || path == last.directory { way.removeLast() }
    for directory in path.ancestors.reversed().dropFirst(way.count) {
      let markers = try root.files(in: directory, where: order.isMarker)
      way.append(StandingMarkers(markers, in: directory, above: way.last, access: access))
    }
    return way.last
  }
}
