import CLinux
import Glibc
import LoopThread
import SystemPackage

/// Answers lines with lines: a client connects, sends one line, gets one line, and the connection ends.
///
/// No client can make the server grow or wait: the number of connections, the length of a line and the time
/// of a client are limited, and answers are computed on other threads.
package actor LineServer {
  package struct Limits: Sendable {
    /// Connections and unfinished answers. Further connections are closed at once.
    package var clients = 16
    /// The limit of a request in bytes, including its newline.
    package var requestBytes = 4096
    /// How long a client may take to send a request, and to receive an answer.
    package var patience: Duration = .seconds(10)

    package init() {}
  }

  /// Computes the answer to a line, both without newlines.
  package typealias Answer = @Sendable ([UInt8]) async -> [UInt8]

  package nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

  private struct Client {
    enum Phase {
      case asking([UInt8])
      case waiting
      case taking(ArraySlice<UInt8>)
    }

    var descriptor: CInt
    var phase: Phase
    /// Nil while the client waits for its answer.
    var deadline: ContinuousClock.Instant?
  }

  private nonisolated let loop: LoopThread
  private let poll: DescriptorPoll
  private let limits: Limits
  private let answer: Answer
  /// Nil after `stop()`.
  private var listener: ListeningSocket?
  /// When to accept connections again after there was no free descriptor.
  private var retry: ContinuousClock.Instant?
  private var clients: [Int: Client] = [:]
  private var answers: [Int: Task<Void, Never>] = [:]
  private var lastID = 0
  /// The threads that compute answers: those of the creating task, because the loop's turns belong to no
  /// task.
  private let threads = TaskThreads.current

  /// Listens until `stop()`, on a separate thread.
  ///
  /// - Throws: `SocketError`; `ThreadError`.
  package init(
    name: String, in directory: SocketDirectory, limits: Limits = .init(), answer: @escaping Answer
  ) throws {
    loop = LoopThread(name: "s3m-control")
    poll = try DescriptorPoll()
    self.limits = limits
    self.answer = answer
    let listener = try ListeningSocket(name: name, in: directory)
    self.listener = listener
    poll.watch(listener.descriptor, reading: true, writing: false)
    let wakeup = poll.wakeup
    try loop.start(
      turn: { self.assumeIsolated { $0.turn() } },
      wait: { self.assumeIsolated { $0.wait() } },
      wake: { wakeup.signal() })
  }

  /// Removes the name, waits for unfinished answers, sends what can be sent at once, and ends the thread. A
  /// second call has no effect.
  package nonisolated func stop() async {
    await finish()
    await Self.join(loop)
  }

  private func finish() async {
    if let listener { poll.forget(listener.descriptor) }
    listener = nil
    for (id, client) in clients {
      if case .asking = client.phase { end(id) }
    }
    for task in Array(answers.values) { await task.value }
    for id in Array(clients.keys) { end(id) }
  }

  /// A loop cannot join itself.
  @concurrent
  private static func join(_ loop: LoopThread) async {
    loop.stop()
  }
}

extension LineServer {
  private func turn() {
    for ready in poll.takeReady() {
      if ready.descriptor == listener?.descriptor {
        accept()
      } else if let (id, client) = clients.first(where: { $0.value.descriptor == ready.descriptor }) {
        serve(id, client, hasFailed: ready.hasFailed && !ready.canRead)
      }
    }
    let now = ContinuousClock.now
    for (id, client) in clients {
      if let deadline = client.deadline, deadline <= now { end(id) }
    }
    if let retry, retry <= now, let listener {
      self.retry = nil
      poll.watch(listener.descriptor, reading: true, writing: false)
    }
  }

  private func wait() {
    let next = (clients.values.map(\.deadline) + [retry]).compactMap(\.self).min()
    guard let next else { return poll.wait(milliseconds: -1) }
    let left = (next - .now).components
    let milliseconds = left.seconds * 1000 + left.attoseconds / 1_000_000_000_000_000 + 1
    poll.wait(milliseconds: CInt(clamping: max(0, milliseconds)))
  }

  private func accept() {
    while let listener {
      switch listener.accept() {
      case .none: return
      case .failure:
        // The listener would be ready again at once.
        poll.forget(listener.descriptor)
        retry = .now + .seconds(1)
        return
      case .connection(let descriptor):
        // Unfinished answers count too, because their clients may have left.
        guard Set(clients.keys).union(answers.keys).count < limits.clients else {
          close(descriptor)
          continue
        }
        lastID += 1
        clients[lastID] = Client(
          descriptor: descriptor, phase: .asking([]), deadline: .now + limits.patience)
        poll.watch(descriptor, reading: true, writing: false)
      }
    }
  }

  private func serve(_ id: Int, _ client: Client, hasFailed: Bool) {
    if hasFailed { return end(id) }
    switch client.phase {
    case .asking(let begun): read(id, client.descriptor, begun)
    // The client has sent its one request. More bytes, or the end, end the connection.
    case .waiting: end(id)
    case .taking(let rest): send(rest, to: id)
    }
  }

  private func read(_ id: Int, _ descriptor: CInt, _ begun: [UInt8]) {
    var piece = [UInt8](repeating: 0, count: limits.requestBytes)
    // SAFETY: the buffer lives for the one call that fills it, and its own length is the limit.
    let count = piece.withUnsafeMutableBytes { Glibc.read(descriptor, $0.baseAddress, $0.count) }
    if count < 0, errno == EAGAIN || errno == EINTR { return }
    guard count > 0 else { return end(id) }
    let line = begun + piece[..<count]
    guard let newline = line.firstIndex(of: UInt8(ascii: "\n")) else {
      if line.count >= limits.requestBytes { return end(id) }
      clients[id]?.phase = .asking(line)
      return
    }
    clients[id]?.phase = .waiting
    clients[id]?.deadline = nil
    // From now on only the end of the connection matters.
    poll.watch(descriptor, reading: false, writing: false)
    let (answer, request) = (answer, Array(line[..<newline]))
    answers[id] = Task(executorPreference: threads) {
      await self.deliver(await answer(request), to: id)
    }
  }

  private func deliver(_ line: [UInt8], to id: Int) {
    answers[id] = nil
    guard clients[id] != nil else { return }
    clients[id]?.deadline = .now + limits.patience
    send((line + [UInt8(ascii: "\n")])[...], to: id)
  }

  private func send(_ bytes: ArraySlice<UInt8>, to id: Int) {
    guard let descriptor = clients[id]?.descriptor else { return }
    var rest = bytes
    while !rest.isEmpty {
      // SAFETY: the buffer lives for the one call that reads it.
      let count = rest.withUnsafeBytes { s3m_send_local(descriptor, $0.baseAddress, $0.count) }
      if count < 0, errno == EINTR { continue }
      if count < 0, errno == EAGAIN {
        clients[id]?.phase = .taking(rest)
        return poll.watch(descriptor, reading: false, writing: true)
      }
      guard count > 0 else { return end(id) }
      rest = rest.dropFirst(count)
    }
    end(id)
  }

  private func end(_ id: Int) {
    guard let client = clients.removeValue(forKey: id) else { return }
    poll.forget(client.descriptor)
    close(client.descriptor)
  }
}
