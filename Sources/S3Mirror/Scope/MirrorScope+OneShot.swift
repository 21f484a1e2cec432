import LoopThread
import MirrorModel

extension MirrorScope {
  /// Publishes a tree or a file once, without a watch.
  ///
  /// - Throws: `MirrorError`.
  package func uploadOnce(_ spec: MirrorSpec, name: String) async throws -> MirrorReport {
    do {
      let (registration, place) = try resolver.registration(once: .upload, name: name, spec: spec)
      return try await uploadOnce(registration, at: place)
    } catch {
      throw describe(error, of: name)
    }
  }

  private func uploadOnce(_ registration: Registration, at place: ResolvedSpec) async throws -> MirrorReport {
    let work = Task(executorPreference: TaskThreads.current) {
      try await self.publishOnce(registration, at: place)
    }
    let cut = state.withLock { state in
      state.once = work
      return state.cut
    }
    if let cut { stopWork(unfinished: cut) }
    return MirrorReport(uploads: [try await work.value])
  }

  private func publishOnce(_ registration: Registration, at place: ResolvedSpec) async throws
    -> MirrorReport.Upload
  {
    try await registration.checkAccess()
    try lock([registration])
    openLog()
    let lane = try lane(for: registration, at: place, watching: .off)
    let cut = state.withLock { state in
      state.lanes.append(lane)
      return state.cut
    }
    // A `stopWork` before this moment did not know the lane.
    if let cut { lane.cancelled(leaving: cut) }
    try Task.checkCancellation()
    return try await lane.publishOnce()
  }
}
