import CLinux
import Glibc
import LoopThread
import SystemPackage

/// SIGINT, SIGTERM and SIGHUP as a stream.
///
/// They come through a handler and a pipe. To block them and wait in one thread (sigwait(3)) would take every thread's
/// consent, and the runtime and the libraries make theirs as they like.
enum SignalStream {
  struct Arrival: Sendable, Hashable {
    var number: Int32
    /// The kernel sent it to the terminal's whole foreground group, the child included (a typed Ctrl-C).
    var isFromTerminal: Bool
    var instant = ContinuousClock.now
  }

  static let numbers = [SIGINT, SIGTERM, SIGHUP]

  /// Whether the program was started with SIGHUP ignored: nohup(1) wants it to outlive the terminal, and so the child.
  /// SIGINT is heard even so: a script's shell ignores it for what it starts in the background.
  static func isIgnored(_ number: Int32) -> Bool { number == SIGHUP && isHangupIgnored }

  /// Read once, before any handler is set.
  private static let isHangupIgnored = s3m_is_ignored(SIGHUP) != 0

  /// Lets signals come to the calling thread. A program inherits the mask of the thread that started it, which may block all
  /// of them for its own sake, and no other thread here takes any.
  static func unblock() {
    var none = sigset_t()
    sigemptyset(&none)
    pthread_sigmask(SIG_SETMASK, &none, nil)
  }

  /// The arrivals, from now until the program ends. Ask once.
  ///
  /// - Throws: `Errno` or `ThreadError` where the system has no pipe or no thread to give.
  static func arrivals() throws -> AsyncStream<Arrival> {
    let pipe = try FileDescriptor.privatePipe()
    let (stream, continuation) = AsyncStream<Arrival>.makeStream(bufferingPolicy: .bufferingOldest(16))
    try NativeThread(name: "s3m-signal") {
      // Each handler's write is two bytes, which pipe(7) never splits.
      while case .success(let message) = Result(catching: { try pipe.reader.read(upTo: 2) }),
        message.count == 2
      {
        continuation.yield(Arrival(number: Int32(message[0]), isFromTerminal: message[1] != 0))
      }
    }.detach()
    for number in numbers where !isIgnored(number) {
      guard s3m_forward_signal(number, pipe.writer.rawValue) == 0 else {
        preconditionFailure("sigaction refuses signal \(number), which every Linux has")
      }
    }
    return stream
  }
}
