import Foundation
import Glibc
import Synchronization
import TestSupport

/// A program that was started.
///
/// `Process` is used from the threads below only through calls that it guards itself: hence `@unchecked`.
final class Running: @unchecked Sendable {
  private struct Waiter {
    var text: String
    var continuation: CheckedContinuation<Bool, Never>
  }

  private struct State {
    var messages = ""
    var isSilent = false
    var waiters: [Int: Waiter] = [:]
    var lastWaiter = 0
  }

  private let process: Process
  private let output = Collector()
  private let state = Mutex(State())
  private let listener = Collector()

  init(_ process: Process) throws {
    self.process = process
    let (out, err) = (Pipe.makePrivate(), Pipe.makePrivate())
    process.standardOutput = out
    process.standardError = err
    process.standardInput = FileHandle.nullDevice
    try process.start()
    output.collect(out.fileHandleForReading) { _ in }
    listener.collect(err.fileHandleForReading) { [self] text in hear(text) }
  }

  var identifier: pid_t { process.processIdentifier }

  func send(_ signal: Int32) { kill(process.processIdentifier, signal) }

  /// Waits until it has said this on standard error.
  ///
  /// - Returns: false when it ended without, or says nothing of it for long.
  @discardableResult
  func says(_ text: String) async -> Bool {
    let number = state.withLock { state in
      state.lastWaiter += 1
      return state.lastWaiter
    }
    let limit = Task {
      try await Task.sleep(for: patience)
      state.withLock { $0.waiters.removeValue(forKey: number) }?.continuation.resume(returning: false)
    }
    defer { limit.cancel() }
    return await withCheckedContinuation { continuation in
      let answer: Bool? = state.withLock { state in
        if state.messages.contains(text) { return true }
        if state.isSilent { return false }
        state.waiters[number] = Waiter(text: text, continuation: continuation)
        return nil
      }
      if let answer { continuation.resume(returning: answer) }
    }
  }

  func ending() async -> Program.Ending {
    let out = await output.whole()
    let messages = await listener.whole()
    return await withCheckedContinuation { continuation in
      Thread { [self] in
        process.waitUntilExit()
        let isSignal = process.terminationReason == .uncaughtSignal
        continuation.resume(
          returning: Program.Ending(
            status: isSignal ? 128 + process.terminationStatus : process.terminationStatus, output: out,
            messages: messages))
      }.start()
    }
  }

  /// - Parameter text: nil at the end.
  private func hear(_ text: String?) {
    let ready: [(CheckedContinuation<Bool, Never>, Bool)] = state.withLock { state in
      state.messages += text ?? ""
      state.isSilent = text == nil
      let messages = state.messages
      let answered = state.waiters.filter { text == nil || messages.contains($0.value.text) }
      for number in answered.keys { state.waiters[number] = nil }
      return answered.values.map { ($0.continuation, messages.contains($0.text)) }
    }
    for (continuation, answer) in ready { continuation.resume(returning: answer) }
  }
}

/// Reads a pipe to its end on a thread of its own.
private final class Collector: Sendable {
  private let (stream, continuation) = AsyncStream<String>.makeStream()

  func collect(_ handle: FileHandle, _ hear: @escaping @Sendable (String?) -> Void) {
    let descriptor = dup(handle.fileDescriptor)
    Thread { [continuation] in
      let pipe = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
      var all = Data()
      while true {
        let piece = pipe.availableData
        if piece.isEmpty { break }
        all += piece
        hear(String(decoding: piece, as: UTF8.self))
      }
      hear(nil)
      continuation.yield(String(decoding: all, as: UTF8.self))
      continuation.finish()
    }.start()
  }

  /// Everything, once it is there. Ask once.
  func whole() async -> String {
    var all = ""
    for await text in stream { all += text }
    return all
  }
}
