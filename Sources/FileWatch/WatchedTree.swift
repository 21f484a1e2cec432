import MirrorModel
import SystemPackage

/// A watched tree on one thread: reads the kernel's records, has them translated, and carries out the steps.
///
/// Everything is done in the order of the records. Visits to large directories take a while, so they move what the
/// kernel has queued meanwhile into a backlog here, where it overflows later than there.
package final class WatchedTree {
  typealias NodeID = WatchTable.NodeID

  /// Bytes of records kept here; beyond it they stay with the kernel, which says so when it drops some.
  static let backlogBytes = 64 << 20
  /// Events of one call of the sink.
  static let batchCount = 4096
  /// How long the other half of a rename may take after the queue ran empty. The kernel queues it within
  /// microseconds, unless the renaming thread is preempted in between.
  static let pairingMilliseconds: Int32 = 5

  let root: FilePath
  let instance: InotifyInstance
  let isExcluded: @Sendable (RelativePath, EntryKind) -> Bool
  var translation: EventTranslation
  /// Directories that were not there any more when their turn came. Records that tell of their fate follow.
  var missedVisits = 0
  /// Directories too deep below the first one of a visit, to be visited next.
  var deferredVisits: [(name: RelativePath, parent: NodeID, visit: Visit)] = []
  /// The watches from before a loss of events, while the tree is walked again.
  var descriptorsBeforeLoss: Set<Int32> = []

  private let sink: @Sendable ([WatchEvent]) -> Void
  private var batch: [WatchEvent] = []
  private var backlog: [UInt8] = []
  /// SAFETY: lives as long as this object, and is touched by its thread only.
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
    // read(2) fails with EINVAL when the next record does not fit: header, NAME_MAX and a NUL (inotify(7)).
    readBuffer = .allocate(byteCount: max(configuration.readBufferBytes, 16 + 255 + 1), alignment: 16)
  }

  deinit {
    readBuffer.deallocate()
  }
}

// What the thread does.
extension WatchedTree {
  /// Sleeps until there are records, for ever, unless half a rename is known.
  func wait(alsoFor descriptor: Int32) -> InotifyInstance.Readiness {
    instance.wait(
      alsoFor: descriptor, timeoutMilliseconds: translation.pairing.isEmpty ? -1 : Self.pairingMilliseconds)
  }

  /// One read of what is there, and one batch.
  func turn(isQuiet: Bool) {
    _ = takeRecords()
    consumeBacklog()
    if isQuiet && backlog.isEmpty { settle() }
    flush()
  }

  /// Gives out every change that happened before the call.
  func catchUp() {
    // A directory that was missed has moved on: the records that say where to may come after those that wait now.
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

  /// Others may rename and remove without pause, so the end of their records is not waited for.
  private static let catchUpRounds = 64

  /// Acts as the kernel does when its queue is full: what waits in it is lost, and that is said.
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

  /// The same, so that the records of one change are lost and those before it are not: nothing is read meanwhile.
  func overflow(losing change: () throws -> Void) rethrows {
    consumePending()
    try change()
    overflow()
  }

  /// Reads and carries out what waits now, not what comes while it does so.
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

  /// Moves one read's worth from the kernel to the backlog.
  ///
  /// - Returns: The number of bytes.
  @discardableResult
  func takeRecords() -> Int {
    guard backlog.count < Self.backlogBytes, readFailure == nil else { return 0 }
    do throws(Errno) {
      let count = try instance.read(into: readBuffer)
      backlog.append(contentsOf: readBuffer[..<count])
      return count
    } catch {
      // The kernel gives no such error to a valid instance; events are lost from here on.
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
  /// Removes watches that the table has forgotten, but not one that a visit has met again since.
  func unwatch(_ descriptors: some Sequence<Int32>) {
    for descriptor in descriptors where translation.table.owner(of: descriptor) == nil {
      instance.unwatch(descriptor)
    }
  }
}

// What goes out.
extension WatchedTree {
  func emit(_ event: WatchEvent) {
    // A program that writes in small pieces says the same thing again and again.
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
