import Foundation
import Glibc
import Synchronization
import TestSupport
import Testing

/// A running `s3mirror session`, whose pipes are its standard input and output.
///
/// `Process` is used only through calls that it guards itself: hence `@unchecked`.
final class SessionProcess: @unchecked Sendable {
  /// One line of a session, as far as tests look at it.
  struct Line: Decodable, Sendable {
    struct Hello: Decodable, Sendable {
      var `protocol`: Int
      var version: String
      var pid: Int32
    }

    struct Part: Decodable, Sendable {
      struct Listed: Decodable, Sendable {
        var url: String
      }
      var lines: [Listed]
    }

    struct Outcome: Decodable, Sendable {
      struct Status: Decodable, Sendable {
        struct Upload: Decodable, Sendable {
          var name: String
          var publishedFiles: Int
        }
        var phase: String
        var uploads: [Upload]
      }
      struct Report: Decodable, Sendable {
        struct Upload: Decodable, Sendable {
          var name: String
          var published: Int
          var deleted: Int
          var failedFiles: Int
        }
        var isComplete: Bool
        var uploads: [Upload]
      }
      var paths: [String: String]?
      var path: String?
      var flushed: [String]?
      var status: Status?
      var report: Report?
    }

    struct Fault: Decodable, Sendable {
      struct Service: Decodable, Sendable {
        var operation: String
        var bucket: String
        var key: String?
        var code: String
        var status: Int?
        var requestID: String?
        var remedy: String?
      }
      struct Failure: Decodable, Sendable {
        var path: String
        var reason: String
        var fault: Service?
      }
      var kind: String
      var message: String
      var request: String?
      var fault: Service?
      var failures: [Failure]?
      var failedFiles: Int?
    }

    var hello: Hello?
    var event: String?
    var text: String?
    var id: Int64?
    var part: Part?
    var result: Outcome?
    var error: Fault?
  }

  private struct State {
    var lines: [Line] = []
    var isOver = false
  }

  private let process = Process()
  private let requests = Pipe.makePrivate()
  private let answers = Pipe.makePrivate()
  private let messages = Pipe.makePrivate()
  private let state = Mutex(State())
  private let reading: Mutex<Bool>

  /// - Parameters:
  ///   - parent: the process that it watches; this one if nil.
  ///   - readsAnswers: whether answers are read from the beginning.
  init(_ program: Program, parent: pid_t? = nil, readsAnswers: Bool = true) throws {
    reading = Mutex(readsAnswers)
    process.executableURL = Program.executable
    process.arguments = ["session", "--read-fd", "0", "--write-fd", "1", "--parent", "\(parent ?? getpid())"]
    process.currentDirectoryURL = URL(fileURLWithPath: program.directory["work"])
    var variables = ProcessInfo.processInfo.environment
    variables["HOME"] = program.directory["home"]
    variables["XDG_RUNTIME_DIR"] = program.directory["run"]
    variables["XDG_STATE_HOME"] = program.directory["state"]
    variables["XDG_CACHE_HOME"] = program.directory["cache"]
    process.environment = variables
    process.standardInput = requests
    process.standardOutput = answers
    process.standardError = messages
    try process.start()
    if readsAnswers { read() }
  }

  var identifier: pid_t { process.processIdentifier }

  func signal(_ number: Int32) { kill(process.processIdentifier, number) }

  // MARK: Requests

  func send(_ line: String) { send(Array((line + "\n").utf8)) }

  func send(_ bytes: [UInt8]) {
    _ = bytes.withUnsafeBytes {
      write(requests.fileHandleForWriting.fileDescriptor, $0.baseAddress, $0.count)
    }
  }

  /// Writes without waiting.
  ///
  /// - Returns: false when the pipe was full.
  func offer(_ line: String) -> Bool {
    let descriptor = requests.fileHandleForWriting.fileDescriptor
    _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
    let bytes = Array((line + "\n").utf8)
    // Below PIPE_BUF all of it goes or none (pipe(7)).
    return bytes.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) } == bytes.count
  }

  /// Whether every thread of the session sleeps (proc_pid_stat(5)). If its pipe holds requests, it does not read them then.
  func isAsleep() throws -> Bool {
    let threads = "/proc/\(process.processIdentifier)/task"
    return try FileManager.default.contentsOfDirectory(atPath: threads).allSatisfy { thread in
      let stat = Result { try String(contentsOfFile: "\(threads)/\(thread)/stat", encoding: .utf8) }
      // A thread that has just ended does not sleep.
      guard case .success(let stat) = stat else { return false }
      // The state follows the thread's name, which stands in parentheses.
      return stat.split(separator: ")").last?.hasPrefix(" S") == true
    }
  }

  func closeRequests() throws { try requests.fileHandleForWriting.close() }

  // MARK: Answers

  /// Begins to read answers.
  func read() {
    reading.withLock { $0 = true }
    let descriptor = answers.fileHandleForReading.fileDescriptor
    Thread { [self] in
      var begun: [UInt8] = []
      var piece = [UInt8](repeating: 0, count: 64 << 10)
      while true {
        let count = piece.withUnsafeMutableBytes { Glibc.read(descriptor, $0.baseAddress, $0.count) }
        guard count > 0 else { break }
        begun += piece[..<count]
        while let newline = begun.firstIndex(of: UInt8(ascii: "\n")) {
          note(Data(begun[..<newline]))
          begun.removeFirst(newline + 1)
        }
      }
      state.withLock { $0.isOver = true }
    }.start()
  }

  private func note(_ line: Data) {
    do {
      let line = try JSONDecoder().decode(Line.self, from: line)
      state.withLock { $0.lines.append(line) }
    } catch {
      // A line that is none of the protocol's is one that no test finds.
      state.withLock { $0.lines.append(Line(text: "\(error)")) }
    }
  }

  var lines: [Line] { state.withLock { $0.lines } }

  /// The first line that is asked for.
  func line(_ what: String, where isMeant: (Line) -> Bool) async throws -> Line {
    var found: Line?
    try await eventually(what) {
      found = lines.first(where: isMeant)
      return found != nil || state.withLock { $0.isOver } && !lines.contains(where: isMeant)
    }
    return try #require(found, "the session ended before \(what)")
  }

  /// The last answer to a request.
  func answer(_ id: Int64) async throws -> Line {
    try await line("request \(id) is answered") { $0.id == id && $0.part == nil }
  }

  func ask(_ id: Int64, _ request: String, _ members: String = "") async throws -> Line {
    let rest = members.isEmpty ? "" : ", \(members)"
    send(#"{"id": \#(id), "request": "\#(request)"\#(rest)}"#)
    return try await answer(id)
  }

  /// Waits for its end.
  ///
  /// - Returns: the status, or 128 and the signal's number.
  func ending() async throws -> Int32 {
    try await eventually("the session ends") { !process.isRunning }
    return process.terminationReason == .uncaughtSignal
      ? 128 + process.terminationStatus : process.terminationStatus
  }
}
