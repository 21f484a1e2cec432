import LoopThread
import MirrorModel

extension MirrorScope {
  /// Publishes a tree or a file once, without a watch.
  ///
  /// - Returns: nil where nothing was transferred because the remote is a local path.
  package func uploadOnce(_ spec: MirrorSpec, name: String) async throws -> MirrorReport {
    let registration = try registration(name: name, spec: spec)
    guard registration.location != nil else {
      throw MirrorError(.invalid, "\(spec.remote) is a local path; an upload goes to s3://bucket/key")
    }
    guard try kind(at: registration.local) != nil else {
      throw MirrorError(.local, "\(registration.local) does not exist; there is nothing to upload")
    }
    try checkLocal(registration)
    let work = Task(executorPreference: TaskThreads.current) { try await self.publishOnce(registration) }
    let cut = state.withLock { state in
      state.once = work
      return state.cut
    }
    if let cut { stopWork(unfinished: cut) }
    return MirrorReport(uploads: [try await work.value])
  }

  private func publishOnce(_ registration: Registration) async throws -> MirrorReport.Upload {
    try await checkAccess(to: [registration])
    try lock([registration])
    openLog()
    let lane = try lane(for: registration, watching: .off)
    let cut = state.withLock { state in
      state.lanes.append(lane)
      return state.cut
    }
    // Who cut it short until now knew of no lane to tell.
    if let cut { lane.cancelled(leaving: cut) }
    try Task.checkCancellation()
    return try await lane.publishOnce()
  }
}
