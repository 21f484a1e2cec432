import LoopThread
import Transfers

/// The end of a scope.
extension MirrorScope {
  /// How the body ended.
  package enum BodyEnd: Sendable {
    case returned
    case threw
  }

  /// Publishes what is left, and ends everything that was started. Cancelling the caller does not cut it short.
  package func exit(_ end: BodyEnd) async -> MirrorReport {
    let beginnings = state.withLock { state in
      state.isEnding = true
      return Array(state.beginnings.values)
    }
    for beginning in beginnings {
      beginning.cancel()
      // Whoever asked for it is told; here it only has to be over.
      _ = await beginning.result
    }
    let (lanes, runs) = state.withLock { ($0.lanes, $0.runs) }
    for lane in lanes { lane.requestEnd() }
    await resolver.buckets.beginEnd()
    let work = Task(executorPreference: TaskThreads.current) {
      for run in runs { await run.value }
      return await concurrentEach(lanes, width: lanes.count) { lane in
        let failed: UploadLane.Ending = lane.settings.onError == .upload ? .failed : .skipped
        return await lane.finish(end == .returned ? .succeeded : failed)
      }
    }
    let cut = state.withLock { state in
      state.ending = work
      return state.cut
    }
    if let cut { stopWork(unfinished: cut) }
    let timer = options.exitTimeout.map { timeout in
      Task(executorPreference: TaskThreads.current) {
        do {
          try await TaskThreads.pause(for: timeout)
          self.stopWork(unfinished: .leave)
        } catch {
          // The work was done in time.
        }
      }
    }
    let uploads = await work.value
    timer?.cancel()
    await close()
    return MirrorReport(uploads: uploads.sorted { $0.name < $1.name })
  }

  /// Shows no progress while another program has the terminal.
  package func pauseProgress() { progress?.pause() }

  package func resumeProgress() { progress?.resume() }

  /// Cuts everything short: multipart uploads under way are aborted. `exit` returns soon after.
  package func abandon() {
    stopWork(unfinished: .abort)
  }

  func stopWork(unfinished: UnfinishedUploads) {
    let (lanes, runs, ending, once) = state.withLock { state in
      state.cut = unfinished
      return (state.lanes, state.runs, state.ending, state.once)
    }
    for lane in lanes { lane.cancelled(leaving: unfinished) }
    for run in runs { run.cancel() }
    ending?.cancel()
    once?.cancel()
  }

  /// Ends what a failed entry started.
  package func close() async {
    let (isFirst, locks, log, progress, control) = state.withLock { state in
      defer {
        state.isEnded = true
        state.locks = [:]
        state.control = nil
      }
      return (!state.isEnded, Array(state.locks.values), state.log, state.progress, state.control)
    }
    guard isFirst else { return }
    await control?.close()
    progress?.cancel()
    await progress?.value
    await resolver.buckets.close()
    resources.stop()
    for lock in locks { lock.release() }
    guard let log else { return }
    log.task.cancel()
    await log.task.value
    log.writer.close()
  }
}
