import LocalTree
import LoopThread
import MirrorModel
import Synchronization

/// A lane's part in its group: the markers that wait for other hosts, each in the version that the group knows.
final class LaneGroup: Sendable {
  private struct State {
    /// The version of each marker that the group was told of.
    var noted: [RelativePath: FileStamp] = [:]
    /// The markers that may be published now.
    var released: Set<RelativePath> = []
    var loop: Task<Void, Never>?
    var isEntryDue = false
  }

  let driver: GroupDriver
  private let stamps: PolledMarkers
  private let wallClock: @Sendable () -> Int64
  private let state = Mutex(State())

  init(_ driver: GroupDriver, wallClock: @escaping @Sendable () -> Int64) {
    self.driver = driver
    self.wallClock = wallClock
    stamps = PolledMarkers(wallClock: wallClock)
  }

  // MARK: From entry to exit

  /// Claims the member's slot, and begins to act for the member.
  ///
  /// - Throws: the errors of `GroupDriver.enter`.
  func enter(tree: String, _ work: GroupDriver.Work) async throws {
    try await driver.enter(tree: tree)
    driver.start(work)
    let loop = Task(executorPreference: TaskThreads.current) { [driver] in await driver.run() }
    state.withLock { $0.loop = loop }
  }

  /// Whether the comparison at entry has to wait for changes of an earlier attempt; `takeDeferredEntry` then
  /// returns true once.
  func defersEntry() -> Bool {
    let isSettling = driver.isSettling
    state.withLock { $0.isEntryDue = isSettling }
    return isSettling
  }

  func takeDeferredEntry() -> Bool {
    state.withLock { state in
      defer { state.isEntryDue = false }
      return state.isEntryDue
    }
  }

  /// Waits until no change of an earlier attempt can arrive any more, the member is taken over, or the task is
  /// cancelled.
  func waitUntilSettled() async {
    while driver.isSettling {
      do {
        try await driver.permit()
      } catch is CancellationError {
        return
      } catch is Fenced {
        return
      } catch {
        // The slot could not be read or written. The driver has said so, and tries again.
      }
    }
  }

  /// Gives up the slot. Everything is published, or reported.
  func end() async {
    driver.requestEnd()
    await state.withLock(\.loop)?.value
  }

  /// Leaves the slot as it is: not everything is published.
  func leave() async {
    driver.stop()
    await state.withLock(\.loop)?.value
  }

  // MARK: Markers

  /// The markers that a pass has to leave.
  var hold: GroupHold { .markers(except: state.withLock { $0.released }) }

  /// From when the timeout of markers counts that the group knows already.
  enum Wait {
    case goesOn
    case beginsAnew
  }

  /// The markers that the group was told of, and that are not published.
  var waiting: Set<RelativePath> { state.withLock { Set($0.noted.keys) } }

  /// Tells the group of markers whose data are published here.
  ///
  /// The version is read first and the server's clock after that, so the version was closed before the instant
  /// that the group compares.
  func note(_ held: Set<RelativePath>, in root: TreeRoot, _ wait: Wait = .goesOn) async {
    if wait == .beginsAnew { state.withLock { $0.noted = [:] } }
    // The group releases markers in the order in which they are noted: those further up come last.
    let paths = held.sorted { ($1.ancestors.count, $0) < ($0.ancestors.count, $1) }
    for path in paths {
      guard let stamp = root.stamp(ofFileAt: path) else { continue }
      if state.withLock({ $0.noted[path]?.isSameVersion(as: stamp) ?? false }) { continue }
      await stamps.look(at: [path], in: root)
      guard let server = driver.serverTime else { continue }
      state.withLock { $0.noted[path] = stamp }
      driver.note(path, closedAfter: server - max(0, wallClock() - stamp.modified))
    }
  }

  /// Whether a marker may be published: the group has released it, and it is the version that the group knows.
  func mayAppear(_ path: RelativePath, in root: TreeRoot) -> Bool {
    state.withLock { $0.released.contains(path) } && stamps.isUnchanged(path, in: root)
  }

  /// Lets a marker appear while `publish` runs.
  func releasing<Result>(_ path: RelativePath, _ publish: () async -> Result) async -> Result {
    state.withLock { _ = $0.released.insert(path) }
    let result = await publish()
    state.withLock { _ = $0.released.remove(path) }
    return result
  }

  /// Notes that a marker was published or is gone: a later version is another marker.
  func forget(_ path: RelativePath) {
    state.withLock { $0.noted[path] = nil }
    driver.withdraw(path)
  }
}
