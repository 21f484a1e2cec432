import Foundation
import Synchronization
import SystemPackage
import TestSupport

@testable import TransferLog

/// A directory of a test's own, removed when the test ends.
final class ScratchDirectory: Sendable {
  let path: FilePath

  init() throws {
    let name = "translog-" + UUID().uuidString
    path = FilePath(FileManager.default.temporaryDirectory.path).appending(name)
    try FileManager.default.createDirectory(atPath: path.string, withIntermediateDirectories: true)
  }

  deinit {
    do { try FileManager.default.removeItem(atPath: path.string) } catch { print("left behind: \(path)") }
  }

  func names() throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: path.string).sorted()
  }

  func write(_ bytes: [UInt8], as name: String) throws -> FilePath {
    let file = path.appending(name)
    try Data(bytes).write(to: URL(fileURLWithPath: file.string))
    return file
  }

  func bytes(of path: FilePath) throws -> [UInt8] {
    [UInt8](try Data(contentsOf: URL(fileURLWithPath: path.string)))
  }
}

/// A wall clock that moves when told to.
final class ManualTime: Sendable {
  private let time: Mutex<UTCTime>

  init(_ start: UTCTime) { time = Mutex(start) }

  func set(_ new: UTCTime) { time.withLock { $0 = new } }
  @Sendable func now() -> UTCTime { time.withLock { $0 } }
}

/// A clock whose sleepers wake when told to, and whose falling asleep can be awaited.
final class ManualClock: Clock {
  struct Instant: InstantProtocol {
    var offset: Duration
    func advanced(by duration: Duration) -> Instant { Instant(offset: offset + duration) }
    func duration(to other: Instant) -> Duration { other.offset - offset }
    static func < (left: Instant, right: Instant) -> Bool { left.offset < right.offset }
  }

  private struct State {
    var now = Instant(offset: .zero)
    var sleeper: (deadline: Instant, wake: CheckedContinuation<Void, any Error>)?
    var isCancelled = false
  }

  private let state = Mutex(State())
  /// One element each time somebody falls asleep: for how long.
  let asleep: AsyncStream<Duration>
  private let tell: AsyncStream<Duration>.Continuation

  init() { (asleep, tell) = AsyncStream.makeStream() }

  var now: Instant { state.withLock { $0.now } }
  var minimumResolution: Duration { .nanoseconds(1) }

  func advance(by duration: Duration) {
    let woken = state.withLock { state -> CheckedContinuation<Void, any Error>? in
      state.now = state.now.advanced(by: duration)
      guard let sleeper = state.sleeper, sleeper.deadline <= state.now else { return nil }
      state.sleeper = nil
      return sleeper.wake
    }
    woken?.resume()
  }

  func sleep(until deadline: Instant, tolerance: Duration?) async throws {
    try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        let isCancelled = state.withLock { state in
          if !state.isCancelled { state.sleeper = (deadline, continuation) }
          return state.isCancelled
        }
        if isCancelled { continuation.resume(throwing: CancellationError()) }
        tell.yield(now.duration(to: deadline))
      }
    } onCancel: {
      let sleeper = state.withLock { state in
        state.isCancelled = true
        defer { state.sleeper = nil }
        return state.sleeper
      }
      sleeper?.wake.resume(throwing: CancellationError())
    }
  }
}

/// What an outside program makes of a log file.
struct Gunzip {
  var status: Int32
  var lines: [String]

  init(_ path: FilePath) throws {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = ["gzip", "-dc", path.string]
    let output = Pipe.makePrivate()
    process.standardOutput = output
    process.standardError = FileHandle.nullDevice
    try process.start()
    let text = try output.fileHandleForReading.readToEnd() ?? Data()
    process.waitUntilExit()
    status = process.terminationStatus
    lines = String(decoding: text, as: UTF8.self).split(separator: "\n").map(String.init)
  }
}

/// Collects the messages of `onFailure`.
final class Messages: Sendable {
  private let list = Mutex<[String]>([])
  var all: [String] { list.withLock { $0 } }
  @Sendable func add(_ message: String) { list.withLock { $0.append(message) } }
}

extension TransferRecord {
  /// An upload whose path tells its number.
  static func numbered(_ number: Int, error: String? = nil) -> TransferRecord {
    TransferRecord(
      time: UTCTime(milliseconds: 1_763_823_762_007 + Int64(number)), mirror: "run", operation: .upload,
      path: "step-\(number)", bytes: 1000, outcome: error == nil ? .done : .failed, error: error)
  }
}

extension TransferLogReader {
  func all() throws -> (records: [TransferRecord], tally: Tally) {
    var records: [TransferRecord] = []
    let tally = try forEach { records.append($0) }
    return (records, tally)
  }
}
