import FoundationEssentials
import LocalSocket
import SystemPackage

/// A mirror of this user on this host, as its control socket leads to it. Calls block.
package struct RunningMirror {
  package var pid: Int32
  private let name: String
  private let directory: SocketDirectory

  /// How long a mirror may take to say what it is doing: it answers from memory.
  private static let patience: Duration = .seconds(10)

  /// Every mirror that has a socket, in the order of their processes. Names that killed ones left are taken away.
  ///
  /// - Parameters:
  ///   - variables: stands in for the process's own environment.
  ///   - complaint: told of what cannot be trusted or used; the search goes on.
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

  /// - Throws: `SocketError`, or `MirrorError` for an answer that is none.
  package func state() throws -> MirrorState {
    let answer = try ask(ControlRequest(.status)).answer(within: Self.patience)
    guard let state = answer.status else {
      throw MirrorError(.interrupted, answer.error?.message ?? "process \(pid) gave no status")
    }
    return state
  }

  /// A request that is under way.
  package struct Question {
    fileprivate let client: LineClient

    /// - Parameter patience: how long a silence may be; nil waits for ever.
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
