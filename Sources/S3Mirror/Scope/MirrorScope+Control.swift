import FoundationEssentials
import Glibc

extension MirrorScope {
  /// Opens the control socket once, if the options ask for it. Without the socket, only `status` and `flush`
  /// commands do not work.
  func openControl() {
    guard options.controlSocket, state.withLock({ $0.control == nil && !$0.isEnding }) else { return }
    do {
      let control = try ControlSocket(places: controlPlaces) { [weak self] line in
        await self?.control(line) ?? .interrupted
      }
      state.withLock { $0.control = control }
    } catch {
      tell(.notice("status and flush will not find this mirror: \(error)"))
    }
  }

  /// Answers one line of the protocol, valid or not.
  func control(_ line: [UInt8]) async -> ControlAnswer {
    let request: ControlRequest
    do {
      request = try JSONDecoder().decode(ControlRequest.self, from: Data(line))
    } catch {
      return ControlAnswer(
        error: .init(kind: .request, message: "this is no request that this mirror knows", failures: []))
    }
    switch request.request {
    case .status: return ControlAnswer(status: mirrorState)
    case .flush: return await controlFlush(request.upload, deadline: request.deadline.map { .seconds($0) })
    }
  }

  private func controlFlush(_ name: String?, deadline: Duration?) async -> ControlAnswer {
    do {
      return ControlAnswer(flushed: try await flush(name, deadline: deadline).sorted())
    } catch {
      let error = error as? MirrorError ?? MirrorError(.incomplete, "\(error)")
      let kind: ControlAnswer.Fault.Kind =
        switch error.kind {
        case .invalid: .request
        case .interrupted: .interrupted
        case .incomplete, .configuration, .local: .incomplete
        }
      return ControlAnswer(
        error: .init(
          kind: kind, message: error.message,
          failures: error.failures.prefix(MirrorState.namedFailures).map(ControlAnswer.PathFailure.init)))
    }
  }

  /// What this mirror is doing.
  package var mirrorState: MirrorState {
    let (phase, lanes, registrations) = state.withLock { state in
      let phase: MirrorState.Phase =
        state.isEnding ? .ending : state.isEntered ? .running : .entering
      return (phase, state.entering + state.lanes, state.table.all)
    }
    return MirrorState(
      mirror: options.name, pid: getpid(), phase: phase,
      uploads: lanes.map { lane in
        let status = lane.status
        return .init(status, registration: registrations.first { $0.name == status.name })
      },
      workers: .init(
        limit: Int(resources.slots.limit), most: Int(resources.slots.capacity),
        reason: resources.slots.reasonOfLimit.rawValue))
  }

  /// What this mirror has done so far.
  package var reportSoFar: MirrorReport {
    let lanes = state.withLock { $0.entering + $0.lanes }
    return MirrorReport(uploads: lanes.map(\.reportSoFar).sorted { $0.name < $1.name })
  }
}

extension MirrorState.Upload {
  init(_ status: UploadStatus, registration: Registration?) {
    self.init(
      name: status.name, remote: registration?.spec.remote ?? "", local: registration?.local.string ?? "",
      waitingFiles: status.waitingFiles, waitingBytes: status.waitingBytes,
      inFlightFiles: status.inFlightFiles, inFlightBytes: status.inFlightBytes,
      publishedFiles: status.publishedFiles, publishedBytes: status.publishedBytes,
      copiedBytes: status.copiedBytes, failedFiles: status.failures.count,
      failures: status.failures.prefix(MirrorState.namedFailures).map(ControlAnswer.PathFailure.init),
      openFiles: status.openFiles.count,
      longestOpen: status.openFiles.prefix(MirrorState.namedOpenFiles).map {
        .init(path: $0.path, seconds: $0.age.seconds)
      },
      temporaryNames: status.temporaries.count,
      temporaries: Array(status.temporaries.prefix(MirrorState.namedTemporaries)),
      withheldDeletes: status.withheldDeletes, recoveryPoint: status.recoveryPoint?.seconds,
      drift: status.drift,
      heldMarkers: status.heldMarkers.prefix(MirrorState.namedFailures).map(ControlAnswer.PathFailure.init))
  }
}
