import FoundationEssentials
import LocalSocket
import SystemPackage

/// A mirror of this user on this host, reached by its control socket. Calls block.
package struct RunningMirror {
  package var pid: Int32
  private let name: String
  private let directory: SocketDirectory

  /// How long a mirror may take to answer a status request, which it answers from memory.
  private static let patience: Duration = .seconds(10)

  /// All mirrors that have a socket, sorted by process ID. The function removes the sockets of killed
  /// processes.
  ///
  /// - Parameters:
  ///   - variables: replaces the process's own environment if not nil.
  ///   - complaint: receives a message for each socket that cannot be trusted or used. The search continues.
  package static func all(
    overriding variables: [String: String]? = nil, complaint: (String) -> Void
  ) throws -> [RunningMirror] {
    let process = ProcessEnvironment(overriding: variables)
    let places = ControlPlaces(
      environment: process.variables, home: FilePath(process.homeDirectory))
    let kernel = try ControlPlaces.kernelName()
    var found: [RunningMirror] = []
    for place in places.all {
      do throws(SocketError) {
        let directory = try SocketDirectory(path: place, absence: .isAnError)
        for name in try directory.names() {
          guard let pid = ControlPlaces.pid(of: name, kernel: kernel) else { continue }
          found.append(RunningMirror(pid: pid, name: name, directory: directory))
        }
      } catch {
        if case .absent = error { continue }
        complaint(error.description)
      }
    }
    return found.filter { $0.isThere(complaint) }.sorted { $0.pid < $1.pid }
  }

  private func isThere(_ complaint: (String) -> Void) -> Bool {
    do throws(SocketError) {
      _ = try LineClient(name: name, in: directory)
      return true
    } catch {
      switch error {
      case .stale: directory.remove(name)
      case .absent: break
      default: complaint(error.description)
      }
      return false
    }
  }

  /// - Throws: `SocketError`, or `MirrorError` for an answer without a status.
  package func state() throws -> MirrorState {
    let answer = try ask(ControlRequest(.status)).answer(within: Self.patience)
    guard let state = answer.status else {
      throw MirrorError(.interrupted, answer.error?.message ?? "process \(pid) gave no status")
    }
    return state
  }

  /// A request that waits for its answer.
  package struct Question {
    fileprivate let client: LineClient

    /// - Parameter patience: the longest silence; nil waits without limit.
    package func answer(within patience: Duration?) throws -> ControlAnswer {
      try JSONDecoder().decode(ControlAnswer.self, from: Data(try client.receive(patience: patience)))
    }
  }

  package func ask(_ request: ControlRequest) throws -> Question {
    let client = try LineClient(name: name, in: directory)
    try client.send(encodedLine(request))
    return Question(client: client)
  }
}
