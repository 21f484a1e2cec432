import FoundationEssentials
import Glibc
import LocalSocket
import Synchronization

/// Lets other processes of this user ask a scope, and have it flush: what `s3mirror status` and `flush` talk to.
final class ControlSocket: Sendable {
  private let server: LineServer

  /// Counts the scopes of this process: each has a socket of its own.
  private static let opened = Atomic<Int>(0)

  /// - Throws: `SocketError`, `ThreadError`: a mirror works without one too.
  init(scope: MirrorScope, places: ControlPlaces) throws {
    let directory = try SocketDirectory(path: places.preferred, absence: .isMade)
    let number = Self.opened.add(1, ordering: .relaxed).newValue
    server = try LineServer(
      name: try ControlPlaces.socketName(pid: getpid(), number: number), in: directory
    ) { [weak scope] line in
      let answer = await scope?.control(line) ?? .interrupted
      return encodedLine(answer)
    }
  }

  func close() async {
    await server.stop()
  }
}

/// JSON on one line: no newline is ever inside, for JSON escapes it in strings.
func encodedLine(_ value: some Encodable) -> [UInt8] {
  let encoder = JSONEncoder()
  encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
  do {
    return Array(try encoder.encode(value))
  } catch {
    preconditionFailure("these values are strings and finite numbers, which JSON can always hold: \(error)")
  }
}

extension MirrorScope {
  /// Opens the control socket, if there is to be one, once. Without it a mirror only cannot be asked.
  func openControl() {
    guard options.controlSocket, state.withLock({ $0.control == nil && !$0.isEnding }) else { return }
    do {
      let control = try ControlSocket(scope: self, places: controlPlaces)
      state.withLock { $0.control = control }
    } catch {
      tell(.notice("status and flush will not find this mirror: \(error)"))
    }
  }

  /// Answers one line of the protocol, whatever it is.
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
    case .flush: return await controlFlush(request.upload)
    }
  }

  private func controlFlush(_ name: String?) async -> ControlAnswer {
    do {
      return ControlAnswer(flushed: try await flush(name).sorted())
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
  var mirrorState: MirrorState {
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
      })
  }
}

extension ControlAnswer {
  static let interrupted = ControlAnswer(
    error: .init(kind: .interrupted, message: "this mirror has ended", failures: []))
}
