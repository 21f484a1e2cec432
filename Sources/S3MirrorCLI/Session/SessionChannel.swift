import Dispatch
import Glibc
import LoopThread
import Synchronization
import SystemPackage

/// The two pipes of a session: lines are received one by one, and sent in order.
///
/// One thread reads and one thread writes, because either call may block for as long as the other program
/// likes. The next line is read only after the last one was taken, and only while few answers are unread. So
/// if a program does not read its answers, its requests are not read either, and its own pipe fills. Answers
/// are never dropped; events are, above a limit.
final class SessionChannel: Sendable {
  enum Arrival: Sendable, Hashable {
    case line([UInt8])
    /// A line above the limit. It was read to its end and discarded.
    case tooLong
    case ended(Ending)
    /// A signal asks to end at once.
    case cut(Int32)
    /// The mirror is over.
    case over(ExitStatus)
  }

  /// Why no more requests come from the other program.
  enum Ending: Sendable, Hashable {
    case parentEnded
    /// No process can send requests any more.
    case endOfRequests
    /// No process can read answers any more.
    case endOfAnswers
  }

  /// The longest request, in bytes. A mirror with a thousand uploads needs a tenth of it.
  static let longestLine = 1 << 20
  /// Above this number of unread bytes no further request is read.
  static let mostUnread = 4 << 20
  /// Above this number of unread bytes events are dropped.
  static let mostUnreadForEvents = 256 << 10

  private struct State {
    var lines: [[UInt8]] = []
    var unread = 0
    /// How many events were dropped since the last one that was sent.
    var dropped = 0
    var isBroken = false
    /// Whether the main loop has taken its line and waits for the next one.
    var wantsNext = false
    var drained: [CheckedContinuation<Void, Never>] = []
  }

  let arrivals: AsyncStream<Arrival>
  private let continuation: AsyncStream<Arrival>.Continuation
  private let state = Mutex(State())
  /// Signalled once for each line that may be read.
  private let turn = DispatchSemaphore(value: 1)
  /// Signalled once for each line that has to be written.
  private let work = DispatchSemaphore(value: 0)

  /// - Throws: `ThreadError`.
  init(reader: Int32, writer: Int32) throws(ThreadError) {
    (arrivals, continuation) = AsyncStream.makeStream()
    let (reader, writer) = (FileDescriptor(rawValue: reader), FileDescriptor(rawValue: writer))
    try NativeThread(name: "s3m-requests") { self.read(from: reader) }.detach()
    try NativeThread(name: "s3m-answers") { self.write(to: writer) }.detach()
  }

  func note(_ arrival: Arrival) { continuation.yield(arrival) }

  // MARK: In

  /// Requests the next line. It is read as soon as there is room for its answer.
  func askForNext() {
    let isFree = state.withLock { state in
      state.wantsNext = state.unread > Self.mostUnread
      return !state.wantsNext
    }
    if isFree { turn.signal() }
  }

  private func read(from descriptor: FileDescriptor) {
    var lines = LineSplitter(longest: Self.longestLine)
    turn.wait()
    while let piece = Self.piece(of: descriptor) {
      for arrival in lines.take(piece) {
        continuation.yield(arrival)
        turn.wait()
      }
    }
    continuation.yield(.ended(.endOfRequests))
  }

  /// The result of one read; nil at the end. Another program may have made a shared descriptor non-blocking.
  private static func piece(of descriptor: FileDescriptor) -> [UInt8]? {
    while true {
      do throws(Errno) {
        let piece = try descriptor.read(upTo: 64 << 10)
        return piece.isEmpty ? nil : piece
      } catch {
        guard error == .wouldBlock || error == .interrupted else { return nil }
        var ready = pollfd(fd: descriptor.rawValue, events: Int16(POLLIN), revents: 0)
        _ = poll(&ready, 1, -1)
      }
    }
  }

  // MARK: Out

  /// Sends an answer, which is never dropped.
  func send(_ message: some Encodable) {
    enqueue(Array((JSONText.encode(message) + "\n").utf8))
  }

  /// Sends an event, unless too much is unread. The next event that is sent has the number of dropped ones.
  func sendEvent(_ event: some Encodable) {
    let dropped: Int? = state.withLock { state in
      guard state.unread <= Self.mostUnreadForEvents else {
        state.dropped += 1
        return nil
      }
      defer { state.dropped = 0 }
      return state.dropped
    }
    guard let dropped else { return }
    if dropped > 0 { send(DroppedEvents(number: dropped)) }
    send(event)
  }

  private struct DroppedEvents: Encodable {
    var event = "dropped"
    var number: Int
  }

  private func enqueue(_ line: [UInt8]) {
    state.withLock { state in
      guard !state.isBroken else { return }
      state.lines.append(line)
      state.unread += line.count
    }
    work.signal()
  }

  private func write(to descriptor: FileDescriptor) {
    while true {
      work.wait()
      let lines = state.withLock { state in
        defer { state.lines = [] }
        return state.lines
      }
      for line in lines {
        do throws(Errno) {
          try descriptor.writeWhole(line)
        } catch {
          giveUp()
          continuation.yield(.ended(.endOfAnswers))
          return
        }
        noteWritten(line.count)
      }
    }
  }

  private func noteWritten(_ count: Int) {
    let (isFree, drained) = state.withLock { state in
      state.unread -= count
      let isFree = state.wantsNext && state.unread <= Self.mostUnread
      if isFree { state.wantsNext = false }
      defer { if state.unread == 0 { state.drained = [] } }
      return (isFree, state.unread == 0 ? state.drained : [])
    }
    if isFree { turn.signal() }
    for continuation in drained { continuation.resume() }
  }

  /// Returns when every answer is in the pipe, or when no process can read it.
  func drain() async {
    await withCheckedContinuation { continuation in
      let isDone = state.withLock { state in
        if state.isBroken || state.unread == 0 { return true }
        state.drained.append(continuation)
        return false
      }
      if isDone { continuation.resume() }
    }
  }

  /// Records that no process reads answers any more.
  func giveUp() {
    let drained = state.withLock { state in
      state.isBroken = true
      defer { state.drained = [] }
      return state.drained
    }
    for continuation in drained { continuation.resume() }
  }
}

/// Splits input into lines and skips lines that are too long.
struct LineSplitter {
  private let longest: Int
  private var begun: [UInt8] = []
  private var isTooLong = false

  init(longest: Int) {
    self.longest = longest
  }

  mutating func take(_ piece: [UInt8]) -> [SessionChannel.Arrival] {
    var arrivals: [SessionChannel.Arrival] = []
    var rest = piece[...]
    while let newline = rest.firstIndex(of: UInt8(ascii: "\n")) {
      append(rest[..<newline])
      arrivals.append(isTooLong ? .tooLong : .line(begun))
      begun = []
      isTooLong = false
      rest = rest[(newline + 1)...]
    }
    append(rest)
    return arrivals
  }

  private mutating func append(_ piece: ArraySlice<UInt8>) {
    guard !isTooLong, begun.count + piece.count <= longest else {
      isTooLong = true
      begun = []
      return
    }
    begun += piece
  }
}
