import MirrorModel
import SystemPackage

/// A watched tree on one thread: reads the kernel's records, translates them, and carries out the steps.
///
/// All work is done in the order of the records. A visit to a large directory takes time, so it moves queued
/// records from the kernel into a backlog here, which can hold more.
package final class WatchedTree {
  typealias NodeID = WatchTable.NodeID

  /// The limit of the backlog in bytes. Further records stay in the kernel, which reports it if it drops
  /// some.
  static let backlogBytes = 64 << 20
  /// How many events one call of the sink gets at most.
  static let batchCount = 4096
  /// How long to wait for the second half of a rename once the queue is empty. The kernel queues it within
  /// microseconds, unless the renaming thread is preempted in between.
  static let pairingMilliseconds: Int32 = 5

  let root: FilePath
  let instance: InotifyInstance
  let isExcluded: @Sendable (RelativePath, EntryKind) -> Bool
  var translation: EventTranslation
  /// How many directories no longer existed when their visit began. Records that explain this follow.
  var missedVisits = 0
  /// Directories that are too deep below the first one of a visit. They are visited next.
  var deferredVisits: [(name: RelativePath, parent: NodeID, visit: Visit)] = []
  /// The watches before a loss of events, while the tree is walked again.
  var descriptorsBeforeLoss: Set<Int32> = []

  private let sink: @Sendable ([WatchEvent]) -> Void
  private var batch: [WatchEvent] = []
  private var backlog: [UInt8] = []
  /// SAFETY: it lives as long as this object, and only the object's thread uses it.
  private let readBuffer: UnsafeMutableRawBufferPointer
  private var readFailure: Errno?

  init(
    root: FilePath, configuration: TreeWatcher.Configuration, sink: @escaping @Sendable ([WatchEvent]) -> Void
  ) throws(WatchError) {
    self.root = root
    instance = try InotifyInstance(maxWatches: configuration.maxWatches)
    isExcluded = configuration.isExcluded
    translation = EventTranslation(isExcluded: configuration.isExcluded)
    self.sink = sink
    // read(2) fails with EINVAL if the next record does not fit: header, NAME_MAX and a NUL (inotify(7)).
    readBuffer = .allocate(byteCount: max(configuration.readBufferBytes, 16 + 255 + 1), alignment: 16)
  }

  deinit {
    readBuffer.deallocate()
  }
}

// The work of the thread.
extension WatchedTree {
  /// Sleeps until there are records, without a timeout unless a departure waits.
  func wait(alsoFor descriptor: Int32) -> InotifyInstance.Readiness {
    instance.wait(
      alsoFor: descriptor, timeoutMilliseconds: translation.pairing.isEmpty ? -1 : Self.pairingMilliseconds)
  }

  /// Reads the waiting records once and emits one batch.
  func turn(isQuiet: Bool) {
    _ = takeRecords()
    consumeBacklog()
    if isQuiet && backlog.isEmpty { settle() }
    flush()
  }

  /// Emits every change that happened before the call.
  func catchUp() {
    // A directory that a visit missed was moved on. The records of that move may come after those that wait
    // now.
    for _ in 0..<Self.catchUpRounds {
      let missedBefore = missedVisits
      consumePending()
      var rounds = 0
      while !translation.pairing.isEmpty || missedBefore != missedVisits, rounds < Self.catchUpRounds {
        guard instance.wait(timeoutMilliseconds: Self.pairingMilliseconds) == .records else { break }
        consumePending()
        rounds += 1
        if translation.pairing.isEmpty { break }
      }
      if missedBefore == missedVisits { break }
    }
    settle()
    checkRoot()
    flush()
  }

  /// Other programs may rename and remove without pause, so this function does not wait for the end of their
  /// records.
  private static let catchUpRounds = 64

  /// Acts as the kernel does when its queue is full: drops the waiting records and reports the loss.
  func overflow() {
    consumeBacklog()
    var rest = instance.pendingBytes()
    while rest > 0 {
      let count = takeRecords()
      guard count > 0 else { break }
      rest -= count
      backlog = []
    }
    perform(InotifyRecord(descriptor: -1, mask: .queueOverflow))
    consumeBacklog()
    flush()
  }

  /// The same, but only the records of one change are lost, because nothing is read in the meantime.
  func overflow(losing change: () throws -> Void) rethrows {
    consumePending()
    try change()
    overflow()
  }

  /// Reads and handles the records that wait now, but not those that arrive in the meantime.
  private func consumePending() {
    var rest = instance.pendingBytes()
    consumeBacklog()
    while rest > 0 {
      let count = takeRecords()
      guard count > 0 else { break }
      rest -= count
      consumeBacklog()
    }
  }

  /// Moves one read of records from the kernel to the backlog.
  ///
  /// - Returns: the number of bytes.
  @discardableResult
  func takeRecords() -> Int {
    guard backlog.count < Self.backlogBytes, readFailure == nil else { return 0 }
    do throws(Errno) {
      let count = try instance.read(into: readBuffer)
      backlog.append(contentsOf: readBuffer[..<count])
      return count
    } catch {
      // The kernel returns no such error for a valid instance. Events are lost from here on.
      readFailure = error
      emit(.rescan(.root, .unreadable(error.rawValue)))
      return 0
    }
  }

  private func consumeBacklog() {
    while !backlog.isEmpty {
      let bytes = backlog
      backlog = []
      let used = bytes.withUnsafeBytes { InotifyRecord.decode($0) { perform($0) } }
      if used < bytes.count { perform(InotifyRecord(descriptor: -1, mask: .queueOverflow)) }
    }
  }

  private func settle() {
    guard !translation.pairing.isEmpty else { return }
    var steps: [TranslationStep] = []
    translation.settle(into: &steps)
    perform(steps)
  }

  private func perform(_ record: InotifyRecord) {
    var steps: [TranslationStep] = []
    translation.translate(record, into: &steps)
    perform(steps)
  }

  func perform(_ steps: [TranslationStep]) {
    for step in steps {
      switch step {
      case .emit(let event): emit(event)
      case .visit(let name, let parent, let visit): self.visit(name, under: parent, visit)
      case .recheck(let name, let parent): recheck(name, under: parent)
      case .unwatch(let descriptors): unwatch(descriptors)
      case .rewalk: rewalk()
      }
    }
  }
}

extension WatchedTree {
  /// Removes watches that the table has forgotten, except one that a visit has found again since.
  func unwatch(_ descriptors: some Sequence<Int32>) {
    for descriptor in descriptors where translation.table.owner(of: descriptor) == nil {
      instance.unwatch(descriptor)
    }
  }
}

// The output.
extension WatchedTree {
  func emit(_ event: WatchEvent) {
    // A program that writes in small pieces causes many equal events in a row.
    if batch.last == event { return }
    if translation.isRootLost && event != .rootLost { return }
    batch.append(event)
    if batch.count >= Self.batchCount { flush() }
  }

  func flush() {
    guard !batch.isEmpty else { return }
    let events = batch
    batch.removeAll(keepingCapacity: true)
    sink(events)
  }

  func loseRoot() {
    var steps: [TranslationStep] = []
    translation.loseRoot(into: &steps)
    perform(steps)
  }
}
