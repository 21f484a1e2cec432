import MirrorModel
import S3Client

/// Questions to a running scope.
extension MirrorScope {
  /// The local path of a registration.
  package func path(of name: String) throws -> FilePath {
    let (path, known) = state.withLock { state in
      (state.paths[state.table.owner(of: name)], state.table.all.map(\.name))
    }
    if let path { return path }
    let names = known.sorted().joined(separator: ", ")
    throw MirrorError(.invalid, "this mirror has no \"\(name)\"; it has \(names.isEmpty ? "nothing" : names)")
  }

  /// The local paths of all registrations, by name.
  package var paths: [String: FilePath] { state.withLock { $0.paths } }

  /// Flushes one upload, or all uploads. If one fails, the others are published all the same.
  ///
  /// - Parameter deadline: the time that is left before this machine goes away. Until then the newest
  ///   checkpoint that can be published in that time goes first.
  /// - Returns: the names of the flushed uploads.
  @discardableResult
  package func flush(_ name: String?, deadline: Duration? = nil) async throws -> [String] {
    let (lanes, owner, isEnding) = state.withLock { state in
      (state.entering + state.lanes, name.map { state.table.owner(of: $0) }, state.isEnding)
    }
    guard !isEnding else {
      throw MirrorError(.interrupted, "this mirror is ending: what is left is published without a flush")
    }
    let chosen = lanes.filter { owner == nil || $0.settings.name == owner }
    if let name, chosen.isEmpty {
      _ = try path(of: name)
      throw MirrorError(.invalid, "\"\(name)\" is no upload, so there is nothing to flush")
    }
    let errors = await concurrentEach(chosen, width: chosen.count) { lane -> MirrorError? in
      do {
        if let deadline { lane.noteDeadline(in: deadline) }
        try await lane.flush()
        return nil
      } catch {
        return error as? MirrorError ?? MirrorError(.incomplete, "\(lane.settings.name): \(error)")
      }
    }.compactMap(\.self)
    guard let first = errors.first else { return chosen.map(\.settings.name) }
    if errors.count == 1 { throw first }
    throw MirrorError(
      .incomplete, errors.map(\.message).sorted().joined(separator: "; "),
      failures: errors.flatMap(\.failures))
  }

  /// Lists a remote line by line.
  package func list(
    _ remote: String, depth: MirrorSession.Depth, _ each: (RemoteLine) -> Void
  ) async throws {
    do {
      try await listRemote(remote, depth: depth, buckets: resolver.buckets, each)
    } catch let error as S3Error {
      throw MirrorError(.configuration, "\(remote): \(error)", fault: ServiceFault(error))
    }
  }

  /// How many local files a download with `delete` would have removed.
  package var withheldLocalDeletes: Int { state.withLock { $0.withheldLocalDeletes } }

  var status: [UploadStatus] { state.withLock { $0.lanes }.map(\.status) }
}
