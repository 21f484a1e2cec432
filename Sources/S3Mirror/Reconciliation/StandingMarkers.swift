import LocalTree
import LoopThread
import MirrorModel
import Synchronization

/// Commit markers that lie in a directory here when a download begins, and the directories above it with theirs.
///
/// Such a marker speaks for the files that are here now. Before one of them is replaced the marker goes, and it comes again after
/// all data, in its place in the order (DOWN-15). A download that is killed in between leaves files without a marker, which no
/// reader takes for complete.
final class StandingMarkers: Sendable {
  /// What is about to get its name.
  enum Change: Sendable {
    /// Only a marker that is the one on S3 speaks for a file that is missing here.
    case newFile
    case newContent
  }

  /// Removes a marker, and knows how it stands to its object.
  struct Access: Sendable {
    /// Nil where S3 has no such object: what nobody would fetch again stays.
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

  /// Those of the directories above, for a marker: it is data to them.
  var ofDirectoriesAbove: StandingMarkers? { above }

  /// Returns when no marker is left that would speak for what the change makes.
  func withdraw(before change: Change) async throws {
    let spoken = try await markers(speakingAfter: change)
    // From the top down: `latest` speaks for the markers that it leads to, so it does not outlive one of them.
    try await above?.withdraw(before: spoken.isEmpty ? change : .newContent)
    guard !spoken.isEmpty else { return }
    try await removal(of: spoken, before: change).value
  }

  /// The markers here that would speak for what a change makes.
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

  /// One look at S3 serves all files below.
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

  /// The removal that is enough for a change. Several files may ask at one time, and each waits until it is done.
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

/// The way down to the directory of the file at hand, in a stream of paths in key order.
///
/// All keys below a directory follow each other there, so what is held is one directory for each name of a path.
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

  /// The markers around a file, each directory being read once.
  mutating func markers(around path: RelativePath) throws -> StandingMarkers? {
    while let last = way.last, !path.isWithin(last.directory) || path == last.directory { way.removeLast() }
    for directory in path.ancestors.reversed().dropFirst(way.count) {
      let markers = try root.files(in: directory, where: order.isMarker)
      way.append(StandingMarkers(markers, in: directory, above: way.last, access: access))
    }
    return way.last
  }
}
