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
    try await checkAccess(to: [registration])
    try lock([registration])
    openLog()
    let lane = try lane(for: registration, watching: .off)
    state.withLock { $0.lanes.append(lane) }
    let work = Task(executorPreference: TaskThreads.current) { try await lane.publishOnce() }
    state.withLock { $0.once = work }
    return MirrorReport(uploads: [try await work.value])
  }
}
