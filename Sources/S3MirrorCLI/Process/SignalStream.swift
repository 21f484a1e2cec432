import CLinux
import Glibc
import LoopThread
import SystemPackage

/// SIGINT, SIGTERM and SIGHUP as a stream.
///
/// A handler writes them to a pipe. The alternative, to block the signals and wait in one thread
/// (sigwait(3)), needs the same mask in every thread, and the runtime and libraries start threads with their
/// own masks.
enum SignalStream {
  struct Arrival: Sendable, Hashable {
    var number: Int32
    /// The kernel sent the signal to the terminal's whole foreground group, including the child (Ctrl-C).
    var isFromTerminal: Bool
    var instant = ContinuousClock.now
  }

  static let numbers = [SIGINT, SIGTERM, SIGHUP]

  /// Whether the program was started with SIGHUP ignored, as by nohup(1). Then program and child have to
  /// survive the terminal. SIGINT is handled even if it is ignored, because a script's shell ignores it for
  /// background commands.
  static func isIgnored(_ number: Int32) -> Bool { number == SIGHUP && isHangupIgnored }

  /// Read once, before any handler is set.
  private static let isHangupIgnored = s3m_is_ignored(SIGHUP) != 0

  /// Unblocks signals on the calling thread. A program inherits the mask of the thread that started it, which
  /// may block all signals, and no other thread here receives any.
  static func unblock() {
    var none = sigset_t()
    sigemptyset(&none)
    pthread_sigmask(SIG_SETMASK, &none, nil)
  }

  /// The arriving signals, from now until the program ends. Call it once.
  ///
  /// - Throws: `Errno` or `ThreadError` if the system has no pipe or no thread available.
  static func arrivals() throws -> AsyncStream<Arrival> {
    let pipe = try FileDescriptor.privatePipe()
    let (stream, continuation) = AsyncStream<Arrival>.makeStream(bufferingPolicy: .bufferingOldest(16))
    try NativeThread(name: "s3m-signal") {
      // Each handler writes two bytes, which pipe(7) never splits.
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
