import LoopThread
import Transfers

/// The end of a scope.
extension MirrorScope {
  /// How the body of the scope ended.
  package enum BodyEnd: Sendable {
    case returned
    case threw
  }

  /// Publishes the remaining changes and ends all tasks. A cancellation of the calling task does not
  /// interrupt this.
  package func exit(_ end: BodyEnd) async -> MirrorReport {
    let beginnings = state.withLock { state in
      state.isEnding = true
      return Array(state.beginnings.values)
    }
    for beginning in beginnings {
      beginning.cancel()
      // The caller of `add` receives any error. Here the task only has to end.
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
          // The work ended in time.
        }
      }
    }
    let uploads = await work.value
    timer?.cancel()
    await close()
    return MirrorReport(uploads: uploads.sorted { $0.name < $1.name })
  }

  /// Hides the progress line while another program uses the terminal.
  package func pauseProgress() { progress?.pause() }

  package func resumeProgress() { progress?.resume() }

  /// Ends all work at once and aborts running multipart uploads. `exit` returns soon after.
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

  /// Ends everything that a failed entry started.
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
