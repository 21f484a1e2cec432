import Glibc
import Synchronization
import SystemPackage

/// A program that is run for what it prints. It has a deadline, and it ends when the task that waits for it is cancelled: a
/// program that hangs holds nothing up.
package struct HelperProgram: Sendable {
  /// Why there is no output.
  package enum Failure: Error, Sendable, Hashable {
    case notStarted(Errno)
    case unreadable(Errno)
    /// It ran longer than it may, and was killed with what it had started.
    case late(Duration)
    /// It printed more than it may, and was killed.
    case tooMuch(bytes: Int)
    /// It ended with another status than 0.
    case failed(SpawnedProcess.Ending)
  }

  private let executable: String
  private let arguments: [String]
  private let environment: [String: String]

  /// - Parameters:
  ///   - executable: a path.
  ///   - arguments: the first is the program's own name.
  package init(_ executable: String, arguments: [String], environment: [String: String]) {
    self.executable = executable
    self.arguments = arguments
    self.environment = environment
  }

  /// Runs it to its end and returns what it printed.
  ///
  /// - Throws: `Failure`; `CancellationError` as soon as the task is cancelled; `ThreadError`.
  package func output(within limit: Duration, byteLimit: Int = 1 << 20) async throws -> [UInt8] {
    let life = Life()
    let wakeup = try Wakeup()
    let bounds = Bounds(deadline: .now + limit, limit: limit, byteLimit: byteLimit)
    return try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        do {
          // A thread that is left to itself: a process in an uninterruptible sleep outlives even SIGKILL (ps(1), state D), and
          // the wait for its end must hold nothing up.
          try NativeThread(name: "s3m-helper") {
            let killed = carryOut(bounds, life, wakeup, continuation)
            _ = killed?.wait()
          }.detach()
        } catch {
          continuation.resume(throwing: error)
        }
      }
    } onCancel: {
      life.end()
      wakeup.signal()
    }
  }

  /// The process from its start until its status is taken, which is how long its number is its own.
  ///
  /// A cancellation kills it in the call itself: whoever cancels may end this program as soon as that returns, and no thread
  /// of it would be left to kill anything.
  final class Life: Sendable {
    private struct State {
      var process: SpawnedProcess?
      var isOver = false
    }

    private let state = Mutex(State())

    /// - Throws: `CancellationError` when it is over already; `Failure`.
    func begin(_ start: () throws(Errno) -> SpawnedProcess) throws -> SpawnedProcess {
      try state.withLock { state in
        if state.isOver { throw CancellationError() }
        do throws(Errno) {
          let process = try start()
          state.process = process
          return process
        } catch {
          throw Failure.notStarted(error)
        }
      }
    }

    /// How it has ended by itself; nil while it runs.
    func endingIfEnded() -> SpawnedProcess.Ending? {
      state.withLock { state in
        guard let ending = state.process?.endingIfEnded() else { return nil }
        state.process = nil
        state.isOver = true
        return ending
      }
    }

    /// Kills it, with all that it has started, or keeps it from being started.
    func end() {
      state.withLock { state in
        state.process?.killGroup()
        state.process = nil
        state.isOver = true
      }
    }
  }

  private struct Bounds {
    var deadline: ContinuousClock.Instant
    var limit: Duration
    var byteLimit: Int
  }

  /// Answers the continuation, once.
  ///
  /// - Returns: the process, where it was killed and its status is still to be taken.
  private func carryOut(
    _ bounds: Bounds, _ life: Life, _ wakeup: Wakeup,
    _ continuation: CheckedContinuation<[UInt8], any Error>
  ) -> SpawnedProcess? {
    let (process, reader): (SpawnedProcess, FileDescriptor)
    do {
      (process, reader) = try start(life)
    } catch {
      continuation.resume(throwing: error)
      return nil
    }
    defer { Self.close(reader) }
    do {
      continuation.resume(returning: try watch(life, reader, bounds, wakeup))
      return nil
    } catch let ended as Ended {
      continuation.resume(throwing: Failure.failed(ended.how))
      return nil
    } catch {
      life.end()
      continuation.resume(throwing: error)
      return process
    }
  }

  private func start(_ life: Life) throws -> (SpawnedProcess, FileDescriptor) {
    let pipe: (reader: FileDescriptor, writer: FileDescriptor)
    do {
      pipe = try FileDescriptor.privatePipe()
    } catch {
      throw Failure.notStarted(error)
    }
    // A second writer here would keep the pipe's end from coming.
    defer { Self.close(pipe.writer) }
    do {
      let process = try life.begin { () throws(Errno) in
        try SpawnedProcess(
          executable, arguments: arguments, environment: environment, output: pipe.writer)
      }
      return (process, pipe.reader)
    } catch {
      Self.close(pipe.reader)
      throw error
    }
  }

  /// The process has ended, and its status was taken.
  private struct Ended: Error {
    var how: SpawnedProcess.Ending
  }

  /// Between two looks whether the process has ended. The pipe's end tells of it at once where the process has the only
  /// writer, and no descriptor tells of a child's end on kernels without pidfd_open(2).
  private static let longestPauseMilliseconds: Int32 = 50

  private func watch(
    _ life: Life, _ reader: FileDescriptor, _ bounds: Bounds, _ wakeup: Wakeup
  ) throws -> [UInt8] {
    var output: [UInt8] = []
    var isOpen = true
    var pause: Int32 = 1
    while true {
      let remaining = bounds.deadline - .now
      guard remaining > .zero else { throw Failure.late(bounds.limit) }
      let milliseconds = min(pause, Int32(clamping: Int(remaining / .milliseconds(1)) + 1))
      // poll(2) passes over a negative descriptor.
      var watched = [
        pollfd(fd: wakeup.descriptor, events: Int16(POLLIN), revents: 0),
        pollfd(fd: isOpen ? reader.rawValue : -1, events: Int16(POLLIN), revents: 0),
      ]
      _ = poll(&watched, nfds_t(watched.count), milliseconds)
      if watched[0].revents != 0 { throw CancellationError() }
      if watched[1].revents != 0 {
        let piece = try Self.read(reader)
        output += piece
        isOpen = !piece.isEmpty
        guard output.count <= bounds.byteLimit else { throw Failure.tooMuch(bytes: bounds.byteLimit) }
        if isOpen { continue }
      }
      // The pipe may stay open beyond the end: what the program has left in the background holds it.
      if let ending = life.endingIfEnded() {
        while isOpen, Self.isReadable(reader), output.count <= bounds.byteLimit {
          let piece = try Self.read(reader)
          output += piece
          isOpen = !piece.isEmpty
        }
        // Where another wait took the status, the output has to speak for itself.
        guard ending == .status(0) || ending == .unknown else { throw Ended(how: ending) }
        return output
      }
      pause = min(pause * 2, Self.longestPauseMilliseconds)
    }
  }

  private static func read(_ reader: FileDescriptor) throws(Failure) -> [UInt8] {
    do {
      return try reader.read(upTo: 16 << 10)
    } catch {
      throw .unreadable(error)
    }
  }

  private static func isReadable(_ reader: FileDescriptor) -> Bool {
    var watched = pollfd(fd: reader.rawValue, events: Int16(POLLIN), revents: 0)
    return poll(&watched, 1, 0) > 0
  }

  private static func close(_ descriptor: FileDescriptor) {
    // An error says nothing that matters: the number is free again all the same (close(2)).
    _ = Glibc.close(descriptor.rawValue)
  }
}

extension HelperProgram.Failure: CustomStringConvertible {
  package var description: String {
    switch self {
    case .notStarted(let errno): "it cannot be started (\(errno))"
    case .unreadable(let errno): "what it prints cannot be read (\(errno))"
    case .late(let limit): "it did not end within \(limit.components.seconds) s and was killed"
    case .tooMuch(let bytes): "it printed more than \(bytes) bytes and was killed"
    case .failed(let ending): "it ended with \(ending)"
    }
  }
}
