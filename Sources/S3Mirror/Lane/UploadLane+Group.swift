import LoopThread
import MirrorModel
import Synchronization

/// An upload of a group's member.
extension UploadLane {
  /// Claims the member's slot before anything is changed on S3.
  ///
  /// - Throws: `MirrorError`, `S3Error`.
  func joinGroup() async throws {
    guard let group else { return }
    let work = GroupDriver.Work(
      flush: { [weak self] in await self?.publishForGroup() ?? .unfinished },
      publish: { [weak self] path in await self?.publishReleased(path) ?? .unfinished },
      fenced: { [schedule, settings] in
        // The lane ends. What still waits here is the other attempt's to publish.
        schedule.requestEnd()
        schedule.close()
        settings.whenFenced()
      })
    try await group.enter(tree: WriterMark(root: root.identity).text, work)
  }

  /// Carries out the comparison at entry, if `enter` has left it: changes of an earlier attempt could have
  /// arrived after it.
  func enterLate() async {
    guard let group, group.takeDeferredEntry() else { return }
    // Waiting is no work that a watchdog could miss.
    activity.rest()
    await group.waitUntilSettled()
    activity.takeUp()
    guard group.driver.fenceError == nil, !Task.isCancelled else { return }
    do {
      try await compareAtEntry()
    } catch is CancellationError {
      // The run is cut short, and the end reports what is left.
    } catch {
      journal.notice("\(settings.name): the comparison at entry failed, and is repeated: \(error)")
      var again = DirtySet.Batch()
      again.rescans[.root] = .collapsed
      schedule.adopt(again)
    }
  }

  /// Waits until the group has published the markers that waited at a flush.
  ///
  /// - Throws: `MirrorError.incomplete` that names each marker and the member for which it waits.
  func waitForGroup() async throws {
    guard let group else { return }
    await group.driver.settleMarkers()
    if let fence = group.driver.fenceError { throw fence }
    let left = group.driver.waitingMarkers
    guard !left.isEmpty else { return }
    throw MirrorError(
      .incomplete, "\(settings.name): \(left.count) commit markers wait for other members of the group",
      failures: left.map { .init(path: $0.path.string, reason: $0.reason) })
  }

  /// Takes the markers out that have vanished while they waited. A pass looks at a marker only when the group has
  /// released it, so it would wait for ever.
  func dropVanishedMarkers(of outcome: inout PassOutcome) {
    guard let group else { return }
    for path in outcome.heldByGroup.union(group.waiting) {
      guard case .success(true) = Result(catching: { try root.isAbsent(forObjectAt: path) }) else { continue }
      outcome.heldByGroup.remove(path)
      if outcome.waiting.removeValue(forKey: path) != nil { outcome.summary.waiting -= 1 }
      outcome.unpublished.entries[path]?.purpose = .delete(.change)
      group.forget(path)
    }
  }

  // MARK: Work for the group

  /// Publishes everything that is closed now, except markers.
  private func publishForGroup() async -> GroupMember.PassAnswer {
    let start = schedule.clock.now
    let outcome = await schedule.flush()
    if outcome == nil, schedule.isClosed { return .unfinished }
    // A pass leaves a file that was closed and opened again, so its outcome does not name the file.
    let isLeft = schedule.dirtyEntries.contains { [order = settings.commitOrder] path, entry in
      entry.holdsMarkers(changedAt: start) && !order.isMarker(path)
    }
    let answer = isLeft ? .unfinished : outcome.map(answer) ?? .published
    return answer == .published ? await confirmParts() : answer
  }

  /// Whether everything was published that was closed before the pass.
  private func answer(of outcome: PassOutcome) -> GroupMember.PassAnswer {
    let order = settings.commitOrder
    let isLeft = outcome.unpublished.entries.contains { path, entry in
      entry.holdsMarkers && !order.isMarker(path)
    }
    let isComplete = outcome.summary.failures.isEmpty && outcome.unpublished.rescans.isEmpty && !isLeft
    return isComplete ? .published : .unfinished
  }

  /// Publishes a marker that the group has released, in the next pass.
  private func publishReleased(_ path: RelativePath) async -> GroupMember.PassAnswer {
    guard let group else { return .unfinished }
    _ = await group.releasing(path) { await schedule.flush() }
    return await conclude(releaseOf: path, isLeft: schedule.isDirty(path))
  }

  /// - Parameter isLeft: whether the marker is not published. A later version then becomes a marker of its own.
  private func conclude(releaseOf path: RelativePath, isLeft: Bool) async -> GroupMember.PassAnswer {
    guard let group else { return .unfinished }
    if isLeft {
      await group.note([path], in: root)
      return .unfinished
    }
    group.forget(path)
    return .published
  }

  // MARK: The end

  /// Publishes the markers that the group releases, after everything else is published. Waits for silent members
  /// as long as `--group-timeout` says.
  func publishMarkersOfGroup(with pass: PublishPass, noting outcome: inout PassOutcome) async {
    guard let group else { return }
    dropVanishedMarkers(of: &outcome)
    await group.note(outcome.heldByGroup, in: root, .beginsAnew)
    // The other hosts' markers may name what this host confirms now.
    await publishDueReceipts(noting: &outcome)
    let desk = LastMarkers(outcome)
    let data = answer(of: outcome)
    group.driver.start(
      GroupDriver.Work(
        flush: { data },
        publish: { [weak self] path in
          guard let self else { return .unfinished }
          await group.releasing(path) {
            var last = pass
            last.group = .markers(except: [path])
            await desk.publish(path, with: last, at: self.schedule.clock.now)
          }
          return await self.conclude(releaseOf: path, isLeft: desk.isLeft(path))
        }, fenced: settings.whenFenced))
    // A flush that the group has asked for would otherwise wait for the end.
    schedule.close(answering: outcome)
    if data == .published { await group.driver.settleMarkers() }
    outcome = desk.outcome
    for (path, reason) in group.driver.waitingMarkers where outcome.waiting[path] != nil {
      outcome.waiting[path] = reason
    }
  }
}

/// The markers that are published after the last comparison, one after the other.
private final class LastMarkers: Sendable {
  private let state: Mutex<PassOutcome>

  init(_ outcome: PassOutcome) {
    state = Mutex(outcome)
  }

  var outcome: PassOutcome { state.withLock { $0 } }

  func isLeft(_ path: RelativePath) -> Bool { state.withLock { $0.unpublished.entries[path] != nil } }

  func publish(_ path: RelativePath, with pass: PublishPass, at now: Instant) async {
    var earlier = outcome
    let entry = earlier.unpublished.entries.removeValue(forKey: path) ?? DirtyEntry(at: now)
    let outcome = await pass.run(
      DirtySet.Batch(entries: [path: entry]), within: .init(), after: earlier)
    state.withLock { $0 = outcome }
  }
}
