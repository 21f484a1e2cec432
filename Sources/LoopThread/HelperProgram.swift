import Glibc
import Synchronization
import SystemPackage

/// Runs a program for its output. The program has a deadline and ends when the waiting task is cancelled, so
/// a program that hangs delays nothing.
package struct HelperProgram: Sendable {
  /// Why there is no output.
  package enum Failure: Error, Sendable, Hashable {
    case notStarted(Errno)
    case unreadable(Errno)
    /// It ran for too long and was killed together with its child processes.
    case late(Duration)
    /// It printed too much and was killed.
    case tooMuch(bytes: Int)
    /// It ended with a status other than 0.
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

  /// Runs the program to its end and returns its output.
  ///
  /// - Throws: `Failure`; `CancellationError` as soon as the task is cancelled; `ThreadError`.
  package func output(within limit: Duration, byteLimit: Int = 1 << 20) async throws -> [UInt8] {
    let life = Life()
    let wakeup = try Wakeup()
    let bounds = Bounds(deadline: .now + limit, limit: limit, byteLimit: byteLimit)
    return try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        do {
          // The thread is detached: a process in an uninterruptible sleep survives even SIGKILL (ps(1), state
          // D), and the wait for its end must not delay anything.
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

  /// The process from its start until its status is taken. Until then the kernel does not reuse its number.
  ///
  /// A cancellation kills the process within the call itself, because this program may end as soon as that
  /// call returns, and no thread could kill the process afterwards.
  final class Life: Sendable {
    private struct State {
      var process: SpawnedProcess?
      var isOver = false
    }

    private let state = Mutex(State())

    /// - Throws: `CancellationError` if the life is already over; `Failure`.
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

    /// How the process has ended by itself; nil while it runs.
    func endingIfEnded() -> SpawnedProcess.Ending? {
      state.withLock { state in
        guard let ending = state.process?.endingIfEnded() else { return nil }
        state.process = nil
        state.isOver = true
        return ending
      }
    }

    /// Kills the process with everything that it has started, or prevents its start.
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

  /// Resumes the continuation exactly once.
  ///
  /// - Returns: the process if it was killed and its status must still be taken.
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
    // A second writer in this process would keep the pipe from reaching its end.
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

  /// The longest time between two checks for the process's end. The pipe's end reports it at once if the
  /// process has the only writer. On kernels without pidfd_open(2) no descriptor reports the end of a child
  /// process.
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
      // poll(2) ignores a negative descriptor.
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
      // The pipe may stay open after the end, held by processes that the program left in the background.
      if let ending = life.endingIfEnded() {
        while isOpen, Self.isReadable(reader), output.count <= bounds.byteLimit {
          let piece = try Self.read(reader)
          output += piece
          isOpen = !piece.isEmpty
        }
        // If another wait took the status, only the output can be judged.
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
    // An error has no consequence: the descriptor is free in any case (close(2)).
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
